// The KV blocks of texts computed before, so that a prompt that begins like one of them need not be computed
// again.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/block_pool.h"
#include "model/transformer.h"

namespace touchstone {

/// A radix tree over token ids: each node is a KV block, reached through the blocks before it, so equal ids
/// behind equal ids stand in it once. Inner nodes are full; a leaf may hold fewer ids, and then serves to be
/// copied. Texts of different salts never meet: whoever does not know a salt cannot learn, from the time a
/// prompt takes, what was asked under it. The cache holds each of its blocks once; those that nobody else
/// holds are given back when blocks are needed, the least recently used first.
class PrefixCache {
 public:
  explicit PrefixCache(BlockPool& pool) : pool_(pool) {}

  struct Match {
    std::vector<std::int32_t> blocks;           // full ones
    std::optional<std::int32_t> partial_block;  // behind them: begins like the text, and then differs
    std::size_t partial_tokens = 0;             // that it has in common with the text
    std::size_t tokens() const { return blocks.size() * block_tokens + partial_tokens; }
  };
  static constexpr std::size_t block_tokens = kKvBlockTokens;

  /// The longest beginning of `ids` that is here. The caller now holds all its blocks, too.
  Match find(std::string_view salt, std::span<const std::int32_t> ids);

  /// Takes in a text whose keys and values are in `blocks`, up to its end: blocks of `ids` that are here
  /// already are exchanged in `blocks` for these, if full.
  void insert(std::string_view salt, std::span<const std::int32_t> ids, std::vector<std::int32_t>& blocks);

  /// Gives the least recently used block back that only the cache holds; false when there is none.
  bool evict();

  /// Gives all blocks back that only the cache holds.
  void clear();

  std::int32_t num_blocks() const { return num_blocks_; }

 private:
  struct Key {
    std::uint64_t parent;           // Node::id
    std::vector<std::int32_t> ids;  // 1 to block_tokens; of a root, whose parent is 0, the salt's bytes
  };
  struct Place {  // a key to look for
    std::uint64_t parent;
    std::span<const std::int32_t> ids;
  };
  struct Before {
    using is_transparent = void;
    template <typename A, typename B>
    bool operator()(const A& a, const B& b) const {
      return a.parent != b.parent
                 ? a.parent < b.parent
                 : std::lexicographical_compare(a.ids.begin(), a.ids.end(), b.ids.begin(), b.ids.end());
    }
  };
  struct Node;
  // A node's children lie together, and those that begin alike beside each other.
  using Tree = std::map<Key, Node, Before>;
  struct Node {
    std::uint64_t id;
    std::int32_t block;      // a root has none: -1
    std::uint64_t last_use;  // no two are equal
    std::int32_t num_children;
    Tree::iterator parent;
  };

  Tree::iterator find_root(std::string_view salt);
  std::pair<Tree::iterator, std::size_t> find_child(std::uint64_t parent, std::span<const std::int32_t> ids);
  Tree::iterator add_child(Tree::iterator parent, std::span<const std::int32_t> ids, std::int32_t block);
  void touch(Tree::iterator node);
  void erase(Tree::iterator leaf);

  BlockPool& pool_;
  Tree tree_;
  std::map<std::uint64_t, Tree::iterator> leaves_;  // by last use
  std::uint64_t next_id_ = 1;
  std::uint64_t clock_ = 0;
  std::int32_t num_blocks_ = 0;
};

}  // namespace touchstone
