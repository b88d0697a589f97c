// Byte-pair merging: which pairs of tokens merge, how early, and into what.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace touchstone {

struct Merge {
  std::int32_t rank;  // the lower, the earlier
  std::int32_t id;    // what the pair becomes
};

/// Pairs of ids -> their merge, in an open-addressed table.
class MergeTable {
 public:
  /// Makes room for `count` merges.
  explicit MergeTable(std::size_t count = 0);
  /// At most as many as there is room for. A pair that comes again takes the new merge, as in the reference.
  /// Throws Error for pairs that were made to collide.
  void put(std::int32_t left, std::int32_t right, Merge merge);
  /// nullptr when the pair does not merge.
  const Merge* find(std::int32_t left, std::int32_t right) const;
  /// The same for merges that were put in the same order.
  std::span<const std::byte> bytes() const { return std::as_bytes(std::span(slots_)); }

 private:
  struct Slot {
    std::int32_t left = -1, right = -1;
    Merge merge{};
  };
  std::size_t first_slot(std::int32_t left, std::int32_t right) const;
  std::size_t slot_of(std::int32_t left, std::int32_t right) const;
  std::vector<Slot> slots_;  // a power of two of them, at most two thirds full
};

/// Merges the tokens of one piece in place, always the pair of lowest rank, the leftmost among equals, until
/// none is left; shrinks `ids`. O(n log n) in their number.
void merge_pairs(const MergeTable& merges, std::vector<std::int32_t>& ids);

}  // namespace touchstone
