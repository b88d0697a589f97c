#include "text/jinja_lexer.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>

#include "text/jinja_int.h"
#include "text/jinja_print.h"
#include "text/jinja_unicode.h"
#include "text/unicode.h"

namespace touchstone::jinja {
namespace {

struct Failure {
  std::string message;
};

std::string normalize_newlines(std::string_view source) {
  std::string text;
  text.reserve(source.size());
  for (std::size_t i = 0; i < source.size(); ++i) {
    if (source[i] != '\r') {
      text += source[i];
      continue;
    }
    text += '\n';
    if (i + 1 < source.size() && source[i + 1] == '\n') ++i;
  }
  if (!text.empty() && text.back() == '\n') text.pop_back();
  return text;
}

/// Reads the escapes of a string literal as Python's "unicode-escape" does.
class Unescaper {
 public:
  explicit Unescaper(std::string_view text) : text_(text) {}

  std::string run() {
    while (position_ < text_.size()) {
      const char c = text_[position_++];
      if (c != '\\') {
        result_ += c;
      } else {
        read_escape();
      }
    }
    return std::move(result_);
  }

 private:
  void read_escape() {
    const char c = text_[position_++];  // the literal's pattern leaves no lone backslash at the end
    static constexpr std::string_view kLetters = "abfnrtv\\'\"";
    static constexpr std::string_view kMeanings = "\a\b\f\n\r\t\v\\'\"";
    if (const std::size_t at = kLetters.find(c); at != std::string_view::npos) {
      result_ += kMeanings[at];
    } else if (c >= '0' && c <= '7') {
      read_octal(c);
    } else if (c == 'x') {
      read_hexadecimal(2, "truncated \\xXX escape");
    } else if (c == 'u') {
      read_hexadecimal(4, "truncated \\uXXXX escape");
    } else if (c == 'U') {
      read_hexadecimal(8, "truncated \\UXXXXXXXX escape");
    } else if (c == 'N') {
      throw Failure{"malformed \\N character escape"};
    } else if (static_cast<unsigned char>(c) >= 0x80U) {
      read_foreign();
    } else if (c != '\n') {
      result_ += '\\';
      result_ += c;
    }
  }

  /// A backslash before what is not ASCII: Jinja turns the character itself into an escape first, and the
  /// backslash then escapes that one's.
  void read_foreign() {
    --position_;
    const auto code = static_cast<unsigned>(next_char(text_, position_));
    if (code < 0x100) {
      result_ += fmt::format("\\x{:02x}", code);
    } else {
      result_ += code < 0x10000 ? fmt::format("\\u{:04x}", code) : fmt::format("\\U{:08x}", code);
    }
  }

  void read_octal(char first) {
    auto code = static_cast<char32_t>(first - '0');
    for (int i = 0; i < 2 && position_ < text_.size() && text_[position_] >= '0' && text_[position_] <= '7';
         ++i) {
      code = code * 8 + static_cast<char32_t>(text_[position_++] - '0');
    }
    append_char(result_, code);
  }

  std::optional<char32_t> hexadecimal(std::size_t at, std::size_t digits) const {
    std::uint32_t code = 0;
    if (at + digits > text_.size()) return std::nullopt;
    const char* end = text_.data() + at + digits;
    const auto [stop, error] = std::from_chars(text_.data() + at, end, code, 16);
    if (error != std::errc{} || stop != end) return std::nullopt;
    return code;
  }

  void read_hexadecimal(std::size_t digits, const char* message) {
    auto code = hexadecimal(position_, digits);
    if (!code) throw Failure{message};
    if (*code > 0x10FFFF) throw Failure{"illegal Unicode character"};
    position_ += digits;
    if (*code >= 0xD800 && *code < 0xDC00 && text_.substr(position_, 2) == "\\u") {
      // Two halves written one after the other: the character that they make together.
      const auto low = hexadecimal(position_ + 2, 4);
      if (low && *low >= 0xDC00 && *low < 0xE000) {
        position_ += 6;
        code = 0x10000 + ((*code - 0xD800) << 10U) + (*low - 0xDC00);
      }
    }
    append_char(result_, *code);
  }

