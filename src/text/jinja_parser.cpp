#include "text/jinja_parser.h"

#include <algorithm>
#include <unordered_set>

#include "text/jinja_parse_expression.h"
#include "text/jinja_print.h"

namespace touchstone::jinja {
namespace {

using Names = std::vector<std::string>;

Stmt make_statement(StmtKind kind, int line) {
  return {.kind = kind,
          .line = line,
          .text = {},
          .target = nullptr,
          .value = nullptr,
          .test = nullptr,
          .branches = {},
          .pairs = {},
          .macro = nullptr,
          .body = {},
          .otherwise = {}};
}

class Parser : public ExpressionParser {
 public:
  explicit Parser(std::string_view source) : ExpressionParser(tokenize_template(source)) {}

  ParsedTemplate run() {
    ParsedTemplate parsed{.block = parse_until(nullptr), .names = {}};
    settle_unknown(0);
    const auto first = std::min_element(refusals_.begin(), refusals_.end(),
                                        [](const Raised& a, const Raised& b) { return a.line < b.line; });
    if (first != refusals_.end()) throw Raised(*first);
    parsed.names = std::move(names_);
    return parsed;
  }

 private:
  /// Up to one of the tags `ends`, which stays the current token; null: up to the end of the template.
  Block parse_until(const Names* ends) {
    if (ends != nullptr) end_stack_.push_back(*ends);
    Block block;
    while (!tokens_.at(TokenKind::end)) {
      const Token token = tokens_.next();
      if (token.kind == TokenKind::data) {
        block.push_back(make_statement(StmtKind::text, token.line));
        block.back().text = token.text;
      } else if (token.kind == TokenKind::variable_begin) {
        block.push_back(make_statement(StmtKind::output, token.line));
        block.back().value = parse_tuple();
        tokens_.expect(TokenKind::variable_end);
      } else {
        if (ends != nullptr && at_one_of(*ends)) break;
        parse_statement(block);
        tokens_.expect(TokenKind::block_end);
      }
    }
    if (ends != nullptr) end_stack_.pop_back();
    return block;
  }

  bool at_one_of(const Names& names) const {
    return tokens_.at(TokenKind::name) &&
           std::find(names.begin(), names.end(), tokens_.current().text) != names.end();
  }

  /// The rest of the tag that opens a block, and the block. Moves past the end tag's name and returns it.
  std::string parse_body(Block& body, const Names& ends) {
    tokens_.skip_symbol(":");
    tokens_.expect(TokenKind::block_end);
    body = parse_until(&ends);
    if (tokens_.at(TokenKind::end)) {
      end_stack_.push_back(ends);
      fail_at_end({});
    }
    return tokens_.next().text;
  }

  [[noreturn]] void fail_at_end(const std::string& unknown_tag) const {
    std::string message = unknown_tag.empty() ? "Unexpected end of template."
                                              : "Encountered unknown tag " + quote(unknown_tag) + ".";
    if (!end_stack_.empty()) {
      std::string looking_for;
      for (const std::string& name : end_stack_.back()) {
        looking_for += (looking_for.empty() ? "" : " or ") + quote(name);
      }
      const bool expected =
          !unknown_tag.empty() && std::any_of(end_stack_.begin(), end_stack_.end(), [&](const Names& names) {
            return std::find(names.begin(), names.end(), unknown_tag) != names.end();
          });
      message += expected ? " You probably made a nesting mistake. Jinja is expecting this tag, but "
                            "currently looking for " +
                                looking_for + "."
                          : " Jinja was looking for the following tags: " + looking_for + ".";
    }
    if (!tag_stack_.empty())
      message += " The innermost block that needs to be closed is " + quote(tag_stack_.back()) + ".";
    fail(message);
  }

  void parse_statement(Block& block) {
    if (!tokens_.at(TokenKind::name)) fail("tag name expected");
    const Token tag = tokens_.current();
    const NestingGuard guard(nesting_, tag.line);
    tag_stack_.push_back(tag.text);
    if (tag.text == "if") {
      block.push_back(parse_if());
    } else if (tag.text == "for") {
      block.push_back(parse_for());
    } else if (tag.text == "set") {
      block.push_back(parse_set());
    } else if (tag.text == "macro") {
      block.push_back(parse_macro());
    } else if (tag.text == "print") {
      parse_print(block);
    } else if (tag.text == "break" || tag.text == "continue") {
      block.push_back(parse_loop_control());
    } else if (!parse_simple_block(block) && !parse_load(block)) {
      tag_stack_.pop_back();
      fail_at_end(tag.text);
    }
    tag_stack_.pop_back();
  }

  /// An error of a template that can be read: one in its syntax further on comes first.
  void refuse_later(std::string message, int line) {
    refusals_.emplace_back("TemplateAssertionError", std::move(message)).line = line;
  }

