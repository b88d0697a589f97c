#include "answers/extract_number.h"

#include <algorithm>
#include <array>
#include <set>
#include <utility>
#include <vector>

#include "answers/expression.h"
#include "answers/extract_text.h"
#include "answers/number_reader.h"

namespace touchstone {
namespace {

using boost::multiprecision::cpp_rational;

constexpr std::string_view kConclusion = "in the concluding sentence";
constexpr std::string_view kTwoValues = "two values are given at once";
constexpr std::string_view kNoNumber = "what is stated is no one number";

struct Found {
  NumberAt number;
  std::size_t pos = 0;  // of the statement, to tell the last one
  std::string why;
  std::string_view unusable = {};  // why it is no one number
  std::string said = {};           // the text that is none
};

Number to_number(const NumberAt& at) { return {at.value.str(), at.percent, at.group}; }

/// Whether only a unit stands here: words, degree signs, exponents, "per", but no other number.
bool is_unit(std::string_view rest) {
  for (std::size_t i = 0; i < rest.size(); ++i) {
    const char c = rest[i];
    if (is_digit(c)) {
      const char before = i > 0 ? rest[i - 1] : ' ';
      const bool exponent = before == '^' || before == '{' || before == '-' || is_letter(before);
      if (!exponent) return false;
    }
    if (c == '+' || c == '=' || c == '<' || c == '>' ||
        (c == '*' && i + 1 < rest.size() && rest[i + 1] == ' ')) {
      return false;
    }
    const bool raised = i > 0 && (rest[i - 1] == '^' || rest[i - 1] == '{');  // "m s^{-1}"
    if ((c == ',' || c == ':' || (c == '-' && !raised)) && i + 1 < rest.size() && is_digit(rest[i + 1]))
      return false;
  }
  const std::string_view word = trim(rest);
  const bool variable = !word.empty() && std::string_view("xyz").find(word[0]) != word.npos &&
                        (word.size() == 1 || !is_letter(word[1]));  // "5x" is no 5
  return !variable && (!rest.starts_with("/") || (rest.size() > 1 && is_letter(rest[1])));
}

/// "7:00" says 7.
std::string_view skip_full_hour(std::string_view rest) {
  return rest.starts_with(":00") && (rest.size() == 3 || !is_digit(rest[3])) ? rest.substr(3) : rest;
}

/// `text` (normalised) as one number with its unit.
std::optional<NumberAt> read_single(std::string_view text) {
  if (const std::size_t equals = text.rfind('='); equals != text.npos) text = text.substr(equals + 1);
  if (has_root(text)) return std::nullopt;
  std::optional<NumberAt> number = find_number(text, 0, text.size());
  if (!number) return find_number_in_words(text);
  const std::string_view rest = skip_full_hour(text.substr(number->end));
  // "1. Compute" numbers a step.
  if (rest.starts_with(". ") && trim(rest).size() > 1) return std::nullopt;
  return is_unit(rest) ? number : std::nullopt;
}

/// Where in the tail the value stands: after the last "=", or "which is" and the like.
std::size_t value_start(std::string_view lower) {
  std::size_t start = 0;
  if (const std::size_t equals = lower.rfind('='); equals != lower.npos) start = equals + 1;
  for (const std::string_view phrase : {"which is", "which gives", "which equals", "that is,", "equal to",
                                        "还剩", "剩下", "一共", "总共", "共有", "共需"}) {
    const std::size_t at = lower.rfind(phrase);
    if (at != lower.npos) start = std::max(start, at + phrase.size());
  }
  return start;
}

/// "is correct, since 4 * 20 …" says nothing about what the answer is.
bool tail_names_no_value(std::string_view lower) {
  const std::string_view tail = trim(lower);
  for (const std::string_view word :
       {"consistent", "correct", "right", "wrong", "incorrect", "unknown", "unclear", "found by", "found as",
        "obtained", "calculated by", "given by", "in the", "based on", "the same", "verified"}) {
    if (tail.starts_with(word)) return true;
  }
  return false;
}

/// "20% of $400", "3 times as many", "5 more than before": sets a value beside another.
bool is_relation(std::string_view lower) {
  const std::string_view clause = lower.substr(0, lower.find(','));
  for (const std::string_view word : {" of ", " times ", " more than ", " less than ", " fewer than "}) {
    if (clause.find(word) != clause.npos) return true;
  }
  return false;
}

/// Where the reason begins that follows a value ("42, since each of the 6 boxes = 7"), or what the value is
/// to another ("80, which is 20% of 400"); else the end.
std::size_t reason_begin(std::string_view lower) {
  constexpr std::string_view kWhich = ", which is ";
  const std::size_t reason = std::min({lower.find(" because "), lower.find(" since "), lower.size()});
  const std::size_t which = lower.find(kWhich);
  const std::size_t begin = std::min(reason, which);
  const std::optional<NumberAt> value = find_number(lower, 0, begin);
  if (!value || value->begin != 0) return lower.size();
  if (begin == reason) return begin;
  const bool beside = is_unit(lower.substr(value->end, which - value->end)) &&
                      is_relation(lower.substr(which + kWhich.size()));
  return beside ? which : reason;
}

/// "half", "half an hour", "half of 48", "48的一半": `tail` and where in it other values may follow. Nothing
/// where half is only set beside another value ("half as many, 12").
std::optional<NumberAt> read_half(std::string_view tail, std::string_view lower) {
  std::size_t at = 0;
  for (const std::string_view word : {"exactly ", "only ", "just ", "about ", "a ", "one "}) {
    if (lower.substr(at).starts_with(word)) at += word.size();
  }
  const auto first = find_number(tail, 0, tail.size());
  if (!first && (lower.starts_with("半") || lower.starts_with("一半")))
    return NumberAt{.value = cpp_rational(1, 2), .begin = 0, .end = tail.size()};
  const bool is_half = is_word_at(lower, at, "half");
  if (!first && is_half) {
    const std::string_view rest = trim(lower.substr(at + 4));
    const bool other = rest.starts_with("past") || rest.starts_with("as ") || find_number_in_words(rest);
    const bool dozens = contains_any(rest, {"dozen", "hundred", "thousand", "million"});
    if (other || dozens) return std::nullopt;
    return NumberAt{.value = cpp_rational(1, 2), .begin = 0, .end = tail.size()};
  }
  if (!first) return std::nullopt;
  const std::string_view before = trim(lower.substr(at, first->begin - at));
  const bool of_it = (is_half && (before == "half of" || before == "half of the" || before == "half the")) ||
                     (first->begin == 0 && lower.substr(first->end).starts_with("的一半"));
  if (!of_it) return std::nullopt;
  std::optional<NumberAt> result = find_number(tail, first->end, tail.size());
  if (!result) result = NumberAt{.value = first->value / 2, .begin = 0, .end = tail.size()};
  return result;
}

/// "18 = 12 + 6", "\sqrt{16}": where the tail is nothing but that.
std::optional<NumberAt> read_stated_computation(std::string_view tail, std::size_t start) {
  std::string_view computed = trim(tail.substr(start));
  while (!computed.empty() && std::string_view("$*. ").find(computed.back()) != computed.npos)
    computed.remove_suffix(1);
  while (computed.starts_with("$\\")) computed.remove_prefix(1);
  const auto first = read_number_at(computed, 0);
  if (first && first->end == computed.size()) return std::nullopt;
  const std::optional<cpp_rational> value = read_expression(computed);
  if (!value) return std::nullopt;
  if (has_root(computed)) return NumberAt{.value = *value, .begin = start, .end = tail.size()};
  const auto left = start > 0 && tail[start - 1] == '=' ? read_number_at(tail, 0) : std::nullopt;
  return left && trim(tail.substr(left->end, start - 1 - left->end)).empty() ? left : std::nullopt;
}

/// The value that follows "answer is".
std::optional<NumberAt> read_tail(std::string_view text, std::size_t begin) {
  const auto is_filler = [&](std::size_t at) {
    const char next = at + 1 < text.size() ? text[at + 1] : ' ';
    if (text[at] == '$') return next == '$' || next == '\n';  // a display formula's border, not a currency
    return std::string_view(" \n*_#:>").find(text[at]) != std::string_view::npos;
  };
  while (begin < text.size() && is_filler(begin)) ++begin;
  const std::size_t end = sentence_end(text, begin, kMaxTail);
  std::string_view tail = text.substr(begin, end - begin);
  if (tail.find("\\boxed") != tail.npos) return std::nullopt;  // the box itself is read
  std::string lower = to_lower(tail);
  if (tail_names_no_value(lower)) return std::nullopt;
  tail = tail.substr(0, reason_begin(lower));
  lower.resize(tail.size());
  const std::size_t start = value_start(lower);
  if (auto half = start == 0 ? read_half(tail, lower) : std::nullopt) return half;
  if (auto computed = read_stated_computation(tail, start)) return computed;
  if (has_root(tail.substr(start))) return std::nullopt;
  if (const auto number = find_number(tail, start, tail.size())) return add_smaller_unit(tail, *number);
  return find_number_in_words(tail.substr(start));
}

/// What a box holds.
std::optional<NumberAt> read_box(std::string_view inside) {
  inside = trim(inside);
  const bool apart = inside.starts_with("- ");  // "- 5"
  const std::string joined = apart ? "-" + std::string(trim(inside.substr(1))) : std::string(inside);
  std::optional<NumberAt> number = read_single(joined);
  if (number) return number;
  const std::size_t equals = joined.rfind('=');
  if (const auto large = read_number_at(joined, 0); large && equals == joined.npos) {
    const NumberAt both = add_smaller_unit(joined, *large);
    if (both.group != large->group) return both;
  }
  auto left = equals != joined.npos ? read_number_at(joined, 0) : std::nullopt;
  if (left && trim(std::string_view(joined).substr(left->end, equals - left->end)).empty()) return left;
  const auto value = read_expression(std::string_view(joined).substr(equals == joined.npos ? 0 : equals + 1));
  return value ? std::optional(NumberAt{.value = *value, .begin = 0, .end = joined.size()}) : std::nullopt;
}

std::optional<Found> last_boxed(std::string_view text) {
  std::optional<Found> found;
  for (const Boxed& box : find_boxed(text)) {
    if (found && box.begin < found->pos) continue;
    const std::string_view inside = text.substr(box.begin, box.end - box.begin);
    if (const auto number = read_box(inside)) {
      found = Found{*number, box.begin, "in \\boxed{}"};
    } else if (std::any_of(inside.begin(), inside.end(), is_digit)) {
      found = Found{{}, box.begin, "in \\boxed{}", kNoNumber, std::string(trim(inside))};
    }
  }
  return found;
}

std::optional<Found> last_hashes(std::string_view text) {
  std::size_t marks = 0;
  for (std::size_t at = text.rfind("####"); at != text.npos && marks < kMaxMarks; ++marks) {
    const std::size_t end = std::min({text.find('\n', at), text.size(), at + kMaxTail});
    const std::string_view line = trim(text.substr(at + 4, end - at - 4));
    if (const auto number = read_single(line); number && number->begin < 4) {
      return Found{*number, at, "after ####"};
    }
    at = at == 0 ? text.npos : text.rfind("####", at - 1);
  }
  return std::nullopt;
}

/// The word that follows: "dollars" in "80 dollars or 90 dollars".
std::string_view word_at(std::string_view lower, std::size_t pos) {
  std::size_t begin = std::min(pos, lower.size());
  while (begin < lower.size() && lower[begin] == ' ') ++begin;
  std::size_t end = begin;
  while (end < lower.size() && is_letter(lower[end])) ++end;
  return lower.substr(begin, end - begin);
}

/// "80 or 90", "between 80 and 90", "80-90": two values at once are no answer. "120 minutes or 2 hours" is
/// one, said twice.
bool is_doubtful(std::string_view lower, std::size_t mark, const Number& said) {
  const std::optional<NumberAt> first = find_number(lower, mark, sentence_end(lower, mark, kMaxTail));
  if (!first || !same_number(to_number(*first), said)) return false;
  const bool between = trim(lower.substr(mark, first->begin - mark)).ends_with("between");
  const std::string_view word = between ? "and" : "or";
  const std::string_view unit = word_at(lower, first->end);
  std::size_t digit = first->end + 1;
  const bool range = lower.substr(first->end).starts_with('-');
  if (!range) {
    const std::size_t link = unit == word ? first->end : first->end + unit.size() + 1;
    if (word_at(lower, link) != word) return false;
    digit = lower.find_first_not_of(' ', lower.find(word, link) + word.size());
  }
  const std::optional<NumberAt> second = digit < lower.size() ? read_number_at(lower, digit) : std::nullopt;
  if (!second || same_number(to_number(*second), said)) return false;
  return range || between || unit == word || word_at(lower, second->end) == unit;
}

/// ":30" of a time, ":2" of a ratio; not the ":00" of a full hour.
bool is_pair_at(std::string_view text, std::size_t pos) {
  const std::string_view rest = text.substr(std::min(pos, text.size()));
  return rest.size() > 1 && rest[0] == ':' && is_digit(rest[1]) && skip_full_hour(rest).size() == rest.size();
}

std::optional<Found> last_mark(std::string_view text, const std::string& lower) {
  std::optional<Found> found;
  for (const AnswerMark& mark : find_answer_marks(lower)) {
    const std::size_t end = sentence_end(text, mark.begin, kMaxTail);
    const std::string_view tail = text.substr(mark.begin, end - mark.begin);
    if (const auto number = read_tail(text, mark.begin)) {
      found = Found{*number, mark.pos, "stated as the answer"};
      const auto first = find_number(text, mark.begin, end);
      if (is_doubtful(lower, mark.begin, to_number(*number))) {
        found->unusable = kTwoValues;
        found->said = number->value.str();
      } else if (first && first->value == number->value && is_pair_at(text, first->end)) {
        found->unusable = kNoNumber;
        found->said = trim(tail);
      }
    } else if (has_root(tail) && tail.find("\\boxed") == tail.npos) {
      found = Found{{}, mark.pos, "stated as the answer", kNoNumber, std::string(trim(tail))};
    }
  }
  return found;
}

/// The number that the sentence at `pos` gives and says no more of than its unit: "18 apples", "12 + 6 = 18".
std::optional<NumberAt> read_short_statement(std::string_view text, std::size_t pos) {
  constexpr std::ptrdiff_t kMostSpaces = 2;
  pos = text.find_first_not_of(" ,:.*", pos);
  if (pos == text.npos) return std::nullopt;
  for (const std::string_view word : {"so ", "no, ", "no ", "it's ", "it is ", "that's ", "是", "为"}) {
    if (text.substr(pos).starts_with(word)) pos += word.size();
  }
  const std::size_t end = sentence_end(text, pos, kMaxTail);
  const std::string_view sentence = text.substr(pos, end - pos);
  const auto number = read_single(sentence);
  const std::size_t equals = sentence.rfind('=');
  const std::string_view value = sentence.substr(equals == sentence.npos ? 0 : equals + 1);
  const auto first = find_number(sentence, 0, sentence.size());
  const bool brief = first && first->begin == 0 && std::count(value.begin(), value.end(), ' ') <= kMostSpaces;
  return number && brief ? number : std::nullopt;
}

/// "Wait, it should be 83": a correction after an answer was stated.
std::optional<Found> last_correction(std::string_view text, const std::string& lower, std::size_t after) {
  std::size_t at = lower.npos;
  for (const std::string_view word :
       {"wait", "actually", "correction", "sorry", "oops", "mistake", "hmm", "no,", "更正", "不对", "等等"}) {
    std::size_t last = lower.rfind(word);
    if (last != lower.npos && last > 0 && is_letter(word[0]) && is_letter(lower[last - 1])) last = lower.npos;
    if (last != lower.npos && last > after) at = at == lower.npos ? last : std::min(at, last);
  }
  if (at == lower.npos) return std::nullopt;
  std::optional<Found> found;
  for (const std::string_view phrase : {"should be", "it is", "it's", "must be", "correct value is",
                                        "correct result is", "correct total is", "应该是", "应为"}) {
    const std::size_t last = lower.rfind(phrase);
    if (last == lower.npos || last < at || (found && last < found->pos)) continue;
    if (const auto number = read_tail(text, last + phrase.size())) {
      found = Found{*number, last, "in a later correction"};
    }
  }
  const std::string_view behind = std::string_view(lower).substr(at);
  if (behind.find("check") != behind.npos || behind.find("verif") != behind.npos) return found;
  for (const std::string_view word : {"so", "wait,", "sorry,", "actually,", "no,", "no:", "所以", "因此"}) {
    const std::size_t last = lower.rfind(word);
    if (last == lower.npos || last < at || (last > 0 && is_letter(word[0]) && is_letter(lower[last - 1])))
      continue;
    if (found && last < found->pos) continue;
    if (const auto number = read_short_statement(text, last + word.size())) {
      found = Found{*number, last, "in a later correction"};
    }
  }
  return found;
}

/// The later of two statements.
void keep_later(std::optional<Found>& best, std::optional<Found> other) {
  if (other && (!best || other->pos > best->pos)) best = std::move(other);
}

std::optional<Found> last_bold(std::string_view text) {
  std::optional<Found> found;
  for (std::size_t open = text.find("**"); open != text.npos;) {
    const std::size_t close = text.find("**", open + 2);
    if (close == text.npos) break;
    const std::string_view inside = text.substr(open + 2, close - open - 2);
    const auto number = inside.find('\n') == inside.npos ? read_single(inside) : std::nullopt;
    if (number && number->begin < 4) found = Found{*number, open, "the last bold number"};
    open = text.find("**", close + 2);
  }
  return found;
}

bool is_ordinal(std::string_view text, std::size_t end) {
  for (const std::string_view suffix : {"st", "nd", "rd", "th"}) {
    if (is_word_at(text, end, suffix)) return true;
  }
  return false;
}

/// The words before `pos` in its line.
std::string_view words_before(std::string_view text, std::size_t pos) {
  constexpr std::size_t kMostBytes = 40;
  const std::size_t begin = pos - std::min(pos, kMostBytes);
  const std::string_view before = text.substr(begin, pos - begin);
  return trim(before.substr(before.rfind('\n') + 1));
}

/// "Step 2:", and "2. Add" at the beginning of a line.
bool is_label(std::string_view text, const NumberAt& number) {
  const std::string_view before = words_before(text, number.begin);
  const std::string_view rest = text.substr(number.end);
  if (rest.starts_with(":")) return ends_with_word(before, {"Step", "step"});
  const bool listed = rest.starts_with(". ") || rest.starts_with(") ");
  return before.empty() && listed && !trim(rest.substr(1, rest.find('\n'))).empty();
}

/// "is not 80" says what the result isn't.
bool is_denied(std::string_view text, const NumberAt& number) {
  const std::string_view before = words_before(text, number.begin);
  return ends_with_word(before, {"not"}) || before.ends_with("n't") || before.ends_with("不是");
}

/// The 3 of "\sqrt{3}" and the 2 before it.
bool is_beside_root(std::string_view text, const NumberAt& number) {
  std::string_view before = text.substr(0, number.begin);
  while (!before.empty() && std::string_view(" {(").find(before.back()) != before.npos)
    before.remove_suffix(1);
  const std::string_view behind = trim(text.substr(number.end, 10));
  return before.ends_with("\\sqrt") || before.ends_with("√") || behind.starts_with("\\sqrt") ||
         behind.starts_with("√") || behind.starts_with("\\pi") || behind.starts_with("π");
}

/// The last number of text[begin, end) that may be a result.
std::optional<NumberAt> last_number(std::string_view text, std::size_t begin, std::size_t end) {
  std::optional<NumberAt> last;
  for (auto number = find_number(text, begin, end); number; number = find_number(text, number->end, end)) {
    const bool passed_over = is_ordinal(text, number->end) || is_label(text, *number) ||
                             is_denied(text, *number) || is_beside_root(text, *number);
    if (!passed_over) last = number;
  }
  return last;
}

/// What the last "=" of text[begin, end) leads to: 15 in "9 + 6 = 15 of the 24 liters". Nothing for a
/// computation.
std::optional<NumberAt> right_of_equals(std::string_view text, std::size_t begin, std::size_t end) {
  const std::string_view sentence = text.substr(0, end);
  const std::size_t equals = sentence.rfind('=');
  if (equals == text.npos || equals < begin) return std::nullopt;
  const std::size_t start = sentence.find_first_not_of(" *_", equals + 1);
  if (start == text.npos) return std::nullopt;
  std::optional<NumberAt> number = read_number_at(sentence, start);
  const std::string_view rest = number ? trim(sentence.substr(number->end)) : std::string_view();
  const bool goes_on = !rest.empty() && std::string_view("+-/").find(rest[0]) != std::string_view::npos;
  const bool multiplies = rest.starts_with("* ") || rest.starts_with("x ") ||
                          (rest.size() > 1 && rest[0] == '*' && is_digit(rest[1]));
  return goes_on || multiplies ? std::nullopt : number;
}

bool is_money(std::string_view text, const NumberAt& number) {
  return text[number.begin] == '$' || trim(text.substr(number.end, 10)).starts_with("dollar");
}

/// "9 out of 24": the second number is the whole, not the result.
bool is_whole(std::string_view text, const NumberAt& number) {
  const std::string_view before = words_before(text, number.begin);
  return ends_with_word(before, {"out of", "out of the"});
}

/// "for 16 glasses", "in 3 days": says for how many or when, not what.
bool is_circumstance(std::string_view text, const NumberAt& number) {
  const std::string_view before = words_before(text, number.begin);
  for (const std::string_view word : {"for", "in", "on", "after", "per", "over", "within"}) {
    if (ends_with_word(before, {word})) return true;
  }
  return false;
}

/// "12 (3 x 4) chairs": what stands in brackets explains.
bool is_bracketed(std::string_view sentence) {
  return std::count(sentence.begin(), sentence.end(), '(') >
         std::count(sentence.begin(), sentence.end(), ')');
}

/// The numbers that a question names, in digits and in words.
using GivenNumbers = std::set<cpp_rational>;

GivenNumbers given_numbers(std::string_view question) {
  GivenNumbers given;
  const std::string text = normalize_answer(question);
  for (auto number = find_number(text, 0, text.size()); number;
       number = find_number(text, number->end, text.size())) {
    given.insert(number->value);
  }
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find_first_of(" \n", begin), text.size());
    const auto number = find_number_in_words(std::string_view(text).substr(begin, end - begin));
    if (number) given.insert(number->value);
    begin = end + 1;
  }
  return given;
}

