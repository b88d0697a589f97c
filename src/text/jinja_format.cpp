#include "text/jinja_format.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "text/jinja_int.h"
#include "text/jinja_interpreter.h"
#include "text/jinja_operators.h"
#include "text/jinja_print.h"
#include "text/jinja_unicode.h"
#include "text/unicode.h"

namespace touchstone::jinja {
namespace {

constexpr std::int64_t kMaxPrecision = 10'000;  // of a real number; a double has no more than 767 digits

/// A decimal number at `position`; nothing when there is none. Saturates: its use is charged.
std::optional<std::int64_t> read_number(std::string_view text, std::size_t& position) {
  if (position >= text.size() || !is_ascii_digit(text[position])) return std::nullopt;
  std::int64_t number = 0;
  for (; position < text.size() && is_ascii_digit(text[position]); ++position) {
    number = std::min<std::int64_t>(number * 10 + (text[position] - '0'), std::int64_t{1} << 40U);
  }
  return number;
}

/// `type`: e, f or g in either case.
std::string format_real(double value, char type, std::int64_t precision, bool alternate) {
  if (precision > kMaxPrecision) raise_value_error("precision too big");
  const std::string format = std::string(alternate ? "%#.*" : "%.*") + type;
  std::string text(static_cast<std::size_t>(precision) + 400, '\0');
  const int size =
      std::snprintf(text.data(), text.size(), format.c_str(), static_cast<int>(precision), value);
  text.resize(static_cast<std::size_t>(std::max(size, 0)));
  return text;
}

std::string pad(std::string text, char align, std::string_view fill, std::int64_t width, Budget& budget) {
  const auto length = static_cast<std::int64_t>(count_codepoints(text));
  if (width <= length) return text;
  const auto missing = static_cast<std::size_t>(width - length);
  budget.make(missing * fill.size());
  const std::size_t before = align == '>' ? missing : (align == '^' ? missing / 2 : 0);
  std::string result;
  for (std::size_t i = 0; i < before; ++i) result += fill;
  result += text;
  for (std::size_t i = before; i < missing; ++i) result += fill;
  return result;
}

/// Zeros between the sign (and prefix) and the digits.
std::string pad_zeros(std::string text, std::size_t sign_size, std::int64_t width, Budget& budget) {
  const auto length = static_cast<std::int64_t>(text.size());
  if (width <= length) return text;
  budget.make(static_cast<std::uint64_t>(width - length));
  return text.insert(sign_size, static_cast<std::size_t>(width - length), '0');
}

bool is_upper_type(char type) { return type == 'X' || type == 'E' || type == 'F' || type == 'G'; }

std::string upper_ascii(std::string text) {
  for (char& c : text) {
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - ('a' - 'A'));
  }
  return text;
}

std::string character_of(const Value& integer) {
  const std::int64_t code = clamp_integer(integer);
  if (code < 0 || code > 0x10FFFF) raise("OverflowError", "%c arg not in range(0x110000)");
  std::string character;
  append_char(character, static_cast<char32_t>(code));
  return character;
}

// ---- the % operator ----

class PercentFormatter {
 public:
  PercentFormatter(const Value& format, const Value& arguments, Budget& budget)
      : format_(format.string()), markup_(format.is_markup()), arguments_(arguments), budget_(budget) {}

  std::string run() {
    budget_.scan(format_.size());
    while (position_ < format_.size()) {
      const char c = format_[position_++];
      if (c == '%') {
        read_directive();
      } else {
        budget_.make(1);
        result_ += c;
      }
    }
    // What Python can index, but for a tuple and a string, may be left over.
    const bool mapping = arguments_.is_dict() || arguments_.is(Kind::list) || arguments_.is_undefined() ||
                         arguments_.as<RangeObject>() != nullptr;
    const std::size_t given = arguments_.is(Kind::tuple) ? arguments_.items().size() : 1;
    if (!used_mapping_ && !mapping && next_ < given) {
      raise_type_error("not all arguments converted during string formatting");
    }
    return std::move(result_);
  }

