// Filters of text.
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "text/jinja_builtins.h"
#include "text/jinja_int.h"
#include "text/jinja_interpreter.h"
#include "text/jinja_operators.h"
#include "text/jinja_print.h"
#include "text/jinja_string_tools.h"
#include "text/jinja_unicode.h"
#include "text/jinja_wrap.h"
#include "text/unicode.h"

namespace touchstone::jinja {
namespace {

/// The value as text; markup stays markup (Jinja's soft_str).
Value soft_text(Interpreter& in, const Value& value) {
  if (value.is_string()) {
    in.budget().scan(value.string().size());
    return value;
  }
  return {to_str(value, in.budget())};
}

[[noreturn]] void raise_no_attribute(const Value& value, std::string_view name) {
  raise("AttributeError", "'" + type_name(value) + "' object has no attribute " + quote(std::string(name)));
}

Value make_text(Interpreter& in, std::string text, bool markup = false) {
  in.budget().make(text.size());
  return {std::move(text), markup};
}

template <std::string (*kMap)(std::string_view)>
Value map_case(Interpreter& in, const Value& value, const BoundArguments&) {
  const Value text = soft_text(in, value);
  in.budget().scan(4 * text.string().size());  // character by character, where it is not ASCII
  return make_text(in, kMap(text.string()), text.is_markup());
}

/// Jinja's own idea of titles: the letter behind white space, "-" and opening brackets.
std::string title_words(std::string_view text) {
  std::string result;
  std::size_t begin = 0;
  bool inside = false;
  const auto flush = [&](std::size_t end) {
    if (begin == end) return;
    std::size_t rest = begin;
    next_char(text, rest);
    result += to_upper(text.substr(begin, rest - begin)) + to_lower(text.substr(rest, end - rest));
  };
  for (std::size_t position = 0; position < text.size();) {
    const std::size_t at = position;
    const char32_t c = next_char(text, position);
    const bool separates = is_space(c) || (c < 0x80 && std::string_view("-({[<").find(static_cast<char>(c)) !=
                                                           std::string_view::npos);
    if (separates == inside) {
      flush(at);
      begin = at;
      inside = !separates;
    }
  }
  flush(text.size());
  return result;
}

Value trim(Interpreter& in, const Value& value, const BoundArguments& bound) {
  const Value text = soft_text(in, value);
  const std::string_view stripped = bound.has_value(0)
                                        ? strip_chars(text.string(), require_string(bound[0], "strip arg"))
                                        : strip(text.string());
  return make_text(in, std::string(stripped), text.is_markup());
}

Value replace(Interpreter& in, const Value& value, const BoundArguments& bound) {
  Budget& budget = in.budget();
  const std::int64_t count = bound.has_value(2) ? bound.integer(2, -1) : -1;
  const bool markup = in.autoescape() && (value.is_markup() || bound[0].is_markup() || bound[1].is_markup());
  if (!markup) {
    return {replace_text(to_str(value, budget), to_str(bound[0], budget), to_str(bound[1], budget), count,
                         budget)};
  }
  return {replace_text(to_markup(value, budget), to_markup(bound[0], budget), to_markup(bound[1], budget),
                       count, budget),
          true};
}

Value escape(Interpreter& in, const Value& value, const BoundArguments&) {
  return {to_markup(value, in.budget()), true};
}

Value force_escape(Interpreter& in, const Value& value, const BoundArguments&) {
  return make_text(in, escape_html(to_str(value, in.budget())), true);
}

Value mark_safe(Interpreter& in, const Value& value, const BoundArguments&) {
  return {to_str(value, in.budget()), true};
}

Value as_text(Interpreter& in, const Value& value, const BoundArguments&) { return soft_text(in, value); }

Value center(Interpreter& in, const Value& value, const BoundArguments& bound) {
  const Value text = soft_text(in, value);
  return {pad_text(text.string(), '^', " ", bound.integer(0, 80), in.budget()), text.is_markup()};
}

Value indent(Interpreter& in, const Value& value, const BoundArguments& bound) {
  if (!value.is_string()) {
    require_defined(value);
    // A list takes the line's end in, and then is no text either.
    if (value.is(Kind::list)) raise_no_attribute(value, "splitlines");
    raise_type_error(value.is(Kind::tuple)
                         ? "can only concatenate tuple (not \"str\") to tuple"
                         : "unsupported operand type(s) for +=: '" + type_name(value) + "' and 'str'");
  }
  std::string indention;
  if (bound.has(0) && bound[0].is_string()) {
    indention = bound[0].string();
  } else {
    const auto width = static_cast<std::uint64_t>(std::max<std::int64_t>(bound.integer(0, 4), 0));
    in.budget().make(width);
    indention.assign(width, ' ');
  }
  const bool blank = bound.flag(2);
  std::string result = bound.flag(1) ? indention : "";
  bool first = true;
  const std::string text = value.string() + "\n";
  for (const std::string_view line : split_lines(text, false)) {
    in.budget().make(line.size() + indention.size() + 1);
    if (!first) {
      result += "\n";
      if (blank || !line.empty()) result += indention;
    }
    result += line;
    first = false;
  }
  return {std::move(result), value.is_markup()};
}

Value truncate(Interpreter& in, const Value& value, const BoundArguments& bound) {
  const Value text = value.is_string() ? value : Value();
  const std::int64_t size = bound.integer(0, 255);
  const std::string end = bound.has(2) ? require_string(bound[2], "end") : "...";
  const auto end_size = static_cast<std::int64_t>(count_codepoints(end));
  const std::int64_t leeway = bound.has_value(3) ? bound.integer(3, 5) : 5;
  if (size < end_size) {
    raise("AssertionError",
          "expected length >= " + std::to_string(end_size) + ", got " + std::to_string(size));
  }
  if (leeway < 0) raise("AssertionError", "expected leeway >= 0, got " + std::to_string(leeway));
  if (length(value) <= size || length(value) - size <= leeway) return value;
  if (text.is_none()) raise_type_error("can only truncate text");
  std::string kept =
      text.string().substr(0, char_offset(text.string(), static_cast<std::size_t>(size - end_size)));
  if (!bound.flag(1)) {
    const std::size_t space = kept.rfind(' ');
    if (space != std::string::npos) kept.resize(space);
  }
  return make_text(in, kept + end, text.is_markup());
}

Value count_words(Interpreter& in, const Value& value, const BoundArguments&) {
  const Value text = soft_text(in, value);
  std::int64_t words = 0;
  bool inside = false;
  for (std::size_t position = 0; position < text.string().size();) {
    const char32_t c = next_char(text.string(), position);
    const bool letter = c == '_' || is_alphanumeric(c);
    words += letter && !inside ? 1 : 0;
    inside = letter;
  }
  return {words};
}

Value wrap(Interpreter& in, const Value& value, const BoundArguments& bound) {
  require_defined(value);
  if (!value.is_string()) raise_no_attribute(value, "splitlines");
  const std::string& text = value.string();
  const std::string separator = bound.has_value(2) ? require_string(bound[2], "wrapstring") : "\n";
  const std::int64_t width = bound.integer(0, 79);
  if (width <= 0 && !text.empty())
    raise_value_error("invalid width " + std::to_string(width) + " (must be > 0)");
  const WrapOptions options{.width = static_cast<std::size_t>(width),
                            .break_long_words = bound.flag(1, true),
                            .break_on_hyphens = bound.flag(3, true)};
  std::string result;
  bool first = true;
  for (const std::string_view paragraph : split_lines(text, false)) {
    bool any = false;
    for (const std::string& line : wrap_words(paragraph, options, in.budget())) {
      in.budget().make(line.size() + separator.size());
      if (!first) result += separator;
      first = false;
      any = true;
      result += line;
    }
    if (any) continue;
    if (!first) result += separator;  // an empty paragraph is an empty line
    first = false;
  }
  return {std::move(result)};
}

Value format(Interpreter& in, const Value& value, const CallArguments& arguments) {
  if (!arguments.positional.empty() && !arguments.named.empty()) {
    raise("FilterArgumentError", "can't handle positional and keyword arguments at the same time");
  }
  const Value text = soft_text(in, value);
  if (arguments.named.empty())
    return format_percent(text, make_tuple(arguments.positional, in.budget()), in.budget());
  Dict named;
  for (const auto& [name, argument] : arguments.named) named.set(Value(name), argument);
  return format_percent(text, make_dict(std::move(named)), in.budget());
}

/// Tags and comments taken out, white space run together, character references read.
std::string strip_tags(std::string_view text) {
  std::string bare;
  for (std::size_t i = 0; i < text.size();) {
    if (text.substr(i, 4) == "<!--") {
      const std::size_t end = text.find("-->", i);
      if (end == std::string_view::npos) {
        bare += text.substr(i);
        break;
      }
      i = end + 3;
    } else if (text[i] == '<') {
      const std::size_t end = text.find('>', i);
      if (end == std::string_view::npos) {
        bare += text.substr(i);
        break;
      }
      i = end + 1;
    } else {
      bare += text[i++];
    }
  }
  std::string joined;
  for (const std::string_view word : split_at_space(bare, -1, false)) {
    if (!joined.empty()) joined += ' ';
    joined += word;
  }
  return joined;
}

std::string unescape_html(std::string_view text) {
  static constexpr std::array<std::pair<std::string_view, std::string_view>, 9> kNames = {
      {{"amp;", "&"},
       {"lt;", "<"},
       {"gt;", ">"},
       {"quot;", "\""},
       {"apos;", "'"},
       {"#39;", "'"},
       {"#34;", "\""},
       {"nbsp;", "\xC2\xA0"},
       {"copy;", "\xC2\xA9"}}};
  std::string result;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '&') {
      result += text[i];
      continue;
    }
    const auto* found = std::find_if(kNames.begin(), kNames.end(), [&](const auto& entry) {
      return text.substr(i + 1, entry.first.size()) == entry.first;
    });
    result += found == kNames.end() ? "&" : found->second;
    if (found != kNames.end()) i += found->first.size();
  }
  return result;
}

