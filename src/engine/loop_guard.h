// Notices when thinking goes round in circles, while it still can be helped.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <unordered_map>
#include <vector>

namespace touchstone {

/// Follows a text's tokens. It is in a loop when nine tenths of its last kWindow tokens belong to passages of
/// kPassage tokens that were written at least three times before. So a loop may be of any length, over
/// several lines, and may change a word now and then; a list whose numbers go on, or a text that is copied
/// once or twice, is none.
class LoopGuard {
 public:
  static constexpr std::size_t kPassage = 24;
  static constexpr std::size_t kWindow = 256;

  std::size_t size() const { return ids_.size(); }

  /// Takes in the next token.
  void push(std::int32_t id);

  /// Where the text began to repeat itself, if it ends in a loop: what stands before was written once.
  std::optional<std::size_t> find_loop() const;

 private:
  std::vector<std::int32_t> ids_;
  std::vector<std::uint8_t> written_;  // how often the passage that ends here was written before, up to 3
  std::unordered_map<std::uint64_t, std::uint8_t> passages_;  // by hash
  std::vector<bool> covered_;
  std::size_t num_covered_ = 0;  // of the last kWindow
};

}  // namespace touchstone
