#include "text/jinja_operators.h"

#include <algorithm>
#include <cmath>

#include "text/jinja_int.h"
#include "text/jinja_print.h"
#include "text/jinja_unicode.h"
#include "text/unicode.h"

namespace touchstone::jinja {
namespace {

std::string_view symbol_of(ExprKind kind) {
  switch (kind) {
    case ExprKind::add:
      return "+";
    case ExprKind::subtract:
      return "-";
    case ExprKind::multiply:
      return "*";
    case ExprKind::divide:
      return "/";
    case ExprKind::floor_divide:
      return "//";
    case ExprKind::modulo:
      return "%";
    default:
      return "** or pow()";
  }
}

[[noreturn]] void raise_unsupported(ExprKind kind, const Value& left, const Value& right) {
  raise_type_error("unsupported operand type(s) for " + std::string(symbol_of(kind)) + ": '" +
                   type_name(left) + "' and '" + type_name(right) + "'");
}

double to_real(const Value& value) { return value.is(Kind::real) ? value.real() : integer_to_real(value); }

/// Python's float divmod: the remainder has the divisor's sign.
std::pair<double, double> divide_floor(double left, double right) {
  double remainder = std::fmod(left, right);
  double quotient = (left - remainder) / right;
  if (remainder != 0) {
    if ((right < 0) != (remainder < 0)) {
      remainder += right;
      quotient -= 1;
    }
  } else {
    remainder = std::copysign(0.0, right);
  }
  if (quotient != 0) {
    double floored = std::floor(quotient);
    if (quotient - floored > 0.5) floored += 1;
    quotient = floored;
  } else {
    quotient = std::copysign(0.0, left / right);
  }
  return {quotient, remainder};
}

double power(double base, double exponent) {
  if (base == 0 && exponent < 0) raise("ZeroDivisionError", "0.0 cannot be raised to a negative power");
  if (base < 0 && std::isfinite(base) && std::isfinite(exponent) && exponent != std::floor(exponent)) {
    raise_value_error("a negative number cannot be raised to a fractional power");  // complex in Python
  }
  const double result = std::pow(base, exponent);
  if (std::isinf(result) && std::isfinite(base) && std::isfinite(exponent)) {
    raise("OverflowError", "(34, 'Numerical result out of range')");
  }
  return result;
}

Value divide_integers(const Value& left, const Value& right) {
  if (is_zero(right)) raise("ZeroDivisionError", "division by zero");
  if (left.is(Kind::big_integer) || right.is(Kind::big_integer)) return {divide_to_real(left, right)};
  // Exact in long double's 64 bits, so that only the quotient is rounded.
  return {static_cast<double>(static_cast<long double>(clamp_integer(left)) /
                              static_cast<long double>(clamp_integer(right)))};
}

Value apply_integers(ExprKind kind, const Value& left, const Value& right) {
  switch (kind) {
    case ExprKind::add:
      return add_integers(left, right);
    case ExprKind::subtract:
      return subtract_integers(left, right);
    case ExprKind::multiply:
      return multiply_integers(left, right);
    case ExprKind::divide:
      return divide_integers(left, right);
    case ExprKind::floor_divide:
      return floor_divide_integers(left, right);
    case ExprKind::modulo:
      return modulo_integers(left, right);
    default:
      if (clamp_integer(right) < 0) return {power(integer_to_real(left), integer_to_real(right))};
      return power_integers(left, right);
  }
}

Value apply_reals(ExprKind kind, double left, double right) {
  const auto require_nonzero = [&](const char* message) {
    if (right == 0) raise("ZeroDivisionError", message);
  };
  switch (kind) {
    case ExprKind::add:
      return {left + right};
    case ExprKind::subtract:
      return {left - right};
    case ExprKind::multiply:
      return {left * right};
    case ExprKind::divide:
      require_nonzero("float division by zero");
      return {left / right};
    case ExprKind::floor_divide:
      require_nonzero("float floor division by zero");
      return {divide_floor(left, right).first};
    case ExprKind::modulo:
      require_nonzero("float modulo");
      return {divide_floor(left, right).second};
    default:
      return {power(left, right)};
  }
}

Value concatenate(const Value& left, const Value& right, Budget& budget) {
  if (left.is_string()) {
    if (!right.is_string()) {
      raise_type_error("can only concatenate str (not \"" + type_name(right) + "\") to str");
    }
    budget.make(left.string().size() + right.string().size());
    if (left.is_markup() || right.is_markup())
      return {to_markup(left, budget) + to_markup(right, budget), true};
    return {left.string() + right.string()};
  }
  if (left.kind() != right.kind()) {
    raise_type_error("can only concatenate " + type_name(left) + " (not \"" + type_name(right) + "\") to " +
                     type_name(left));
  }
  std::vector<Value> items = left.items();
  items.insert(items.end(), right.items().begin(), right.items().end());
  return left.is(Kind::list) ? make_list(std::move(items), budget) : make_tuple(std::move(items), budget);
}

Value repeat(const Value& sequence, const Value& times, Budget& budget) {
  const auto count = static_cast<std::uint64_t>(std::max<std::int64_t>(clamp_integer(times), 0));
  const std::uint64_t size =
      sequence.is_string() ? sequence.string().size() : sequence.items().size() * sizeof(Value);
  std::uint64_t total = 0;
  if (__builtin_mul_overflow(size, count, &total)) total = ~std::uint64_t{0};
  budget.make(total);
  if (size == 0 || count == 0) {
    if (sequence.is_string()) return {std::string(), sequence.is_markup()};
    return sequence.is(Kind::list) ? make_list({}, budget) : make_tuple({}, budget);
  }
  if (sequence.is_string()) {
    std::string text;
    text.reserve(total);
    for (std::uint64_t i = 0; i < count; ++i) text += sequence.string();
    return {std::move(text), sequence.is_markup()};
  }
  std::vector<Value> items;
  items.reserve(sequence.items().size() * count);
  for (std::uint64_t i = 0; i < count; ++i) {
    items.insert(items.end(), sequence.items().begin(), sequence.items().end());
  }
  return sequence.is(Kind::list) ? make_list(std::move(items), budget) : make_tuple(std::move(items), budget);
}

bool is_whole(const Value& value) { return value.is_integer() || value.is(Kind::boolean); }

Value apply_sequences(ExprKind kind, const Value& left, const Value& right, Budget& budget) {
  const bool left_repeats = left.is_string() || left.is_sequence();
  const bool right_repeats = right.is_string() || right.is_sequence();
  if (kind == ExprKind::add && right.is_markup() && !left.is_string()) raise_unsupported(kind, left, right);
  if (kind == ExprKind::add && left_repeats) return concatenate(left, right, budget);
  if (kind == ExprKind::multiply) {
    if (left_repeats && is_whole(right)) return repeat(left, right, budget);
    if (right_repeats && is_whole(left)) return repeat(right, left, budget);
    if (left_repeats || right_repeats) {
      raise_type_error("can't multiply sequence by non-int of type '" +
                       type_name(left_repeats ? right : left) + "'");
    }
  }
  raise_unsupported(kind, left, right);
}

}  // namespace

std::string to_markup(const Value& value, Budget& budget) {
  if (value.is_markup()) return value.string();
  std::string text = escape_html(to_str(value, budget));
  budget.make(text.size());
  return text;
}

Value apply_binary(ExprKind kind, const Value& left, const Value& right, Budget& budget) {
  // 'a' + undefined is a TypeError of str in Python only in name: Undefined answers first with its own error.
  require_defined(left);
  if (kind == ExprKind::modulo && left.is_string()) return format_percent(left, right, budget);
  require_defined(right);
  if (left.is_number() && right.is_number()) {
    if (left.is(Kind::real) || right.is(Kind::real)) return apply_reals(kind, to_real(left), to_real(right));
    if (left.is(Kind::big_integer) || right.is(Kind::big_integer) || kind == ExprKind::power) {
      budget.spend(100);  // more work than a node's
    }
    return apply_integers(kind, left, right);
  }
  return apply_sequences(kind, left, right, budget);
}

Value negate(const Value& value) {
  require_defined(value);
  if (value.is(Kind::real)) return {-value.real()};
  if (!is_whole(value)) raise_type_error("bad operand type for unary -: '" + type_name(value) + "'");
  return negate_integer(value);
}

Value identity(const Value& value) {
  require_defined(value);
  if (!value.is_number()) raise_type_error("bad operand type for unary +: '" + type_name(value) + "'");
  return value.is(Kind::boolean) ? Value(std::int64_t{value.boolean()}) : value;
}

std::int64_t require_index(const Value& value) {
  if (!is_whole(value)) {
    raise_type_error("slice indices must be integers or None or have an __index__ method");
  }
  return clamp_integer(value);
}

bool apply_comparison(std::string_view name, const Value& left, const Value& right, Budget& budget) {
  if (name == "==") return equal(left, right, budget);
  if (name == "!=") return !equal(left, right, budget);
  if (name == "in") return contains(right, left, budget);
  if (name == "not in") return !contains(right, left, budget);
  const int order = compare(left, right, name, budget);
  if (name == "<") return order < 0;
  if (name == "<=") return order <= 0;
  if (name == ">") return order > 0;
  return order >= 0;
}

// ---- slices ----

namespace {

struct SliceRange {
  std::int64_t start, stop, step, count;
};

std::int64_t slice_index(const Value& value, std::int64_t fallback) {
  return value.is_none() ? fallback : require_index(value);
}

/// slice.indices(length)
SliceRange resolve(const Value& start, const Value& stop, const Value& step, std::int64_t length) {
  SliceRange range{};
  range.step = slice_index(step, 1);
  if (range.step == 0) raise_value_error("slice step cannot be zero");
  range.step = std::max(range.step, -std::numeric_limits<std::int64_t>::max());
  const bool forward = range.step > 0;
  const std::int64_t low = forward ? 0 : -1;
  const std::int64_t high = forward ? length : length - 1;
  const auto place = [&](const Value& bound, std::int64_t fallback) {
    if (bound.is_none()) return fallback;
    std::int64_t index = slice_index(bound, 0);
    if (index < 0) index = index < -length ? low : index + length;
    return std::clamp(index, low, high);
  };
  range.start = place(start, forward ? low : high);
  range.stop = place(stop, forward ? high : low);
  const std::int64_t span = forward ? range.stop - range.start : range.start - range.stop;
  const std::int64_t stride = forward ? range.step : -range.step;
  range.count = span <= 0 ? 0 : (span - 1) / stride + 1;
  return range;
}

Value slice_string(const Value& value, const Value& start, const Value& stop, const Value& step,
                   Budget& budget) {
  const std::string& text = value.string();
  budget.scan(text.size());
  const bool ascii = is_ascii(text);
  const auto length = static_cast<std::int64_t>(ascii ? text.size() : count_codepoints(text));
  const SliceRange range = resolve(start, stop, step, length);
  if (range.step == 1) {
    const auto first = static_cast<std::size_t>(range.start);
    const auto count = static_cast<std::size_t>(range.count);
    const std::size_t begin = ascii ? first : char_offset(text, first);
    const std::size_t size = ascii ? count : char_offset(std::string_view(text).substr(begin), count);
    budget.make(size);
    return {text.substr(begin, size), value.is_markup()};
  }
  budget.make(text.size());
  const std::u32string characters = to_chars(text);
  std::string result;
  for (std::int64_t i = 0; i < range.count; ++i) {
    append_char(result, characters[static_cast<std::size_t>(range.start + i * range.step)]);
  }
  return {std::move(result), value.is_markup()};
}

}  // namespace

Value take_slice(const Value& value, const Value& start, const Value& stop, const Value& step,
                 Budget& budget) {
  if (value.is_string()) return slice_string(value, start, stop, step, budget);
  const auto whole = value.as<RangeObject>();
  if (value.is_dict()) raise_type_error("unhashable type: 'slice'");
  if (!whole && !value.is_sequence()) {
    raise_type_error("'" + type_name(value) + "' object is not subscriptable");
  }
  const SliceRange range = resolve(start, stop, step, length(value));
  if (whole) {
    std::int64_t offset = 0, first = 0, by = 0, span = 0, last = 0;
    if (__builtin_mul_overflow(range.start, whole->step, &offset) ||
        __builtin_add_overflow(whole->start, offset, &first) ||
        __builtin_mul_overflow(whole->step, range.step, &by) ||
        __builtin_mul_overflow(by, range.count, &span) || __builtin_add_overflow(first, span, &last)) {
      raise("OverflowError", "Python int too large to convert to C ssize_t");
    }
    return {ObjectRef(std::make_shared<RangeObject>(first, last, by))};
  }
  budget.scan(static_cast<std::uint64_t>(range.count) * sizeof(Value));
  std::vector<Value> items;
  items.reserve(static_cast<std::size_t>(range.count));
  for (std::int64_t i = 0; i < range.count; ++i) {
    items.push_back(value.items()[static_cast<std::size_t>(range.start + i * range.step)]);
  }
  return value.is(Kind::list) ? make_list(std::move(items), budget) : make_tuple(std::move(items), budget);
}

}  // namespace touchstone::jinja
