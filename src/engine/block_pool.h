// Which KV blocks are free and how many sequences hold each of the others. Knows nothing of sequences.
#pragma once

#include <cassert>
#include <cstdint>
#include <numeric>
#include <optional>
#include <vector>

namespace touchstone {

class BlockPool {
 public:
  explicit BlockPool(std::int32_t num_blocks)
      : holders_(static_cast<std::size_t>(num_blocks), 0), free_(holders_.size()) {
    // Lowest first, so that memory never used is never touched.
    std::iota(free_.rbegin(), free_.rend(), 0);
  }

  std::int32_t size() const { return static_cast<std::int32_t>(holders_.size()); }
  std::int32_t num_free() const { return static_cast<std::int32_t>(free_.size()); }

  /// A block that nobody holds, now held once; nothing when there is none.
  std::optional<std::int32_t> take() {
    if (free_.empty()) return std::nullopt;
    const std::int32_t block = free_.back();
    free_.pop_back();
    holders_[static_cast<std::size_t>(block)] = 1;
    return block;
  }

  /// One more holder of a block that is held.
  void share(std::int32_t block) {
    assert(holders_[static_cast<std::size_t>(block)] > 0);
    ++holders_[static_cast<std::size_t>(block)];
  }

  void release(std::int32_t block) {
    std::int32_t& holders = holders_[static_cast<std::size_t>(block)];
    assert(holders > 0);
    if (--holders == 0) free_.push_back(block);
  }

 private:
  std::vector<std::int32_t> holders_;
  std::vector<std::int32_t> free_;
};

}  // namespace touchstone
