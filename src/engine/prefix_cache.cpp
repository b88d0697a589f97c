#include "engine/prefix_cache.h"

#include <algorithm>
#include <iterator>
#include <utility>

namespace touchstone {
namespace {

std::size_t common_length(std::span<const std::int32_t> a, std::span<const std::int32_t> b) {
  const auto [end, other_end] = std::mismatch(a.begin(), a.end(), b.begin(), b.end());
  return static_cast<std::size_t>(end - a.begin());
}

}  // namespace

PrefixCache::Tree::iterator PrefixCache::find_root(std::string_view salt) {
  const std::vector<std::int32_t> ids(salt.begin(), salt.end());
  return tree_.find(Place{0, ids});
}

/// The child that shares most of `ids` from their beginning, and how many; tree_.end() and 0 when none does.
std::pair<PrefixCache::Tree::iterator, std::size_t> PrefixCache::find_child(
    std::uint64_t parent, std::span<const std::int32_t> ids) {
  // In this order the longest common beginning is that of a neighbour of the place where `ids` would stand.
  const auto behind = tree_.lower_bound(Place{parent, ids});
  std::pair<Tree::iterator, std::size_t> best{tree_.end(), 0};
  const auto consider = [&](Tree::iterator child) {
    if (child->first.parent != parent) return;
    const std::size_t length = common_length(child->first.ids, ids);
    if (length > best.second) best = {child, length};
  };
  if (behind != tree_.end()) consider(behind);
  if (behind != tree_.begin()) consider(std::prev(behind));
  return best;
}

void PrefixCache::touch(Tree::iterator node) {
  if (node->second.num_children == 0) leaves_.erase(node->second.last_use);
  node->second.last_use = ++clock_;
  if (node->second.num_children == 0) leaves_.emplace(node->second.last_use, node);
}

PrefixCache::Match PrefixCache::find(std::string_view salt, std::span<const std::int32_t> ids) {
  Match match;
  Tree::iterator node = find_root(salt);
  if (node == tree_.end()) return match;
  while (!ids.empty()) {
    const auto piece = ids.first(std::min(ids.size(), block_tokens));
    const auto [child, length] = find_child(node->second.id, piece);
    if (length == 0) break;
    touch(child);
    pool_.share(child->second.block);
    if (length < block_tokens) {
      match.partial_block = child->second.block;
      match.partial_tokens = length;
      break;
    }
    match.blocks.push_back(child->second.block);
    node = child;
    ids = ids.subspan(block_tokens);
  }
  return match;
}

PrefixCache::Tree::iterator PrefixCache::add_child(Tree::iterator parent, std::span<const std::int32_t> ids,
                                                   std::int32_t block) {
  pool_.keep(block);
  ++num_blocks_;
  if (parent->second.block >= 0 && parent->second.num_children == 0) leaves_.erase(parent->second.last_use);
  ++parent->second.num_children;
  const std::uint64_t id = next_id_++;
  const std::uint64_t now = ++clock_;
  Key key{parent->second.id, {ids.begin(), ids.end()}};
  const auto node = tree_.emplace(std::move(key), Node{id, block, now, 0, parent}).first;
  leaves_.emplace(now, node);
  return node;
}

void PrefixCache::insert(std::string_view salt, std::span<const std::int32_t> ids,
                         std::vector<std::int32_t>& blocks) {
  if (ids.empty()) return;
  Tree::iterator node = find_root(salt);
  if (node == tree_.end()) {
    Key key{0, {salt.begin(), salt.end()}};
    node = tree_.emplace(std::move(key), Node{next_id_++, -1, 0, 0, tree_.end()}).first;
  }
  for (std::size_t i = 0; !ids.empty(); ++i) {
    const auto piece = ids.first(std::min(ids.size(), block_tokens));
    const auto [child, length] = find_child(node->second.id, piece);
    if (length == piece.size()) {
      touch(child);
      if (length == block_tokens && blocks[i] != child->second.block) {
        pool_.share(child->second.block);
        pool_.release(std::exchange(blocks[i], child->second.block));
      }
      node = child;
    } else {
      node = add_child(node, piece, blocks[i]);
      // A leaf that is the beginning of the new one has nothing to add.
      if (length > 0 && length == child->first.ids.size()) erase(child);
    }
    ids = ids.subspan(piece.size());
  }
}

void PrefixCache::erase(Tree::iterator leaf) {
  leaves_.erase(leaf->second.last_use);
  pool_.drop(leaf->second.block);
  --num_blocks_;
  const Tree::iterator parent = leaf->second.parent;
  tree_.erase(leaf);
  if (--parent->second.num_children > 0) return;
  if (parent->second.block < 0) {
    tree_.erase(parent);
  } else {
    leaves_.emplace(parent->second.last_use, parent);
  }
}

bool PrefixCache::evict() {
  const auto oldest = std::find_if(leaves_.begin(), leaves_.end(), [this](const auto& leaf) {
    return pool_.num_holders(leaf.second->second.block) == 1;
  });
  if (oldest == leaves_.end()) return false;
  erase(oldest->second);
  return true;
}

void PrefixCache::clear() {
  while (evict()) {
  }
}

}  // namespace touchstone
