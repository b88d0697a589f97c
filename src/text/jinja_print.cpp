#include "text/jinja_print.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>

#include "text/jinja_int.h"
#include "text/jinja_unicode.h"

namespace touchstone::jinja {

std::string real_to_text(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value < 0 ? "-inf" : "inf";
  char buffer[40];
  const auto end =
      std::to_chars(std::begin(buffer), std::end(buffer), value, std::chars_format::scientific).ptr;
  std::string_view text(buffer, static_cast<std::size_t>(end - buffer));
  std::string result;
  if (text.front() == '-') {
    result = "-";
    text.remove_prefix(1);
  }
  const std::size_t e = text.find('e');
  int exponent = 0;
  const std::string_view exponent_text = text.substr(text[e + 1] == '+' ? e + 2 : e + 1);
  std::from_chars(exponent_text.data(), exponent_text.data() + exponent_text.size(), exponent);
  std::string digits(text.substr(0, 1));
  if (e > 2) digits += text.substr(2, e - 2);
  const int count = static_cast<int>(digits.size());
  if (exponent < -4 || exponent >= 16) {
    result += digits[0];
    if (count > 1) result += "." + digits.substr(1);
    return result + fmt::format("e{}{:02}", exponent < 0 ? '-' : '+', std::abs(exponent));
  }
  if (exponent < 0) return result + "0." + std::string(static_cast<std::size_t>(-exponent) - 1, '0') + digits;
  const std::size_t whole = static_cast<std::size_t>(exponent) + 1;
  if (digits.size() <= whole) return result + digits + std::string(whole - digits.size(), '0') + ".0";
  return result + digits.substr(0, whole) + "." + digits.substr(whole);
}

namespace {

std::string escape_code(char32_t c) {
  const auto code = static_cast<unsigned>(c);
  if (c < 0x100) return fmt::format("\\x{:02x}", code);
  return c < 0x10000 ? fmt::format("\\u{:04x}", code) : fmt::format("\\U{:08x}", code);
}

}  // namespace

std::string quote(std::string_view text) {
  const bool has_single = text.find('\'') != std::string_view::npos;
  const bool has_double = text.find('"') != std::string_view::npos;
  const char mark = has_single && !has_double ? '"' : '\'';
  std::string result(1, mark);
  for (std::size_t position = 0; position < text.size();) {
    const char32_t c = next_char(text, position);
    if (c == '\n') {
      result += "\\n";
    } else if (c == '\r') {
      result += "\\r";
    } else if (c == '\t') {
      result += "\\t";
    } else if (c == '\\' || c == static_cast<char32_t>(mark)) {
      result += '\\';
      result += static_cast<char>(c);
    } else if (is_printable(c)) {
      append_char(result, c);
    } else {
      result += escape_code(c);
    }
  }
  return result + mark;
}

std::string escape_non_ascii(std::string_view text) {
  std::string result;
  for (std::size_t position = 0; position < text.size();) {
    const char32_t c = next_char(text, position);
    result += c < 0x80 ? std::string(1, static_cast<char>(c)) : escape_code(c);
  }
  return result;
}

namespace {

/// Appends repr()s, charging what it writes as it goes: values that share parts may print exponentially
/// large.
class Printer {
 public:
  explicit Printer(Budget& budget) : budget_(budget) {}

  void print(const Value& value) {
    if (level_ > 2 * kMaxValueDepth) raise_limit("values nested too deep to be printed");
    ++level_;
    print_value(value);
    --level_;
  }

  std::string take() { return std::move(text_); }

 private:
  void print_value(const Value& value) {
    budget_.spend();
    switch (value.kind()) {
      case Kind::undefined:
        return put("Undefined");
      case Kind::none:
        return put("None");
      case Kind::boolean:
        return put(value.boolean() ? "True" : "False");
      case Kind::integer:
      case Kind::big_integer:
        return put(integer_to_text(value));
      case Kind::real:
        return put(real_to_text(value.real()));
      case Kind::string:
        budget_.scan(value.string().size());
        return put(value.is_markup() ? "Markup(" + quote(value.string()) + ")" : quote(value.string()));
      case Kind::list:
        return print_items(value.items(), "[", "]");
      case Kind::tuple:
        return print_items(value.items(), "(", value.items().size() == 1 ? ",)" : ")");
      case Kind::dict:
        return print_dict(value.dict());
      case Kind::object:
        return print_object(value);
    }
  }

  void put(std::string_view text) {
    budget_.make(text.size());
    text_ += text;
  }

  void print_items(const std::vector<Value>& items, std::string_view open, std::string_view close) {
    put(open);
    bool first = true;
    for (const Value& item : items) {
      if (!first) put(", ");
      first = false;
      print(item);
    }
    put(close);
  }

