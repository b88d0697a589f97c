// Python's integers: of any size, within a bound.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "text/jinja_value.h"

namespace touchstone::jinja {

// All take integers and booleans. Results that need more than kMaxIntegerBits raise LimitError; dividing by
// zero raises ZeroDivisionError.
inline constexpr unsigned kMaxIntegerBits =
    1U << 14U;  // str() of more than 4300 digits is an error in Python, too

Value add_integers(const Value& left, const Value& right);
Value subtract_integers(const Value& left, const Value& right);
Value multiply_integers(const Value& left, const Value& right);
/// Rounds towards minus infinity; the remainder has the divisor's sign.
Value floor_divide_integers(const Value& left, const Value& right);
Value modulo_integers(const Value& left, const Value& right);
/// `exponent` >= 0.
Value power_integers(const Value& base, const Value& exponent);
Value negate_integer(const Value& value);

int compare_integers(const Value& left, const Value& right);
/// An integer against a finite double, exactly.
int compare_with_real(const Value& integer, double real);
bool is_zero(const Value& integer);

/// In base 2, 8, 10 or 16, lower case, without prefix.
std::string integer_to_text(const Value& value, unsigned base = 10);
/// Correctly rounded; raises OverflowError beyond a double's range.
double integer_to_real(const Value& value);
/// left / right, correctly rounded; `right` is not zero.
double divide_to_real(const Value& left, const Value& right);
/// Truncates. Raises ValueError or OverflowError for what is not finite.
Value integer_from_real(double value);
Value integer_from_uint64(std::uint64_t value);
/// int(text, base) with Python's rules: sign, underscores, white space, prefix (base 0 or the prefix's).
/// Nothing when the text is not a number.
std::optional<Value> parse_integer(std::string_view text, int base);

/// The value as a 64-bit integer, saturated at both ends: for indices and counts.
std::int64_t clamp_integer(const Value& value);

}  // namespace touchstone::jinja
