#include "answers/number_reader.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <tuple>
#include <utility>

#include "answers/extract_text.h"

namespace touchstone {
namespace {

using boost::multiprecision::cpp_int;
using boost::multiprecision::cpp_rational;

// Nobody answers with more digits; more would only cost time.
constexpr std::size_t kMaxDigits = 400;
constexpr int kMaxExponent = 400;
constexpr std::string_view kAndAHalf = "and a half";
constexpr int kDozen = 12;

struct Cursor {
  std::string_view text;
  std::size_t pos = 0;

  char peek(std::size_t ahead = 0) const { return pos + ahead < text.size() ? text[pos + ahead] : '\0'; }
  bool take(std::string_view word) {
    if (!text.substr(pos).starts_with(word)) return false;
    pos += word.size();
    return true;
  }
  void skip_spaces() {
    while (peek() == ' ') ++pos;
  }
};

bool three_digits_at(const Cursor& at, std::size_t ahead) {
  return is_digit(at.peek(ahead)) && is_digit(at.peek(ahead + 1)) && is_digit(at.peek(ahead + 2)) &&
         !is_digit(at.peek(ahead + 3));
}

/// Where the groups of 1,00,000 end that begin at the cursor's comma; the cursor's own place for others.
std::size_t indian_groups_end(const Cursor& at) {
  std::size_t ahead = 0;
  while (at.peek(ahead) == ',' && is_digit(at.peek(ahead + 1)) && is_digit(at.peek(ahead + 2)) &&
         at.peek(ahead + 3) == ',') {
    ahead += 3;
  }
  return ahead > 0 && three_digits_at(at, ahead + 1) ? at.pos + ahead + 4 : at.pos;
}

/// Digits, in groups or plain. Empty when there are none or too many.
std::string read_digits(Cursor& at) {
  std::string digits;
  while (is_digit(at.peek())) digits += at.text[at.pos++];
  if (!digits.empty() && digits.size() <= 2 && digits[0] != '0') {
    for (const std::size_t end = indian_groups_end(at); at.pos < end; ++at.pos) {
      if (at.peek() != ',') digits += at.peek();
    }
  }
  if (!digits.empty() && digits.size() <= 3 && digits[0] != '0') {
    const char separator = at.peek();
    const bool groups = separator == ',' || separator == ' ' || separator == '\'' || separator == '_';
    while (groups && at.peek() == separator && three_digits_at(at, 1)) {
      ++at.pos;
      digits += at.text.substr(at.pos, 3);
      at.pos += 3;
    }
  }
  return digits.size() <= kMaxDigits ? digits : "";
}

cpp_int to_int(const std::string& digits) {
  const std::size_t first = digits.find_first_not_of('0');  // a leading 0 would mean octal
  return first == digits.npos ? cpp_int(0) : cpp_int(digits.substr(first));
}

cpp_int power_of_ten(std::size_t exponent) {
  return boost::multiprecision::pow(cpp_int(10), static_cast<unsigned>(exponent));
}

/// 12, 1,234.50, .5
std::optional<cpp_rational> read_decimal(Cursor& at) {
  const std::size_t start = at.pos;
  std::string digits = read_digits(at);
  std::size_t decimals = 0;
  if (at.peek() == '.' && is_digit(at.peek(1))) {
    ++at.pos;
    while (is_digit(at.peek())) {
      digits += at.text[at.pos++];
      ++decimals;
    }
  }
  if (digits.empty() || digits.size() > kMaxDigits) {
    at.pos = start;
    return std::nullopt;
  }
  return cpp_rational(to_int(digits), power_of_ten(decimals));
}

/// The contents of `{…}` as one decimal, or one digit where LaTeX needs no braces.
std::optional<cpp_rational> read_argument(Cursor& at) {
  at.skip_spaces();
  if (is_digit(at.peek())) return cpp_rational(cpp_int(at.text[at.pos++] - '0'));
  if (!at.take("{")) return std::nullopt;
  at.skip_spaces();
  const bool negative = at.take("-");
  std::optional<cpp_rational> value = read_decimal(at);
  at.skip_spaces();
  if (!value || !at.take("}")) return std::nullopt;
  return negative ? cpp_rational(-*value) : *value;
}

/// \frac{a}{b}
std::optional<cpp_rational> read_latex_fraction(Cursor& at) {
  const std::size_t start = at.pos;
  if (at.take("\\frac")) {
    const std::optional<cpp_rational> over = read_argument(at);
    const std::optional<cpp_rational> under = over ? read_argument(at) : std::nullopt;
    if (under && *under != 0) return *over / *under;
  }
  at.pos = start;
  return std::nullopt;
}

/// "/4" after a number, when what follows is not another unit or a date.
std::optional<cpp_rational> read_denominator(Cursor& at) {
  const std::size_t start = at.pos;
  if (at.peek() == ' ' && at.peek(1) == '/') ++at.pos;
  if (at.take("/")) {
    at.skip_spaces();
    std::optional<cpp_rational> under = read_decimal(at);
    if (under && *under != 0 && at.peek() != '/') return under;
  }
  at.pos = start;
  return std::nullopt;
}

/// The fraction of a mixed number: "1 1/2", "1\frac{1}{2}", "1 and a half".
std::optional<cpp_rational> read_mixed_part(Cursor& at) {
  const std::size_t start = at.pos;
  at.skip_spaces();
  if (std::optional<cpp_rational> part = read_latex_fraction(at)) return part;
  if (at.pos > start && is_digit(at.peek())) {
    const std::optional<cpp_rational> over = read_decimal(at);
    const std::optional<cpp_rational> under = over ? read_denominator(at) : std::nullopt;
    if (under && *over < *under) return *over / *under;
  }
  if (is_word_at(at.text, at.pos, kAndAHalf)) {
    at.pos += kAndAHalf.size();
    return cpp_rational(1, 2);
  }
  if (at.take("个半")) return cpp_rational(1, 2);
  at.pos = start;
  return std::nullopt;
}

std::optional<int> read_small_int(Cursor& at) {
  const std::size_t start = at.pos;
  const bool braced = at.take("{");
  const bool negative = at.take("-");
  int value = 0;
  std::size_t digits = 0;
  while (is_digit(at.peek()) && digits < 4) {
    value = value * 10 + (at.text[at.pos++] - '0');
    ++digits;
  }
  if (digits == 0 || value > kMaxExponent || (braced && !at.take("}"))) {
    at.pos = start;
    return std::nullopt;
  }
  return negative ? -value : value;
}

cpp_rational scale_by_ten(const cpp_rational& value, int exponent) {
  if (exponent >= 0) return value * power_of_ten(static_cast<std::size_t>(exponent));
  return value / power_of_ten(static_cast<std::size_t>(-exponent));
}

/// "e3", "*10^3", "^3" after a number.
void read_exponent(Cursor& at, cpp_rational& value) {
  const std::size_t start = at.pos;
  if ((at.take("e") || at.take("E")) && (at.take("+") || true)) {
    if (const auto exponent = read_small_int(at); exponent && !is_letter(at.peek())) {
      value = scale_by_ten(value, *exponent);
      return;
    }
  }
  at.pos = start;
  at.skip_spaces();
  if (at.take("*")) {
    at.skip_spaces();
    if (at.take("10^")) {
      if (const auto exponent = read_small_int(at)) {
        value = scale_by_ten(value, *exponent);
        return;
      }
    }
  }
  at.pos = start;
  if (at.take("^")) {
    const auto exponent = read_small_int(at);
    if (exponent && value != 0 && denominator(value) == 1 && numerator(value) <= 1000) {
      const cpp_int power =
          boost::multiprecision::pow(cpp_int(numerator(value)), static_cast<unsigned>(std::abs(*exponent)));
      value = *exponent < 0 ? cpp_rational(1, power) : cpp_rational(power);
      return;
    }
  }
  at.pos = start;
}

/// "dozen" after a number.
bool take_dozens(Cursor& at) {
  const std::size_t start = at.pos;
  at.skip_spaces();
  for (const std::string_view word : {"dozen", "dozens"}) {
    if (!is_word_at(at.text, at.pos, word)) continue;
    at.pos += word.size();
    return true;
  }
  at.pos = start;
  return false;
}

/// The power of ten of 百, 千, 万, 亿 or what they make together, as 百万; 0 where there is none.
int take_han_scale(Cursor& at) {
  constexpr std::array<std::pair<std::string_view, int>, 4> kHan = {
      {{"百", 2}, {"千", 3}, {"万", 4}, {"亿", 8}}};
  constexpr int kMost = 12;
  int exponent = 0;
  for (bool more = true; more;) {
    more = false;
    for (const auto& [han, power] : kHan) {
      const std::string_view unit = at.text.substr(std::min(at.pos + han.size(), at.text.size()));
      const bool metric = han == "千" && (unit.starts_with("克") || unit.starts_with("米"));
      if (metric || exponent + power > kMost || !at.take(han)) continue;
      exponent += power;
      more = true;
    }
  }
  return exponent;
}

/// The 2千 of 1万2千, where `exponent` is that of what stands before; it becomes 2千's.
std::optional<cpp_rational> take_smaller_han(Cursor& at, int& exponent) {
  const std::size_t start = at.pos;
  const std::optional<cpp_rational> value = read_decimal(at);
  const int own = value ? take_han_scale(at) : 0;
  if (own == 0 || own >= exponent) {
    at.pos = start;
    return std::nullopt;
  }
  exponent = own;
  return scale_by_ten(*value, own);
}

/// "million", "k", 万 after a number.
void read_scale(Cursor& at, cpp_rational& value, bool currency) {
  constexpr std::array<std::pair<std::string_view, int>, 5> kWords = {
      {{"hundred", 2}, {"thousand", 3}, {"million", 6}, {"billion", 9}, {"trillion", 12}}};
  const std::size_t start = at.pos;
  at.skip_spaces();
  const std::string lower = to_lower(at.text.substr(at.pos, 8));
  for (const auto& [word, exponent] : kWords) {
    if (!is_word_at(lower, 0, word)) continue;
    at.pos += word.size();
    value = scale_by_ten(value, exponent);
    return;
  }
  if (int exponent = take_han_scale(at); exponent > 0) {
    value = scale_by_ten(value, exponent);
    while (const std::optional<cpp_rational> more = take_smaller_han(at, exponent)) value += *more;
    return;
  }
  at.pos = start;
  if (!currency || is_letter(at.peek(1))) return;
  constexpr std::array<std::pair<char, int>, 4> kLetters = {{{'k', 3}, {'K', 3}, {'M', 6}, {'B', 9}}};
  for (const auto& [letter, exponent] : kLetters) {
    if (at.peek() != letter) continue;
    ++at.pos;
    value = scale_by_ten(value, exponent);
    return;
  }
}

bool take_percent(Cursor& at) {
  const std::size_t start = at.pos;
  at.skip_spaces();
  if (at.take("%") || at.take("percent") || at.take("per cent")) return true;
  at.pos = start;
  return false;
}

bool take_currency(Cursor& at) {
  for (const std::string_view symbol : {"US$", "$", "€", "£", "¥", "₹", "USD", "RMB", "CNY"}) {
    if (at.take(symbol)) {
      at.skip_spaces();
      return true;
    }
  }
  return false;
}

/// Whether "minus", "negative" or 负 stands before `pos`; `begin` is moved to it.
bool negated_in_words(std::string_view text, std::size_t pos, std::size_t& begin) {
  std::string_view before = text.substr(0, pos);
  while (before.ends_with(' ') || before.ends_with('$')) before.remove_suffix(1);
  for (const std::string_view word : {"negative", "minus", "Negative", "Minus", "负"}) {
    if (!before.ends_with(word)) continue;
    begin = before.size() - word.size();
    return begin == 0 || !is_letter(text[begin - 1]);
  }
  return false;
}

/// Whether `pos` is in the exponent or index of a symbol: the 2 of "cm^2", "s^{-2}" and "x_{2}".
bool is_exponent(std::string_view text, std::size_t pos) {
  std::string_view before = text.substr(0, pos);
  if (before.ends_with('-')) before.remove_suffix(1);
  if (before.ends_with('{')) before.remove_suffix(1);
  return before.ends_with('^') || before.ends_with('_');
}

}  // namespace

std::optional<NumberAt> read_number_at(std::string_view text, std::size_t pos) {
  Cursor at{text, pos};
  NumberAt number;
  number.begin = pos;
  bool currency = take_currency(at);
  const bool negative = at.take("-");
  if (!negative) at.take("+");
  currency = take_currency(at) || currency;
  std::optional<cpp_rational> value = read_latex_fraction(at);
  if (!value) {
    value = read_decimal(at);
    if (!value) return std::nullopt;
    if (const std::optional<cpp_rational> part = read_mixed_part(at)) {
      value = *value + *part;
    } else if (const std::optional<cpp_rational> under = read_denominator(at)) {
      value = *value / *under;
    } else {
      read_exponent(at, *value);
    }
  }
  read_scale(at, *value, currency);
  if (take_dozens(at)) {
    number.group = kDozen;
    value = *value * kDozen;
  }
  number.percent = take_percent(at);
  number.end = at.pos;
  const bool negative_word = !negative && negated_in_words(text, pos, number.begin);
  number.value = negative || negative_word ? cpp_rational(-*value) : *value;
  return number;
}

NumberAt add_smaller_unit(std::string_view text, const NumberAt& number) {
  struct Units {
    std::string_view large, small;
    int group;
  };
  constexpr std::array<Units, 8> kUnits = {{{"hour", "minute", 60},
                                            {"minute", "second", 60},
                                            {"day", "hour", 24},
                                            {"week", "day", 7},
                                            {"year", "month", 12},
                                            {"feet", "inch", 12},
                                            {"foot", "inch", 12},
                                            {"dollar", "cent", 100}}};
  constexpr std::array<Units, 2> kHan = {{{"小时", "分", 60}, {"分钟", "秒", 60}}};
  const auto read = [&](const Units& units, std::size_t pos, bool han) -> std::optional<NumberAt> {
    Cursor at{text, pos};
    while (!han && is_letter(at.peek())) ++at.pos;  // "s"
    at.skip_spaces();
    if (at.take(",")) at.skip_spaces();
    if (at.take("and ") || at.take("又")) at.skip_spaces();
    const std::optional<NumberAt> small = is_digit(at.peek()) ? read_number_at(text, at.pos) : std::nullopt;
    if (!small || small->value >= units.group || small->percent || small->group != 1) return std::nullopt;
    at.pos = small->end;
    at.skip_spaces();
    if (!at.take(units.small)) return std::nullopt;
    return NumberAt{.value = number.value * units.group + small->value,
                    .begin = number.begin,
                    .end = at.pos,
                    .group = units.group};
  };
  if (number.percent || number.group != 1 || number.value < 0) return number;
  Cursor at{text, number.end};
  at.skip_spaces();
  const bool dollars = number.begin < text.size() && text[number.begin] == '$';
  if (dollars) {
    if (const auto both = read(kUnits.back(), at.pos, true)) return *both;
  }
  for (const Units& units : kUnits) {
    if (!text.substr(at.pos).starts_with(units.large)) continue;
    if (const auto both = read(units, at.pos + units.large.size(), false)) return *both;
  }
  for (const Units& units : kHan) {
    if (!text.substr(at.pos).starts_with(units.large)) continue;
    if (const auto both = read(units, at.pos + units.large.size(), true)) return *both;
  }
  return number;
}

std::optional<NumberAt> find_number(std::string_view text, std::size_t pos, std::size_t end) {
  text = text.substr(0, end);
  for (std::size_t i = pos; i < text.size(); ++i) {
    const char before = i > 0 ? text[i - 1] : ' ';
    // "x2", "v1.2" and the tail of another number are not numbers of their own.
    if (is_letter(before) || is_digit(before) || is_exponent(text, i) ||
        (before == '.' && i > 1 && is_digit(text[i - 2]))) {
      continue;
    }
    const bool sign = text[i] == '-' || text[i] == '+';
    if (sign) {
      // "5 - 3" subtracts, "- 3" is a list's dash.
      std::string_view left = trim(text.substr(0, i));
      if (!left.empty() && (is_digit(left.back()) || left.back() == ')' || left.back() == '%')) continue;
      if (i + 1 < text.size() && text[i + 1] == ' ') continue;
    }
    if (std::optional<NumberAt> number = read_number_at(text, i)) return number;
  }
  return std::nullopt;
}

namespace {

constexpr std::array<std::string_view, 28> kEnglish = {
    "zero",     "one",     "two",     "three",     "four",     "five",     "six",
    "seven",    "eight",   "nine",    "ten",       "eleven",   "twelve",   "thirteen",
    "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen", "twenty",
    "thirty",   "forty",   "fifty",   "sixty",     "seventy",  "eighty",   "ninety"};

std::optional<int> english_value(std::string_view word) {
  for (std::size_t i = 0; i < kEnglish.size(); ++i) {
    if (word == kEnglish[i]) return static_cast<int>(i <= 20 ? i : (i - 18) * 10);
  }
  return std::nullopt;
}

/// "half", "quarters": what `count` of them say. Nothing for "one thirds" and "two third".
std::optional<cpp_rational> fraction_of(long long count, std::string_view word) {
  constexpr std::array<std::tuple<std::string_view, std::string_view, int>, 6> kParts = {
      {{"half", "halves", 2},
       {"third", "thirds", 3},
       {"quarter", "quarters", 4},
       {"fourth", "fourths", 4},
       {"fifth", "fifths", 5},
       {"tenth", "tenths", 10}}};
  for (const auto& [one, many, part] : kParts) {
    if (word == (count == 1 ? one : many)) return cpp_rational(count, part);
  }
  return std::nullopt;
}

struct WordSum {
  long long total = 0;
  long long part = 0;
  bool any = false;
  bool dozens = false;
  bool halved = false;
  /// "a dozen" is one dozen, and `half` of it may be meant.
  void begin_with(std::string_view word, bool half) {
    any = word == "hundred" || word == "thousand" || word == "million" || word == "dozen";
    part = any ? 1 : 0;
    halved = any && half;
  }
  cpp_rational value() const { return cpp_rational(total + part, halved ? 2 : 1); }
  /// Whether `word` continues the number.
  bool add(std::string_view word) {
    if (dozens) return false;
    if (const auto value = english_value(word)) {
      part += *value;
      return any = true;
    }
    if (!any || total > 1'000'000'000'000 || part > 1'000'000'000) return false;
    if (word == "hundred") {
      part *= 100;
    } else if (word == "dozen" || word == "dozens") {
      part *= kDozen;
      dozens = true;
    } else if (word == "thousand" || word == "million") {
      total += part * (word == "thousand" ? 1000 : 1'000'000);
      part = 0;
    } else {
      return word == "and";
    }
    return true;
  }
};

std::optional<NumberAt> find_english(std::string_view lower) {
  std::optional<NumberAt> last;
  WordSum sum;
  std::size_t begin = 0;
  std::size_t end = 0;
  const auto keep = [&](const cpp_rational& value) {
    NumberAt number{.value = value, .begin = begin, .end = end, .group = sum.dozens ? kDozen : 1};
    const bool follows = last && trim(lower.substr(last->end, begin - last->end)) == "minus";  // subtracts
    if (!follows && negated_in_words(lower, begin, number.begin)) number.value = -value;
    last = number;
  };
  const auto finish = [&] {
    if (sum.any) keep(sum.value());
    sum = {};
  };
  for (std::size_t i = 0; i < lower.size();) {
    if (!is_letter(lower[i])) {
      if (lower[i] != ' ' && lower[i] != '-') finish();
      ++i;
      continue;
    }
    std::size_t stop = i;
    while (stop < lower.size() && is_letter(lower[stop])) ++stop;
    const std::string_view word = lower.substr(i, stop - i);
    if (const auto part = sum.any && sum.total == 0 ? fraction_of(sum.part, word) : std::nullopt) {
      end = stop;
      keep(*part);
      sum = {};
      i = stop;
      continue;
    }
    if (sum.any && is_word_at(lower, i, kAndAHalf)) {
      end = stop = i + kAndAHalf.size();
      keep(sum.value() + cpp_rational(1, 2));
      sum = {};
      i = stop;
      continue;
    }
    if (word == "of" && sum.any && sum.total + sum.part == 1) sum = {};  // "one of the"
    if (!sum.any) {
      begin = i;
      const std::string_view before = trim(lower.substr(0, i));
      if (ends_with_word(before, {"a"})) sum.begin_with(word, ends_with_word(before, {"half a"}));
    }
    if (!sum.add(word)) {
      finish();
    } else if (word != "and") {
      end = stop;
    }
    i = stop;
  }
  finish();
  return last;
}

constexpr std::array<std::pair<std::string_view, int>, 12> kChineseDigits = {{{"零", 0},
                                                                              {"〇", 0},
                                                                              {"一", 1},
                                                                              {"二", 2},
                                                                              {"两", 2},
                                                                              {"三", 3},
                                                                              {"四", 4},
                                                                              {"五", 5},
                                                                              {"六", 6},
                                                                              {"七", 7},
                                                                              {"八", 8},
                                                                              {"九", 9}}};
constexpr std::array<std::pair<std::string_view, long long>, 5> kChineseUnits = {
    {{"十", 10}, {"百", 100}, {"千", 1000}, {"万", 10'000}, {"亿", 100'000'000}}};
constexpr std::size_t kHanBytes = 3;
constexpr std::size_t kMaxHan = 24;  // characters of one written number

/// The value of a run of Chinese numerals. Digits in a row ("一八") are not a number.
std::optional<long long> chinese_value(std::string_view run) {
  if (run.empty() || run.size() > kMaxHan * kHanBytes) return std::nullopt;
  long long total = 0;
  long long section = 0;
  long long digit = -1;
  for (; !run.empty(); run.remove_prefix(kHanBytes)) {
    const std::string_view han = run.substr(0, kHanBytes);
    for (const auto& [name, value] : kChineseDigits) {
      if (han != name) continue;
      if (digit > 0) return std::nullopt;
      digit = value;
    }
    for (const auto& [name, unit] : kChineseUnits) {
      if (han != name) continue;
      const long long count = digit < 0 ? (section == 0 && unit < 10'000 ? 1 : 0) : digit;
      if (unit < 10'000) {
        section += count * unit;
      } else {
        if (total + section > 10'000'000'000) return std::nullopt;
        total = (total + section + (digit < 0 ? 0 : digit)) * unit;
        section = 0;
      }
      digit = -1;
    }
  }
  return total + section + (digit < 0 ? 0 : digit);
}

bool is_chinese_numeral(std::string_view han) {
  for (const auto& [name, value] : kChineseDigits) {
    if (han == name) return true;
  }
  for (const auto& [name, value] : kChineseUnits) {
    if (han == name) return true;
  }
  return false;
}

/// The end of the run of Chinese numerals that begins at `pos`.
std::size_t numerals_end(std::string_view text, std::size_t pos) {
  while (pos + kHanBytes <= text.size() && is_chinese_numeral(text.substr(pos, kHanBytes))) pos += kHanBytes;
  return pos;
}

/// 三分之二, 百分之五, whose lower part is text[begin, end).
std::optional<NumberAt> read_chinese_fraction(std::string_view text, std::size_t begin, std::size_t end) {
  constexpr std::string_view kOver = "分之";
  if (!text.substr(end).starts_with(kOver)) return std::nullopt;
  const std::size_t top = end + kOver.size();
  const std::size_t stop = numerals_end(text, top);
  const std::optional<long long> over = chinese_value(text.substr(top, stop - top));
  const std::string_view lower_part = text.substr(begin, end - begin);
  if (over && lower_part == "百") return NumberAt{cpp_rational(*over), begin, stop, true};
  const std::optional<long long> under = chinese_value(lower_part);
  if (!over || !under || *under == 0) return std::nullopt;
  return NumberAt{cpp_rational(*over, *under), begin, stop, false};
}

std::optional<NumberAt> find_chinese(std::string_view text) {
  std::optional<NumberAt> last;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const std::size_t end = numerals_end(text, i);
    if (end == i) continue;
    if (const std::optional<NumberAt> fraction = read_chinese_fraction(text, i, end)) {
      last = fraction;
      i = fraction->end - 1;
      continue;
    }
    const std::string_view rest = text.substr(end);
    const bool idiom = text.substr(i, end - i) == "一" &&
                       (rest.starts_with("共") || rest.starts_with("个人") || rest.starts_with("样"));
    const std::optional<long long> value = chinese_value(text.substr(i, end - i));
    if (text.substr(i, end - i) == "一" && rest.starts_with("半")) {
      last = NumberAt{cpp_rational(1, 2), i, end + kHanBytes, false};
    } else if (value && (rest.starts_with("个半") || rest.starts_with("年半") || rest.starts_with("天半"))) {
      last = NumberAt{*value + cpp_rational(1, 2), i, end + 2 * kHanBytes, false};
    } else if (value && !idiom) {
      const bool negative = i >= kHanBytes && text.substr(i - kHanBytes, kHanBytes) == "负";
      last = NumberAt{cpp_rational(negative ? -*value : *value), i, end, false};
    }
    i = end - 1;
  }
  return last;
}

}  // namespace

std::optional<NumberAt> find_number_in_words(std::string_view text) {
  if (std::optional<NumberAt> chinese = find_chinese(text)) return chinese;
  return find_english(to_lower(text));
}

}  // namespace touchstone
