// Values as text: Python's str() and repr(), and json.dumps.
#pragma once

#include <string>

#include "text/jinja_value.h"

namespace touchstone::jinja {

/// repr(float): the shortest digits that read back as the same number, "1e+16", "inf".
std::string real_to_text(double value);
std::string to_str(const Value& value, Budget& budget);
std::string to_repr(const Value& value, Budget& budget);
/// repr() of a string: quotes chosen and characters escaped as Python does.
std::string quote(std::string_view text);
/// ascii(): what repr() gives, with everything beyond ASCII escaped.
std::string escape_non_ascii(std::string_view text);
/// What pprint.pformat gives: repr(), dicts sorted, broken at 80 columns.
std::string to_pretty(const Value& value, Budget& budget);

struct JsonFormat {
  bool ensure_ascii = false;
  bool sort_keys = false;
  std::optional<std::string> indent;  // one level's white space
  std::string item_separator = ", ";  // "," when there is an indent, unless given
  std::string key_separator = ": ";
};

/// json.dumps(). Raises TypeError for what JSON does not have.
std::string to_json(const Value& value, const JsonFormat& format, Budget& budget);

/// HTML's special characters replaced, as MarkupSafe does.
std::string escape_html(std::string_view text);

}  // namespace touchstone::jinja
