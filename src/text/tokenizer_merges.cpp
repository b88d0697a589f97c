#include "text/tokenizer_merges.h"

#include <algorithm>
#include <array>
#include <bit>
#include <limits>

#include "base/error.h"

namespace touchstone {
namespace {

constexpr std::int32_t kNoMerge = std::numeric_limits<std::int32_t>::max();
// Up to this length, looking through all ranks for the lowest is faster than a heap.
constexpr std::size_t kShortPiece = 48;

/// Keeps the rank of each pair beside its left token and takes the lowest each time.
void merge_short(const MergeTable& merges, std::vector<std::int32_t>& ids) {
  std::array<Merge, kShortPiece> next{};  // of the pair that begins here
  const auto look_up = [&](std::size_t i) {
    const Merge* merge = i + 1 < ids.size() ? merges.find(ids[i], ids[i + 1]) : nullptr;
    next[i] = merge == nullptr ? Merge{kNoMerge, 0} : *merge;
  };
  for (std::size_t i = 0; i < ids.size(); ++i) look_up(i);
  while (ids.size() > 1) {
    std::size_t best = 0;
    for (std::size_t i = 1; i < ids.size(); ++i) {
      if (next[i].rank < next[best].rank) best = i;
    }
    if (next[best].rank == kNoMerge) return;
    ids[best] = next[best].id;
    ids.erase(ids.begin() + static_cast<std::ptrdiff_t>(best) + 1);
    std::copy(next.begin() + static_cast<std::ptrdiff_t>(best) + 2,
              next.begin() + static_cast<std::ptrdiff_t>(ids.size()) + 1,
              next.begin() + static_cast<std::ptrdiff_t>(best) + 1);
    look_up(best);
    if (best > 0) look_up(best - 1);
  }
}

struct Node {
  std::int32_t id;  // -1: merged into the one before
  std::int32_t previous, next;
};

struct Candidate {
  std::int32_t rank;
  std::int32_t position;     // of the left node
  std::int32_t left, right;  // their ids when this was put in; the candidate is void if they have changed
  std::int32_t merged;
};

/// A linked list of tokens and a heap of candidates.
void merge_long(const MergeTable& merges, std::vector<std::int32_t>& ids) {
  std::vector<Node> nodes(ids.size());
  std::vector<Candidate> heap;
  heap.reserve(ids.size());
  const auto is_later = [](const Candidate& a, const Candidate& b) {
    return a.rank != b.rank ? a.rank > b.rank : a.position > b.position;
  };
  const auto consider = [&](std::int32_t position) {
    if (position < 0) return false;
    const Node& left = nodes[static_cast<std::size_t>(position)];
    if (left.next < 0) return false;
    const std::int32_t right = nodes[static_cast<std::size_t>(left.next)].id;
    const Merge* merge = merges.find(left.id, right);
    if (merge == nullptr) return false;
    heap.push_back({merge->rank, position, left.id, right, merge->id});
    return true;
  };
  for (std::size_t i = 0; i < ids.size(); ++i) {
    const auto at = static_cast<std::int32_t>(i);
    nodes[i] = {ids[i], at - 1, i + 1 < ids.size() ? at + 1 : -1};
  }
  for (std::size_t i = 0; i < ids.size(); ++i) consider(static_cast<std::int32_t>(i));
  std::make_heap(heap.begin(), heap.end(), is_later);
  while (!heap.empty()) {
    std::pop_heap(heap.begin(), heap.end(), is_later);
    const Candidate best = heap.back();
    heap.pop_back();
    Node& left = nodes[static_cast<std::size_t>(best.position)];
    if (left.id != best.left || left.next < 0) continue;
    Node& right = nodes[static_cast<std::size_t>(left.next)];
    if (right.id != best.right) continue;
    left.id = best.merged;
    left.next = right.next;
    right.id = -1;
    if (left.next >= 0) nodes[static_cast<std::size_t>(left.next)].previous = best.position;
    if (consider(left.previous)) std::push_heap(heap.begin(), heap.end(), is_later);
    if (consider(best.position)) std::push_heap(heap.begin(), heap.end(), is_later);
  }
  ids.clear();
  for (std::int32_t at = 0; at >= 0; at = nodes[static_cast<std::size_t>(at)].next) {
    ids.push_back(nodes[static_cast<std::size_t>(at)].id);
  }
}

}  // namespace

MergeTable::MergeTable(std::size_t count) : slots_(std::bit_ceil(count + count / 2 + 1)) {}

std::size_t MergeTable::first_slot(std::int32_t left, std::int32_t right) const {
  const std::uint64_t key =
      std::uint64_t{static_cast<std::uint32_t>(left)} << 32 | static_cast<std::uint32_t>(right);
  const std::uint64_t mixed = (key ^ key >> 29) * 0x9E3779B97F4A7C15;
  return (mixed ^ mixed >> 32) & (slots_.size() - 1);
}

std::size_t MergeTable::slot_of(std::int32_t left, std::int32_t right) const {
  const std::size_t mask = slots_.size() - 1;
  std::size_t at = first_slot(left, right);
  while (slots_[at].left >= 0 && (slots_[at].left != left || slots_[at].right != right)) at = (at + 1) & mask;
  return at;
}

void MergeTable::put(std::int32_t left, std::int32_t right, Merge merge) {
  // Pairs that are not chosen for it stay within some dozens; a million that are would take a day.
  constexpr std::size_t kMostSteps = 4096;
  const std::size_t slot = slot_of(left, right);
  if (((slot - first_slot(left, right)) & (slots_.size() - 1)) > kMostSteps) {
    throw Error("the tokenizer's merges are chosen so that looking them up takes long", "take another file");
  }
  slots_[slot] = {left, right, merge};
}

const Merge* MergeTable::find(std::int32_t left, std::int32_t right) const {
  const Slot& slot = slots_[slot_of(left, right)];
  return slot.left < 0 ? nullptr : &slot.merge;
}

void merge_pairs(const MergeTable& merges, std::vector<std::int32_t>& ids) {
  ids.size() <= kShortPiece ? merge_short(merges, ids) : merge_long(merges, ids);
}

}  // namespace touchstone
