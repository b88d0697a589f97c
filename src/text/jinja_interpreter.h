// Runs a parsed template.
#pragma once

#include <boost/json.hpp>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "text/jinja_ast.h"
#include "text/jinja_builtins.h"
#include "text/jinja_value.h"

namespace touchstone::jinja {

/// The variables of a block; what is not found here is looked up in the block around it.
class Scope {
 public:
  explicit Scope(std::shared_ptr<Scope> outer) : outer_(std::move(outer)) {}
  void set(std::string_view name, Value value, Budget& budget);
  const Value* find(std::string_view name, Budget& budget) const;
  void clear() { variables_.clear(); }

 private:
  std::vector<std::pair<std::string_view, Value>> variables_;  // names live in the parsed template
  std::shared_ptr<Scope> outer_;
};
using ScopePtr = std::shared_ptr<Scope>;

struct MacroObject : Object {
  static constexpr ObjectKind kKind = ObjectKind::macro;
  MacroObject(std::shared_ptr<const MacroDefinition> macro, ScopePtr around)
      : Object(kKind), definition(std::move(macro)), scope(std::move(around)) {}
  std::string describe() const override { return "<Macro " + quoted_name() + ">"; }
  /// As messages have it; the body of a call block has no name.
  std::string quoted_name() const {
    return definition->name.empty() ? std::string("None") : "'" + definition->name + "'";
  }
  std::shared_ptr<const MacroDefinition> definition;
  ScopePtr scope;  // where it was defined
};

/// `loop`.
struct LoopObject : Object {
  static constexpr ObjectKind kKind = ObjectKind::loop;
  LoopObject() : Object(kKind) {}
  std::string describe() const override {
    return "<LoopContext " + std::to_string(index + 1) + "/" + std::to_string(items.size()) + ">";
  }
  std::vector<Value> items;
  std::size_t index = 0;
  int level = 0;                    // of recursion
  const Stmt* recursion = nullptr;  // the loop to run again when this object is called
  ScopePtr scope;                   // around that loop
  std::optional<std::vector<Value>> last_changed;
};

/// Counts nested evaluations: they recurse on the host's stack.
class DepthGuard {
 public:
  explicit DepthGuard(Budget& budget) : budget_(budget) {
    if (budget_.depth >= budget_.limits.depth) {
      raise_limit("the template nests deeper than " + std::to_string(budget_.limits.depth) +
                  " levels as it runs");
    }
    ++budget_.depth;
  }
  ~DepthGuard() { --budget_.depth; }
  DepthGuard(const DepthGuard&) = delete;
  DepthGuard& operator=(const DepthGuard&) = delete;

 private:
  Budget& budget_;
};

/// How messages name a value's class: "dict object", "None".
std::string describe_owner(const Value& value);
/// Raises SecurityError for names that a namespace must not have.
void check_namespace_name(std::string_view name);

class Interpreter {
 public:
  Interpreter(const Block& block, const TemplateLimits& limits, const RenderOptions& options);
  ~Interpreter();
  Interpreter(const Interpreter&) = delete;
  Interpreter& operator=(const Interpreter&) = delete;

  /// Raises Raised with the line, when it is known.
  RenderedText run(const boost::json::object& context);

  // What filters, tests and functions need:
  Budget& budget() { return budget_; }
  bool autoescape() const { return autoescape_; }
  const RenderOptions& options() const { return options_; }
  Value call(const Value& callee, const CallArguments& arguments);
  /// `value[key]` and `value.name`, with the sandbox's rules. Undefined when there is no such thing.
  Value get_item(const Value& value, const Value& key);
  Value get_attribute(const Value& value, std::string_view name);
  Value make_namespace(Dict attributes);

 private:
  enum class Flow : std::uint8_t { normal, break_loop, continue_loop };

  Value evaluate(const Expr& expr, const ScopePtr& scope);
  Value evaluate_operator(const Expr& expr, const ScopePtr& scope);
  Value evaluate_compare(const Expr& expr, const ScopePtr& scope);
  Value evaluate_concatenation(const Expr& expr, const ScopePtr& scope);
  Value evaluate_dict(const Expr& expr, const ScopePtr& scope);
  Value evaluate_subscript(const Expr& expr, const ScopePtr& scope);
  Value evaluate_call(const Expr& expr, const ScopePtr& scope, std::optional<Value> caller);
  Value evaluate_filter(const Expr& expr, const ScopePtr& scope, const Value* block_text);
  std::vector<Value> evaluate_all(const std::vector<ExprPtr>& exprs, const ScopePtr& scope);
  CallArguments evaluate_arguments(const Arguments& arguments, const ScopePtr& scope);
  Value look_up(std::string_view name, const ScopePtr& scope);

  Flow execute(const Block& block, const ScopePtr& scope, std::string& out);
  Flow execute_statement(const Stmt& statement, const ScopePtr& scope, std::string& out);
  Flow execute_condition(const Stmt& statement, const ScopePtr& scope, std::string& out);
  Flow execute_loop(const Stmt& statement, const ScopePtr& scope, std::string& out);
  Flow run_loop(const Stmt& statement, const Value& iterable, int level, const ScopePtr& scope,
                std::string& out);
  std::vector<Value> filter_items(const Stmt& statement, std::vector<Value> items, const ScopePtr& scope);
  Flow execute_assign_block(const Stmt& statement, const ScopePtr& scope);
  Flow execute_filter_block(const Stmt& statement, const ScopePtr& scope, std::string& out);
  Flow execute_with(const Stmt& statement, const ScopePtr& scope, std::string& out);
  void execute_call_block(const Stmt& statement, const ScopePtr& scope, std::string& out);
  void execute_generation(const Stmt& statement, const ScopePtr& scope, std::string& out);
  Flow execute_autoescape(const Stmt& statement, const ScopePtr& scope, std::string& out);
  void define_macro(const Stmt& statement, const ScopePtr& scope);
  /// Raises where `target` names an attribute of what is no namespace: before the value is evaluated.
  void check_namespaces(const Expr& target, const ScopePtr& scope);
  void assign(const Expr& target, const Value& value, const ScopePtr& scope);
  void print(const Value& value, std::string& out);

  ScopePtr make_scope(const ScopePtr& outer);
  Value make_macro(std::shared_ptr<const MacroDefinition> definition, const ScopePtr& scope);
  Value call_macro(const MacroObject& macro, const CallArguments& arguments);
  Value call_loop(LoopObject& loop, const CallArguments& arguments);
  Value call_loop_method(const ObjectRef& loop_object, std::string_view name, const CallArguments& arguments);
  std::optional<Value> loop_attribute(const Value& value, std::string_view name);
  std::optional<Value> object_attribute(const Value& value, std::string_view name);
  std::optional<Value> find_item(const Value& value, const Value& key);
  std::optional<Value> find_attribute(const Value& value, std::string_view name);

  const Block& block_;
  RenderOptions options_;
  Budget budget_;
  Dict context_;
  ScopePtr top_;
  std::string* output_ = nullptr;  // of the whole template
  std::vector<std::pair<std::size_t, std::size_t>> generated_;
  std::size_t counted_bytes_ = 0, counted_chars_ = 0;  // how far output_ has been counted for generated_
  bool autoescape_ = false;
  int line_ = 0;
  // Namespaces, loop.changed() and what macros capture can hold each other in circles: kept here, and emptied
  // at the end.
  std::vector<std::shared_ptr<NamespaceObject>> namespaces_;
  std::vector<ScopePtr> captured_;
  std::vector<std::shared_ptr<LoopObject>> changed_loops_;
};

}  // namespace touchstone::jinja