Value remove_tags(Interpreter& in, const Value& value, const BoundArguments&) {
  const std::string text = to_str(value, in.budget());
  in.budget().scan(text.size());
  return make_text(in, unescape_html(strip_tags(text)));
}

std::string quote_url(std::string_view text, bool for_query) {
  static constexpr std::string_view kHexadecimal = "0123456789ABCDEF";
  std::string result;
  for (const char c : text) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       std::string_view("_.-~").find(c) != std::string_view::npos || (c == '/' && !for_query);
    if (plain) {
      result += c;
    } else if (c == ' ' && for_query) {
      result += '+';
    } else {
      const auto byte = static_cast<unsigned char>(c);
      result += '%';
      result += kHexadecimal[byte >> 4U];
      result += kHexadecimal[byte & 15U];
    }
  }
  return result;
}

void require_pair(const std::vector<Value>& items) {
  if (items.size() == 2) return;
  raise_value_error(items.size() > 2 ? "too many values to unpack (expected 2)"
                                     : "not enough values to unpack (expected 2, got " +
                                           std::to_string(items.size()) + ")");
}

Value encode_url(Interpreter& in, const Value& value, const BoundArguments&) {
  if (value.is_string() || !is_iterable(value)) {
    return make_text(in, quote_url(to_str(value, in.budget()), false));
  }
  const Value pairs = value.is_dict() ? call_method(in, value, "items", {}) : value;
  std::string result;
  for (const Value& item : iterate(pairs, in.budget())) {
    if (!is_iterable(item)) raise_type_error("cannot unpack non-iterable " + type_name(item) + " object");
    const std::vector<Value> pair = iterate(item, in.budget());
    require_pair(pair);
    if (!result.empty()) result += '&';
    result +=
        quote_url(to_str(pair[0], in.budget()), true) + "=" + quote_url(to_str(pair[1], in.budget()), true);
  }
  return make_text(in, std::move(result));
}