/// Whether nothing is said between two numbers but what the first is for: "apples after" in "30 apples after
/// 5 days".
bool is_phrase(std::string_view between) {
  return !contains_any(between, {"is", "are", "equals", "leaves", "because", "so", "and", "minus", "plus"}) &&
         between.find_first_of(",;:+*/=<>()") == between.npos;
}

/// In "he has 30 apples after 5 days" the 30, where the question names the 5 and not the 30.
std::optional<NumberAt> result_before_given(std::string_view text, std::size_t begin, const NumberAt& last,
                                            const GivenNumbers& given) {
  const std::optional<NumberAt> before = last_number(text, begin, last.begin);
  if (!before || !given.contains(last.value) || given.contains(before->value)) return std::nullopt;
  if (is_circumstance(text, *before)) return std::nullopt;
  return is_phrase(text.substr(before->end, last.begin - before->end)) ? before : std::nullopt;
}

/// What the sentence text[begin, end) gives as its result: what it computes, an amount of money before a
/// circumstance ("$64 for 16 glasses"), else its last number.
std::optional<NumberAt> result_of_sentence(std::string_view text, std::size_t begin, std::size_t end,
                                           const GivenNumbers& given) {
  if (auto computed = right_of_equals(text, begin, end)) return computed;
  std::optional<NumberAt> last = last_number(text, begin, end);
  if (last && is_bracketed(text.substr(begin, last->begin - begin))) {
    const std::size_t bracket = text.rfind('(', last->begin);
    const auto outside = bracket < begin ? std::nullopt : last_number(text, begin, bracket);
    if (outside) last = outside;
  }
  if (!last) return last;
  if (is_whole(text, *last)) {
    const std::optional<NumberAt> part = last_number(text, begin, last->begin);
    return part ? part : last;
  }
  if (auto result = result_before_given(text, begin, *last, given)) return result;
  if (is_money(text, *last) || !is_circumstance(text, *last)) return last;
  const std::optional<NumberAt> before = last_number(text, begin, last->begin);
  return before && is_money(text, *before) ? before : last;
}

