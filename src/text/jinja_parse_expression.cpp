#include "text/jinja_parse_expression.h"

#include <algorithm>
#include <array>

#include "text/jinja_builtins.h"
#include "text/jinja_print.h"

namespace touchstone::jinja {

void raise_syntax_error(std::string message, int line, std::string_view type) {
  Raised raised{std::string(type), std::move(message)};
  raised.line = line;
  throw raised;
}

// ---- tokens ----

TokenStream::TokenStream(std::vector<Token> tokens) : tokens_(std::move(tokens)) { check_failure(); }

void TokenStream::check_failure() const {
  if (at(TokenKind::failure)) raise_syntax_error(current().text, current().line);
}

Token TokenStream::next() {
  Token token = current();
  if (position_ + 1 < tokens_.size()) ++position_;
  check_failure();
  return token;
}

bool TokenStream::skip_symbol(std::string_view symbol) {
  if (!at_symbol(symbol)) return false;
  next();
  return true;
}

bool TokenStream::skip_name(std::string_view name) {
  if (!at_name(name)) return false;
  next();
  return true;
}

void TokenStream::raise_unexpected(const std::string& expected) const {
  if (at(TokenKind::end)) {
    raise_syntax_error("unexpected end of template, expected " + quote(expected) + ".", current().line);
  }
  raise_syntax_error("expected token " + quote(expected) + ", got " + quote(describe(current())),
                     current().line);
}

Token TokenStream::expect(TokenKind kind) {
  if (!at(kind))
    raise_unexpected(kind == TokenKind::name ? "name" : describe({.kind = kind, .text = {}, .number = {}}));
  return next();
}

void TokenStream::expect_symbol(std::string_view symbol) {
  if (!skip_symbol(symbol)) raise_unexpected(std::string(symbol));
}

Token TokenStream::expect_name(std::string_view name) {
  if (!at_name(name)) raise_unexpected(std::string(name));
  return next();
}

NestingGuard::NestingGuard(int& depth, int line) : depth_(depth) {
  if (++depth_ > kMaxNesting) {
    --depth_;
    raise_syntax_error("the template nests deeper than " + std::to_string(kMaxNesting) + " levels", line,
                       "LimitError");
  }
}

void ExpressionParser::fail(std::string message) const {
  raise_syntax_error(std::move(message), tokens_.current().line);
}

void ExpressionParser::note_unknown(std::string message, int line) {
  unknown_names_.emplace_back("TemplateAssertionError", std::move(message)).line = line;
}

// ---- nodes ----

ExprPtr ExpressionParser::make(ExprKind kind, int line, std::vector<ExprPtr> children) const {
  auto expr = std::make_unique<Expr>(Expr{.kind = kind,
                                          .line = line,
                                          .name = {},
                                          .value = {},
                                          .children = std::move(children),
                                          .operators = {},
                                          .arguments = {}});
  for (const ExprPtr& child : expr->children) {
    if (child) expr->depth = std::max(expr->depth, child->depth + 1);
  }
  if (expr->depth > kMaxExpressionDepth) {
    raise_syntax_error("an expression of more than " + std::to_string(kMaxExpressionDepth) + " levels", line,
                       "LimitError");
  }
  return expr;
}

namespace {

template <typename... Parts>
std::vector<ExprPtr> list_of(Parts... parts) {
  std::vector<ExprPtr> list;
  (list.push_back(std::move(parts)), ...);
  return list;
}

}  // namespace

ExprPtr ExpressionParser::make_constant(Value value, int line) const {
  ExprPtr expr = make(ExprKind::constant, line);
  expr->value = std::move(value);
  return expr;
}

// ---- operators, loosest first ----

ExprPtr ExpressionParser::parse_conditional() {
  const int line = tokens_.current().line;
  const NestingGuard guard(nesting_, line);
  const std::size_t unknown_before = unknown_names_.size();
  ExprPtr value = parse_or();
  while (tokens_.skip_name("if")) {
    ExprPtr test = parse_or();
    ExprPtr otherwise;
    if (tokens_.skip_name("else")) otherwise = parse_conditional();
    unknown_names_.erase(unknown_names_.begin() + static_cast<std::ptrdiff_t>(unknown_before),
                         unknown_names_.end());
    value =
        make(ExprKind::conditional, line, list_of(std::move(test), std::move(value), std::move(otherwise)));
  }
  return value;
}

ExprPtr ExpressionParser::parse_or() {
  ExprPtr left = parse_and();
  while (tokens_.at_name("or")) {
    const int line = tokens_.next().line;
    ExprPtr right = parse_and();
    left = make(ExprKind::logical_or, line, list_of(std::move(left), std::move(right)));
  }
  return left;
}

ExprPtr ExpressionParser::parse_and() {
  ExprPtr left = parse_not();
  while (tokens_.at_name("and")) {
    const int line = tokens_.next().line;
    ExprPtr right = parse_not();
    left = make(ExprKind::logical_and, line, list_of(std::move(left), std::move(right)));
  }
  return left;
}

ExprPtr ExpressionParser::parse_not() {
  if (!tokens_.at_name("not")) return parse_compare();
  const NestingGuard guard(nesting_, tokens_.current().line);
  const int line = tokens_.next().line;
  return make(ExprKind::logical_not, line, list_of(parse_not()));
}

bool ExpressionParser::parse_compare_operator(std::string& name) {
  static constexpr std::array<std::string_view, 6> kOperators = {"==", "!=", "<", "<=", ">", ">="};
  const Token& token = tokens_.current();
  if (token.kind == TokenKind::symbol &&
      std::find(kOperators.begin(), kOperators.end(), token.text) != kOperators.end()) {
    name = tokens_.next().text;
    return true;
  }
  if (tokens_.skip_name("in")) {
    name = "in";
    return true;
  }
  if (tokens_.at_name("not") && TokenStream::is_name(tokens_.peek(), "in")) {
    tokens_.next();
    tokens_.next();
    name = "not in";
    return true;
  }
  return false;
}

ExprPtr ExpressionParser::parse_compare() {
  const int line = tokens_.current().line;
  std::vector<ExprPtr> operands = list_of(parse_sum());
  std::vector<std::string> operators;
  for (std::string name; parse_compare_operator(name);) {
    operators.push_back(name);
    operands.push_back(parse_sum());
  }
  if (operators.empty()) return std::move(operands.front());
  ExprPtr expr = make(ExprKind::compare, line, std::move(operands));
  expr->operators = std::move(operators);
  return expr;
}

ExprPtr ExpressionParser::parse_sum() {
  ExprPtr left = parse_concatenation();
  while (tokens_.at_symbol("+") || tokens_.at_symbol("-")) {
    const Token token = tokens_.next();
    ExprPtr right = parse_concatenation();
    left = make(token.text == "+" ? ExprKind::add : ExprKind::subtract, token.line,
                list_of(std::move(left), std::move(right)));
  }
  return left;
}

ExprPtr ExpressionParser::parse_concatenation() {
  const int line = tokens_.current().line;
  std::vector<ExprPtr> parts = list_of(parse_product());
  while (tokens_.skip_symbol("~")) parts.push_back(parse_product());
  if (parts.size() == 1) return std::move(parts.front());
  return make(ExprKind::concatenate, line, std::move(parts));
}

ExprPtr ExpressionParser::parse_product() {
  static constexpr std::array<std::pair<std::string_view, ExprKind>, 4> kOperators = {
      {{"*", ExprKind::multiply},
       {"/", ExprKind::divide},
       {"//", ExprKind::floor_divide},
       {"%", ExprKind::modulo}}};
  ExprPtr left = parse_power();
  while (true) {
    const auto* found = std::find_if(kOperators.begin(), kOperators.end(),
                                     [&](const auto& entry) { return tokens_.at_symbol(entry.first); });
    if (found == kOperators.end()) return left;
    const int line = tokens_.next().line;
    ExprPtr right = parse_power();
    left = make(found->second, line, list_of(std::move(left), std::move(right)));
  }
}

ExprPtr ExpressionParser::parse_power() {
  ExprPtr left = parse_unary();
  while (tokens_.at_symbol("**")) {
    const int line = tokens_.next().line;
    ExprPtr right = parse_unary();
    left = make(ExprKind::power, line, list_of(std::move(left), std::move(right)));
  }
  return left;
}

ExprPtr ExpressionParser::parse_unary(bool with_filter) {
  const Token& token = tokens_.current();
  const int line = token.line;
  const NestingGuard guard(nesting_, line);
  ExprPtr value;
  if (tokens_.skip_symbol("-")) {
    value = make(ExprKind::negative, line, list_of(parse_unary(false)));
  } else if (tokens_.skip_symbol("+")) {
    value = make(ExprKind::positive, line, list_of(parse_unary(false)));
  } else {
    value = parse_primary();
  }
  value = parse_postfix(std::move(value));
  return with_filter ? parse_filter_chain(std::move(value)) : std::move(value);
}

// ---- literals and names ----

ExprPtr ExpressionParser::parse_name(bool with_namespace) {
  const Token token = tokens_.next();
  if (token.text == "true" || token.text == "True") return make_constant(Value(true), token.line);
  if (token.text == "false" || token.text == "False") return make_constant(Value(false), token.line);
  if (token.text == "none" || token.text == "None") return make_constant(Value(), token.line);
  ExprPtr expr = make(ExprKind::name, token.line);
  expr->name = token.text;
  names_.insert(token.text);
  for (MacroUses& uses : macro_uses_) {
    uses.caller |= token.text == "caller";
    uses.varargs |= token.text == "varargs";
    uses.kwargs |= token.text == "kwargs";
  }
  if (with_namespace && tokens_.skip_symbol(".")) {
    expr = make(ExprKind::attribute, token.line, list_of(std::move(expr)));
    expr->name = tokens_.expect(TokenKind::name).text;
  }
  return expr;
}

ExprPtr ExpressionParser::parse_primary(bool with_namespace) {
  const Token& token = tokens_.current();
  switch (token.kind) {
    case TokenKind::name:
      return parse_name(with_namespace);
    case TokenKind::string: {
      const int line = token.line;
      std::string text;
      while (tokens_.at(TokenKind::string)) text += tokens_.next().text;
      return make_constant(Value(std::move(text)), line);
    }
    case TokenKind::integer:
    case TokenKind::real: {
      const Token number = tokens_.next();
      return make_constant(number.number, number.line);
    }
    case TokenKind::symbol:
      if (tokens_.skip_symbol("(")) {
        ExprPtr expr = parse_tuple(true, true);
        tokens_.expect_symbol(")");
        return expr;
      }
      if (token.text == "[") return parse_list();
      if (token.text == "{") return parse_dict();
      break;
    default:
      break;
  }
  fail("unexpected " + quote(describe(token)));
}

bool ExpressionParser::at_tuple_end() const {
  return tokens_.at(TokenKind::variable_end) || tokens_.at(TokenKind::block_end) || tokens_.at_symbol(")");
}

ExprPtr ExpressionParser::parse_tuple(bool with_conditional, bool parenthesized) {
  const int line = tokens_.current().line;
  std::vector<ExprPtr> items;
  bool is_tuple = false;
  while (true) {
    if (!items.empty()) tokens_.expect_symbol(",");
    if (at_tuple_end()) break;
    items.push_back(with_conditional ? parse_conditional() : parse_or());
    if (!tokens_.at_symbol(",")) break;
    is_tuple = true;
  }
  if (!is_tuple && !items.empty()) return std::move(items.front());
  if (!is_tuple && !parenthesized) fail("Expected an expression, got " + quote(describe(tokens_.current())));
  return make(ExprKind::tuple, line, std::move(items));
}

ExprPtr ExpressionParser::parse_list() {
  const int line = tokens_.next().line;
  std::vector<ExprPtr> items;
  while (!tokens_.at_symbol("]")) {
    if (!items.empty()) tokens_.expect_symbol(",");
    if (tokens_.at_symbol("]")) break;
    items.push_back(parse_expression());
  }
  tokens_.expect_symbol("]");
  return make(ExprKind::list, line, std::move(items));
}

ExprPtr ExpressionParser::parse_dict() {
  const int line = tokens_.next().line;
  std::vector<ExprPtr> items;
  while (!tokens_.at_symbol("}")) {
    if (!items.empty()) tokens_.expect_symbol(",");
    if (tokens_.at_symbol("}")) break;
    items.push_back(parse_expression());
    tokens_.expect_symbol(":");
    items.push_back(parse_expression());
  }
  tokens_.expect_symbol("}");
  return make(ExprKind::dict, line, std::move(items));
}

// ---- what follows a value ----

ExprPtr ExpressionParser::parse_postfix(ExprPtr value) {
  while (true) {
    if (tokens_.at_symbol(".") || tokens_.at_symbol("[")) {
      value = parse_subscript(std::move(value));
    } else if (tokens_.at_symbol("(")) {
      value = parse_call(std::move(value));
    } else {
      return value;
    }
  }
}

ExprPtr ExpressionParser::parse_filter_chain(ExprPtr value) {
  while (true) {
    if (tokens_.at_symbol("|")) {
      value = parse_filters(std::move(value), false);
    } else if (tokens_.at_name("is")) {
      value = parse_test(std::move(value));
    } else if (tokens_.at_symbol("(")) {
      value = parse_call(std::move(value));
    } else {
      return value;
    }
  }
}

ExprPtr ExpressionParser::parse_subscript(ExprPtr value) {
  const Token token = tokens_.next();
  if (token.text == ".") {
    const Token attribute = tokens_.next();
    if (attribute.kind == TokenKind::name) {
      ExprPtr expr = make(ExprKind::attribute, token.line, list_of(std::move(value)));
      expr->name = attribute.text;
      return expr;
    }
    if (attribute.kind != TokenKind::integer) raise_syntax_error("expected name or number", attribute.line);
    return make(ExprKind::subscript, token.line,
                list_of(std::move(value), make_constant(attribute.number, attribute.line)));
  }
  std::vector<ExprPtr> indices;
  while (!tokens_.at_symbol("]")) {
    if (!indices.empty()) tokens_.expect_symbol(",");
    indices.push_back(parse_slice_or_index());
  }
  tokens_.expect_symbol("]");
  ExprPtr index = indices.size() == 1 ? std::move(indices.front())
                                      : make(ExprKind::tuple, token.line, std::move(indices));
  return make(ExprKind::subscript, token.line, list_of(std::move(value), std::move(index)));
}

ExprPtr ExpressionParser::parse_slice_part() {
  if (tokens_.at_symbol(":") || tokens_.at_symbol("]") || tokens_.at_symbol(",")) return nullptr;
  return parse_expression();
}

ExprPtr ExpressionParser::parse_slice_or_index() {
  const int line = tokens_.current().line;
  ExprPtr start;
  if (!tokens_.at_symbol(":")) {
    start = parse_expression();
    if (!tokens_.at_symbol(":")) return start;
  }
  tokens_.next();
  ExprPtr stop = parse_slice_part();
  ExprPtr step;
  if (tokens_.skip_symbol(":")) step = parse_slice_part();
  return make(ExprKind::slice, line, list_of(std::move(start), std::move(stop), std::move(step)));
}

Arguments ExpressionParser::parse_arguments() {
  const int line = tokens_.current().line;
  Arguments arguments;
  const auto ensure = [&](bool allowed) {
    if (!allowed) raise_syntax_error("invalid syntax for function call expression", line);
  };
  tokens_.expect_symbol("(");
  for (bool first = true; !tokens_.at_symbol(")"); first = false) {
    if (!first) {
      tokens_.expect_symbol(",");
      if (tokens_.at_symbol(")")) break;
    }
    if (tokens_.at_symbol("*")) {
      ensure(!arguments.star && !arguments.double_star);
      tokens_.next();
      arguments.star = parse_expression();
    } else if (tokens_.at_symbol("**")) {
      ensure(!arguments.double_star);
      tokens_.next();
      arguments.double_star = parse_expression();
    } else if (tokens_.at(TokenKind::name) && TokenStream::is_symbol(tokens_.peek(), "=")) {
      ensure(!arguments.double_star);
      std::string name = tokens_.next().text;
      tokens_.next();
      arguments.named.emplace_back(std::move(name), parse_expression());
    } else {
      ensure(!arguments.star && !arguments.double_star && arguments.named.empty());
      arguments.positional.push_back(parse_expression());
    }
  }
  tokens_.expect_symbol(")");
  return arguments;
}

namespace {

int deepest(const Arguments& arguments) {
  int depth = 0;
  const auto see = [&](const ExprPtr& expr) {
    if (expr) depth = std::max(depth, expr->depth);
  };
  for (const ExprPtr& expr : arguments.positional) see(expr);
  for (const auto& [name, expr] : arguments.named) see(expr);
  see(arguments.star);
  see(arguments.double_star);
  return depth;
}

void attach(Expr& expr, Arguments arguments) {
  expr.depth = std::max(expr.depth, deepest(arguments) + 1);
  expr.arguments = std::move(arguments);
}

}  // namespace

ExprPtr ExpressionParser::parse_call(ExprPtr callee) {
  const int line = tokens_.current().line;
  ExprPtr expr = make(ExprKind::call, line, list_of(std::move(callee)));
  attach(*expr, parse_arguments());
  return expr;
}

std::string ExpressionParser::parse_dotted_name() {
  std::string name = tokens_.expect(TokenKind::name).text;
  while (tokens_.skip_symbol(".")) name += "." + tokens_.expect(TokenKind::name).text;
  return name;
}

ExprPtr ExpressionParser::parse_filters(ExprPtr value, bool start_inline) {
  while (tokens_.at_symbol("|") || start_inline) {
    if (!start_inline) tokens_.next();
    start_inline = false;
    const int line = tokens_.current().line;
    std::string name = parse_dotted_name();
    if (!is_filter(name)) note_unknown("No filter named " + quote(name) + ".", line);
    value = make(ExprKind::filter, line, list_of(std::move(value)));
    value->name = std::move(name);
    if (tokens_.at_symbol("(")) attach(*value, parse_arguments());
  }
  return value;
}

ExprPtr ExpressionParser::parse_test(ExprPtr value) {
  const int line = tokens_.next().line;
  const bool negated = tokens_.skip_name("not");
  std::string name = parse_dotted_name();
  if (!is_test(name)) note_unknown("No test named " + quote(name) + ".", line);
  ExprPtr expr = make(ExprKind::test, line, list_of(std::move(value)));
  expr->name = std::move(name);
  const Token& token = tokens_.current();
  const bool starts_value = token.kind == TokenKind::name || token.kind == TokenKind::string ||
                            token.kind == TokenKind::integer || token.kind == TokenKind::real ||
                            tokens_.at_symbol("[") || tokens_.at_symbol("{");
  if (tokens_.at_symbol("(")) {
    attach(*expr, parse_arguments());
  } else if (starts_value && !tokens_.at_name("else") && !tokens_.at_name("or") && !tokens_.at_name("and")) {
    if (tokens_.at_name("is")) fail("You cannot chain multiple tests with is");
    Arguments arguments;
    arguments.positional.push_back(parse_postfix(parse_primary()));
    attach(*expr, std::move(arguments));
  }
  return negated ? make(ExprKind::logical_not, line, list_of(std::move(expr))) : std::move(expr);
}

// ---- targets ----

std::string ExpressionParser::parse_target_name() {
  const Token token = tokens_.expect(TokenKind::name);
  static constexpr std::array<std::string_view, 6> kReserved = {"true", "false", "none",
                                                                "True", "False", "None"};
  if (std::find(kReserved.begin(), kReserved.end(), token.text) != kReserved.end()) {
    raise_syntax_error("can't assign to 'name'", token.line);
  }
  return token.text;
}

namespace {

void require_assignable(const Expr& target) {
  switch (target.kind) {
    case ExprKind::name:
    case ExprKind::attribute:
      return;
    case ExprKind::tuple:
      for (const ExprPtr& item : target.children) require_assignable(*item);
      return;
    case ExprKind::list:
      return raise_syntax_error("can't assign to 'list'", target.line);
    case ExprKind::dict:
      return raise_syntax_error("can't assign to 'dict'", target.line);
    case ExprKind::constant:
      return raise_syntax_error("can't assign to 'const'", target.line);
    default:
      return raise_syntax_error("can't assign to this expression", target.line);
  }
}

}  // namespace

ExprPtr ExpressionParser::parse_target(bool with_namespace) {
  const int line = tokens_.current().line;
  std::vector<ExprPtr> items;
  bool is_tuple = false;
  while (true) {
    if (!items.empty()) tokens_.expect_symbol(",");
    if (at_tuple_end()) break;
    items.push_back(parse_primary(with_namespace));
    if (!tokens_.at_symbol(",")) break;
    is_tuple = true;
  }
  if (!is_tuple && items.empty()) fail("Expected an expression, got " + quote(describe(tokens_.current())));
  ExprPtr target = is_tuple ? make(ExprKind::tuple, line, std::move(items)) : std::move(items.front());
  require_assignable(*target);
  return target;
}

}  // namespace touchstone::jinja