  std::string_view text_;
  std::size_t position_ = 0;
  std::string result_;
};

class Lexer {
 public:
  explicit Lexer(std::string source) : source_(std::move(source)) {}

  std::vector<Token> run() {
    try {
      while (position_ < source_.size()) read_root();
      add(TokenKind::end, {});
    } catch (const Failure& failure) {
      add(TokenKind::failure, failure.message);
    }
    return std::move(tokens_);
  }

 private:
  // ---- text outside of tags ----

  void read_root() {
    const std::size_t tag = find_tag(position_);
    if (tag == std::string::npos) {
      add(TokenKind::data, source_.substr(position_));
      advance(source_.size());
      return;
    }
    const char kind = source_[tag + 1];
    std::size_t after = tag + 2;
    const char sign = read_sign(after);
    if (kind == '%') {
      if (const auto raw = match_raw(after, "raw", false)) {
        add_data(tag, sign, true);
        advance_tag(*raw);
        return read_raw();
      }
    }
    add_data(tag, sign, kind != '{');
    if (kind == '#') {
      advance_tag(after);
      return read_comment();
    }
    add(kind == '%' ? TokenKind::block_begin : TokenKind::variable_begin, {});
    advance_tag(after);
    read_tag(kind == '%');
  }

  std::size_t find_tag(std::size_t from) const {
    for (std::size_t at = source_.find('{', from); at != std::string::npos; at = source_.find('{', at + 1)) {
      if (at + 1 < source_.size() &&
          (source_[at + 1] == '%' || source_[at + 1] == '{' || source_[at + 1] == '#')) {
        return at;
      }
    }
    return std::string::npos;
  }

  char read_sign(std::size_t& at) const {
    if (at < source_.size() && (source_[at] == '-' || source_[at] == '+')) return source_[at++];
    return '\0';
  }

  /// Adds the text up to `end`, stripped as the tag's sign and lstrip_blocks ask for.
  void add_data(std::size_t end, char sign, bool is_block) {
    std::string_view text = std::string_view(source_).substr(position_, end - position_);
    if (sign == '-') {
      text = strip(text, false, true);
    } else if (sign != '+' && is_block) {
      const std::size_t newline = text.rfind('\n');
      const std::size_t line_begin = newline == std::string_view::npos ? 0 : newline + 1;
      if ((line_begin > 0 || line_starting_) && strip(text.substr(line_begin)).empty()) {
        text = text.substr(0, line_begin);
      }
    }
    if (!text.empty()) add(TokenKind::data, std::string(text));
    advance(end);
  }

  /// From behind the sign of `{%`: white space, the word, white space and the tag's end; where all that ends.
  std::optional<std::size_t> match_raw(std::size_t at, std::string_view word, bool trims) const {
    at = skip_space(at);
    if (source_.compare(at, word.size(), word) != 0) return std::nullopt;
    at = skip_space(at + word.size());
    if (source_.compare(at, 3, "-%}") == 0) return skip_space(at + 3);
    if (trims && source_.compare(at, 3, "+%}") == 0) return at + 3;
    if (source_.compare(at, 2, "%}") != 0) return std::nullopt;
    return trims ? skip_newline(at + 2) : at + 2;
  }

  void read_raw() {
    for (std::size_t at = source_.find("{%", position_); at != std::string::npos;
         at = source_.find("{%", at + 1)) {
      std::size_t after = at + 2;
      const char sign = read_sign(after);
      if (const auto end = match_raw(after, "endraw", true)) {
        add_data(at, sign, true);
        return advance_tag(*end);
      }
    }
    if (position_ < source_.size()) throw Failure{"Missing end of raw directive"};
  }

  void read_comment() {
    const std::size_t end = source_.find("#}", position_);
    if (end == std::string::npos) {
      if (position_ < source_.size()) throw Failure{"Missing end of comment tag"};
      return;
    }
    const char sign = end > position_ ? source_[end - 1] : '\0';
    advance_tag(sign == '-' ? skip_space(end + 2) : (sign == '+' ? end + 2 : skip_newline(end + 2)));
  }

  // ---- inside of a tag ----

