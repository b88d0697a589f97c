// One number at a given place of a normalised text.
#pragma once

#include <boost/multiprecision/cpp_int.hpp>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace touchstone {

struct NumberAt {
  boost::multiprecision::cpp_rational value;
  std::size_t begin = 0;  // with sign and currency
  std::size_t end = 0;    // with percent sign and scale word
  bool percent = false;
  int group = 1;  // "2 dozen": 12; "2 hours 30 minutes": 60; the value counts the small ones
};

/// The number that begins at `pos` (a sign, currency, digit, '.', or \frac). Reads 1,234, 1,00,000 and 1 234,
/// decimals, a/b, \frac{a}{b}, mixed numbers, exponents, "million", "dozen", 万.
std::optional<NumberAt> read_number_at(std::string_view text, std::size_t pos);

/// The first number at or after `pos` and before `end`.
std::optional<NumberAt> find_number(std::string_view text, std::size_t pos, std::size_t end);

/// `number` with the smaller unit that follows it in `text`: "2 hours and 30 minutes" as 150 in groups of 60.
/// `number` itself where none follows.
NumberAt add_smaller_unit(std::string_view text, const NumberAt& number);

/// A number in words ("eighty-three", "a dozen", "three quarters", "八十三", "百分之五") somewhere in `text`;
/// the last one.
std::optional<NumberAt> find_number_in_words(std::string_view text);

}  // namespace touchstone
