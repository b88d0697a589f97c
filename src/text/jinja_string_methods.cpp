// str's methods.
#include <algorithm>
#include <array>

#include "text/jinja_builtins.h"
#include "text/jinja_format.h"
#include "text/jinja_int.h"
#include "text/jinja_interpreter.h"
#include "text/jinja_operators.h"
#include "text/jinja_print.h"
#include "text/jinja_string_tools.h"
#include "text/jinja_unicode.h"
#include "text/unicode.h"

namespace touchstone::jinja {
namespace {

/// A method at work: the string, the arguments, and what they cost.
struct Method {
  Interpreter& interpreter;
  const Value& self;
  std::string_view name;
  const CallArguments& arguments;

  const std::string& text() const { return self.string(); }
  Budget& budget() const { return interpreter.budget(); }
  Value make(std::string result) const {
    budget().make(result.size());
    return {std::move(result), self.is_markup()};
  }
  BoundArguments bind(std::string_view parameters, std::size_t required = 0) const {
    return {name, parameters, required, arguments};
  }
  BoundArguments bind_positional(std::string_view parameters, std::size_t required = 0) const {
    return jinja::bind_positional("str", name, parameters, required, arguments);
  }
  void bind_nothing() const { bind_positional(""); }
  /// `sub[, start[, end]]`, whose errors CPython words in a way of their own.
  BoundArguments bind_search() const {
    const std::size_t given = arguments.positional.size();
    const std::string call = std::string(name) + "() takes ";
    if (!arguments.named.empty()) raise_type_error(call + "no keyword arguments");
    if (given == 0) raise_type_error(call + "at least 1 argument (0 given)");
    if (given > 3) raise_type_error(call + "at most 3 arguments (" + std::to_string(given) + " given)");
    return bind("sub,start,end", 1);
  }
};

using Apply = Value (*)(const Method&);

/// A search from the end may compare the whole part at each position: charged as if it did.
void charge_search_from_end(const Method& m, std::string_view text, std::string_view part) {
  m.budget().scan(text.size() * std::min<std::size_t>(part.size(), std::size_t{1} << 20U) / 16);
}

std::size_t find_last(const Method& m, std::string_view text, std::string_view part) {
  charge_search_from_end(m, text, part);
  return text.rfind(part);
}

// ---- case and padding ----

template <std::string (*kMap)(std::string_view)>
Value map_case(const Method& m) {
  m.bind_nothing();
  m.budget().scan(4 * m.text().size());  // character by character, where it is not ASCII
  return m.make(kMap(m.text()));
}

template <bool kLeft, bool kRight>
Value strip_ends(const Method& m) {
  const BoundArguments bound = m.bind_positional("chars");
  if (!bound.has_value(0)) return m.make(std::string(strip(m.text(), kLeft, kRight)));
  if (!bound[0].is_string()) raise_type_error(std::string(m.name) + " arg must be None or str");
  return m.make(std::string(strip_chars(m.text(), bound[0].string(), kLeft, kRight)));
}

template <char kAlign>
Value justify(const Method& m) {
  const BoundArguments bound = m.bind_positional("width,fillchar", 1);
  if (bound.has(1) && !bound[1].is_string()) {
    raise_type_error("The fill character must be a unicode character, not " + type_name(bound[1]));
  }
  const std::string fill = bound.has(1) ? bound[1].string() : " ";
  if (count_codepoints(fill) != 1) raise_type_error("The fill character must be exactly one character long");
  return m.make(pad_text(m.text(), kAlign, fill, bound.integer(0, 0), m.budget()));
}

Value fill_zeros(const Method& m) {
  const BoundArguments bound = m.bind_positional("width", 1);
  const std::int64_t missing = bound.integer(0, 0) - static_cast<std::int64_t>(count_codepoints(m.text()));
  if (missing <= 0) return m.self;
  m.budget().make(static_cast<std::uint64_t>(missing));
  std::string text = m.text();
  const bool has_sign = !text.empty() && (text[0] == '+' || text[0] == '-');
  return m.make(text.insert(has_sign ? 1 : 0, static_cast<std::size_t>(missing), '0'));
}

Value expand_tabs(const Method& m) {
  const std::int64_t size = m.bind("tabsize").integer(0, 8);
  std::string result;
  std::int64_t column = 0;
  for (const char c : m.text()) {
    if (c == '\t') {
      const std::int64_t spaces = size > 0 ? size - column % size : 0;
      m.budget().make(static_cast<std::uint64_t>(spaces));
      result.append(static_cast<std::size_t>(spaces), ' ');
      column += spaces;
      continue;
    }
    result += c;
    if ((static_cast<unsigned char>(c) & 0xC0U) != 0x80U) ++column;
    if (c == '\n' || c == '\r') column = 0;
  }
  return m.make(std::move(result));
}

// ---- taking apart and putting together ----

Value make_parts(const Method& m, const std::vector<std::string_view>& parts) {
  std::vector<Value> items;
  items.reserve(parts.size());
  for (const std::string_view part : parts) {
    m.budget().make(part.size() + sizeof(std::string));
    items.emplace_back(std::string(part), m.self.is_markup());
  }
  return make_list(std::move(items), m.budget());
}

template <bool kFromRight>
Value split(const Method& m) {
  const BoundArguments bound = m.bind("sep,maxsplit");
  const std::int64_t limit = bound.integer(1, -1);
  if (!bound.has_value(0)) return make_parts(m, split_at_space(m.text(), limit, kFromRight));
  if (!bound[0].is_string()) {
    raise_type_error("must be str or None, not " + type_name(bound[0]));
  }
  if (kFromRight) charge_search_from_end(m, m.text(), bound[0].string());
  return make_parts(m, split_at(m.text(), bound[0].string(), limit, kFromRight));
}

Value split_into_lines(const Method& m) {
  return make_parts(m, split_lines(m.text(), m.bind("keepends").integer(0, 0) != 0));
}

template <bool kFromRight>
Value partition(const Method& m) {
  const BoundArguments bound = m.bind_positional("sep", 1);
  const std::string& separator = require_string(bound[0]);
  if (separator.empty()) raise_value_error("empty separator");
  const std::string& text = m.text();
  const std::size_t at = kFromRight ? find_last(m, text, separator) : find_text(text, separator);
  const auto part = [&](std::string piece) { return m.make(std::move(piece)); };
  if (at == std::string::npos) {
    return kFromRight ? make_tuple({part(""), part(""), part(text)}, m.budget())
                      : make_tuple({part(text), part(""), part("")}, m.budget());
  }
  return make_tuple({part(text.substr(0, at)), part(separator), part(text.substr(at + separator.size()))},
                    m.budget());
}

Value join(const Method& m) {
  const BoundArguments bound = m.bind_positional("iterable", 1);
  if (!is_iterable(bound[0])) raise_type_error("can only join an iterable");
  std::string result;
  std::size_t index = 0;
  for (const Value& item : iterate(bound[0], m.budget())) {
    if (!item.is_string()) {
      raise_type_error("sequence item " + std::to_string(index) + ": expected str instance, " +
                       type_name(item) + " found");
    }
    const std::string piece = m.self.is_markup() ? to_markup(item, m.budget()) : item.string();
    m.budget().make(piece.size() + m.text().size());
    if (index++ > 0) result += m.text();
    result += piece;
  }
  return {std::move(result), m.self.is_markup()};
}

Value replace(const Method& m) {
  const BoundArguments bound = m.bind_positional("old,new,count", 2);
  const auto argument = [&](std::size_t index) {
    const std::string& text = require_string(bound[index], "replace() argument " + std::to_string(index + 1));
    return m.self.is_markup() ? to_markup(bound[index], m.budget()) : text;
  };
  return {replace_text(m.text(), argument(0), argument(1), bound.integer(2, -1), m.budget()),
          m.self.is_markup()};
}

template <bool kPrefix>
Value remove_affix(const Method& m) {
  const BoundArguments bound = m.bind_positional("affix", 1);
  const std::string& affix = require_string(bound[0], std::string(m.name) + "() argument");
  std::string_view text = m.text();
  if (kPrefix && text.substr(0, affix.size()) == affix)
    text.remove_prefix(affix.size());
  else if (!kPrefix && text.size() >= affix.size() && text.substr(text.size() - affix.size()) == affix) {
    text.remove_suffix(affix.size());
  }
  return m.make(std::string(text));
}

// ---- searching ----

/// The part of the text that optional start and end arguments (code points) choose, and where it begins.
struct Window {
  std::string_view text;
  std::int64_t start;  // in code points
  bool valid;          // false: start lies beyond the end
};

Window choose_window(const Method& m, const BoundArguments& bound) {
  m.budget().scan(m.text().size());
  const auto length = static_cast<std::int64_t>(count_codepoints(m.text()));
  const auto place = [&](std::size_t index, std::int64_t fallback) {
    if (!bound.has_value(index)) return fallback;
    const std::int64_t given = require_index(bound[index]);
    return given < 0 ? (given < -length ? 0 : given + length) : given;
  };
  const std::int64_t start = place(1, 0);
  const std::int64_t stop = std::min(place(2, length), length);
  if (start > length || stop < start) return {.text = {}, .start = start, .valid = false};
  const std::size_t begin = char_offset(m.text(), static_cast<std::size_t>(start));
  const std::size_t end = char_offset(m.text(), static_cast<std::size_t>(stop));
  return {.text = std::string_view(m.text()).substr(begin, end - begin), .start = start, .valid = true};
}

template <bool kFromRight, bool kMustExist>
Value find(const Method& m) {
  const BoundArguments bound = m.bind_search();
  const std::string& wanted = require_string(bound[0]);
  const Window window = choose_window(m, bound);
  std::size_t at = std::string_view::npos;
  if (window.valid) at = kFromRight ? find_last(m, window.text, wanted) : find_text(window.text, wanted);
  if (at != std::string_view::npos) {
    return {window.start + static_cast<std::int64_t>(count_codepoints(window.text.substr(0, at)))};
  }
  if (kMustExist) raise_value_error("substring not found");
  return {-1};
}

Value count(const Method& m) {
  const BoundArguments bound = m.bind_search();
  const std::string& wanted = require_string(bound[0]);
  const Window window = choose_window(m, bound);
  if (!window.valid) return {0};
  if (wanted.empty()) return {static_cast<std::int64_t>(count_codepoints(window.text)) + 1};
  std::int64_t found = 0;
  for (std::size_t at = find_text(window.text, wanted); at != std::string_view::npos;
       at = find_text(window.text, wanted, at + wanted.size())) {
    ++found;
  }
  return {found};
}

template <bool kPrefix>
Value has_affix(const Method& m) {
  const BoundArguments bound = m.bind_search();
  const Window window = choose_window(m, bound);
  const auto matches = [&](const Value& affix) {
    const std::string& wanted = affix.string();
    if (!window.valid || window.text.size() < wanted.size()) return false;
    return window.text.substr(kPrefix ? 0 : window.text.size() - wanted.size(), wanted.size()) == wanted;
  };
  std::vector<Value> affixes{bound[0]};
  if (bound[0].is(Kind::tuple)) affixes = bound[0].items();
  for (const Value& affix : affixes) {
    if (!affix.is_string()) {
      const std::string name(m.name);
      raise_type_error((bound[0].is(Kind::tuple) ? "tuple for " + name + " must only contain str, not "
                                                 : name + " first arg must be str or a tuple of str, not ") +
                       type_name(affix));
    }
    if (matches(affix)) return {true};
  }
  return {false};
}

// ---- questions ----

template <bool (*kHas)(char32_t)>
Value all_characters(const Method& m) {
  m.bind_nothing();
  m.budget().scan(m.text().size());
  for (std::size_t position = 0; position < m.text().size();) {
    if (!kHas(next_char(m.text(), position))) return {false};
  }
  return {!m.text().empty()};
}

template <bool kUpper>
Value is_cased(const Method& m) {
  m.bind_nothing();
  return {apply_test(m.interpreter, kUpper ? "upper" : "lower", m.self, {})};
}

Value is_title_cased(const Method& m) {
  m.bind_nothing();
  m.budget().scan(m.text().size());
  bool found = false, inside_word = false;
  for (std::size_t position = 0; position < m.text().size();) {
    const char32_t c = next_char(m.text(), position);
    const bool begins = is_upper(c) || is_title(c);
    if (begins ? inside_word : (is_lower(c) && !inside_word)) return {false};
    inside_word = begins || is_lower(c);
    found |= inside_word;
  }
  return {found};
}

Value is_all_ascii(const Method& m) {
  m.bind_nothing();
  m.budget().scan(m.text().size());
  return {is_ascii(m.text())};
}

Value is_all_printable(const Method& m) {
  const Value printable = all_characters<is_printable>(m);
  return m.text().empty() ? Value(true) : printable;
}

Value is_an_identifier(const Method& m) {
  m.bind_nothing();
  m.budget().scan(m.text().size());
  return {is_identifier(m.text())};
}

Value format(const Method& m) { return format_braces(m.interpreter, m.self, m.arguments); }

Value format_map(const Method& m) {
  if (m.arguments.positional.size() != 1 || !m.arguments.named.empty()) {
    const std::size_t given = m.arguments.positional.size() + m.arguments.named.size();
    raise_type_error("format_map() takes exactly one argument (" + std::to_string(given) + " given)");
  }
  const BoundArguments bound = m.bind("mapping", 1);
  if (!bound[0].is_dict()) raise_type_error("format_map() argument must be a mapping");
  CallArguments arguments;
  for (const auto& [key, value] : bound[0].dict().entries()) {
    if (key.is_string()) arguments.named.emplace_back(key.string(), value);
  }
  m.budget().make(arguments.named.size() * sizeof(Dict::Entry));
  return format_braces(m.interpreter, m.self, arguments);
}

struct Entry {
  std::string_view name;
  Apply apply;
};

constexpr std::array<Entry, 44> kMethods = {{{"upper", map_case<to_upper>},
                                             {"lower", map_case<to_lower>},
                                             {"title", map_case<to_title>},
                                             {"capitalize", map_case<capitalize>},
                                             {"swapcase", map_case<swap_case>},
                                             {"casefold", map_case<case_fold>},
                                             {"strip", strip_ends<true, true>},
                                             {"lstrip", strip_ends<true, false>},
                                             {"rstrip", strip_ends<false, true>},
                                             {"split", split<false>},
                                             {"rsplit", split<true>},
                                             {"splitlines", split_into_lines},
                                             {"partition", partition<false>},
                                             {"rpartition", partition<true>},
                                             {"join", join},
                                             {"replace", replace},
                                             {"removeprefix", remove_affix<true>},
                                             {"removesuffix", remove_affix<false>},
                                             {"startswith", has_affix<true>},
                                             {"endswith", has_affix<false>},
                                             {"find", find<false, false>},
                                             {"rfind", find<true, false>},
                                             {"index", find<false, true>},
                                             {"rindex", find<true, true>},
                                             {"count", count},
                                             {"center", justify<'^'>},
                                             {"ljust", justify<'<'>},
                                             {"rjust", justify<'>'>},
                                             {"zfill", fill_zeros},
                                             {"expandtabs", expand_tabs},
                                             {"isalpha", all_characters<is_alphabetic>},
                                             {"isdigit", all_characters<is_digit>},
                                             {"isdecimal", all_characters<is_decimal>},
                                             {"isnumeric", all_characters<is_numeric>},
                                             {"isalnum", all_characters<is_alphanumeric>},
                                             {"isspace", all_characters<is_space>},
                                             {"isupper", is_cased<true>},
                                             {"islower", is_cased<false>},
                                             {"istitle", is_title_cased},
                                             {"isascii", is_all_ascii},
                                             {"isprintable", is_all_printable},
                                             {"isidentifier", is_an_identifier},
                                             {"format", format},
                                             {"format_map", format_map}}};

const Entry* find_entry(std::string_view name) {
  const auto* found =
      std::find_if(kMethods.begin(), kMethods.end(), [&](const Entry& entry) { return entry.name == name; });
  return found == kMethods.end() ? nullptr : found;
}

}  // namespace

bool has_string_method(std::string_view name) { return find_entry(name) != nullptr; }

Value call_string_method(Interpreter& interpreter, const Value& self, std::string_view name,
                         const CallArguments& arguments) {
  interpreter.budget().scan(self.string().size());
  return find_entry(name)->apply(
      {.interpreter = interpreter, .self = self, .name = name, .arguments = arguments});
}

}  // namespace touchstone::jinja