  void read_tag(bool is_block) {
    std::vector<char> brackets;
    while (position_ < source_.size()) {
      if (brackets.empty()) {
        if (const auto end = match_end(is_block)) {
          add(is_block ? TokenKind::block_end : TokenKind::variable_end, {});
          return advance_tag(*end);
        }
      }
      const std::size_t space = skip_space(position_);
      if (space != position_) {
        advance(space);
      } else if (!read_number() && !read_name() && !read_string()) {
        read_symbol(brackets);
      }
    }
  }

  std::optional<std::size_t> match_end(bool is_block) const {
    const std::string_view mark = is_block ? "%}" : "}}";
    const char first = source_[position_];
    if (first == '-' && source_.compare(position_ + 1, 2, mark) == 0) return skip_space(position_ + 3);
    if (is_block && first == '+' && source_.compare(position_ + 1, 2, mark) == 0) return position_ + 3;
    if (source_.compare(position_, 2, mark) != 0) return std::nullopt;
    return is_block ? skip_newline(position_ + 2) : position_ + 2;
  }

  /// Digits in groups that "_" joins; where they end, or `at` when there are none.
  template <typename IsDigit>
  std::size_t skip_digits(std::size_t at, IsDigit is_digit) const {
    while (at < source_.size()) {
      const bool joins = source_[at] == '_' && at > 0 && is_digit(source_[at - 1]) &&
                         at + 1 < source_.size() && is_digit(source_[at + 1]);
      if (!joins && !is_digit(source_[at])) break;
      ++at;
    }
    return at;
  }

  bool read_number() {
    if (!is_ascii_digit(source_[position_])) return false;
    const std::size_t whole = skip_digits(position_, is_ascii_digit);
    if ((position_ == 0 || source_[position_ - 1] != '.') && read_real(whole)) return true;
    return read_integer(whole);
  }

  bool read_real(std::size_t whole) {
    std::size_t end = whole;
    if (end + 1 < source_.size() && source_[end] == '.' && is_ascii_digit(source_[end + 1])) {
      end = skip_digits(end + 1, is_ascii_digit);
    }
    if (end < source_.size() && (source_[end] == 'e' || source_[end] == 'E')) {
      std::size_t digits = end + 1;
      if (digits < source_.size() && (source_[digits] == '+' || source_[digits] == '-')) ++digits;
      if (digits < source_.size() && is_ascii_digit(source_[digits]))
        end = skip_digits(digits, is_ascii_digit);
    }
    if (end == whole) return false;
    std::string text = source_.substr(position_, end - position_);
    std::erase(text, '_');
    add(TokenKind::real, {}, Value(std::strtod(text.c_str(), nullptr)));
    advance(end);
    return true;
  }

  bool read_integer(std::size_t end) {
    if (source_[position_] == '0') {
      end = skip_digits(position_, [](char c) { return c == '0'; });
      if (end == position_ + 1) end = skip_prefixed(end);
    }
    const std::string text = source_.substr(position_, end - position_);
    add(TokenKind::integer, text, parse_integer(text, 0).value_or(Value(0)));
    advance(end);
    return true;
  }

