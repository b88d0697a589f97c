// The half of the interpreter that evaluates expressions.
#include <algorithm>
#include <array>

#include "text/jinja_int.h"
#include "text/jinja_interpreter.h"
#include "text/jinja_operators.h"
#include "text/jinja_print.h"
#include "text/jinja_unicode.h"

namespace touchstone::jinja {

Value Interpreter::look_up(std::string_view name, const ScopePtr& scope) {
  if (const Value* variable = scope->find(name, budget_)) return *variable;
  if (const Value* variable = context_.find(name)) return *variable;
  if (std::optional<Value> global = find_global(name)) return *std::move(global);
  return make_undefined(quote(name) + " is undefined");
}

Value Interpreter::evaluate(const Expr& expr, const ScopePtr& scope) {
  budget_.spend();
  const DepthGuard guard(budget_);
  switch (expr.kind) {
    case ExprKind::constant:
      return expr.value;
    case ExprKind::name:
      return look_up(expr.name, scope);
    case ExprKind::list:
      return make_list(evaluate_all(expr.children, scope), budget_);
    case ExprKind::tuple:
      return make_tuple(evaluate_all(expr.children, scope), budget_);
    case ExprKind::dict:
      return evaluate_dict(expr, scope);
    case ExprKind::attribute: {
      const Value value = evaluate(*expr.children.front(), scope);
      line_ = expr.line;
      return get_attribute(value, expr.name);
    }
    case ExprKind::subscript:
      return evaluate_subscript(expr, scope);
    case ExprKind::slice:
      raise_type_error("a slice is not a value");  // a[1:2, 3]
    case ExprKind::call:
      return evaluate_call(expr, scope, std::nullopt);
    case ExprKind::filter:
      return evaluate_filter(expr, scope, nullptr);
    case ExprKind::test: {
      if (!is_test(expr.name)) raise("TemplateRuntimeError", "No test named " + quote(expr.name) + " found.");
      const Value value = evaluate(*expr.children.front(), scope);
      const CallArguments arguments = evaluate_arguments(expr.arguments, scope);
      line_ = expr.line;
      return {apply_test(*this, expr.name, value, arguments)};
    }
    case ExprKind::conditional:
      if (truthy(evaluate(*expr.children[0], scope))) return evaluate(*expr.children[1], scope);
      if (expr.children[2]) return evaluate(*expr.children[2], scope);
      return make_undefined("the inline if-expression on line " + std::to_string(expr.line) +
                            " evaluated to false and no else section was defined.");
    case ExprKind::logical_and: {
      Value left = evaluate(*expr.children[0], scope);
      return truthy(left) ? evaluate(*expr.children[1], scope) : left;
    }
    case ExprKind::logical_or: {
      Value left = evaluate(*expr.children[0], scope);
      return truthy(left) ? left : evaluate(*expr.children[1], scope);
    }
    case ExprKind::compare:
      return evaluate_compare(expr, scope);
    case ExprKind::concatenate:
      return evaluate_concatenation(expr, scope);
    default:
      return evaluate_operator(expr, scope);
  }
}

Value Interpreter::evaluate_operator(const Expr& expr, const ScopePtr& scope) {
  const Value left = evaluate(*expr.children[0], scope);
  switch (expr.kind) {
    case ExprKind::logical_not:
      return {!truthy(left)};
    case ExprKind::negative:
      return negate(left);
    case ExprKind::positive:
      return identity(left);
    default: {
      const Value right = evaluate(*expr.children[1], scope);
      line_ = expr.line;
      return apply_binary(expr.kind, left, right, budget_);
    }
  }
}

Value Interpreter::evaluate_compare(const Expr& expr, const ScopePtr& scope) {
  Value left = evaluate(*expr.children[0], scope);
  for (std::size_t i = 0; i < expr.operators.size(); ++i) {
    Value right = evaluate(*expr.children[i + 1], scope);
    line_ = expr.line;
    if (!apply_comparison(expr.operators[i], left, right, budget_)) return {false};
    left = std::move(right);
  }
  return {true};
}

Value Interpreter::evaluate_concatenation(const Expr& expr, const ScopePtr& scope) {
  const std::vector<Value> parts = evaluate_all(expr.children, scope);
  const bool markup = autoescape_ && std::any_of(parts.begin(), parts.end(),
                                                 [](const Value& part) { return part.is_markup(); });
  std::string text;
  for (const Value& part : parts) {
    const std::string piece = markup ? to_markup(part, budget_) : to_str(part, budget_);
    budget_.make(piece.size());
    text += piece;
  }
  return {std::move(text), markup};
}

Value Interpreter::evaluate_dict(const Expr& expr, const ScopePtr& scope) {
  budget_.make(expr.children.size() * sizeof(Value));
  Dict dict;
  for (std::size_t i = 0; i + 1 < expr.children.size(); i += 2) {
    const Value key = evaluate(*expr.children[i], scope);
    dict.set(key, evaluate(*expr.children[i + 1], scope));
  }
  return make_dict(std::move(dict));
}

Value Interpreter::evaluate_subscript(const Expr& expr, const ScopePtr& scope) {
  const Value value = evaluate(*expr.children[0], scope);
  const Expr& index = *expr.children[1];
  if (index.kind != ExprKind::slice) {
    const Value key = evaluate(index, scope);
    line_ = expr.line;
    return get_item(value, key);
  }
  std::array<Value, 3> bounds;
  for (std::size_t i = 0; i < bounds.size(); ++i) {
    if (index.children[i]) bounds[i] = evaluate(*index.children[i], scope);
  }
  line_ = expr.line;
  require_defined(value);
  return take_slice(value, bounds[0], bounds[1], bounds[2], budget_);
}

std::vector<Value> Interpreter::evaluate_all(const std::vector<ExprPtr>& exprs, const ScopePtr& scope) {
  std::vector<Value> values;
  values.reserve(exprs.size());
  for (const ExprPtr& expr : exprs) values.push_back(evaluate(*expr, scope));
  return values;
}

CallArguments Interpreter::evaluate_arguments(const Arguments& arguments, const ScopePtr& scope) {
  CallArguments result;
  result.positional = evaluate_all(arguments.positional, scope);
  for (const auto& [name, expr] : arguments.named) {
    if (result.find(name) != nullptr) raise("SyntaxError", "keyword argument repeated: " + name);
    result.named.emplace_back(name, evaluate(*expr, scope));
  }
  if (arguments.star) {
    for (Value& item : iterate(evaluate(*arguments.star, scope), budget_))
      result.positional.push_back(std::move(item));
  }
  if (!arguments.double_star) return result;
  const Value named = evaluate(*arguments.double_star, scope);
  require_defined(named);
  if (!named.is_dict()) raise_type_error("argument after ** must be a mapping, not " + type_name(named));
  for (const auto& [key, value] : named.dict().entries()) {
    if (!key.is_string()) raise_type_error("keywords must be strings");
    budget_.spend(1 + result.named.size() / 8);
    if (result.find(key.string()) != nullptr) {
      raise_type_error("got multiple values for keyword argument " + quote(key.string()));
    }
    result.named.emplace_back(key.string(), value);
  }
  return result;
}

Value Interpreter::evaluate_call(const Expr& expr, const ScopePtr& scope, std::optional<Value> caller) {
  const Value callee = evaluate(*expr.children.front(), scope);
  CallArguments arguments = evaluate_arguments(expr.arguments, scope);
  if (caller) arguments.named.emplace_back("caller", *std::move(caller));
  line_ = expr.line;
  return call(callee, arguments);
}

Value Interpreter::evaluate_filter(const Expr& expr, const ScopePtr& scope, const Value* block_text) {
  const Expr* inner = expr.children.front().get();
  if (!is_filter(expr.name)) raise("TemplateRuntimeError", "No filter named " + quote(expr.name) + " found.");
  Value value;
  if (inner == nullptr) {
    value = *block_text;
  } else if (inner->kind == ExprKind::filter) {
    const DepthGuard guard(budget_);
    budget_.spend();
    value = evaluate_filter(*inner, scope, block_text);
  } else {
    value = evaluate(*inner, scope);
  }
  const CallArguments arguments = evaluate_arguments(expr.arguments, scope);
  line_ = expr.line;
  return apply_filter(*this, expr.name, value, arguments);
}

Value Interpreter::call(const Value& callee, const CallArguments& arguments) {
  budget_.spend();
  const DepthGuard guard(budget_);
  require_defined(callee);
  if (const auto macro = callee.as<MacroObject>()) return call_macro(*macro, arguments);
  if (const auto function = callee.as<FunctionObject>()) return call_global(*this, function->name, arguments);
  if (const auto loop = callee.as<LoopObject>()) return call_loop(*loop, arguments);
  if (const auto joiner = callee.as<JoinerObject>()) {
    return std::exchange(joiner->used, true) ? joiner->separator : Value("");
  }
  if (const auto method = callee.as<MethodObject>()) {
    if (method->self.as<LoopObject>()) {
      return call_loop_method(method->self.object(), method->name, arguments);
    }
    return call_method(*this, method->self, method->name, arguments);
  }
  raise_type_error("'" + type_name(callee) + "' object is not callable");
}

// ---- items and attributes ----

std::string describe_owner(const Value& value) {
  if (value.is_none()) return "None";
  std::string name = type_name(value);
  if (value.is_markup()) return "markupsafe.Markup object";
  if (value.is(Kind::tuple) && value.sequence()->is_group) return "jinja2.filters._GroupTuple object";
  if (value.is(Kind::object)) {
    switch (value.object()->kind) {
      case ObjectKind::name_space:
        name = "transformers.utils.chat_template_utils." + name;
        break;
      case ObjectKind::macro:
      case ObjectKind::loop:
      case ObjectKind::template_reference:
        name = "jinja2.runtime." + name;
        break;
      case ObjectKind::cycler:
      case ObjectKind::joiner:
        name = "jinja2.utils." + name;
        break;
      default:
        break;
    }
  }
  return name + " object";
}

namespace {

Value missing_item(const Value& value, const Value& key, Budget& budget) {
  if (key.is_string())
    return make_undefined(quote(describe_owner(value)) + " has no attribute " + quote(key.string()));
  return make_undefined(describe_owner(value) + " has no element " + to_repr(key, budget));
}

Value unsafe_attribute(const Value& value, std::string_view name) {
  return {UndefinedRef{std::make_shared<const UndefinedInfo>(UndefinedInfo{
      "SecurityError",
      "access to attribute " + quote(name) + " of '" + type_name(value) + "' object is unsafe."})}};
}

/// What would change the value in place: the sandbox forbids it.
bool is_mutator(const Value& value, std::string_view name) {
  static constexpr std::array<std::string_view, 8> kList = {"append", "clear", "pop",    "reverse",
                                                            "insert", "sort",  "extend", "remove"};
  static constexpr std::array<std::string_view, 5> kDict = {"clear", "pop", "popitem", "setdefault",
                                                            "update"};
  if (value.is(Kind::list)) return std::find(kList.begin(), kList.end(), name) != kList.end();
  return value.is_dict() && std::find(kDict.begin(), kDict.end(), name) != kDict.end();
}

/// What every object of the host has, and no template may see.
bool is_host_attribute(std::string_view name) {
  return name.size() > 4 && name.substr(0, 2) == "__" && name.substr(name.size() - 2) == "__";
}

}  // namespace

std::optional<Value> Interpreter::find_item(const Value& value, const Value& key) {
  if (value.is_dict()) {
    if (key.is_string()) budget_.scan(key.string().size());
    if (key.is(Kind::list) || key.is_dict()) return std::nullopt;
    const Value* found = value.dict().find(key);
    return found != nullptr ? std::optional<Value>(*found) : std::nullopt;
  }
  if (!key.is_integer() && !key.is(Kind::boolean)) return std::nullopt;
  const auto range = value.as<RangeObject>();
  if (!value.is_string() && !value.is_sequence() && !range) return std::nullopt;
  std::int64_t index = clamp_integer(key);
  if (value.is_string()) budget_.scan(value.string().size());
  const std::int64_t size = length(value);
  if (index < 0) index = index < -size ? -1 : index + size;
  if (index < 0 || index >= size) return std::nullopt;
  if (range) return Value(range->start + index * range->step);
  if (value.is_sequence()) return value.items()[static_cast<std::size_t>(index)];
  std::size_t position = char_offset(value.string(), static_cast<std::size_t>(index));
  const std::size_t begin = position;
  next_char(value.string(), position);
  return Value(value.string().substr(begin, position - begin), value.is_markup());
}

std::optional<Value> Interpreter::object_attribute(const Value& value, std::string_view name) {
  if (const auto space = value.as<NamespaceObject>()) {
    const Value* found = space->attributes.find(name);
    return found != nullptr ? std::optional<Value>(*found) : std::nullopt;
  }
  if (value.as<LoopObject>()) return loop_attribute(value, name);
  if (const auto macro = value.as<MacroObject>()) {
    if (name == "name") {
      return macro->definition->name.empty() ? Value() : Value(macro->definition->name);
    }
    if (name == "caller") return Value(macro->definition->uses_caller);
    if (name == "catch_kwargs") return Value(macro->definition->uses_kwargs);
    if (name == "catch_varargs") return Value(macro->definition->uses_varargs);
    if (name != "arguments") return std::nullopt;
    std::vector<Value> names;
    for (const Parameter& parameter : macro->definition->parameters) names.emplace_back(parameter.name);
    return make_tuple(std::move(names), budget_);
  }
  if (const auto cycler = value.as<CyclerObject>(); cycler && name == "current") {
    return cycler->items[cycler->position];
  }
  if (const auto range = value.as<RangeObject>()) {
    if (name == "start") return Value(range->start);
    if (name == "stop") return Value(range->stop);
    if (name == "step") return Value(range->step);
  }
  return std::nullopt;
}

std::optional<Value> Interpreter::find_attribute(const Value& value, std::string_view name) {
  if (value.is(Kind::object)) {
    if (std::optional<Value> found = object_attribute(value, name)) return found;
  }
  if (value.is_number()) {
    if (name == "real" || (name == "numerator" && !value.is(Kind::real)))
      return value.is(Kind::boolean) ? identity(value) : value;
    if (name == "imag") return value.is(Kind::real) ? Value(0.0) : Value(0);
    if (name == "denominator" && !value.is(Kind::real)) return Value(1);
  }
  if (value.is(Kind::tuple) && value.sequence()->is_group) {
    if (name == "grouper") return value.items()[0];
    if (name == "list") return value.items()[1];
  }
  if (!has_method(value, name)) return std::nullopt;
  budget_.make(sizeof(MethodObject));
  auto method = std::make_shared<MethodObject>(value, std::string(name));
  method->depth = depth_above({value});
  return Value(ObjectRef(std::move(method)));
}

Value Interpreter::get_attribute(const Value& value, std::string_view name) {
  require_defined(value);
  if (is_mutator(value, name) || is_host_attribute(name)) return unsafe_attribute(value, name);
  if (std::optional<Value> found = find_attribute(value, name)) return *std::move(found);
  const Value key{std::string(name)};
  if (std::optional<Value> found = find_item(value, key)) return *std::move(found);
  return missing_item(value, key, budget_);
}

Value Interpreter::get_item(const Value& value, const Value& key) {
  require_defined(value);
  if (std::optional<Value> found = find_item(value, key)) return *std::move(found);
  if (key.is_string()) {
    if (is_mutator(value, key.string()) || is_host_attribute(key.string())) {
      return unsafe_attribute(value, key.string());
    }
    if (std::optional<Value> found = find_attribute(value, key.string())) return *std::move(found);
  }
  return missing_item(value, key, budget_);
}

}  // namespace touchstone::jinja
