// The filters, tests and global functions that a template can name.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "text/jinja_value.h"

namespace touchstone::jinja {

class Interpreter;

/// Evaluated arguments of a call.
struct CallArguments {
  std::vector<Value> positional;
  std::vector<std::pair<std::string, Value>> named;

  const Value* find(std::string_view name) const;
};

/// The arguments of one call laid out by its parameters; raises TypeError as Python does.
class BoundArguments {
 public:
  /// `parameters`: names with commas between; the first `required` ones must be given.
  BoundArguments(std::string_view function, std::string_view parameters, std::size_t required,
                 const CallArguments& arguments);
  bool has(std::size_t index) const { return given_[index].has_value(); }
  /// Whether it was given and is not none.
  bool has_value(std::size_t index) const { return has(index) && !given_[index]->is_none(); }
  const Value& operator[](std::size_t index) const { return *given_[index]; }
  Value get(std::size_t index, const Value& fallback) const { return has(index) ? *given_[index] : fallback; }
  bool flag(std::size_t index, bool fallback = false) const {
    return has(index) ? truthy(*given_[index]) : fallback;
  }
  /// The parameter as an integer; raises TypeError.
  std::int64_t integer(std::size_t index, std::int64_t fallback) const;

 private:
  std::vector<std::optional<Value>> given_;
};

/// The arguments of a method of Python's own types, which takes none by keyword: its errors are worded as
/// CPython's.
BoundArguments bind_positional(std::string_view type, std::string_view method, std::string_view parameters,
                               std::size_t required, const CallArguments& arguments);

/// An integer argument; raises TypeError for other types.
std::int64_t require_integer(const Value& value);
/// A string argument; raises TypeError naming the type that came instead.
const std::string& require_string(const Value& value, std::string_view what = {});

bool is_filter(std::string_view name);
bool is_test(std::string_view name);
/// Raise TemplateRuntimeError for unknown names.
Value apply_filter(Interpreter& interpreter, std::string_view name, const Value& value,
                   const CallArguments& arguments);
bool apply_test(Interpreter& interpreter, std::string_view name, const Value& value,
                const CallArguments& arguments);

/// The function of this name, if there is one.
std::optional<Value> find_global(std::string_view name);
Value call_global(Interpreter& interpreter, std::string_view name, const CallArguments& arguments);
/// A method of a string, list, tuple, dict, number or range: whether there is one, and its call.
bool has_method(const Value& value, std::string_view name);
Value call_method(Interpreter& interpreter, const Value& self, std::string_view name,
                  const CallArguments& arguments);
Value call_string_method(Interpreter& interpreter, const Value& self, std::string_view name,
                         const CallArguments& arguments);
bool has_string_method(std::string_view name);

// Tables that find_filter() looks through, one a file.
using FilterFunction = Value (*)(Interpreter&, const Value&, const BoundArguments&);
using VariadicFilterFunction = Value (*)(Interpreter&, const Value&, const CallArguments&);
struct FilterEntry {
  std::string_view name;
  std::string_view function;    // Jinja's name for it, in messages
  std::string_view parameters;  // after the value
  std::size_t required;
  FilterFunction apply;
  VariadicFilterFunction apply_variadic;  // instead, for those that take any arguments
};
const std::vector<FilterEntry>& text_filters();
const std::vector<FilterEntry>& number_filters();
const std::vector<FilterEntry>& sequence_filters();

}  // namespace touchstone::jinja
