// Notices when thinking goes round in circles, while it still can be helped.
#pragma once

#include <cstddef>
#include <cstdint>
#include <unordered_map>
#include <unordered_set>
#include <vector>

namespace touchstone {

/// Follows a text's tokens. It is in a loop when nine tenths of its last kWindow tokens belong to passages of
/// kPassage tokens that were written at least three times before. So a loop may be of any length, over
/// several lines, and may change a word now and then; a list whose numbers go on, or a text that is copied
/// once or twice, is none.
///
/// A loop is taken back to where the text began to repeat itself, all but the first kSuspicion - 1 tokens of
/// that, and no more than kMostHeld tokens. So it is known early what will stay: all of a text that repeats
/// no kSuspicion tokens.
class LoopGuard {
 public:
  static constexpr std::size_t kPassage = 24;
  static constexpr std::size_t kWindow = 256;
  static constexpr std::size_t kSuspicion = 8;
  static constexpr std::size_t kMostHeld = 2 * kWindow;

  std::size_t size() const { return ids_.size(); }

  /// Takes in the next token.
  void push(std::int32_t id);

  /// Whether the text ends in a loop.
  bool in_loop() const;

  /// So many of the tokens stay, whatever follows: a loop is taken back to here. Never falls.
  std::size_t num_certain() const { return num_certain_; }

 private:
  std::uint8_t count_passage();
  bool repeats() const;
  std::size_t find_certain() const;

  std::vector<std::int32_t> ids_;
  std::unordered_map<std::uint64_t, std::uint8_t> passages_;  // how often they were written, up to 3, by hash
  std::unordered_set<std::uint64_t> short_passages_;          // of kSuspicion tokens, by hash
  std::vector<bool> covered_;
  std::size_t num_covered_ = 0;     // of the last kWindow
  std::size_t suspicious_run_ = 0;  // so many short passages at the end were written before
  // The passages that were written before, with gaps that a changed word makes: where the first and the last
  // end.
  std::size_t first_repeat_ = 0, last_repeat_ = 0;
  std::size_t num_certain_ = 0;
};

}  // namespace touchstone
