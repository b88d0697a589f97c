// Guesses of the next tokens without a second model: what followed when the text last stood as it stands now
// (prompt lookup decoding, Saxena 2023; SuffixDecoding, arXiv 2411.04975), and how many of them to verify.
//
// The policy. Several earlier places may read like the text's end; the one that reads like most of it makes
// the guess, and the others say what it is worth: where all that match nearly as long went on alike the guess
// is mostly right, where they did not it mostly is not, however long the match. So each sequence counts how
// often the text went on as guessed, by the length of the match and by whether the places agree: the chance
// that a draft's first j tokens are all right is the product of their chances. The engine times its passes by
// how many tokens they have. Of the drafts of all sequences the m likeliest tokens are verified, m such that
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

/// Tokens that all drafts of a pass have at most: each of them takes memory for its logits.
inline constexpr std::size_t kMostDraftedInPass = 32;

/// An earlier place of a text that reads like its end: the `length` tokens before `next` are the text's last
/// ones. Lengths count up to kLongestMatch.
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

  /// The places that read like the text's end, the latest first: among the last kPlaces occurrences of its
  /// last token, and the place that the longest match before went on to.
  std::span<const TextMatch> matches() const { return matches_; }
  /// The latest of the longest; its length is 0 where there is none.
  const TextMatch& longest() const { return longest_; }

 private:
  static constexpr int kPlaces = 64;

  std::unordered_map<std::int32_t, std::int32_t> latest_;  // token -> its last place
  std::vector<std::int32_t> previous_;                     // place -> the same token's place before, or -1
  std::vector<TextMatch> matches_;
  TextMatch longest_;
};

/// Whether the places that match at least half as long as the longest go on alike.
enum class Agreement : std::uint8_t { alone, agreed, disputed };  // alone: there is but one

/// What the longest match says comes next.
struct Prediction {
  std::int32_t id = 0;
  std::size_t length = 0;  // of the match; 0: none, and no prediction
  Agreement agreement = Agreement::alone;
};

/// How often a text goes on as predicted: running averages.
class HitRates {
 public:
  double at(const Prediction& prediction) const;
  void count(const Prediction& prediction, bool hit);

 private:
  static constexpr std::size_t kClasses = 7;  // lengths 1, 2, 3, 4-7, 8-15, 16-31, 32
  static std::size_t class_of(std::size_t length);

  struct Rate {
    double hits = 0;    // share of the trials
    double trials = 0;  // also those that the first rates stand for
  };
  // To begin with, for places that are alone, agree, and do not: 0.7 of what two answers of a 0.5B model
  // showed (one that reasons, one that repeats code), soon outweighed by what a text itself shows.
  std::array<std::array<Rate, kClasses>, 3> rates_ = make_first_rates();
  static std::array<std::array<Rate, kClasses>, 3> make_first_rates();
};

/// Guesses at what follows. chances[j]: that guess j and all before it are right.
struct Draft {
  std::vector<std::int32_t> ids;
  std::vector<double> chances;
};

/// What one sequence needs to guess.
struct Drafter {
  TextIndex index;
  HitRates rates;
  Prediction next;

  /// The text is this now: learns from what was added. `text` begins with what was given before.
  void follow(std::span<const std::int32_t> text);
  /// Up to `most` guesses; none when no place matches. Where a match reaches the text's end it goes on with
  /// the guesses themselves, as in a loop.
  Draft draft(std::span<const std::int32_t> text, std::size_t most) const;
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
