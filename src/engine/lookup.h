// Guesses of the next tokens without a second model: what followed when the text last stood as it stands now
// (prompt lookup decoding, Saxena 2023; SuffixDecoding, arXiv 2411.04975), and how many of them to verify.
//
// The policy. A guess that turns out right saves a step; one that is wrong has made its pass longer. Each
// sequence counts how often the text went on as after the match, by the length of the match: the chance that
// a draft's first j tokens are all right is the product of their chances. The engine times its passes by how
// many tokens they have. Of the drafts of all sequences the m likeliest tokens are verified, m such that
// (sequences + expected right guesses) / (time of a pass of that size) is highest; m = 0 is a choice like the
// others, and the one where passes are bound by arithmetic (many sequences, few kernels' lanes). Tokens are
// counted whether drafted or not, so that a sequence pays nothing to learn that it does not repeat itself. A
// size that was never timed, or not for long, counts as lying on the line between its neighbours, prompts
// included; at least every 64th pass runs without drafts, so that both sides of the comparison are recent.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <unordered_map>
#include <vector>

namespace touchstone {

/// Tokens of a draft at most: with the token before it, two tiles of the kernels.
inline constexpr std::size_t kMostDrafted = 15;

/// An earlier place of a text that reads like its end. `length` tokens before `next` are the text's last
/// ones; 0: there is no such place. Lengths count up to kLongestMatch.
struct TextMatch {
  std::size_t next = 0;
  std::size_t length = 0;
};
inline constexpr std::size_t kLongestMatch = 32;

/// The places of each token of one growing text, chained as deflate chains its own (RFC 1951). Takes 4 bytes
/// for each token of the text and some 50 for each distinct one.
class TextIndex {
 public:
  /// Takes in the tokens behind those it has. `text` begins with what was given before.
  void extend(std::span<const std::int32_t> text);

  /// The longest match of the text's end among the last kPlaces occurrences of its last token and the place
  /// that the match before went on to; the latest of the longest.
  const TextMatch& match() const { return match_; }

 private:
  static constexpr int kPlaces = 64;

  std::unordered_map<std::int32_t, std::int32_t> latest_;  // token -> its last place
  std::vector<std::int32_t> previous_;                     // place -> the same token's place before, or -1
  TextMatch match_;
};

/// How often a text goes on as after a match of a length: running averages.
class HitRates {
 public:
  double at(std::size_t length) const { return rates_[class_of(length)]; }
  void count(std::size_t length, bool hit);

 private:
  static constexpr std::size_t kClasses = 7;  // lengths 1, 2, 3, 4-7, 8-15, 16-31, 32
  static std::size_t class_of(std::size_t length);

  // To begin with: less than answers show, so that a text must first repeat itself.
  std::array<double, kClasses> rates_{0.05, 0.1, 0.2, 0.3, 0.5, 0.6, 0.7};
};

/// What one sequence needs to guess.
struct Drafter {
  TextIndex index;
  HitRates rates;

  /// The text is this now: learns from what was added. `text` begins with what was given before.
  void follow(std::span<const std::int32_t> text);
  /// For guess j the chance that it and all before it are right, for up to `most` guesses; empty when there
  /// is no match.
  std::vector<double> chances(std::size_t most) const;
  /// What followed at the match, `count` tokens, appended to `guesses`. Where the match reaches the text's
  /// end it goes on with the guesses themselves, as in a loop.
  void guess(std::span<const std::int32_t> text, std::size_t count, std::vector<std::int32_t>& guesses) const;
};

/// Running medians of what a pass takes, by how many tokens it has.
class PassTimes {
 public:
  void record(std::size_t tokens, double seconds);

  /// Whether a pass of so many tokens was timed lately.
  bool knows(std::size_t tokens) const;

  /// Expected seconds of a pass of more tokens than one that was timed.
  double seconds(std::size_t tokens) const;

 private:
  static constexpr std::size_t kKept = 5;          // times of a size
  static constexpr std::int64_t kRemembered = 64;  // passes until a size is no longer known

  struct Size {
    std::vector<double> times;  // the latest
    double median = 0;
    std::int64_t last = 0;  // pass
  };
  std::map<std::size_t, Size> sizes_;
  std::int64_t passes_ = 0;
};

/// How many guesses to verify for each sequence. `chances`: for each the chances that guess j and all before
/// it are right, not ascending.
std::vector<std::size_t> choose_drafts(std::span<const std::vector<double>> chances, const PassTimes& times);

}  // namespace touchstone