Value xml_attributes(Interpreter& in, const Value& value, const BoundArguments& bound) {
  require_defined(value);
  if (!value.is_dict()) raise_no_attribute(value, "items");
  std::string result;
  for (const auto& [key, item] : value.dict().entries()) {
    if (item.is_none() || item.is_undefined()) continue;
    if (!key.is_string()) {
      raise_type_error("expected string or bytes-like object, got '" + type_name(key) + "'");
    }
    const std::string& name = key.string();
    if (name.find_first_of(" \t\n\r\f\v/>=") != std::string::npos) {
      raise_value_error("Invalid character in attribute name: " + quote(name));
    }
    if (!result.empty()) result += ' ';
    result += escape_html(name) + "=\"" + to_markup(item, in.budget()) + "\"";
  }
  if (bound.flag(0, true) && !result.empty()) result.insert(0, 1, ' ');
  return make_text(in, std::move(result), in.autoescape());
}

Value pretty_print(Interpreter& in, const Value& value, const BoundArguments&) {
  return make_text(in, to_pretty(value, in.budget()));
}

/// Web addresses become links. Only the plain forms: http, https and www.
Value make_links(Interpreter& in, const Value& value, const BoundArguments&) {
  const std::string text = to_markup(value, in.budget());
  std::string result;
  std::size_t position = 0;
  while (position < text.size()) {
    const std::size_t end = std::min(text.find_first_of(" \t\n", position), text.size());
    const std::string word = text.substr(position, end - position);
    const bool is_address = word.starts_with("http://") || word.starts_with("https://");
    const bool is_www = word.starts_with("www.");
    in.budget().make(3 * word.size() + 64);
    if (is_address || is_www) {
      result += fmt::format(R"(<a href="{}{}" rel="noopener">{}</a>)", is_www ? "https://" : "", word, word);
    } else {
      result += word;
    }
    if (end < text.size()) result += text[end];
    position = end + 1;
  }
  return {std::move(result), in.autoescape()};
}