 private:
  struct Directive {
    bool left = false, plus = false, space = false, alternate = false, zero = false;
    std::int64_t width = 0;
    std::optional<std::int64_t> precision;
  };

  char peek() const {
    if (position_ >= format_.size()) raise_value_error("incomplete format");
    return format_[position_];
  }

  Value next_argument() {
    if (arguments_.is(Kind::tuple)) {
      if (next_ >= arguments_.items().size()) raise_type_error("not enough arguments for format string");
      return arguments_.items()[next_++];
    }
    if (next_++ > 0) raise_type_error("not enough arguments for format string");
    return arguments_;
  }

  std::int64_t read_count() {
    if (position_ < format_.size() && format_[position_] == '*') {
      ++position_;
      const Value count = next_argument();
      if (!count.is_integer()) raise_type_error("* wants int");
      return clamp_integer(count);
    }
    return read_number(format_, position_).value_or(0);
  }

  Value read_key() {
    if (!arguments_.is_dict()) raise_type_error("format requires a mapping");
    int depth = 1;
    const std::size_t begin = ++position_;
    for (; position_ < format_.size(); ++position_) {
      if (format_[position_] == '(') ++depth;
      if (format_[position_] == ')' && --depth == 0) break;
    }
    if (position_ >= format_.size()) raise_value_error("incomplete format key");
    const std::string key = format_.substr(begin, position_++ - begin);
    const Value* value = arguments_.dict().find(std::string_view(key));
    if (value == nullptr) raise("KeyError", quote(key));
    used_mapping_ = true;
    return *value;
  }

  void read_directive() {
    if (peek() == '%') {
      ++position_;
      budget_.make(1);
      result_ += '%';
      return;
    }
    std::optional<Value> keyed;
    if (peek() == '(') keyed = read_key();
    Directive directive;
    for (; std::string_view("-+ #0").find(peek()) != std::string_view::npos; ++position_) {
      const char flag = peek();
      directive.left |= flag == '-';
      directive.plus |= flag == '+';
      directive.space |= flag == ' ';
      directive.alternate |= flag == '#';
      directive.zero |= flag == '0';
    }
    directive.width = read_count();
    if (directive.width < 0) {
      directive.left = true;
      directive.width = directive.width == std::numeric_limits<std::int64_t>::min() ? 0 : -directive.width;
    }
    if (peek() == '.') {
      ++position_;
      directive.precision = std::max<std::int64_t>(read_count(), 0);
    }
    while (peek() == 'h' || peek() == 'l' || peek() == 'L') ++position_;
    const std::size_t at = position_;
    const char32_t type = next_char(format_, position_);
    const Value value = keyed ? *std::move(keyed) : next_argument();
    if (std::string_view("sradiufFeEgGxXoc").find(static_cast<char>(type)) == std::string_view::npos ||
        type > 0x7F) {
      const std::string character(1, type >= 0x1F && type < 0x7F ? static_cast<char>(type) : '?');
      char code[16];
      std::snprintf(code, sizeof code, "0x%x", static_cast<unsigned>(type));
      raise_value_error("unsupported format character '" + character + "' (" + code + ") at index " +
                        std::to_string(count_codepoints(std::string_view(format_).substr(0, at))));
    }
    write(directive, static_cast<char>(type), value);
  }

  void write(const Directive& directive, char type, const Value& value) {
    std::string text;
    bool numeric = false;
    if (type == 's' || type == 'r' || type == 'a' || type == 'c') {
      text = text_of(type, value);
      if (directive.precision && type != 'c') {
        text.resize(char_offset(text, static_cast<std::size_t>(*directive.precision)));
      }
    } else {
      text = number_of(directive, type, value);
      numeric = true;
    }
    if (numeric && directive.zero && !directive.left) {
      const std::size_t sign =
          !text.empty() && std::string_view("+- ").find(text[0]) != std::string_view::npos;
      const bool prefixed = directive.alternate && (type == 'x' || type == 'X' || type == 'o');
      text = pad_zeros(std::move(text), sign + (prefixed ? 2 : 0), directive.width, budget_);
    }
    text = pad(std::move(text), directive.left ? '<' : '>', " ", directive.width, budget_);
    budget_.make(text.size());
    result_ += text;
  }