  /// Behind a "0": the end of a number in base 2, 8 or 16, or `at` when it is none.
  std::size_t skip_prefixed(std::size_t at) const {
    if (at + 1 >= source_.size()) return at;
    const auto skip = [&](auto is_digit) {
      std::size_t digits = at + 1;
      if (source_[digits] == '_') ++digits;
      const std::size_t end = skip_digits(digits, is_digit);
      return end == digits ? at : end;
    };
    switch (source_[at]) {
      case 'b':
      case 'B':
        return skip([](char c) { return c == '0' || c == '1'; });
      case 'o':
      case 'O':
        return skip([](char c) { return c >= '0' && c <= '7'; });
      case 'x':
      case 'X':
        return skip(
            [](char c) { return is_ascii_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'); });
      default:
        return at;
    }
  }

  bool read_name() {
    std::size_t end = position_;
    while (end < source_.size()) {
      std::size_t next = end;
      const char32_t c = next_char(source_, next);
      if (c != '_' && !is_alphanumeric(c)) break;
      end = next;
    }
    if (end == position_) return false;
    std::string name = source_.substr(position_, end - position_);
    if (!is_identifier(name)) throw Failure{"Invalid character in identifier"};
    add(TokenKind::name, std::move(name));
    advance(end);
    return true;
  }

  bool read_string() {
    const char mark = source_[position_];
    if (mark != '\'' && mark != '"') return false;
    std::size_t end = position_ + 1;
    while (end < source_.size() && source_[end] != mark) end += source_[end] == '\\' ? 2 : 1;
    if (end >= source_.size()) return false;
    add(TokenKind::string,
        Unescaper(std::string_view(source_).substr(position_ + 1, end - position_ - 1)).run());
    advance(end + 1);
    return true;
  }

  void read_symbol(std::vector<char>& brackets) {
    static constexpr std::array<std::string_view, 26> kSymbols = {
        "//", "**", "==", "!=", ">=", "<=", "+", "-", "/", "*", "%", "~", "[",
        "]",  "(",  ")",  "{",  "}",  ">",  "<", "=", ".", ":", "|", ",", ";"};
    const auto* symbol = std::find_if(kSymbols.begin(), kSymbols.end(), [&](std::string_view candidate) {
      return source_.compare(position_, candidate.size(), candidate) == 0;
    });
    if (symbol == kSymbols.end()) {
      std::size_t end = position_;
      std::string character;
      append_char(character, next_char(source_, end));
      throw Failure{"unexpected char " + quote(character) + " at " +
                    std::to_string(count_codepoints(std::string_view(source_).substr(0, position_)))};
    }
    balance(symbol->front(), brackets);
    add(TokenKind::symbol, std::string(*symbol));
    advance(position_ + symbol->size());
  }

  static void balance(char symbol, std::vector<char>& brackets) {
    if (symbol == '(' || symbol == '[' || symbol == '{') {
      brackets.push_back(symbol == '(' ? ')' : (symbol == '[' ? ']' : '}'));
    } else if (symbol == ')' || symbol == ']' || symbol == '}') {
      if (brackets.empty()) throw Failure{std::string("unexpected '") + symbol + "'"};
      const char expected = brackets.back();
      brackets.pop_back();
      if (expected != symbol) {
        throw Failure{std::string("unexpected '") + symbol + "', expected '" + expected + "'"};
      }
    }
  }

  // ---- common ----

  std::size_t skip_space(std::size_t at) const {
    while (at < source_.size()) {
      std::size_t next = at;
      if (!is_space(next_char(source_, next))) break;
      at = next;
    }
    return std::min(at, source_.size());
  }

  std::size_t skip_newline(std::size_t at) const {
    return at < source_.size() && source_[at] == '\n' ? at + 1 : at;
  }

  void add(TokenKind kind, std::string text, Value number = {}) {
    tokens_.push_back({kind, std::move(text), std::move(number), line_});
  }

  void advance(std::size_t to) {
    line_ += static_cast<int>(std::count(source_.begin() + static_cast<std::ptrdiff_t>(position_),
                                         source_.begin() + static_cast<std::ptrdiff_t>(to), '\n'));
    position_ = to;
  }

  /// Moves to the end of a tag or of a part of one; what follows may begin a line.
  void advance_tag(std::size_t to) {
    advance(to);
    line_starting_ = to > 0 && source_[to - 1] == '\n';
  }

  std::string source_;
  std::size_t position_ = 0;
  int line_ = 1;
  bool line_starting_ = true;
  std::vector<Token> tokens_;
};

}  // namespace

std::vector<Token> tokenize_template(std::string_view source) {
  return Lexer(normalize_newlines(replace_invalid(source))).run();
}

std::string describe(const Token& token) {
  switch (token.kind) {
    case TokenKind::data:
      return "template data / text";
    case TokenKind::variable_begin:
      return "begin of print statement";
    case TokenKind::variable_end:
      return "end of print statement";
    case TokenKind::block_begin:
      return "begin of statement block";
    case TokenKind::block_end:
      return "end of statement block";
    case TokenKind::string:
      return "string";
    case TokenKind::integer:
      return "integer";
    case TokenKind::real:
      return "float";
    case TokenKind::name:
    case TokenKind::symbol:
    case TokenKind::failure:
      return token.text;
    case TokenKind::end:
      return "end of template";
  }
  return {};
}

}  // namespace touchstone::jinja
