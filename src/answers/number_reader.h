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
  bool dozens = false;  // in dozens; the value counts single ones
};

/// The number that begins at `pos` (a sign, currency, digit, '.', or \frac). Reads 1,234, 1,00,000 and 1 234,
/// decimals, a/b, \frac{a}{b}, mixed numbers, exponents, "million", "dozen", 万.
std::optional<NumberAt> read_number_at(std::string_view text, std::size_t pos);

/// The first number at or after `pos` and before `end`.
std::optional<NumberAt> find_number(std::string_view text, std::size_t pos, std::size_t end);

/// A number in words ("eighty-three", "a dozen", "three quarters", "八十三", "百分之五") somewhere in `text`;
/// the last one.
std::optional<NumberAt> find_number_in_words(std::string_view text);

}  // namespace touchstone