  std::string text_of(char type, const Value& value) {
    if (type == 's') return markup_ ? to_markup(value, budget_) : to_str(value, budget_);
    if (type == 'c') {
      if (value.is_string() && count_codepoints(value.string()) == 1) return value.string();
      if (!value.is_integer() && !value.is(Kind::boolean)) raise_type_error("%c requires int or char");
      return character_of(value);
    }
    const std::string text = to_repr(value, budget_);
    return type == 'a' ? escape_non_ascii(text) : text;
  }

  std::string number_of(const Directive& directive, char type, const Value& value) {
    const bool real_type = std::string_view("fFeEgG").find(type) != std::string_view::npos;
    if (!value.is_number()) {
      if (real_type || type == 'd' || type == 'i' || type == 'u') require_defined(value);
      if (real_type) raise_type_error("must be real number, not " + type_name(value));
      const bool decimal = type == 'd' || type == 'i' || type == 'u';
      raise_type_error(std::string("%") + type + " format: " + (decimal ? "a real number" : "an integer") +
                       " is required, not " + type_name(value));
    }
    std::string text = real_type ? format_real(value.is(Kind::real) ? value.real() : integer_to_real(value),
                                               type, directive.precision.value_or(6), directive.alternate)
                                 : integer_of(directive, type, value);
    if (text.front() != '-' && (directive.plus || directive.space))
      text.insert(0, directive.plus ? "+" : " ");
    return text;
  }

  std::string integer_of(const Directive& directive, char type, const Value& value) {
    Value whole = value;
    if (value.is(Kind::real)) {
      if (type == 'x' || type == 'X' || type == 'o') {
        raise_type_error(std::string("%") + type + " format: an integer is required, not float");
      }
      whole = integer_from_real(value.real());
    }
    const unsigned base = type == 'x' || type == 'X' ? 16 : (type == 'o' ? 8 : 10);
    std::string digits = integer_to_text(whole, base);
    const bool negative = digits.front() == '-';
    if (negative) digits.erase(0, 1);
    digits = pad_zeros(std::move(digits), 0, directive.precision.value_or(0), budget_);
    if (directive.alternate && base != 10) digits.insert(0, base == 16 ? "0x" : "0o");
    if (type == 'X') digits = upper_ascii(std::move(digits));
    return (negative ? "-" : "") + digits;
  }

