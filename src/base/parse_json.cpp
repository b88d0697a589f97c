#include "base/parse_json.h"

#include <algorithm>
#include <boost/json.hpp>
#include <boost/json/basic_parser_impl.hpp>
#include <cstdlib>
#include <limits>

#include "base/error.h"

namespace touchstone {
namespace {

namespace json = boost::json;

/// Builds the value, event by event.
struct Builder {
  static constexpr std::size_t max_object_size = json::object::max_size();
  static constexpr std::size_t max_array_size = json::array::max_size();
  static constexpr std::size_t max_key_size = json::string::max_size();
  static constexpr std::size_t max_string_size = json::string::max_size();
  using Error = json::error_code;

  bool on_document_begin(Error&) { return true; }
  bool on_document_end(Error&) { return true; }
  bool on_object_begin(Error&) { return true; }
  bool on_object_end(std::size_t count, Error&) { return stack.push_object(count), true; }
  bool on_array_begin(Error&) { return true; }
  bool on_array_end(std::size_t count, Error&) { return stack.push_array(count), true; }
  bool on_key_part(json::string_view text, std::size_t, Error&) { return stack.push_chars(text), true; }
  bool on_key(json::string_view text, std::size_t, Error&) { return stack.push_key(text), true; }
  bool on_string_part(json::string_view text, std::size_t, Error&) { return stack.push_chars(text), true; }
  bool on_string(json::string_view text, std::size_t, Error&) { return stack.push_string(text), true; }
  bool on_number_part(json::string_view text, Error&) {
    return number.append(text.data(), text.size()), true;
  }
  bool on_int64(std::int64_t value, json::string_view, Error&) {
    number.clear();
    return stack.push_int64(value), true;
  }
  bool on_uint64(std::uint64_t value, json::string_view, Error&) {
    number.clear();
    return stack.push_uint64(value), true;
  }
  bool on_double(double, json::string_view text, Error&) {
    number.append(text.data(), text.size());
    // JSON has no way to write infinity again.
    constexpr double kLargest = std::numeric_limits<double>::max();
    stack.push_double(std::clamp(std::strtod(number.c_str(), nullptr), -kLargest, kLargest));
    number.clear();
    return true;
  }
  bool on_bool(bool value, Error&) { return stack.push_bool(value), true; }
  bool on_null(Error&) { return stack.push_null(), true; }
  bool on_comment_part(json::string_view, Error&) { return true; }
  bool on_comment(json::string_view, Error&) { return true; }

  json::value_stack stack;
  std::string number;  // the parts of one that have come so far
};

}  // namespace

std::string_view without_byte_order_mark(std::string_view text) {
  constexpr std::string_view kMark = "\xEF\xBB\xBF";
  return text.starts_with(kMark) ? text.substr(kMark.size()) : text;
}

boost::json::value parse_json(const std::string& text, const std::string& source, const std::string& hint,
                              std::size_t max_depth) {
  json::parse_options parse_options;
  parse_options.max_depth = max_depth;
  json::basic_parser<Builder> parser{parse_options};
  parser.handler().stack.reset();
  json::error_code error;
  const std::string_view body = without_byte_order_mark(text);
  const std::size_t used =
      text.size() - body.size() + parser.write_some(false, body.data(), body.size(), error);
  if (!error && text.find_first_not_of(" \t\r\n", used) != std::string::npos) error = json::error::extra_data;
  if (error) {
    throw Error(source + " is not valid JSON: " + error.message() + " near byte " + std::to_string(used),
                hint);
  }
  return parser.handler().stack.release();
}

}  // namespace touchstone
