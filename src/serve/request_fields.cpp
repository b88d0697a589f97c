#include "serve/request_fields.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <cmath>

#include "base/parse_json.h"

namespace touchstone::serve {
namespace {

// Deeper than any schema or message; its nesting costs stack in what reads it.
constexpr std::size_t kMaxJsonDepth = 64;
constexpr std::size_t kMostIgnored = 32;
constexpr std::size_t kMostIgnoredBytes = 100;  // of each in a header

[[noreturn]] void refuse_type(const std::string& param, const char* wanted) {
  refuse_field(param, param + " must be " + wanted);
}

/// "a[3].b" -> "a.b".
std::string without_places(std::string path) {
  for (std::size_t open = path.find('['); open != std::string::npos; open = path.find('[')) {
    const std::size_t close = path.find(']', open);
    if (close == std::string::npos) break;  // the client's own
    path.erase(open, close + 1 - open);
  }
  return path;
}

std::set<std::string, std::less<>> split_words(std::string_view text) {
  const auto is_part = [](char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_'; };
  std::set<std::string, std::less<>> words;
  for (auto at = text.begin(); at != text.end();) {
    const auto begin = std::find_if(at, text.end(), is_part);
    at = std::find_if_not(begin, text.end(), is_part);
    if (begin != at) words.emplace(begin, at);
  }
  return words;
}

}  // namespace

void refuse_field(const std::string& param, const std::string& message) {
  throw RequestError(400, message, param, "invalid_value");
}

boost::json::object parse_body(const std::string& body) {
  boost::json::value value;
  try {
    value = parse_json(body, "the body", "", kMaxJsonDepth);
  } catch (const Error& error) {
    throw RequestError(400, error.what(), {}, "invalid_json");
  }
  if (!value.is_object()) throw RequestError(400, "the body is not a JSON object", {}, "invalid_json");
  return std::move(value.as_object());
}

const boost::json::value* FieldReader::find(std::string_view name) {
  read_.emplace(name);
  const boost::json::value* value = object_.if_contains(name);
  return value == nullptr || value->is_null() ? nullptr : value;
}

std::optional<bool> FieldReader::boolean(std::string_view name) {
  const boost::json::value* value = find(name);
  if (value == nullptr) return std::nullopt;
  if (!value->is_bool()) refuse_type(path_of(name), "true or false");
  return value->get_bool();
}

std::optional<double> FieldReader::number(std::string_view name, double least, double most) {
  const boost::json::value* value = find(name);
  if (value == nullptr) return std::nullopt;
  if (!value->is_number()) refuse_type(path_of(name), "a number");
  const double number = value->to_number<double>();
  if (!(number >= least && number <= most)) {
    refuse_field(path_of(name), fmt::format("{} must be from {} to {}", path_of(name), least, most));
  }
  return number;
}

std::optional<std::int64_t> FieldReader::integer(std::string_view name, std::int64_t least,
                                                 std::int64_t most) {
  const boost::json::value* value = find(name);
  if (value == nullptr) return std::nullopt;
  if (!value->is_number()) refuse_type(path_of(name), "a whole number");
  constexpr double kExact = 9007199254740992.0;  // 2^53: doubles below are exact
  const double* decimal = value->if_double();
  if (decimal != nullptr && std::abs(*decimal) <= kExact && *decimal != std::trunc(*decimal)) {
    refuse_type(path_of(name), "a whole number");
  }
  const bool is_small = decimal != nullptr ? std::abs(*decimal) <= kExact : value->is_int64();
  const std::int64_t number = !is_small            ? 0
                              : decimal != nullptr ? static_cast<std::int64_t>(*decimal)
                                                   : value->get_int64();
  if (!is_small || number < least || number > most) {
    refuse_field(path_of(name), fmt::format("{} must be from {} to {}", path_of(name), least, most));
  }
  return number;
}

std::optional<std::string> FieldReader::string(std::string_view name) {
  const boost::json::value* value = find(name);
  if (value == nullptr) return std::nullopt;
  if (!value->is_string()) refuse_type(path_of(name), "a string");
  return std::string(value->get_string());
}

const boost::json::object* FieldReader::object(std::string_view name) {
  const boost::json::value* value = find(name);
  if (value != nullptr && !value->is_object()) refuse_type(path_of(name), "an object");
  return value == nullptr ? nullptr : &value->get_object();
}

const boost::json::array* FieldReader::array(std::string_view name) {
  const boost::json::value* value = find(name);
  if (value != nullptr && !value->is_array()) refuse_type(path_of(name), "an array");
  return value == nullptr ? nullptr : &value->get_array();
}

std::string need_string(FieldReader& fields, std::string_view name) {
  auto text = fields.string(name);
  if (!text) refuse_field(fields.path_of(name), fields.path_of(name) + " is missing");
  return std::move(*text);
}

const boost::json::object& need_object(const boost::json::value& value, const std::string& path) {
  if (!value.is_object()) refuse_type(path, "an object");
  return value.get_object();
}

std::vector<std::string_view> FieldReader::unread() const {
  std::vector<std::string_view> names;
  for (const auto& [key, value] : object_) {
    if (!value.is_null() && !read_.contains(std::string_view(key))) names.emplace_back(key);
  }
  return names;
}

void IgnoredFields::add(const FieldReader& fields) {
  for (const std::string_view name : fields.unread()) add_path(fields.path_of(name));
}

void IgnoredFields::add_unless_named(const FieldReader& fields, std::string_view template_source) {
  for (const std::string_view name : fields.unread()) {
    if (template_words_.empty()) template_words_ = split_words(template_source);
    if (!template_words_.contains(name)) add_path(fields.path_of(name));
  }
}

void IgnoredFields::add_path(std::string path) {
  if (paths_.size() > kMostIgnored) return;  // one more tells that there are more
  if (known_.insert(without_places(path)).second) paths_.push_back(std::move(path));
}

std::string IgnoredFields::to_header() const {
  std::string list;
  for (std::size_t i = 0; i < std::min(paths_.size(), kMostIgnored); ++i) {
    list += (i > 0 ? ", " : "") + paths_[i].substr(0, kMostIgnoredBytes);
  }
  if (paths_.size() > kMostIgnored) list += ", ...";
  for (char& c : list) {
    if (c < ' ' || c > '~') c = '?';
  }
  return list;
}

}  // namespace touchstone::serve
