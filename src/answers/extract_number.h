// Reads numbers out of prose, LaTeX and Chinese, exactly.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace touchstone {

/// A rational number as reduced text "p" or "p/q", so that equal numbers are equal strings, with what is
/// known of its unit.
struct Number {
  std::string value;
  bool percent = false;  // "80%": may stand for 80 or for 4/5
  int group = 1;  // "2 dozen": 12, and the value 24, which may stand for 2; "2 hours 30 minutes": 60, 150
};

/// `text` as one number and nothing else but its unit, currency, or LaTeX around it. Nothing when it is not
/// one (or has more digits than anybody would write).
std::optional<Number> parse_number(std::string_view text);

struct NumberAnswer {
  std::optional<Number> number;  // nothing: no number is stated as the answer
  std::string text;              // its value, "p" or "p/q"
  std::string why;               // where it was found, or why there is none
  bool guessed = false;          // not stated as the answer
};

/// The number that `answer` (without thinking) states as its result: the last of \boxed{}, "####", "answer
/// is" and the like; else the last bold number; else the last number; else one in words in the last sentence.
/// Of several numbers in a concluding sentence, those that `question` gives are the less likely.
NumberAnswer extract_number(std::string_view answer, std::string_view question = {});

/// Whether the two say the same: exactly equal, or equal when "%", "dozen" or two units are read either way.
bool same_number(const Number& said, const Number& expected);

}  // namespace touchstone
