#include "text/jinja_interpreter.h"

#include <algorithm>

#include "text/jinja_operators.h"
#include "text/jinja_print.h"
#include "text/jinja_unicode.h"
#include "text/unicode.h"

namespace touchstone::jinja {

// What a scope, a macro or a namespace takes beside its values, roughly.
constexpr std::uint64_t kObjectBytes = 128;

void Scope::set(std::string_view name, Value value, Budget& budget) {
  budget.spend(1 + variables_.size() / 8);
  for (auto& [known, variable] : variables_) {
    if (known == name) {
      variable = std::move(value);
      return;
    }
  }
  budget.make(sizeof(variables_.front()));
  variables_.emplace_back(name, std::move(value));
}

const Value* Scope::find(std::string_view name, Budget& budget) const {
  for (const Scope* scope = this; scope != nullptr; scope = scope->outer_.get()) {
    budget.spend(scope->variables_.size() / 8);
    for (const auto& [known, variable] : scope->variables_) {
      if (known == name) return &variable;
    }
  }
  return nullptr;
}

Interpreter::Interpreter(const Block& block, const TemplateLimits& limits, const RenderOptions& options)
    : block_(block), options_(options), budget_{.limits = limits} {}

Interpreter::~Interpreter() {
  for (const auto& space : namespaces_) space->attributes = Dict();
  for (const auto& scope : captured_) scope->clear();
  for (const auto& loop : changed_loops_) loop->last_changed.reset();
}

RenderedText Interpreter::run(const boost::json::object& context) {
  RenderedText rendered;
  output_ = &rendered.text;
  try {
    for (const auto& [name, value] : context)
      context_.set(Value(std::string(name)), from_json(value, budget_));
    top_ = make_scope(nullptr);
    execute(block_, top_, rendered.text);
  } catch (Raised& raised) {
    if (raised.line == 0) raised.line = line_;
    throw;
  }
  rendered.generated = std::move(generated_);
  return rendered;
}

ScopePtr Interpreter::make_scope(const ScopePtr& outer) {
  budget_.spend();
  return std::make_shared<Scope>(outer);
}

Value Interpreter::make_namespace(Dict attributes) {
  budget_.make(kObjectBytes + attributes.size() * sizeof(Dict::Entry));
  auto space = std::make_shared<NamespaceObject>();
  space->attributes = std::move(attributes);
  namespaces_.push_back(space);
  return {ObjectRef(std::move(space))};
}

// ---- statements ----

Interpreter::Flow Interpreter::execute(const Block& block, const ScopePtr& scope, std::string& out) {
  const DepthGuard guard(budget_);
  for (const Stmt& statement : block) {
    budget_.spend();
    const Flow flow = execute_statement(statement, scope, out);
    if (flow != Flow::normal) return flow;
  }
  return Flow::normal;
}

Interpreter::Flow Interpreter::execute_statement(const Stmt& statement, const ScopePtr& scope,
                                                 std::string& out) {
  line_ = statement.line;
  switch (statement.kind) {
    case StmtKind::text:
      budget_.make(statement.text.size());
      out += statement.text;
      break;
    case StmtKind::output:
      print(evaluate(*statement.value, scope), out);
      break;
    case StmtKind::conditional:
      return execute_condition(statement, scope, out);
    case StmtKind::loop:
      return execute_loop(statement, scope, out);
    case StmtKind::assign:
      check_namespaces(*statement.target, scope);
      assign(*statement.target, evaluate(*statement.value, scope), scope);
      break;
    case StmtKind::assign_block:
      return execute_assign_block(statement, scope);
    case StmtKind::with:
      return execute_with(statement, scope, out);
    case StmtKind::macro:
      define_macro(statement, scope);
      break;
    case StmtKind::call_block:
      execute_call_block(statement, scope, out);
      break;
    case StmtKind::filter_block:
      return execute_filter_block(statement, scope, out);
    case StmtKind::generation:
      execute_generation(statement, scope, out);
      break;
    case StmtKind::autoescape:
      return execute_autoescape(statement, scope, out);
    case StmtKind::block:
      return execute(statement.body, make_scope(statement.recursive ? scope : top_), out);
    case StmtKind::break_loop:
      return Flow::break_loop;
    case StmtKind::continue_loop:
      return Flow::continue_loop;
    case StmtKind::load:
      raise_type_error("no loader for this environment specified");
  }
  return Flow::normal;
}

void Interpreter::print(const Value& value, std::string& out) {
  if (autoescape_) {
    out += to_markup(value, budget_);
  } else if (value.is_string()) {
    budget_.make(value.string().size());
    out += value.string();
  } else {
    out += to_str(value, budget_);
  }
}

Interpreter::Flow Interpreter::execute_condition(const Stmt& statement, const ScopePtr& scope,
                                                 std::string& out) {
  for (const Branch& branch : statement.branches) {
    if (!branch.test || truthy(evaluate(*branch.test, scope))) return execute(branch.body, scope, out);
  }
  return Flow::normal;
}

Interpreter::Flow Interpreter::execute_loop(const Stmt& statement, const ScopePtr& scope, std::string& out) {
  return run_loop(statement, evaluate(*statement.value, scope), 0, scope, out);
}

std::vector<Value> Interpreter::filter_items(const Stmt& statement, std::vector<Value> items,
                                             const ScopePtr& scope) {
  if (!statement.test) return items;
  std::vector<Value> kept;
  for (Value& item : items) {
    const ScopePtr inner = make_scope(scope);
    assign(*statement.target, item, inner);
    if (truthy(evaluate(*statement.test, inner))) kept.push_back(std::move(item));
  }
  return kept;
}

Interpreter::Flow Interpreter::run_loop(const Stmt& statement, const Value& iterable, int level,
                                        const ScopePtr& scope, std::string& out) {
  auto loop = std::make_shared<LoopObject>();
  loop->items = filter_items(statement, iterate(iterable, budget_), scope);
  budget_.make(kObjectBytes + loop->items.size());
  loop->depth = depth_above(loop->items);
  loop->level = level;
  if (statement.recursive) {
    loop->recursion = &statement;
    loop->scope = scope;
    captured_.push_back(scope);
  }
  const Value loop_value{ObjectRef(loop)};
  bool completed = false;
  for (; loop->index < loop->items.size(); ++loop->index) {
    const ScopePtr inner = make_scope(scope);
    inner->set("loop", loop_value, budget_);
    assign(*statement.target, loop->items[loop->index], inner);
    const Flow flow = execute(statement.body, inner, out);
    if (flow == Flow::break_loop) break;
    completed |= flow == Flow::normal;
  }
  // As Jinja: also where each round that began was left by a break or a continue.
  if (completed || statement.otherwise.empty()) return Flow::normal;
  return execute(statement.otherwise, make_scope(scope), out);
}

Interpreter::Flow Interpreter::execute_assign_block(const Stmt& statement, const ScopePtr& scope) {
  std::string text;
  const Flow flow = execute(statement.body, make_scope(scope), text);
  if (flow != Flow::normal) return flow;
  Value value(std::move(text), autoescape_);
  if (statement.value) value = evaluate_filter(*statement.value, scope, &value);
  assign(*statement.target, value, scope);
  return Flow::normal;
}

Interpreter::Flow Interpreter::execute_filter_block(const Stmt& statement, const ScopePtr& scope,
                                                    std::string& out) {
  std::string text;
  const Flow flow = execute(statement.body, make_scope(scope), text);
  if (flow != Flow::normal) return flow;
  const Value value(std::move(text), autoescape_);
  print(evaluate_filter(*statement.value, scope, &value), out);
  return Flow::normal;
}

Interpreter::Flow Interpreter::execute_with(const Stmt& statement, const ScopePtr& scope, std::string& out) {
  const ScopePtr inner = make_scope(scope);
  std::vector<Value> values;
  for (const auto& [target, value] : statement.pairs) values.push_back(evaluate(*value, scope));
  for (std::size_t i = 0; i < values.size(); ++i) assign(*statement.pairs[i].first, values[i], inner);
  return execute(statement.body, inner, out);
}

void Interpreter::execute_call_block(const Stmt& statement, const ScopePtr& scope, std::string& out) {
  print(evaluate_call(*statement.value, scope, make_macro(statement.macro, scope)), out);
}

void Interpreter::execute_generation(const Stmt& statement, const ScopePtr& scope, std::string& out) {
  const Value text = call(make_macro(statement.macro, scope), {});
  // Only what has gone out so far is counted, so that all blocks together are counted once.
  counted_chars_ += count_codepoints(std::string_view(*output_).substr(counted_bytes_));
  counted_bytes_ = output_->size();
  generated_.emplace_back(counted_chars_, counted_chars_ + count_codepoints(text.string()));
  print(text, out);
}

Interpreter::Flow Interpreter::execute_autoescape(const Stmt& statement, const ScopePtr& scope,
                                                  std::string& out) {
  const bool escaped_outside = autoescape_;
  autoescape_ = truthy(evaluate(*statement.value, scope));
  const Flow flow = execute(statement.body, make_scope(scope), out);
  autoescape_ = escaped_outside;
  return flow;
}

// ---- assignment ----

namespace {

[[noreturn]] void raise_unpack_count(std::size_t expected, std::size_t got) {
  if (got > expected) {
    raise_value_error("too many values to unpack (expected " + std::to_string(expected) + ")");
  }
  raise_value_error("not enough values to unpack (expected " + std::to_string(expected) + ", got " +
                    std::to_string(got) + ")");
}

}  // namespace

void Interpreter::check_namespaces(const Expr& target, const ScopePtr& scope) {
  if (target.kind == ExprKind::name) return;
  if (target.kind == ExprKind::tuple) {
    for (const ExprPtr& child : target.children) check_namespaces(*child, scope);
  } else if (!look_up(target.children.front()->name, scope).as<NamespaceObject>()) {
    raise("TemplateRuntimeError", "cannot assign attribute on non-namespace object");
  }
}

void Interpreter::assign(const Expr& target, const Value& value, const ScopePtr& scope) {
  if (target.kind == ExprKind::name) return scope->set(target.name, value, budget_);
  if (target.kind == ExprKind::tuple) {
    if (!is_iterable(value)) raise_type_error("cannot unpack non-iterable " + type_name(value) + " object");
    const std::vector<Value> items = iterate(value, budget_);
    if (items.size() != target.children.size()) raise_unpack_count(target.children.size(), items.size());
    for (std::size_t i = 0; i < items.size(); ++i) assign(*target.children[i], items[i], scope);
    return;
  }
  const auto space = look_up(target.children.front()->name, scope).as<NamespaceObject>();
  if (!space) raise("TemplateRuntimeError", "cannot assign attribute on non-namespace object");
  check_namespace_name(target.name);
  budget_.make(sizeof(Dict::Entry));
  space->attributes.set(Value(target.name), value);
}

// ---- macros ----

Value Interpreter::make_macro(std::shared_ptr<const MacroDefinition> definition, const ScopePtr& scope) {
  budget_.make(kObjectBytes);
  captured_.push_back(scope);
  return {ObjectRef(std::make_shared<MacroObject>(std::move(definition), scope))};
}

void Interpreter::define_macro(const Stmt& statement, const ScopePtr& scope) {
  scope->set(statement.macro->name, make_macro(statement.macro, scope), budget_);
}

namespace {

/// Takes the named argument out, if it was given.
std::optional<Value> take_named(CallArguments& arguments, std::string_view name) {
  const auto found = std::find_if(arguments.named.begin(), arguments.named.end(),
                                  [&](const auto& argument) { return argument.first == name; });
  if (found == arguments.named.end()) return std::nullopt;
  Value value = std::move(found->second);
  arguments.named.erase(found);
  return value;
}

void refuse_named(const MacroObject& macro, const CallArguments& rest) {
  if (rest.named.empty()) return;
  if (rest.find("caller") != nullptr) {
    raise_type_error(
        "macro " + macro.quoted_name() +
        " was invoked with two values for the special caller argument. This is most likely a bug.");
  }
  raise_type_error("macro " + macro.quoted_name() + " takes no keyword argument " +
                   quote(rest.named.front().first));
}

}  // namespace

Value Interpreter::call_macro(const MacroObject& macro, const CallArguments& arguments) {
  const MacroDefinition& definition = *macro.definition;
  const ScopePtr inner = make_scope(macro.scope);
  CallArguments rest = arguments;
  std::vector<const Parameter*> missing;
  for (std::size_t i = 0; i < definition.parameters.size(); ++i) {
    const Parameter& parameter = definition.parameters[i];
    if (i < arguments.positional.size()) {
      inner->set(parameter.name, arguments.positional[i], budget_);
    } else if (std::optional<Value> value = take_named(rest, parameter.name)) {
      inner->set(parameter.name, std::move(*value), budget_);
    } else if (parameter.fallback) {
      inner->set(parameter.name, evaluate(*parameter.fallback, inner), budget_);
    } else {
      inner->set(parameter.name, make_undefined("parameter " + quote(parameter.name) + " was not provided"),
                 budget_);
    }
  }
  if (definition.uses_caller) {
    const std::optional<Value> caller = take_named(rest, "caller");
    inner->set("caller", caller && !caller->is_none() ? *caller : make_undefined("No caller defined"),
               budget_);
  }
  if (definition.uses_kwargs) {
    Dict named;
    for (auto& [name, value] : rest.named) named.set(Value(name), std::move(value));
    inner->set("kwargs", make_dict(std::move(named)), budget_);
  } else {
    refuse_named(macro, rest);
  }
  const std::size_t count = definition.parameters.size();
  std::vector<Value> extra;
  for (std::size_t i = count; i < arguments.positional.size(); ++i) extra.push_back(arguments.positional[i]);
  if (definition.uses_varargs) {
    inner->set("varargs", make_tuple(std::move(extra), budget_), budget_);
  } else if (!extra.empty()) {
    raise_type_error("macro " + macro.quoted_name() + " takes not more than " + std::to_string(count) +
                     " argument(s)");
  }
  std::string text;
  const int line = line_;
  execute(definition.body, inner, text);
  line_ = line;
  return {std::move(text), autoescape_};
}

// ---- loops as objects ----

Value Interpreter::call_loop(LoopObject& loop, const CallArguments& arguments) {
  if (loop.recursion == nullptr) {
    raise_type_error("The loop must have the 'recursive' marker to be called recursively.");
  }
  if (arguments.positional.size() != 1) {
    raise_type_error("LoopContext.__call__() missing 1 required positional argument: 'iterable'");
  }
  std::string text;
  run_loop(*loop.recursion, arguments.positional.front(), loop.level + 1, loop.scope, text);
  return {std::move(text), autoescape_};
}

Value Interpreter::call_loop_method(const ObjectRef& loop_object, std::string_view name,
                                    const CallArguments& arguments) {
  auto& loop = static_cast<LoopObject&>(*loop_object);
  if (name == "cycle") {
    if (arguments.positional.empty()) raise_type_error("no items for cycling given");
    return arguments.positional[loop.index % arguments.positional.size()];
  }
  const auto same = [&](const std::vector<Value>& before) {
    return std::equal(before.begin(), before.end(), arguments.positional.begin(), arguments.positional.end(),
                      [&](const Value& left, const Value& right) { return equal(left, right, budget_); });
  };
  if (loop.last_changed && same(*loop.last_changed)) return {false};
  budget_.make(kObjectBytes);
  changed_loops_.push_back(std::static_pointer_cast<LoopObject>(loop_object));
  loop.last_changed = arguments.positional;
  return {true};
}

std::optional<Value> Interpreter::loop_attribute(const Value& value, std::string_view name) {
  const auto loop = value.as<LoopObject>();
  const auto index = static_cast<std::int64_t>(loop->index);
  const auto size = static_cast<std::int64_t>(loop->items.size());
  if (name == "index") return Value(index + 1);
  if (name == "index0") return Value(index);
  if (name == "revindex") return Value(size - index);
  if (name == "revindex0") return Value(size - index - 1);
  if (name == "first") return Value(index == 0);
  if (name == "last") return Value(index + 1 == size);
  if (name == "length") return Value(size);
  if (name == "depth") return Value(loop->level + 1);
  if (name == "depth0") return Value(loop->level);
  if (name == "previtem") {
    return index == 0 ? make_undefined("there is no previous item") : loop->items[loop->index - 1];
  }
  if (name == "nextitem") {
    return index + 1 == size ? make_undefined("there is no next item") : loop->items[loop->index + 1];
  }
  if (name == "cycle" || name == "changed") {
    auto method = std::make_shared<MethodObject>(value, std::string(name));
    method->depth = loop->depth + 1;
    return Value(ObjectRef(std::move(method)));
  }
  return std::nullopt;
}

}  // namespace touchstone::jinja
