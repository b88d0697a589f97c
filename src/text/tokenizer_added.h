// Finds added tokens ("<|im_end|>") in text.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

namespace touchstone {

/// A trie of the contents of added tokens.
class AddedMatcher {
 public:
  struct Match {
    std::size_t begin, end;
    std::int32_t index;  // as given to add(); -1: there is none
  };

  // Keeps the search linear in the text; published added tokens are far shorter.
  static constexpr std::size_t kMaxContentBytes = 1024;

  /// `content`: valid UTF-8, 1 … kMaxContentBytes. Of equal contents the first counts.
  void add(std::string_view content, std::int32_t index);
  bool empty() const { return nodes_.size() == 1; }

  /// The first match at or after `from`, the longest of those that begin there.
  Match find(std::string_view text, std::size_t from) const;

 private:
  struct Node {
    std::int32_t index = -1;
    std::uint32_t child = 0, sibling = 0;  // 0: none
    char byte = 0;
  };
  std::uint32_t find_child(std::uint32_t node, char byte) const;

  std::vector<Node> nodes_{1};
  std::array<std::uint32_t, 256> starts_{};  // the root's children
};

}  // namespace touchstone