  void print_dict(const Dict& dict) {
    put("{");
    bool first = true;
    for (const auto& [key, item] : dict.entries()) {
      if (!first) put(", ");
      first = false;
      print(key);
      put(": ");
      print(item);
    }
    put("}");
  }

  void print_namespace(const NamespaceObject& object) {
    if (std::find(open_.begin(), open_.end(), &object) != open_.end()) return put("<Namespace {...}>");
    open_.push_back(&object);
    put("<Namespace ");
    print_dict(object.attributes);
    put(">");
    open_.pop_back();
  }

  void print_object(const Value& value) {
    if (const auto space = value.as<NamespaceObject>()) return print_namespace(*space);
    if (const auto range = value.as<RangeObject>()) {
      return put(range->step == 1 ? fmt::format("range({}, {})", range->start, range->stop)
                                  : fmt::format("range({}, {}, {})", range->start, range->stop, range->step));
    }
    if (const auto view = value.as<DictViewObject>()) {
      put(type_name(value) + "(");
      // Through iterate(), which charges for what it makes.
      print_items(iterate(value, budget_), "[", "]");
      return put(")");
    }
    if (const auto function = value.as<FunctionObject>()) {
      if (function->name == "range" || function->name == "dict")
        return put("<class '" + function->name + "'>");
      if (function->name == "cycler") return put("<class 'jinja2.utils.Cycler'>");
      if (function->name == "joiner") return put("<class 'jinja2.utils.Joiner'>");
      return put("<function " + function->name + ">");
    }
    if (const auto method = value.as<MethodObject>()) {
      return put("<built-in method " + method->name + " of " + type_name(method->self) + " object>");
    }
    if (value.object()->kind == ObjectKind::template_reference) return put("<TemplateReference None>");
    const std::string description = value.object()->describe();
    put(description.empty() ? "<" + type_name(value) + " object>" : description);
  }

  Budget& budget_;
  std::string text_;
  std::vector<const NamespaceObject*> open_;
  int level_ = 0;
};

}  // namespace

std::string to_repr(const Value& value, Budget& budget) {
  Printer printer(budget);
  printer.print(value);
  return printer.take();
}

std::string to_str(const Value& value, Budget& budget) {
  if (value.is_string()) return value.string();
  if (value.is_undefined()) return {};
  return to_repr(value, budget);
}

// ---- pprint ----

namespace {

constexpr std::size_t kPrettyWidth = 80;

std::vector<Dict::Entry> sorted_entries(const Dict& dict, Budget& budget) {
  std::vector<Dict::Entry> entries = dict.entries();
  const auto safe_less = [&](const Dict::Entry& left, const Dict::Entry& right) {
    const bool comparable = (left.first.is_number() && right.first.is_number()) ||
                            (left.first.is_string() && right.first.is_string());
    if (comparable) return compare(left.first, right.first, "<", budget) < 0;
    return type_name(left.first) < type_name(right.first);
  };
  std::stable_sort(entries.begin(), entries.end(), safe_less);
  return entries;
}

Value sort_dicts(const Value& value, Budget& budget) {
  budget.spend();
  if (value.is_sequence()) {
    std::vector<Value> items;
    for (const Value& item : value.items()) items.push_back(sort_dicts(item, budget));
    return value.is(Kind::list) ? make_list(std::move(items), budget) : make_tuple(std::move(items), budget);
  }
  if (!value.is_dict()) return value;
  Dict sorted;
  for (const auto& [key, item] : sorted_entries(value.dict(), budget))
    sorted.set(key, sort_dicts(item, budget));
  return make_dict(std::move(sorted));
}

std::string pretty(const Value& value, std::size_t indent, std::size_t allowance, Budget& budget) {
  std::string flat = to_repr(value, budget);
  if (indent + flat.size() + allowance <= kPrettyWidth || (!value.is_sequence() && !value.is_dict()))
    return flat;
  const std::string gap = ",\n" + std::string(indent + 1, ' ');
  std::string text;
  if (value.is_dict()) {
    text = "{";
    std::size_t left = value.dict().size();
    for (const auto& [key, item] : value.dict().entries()) {
      const std::string name = to_repr(key, budget) + ": ";
      text += name + pretty(item, indent + 1 + name.size(), --left == 0 ? allowance + 1 : 1, budget);
      if (left != 0) text += gap;
    }
    return text + "}";
  }
  const bool is_list = value.is(Kind::list);
  text = is_list ? "[" : "(";
  std::size_t left = value.items().size();
  for (const Value& item : value.items()) {
    text += pretty(item, indent + 1, --left == 0 ? allowance + 1 : 1, budget);
    if (left != 0) text += gap;
  }
  return text + (is_list ? "]" : (value.items().size() == 1 ? ",)" : ")"));
}

}  // namespace

std::string to_pretty(const Value& value, Budget& budget) {
  return pretty(sort_dicts(value, budget), 0, 0, budget);
}

// ---- JSON ----

namespace {

std::string json_string(std::string_view text, bool ensure_ascii) {
  std::string result = "\"";
  for (std::size_t position = 0; position < text.size();) {
    const char32_t c = next_char(text, position);
    const auto code = static_cast<unsigned>(c);
    switch (c) {
      case '"':
        result += "\\\"";
        break;
      case '\\':
        result += "\\\\";
        break;
      case '\n':
        result += "\\n";
        break;
      case '\r':
        result += "\\r";
        break;
      case '\t':
        result += "\\t";
        break;
      case '\b':
        result += "\\b";
        break;
      case '\f':
        result += "\\f";
        break;
      default:
        if (c < 0x20 || (ensure_ascii && c > 0x7E && c < 0x10000)) {
          result += fmt::format("\\u{:04x}", code);
        } else if (ensure_ascii && c >= 0x10000) {
          result += fmt::format("\\u{:04x}\\u{:04x}", 0xD800 + ((code - 0x10000) >> 10U),
                                0xDC00 + ((code - 0x10000) & 0x3FFU));
        } else {
          append_char(result, c);
        }
    }
  }
  return result + '"';
}

std::string json_real(double value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value < 0 ? "-Infinity" : "Infinity";
  return real_to_text(value);
}

class JsonWriter {
 public:
  JsonWriter(const JsonFormat& format, Budget& budget) : format_(format), budget_(budget) {}