/// Where the sentence begins that `pos` is in, at most kMaxTail bytes back.
std::size_t sentence_begin(std::string_view text, std::size_t pos) {
  const std::size_t stop = pos - std::min(pos, kMaxTail);
  std::size_t begin = pos;
  while (begin > stop) {
    const char c = text[begin - 1];
    if (c == '\n' || c == '!' || c == '?' || c == ';' || (c == '.' && text[begin] == ' ')) break;
    --begin;
  }
  return begin;
}

/// "**14** pens is the answer": the value stands before the mark.
std::optional<Found> last_named(std::string_view text, std::string_view lower) {
  std::optional<Found> found;
  for (const std::string_view phrase : {" is the answer", " is the final answer", " is the correct answer"}) {
    const std::size_t at = lower.rfind(phrase);
    if (at == lower.npos || (found && at < found->pos)) continue;
    const std::optional<NumberAt> number = last_number(text, sentence_begin(text, at), at);
    if (!number) continue;
    const std::string_view between = trim(lower.substr(number->end, at - number->end));
    if (between.find_first_of(" ,:=+/<>") == between.npos) found = Found{*number, at, "named as the answer"};
  }
  return found;
}

/// The result of the last sentence that holds a number.
std::optional<NumberAt> last_result(std::string_view text, const GivenNumbers& given) {
  const std::optional<NumberAt> last = last_number(text, 0, text.size());
  if (!last) return std::nullopt;
  const std::size_t begin = sentence_begin(text, last->begin);
  return result_of_sentence(text, begin, sentence_end(text, last->end, kMaxTail), given);
}

