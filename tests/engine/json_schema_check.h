// An independent reading of JSON Schema, for the keywords that grammars know.
#pragma once

#include <algorithm>
#include <boost/json.hpp>
#include <cmath>
#include <string>
#include <string_view>

namespace touchstone::testing {

inline std::size_t count_characters(std::string_view text) {
  return static_cast<std::size_t>(std::count_if(
      text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
}

inline bool is_of_type(const boost::json::value& value, std::string_view type) {
  if (type == "integer")
    return value.is_int64() || value.is_uint64() ||
           (value.is_double() && std::floor(value.as_double()) == value.as_double());
  return (type == "null" && value.is_null()) || (type == "boolean" && value.is_bool()) ||
         (type == "string" && value.is_string()) || (type == "number" && value.is_number()) ||
         (type == "object" && value.is_object()) || (type == "array" && value.is_array());
}

/// Whether `schema`, a part of `root`, accepts the value.
inline bool accepts(const boost::json::value& root, const boost::json::value& schema,
                    const boost::json::value& value) {
  namespace json = boost::json;
  if (schema.is_bool()) return schema.as_bool();
  const json::object& s = schema.as_object();
  const auto any = [&](const char* key) {
    const json::array& parts = s.at(key).as_array();
    return std::any_of(parts.begin(), parts.end(),
                       [&](const json::value& part) { return accepts(root, part, value); });
  };
  if (s.contains("$ref")) {
    json::error_code error;
    const std::string pointer(s.at("$ref").as_string().subview(1));
    return accepts(root, *root.find_pointer(pointer, error), value);
  }
  for (const char* key : {"anyOf", "oneOf", "allOf"}) {
    if (s.contains(key) && !any(key)) return false;
  }
  if (s.contains("const") && s.at("const") != value) return false;
  if (s.contains("enum")) {
    const json::array& values = s.at("enum").as_array();
    if (std::find(values.begin(), values.end(), value) == values.end()) return false;
  }
  if (s.contains("type")) {
    const json::value& type = s.at("type");
    const auto fits = [&](const json::value& name) {
      return is_of_type(value, std::string(name.as_string()));
    };
    if (type.is_string() ? !fits(type) : std::none_of(type.as_array().begin(), type.as_array().end(), fits))
      return false;
  }
  const auto number = [&](const char* key) { return s.at(key).to_number<double>(); };
  if (value.is_string()) {
    const auto length = static_cast<double>(count_characters(std::string_view(value.as_string())));
    if (s.contains("minLength") && length < number("minLength")) return false;
    if (s.contains("maxLength") && length > number("maxLength")) return false;
  }
  if (value.is_number()) {
    const auto x = value.to_number<double>();
    if (s.contains("minimum") && x < number("minimum")) return false;
    if (s.contains("maximum") && x > number("maximum")) return false;
    if (s.contains("exclusiveMinimum") && x <= number("exclusiveMinimum")) return false;
    if (s.contains("exclusiveMaximum") && x >= number("exclusiveMaximum")) return false;
  }
  if (value.is_array()) {
    const json::array& elements = value.as_array();
    if (s.contains("minItems") && static_cast<double>(elements.size()) < number("minItems")) return false;
    if (s.contains("maxItems") && static_cast<double>(elements.size()) > number("maxItems")) return false;
    const json::array none;
    const json::array& first = s.contains("prefixItems") ? s.at("prefixItems").as_array() : none;
    for (std::size_t i = 0; i < elements.size(); ++i) {
      if (i < first.size() && !accepts(root, first[i], elements[i])) return false;
      if (i >= first.size() && s.contains("items") && !accepts(root, s.at("items"), elements[i]))
        return false;
    }
  }
  if (value.is_object()) {
    const json::object& members = value.as_object();
    if (s.contains("required")) {
      for (const json::value& name : s.at("required").as_array()) {
        if (!members.contains(name.as_string())) return false;
      }
    }
    for (const auto& member : members) {
      const bool is_named = s.contains("properties") && s.at("properties").as_object().contains(member.key());
      if (is_named && !accepts(root, s.at("properties").at(member.key()), member.value())) return false;
      if (!is_named && s.contains("additionalProperties") &&
          !accepts(root, s.at("additionalProperties"), member.value()))
        return false;
    }
  }
  return true;
}

}  // namespace touchstone::testing
