// Python's operators.
#pragma once

#include <string_view>

#include "text/jinja_ast.h"
#include "text/jinja_value.h"

namespace touchstone::jinja {

/// add … power. Raises TypeError, ZeroDivisionError, OverflowError.
Value apply_binary(ExprKind kind, const Value& left, const Value& right, Budget& budget);
Value negate(const Value& value);
Value identity(const Value& value);  // unary +
/// A bound of a slice; raises TypeError for what is no integer.
std::int64_t require_index(const Value& value);
/// One link of a comparison: "==", "<", "in", "not in", …
bool apply_comparison(std::string_view name, const Value& left, const Value& right, Budget& budget);

/// `a[start:stop:step]` of a string, list, tuple or range. Raises TypeError for others.
Value take_slice(const Value& value, const Value& start, const Value& stop, const Value& step,
                 Budget& budget);

/// `format % arguments`. Raises TypeError, ValueError as Python does.
Value format_percent(const Value& format, const Value& arguments, Budget& budget);
/// One value by a format specification: "{:>8.2f}".
std::string format_value(const Value& value, std::string_view specification, Budget& budget);

/// Text that is added to markup is escaped first.
std::string to_markup(const Value& value, Budget& budget);

}  // namespace touchstone::jinja
