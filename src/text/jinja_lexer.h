// Template text -> tokens.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "text/jinja_value.h"

namespace touchstone::jinja {

enum class TokenKind : std::uint8_t {
  data,
  variable_begin,
  variable_end,
  block_begin,
  block_end,
  name,
  string,
  integer,
  real,
  symbol,  // an operator or a bracket
  end,
  failure,  // what follows cannot be read; `text` says why. Raised when the parser comes to it
};

struct Token {
  TokenKind kind = TokenKind::end;
  std::string text;  // data, name, the string's value, or the symbol
  Value number;
  int line = 1;
};

/// Reads with Hugging Face's settings: trim_blocks, lstrip_blocks, and the last newline of the template
/// dropped. The last token is `end` or `failure`. Linear in the template's length.
std::vector<Token> tokenize_template(std::string_view source);

/// As Jinja names it in messages: "end of print statement", "integer", "+", a name itself.
std::string describe(const Token& token);

}  // namespace touchstone::jinja
