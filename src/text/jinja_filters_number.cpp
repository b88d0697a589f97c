// Filters of numbers.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdlib>

#include "text/jinja_builtins.h"
#include "text/jinja_int.h"
#include "text/jinja_interpreter.h"
#include "text/jinja_operators.h"
#include "text/jinja_print.h"
#include "text/jinja_unicode.h"

namespace touchstone::jinja {
namespace {

/// float(text): sign, digits with "_" between them, exponent; "inf", "infinity", "nan".
std::optional<double> parse_real(std::string_view given) {
  const std::string ascii = with_ascii_digits(given);
  const std::string_view text = strip(ascii);
  const std::string lower = to_lower(text);
  std::string_view word = lower;
  const bool negative = !word.empty() && word[0] == '-';
  if (!word.empty() && (word[0] == '+' || word[0] == '-')) word.remove_prefix(1);
  if (word == "inf" || word == "infinity") return negative ? -HUGE_VAL : HUGE_VAL;
  if (word == "nan") return std::nan("");
  std::string digits;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '_') {
      const bool between =
          i > 0 && i + 1 < text.size() && is_ascii_digit(text[i - 1]) && is_ascii_digit(text[i + 1]);
      if (!between) return std::nullopt;
      continue;
    }
    if (!is_ascii_digit(text[i]) && std::string_view("+-.eE").find(text[i]) == std::string_view::npos) {
      return std::nullopt;
    }
    digits += text[i];
  }
  char* end = nullptr;
  const double value = std::strtod(digits.c_str(), &end);
  if (digits.empty() || end != digits.c_str() + digits.size()) return std::nullopt;
  return value;
}

std::optional<double> try_real(const Value& value) {
  require_defined(value);
  if (value.is(Kind::real)) return value.real();
  if (value.is_number()) return integer_to_real(value);
  if (value.is_string()) return parse_real(value.string());
  return std::nullopt;
}

std::optional<Value> try_integer(const Value& value, std::int64_t base) {
  require_defined(value);
  if (value.is_string()) {
    const bool valid_base = base == 0 || (base >= 2 && base <= 36);
    auto number = valid_base ? parse_integer(value.string(), static_cast<int>(base)) : std::nullopt;
    if (number) return number;
  } else if (value.is_number() && !value.is(Kind::real)) {
    return identity(value);
  }
  const std::optional<double> real = try_real(value);
  if (!real || std::isnan(*real)) return std::nullopt;
  if (std::isinf(*real) && value.is_string()) return std::nullopt;
  return integer_from_real(*real);
}

Value to_integer(Interpreter& in, const Value& value, const BoundArguments& bound) {
  if (value.is_string()) in.budget().scan(value.string().size());
  // A base that is no integer is as bad as a text that is no number.
  const Value base = bound.get(1, Value(10));
  return try_integer(value, base.is_integer() ? clamp_integer(base) : -1).value_or(bound.get(0, Value(0)));
}

Value to_real(Interpreter& in, const Value& value, const BoundArguments& bound) {
  if (value.is_string()) in.budget().scan(value.string().size());
  const std::optional<double> real = try_real(value);
  return real ? Value(*real) : bound.get(0, Value(0.0));
}

Value absolute(Interpreter&, const Value& value, const BoundArguments&) {
  if (!value.is_number()) raise_type_error("bad operand type for abs(): '" + type_name(value) + "'");
  if (value.is(Kind::real)) return {std::fabs(value.real())};
  return compare_integers(value, Value(0)) < 0 ? negate_integer(value) : identity(value);
}

/// round(value, digits) for a double: to the nearest decimal, exactly, as Python does it.
double round_real(double value, std::int64_t digits) {
  if (!std::isfinite(value) || digits > 323) return value;
  if (digits < -308) return std::copysign(0.0, value);
  if (digits >= 0) {
    // Printing rounds the exact binary value half to even, and reading gives the nearest double.
    return std::strtod(fmt::format("{:.{}f}", value, digits).c_str(), nullptr);
  }
  const std::string text = fmt::format("{:.25e}", std::fabs(value));
  const std::int64_t exponent = std::strtol(text.c_str() + text.find('e') + 1, nullptr, 10);
  const std::int64_t kept = exponent + digits;  // decimals of the number as written with an exponent
  if (kept >= 0) return std::strtod(fmt::format("{:.{}e}", value, kept).c_str(), nullptr);
  const bool up =
      kept == -1 && std::fabs(value) > std::strtod(fmt::format("5e{}", exponent).c_str(), nullptr);
  return std::copysign(up ? std::strtod(fmt::format("1e{}", exponent + 1).c_str(), nullptr) : 0.0, value);
}