  /// What has been unknown since then cannot be excused by a condition around it.
  void settle_unknown(std::size_t since) {
    const auto begin = unknown_names_.begin() + static_cast<std::ptrdiff_t>(since);
    refusals_.insert(refusals_.end(), begin, unknown_names_.end());
    unknown_names_.erase(begin, unknown_names_.end());
  }

  /// The body of a statement that has a scope of its own.
  std::string parse_scope(Block& body, const Names& ends) {
    const std::size_t unknown_before = unknown_names_.size();
    std::string end = parse_body(body, ends);
    settle_unknown(unknown_before);
    return end;
  }

  Stmt parse_if() {
    Stmt statement = make_statement(StmtKind::conditional, tokens_.next().line);
    const std::size_t unknown_before = unknown_names_.size();
    std::string end = "elif";
    while (end == "elif") {
      Branch& branch = statement.branches.emplace_back();
      branch.test = parse_tuple(false);
      end = parse_body(branch.body, {"elif", "else", "endif"});
    }
    if (end == "else") parse_body(statement.branches.emplace_back().body, {"endif"});
    unknown_names_.erase(unknown_names_.begin() + static_cast<std::ptrdiff_t>(unknown_before),
                         unknown_names_.end());
    return statement;
  }

  Stmt parse_for() {
    Stmt statement = make_statement(StmtKind::loop, tokens_.next().line);
    statement.target = parse_target(false);
    check_loop_target(*statement.target);
    tokens_.expect_name("in");
    statement.value = parse_tuple(false);
    const std::size_t unknown_before = unknown_names_.size();
    if (tokens_.skip_name("if")) statement.test = parse_expression();
    statement.recursive = tokens_.skip_name("recursive");
    ++loops_;
    const std::string end = parse_body(statement.body, {"endfor", "else"});
    --loops_;
    if (end == "else") parse_body(statement.otherwise, {"endfor"});
    settle_unknown(unknown_before);
    return statement;
  }

  void check_loop_target(const Expr& target) {
    if (target.kind == ExprKind::name && target.name == "loop") {
      refuse_later("Can't assign to special loop variable in for-loop target", target.line);
    }
    for (const ExprPtr& child : target.children) check_loop_target(*child);
  }

  Stmt parse_set() {
    Stmt statement = make_statement(StmtKind::assign, tokens_.next().line);
    statement.target = parse_target(true);
    if (tokens_.skip_symbol("=")) {
      statement.value = parse_tuple();
      return statement;
    }
    statement.kind = StmtKind::assign_block;
    const std::size_t unknown_before = unknown_names_.size();
    statement.value = parse_filters(nullptr, false);
    parse_body(statement.body, {"endset"});
    settle_unknown(unknown_before);
    return statement;
  }

  void parse_print(Block& block) {
    const int line = tokens_.next().line;
    for (bool first = true; !tokens_.at(TokenKind::block_end); first = false) {
      if (!first) tokens_.expect_symbol(",");
      block.push_back(make_statement(StmtKind::output, line));
      block.back().value = parse_expression();
    }
  }

  Stmt parse_loop_control() {
    const Token tag = tokens_.next();
    if (loops_ == 0) {
      raise_syntax_error(tag.text == "break" ? "'break' outside loop" : "'continue' not properly in loop",
                         tag.line, "SyntaxError");
    }
    return make_statement(tag.text == "break" ? StmtKind::break_loop : StmtKind::continue_loop, tag.line);
  }

  // ---- macros ----

  std::vector<Parameter> parse_signature() {
    std::vector<Parameter> parameters;
    bool has_fallback = false;
    tokens_.expect_symbol("(");
    while (!tokens_.at_symbol(")")) {
      if (!parameters.empty()) tokens_.expect_symbol(",");
      Parameter parameter{.name = parse_target_name(), .fallback = nullptr};
      if (tokens_.skip_symbol("=")) {
        parameter.fallback = parse_expression();
        has_fallback = true;
      } else if (has_fallback) {
        fail("non-default argument follows default argument");
      }
      parameters.push_back(std::move(parameter));
    }
    tokens_.expect_symbol(")");
    return parameters;
  }

  /// The body of a macro; loops outside are not its own.
  std::shared_ptr<const MacroDefinition> parse_macro_body(std::string name, std::vector<Parameter> parameters,
                                                          const std::string& end) {
    auto macro = std::make_shared<MacroDefinition>();
    macro->name = std::move(name);
    macro->parameters = std::move(parameters);
    const int outer_loops = std::exchange(loops_, 0);
    macro_uses_.emplace_back();
    parse_scope(macro->body, {end});
    const MacroUses uses = macro_uses_.back();
    macro_uses_.pop_back();
    loops_ = outer_loops;
    const auto is_parameter = [&](std::string_view special) {
      return std::any_of(macro->parameters.begin(), macro->parameters.end(),
                         [&](const Parameter& parameter) { return parameter.name == special; });
    };
    for (const Parameter& parameter : macro->parameters) {
      if (parameter.name != "caller" || parameter.fallback) continue;
      refuse_later(
          "When defining macros or call blocks the special \"caller\" argument must be omitted or be given a "
          "default.",
          tokens_.current().line);
    }
    macro->uses_caller = uses.caller && !is_parameter("caller");
    macro->uses_varargs = uses.varargs && !is_parameter("varargs");
    macro->uses_kwargs = uses.kwargs && !is_parameter("kwargs");
    return macro;
  }