/// What the last sentence computes where it stands behind the conclusion at `after`: "So she earns $4 more.
/// In both years it is $4 + $8 = $12."
std::optional<Found> later_result(std::string_view text, std::string_view lower, std::size_t after) {
  const std::optional<NumberAt> last = last_number(text, 0, text.size());
  if (!last) return std::nullopt;
  const std::size_t begin = sentence_begin(text, last->begin);
  const bool checks =
      lower.find("verif", after) != lower.npos || contains_any(lower.substr(after), {"check"});
  if (begin <= after || checks) return std::nullopt;
  const std::optional<NumberAt> number =
      right_of_equals(text, begin, sentence_end(text, last->end, kMaxTail));
  return number ? std::optional(Found{*number, begin, "the result of the last computation"}) : std::nullopt;
}

/// The number in words in the last sentence; "one" alone seldom counts.
std::optional<NumberAt> last_number_in_words(std::string_view text) {
  std::string_view last = trim(text);
  while (!last.empty() && std::string_view(".!?;").find(last.back()) != std::string_view::npos) {
    last = trim(last.substr(0, last.size() - 1));
  }
  if (last.empty()) return std::nullopt;
  const std::optional<NumberAt> number =
      find_number_in_words(last.substr(sentence_begin(last, last.size() - 1)));
  const bool is_half = number && number->value == cpp_rational(1, 2) && last.find("一半") != last.npos;
  return number && number->value != 1 && !is_half ? number : std::nullopt;
}