  const std::string& format_;
  bool markup_;
  const Value& arguments_;
  Budget& budget_;
  std::size_t position_ = 0;
  std::size_t next_ = 0;
  bool used_mapping_ = false;
  std::string result_;
};

// ---- format specifications ----

struct Specification {
  std::string fill = " ";
  char align = '\0';
  char sign = '\0';
  bool alternate = false;
  bool zero = false;
  std::int64_t width = 0;
  char grouping = '\0';
  std::optional<std::int64_t> precision;
  char type = '\0';
};

bool is_align(char c) { return c == '<' || c == '>' || c == '=' || c == '^'; }

Specification parse_specification(std::string_view text, const Value& value) {
  Specification spec;
  std::size_t position = 0;
  const auto at = [&](char c) { return position < text.size() && text[position] == c; };
  std::size_t after_fill = 0;
  if (!text.empty()) next_char(text, after_fill);
  if (after_fill < text.size() && is_align(text[after_fill])) {
    spec.fill = text.substr(0, after_fill);
    spec.align = text[after_fill];
    position = after_fill + 1;
  } else if (!text.empty() && is_align(text[0])) {
    spec.align = text[0];
    position = 1;
  }
  if (at('+') || at('-') || at(' ')) spec.sign = text[position++];
  if (at('#')) spec.alternate = text[position++] == '#';
  if (at('0')) {
    ++position;
    spec.zero = true;
    if (spec.align == '\0') {
      spec.align = value.is_string() ? '<' : '=';
      spec.fill = "0";
    }
  }
  spec.width = read_number(text, position).value_or(0);
  if (at(',') || at('_')) spec.grouping = text[position++];
  if (at('.')) {
    ++position;
    spec.precision = read_number(text, position);
    if (!spec.precision) raise_value_error("Format specifier missing precision");
  }
  if (position < text.size()) spec.type = text[position++];
  if (position < text.size()) {
    raise_value_error("Invalid format specifier '" + std::string(text) + "' for object of type '" +
                      type_name(value) + "'");
  }
  return spec;
}

[[noreturn]] void raise_unknown_code(char type, const Value& value) {
  raise_value_error(std::string("Unknown format code '") + type + "' for object of type '" +
                    type_name(value) + "'");
}

/// A separator between each `size` digits of the whole part, with zeros before it up to `width`.
std::string group_digits(std::string_view digits, char separator, std::size_t size, std::size_t width) {
  const std::string_view whole_digits = size == 3 ? "0123456789" : "0123456789abcdefABCDEF";
  const std::size_t given = std::min(digits.find_first_not_of(whole_digits), digits.size());
  if (given == 0) return std::string(digits);  // inf, nan
  std::size_t whole = given;
  while (digits.size() - given + whole + (whole - 1) / size < width) ++whole;
  std::string result;
  for (std::size_t i = 0; i < whole; ++i) {
    if (i > 0 && (whole - i) % size == 0) result += separator;
    result += i < whole - given ? '0' : digits[i - (whole - given)];
  }
  return result.append(digits.substr(given));
}

/// Without a type but with a precision: as "g", but never a whole number without its ".0".
std::string short_digits(double magnitude, std::int64_t precision, bool alternate) {
  precision = std::max<std::int64_t>(precision, 1);
  std::string text = format_real(magnitude, 'e', precision - 1, alternate);
  const std::size_t exponent = text.find('e');
  if (exponent == std::string::npos) return text;  // inf, nan
  if (std::strtol(text.c_str() + exponent + 1, nullptr, 10) + 1 != precision) {
    text = format_real(magnitude, 'g', precision, alternate);
    return text.find_first_of(".e") == std::string::npos ? text + ".0" : text;
  }
  // No room for a decimal within the precision: an exponent.
  if (alternate || text.find('.') == std::string::npos) return text;
  std::size_t end = text.find_last_not_of('0', exponent - 1) + 1;
  if (text[end - 1] == '.') --end;
  return text.erase(end, exponent - end);
}

std::string real_digits(double magnitude, const Specification& spec) {
  switch (spec.type) {
    case '\0':
      return spec.precision ? short_digits(magnitude, *spec.precision, spec.alternate)
                            : real_to_text(magnitude);
    case '%':
      return format_real(magnitude * 100, 'f', spec.precision.value_or(6), spec.alternate) + "%";
    case 'n':
      return format_real(magnitude, 'g', spec.precision.value_or(6), spec.alternate);
    default: {
      const std::int64_t precision = spec.precision.value_or(6);
      return format_real(magnitude, spec.type, precision, spec.alternate);
    }
  }
}

std::string format_number(const Value& value, const Specification& spec, Budget& budget) {
  const bool real =
      value.is(Kind::real) ||
      (spec.type != '\0' && std::string_view("eEfFgG%").find(spec.type) != std::string_view::npos);
  bool negative = false;
  std::string digits, prefix;
  std::size_t group = 3;
  if (real) {
    if (spec.type != '\0' && std::string_view("eEfFgGn%").find(spec.type) == std::string_view::npos) {
      raise_unknown_code(spec.type, value);
    }
    const double number = value.is(Kind::real) ? value.real() : integer_to_real(value);
    negative = std::signbit(number) && !std::isnan(number);
    digits = real_digits(std::fabs(number), spec);
  } else {
    if (spec.precision) raise_value_error("Precision not allowed in integer format specifier");
    if (spec.type == 'c') {
      if (value.is(Kind::big_integer)) raise("OverflowError", "Python int too large to convert to C long");
      digits = character_of(value);
    } else {
      unsigned base = 10;
      if (spec.type == 'x' || spec.type == 'X') base = 16;
      if (spec.type == 'o') base = 8;
      if (spec.type == 'b') base = 2;
      if (base == 10 && spec.type != '\0' && spec.type != 'd' && spec.type != 'n')
        raise_unknown_code(spec.type, value);
      if (base != 10) group = 4;
      digits = integer_to_text(value, base);
      negative = digits.front() == '-';
      if (negative) digits.erase(0, 1);
      if (spec.alternate && base != 10) prefix = std::string("0") + spec.type;
      if (is_upper_type(spec.type)) digits = upper_ascii(std::move(digits));
    }
  }
  const std::string sign =
      negative ? "-" : (spec.sign == '-' || spec.sign == '\0' ? "" : std::string(1, spec.sign));
  if (spec.grouping != '\0') {
    const std::int64_t width = spec.align == '=' && spec.fill == "0" ? spec.width : 0;
    const auto taken = static_cast<std::int64_t>(sign.size() + prefix.size());
    budget.make(static_cast<std::uint64_t>(std::max<std::int64_t>(width, 0)));
    digits = group_digits(digits, spec.grouping, group,
                          static_cast<std::size_t>(std::max<std::int64_t>(width - taken, 0)));
  }
  if (spec.align == '=') {
    const auto taken = static_cast<std::int64_t>(sign.size() + prefix.size());
    return sign + prefix + pad(std::move(digits), '>', spec.fill, spec.width - taken, budget);
  }
  return pad(sign + prefix + digits, spec.align == '\0' ? '>' : spec.align, spec.fill, spec.width, budget);
}

std::string format_string(const Value& value, const Specification& spec, Budget& budget) {
  if (spec.type != '\0' && spec.type != 's') raise_unknown_code(spec.type, value);
  if (spec.grouping != '\0')
    raise_value_error(std::string("Cannot specify '") + spec.grouping + "' with 's'.");
  if (spec.sign != '\0') raise_value_error("Sign not allowed in string format specifier");
  if (spec.align == '=') raise_value_error("'=' alignment not allowed in string format specifier");
  std::string text = value.string();
  if (spec.precision) text.resize(char_offset(text, static_cast<std::size_t>(*spec.precision)));
  return pad(std::move(text), spec.align == '\0' ? '<' : spec.align, spec.fill, spec.width, budget);
}

// ---- str.format ----

class BraceFormatter {
 public:
  BraceFormatter(Interpreter& interpreter, const CallArguments& arguments, bool markup)
      : interpreter_(interpreter), arguments_(arguments), markup_(markup) {}

