// What a template parses to.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "text/jinja_value.h"

namespace touchstone::jinja {

struct Expr;
using ExprPtr = std::unique_ptr<Expr>;

enum class ExprKind : std::uint8_t {
  constant,
  name,
  list,
  tuple,
  dict,  // children: key, value, key, value, …
  attribute,
  subscript,
  slice,  // children: start, stop, step; each may be null
  call,
  filter,  // children: the value; null where a block's text is filtered
  test,
  logical_not,
  logical_and,
  logical_or,
  negative,
  positive,
  add,
  subtract,
  multiply,
  divide,
  floor_divide,
  modulo,
  power,
  concatenate,
  compare,      // a < b < c: children a, b, c and two operators
  conditional,  // children: test, then, else (may be null)
};

/// f(a, b, key=c, *d, **e)
struct Arguments {
  std::vector<ExprPtr> positional;
  std::vector<std::pair<std::string, ExprPtr>> named;
  ExprPtr star;
  ExprPtr double_star;
};

struct Expr {
  ExprKind kind;
  int line;
  int depth = 1;     // levels of expressions below and with this one
  std::string name;  // of the variable, attribute, filter or test
  Value value;       // of a constant
  std::vector<ExprPtr> children;
  std::vector<std::string> operators;
  Arguments arguments;
};

enum class StmtKind : std::uint8_t {
  text,
  output,
  conditional,
  loop,
  assign,
  assign_block,
  with,
  macro,
  call_block,
  filter_block,
  generation,
  autoescape,
  block,
  break_loop,
  continue_loop,
  load,  // extends, include, import: there is nothing to load from
};

struct Stmt;
using Block = std::vector<Stmt>;

struct Branch {
  ExprPtr test;  // null: else
  Block body;
};

struct Parameter {
  std::string name;
  ExprPtr fallback;  // may be null
};

/// A macro, or the body of a call block.
struct MacroDefinition {
  std::string name;
  std::vector<Parameter> parameters;
  Block body;
  bool uses_caller = false, uses_varargs = false, uses_kwargs = false;
};

struct Stmt {
  StmtKind kind;
  int line;
  std::string text;
  ExprPtr target;  // of an assignment or a loop: a name, a tuple, or `namespace.attribute`
  ExprPtr value;   // what is printed, assigned, looped over, called or applied as a filter
  ExprPtr test;    // a loop's condition
  bool recursive = false;
  std::vector<Branch> branches;                    // of a condition
  std::vector<std::pair<ExprPtr, ExprPtr>> pairs;  // of `with`
  std::shared_ptr<const MacroDefinition> macro;
  Block body;
  Block otherwise;  // a loop's else
};

}  // namespace touchstone::jinja
