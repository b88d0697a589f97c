#include "text/tokenizer_vocabulary.h"

#include <bit>
#include <cstring>
#include <random>

#include "text/unicode.h"

namespace touchstone {
namespace {

// Printable Latin-1 stands for itself, the other 68 bytes for U+0100 and on, in order.
constexpr unsigned kFirstStandIn = 0x100;
constexpr unsigned kStandIns = 68;

struct ByteAlphabet {
  std::array<std::uint16_t, 256> character{};
  std::array<std::int16_t, kFirstStandIn + kStandIns> byte{};
};

constexpr ByteAlphabet make_alphabet() {
  ByteAlphabet alphabet;
  alphabet.byte.fill(-1);
  unsigned next = kFirstStandIn;
  for (unsigned b = 0; b < 256; ++b) {
    const bool printable = (b >= 0x21 && b <= 0x7E) || (b >= 0xA1 && b <= 0xAC) || b >= 0xAE;
    const unsigned character = printable ? b : next++;
    alphabet.character[b] = static_cast<std::uint16_t>(character);
    alphabet.byte[character] = static_cast<std::int16_t>(b);
  }
  return alphabet;
}

constexpr ByteAlphabet kAlphabet = make_alphabet();

}  // namespace

void append_spelling(std::string& spelling, std::string_view bytes) {
  for (const char c : bytes) append_utf8(spelling, kAlphabet.character[static_cast<unsigned char>(c)]);
}

std::string spelled_bytes(std::string_view spelling) {
  std::string bytes;
  bytes.reserve(spelling.size());
  for (std::size_t i = 0; i < spelling.size();) {
    const Codepoint c = read_codepoint(spelling, i);
    const int byte = c.valid && c.value < kAlphabet.byte.size() ? kAlphabet.byte[c.value] : -1;
    if (byte < 0) return std::string(spelling);
    bytes.push_back(static_cast<char>(byte));
    i += c.length;
  }
  return bytes;
}

std::uint64_t hash_bytes(std::string_view bytes) {
  constexpr std::uint64_t kMultiplier = 0x9E3779B97F4A7C15;
  // Drawn anew in each process, so that no file can be made of strings that collide.
  static const std::uint64_t seed = std::uint64_t{std::random_device{}()} << 32 | std::random_device{}();
  std::uint64_t hash = seed ^ bytes.size() * kMultiplier;
  const auto mix = [&](std::uint64_t word) {
    hash = (hash ^ word) * kMultiplier;
    hash ^= hash >> 29;
  };
  std::size_t i = 0;
  for (; i + 8 <= bytes.size(); i += 8) {
    std::uint64_t word = 0;
    std::memcpy(&word, bytes.data() + i, 8);
    mix(word);
  }
  std::uint64_t rest = 0;
  for (std::size_t shift = 0; i < bytes.size(); ++i, shift += 8) {
    rest |= static_cast<std::uint64_t>(static_cast<unsigned char>(bytes[i])) << shift;
  }
  mix(rest);
  return hash ^ hash >> 32;
}

void StringArena::push(std::string_view text) {
  text_ += text;
  ends_.push_back(text_.size());
}

std::string_view StringArena::operator[](std::size_t index) const {
  const std::size_t begin = index == 0 ? 0 : ends_[index - 1];
  return std::string_view(text_).substr(begin, ends_[index] - begin);
}

StringIndex::StringIndex(const StringArena& arena) : slots_(std::bit_ceil(arena.size() * 2 + 1)) {
  for (std::size_t i = 0; i < arena.size(); ++i) {
    const std::string_view text = arena[i];
    if (text.empty()) continue;
    const std::uint64_t hash = hash_bytes(text);
    Slot& slot = slots_[find_slot(arena, text, hash)];
    if (slot.index < 0) slot = {static_cast<std::uint32_t>(hash >> 32), static_cast<std::int32_t>(i)};
  }
}

/// The slot that has the text, or the empty one where it belongs.
std::size_t StringIndex::find_slot(const StringArena& arena, std::string_view text,
                                   std::uint64_t hash) const {
  std::size_t at = hash & (slots_.size() - 1);
  for (; slots_[at].index >= 0; at = (at + 1) & (slots_.size() - 1)) {
    const Slot& slot = slots_[at];
    if (slot.hash == static_cast<std::uint32_t>(hash >> 32) &&
        arena[static_cast<std::size_t>(slot.index)] == text) {
      break;
    }
  }
  return at;
}

std::optional<std::int32_t> StringIndex::find(const StringArena& arena, std::string_view text) const {
  if (slots_.empty()) return std::nullopt;
  const std::int32_t index = slots_[find_slot(arena, text, hash_bytes(text))].index;
  return index < 0 ? std::nullopt : std::optional(index);
}

}  // namespace touchstone