Value round_integer(const Value& value, std::int64_t digits) {
  if (digits >= 0) return identity(value);
  if (digits < -4000) return {0};
  const Value scale = power_integers(Value(10), Value(-digits));
  const Value doubled = multiply_integers(value, Value(2));
  // Half to even.
  Value quotient = floor_divide_integers(add_integers(doubled, scale), multiply_integers(scale, Value(2)));
  const bool half =
      is_zero(modulo_integers(add_integers(doubled, scale), multiply_integers(scale, Value(2))));
  if (half && !is_zero(modulo_integers(quotient, Value(2)))) quotient = subtract_integers(quotient, Value(1));
  return multiply_integers(quotient, scale);
}

Value round(Interpreter& in, const Value& value, const BoundArguments& bound) {
  const std::string method = bound.has(1) ? require_string(bound[1], "method") : "common";
  if (method != "common" && method != "ceil" && method != "floor") {
    raise("FilterArgumentError", "method must be common, ceil or floor");
  }
  const std::int64_t digits = bound.integer(0, 0);
  if (method == "common") {
    if (!value.is_number()) raise_type_error("type " + type_name(value) + " doesn't define __round__ method");
    return value.is(Kind::real) ? Value(round_real(value.real(), digits)) : round_integer(value, digits);
  }
  const Value scale = apply_binary(ExprKind::power, Value(10), Value(digits), in.budget());
  const Value scaled = apply_binary(ExprKind::multiply, value, scale, in.budget());
  if (!scaled.is_number()) raise_type_error("must be real number, not " + type_name(scaled));
  Value whole = scaled;
  if (scaled.is(Kind::real)) {
    whole = integer_from_real(method == "ceil" ? std::ceil(scaled.real()) : std::floor(scaled.real()));
  }
  return apply_binary(ExprKind::divide, whole, scale, in.budget());
}

Value file_size(Interpreter&, const Value& value, const BoundArguments& bound) {
  const std::optional<double> bytes = try_real(value);
  if (!bytes && value.is_string())
    raise_value_error("could not convert string to float: " + quote(value.string()));
  if (!bytes)
    raise_type_error("float() argument must be a string or a real number, not '" + type_name(value) + "'");
  const bool binary = bound.flag(0);
  const double base = binary ? 1024 : 1000;
  if (std::isnan(*bytes)) return {binary ? "nan YiB" : "nan YB"};
  static constexpr std::array<std::string_view, 8> kDecimal = {"kB", "MB", "GB", "TB",
                                                               "PB", "EB", "ZB", "YB"};
  static constexpr std::array<std::string_view, 8> kBinary = {"KiB", "MiB", "GiB", "TiB",
                                                              "PiB", "EiB", "ZiB", "YiB"};
  if (*bytes == 1) return {"1 Byte"};
  if (*bytes < base) return {fmt::format("{} Bytes", integer_to_text(integer_from_real(*bytes)))};
  double unit = base;
  std::size_t i = 0;
  do {
    unit *= base;
  } while (*bytes >= unit && ++i + 1 < kDecimal.size());
  if (*bytes >= unit) unit *= base;
  return {fmt::format("{:.1f} {}", base * *bytes / unit, (binary ? kBinary : kDecimal)[i])};
}

}  // namespace

const std::vector<FilterEntry>& number_filters() {
  static const auto* const entries = new std::vector<FilterEntry>{
      {"int", "do_int", "default,base", 0, to_integer, nullptr},
      {"float", "do_float", "default", 0, to_real, nullptr},
      {"abs", "abs", "", 0, absolute, nullptr},
      {"round", "do_round", "precision,method", 0, round, nullptr},
      {"filesizeformat", "do_filesizeformat", "binary", 0, file_size, nullptr},
  };
  return *entries;
}

}  // namespace touchstone::jinja