/// The last number of the last sentence that begins "So", "Therefore", "总共" … .
std::optional<Found> last_conclusion(std::string_view text, const std::string& lower,
                                     const GivenNumbers& given) {
  std::optional<Found> found;
  for (const std::string_view word :
       {"therefore", "thus", "so", "hence", "in total", "altogether", "in conclusion", "finally",
        "the total is", "the result is", "因此", "所以", "综上", "总共", "一共", "共有"}) {
    std::size_t at = lower.rfind(word);
    for (std::size_t tries = 0; at != lower.npos && tries < kMaxMarks && !(found && at < found->pos);
         ++tries) {
      if (!is_letter(word[0]) || is_word_at(lower, at, word)) {
        const auto number = result_of_sentence(text, at, sentence_end(text, at, kMaxTail), given);
        if (number) found = Found{*number, at, std::string(kConclusion)};
      }
      at = at == 0 ? lower.npos : lower.rfind(word, at - 1);
    }
  }
  return found;
}

/// Whether the text stops in the middle of a computation or a phrase.
bool breaks_off(std::string_view text) {
  const std::string_view end = trim(text);
  if (end.empty()) return false;
  if (std::string_view("=+*/-(:,{").find(end.back()) != std::string_view::npos) {
    return !end.ends_with("**");
  }
  return end.ends_with("\\boxed");
}