Value to_json_text(Interpreter& in, const Value& value, const BoundArguments& bound) {
  JsonFormat format;
  format.ensure_ascii = bound.flag(0);
  format.sort_keys = bound.flag(3);
  if (bound.has_value(1)) {
    if (bound[1].is_string()) {
      format.indent = bound[1].string();
    } else {
      const auto width = static_cast<std::uint64_t>(std::max<std::int64_t>(bound.integer(1, 0), 0));
      in.budget().make(width);
      format.indent = std::string(width, ' ');
    }
    format.item_separator = ",";
  }
  if (bound.has_value(2)) {
    const std::vector<Value> separators = iterate(bound[2], in.budget());
    require_pair(separators);
    format.item_separator = require_string(separators[0], "item separator");
    format.key_separator = require_string(separators[1], "key separator");
  }
  return {to_json(value, format, in.budget())};
}

}  // namespace

const std::vector<FilterEntry>& text_filters() {
  static const auto* const entries = new std::vector<FilterEntry>{
      {"upper", "do_upper", "", 0, map_case<to_upper>, nullptr},
      {"lower", "do_lower", "", 0, map_case<to_lower>, nullptr},
      {"capitalize", "do_capitalize", "", 0, map_case<capitalize>, nullptr},
      {"title", "do_title", "", 0, map_case<title_words>, nullptr},
      {"trim", "do_trim", "chars", 0, trim, nullptr},
      {"replace", "do_replace", "old,new,count", 2, replace, nullptr},
      {"e", "escape", "", 0, escape, nullptr},
      {"escape", "escape", "", 0, escape, nullptr},
      {"forceescape", "do_forceescape", "", 0, force_escape, nullptr},
      {"safe", "do_mark_safe", "", 0, mark_safe, nullptr},
      {"string", "soft_str", "", 0, as_text, nullptr},
      {"center", "do_center", "width", 0, center, nullptr},
      {"indent", "do_indent", "width,first,blank", 0, indent, nullptr},
      {"truncate", "do_truncate", "length,killwords,end,leeway", 0, truncate, nullptr},
      {"wordcount", "do_wordcount", "", 0, count_words, nullptr},
      {"wordwrap", "do_wordwrap", "width,break_long_words,wrapstring,break_on_hyphens", 0, wrap, nullptr},
      {"format", "do_format", "", 0, nullptr, format},
      {"striptags", "do_striptags", "", 0, remove_tags, nullptr},
      {"urlencode", "do_urlencode", "", 0, encode_url, nullptr},
      {"urlize", "do_urlize", "trim_url_limit,nofollow,target,rel,extra_schemes", 0, make_links, nullptr},
      {"xmlattr", "do_xmlattr", "autospace", 0, xml_attributes, nullptr},
      {"pprint", "do_pprint", "", 0, pretty_print, nullptr},
      {"tojson", "tojson", "ensure_ascii,indent,separators,sort_keys", 0, to_json_text, nullptr},
  };
  return *entries;
}

}  // namespace touchstone::jinja
