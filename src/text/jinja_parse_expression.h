// Tokens -> expressions.
#pragma once

#include <functional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "text/jinja_ast.h"
#include "text/jinja_lexer.h"

namespace touchstone::jinja {

// The deepest templates that people write nest some tens of levels. Parsing recurses about ten calls a level.
inline constexpr int kMaxNesting = 200;
// Operators and look-ups in a chain (a + b + c + …) make a tree that deep; evaluating recurses along it.
inline constexpr int kMaxExpressionDepth = 400;

[[noreturn]] void raise_syntax_error(std::string message, int line,
                                     std::string_view type = "TemplateSyntaxError");

class TokenStream {
 public:
  explicit TokenStream(std::vector<Token> tokens);
  const Token& current() const { return tokens_[position_]; }
  const Token& peek() const { return tokens_[std::min(position_ + 1, tokens_.size() - 1)]; }
  /// The current token; moves past it. Raises what the lexer could not read.
  Token next();
  bool at(TokenKind kind) const { return current().kind == kind; }
  bool at_symbol(std::string_view symbol) const { return is_symbol(current(), symbol); }
  bool at_name(std::string_view name) const { return is_name(current(), name); }
  bool skip_symbol(std::string_view symbol);
  bool skip_name(std::string_view name);
  Token expect(TokenKind kind);
  void expect_symbol(std::string_view symbol);
  Token expect_name(std::string_view name);

  static bool is_symbol(const Token& token, std::string_view symbol) {
    return token.kind == TokenKind::symbol && token.text == symbol;
  }
  static bool is_name(const Token& token, std::string_view name) {
    return token.kind == TokenKind::name && token.text == name;
  }

 private:
  void check_failure() const;
  [[noreturn]] void raise_unexpected(const std::string& expected) const;

  std::vector<Token> tokens_;
  std::size_t position_ = 0;
};

/// Counts nested constructs while they are being parsed.
class NestingGuard {
 public:
  NestingGuard(int& depth, int line);
  ~NestingGuard() { --depth_; }
  NestingGuard(const NestingGuard&) = delete;
  NestingGuard& operator=(const NestingGuard&) = delete;

 private:
  int& depth_;
};

/// The special names that the macro being parsed has been seen to use.
struct MacroUses {
  bool caller = false, varargs = false, kwargs = false;
};

class ExpressionParser {
 public:
  explicit ExpressionParser(std::vector<Token> tokens) : tokens_(std::move(tokens)) {}

 protected:
  ExprPtr parse_expression() { return parse_conditional(); }
  /// Expressions with commas between them make a tuple.
  ExprPtr parse_tuple(bool with_conditional = true, bool parenthesized = false);
  /// What can stand left of "=" or "in": names, tuples of them, and `namespace.attribute` where allowed.
  ExprPtr parse_target(bool with_namespace);
  std::string parse_target_name();
  ExprPtr parse_filters(ExprPtr value, bool start_inline);
  [[noreturn]] void fail(std::string message) const;

  TokenStream tokens_;
  int nesting_ = 0;
  // Unknown filters and tests. Directly inside a condition they are errors only when they come to be
  // applied; elsewhere, and in a scope of its own inside a condition, they make the template invalid, once
  // it has been read to its end.
  std::vector<Raised> unknown_names_;
  std::vector<Raised> refusals_;
  std::vector<MacroUses> macro_uses_;
  std::set<std::string, std::less<>> names_;  // of the variables so far

 private:
  ExprPtr make(ExprKind kind, int line, std::vector<ExprPtr> children = {}) const;
  void note_unknown(std::string message, int line);
  ExprPtr make_constant(Value value, int line) const;
  bool at_tuple_end() const;
  ExprPtr parse_conditional();
  ExprPtr parse_or();
  ExprPtr parse_and();
  ExprPtr parse_not();
  ExprPtr parse_compare();
  bool parse_compare_operator(std::string& name);
  ExprPtr parse_sum();
  ExprPtr parse_concatenation();
  ExprPtr parse_product();
  ExprPtr parse_power();
  ExprPtr parse_unary(bool with_filter = true);
  ExprPtr parse_primary(bool with_namespace = false);
  ExprPtr parse_name(bool with_namespace);
  ExprPtr parse_list();
  ExprPtr parse_dict();
  ExprPtr parse_postfix(ExprPtr value);
  ExprPtr parse_filter_chain(ExprPtr value);
  ExprPtr parse_subscript(ExprPtr value);
  ExprPtr parse_slice_or_index();
  ExprPtr parse_slice_part();
  ExprPtr parse_call(ExprPtr callee);
  Arguments parse_arguments();
  ExprPtr parse_test(ExprPtr value);
  std::string parse_dotted_name();
};

}  // namespace touchstone::jinja