/// The text without the questions that it ends with: "Shall I explain step 2?"
std::string_view without_last_questions(std::string_view text) {
  for (std::string_view rest = trim(text); rest.ends_with('?'); rest = trim(rest)) {
    rest = rest.substr(0, rest.find_last_not_of("? ") + 1);
    rest = rest.substr(0, rest.empty() ? 0 : sentence_begin(rest, rest.size() - 1));
    if (!find_number(rest, 0, rest.size())) break;
    text = rest;
  }
  return text;
}

/// The text without GSM8K's "<<4*26=104>>", which repeat the computation that they stand in.
std::string remove_calculations(std::string_view text) {
  std::string kept;
  for (std::size_t open = text.find("<<"); open != text.npos; open = text.find("<<")) {
    const std::size_t close = text.find_first_not_of("0123456789.,+-*/()= %$", open + 2);
    const bool repeats = close != text.npos && text.substr(close).starts_with(">>") &&
                         text.substr(open, close - open).find('=') != text.npos;
    kept += text.substr(0, repeats ? open : open + 2);
    text.remove_prefix(repeats ? close + 2 : open + 2);
  }
  return kept.append(text);
}

NumberAnswer to_number_answer(const Found& found) {
  if (!found.unusable.empty()) return {std::nullopt, found.said, std::string(found.unusable)};
  return {to_number(found.number), found.number.value.str(), found.why};
}

