// Which KV blocks are free and how many hold each of the others. Knows nothing of sequences.
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
      : blocks_(static_cast<std::size_t>(num_blocks)), free_(blocks_.size()) {
    // Lowest first, so that memory never used is never touched.
    std::iota(free_.rbegin(), free_.rend(), 0);
  }

  std::int32_t size() const { return static_cast<std::int32_t>(blocks_.size()); }
  std::int32_t num_free() const { return static_cast<std::int32_t>(free_.size()); }
  /// Blocks that are kept, and not held by others.
  std::int32_t num_only_kept() const { return num_only_kept_; }
  /// Keeping counts as holding.
  std::int32_t num_holders(std::int32_t block) const { return at(block).holders; }

  /// A block that nobody holds, now held once; nothing when there is none.
  std::optional<std::int32_t> take() {
    if (free_.empty()) return std::nullopt;
    const std::int32_t block = free_.back();
    free_.pop_back();
    at(block).holders = 1;
    return block;
  }

  /// One more holder of a block that is held.
  void share(std::int32_t block) {
    assert(at(block).holders > 0);
    add_holders(block, 1);
  }

  void release(std::int32_t block) {
    assert(at(block).holders > 0);
    add_holders(block, -1);
    if (at(block).holders == 0) free_.push_back(block);
  }

  /// One more holder, who could do without the block; at most one of this kind.
  void keep(std::int32_t block) {
    assert(!at(block).kept);
    share(block);
    at(block).kept = true;
  }

  /// The end of keep().
  void drop(std::int32_t block) {
    assert(at(block).kept);
    if (at(block).holders == 1) --num_only_kept_;
    at(block).kept = false;
    release(block);
  }

 private:
  struct Block {
    std::int32_t holders = 0;
    bool kept = false;
  };
  Block& at(std::int32_t block) { return blocks_[static_cast<std::size_t>(block)]; }
  const Block& at(std::int32_t block) const { return blocks_[static_cast<std::size_t>(block)]; }

  void add_holders(std::int32_t block, std::int32_t count) {
    Block& b = at(block);
    if (b.kept && b.holders == 1) --num_only_kept_;
    b.holders += count;
    if (b.kept && b.holders == 1) ++num_only_kept_;
  }

  std::vector<Block> blocks_;
  std::vector<std::int32_t> free_;
  std::int32_t num_only_kept_ = 0;
};

}  // namespace touchstone
