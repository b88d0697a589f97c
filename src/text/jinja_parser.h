// Template text -> what the interpreter runs.
#pragma once

#include <functional>
#include <set>
#include <string>
#include <string_view>

#include "text/jinja_ast.h"

namespace touchstone::jinja {

// The longest published chat templates have some tens of kilobytes.
inline constexpr std::size_t kMaxTemplateBytes = std::size_t{8} << 20U;

struct ParsedTemplate {
  Block block;
  std::set<std::string, std::less<>> names;  // of all variables that it mentions, its own included
};

/// Raises TemplateSyntaxError, TemplateAssertionError (unknown filter or test) or LimitError, with the line.
ParsedTemplate parse_template(std::string_view source);

}  // namespace touchstone::jinja