  std::string run(std::string_view format, int depth = 2) {
    if (depth == 0) raise_value_error("Max string recursion exceeded");
    std::string result;
    for (std::size_t i = 0; i < format.size();) {
      const char c = format[i];
      interpreter_.budget().make(1);
      if ((c == '{' || c == '}') && i + 1 < format.size() && format[i + 1] == c) {
        result += c;
        i += 2;
      } else if (c == '}') {
        raise_value_error("Single '}' encountered in format string");
      } else if (c == '{') {
        const std::size_t end = find_end(format, i);
        result += replace(format.substr(i + 1, end - i - 1), depth);
        i = end + 1;
      } else {
        result += c;
        ++i;
      }
    }
    return result;
  }

 private:
  static std::size_t find_end(std::string_view format, std::size_t begin) {
    if (begin + 1 == format.size()) raise_value_error("Single '{' encountered in format string");
    int depth = 0;
    for (std::size_t i = begin; i < format.size(); ++i) {
      if (format[i] == '{') ++depth;
      if (format[i] == '}' && --depth == 0) return i;
    }
    raise_value_error("expected '}' before end of string");
  }

  std::string replace(std::string_view field, int depth) {
    const std::size_t name_end = std::min(field.find_first_of("!:"), field.size());
    std::string_view rest = field.substr(name_end);
    char conversion = '\0';
    if (!rest.empty() && rest[0] == '!') {
      if (rest.size() == 1) raise_value_error("unmatched '{' in format spec");
      conversion = rest[1];
      rest.remove_prefix(2);
      if (!rest.empty() && rest[0] != ':') raise_value_error("expected ':' after conversion specifier");
    }
    std::string specification;
    Value value = find(number_field(field.substr(0, name_end)));
    if (!rest.empty()) specification = run(rest.substr(1), depth - 1);
    Budget& budget = interpreter_.budget();
    if (conversion == 'r') value = Value(to_repr(value, budget));
    if (conversion == 'a') value = Value(escape_non_ascii(to_repr(value, budget)));
    if (conversion == 's') value = Value(to_str(value, budget));
    if (conversion != '\0' && std::string_view("ras").find(conversion) == std::string_view::npos) {
      raise_value_error(std::string("Unknown conversion specifier ") + conversion);
    }
    std::string text = format_value(value, specification, budget);
    if (markup_ && !value.is_markup()) text = escape_html(text);
    budget.make(text.size());
    return text;
  }

