#include "answers/option_words.h"

#include <array>
#include <optional>

#include "answers/extract_text.h"

namespace touchstone {
namespace {

struct Counted {
  std::size_t option = 0;  // from 0
  std::size_t end = 0;
};

constexpr std::size_t kMostCounted = 6;
using Words = std::array<std::string_view, kMostCounted>;
constexpr Words kOrdinals = {"first", "second", "third", "fourth", "fifth", "sixth"};
constexpr Words kShortOrdinals = {"1st", "2nd", "3rd", "4th", "5th", "6th"};
constexpr Words kNumbers = {"one", "two", "three", "four", "five", "six"};
constexpr Words kDigits = {"1", "2", "3", "4", "5", "6"};
constexpr Words kHan = {"一", "二", "三", "四", "五", "六"};

std::optional<Counted> read_word(const Words& words, std::string_view lower, std::size_t pos) {
  for (std::size_t i = 0; i < words.size(); ++i) {
    if (is_word_at(lower, pos, words[i])) return Counted{i, pos + words[i].size()};
  }
  return std::nullopt;
}

/// The end of "option" or "choice" at `pos`, behind one space.
std::optional<std::size_t> after_noun(std::string_view lower, std::size_t pos) {
  for (const std::string_view noun : {" option", " answer option", " choice", " answer choice"}) {
    if (lower.substr(pos).starts_with(noun) && is_word_at(lower, pos + 1, noun.substr(1))) {
      return pos + noun.size();
    }
  }
  return std::nullopt;
}

/// Whether a sentence ends at `pos`, or goes on with "is correct" and the like.
bool is_verdict_at(std::string_view lower, std::size_t pos) {
  if (sentence_end(lower, pos, 1) == pos) return true;
  for (const std::string_view verdict :
       {" is correct", " is right", " is true", " is the correct", " is the right", " is the best",
        " is the answer", " follows", " must be true"}) {
    if (lower.substr(pos).starts_with(verdict)) return true;
  }
  return false;
}

/// Whether "the second" at `pos` is chosen by the words before it: "so the second".
bool is_concluded(std::string_view lower, std::size_t pos) {
  std::string_view before = trim(lower.substr(0, pos));
  if (ends_with_word(before, {"the"})) before = trim(before.substr(0, before.size() - 3));
  return ends_with_word(
      before, {"so", "so it is", "so it's", "so it must be", "therefore", "thus", "hence", "answer is",
               "one is", "choice is", "option is", "choose", "pick", "select"});
}

/// Whether the sentence begins with "the second" at `pos`.
bool begins_sentence(std::string_view lower, std::size_t pos) {
  std::string_view before = trim(lower.substr(0, pos));
  if (ends_with_word(before, {"the"})) before = trim(before.substr(0, before.size() - 3));
  return before.empty() || std::string_view(".!?:").find(before.back()) != before.npos;
}

/// "second option", "last choice". What may speak of the question too ("the second statement", "the second
/// one") where the answer chooses it or says that it is right.
std::optional<Counted> read_ordinal(std::string_view lower, std::size_t pos, std::size_t num_options) {
  std::optional<Counted> counted = read_word(kOrdinals, lower, pos);
  if (!counted) counted = read_word(kShortOrdinals, lower, pos);
  if (!counted && is_word_at(lower, pos, "last")) counted = Counted{num_options - 1, pos + 4};
  if (!counted) return std::nullopt;
  if (const auto end = after_noun(lower, counted->end)) return Counted{counted->option, *end};
  const bool concluded = is_concluded(lower, pos);
  for (const std::string_view noun : {" statement", " conclusion", " answer", " one"}) {
    if (!lower.substr(counted->end).starts_with(noun)) continue;
    const std::size_t end = counted->end + noun.size();
    const bool chosen = is_verdict_at(lower, end) && (concluded || begins_sentence(lower, pos));
    return chosen ? std::optional(Counted{counted->option, end}) : std::nullopt;
  }
  const bool ends = sentence_end(lower, counted->end, 1) == counted->end;
  return concluded && ends ? counted : std::nullopt;
}

/// "option 2", "choice two".
std::optional<Counted> read_cardinal(std::string_view lower, std::size_t pos) {
  for (const std::string_view noun : {"option ", "choice "}) {
    if (!lower.substr(pos).starts_with(noun) || (pos > 0 && is_letter(lower[pos - 1]))) continue;
    std::optional<Counted> counted = read_word(kNumbers, lower, pos + noun.size());
    if (!counted) counted = read_word(kDigits, lower, pos + noun.size());
    const bool goes_on = counted && counted->end < lower.size() && is_digit(lower[counted->end]);
    if (counted && !goes_on) return counted;
  }
  return std::nullopt;
}

/// 第二个选项, 最后一个选项, and 选第二个 or 选择第二项.
std::optional<Counted> read_chinese(std::string_view lower, std::size_t pos, std::size_t num_options) {
  constexpr std::string_view kNth = "第";
  constexpr std::string_view kLast = "最后一";
  const std::string_view rest = lower.substr(pos);
  std::optional<Counted> counted;
  if (rest.starts_with(kLast)) counted = Counted{num_options - 1, pos + kLast.size()};
  for (std::size_t i = 0; i < kMostCounted && rest.starts_with(kNth); ++i) {
    for (const Words& words : {kHan, kDigits}) {
      if (rest.substr(kNth.size()).starts_with(words[i]))
        counted = Counted{i, pos + kNth.size() + words[i].size()};
    }
  }
  if (!counted) return std::nullopt;
  const std::string_view before = trim(lower.substr(0, pos));
  const bool chosen = before.ends_with("选") || before.ends_with("选择");
  for (const std::string_view noun : {"个选项", "选项", "个说法", "个结论", "个", "项"}) {
    if (!lower.substr(counted->end).starts_with(noun)) continue;
    const std::size_t end = counted->end + noun.size();
    const bool right = lower.substr(end).starts_with("正确") || lower.substr(end).starts_with("是正确");
    const bool whole = before.empty() && sentence_end(lower, end, 1) == end;
    if (noun.ends_with("选项") || right || chosen || whole) {
      return Counted{counted->option, end};
    }
  }
  return std::nullopt;
}

}  // namespace

std::string letters_for_counts(std::string_view text, std::size_t num_options) {
  const std::string lower = to_lower(text);
  std::string out;
  for (std::size_t i = 0; i < text.size();) {
    std::optional<Counted> counted = read_ordinal(lower, i, num_options);
    if (!counted) counted = read_cardinal(lower, i);
    if (!counted) counted = read_chinese(lower, i, num_options);
    if (!counted || counted->option >= num_options) {
      out += text[i++];
      continue;
    }
    out += "option ";
    out += static_cast<char>('A' + static_cast<int>(counted->option));
    i = counted->end;
  }
  return out;
}

}  // namespace touchstone