NumberAnswer read_number_answer(std::string_view answer, std::string_view question) {
  const std::string text = normalize_answer(remove_calculations(answer));
  const std::string lower = to_lower(text);
  if (trim(text).empty()) return {std::nullopt, "", "nothing was written outside the thinking"};
  std::optional<Found> best = last_boxed(text);
  keep_later(best, last_hashes(text));
  keep_later(best, last_mark(text, lower));
  keep_later(best, last_named(text, lower));
  if (best) keep_later(best, last_correction(text, lower, best->pos));
  if (best) return to_number_answer(*best);
  const std::string_view line = trim(text);
  const bool one_line = line.find('\n') == line.npos;
  // "She has 18. To verify: 18 - 12 = 6." is more than a computation.
  const bool one_sentence =
      sentence_end(line, 0, line.size()) + 1 >= line.size() || line.find('=') == line.npos;
  const bool plain = one_line ? one_sentence : line.find('=') == line.npos && !last_bold(text);
  if (const auto whole = read_single(line); plain && whole && line.size() < kMaxTail && whole->begin < 4) {
    NumberAnswer number = to_number_answer({*whole, 0, "the whole answer is a number"});
    number.guessed = !one_line;
    return number;
  }
  if (is_refusal(lower)) return {std::nullopt, "", "the text says that it cannot answer"};
  if (breaks_off(text)) return {std::nullopt, "", "the text breaks off before it states an answer"};
  const std::string_view told = without_last_questions(text);
  const std::string told_lower =
      lower.substr(static_cast<std::size_t>(told.data() - text.data()), told.size());
  keep_later(best, last_bold(told));
  const GivenNumbers given = given_numbers(question);
  keep_later(best, last_conclusion(told, told_lower, given));
  if (best && best->why == kConclusion) keep_later(best, later_result(told, told_lower, best->pos));
  if (const auto number = best ? std::nullopt : last_result(told, given)) {
    best = Found{*number, number->begin, "the last number in the text"};
  }
  if (const auto number = best ? std::nullopt : last_number_in_words(text)) {
    best = Found{*number, number->begin, "a number in words in the last sentence"};
  }
  if (!best) return {std::nullopt, "", "no number was found"};
  NumberAnswer guess = to_number_answer(*best);
  guess.guessed = true;
  return guess;
}

}  // namespace

std::optional<Number> parse_number(std::string_view text) {
  const std::string normal = normalize_answer(text);
  const std::optional<NumberAt> number = read_single(trim(normal));
  return number ? std::optional(to_number(*number)) : std::nullopt;
}

NumberAnswer extract_number(std::string_view answer, std::string_view question) {
  const std::string_view first = before_next_question(answer);
  NumberAnswer stated = read_number_answer(first, question);
  const bool is_stated = !stated.guessed && stated.number;
  return is_stated || first.size() == answer.size() ? stated : read_number_answer(answer, question);
}

bool same_number(const Number& said, const Number& expected) {
  if (said.value == expected.value) return true;
  if (said.group != expected.group) {
    const auto in_groups = [](const Number& number) {
      return cpp_rational(cpp_rational(number.value) / number.group);
    };
    return (said.group > 1 && in_groups(said) == cpp_rational(expected.value)) ||
           (expected.group > 1 && in_groups(expected) == cpp_rational(said.value));
  }
  if (said.percent == expected.percent) return false;
  const auto as_fraction = [](const Number& number) {
    const cpp_rational value(number.value);
    return number.percent ? cpp_rational(value / 100) : value;
  };
  return as_fraction(said) == as_fraction(expected);
}

}  // namespace touchstone