  /// A field without a name gets the next number; a template numbers either all its fields or none.
  std::string number_field(std::string_view field) {
    const bool numbered = is_number(field);
    if (numbered ? automatic_ > 0 : field.empty() && numbered_) {
      raise_value_error("cannot switch from manual field specification to automatic field numbering");
    }
    numbered_ |= numbered;
    return field.empty() ? std::to_string(automatic_++) : std::string(field);
  }

  static bool is_number(std::string_view text) {
    return !text.empty() && std::all_of(text.begin(), text.end(), is_ascii_digit);
  }

  Value first_part(std::string_view name) {
    std::size_t position = 0;
    if (is_number(name)) {
      const std::int64_t index = read_number(name, position).value_or(0);
      if (static_cast<std::uint64_t>(index) >= arguments_.positional.size()) {
        raise("IndexError", "tuple index out of range");
      }
      return arguments_.positional[static_cast<std::size_t>(index)];
    }
    const Value* value = arguments_.find(name);
    if (value == nullptr) raise("KeyError", quote(name));
    return *value;
  }

  Value find(std::string_view field) {
    std::size_t at = std::min(field.find_first_of(".["), field.size());
    Value value = first_part(field.substr(0, at));
    while (at < field.size()) {
      if (field[at] == '.') {
        const std::size_t end = std::min(field.find_first_of(".[", at + 1), field.size());
        if (end == at + 1) raise_value_error("Empty attribute in format string");
        value = interpreter_.get_attribute(value, field.substr(at + 1, end - at - 1));
        at = end;
      } else if (field[at] == '[') {
        const std::size_t end = field.find(']', at);
        if (end == std::string_view::npos) raise_value_error("expected '}' before end of string");
        const std::string key(field.substr(at + 1, end - at - 1));
        if (key.empty()) raise_value_error("Empty attribute in format string");
        value = interpreter_.get_item(
            value, is_number(key) ? parse_integer(key, 10).value_or(Value(key)) : Value(key));
        at = end + 1;
      } else {
        raise_value_error("Only '.' or '[' may follow ']' in format field specifier");
      }
    }
    return value;
  }

  Interpreter& interpreter_;
  const CallArguments& arguments_;
  bool markup_;
  std::int64_t automatic_ = 0;
  bool numbered_ = false;
};

}  // namespace

Value format_percent(const Value& format, const Value& arguments, Budget& budget) {
  return {PercentFormatter(format, arguments, budget).run(), format.is_markup()};
}

std::string format_value(const Value& value, std::string_view specification, Budget& budget) {
  if (specification.empty()) return to_str(value, budget);
  if (!value.is_number() && !value.is_string()) {
    raise_type_error("unsupported format string passed to " + type_name(value) + ".__format__");
  }
  const Specification spec = parse_specification(specification, value);
  return value.is_string() ? format_string(value, spec, budget) : format_number(value, spec, budget);
}

Value format_braces(Interpreter& interpreter, const Value& format, const CallArguments& arguments) {
  BraceFormatter formatter(interpreter, arguments, format.is_markup());
  return {formatter.run(format.string()), format.is_markup()};
}

}  // namespace touchstone::jinja