  Stmt parse_macro() {
    Stmt statement = make_statement(StmtKind::macro, tokens_.next().line);
    std::string name = parse_target_name();
    std::vector<Parameter> parameters = parse_signature();
    statement.macro = parse_macro_body(std::move(name), std::move(parameters), "endmacro");
    return statement;
  }

  Stmt parse_call_block() {
    Stmt statement = make_statement(StmtKind::call_block, tokens_.next().line);
    std::vector<Parameter> parameters;
    if (tokens_.at_symbol("(")) parameters = parse_signature();
    statement.value = parse_expression();
    if (statement.value->kind != ExprKind::call) raise_syntax_error("expected call", statement.line);
    statement.macro = parse_macro_body({}, std::move(parameters), "endcall");
    return statement;
  }

  // ---- blocks with one body ----

  bool parse_simple_block(Block& block) {
    const std::string tag = tokens_.current().text;
    if (tag == "call") {
      block.push_back(parse_call_block());
      return true;
    }
    const auto begin = [&](StmtKind kind) -> Stmt& {
      block.push_back(make_statement(kind, tokens_.next().line));
      return block.back();
    };
    if (tag == "filter") {
      Stmt& statement = begin(StmtKind::filter_block);
      const std::size_t unknown_before = unknown_names_.size();
      statement.value = parse_filters(nullptr, true);
      parse_body(statement.body, {"endfilter"});
      settle_unknown(unknown_before);
    } else if (tag == "with") {
      Stmt& statement = begin(StmtKind::with);
      const std::size_t unknown_before = unknown_names_.size();
      while (!tokens_.at(TokenKind::block_end)) {
        if (!statement.pairs.empty()) tokens_.expect_symbol(",");
        ExprPtr target = parse_target_for_with();
        tokens_.expect_symbol("=");
        statement.pairs.emplace_back(std::move(target), parse_expression());
      }
      parse_body(statement.body, {"endwith"});
      settle_unknown(unknown_before);
    } else if (tag == "generation") {
      // Transformers runs the body as a macro's, to know where it lies in the text.
      const int line = tokens_.next().line;
      Stmt statement = make_statement(StmtKind::generation, line);
      statement.macro = parse_macro_body({}, {}, "endgeneration");
      block.push_back(std::move(statement));
    } else if (tag == "autoescape") {
      Stmt& statement = begin(StmtKind::autoescape);
      statement.value = parse_expression();
      parse_scope(statement.body, {"endautoescape"});
    } else if (tag == "block") {
      parse_named_block(begin(StmtKind::block));
    } else {
      return false;
    }
    return true;
  }

  /// One target: `with a, b = 1, 2` is not what it looks like, and an error in Jinja, too.
  ExprPtr parse_target_for_with() { return parse_target(false); }

  void parse_named_block(Stmt& statement) {
    statement.text = tokens_.expect(TokenKind::name).text;
    if (!block_names_.insert(statement.text).second) {
      refuse_later("block " + quote(statement.text) + " defined twice", statement.line);
    }
    statement.recursive = tokens_.skip_name("scoped");  // the loop's and with's variables are seen inside
    tokens_.skip_name("required");
    if (tokens_.at_symbol("-")) {
      fail(
          "Block names in Jinja have to be valid Python identifiers and may not contain hyphens, use an "
          "underscore instead.");
    }
    parse_scope(statement.body, {"endblock"});
    tokens_.skip_name(statement.text);
  }

  /// Tags that name other templates: read, and an error when they are run.
  bool parse_load(Block& block) {
    const std::string tag = tokens_.current().text;
    if (tag != "include" && tag != "extends" && tag != "import" && tag != "from") return false;
    block.push_back(make_statement(StmtKind::load, tokens_.next().line));
    block.back().value = parse_expression();
    while (!tokens_.at(TokenKind::block_end) && !tokens_.at(TokenKind::end)) tokens_.next();
    return true;
  }

  std::vector<Names> end_stack_;
  Names tag_stack_;
  std::unordered_set<std::string> block_names_;
  int loops_ = 0;
};

}  // namespace

ParsedTemplate parse_template(std::string_view source) {
  if (source.size() > kMaxTemplateBytes) {
    raise_syntax_error("a template of more than " + std::to_string(kMaxTemplateBytes) + " bytes", 1,
                       "LimitError");
  }
  return Parser(source).run();
}

}  // namespace touchstone::jinja
