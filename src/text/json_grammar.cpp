#include "text/json_grammar.h"

#include <algorithm>
#include <array>
#include <boost/json.hpp>
#include <cmath>
#include <map>
#include <optional>

#include "base/error.h"

namespace touchstone {
namespace {

constexpr std::uint8_t kQuote = '"';
constexpr std::uint8_t kFirstPrintable = 0x20, kLastPrintable = 0x7E;
constexpr double kLargest = 999'999'999'999'999;  // a double holds it exactly
constexpr int kDigits = 15;
// Behind a point. More could be lost where more digits stand before it.
constexpr int kPlaces = 6;
constexpr std::int64_t kUnits = 1'000'000;
constexpr double kLargestWithPlaces = 999'999'999;

/// A character that needs no escape (RFC 8259), well-formed UTF-8 (Unicode, table 3-7), whose first byte is
/// not in `without`.
template <typename Bytes>
void add_plain_character(Grammar& g, std::uint32_t from, const Bytes& without, std::uint32_t to) {
  add_bytes_but(
      g, from, kFirstPrintable, kLastPrintable,
      [&](std::uint8_t b) { return b == kQuote || b == '\\' || without(b); }, to);
  struct Form {
    int first_low, first_high;
    std::uint8_t second_low, second_high;
    int more;
  };
  constexpr std::array<Form, 8> kForms{{{0xC2, 0xDF, 0x80, 0xBF, 0},
                                        {0xE0, 0xE0, 0xA0, 0xBF, 1},
                                        {0xE1, 0xEC, 0x80, 0xBF, 1},
                                        {0xED, 0xED, 0x80, 0x9F, 1},
                                        {0xEE, 0xEF, 0x80, 0xBF, 1},
                                        {0xF0, 0xF0, 0x90, 0xBF, 2},
                                        {0xF1, 0xF3, 0x80, 0xBF, 2},
                                        {0xF4, 0xF4, 0x80, 0x8F, 2}}};
  for (const Form& form : kForms) {
    std::uint32_t at = g.add_state();
    add_bytes_but(g, from, form.first_low, form.first_high, without, at);
    std::uint8_t low = form.second_low;
    std::uint8_t high = form.second_high;
    for (int more = form.more; more > 0; --more) {
      at = g.add_bytes(at, low, high);
      low = 0x80;
      high = 0xBF;
    }
    g.add_bytes_to(at, low, high, to);
  }
}

void add_hex_digit(Grammar& g, std::uint32_t from, std::uint32_t to) {
  g.add_bytes_to(from, '0', '9', to);
  g.add_bytes_to(from, 'a', 'f', to);
  g.add_bytes_to(from, 'A', 'F', to);
}

/// A character behind a backslash; of \u those that are no surrogates.
void add_escape(Grammar& g, std::uint32_t from, std::uint32_t to) {
  const std::uint32_t escape = g.add_bytes(from, '\\', '\\');
  for (const char c : std::string_view("\"\\/bfnrt")) {
    g.add_bytes_to(escape, static_cast<std::uint8_t>(c), static_cast<std::uint8_t>(c), to);
  }
  const std::uint32_t first = g.add_bytes(escape, 'u', 'u');
  const std::uint32_t second = g.add_state();
  const std::uint32_t third = g.add_state();
  const std::uint32_t fourth = g.add_state();
  const std::uint32_t behind_d = g.add_state();
  add_bytes_but(
      g, first, '0', '9', [](std::uint8_t) { return false; }, second);
  for (const char d : {'d', 'D'}) {
    g.add_bytes_to(first, static_cast<std::uint8_t>(d), static_cast<std::uint8_t>(d), behind_d);
  }
  for (const char low : {'a', 'A'}) {
    add_bytes_but(
        g, first, low, low + 5, [low](std::uint8_t b) { return b == low + 3; }, second);
  }
  g.add_bytes_to(behind_d, '0', '7', third);
  add_hex_digit(g, second, third);
  add_hex_digit(g, third, fourth);
  add_hex_digit(g, fourth, to);
}

void add_character(Grammar& g, std::uint32_t from, std::uint32_t to) {
  add_plain_character(
      g, from, [](std::uint8_t) { return false; }, to);
  add_escape(g, from, to);
}

/// `least` to `most` digits.
void add_digits(Grammar& g, std::uint32_t from, int least, int most, std::uint32_t to) {
  for (int count = 0; count <= most; ++count) {
    if (count >= least) g.add_skip(from, to);
    if (count < most) from = g.add_bytes(from, '0', '9');
  }
}

/// Cuts the digits that may come next into add(first, last, at_low, at_high), so that behind each cut the
/// same may follow. `at_low`: the digits before are those of the lowest number, so that the next may not be
/// below `low`; behind `low` itself that goes on. `at_high` likewise.
template <typename Add>
void cut_digits(char low, char high, bool at_low, bool at_high, const Add& add) {
  const char first = at_low ? low : '0';
  const char last = at_high ? high : '9';
  if (at_low && at_high && first == last) return add(first, last, true, true);
  if (at_low) add(first, first, true, false);
  const auto after_first = static_cast<char>(first + (at_low ? 1 : 0));
  const auto before_last = static_cast<char>(last - (at_high ? 1 : 0));
  if (after_first <= before_last) add(after_first, before_last, false, false);
  if (at_high) add(last, last, false, true);
}

std::uint32_t add_digit(Grammar& g, std::uint32_t from, char first, char last) {
  return g.add_bytes(from, static_cast<std::uint8_t>(first), static_cast<std::uint8_t>(last));
}

/// Digits from low to high, both of one length. at_low and at_high as for cut_digits.
void add_digit_range(Grammar& g, std::uint32_t from, std::string_view low, std::string_view high, bool at_low,
                     bool at_high, std::uint32_t to) {
  if (low.empty()) return g.add_skip(from, to);
  cut_digits(low.front(), high.front(), at_low, at_high,
             [&](char first, char last, bool is_low, bool is_high) {
               add_digit_range(g, add_digit(g, from, first, last), low.substr(1), high.substr(1), is_low,
                               is_high, to);
             });
}

/// Whole numbers from low to high, 0 <= low.
void add_whole_numbers(Grammar& g, std::uint32_t from, std::int64_t low, std::int64_t high,
                       std::uint32_t to) {
  for (int digits = 1; digits <= kDigits; ++digits) {
    const auto power = [](int n) { return static_cast<std::int64_t>(std::pow(10.0, n)); };
    const std::int64_t first = std::max(low, digits == 1 ? 0 : power(digits - 1));
    const std::int64_t last = std::min(high, power(digits) - 1);
    if (first > last) continue;
    add_digit_range(g, from, std::to_string(first), std::to_string(last), true, true, to);
  }
}

/// The digits behind a point, from low to high, both of kPlaces digits less those that were written already;
/// zeros at the end may be left out. at_low and at_high as for cut_digits.
void add_fraction_range(Grammar& g, std::uint32_t from, std::string_view low, std::string_view high,
                        bool at_low, bool at_high, std::uint32_t to) {
  const bool has_begun = low.size() < kPlaces;
  if (!at_low && !at_high) return add_digits(g, from, has_begun ? 0 : 1, static_cast<int>(low.size()), to);
  const bool low_is_written = low.find_first_not_of('0') == std::string_view::npos;
  if (has_begun && (!at_low || low_is_written)) g.add_skip(from, to);
  if (low.empty()) return;
  cut_digits(low.front(), high.front(), at_low, at_high,
             [&](char first, char last, bool is_low, bool is_high) {
               add_fraction_range(g, add_digit(g, from, first, last), low.substr(1), high.substr(1), is_low,
                                  is_high, to);
             });
}

std::string write_places(std::int64_t number) {
  const std::string digits = std::to_string(number);
  return std::string(kPlaces - digits.size(), '0') + digits;
}

/// Numbers with a point from low to high, in units of the last place. False when there are none.
bool add_fractions(Grammar& g, std::uint32_t from, std::int64_t low, std::int64_t high, std::uint32_t to) {
  if (low > high) return false;
  const std::int64_t first = low / kUnits;
  const std::int64_t last = high / kUnits;
  const std::string lowest = write_places(low % kUnits);
  const std::string highest = write_places(high % kUnits);
  const auto point = [&](std::int64_t whole) { return g.add_literal(from, std::to_string(whole) + "."); };
  if (first == last) {
    add_fraction_range(g, point(first), lowest, highest, true, true, to);
    return true;
  }
  add_fraction_range(g, point(first), lowest, highest, true, false, to);
  if (first + 1 < last) {
    const std::uint32_t between = g.add_state();
    add_whole_numbers(g, from, first + 1, last - 1, between);
    add_digits(g, g.add_literal(between, "."), 1, kPlaces, to);
  }
  add_fraction_range(g, point(last), lowest, highest, false, true, to);
  return true;
}

/// Numbers of the interval that are not below 0. False when there are none.
bool add_magnitudes(Grammar& g, std::uint32_t from, const Interval& interval, bool fractions,
                    std::uint32_t to) {
  const bool low_open = interval.low_open && interval.low >= 0;
  const double low = std::max(0.0, interval.low);
  const double first = low_open ? std::floor(low) + 1 : std::ceil(low);
  const double last =
      std::min(kLargest, interval.high_open ? std::ceil(interval.high) - 1 : std::floor(interval.high));
  const bool has_whole = first <= last;
  if (has_whole)
    add_whole_numbers(g, from, static_cast<std::int64_t>(first), static_cast<std::int64_t>(last), to);
  if (!fractions || low > kLargestWithPlaces || interval.high < 0) return has_whole;
  // Quotients of whole numbers are the doubles nearest to these decimals: what a reader compares.
  const auto value = [](std::int64_t units) { return static_cast<double>(units) / kUnits; };
  auto lowest = std::max<std::int64_t>(0, static_cast<std::int64_t>(low * kUnits) - 1);
  while (low_open ? value(lowest) <= low : value(lowest) < low) ++lowest;
  const double high = std::min(interval.high, kLargestWithPlaces);
  auto highest = static_cast<std::int64_t>(high * kUnits) + 1;
  while (highest >= 0 && (interval.high_open ? value(highest) >= high : value(highest) > high)) --highest;
  return add_fractions(g, from, lowest, highest, to) || has_whole;
}

std::int32_t add_white_space(Grammar& g) {
  constexpr int kIndentation = 20;
  const std::int32_t rule = g.add_rule(false);
  std::uint32_t at = g.rule(rule).start;
  g.end_rule(at);
  g.end_rule(g.add_literal(at, " "));
  at = g.add_literal(at, "\n");
  for (int i = 0; i < kIndentation; ++i) {
    g.end_rule(at);
    at = g.add_literal(at, " ");
  }
  g.end_rule(at);
  return rule;
}

void add_number(Grammar& g, std::int32_t rule, bool fractions) {
  const std::uint32_t start = g.rule(rule).start;
  const std::uint32_t whole = g.add_state();
  const std::uint32_t end = g.add_state();
  g.end_rule(end);
  for (const std::uint32_t sign : {start, g.add_literal(start, "-")}) {
    g.add_bytes_to(sign, '0', '0', whole);
    add_digits(g, g.add_bytes(sign, '1', '9'), 0, kDigits - 1, whole);
  }
  g.add_skip(whole, end);
  if (!fractions) return;
  const std::uint32_t mantissa = g.add_state();
  g.add_skip(whole, mantissa);
  add_digits(g, g.add_literal(whole, "."), 1, kDigits, mantissa);
  g.add_skip(mantissa, end);
  const std::uint32_t exponent = g.add_state();
  g.add_bytes_to(mantissa, 'e', 'e', exponent);
  g.add_bytes_to(mantissa, 'E', 'E', exponent);
  for (const std::uint32_t sign : {exponent, g.add_literal(exponent, "+"), g.add_literal(exponent, "-")}) {
    add_digits(g, sign, 1, 2, end);
  }
}

/// Members or elements between brackets: none, or some with commas between.
void add_list(Grammar& g, const JsonRules& rules, std::int32_t list, std::string_view brackets,
              bool members) {
  const std::uint32_t open =
      g.add_call(g.add_literal(g.rule(list).start, brackets.substr(0, 1)), rules.white_space);
  const std::uint32_t element = g.add_state();
  g.add_skip(open, element);
  std::uint32_t at = element;
  if (members) at = g.add_call(g.add_literal(g.add_call(at, rules.string), ":"), rules.white_space);
  at = g.add_call(at, rules.value);
  const std::uint32_t close = g.add_call(at, rules.white_space);
  g.add_skip(g.add_call(g.add_literal(at, ","), rules.white_space), element);
  g.end_rule(g.add_literal(close, brackets.substr(1)));
  g.end_rule(g.add_literal(open, brackets.substr(1)));
}

/// Texts as a tree, so that one state stands for all that begin alike.
struct TreeNode {
  std::uint32_t state;
  std::map<std::uint8_t, std::size_t> children = {};
  int missing = 0;  // bytes of a character that has begun
  bool is_end = false;
};

/// Adds what the tree does not have of `text`, and gives the node at its end.
std::size_t add_to_tree(Grammar& grammar, std::vector<TreeNode>& tree, std::string_view text) {
  std::size_t at = 0;
  for (const char c : text) {
    const auto byte = static_cast<std::uint8_t>(c);
    const auto [child, is_new] = tree[at].children.try_emplace(byte, tree.size());
    const std::size_t next = child->second;
    if (is_new) {
      const int missing = tree[at].missing > 0 ? tree[at].missing - 1
                          : byte >= 0xF0       ? 3
                          : byte >= 0xE0       ? 2
                          : byte >= 0xC0       ? 1
                                               : 0;
      tree.push_back({grammar.add_bytes(tree[at].state, byte, byte), {}, missing});
    }
    at = next;
  }
  return at;
}

}  // namespace

void add_texts(Grammar& grammar, std::uint32_t from, std::span<const std::string> texts, std::uint32_t to) {
  std::vector<TreeNode> tree{{grammar.add_state()}};
  grammar.add_skip(from, tree.front().state);
  for (const std::string& text : texts) grammar.add_skip(tree[add_to_tree(grammar, tree, text)].state, to);
}

void add_interval(Grammar& grammar, std::uint32_t from, const Interval& interval, bool fractions,
                  std::uint32_t to) {
  bool any = add_magnitudes(grammar, from, interval, fractions, to);
  Interval mirrored{-interval.high, -interval.low, interval.high_open, interval.low_open};
  const std::uint32_t minus = grammar.add_state();
  // "-0" is 0, which stands among the others.
  if (mirrored.low <= 0) mirrored = {0, mirrored.high, true, mirrored.high_open};
  if (add_magnitudes(grammar, minus, mirrored, fractions, to)) {
    grammar.add_bytes_to(from, '-', '-', minus);
    any = true;
  }
  if (!any) throw Error("no number lies between the schema's minimum and maximum", "widen them");
}

void add_string(Grammar& grammar, const JsonRules& rules, std::uint32_t from, std::size_t min_length,
                std::size_t max_length, std::uint32_t to) {
  // Longer strings than this are valid, and none the better for it.
  constexpr std::size_t kLongest = 1024;
  const bool has_end = max_length != SIZE_MAX;
  const std::size_t counted = has_end ? std::min(max_length, std::max(min_length, kLongest)) : min_length;
  std::uint32_t at = grammar.add_literal(from, "\"");
  std::optional<std::uint32_t> far_from_end;
  for (std::size_t length = 0; length <= counted; ++length) {
    if (length >= min_length) grammar.add_bytes_to(at, kQuote, kQuote, to);
    if (length >= min_length && length + Grammar::sight_bytes <= counted) {
      if (!far_from_end) far_from_end = at;
      grammar.set_alike(at, *far_from_end);
    }
    if (length < counted) at = grammar.add_call(at, rules.character);
  }
  if (!has_end) grammar.add_skip(grammar.add_call(at, rules.character), at);
}

void add_other_string(Grammar& grammar, std::uint32_t from, std::span<const std::string> names,
                      std::uint32_t to) {
  std::vector<TreeNode> tree{{grammar.add_literal(from, "\"")}};
  for (const std::string& name : names) {
    // Names that need escapes are no strings without escapes.
    if (boost::json::serialize(name).size() != name.size() + 2) continue;
    tree[add_to_tree(grammar, tree, name)].is_end = true;
  }
  const std::uint32_t other = grammar.add_state();
  add_plain_character(
      grammar, other, [](std::uint8_t) { return false; }, other);
  grammar.add_bytes_to(other, kQuote, kQuote, to);
  for (const TreeNode& node : tree) {
    if (node.missing > 0) continue;
    add_plain_character(
        grammar, node.state, [&](std::uint8_t b) { return node.children.contains(b); }, other);
    if (!node.is_end) grammar.add_bytes_to(node.state, kQuote, kQuote, to);
  }
}

JsonRules add_json_rules(Grammar& grammar) {
  JsonRules rules{};
  rules.white_space = add_white_space(grammar);
  rules.character = grammar.add_rule(false);
  rules.string = grammar.add_rule(false);
  rules.number = grammar.add_rule(false);
  rules.integer = grammar.add_rule(false);
  rules.value = grammar.add_rule(false);
  rules.object = grammar.add_rule(true);
  rules.array = grammar.add_rule(true);

  const std::uint32_t character_end = grammar.add_state();
  add_character(grammar, grammar.rule(rules.character).start, character_end);
  grammar.end_rule(character_end);

  const std::uint32_t inside = grammar.add_literal(grammar.rule(rules.string).start, "\"");
  add_character(grammar, inside, inside);
  grammar.end_rule(grammar.add_literal(inside, "\""));

  add_number(grammar, rules.number, true);
  add_number(grammar, rules.integer, false);
  add_list(grammar, rules, rules.object, "{}", true);
  add_list(grammar, rules, rules.array, "[]", false);

  const std::uint32_t value = grammar.rule(rules.value).start;
  const std::uint32_t value_end = grammar.add_state();
  grammar.end_rule(value_end);
  const std::array<std::string, 3> literals{"null", "true", "false"};
  add_texts(grammar, value, literals, value_end);
  for (const std::int32_t rule : {rules.string, rules.number, rules.object, rules.array}) {
    grammar.add_skip(grammar.add_call(value, rule), value_end);
  }
  return rules;
}

}  // namespace touchstone
