#include "text/tokenizer_added.h"

#include <cassert>

namespace touchstone {

std::uint32_t AddedMatcher::find_child(std::uint32_t node, char byte) const {
  if (node == 0) return starts_[static_cast<unsigned char>(byte)];
  std::uint32_t child = nodes_[node].child;
  while (child != 0 && nodes_[child].byte != byte) child = nodes_[child].sibling;
  return child;
}

void AddedMatcher::add(std::string_view content, std::int32_t index) {
  assert(!content.empty() && content.size() <= kMaxContentBytes);
  std::uint32_t node = 0;
  for (const char byte : content) {
    std::uint32_t child = find_child(node, byte);
    if (child == 0) {
      child = static_cast<std::uint32_t>(nodes_.size());
      nodes_.push_back({-1, 0, node == 0 ? 0 : nodes_[node].child, byte});
      if (node == 0) {
        starts_[static_cast<unsigned char>(byte)] = child;
      } else {
        nodes_[node].child = child;
      }
    }
    node = child;
  }
  if (nodes_[node].index < 0) nodes_[node].index = index;
}

AddedMatcher::Match AddedMatcher::find(std::string_view text, std::size_t from) const {
  for (std::size_t begin = from; begin < text.size(); ++begin) {
    if (starts_[static_cast<unsigned char>(text[begin])] == 0) continue;
    Match match{begin, begin, -1};
    std::uint32_t node = 0;
    for (std::size_t at = begin; at < text.size(); ++at) {
      node = find_child(node, text[at]);
      if (node == 0) break;
      if (nodes_[node].index >= 0) match = {begin, at + 1, nodes_[node].index};
    }
    if (match.index >= 0) return match;
  }
  return {text.size(), text.size(), -1};
}

}  // namespace touchstone