  void write(const Value& value) {
    budget_.spend();
    switch (value.kind()) {
      case Kind::string:
        budget_.scan(value.string().size());
        return put(json_string(value.string(), format_.ensure_ascii));
      case Kind::list:
      case Kind::tuple:
        return write_items(value.items());
      case Kind::dict:
        return write_dict(value.dict());
      default:
        return put(scalar(value));
    }
  }

  std::string take() { return std::move(text_); }

 private:
  void put(std::string_view text) {
    budget_.make(text.size());
    text_ += text;
  }

  static std::string scalar(const Value& value) {
    switch (value.kind()) {
      case Kind::none:
        return "null";
      case Kind::boolean:
        return value.boolean() ? "true" : "false";
      case Kind::integer:
      case Kind::big_integer:
        return integer_to_text(value);
      case Kind::real:
        return json_real(value.real());
      default:
        raise_type_error("Object of type " + type_name(value) + " is not JSON serializable");
    }
  }

  std::string key_text(const Value& key) const {
    if (key.is_string()) return json_string(key.string(), format_.ensure_ascii);
    if (key.is_number() || key.is_none()) return "\"" + scalar(key) + "\"";
    raise_type_error("keys must be str, int, float, bool or None, not " + type_name(key));
  }

  void break_line() {
    if (!format_.indent) return;
    put("\n");
    for (int i = 0; i < level_; ++i) put(*format_.indent);
  }

  void write_items(const std::vector<Value>& items) {
    if (items.empty()) return put("[]");
    put("[");
    ++level_;
    bool first = true;
    for (const Value& item : items) {
      if (!first) put(format_.item_separator);
      first = false;
      break_line();
      write(item);
    }
    --level_;
    break_line();
    put("]");
  }

  void write_dict(const Dict& dict) {
    if (dict.size() == 0) return put("{}");
    std::vector<Dict::Entry> entries = dict.entries();
    if (format_.sort_keys) {
      std::stable_sort(entries.begin(), entries.end(),
                       [&](const Dict::Entry& left, const Dict::Entry& right) {
                         return compare(left.first, right.first, "<", budget_) < 0;
                       });
    }
    put("{");
    ++level_;
    bool first = true;
    for (const auto& [key, item] : entries) {
      if (!first) put(format_.item_separator);
      first = false;
      break_line();
      put(key_text(key));
      put(format_.key_separator);
      write(item);
    }
    --level_;
    break_line();
    put("}");
  }

  const JsonFormat& format_;
  Budget& budget_;
  std::string text_;
  int level_ = 0;
};

}  // namespace

std::string to_json(const Value& value, const JsonFormat& format, Budget& budget) {
  JsonWriter writer(format, budget);
  writer.write(value);
  return writer.take();
}

std::string escape_html(std::string_view text) {
  std::string result;
  for (const char c : text) {
    switch (c) {
      case '&':
        result += "&amp;";
        break;
      case '<':
        result += "&lt;";
        break;
      case '>':
        result += "&gt;";
        break;
      case '\'':
        result += "&#39;";
        break;
      case '"':
        result += "&#34;";
        break;
      default:
        result += c;
    }
  }
  return result;
}

}  // namespace touchstone::jinja
