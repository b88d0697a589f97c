#include "text/jinja_int.h"

#include <boost/multiprecision/cpp_int.hpp>
#include <cmath>
#include <limits>

#include "text/jinja_unicode.h"

namespace touchstone::jinja {

namespace mp = boost::multiprecision;

class BigInt {
 public:
  explicit BigInt(mp::cpp_int number) : value(std::move(number)) {}
  mp::cpp_int value;
};

namespace {

constexpr std::int64_t kMin = std::numeric_limits<std::int64_t>::min();
constexpr std::int64_t kMax = std::numeric_limits<std::int64_t>::max();

std::optional<std::int64_t> small(const Value& value) {
  if (value.is(Kind::integer)) return value.integer();
  if (value.is(Kind::boolean)) return value.boolean() ? 1 : 0;
  return std::nullopt;
}

mp::cpp_int big(const Value& value) {
  const std::optional<std::int64_t> number = small(value);
  return number ? mp::cpp_int(*number) : value.big()->value;
}

[[noreturn]] void raise_too_big() {
  raise_limit("an integer of more than " + std::to_string(kMaxIntegerBits) + " bits");
}

std::size_t bits(const mp::cpp_int& value) { return value.is_zero() ? 0 : mp::msb(mp::abs(value)) + 1; }

Value normalize(mp::cpp_int value) {
  if (value >= kMin && value <= kMax) return Value(static_cast<std::int64_t>(value));
  if (bits(value) > kMaxIntegerBits) raise_too_big();
  return Value(BigRef(std::make_shared<const BigInt>(std::move(value))));
}

[[noreturn]] void raise_zero_division(std::string message) { raise("ZeroDivisionError", std::move(message)); }

/// Python's divmod.
std::pair<mp::cpp_int, mp::cpp_int> divide_floor(const mp::cpp_int& left, const mp::cpp_int& right) {
  mp::cpp_int quotient, remainder;
  mp::divide_qr(left, right, quotient, remainder);
  if (!remainder.is_zero() && (remainder < 0) != (right < 0)) {
    quotient -= 1;
    remainder += right;
  }
  return {quotient, remainder};
}

}  // namespace

Value add_integers(const Value& left, const Value& right) {
  const auto a = small(left), b = small(right);
  std::int64_t sum = 0;
  if (a && b && !__builtin_add_overflow(*a, *b, &sum)) return Value(sum);
  return normalize(big(left) + big(right));
}

Value subtract_integers(const Value& left, const Value& right) {
  const auto a = small(left), b = small(right);
  std::int64_t difference = 0;
  if (a && b && !__builtin_sub_overflow(*a, *b, &difference)) return Value(difference);
  return normalize(big(left) - big(right));
}

Value multiply_integers(const Value& left, const Value& right) {
  const auto a = small(left), b = small(right);
  std::int64_t product = 0;
  if (a && b && !__builtin_mul_overflow(*a, *b, &product)) return Value(product);
  return normalize(big(left) * big(right));
}

Value floor_divide_integers(const Value& left, const Value& right) {
  if (is_zero(right)) raise_zero_division("integer division or modulo by zero");
  const auto a = small(left), b = small(right);
  if (a && b && !(*a == kMin && *b == -1)) {
    std::int64_t quotient = *a / *b;
    if (*a % *b != 0 && (*a < 0) != (*b < 0)) --quotient;
    return Value(quotient);
  }
  return normalize(divide_floor(big(left), big(right)).first);
}

Value modulo_integers(const Value& left, const Value& right) {
  if (is_zero(right)) raise_zero_division("integer modulo by zero");
  const auto a = small(left), b = small(right);
  if (a && b && *b != -1) {
    std::int64_t remainder = *a % *b;
    if (remainder != 0 && (remainder < 0) != (*b < 0)) remainder += *b;
    return Value(remainder);
  }
  return normalize(divide_floor(big(left), big(right)).second);
}

Value power_integers(const Value& base, const Value& exponent) {
  const mp::cpp_int root = big(base);
  const std::int64_t times = clamp_integer(exponent);
  if (times == 0) return Value(1);
  if (root.is_zero() || root == 1) return normalize(root);
  if (root == -1) return Value(times % 2 == 0 ? 1 : -1);
  // msb <= log2: what passes here needs at most twice the bound.
  const std::size_t log = bits(root) - 1;
  if (times > static_cast<std::int64_t>(kMaxIntegerBits) ||
      log * static_cast<std::size_t>(times) > kMaxIntegerBits) {
    raise_too_big();
  }
  return normalize(mp::pow(root, static_cast<unsigned>(times)));
}

Value negate_integer(const Value& value) { return subtract_integers(Value(0), value); }

int compare_integers(const Value& left, const Value& right) {
  const auto a = small(left), b = small(right);
  if (a && b) return *a < *b ? -1 : (*a > *b ? 1 : 0);
  return big(left).compare(big(right));
}

int compare_with_real(const Value& integer, double real) {
  const Value whole = integer_from_real(std::floor(real));
  const int order = compare_integers(integer, whole);
  if (order != 0) return order;
  return std::floor(real) < real ? -1 : 0;
}

bool is_zero(const Value& integer) { return small(integer) == std::optional<std::int64_t>(0); }

std::string integer_to_text(const Value& value, unsigned base) {
  if (base == 10) {
    if (const auto number = small(value)) return std::to_string(*number);
    return big(value).str();
  }
  mp::cpp_int magnitude = big(value);
  const bool negative = magnitude < 0;
  if (negative) magnitude = -magnitude;
  std::string digits;
  const unsigned shift = base == 16 ? 4 : (base == 8 ? 3 : 1);
  do {
    digits.insert(digits.begin(), "0123456789abcdef"[static_cast<unsigned>(magnitude & (base - 1))]);
    magnitude >>= shift;
  } while (!magnitude.is_zero());
  return (negative ? "-" : "") + digits;
}

double integer_to_real(const Value& value) {
  if (const auto number = small(value)) return static_cast<double>(*number);
  // Through decimal digits: strtod rounds correctly.
  const double result = std::strtod(big(value).str().c_str(), nullptr);
  if (std::isinf(result)) raise("OverflowError", "int too large to convert to float");
  return result;
}

double divide_to_real(const Value& left, const Value& right) {
  const mp::cpp_int dividend = big(left), divisor = big(right);
  if (dividend.is_zero()) return 0.0;
  // A quotient of 62 bits or more whose last bit tells whether anything was left: rounded once, rightly.
  const auto shift = static_cast<int>(bits(divisor)) - static_cast<int>(bits(dividend)) + 63;
  mp::cpp_int numerator = mp::abs(dividend), denominator = mp::abs(divisor);
  (shift > 0 ? numerator : denominator) <<= static_cast<unsigned>(std::abs(shift));
  mp::cpp_int quotient, rest;
  mp::divide_qr(numerator, denominator, quotient, rest);
  auto leading = static_cast<std::uint64_t>(quotient);
  if (!rest.is_zero()) leading |= 1U;
  const double magnitude = std::ldexp(static_cast<double>(leading), -shift);
  if (std::isinf(magnitude)) raise("OverflowError", "integer division result too large for a float");
  return (dividend < 0) == (divisor < 0) ? magnitude : -magnitude;
}

Value integer_from_real(double value) {
  if (std::isnan(value)) raise_value_error("cannot convert float NaN to integer");
  if (std::isinf(value)) raise("OverflowError", "cannot convert float infinity to integer");
  value = std::trunc(value);
  if (value >= -0x1p63 && value < 0x1p63) return Value(static_cast<std::int64_t>(value));
  return normalize(mp::cpp_int(value));
}

Value integer_from_uint64(std::uint64_t value) { return normalize(mp::cpp_int(value)); }

namespace {

int digit_value(char32_t character) {
  if (character >= '0' && character <= '9') return static_cast<int>(character - '0');
  if (character >= 'a' && character <= 'z') return static_cast<int>(character - 'a') + 10;
  if (character >= 'A' && character <= 'Z') return static_cast<int>(character - 'A') + 10;
  return 99;
}

int prefix_base(std::string_view text) {
  if (text.size() < 2 || text[0] != '0') return 0;
  switch (text[1]) {
    case 'x':
    case 'X':
      return 16;
    case 'o':
    case 'O':
      return 8;
    case 'b':
    case 'B':
      return 2;
    default:
      return 0;
  }
}

}  // namespace

std::optional<Value> parse_integer(std::string_view given, int base) {
  const std::string ascii = with_ascii_digits(given);
  std::string_view text = strip(ascii);
  bool negative = false;
  if (!text.empty() && (text[0] == '+' || text[0] == '-')) {
    negative = text[0] == '-';
    text.remove_prefix(1);
  }
  const int prefix = prefix_base(text);
  if (prefix != 0 && (base == 0 || base == prefix)) {
    base = prefix;
    text.remove_prefix(2);
    if (!text.empty() && text[0] == '_') text.remove_prefix(1);
  } else if (base == 0) {
    if (text.size() > 1 && text[0] == '0' && text.find_first_not_of("0_") != std::string_view::npos)
      return {};
    base = 10;
  }
  if (base < 2 || base > 36 || text.empty() || text.back() == '_') return std::nullopt;
  if (text.size() > kMaxIntegerBits) raise_too_big();
  mp::cpp_int number = 0;
  bool after_underscore = true;
  for (const char character : text) {
    if (character == '_') {
      if (after_underscore) return std::nullopt;
      after_underscore = true;
      continue;
    }
    const int digit = digit_value(static_cast<unsigned char>(character));
    if (digit >= base) return std::nullopt;
    number = number * base + digit;
    after_underscore = false;
  }
  return normalize(negative ? -number : number);
}

std::int64_t clamp_integer(const Value& value) {
  if (const auto number = small(value)) return *number;
  return big(value) < 0 ? kMin : kMax;
}

}  // namespace touchstone::jinja
