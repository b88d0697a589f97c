// Tokens by id and by spelling, in two arenas and one open-addressed table.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace touchstone {

/// Appends byte-level BPE's spelling of `bytes`: GPT-2's alphabet, where each byte is a printable character.
void append_spelling(std::string& spelling, std::string_view bytes);

/// The bytes that a byte-level spelling stands for; a spelling with any other character stands for itself, as
/// in the reference's decoder.
std::string spelled_bytes(std::string_view spelling);

std::uint64_t hash_bytes(std::string_view bytes);

/// Strings one after another.
class StringArena {
 public:
  void push(std::string_view text);
  std::string_view operator[](std::size_t index) const;
  std::size_t size() const { return ends_.size(); }

 private:
  std::string text_;
  std::vector<std::size_t> ends_;
};

/// Strings -> indices into an arena that the caller keeps.
class StringIndex {
 public:
  /// Indexes all strings of `arena` but empty ones; of equal strings the first one counts.
  explicit StringIndex(const StringArena& arena);
  StringIndex() = default;
  std::optional<std::int32_t> find(const StringArena& arena, std::string_view text) const;

 private:
  struct Slot {
    std::uint32_t hash = 0;
    std::int32_t index = -1;
  };
  std::size_t find_slot(const StringArena& arena, std::string_view text, std::uint64_t hash) const;
  std::vector<Slot> slots_;  // a power of two of them, at most half full
};

}  // namespace touchstone
