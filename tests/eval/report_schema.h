// As much of JSON Schema as docs/report.schema.json uses.
#pragma once

#include <boost/json.hpp>
#include <string>

namespace touchstone::testing {

inline bool has_type(const boost::json::value& value, std::string_view type) {
  if (type == "object") return value.is_object();
  if (type == "array") return value.is_array();
  if (type == "string") return value.is_string();
  if (type == "boolean") return value.is_bool();
  if (type == "null") return value.is_null();
  if (type == "integer") return value.is_int64() || value.is_uint64();
  if (type == "number") return value.is_number();
  throw std::runtime_error("the schema uses an unknown type " + std::string(type));
}

std::string check_schema_at(const boost::json::object& root, const boost::json::object& schema,
                            const boost::json::value& value, const std::string& path);

inline std::string check_object(const boost::json::object& root, const boost::json::object& schema,
                                const boost::json::object& object, const std::string& path) {
  static const boost::json::object none;
  const boost::json::object& properties =
      schema.contains("properties") ? schema.at("properties").as_object() : none;
  if (const auto* required = schema.if_contains("required")) {
    for (const auto& key : required->as_array()) {
      if (!object.contains(key.as_string())) return path + ": lacks " + std::string(key.as_string());
    }
  }
  for (const auto& [key, member] : object) {
    const std::string at = path + "/" + std::string(key);
    const auto* property = properties.if_contains(key);
    if (property == nullptr) {
      if (schema.contains("additionalProperties")) return at + ": not in the schema";
      continue;
    }
    if (std::string why = check_schema_at(root, property->as_object(), member, at); !why.empty()) return why;
  }
  return "";
}

inline std::string check_array(const boost::json::object& root, const boost::json::object& schema,
                               const boost::json::array& array, const std::string& path) {
  if (schema.contains("minItems") && array.size() < schema.at("minItems").to_number<std::size_t>())
    return path + ": too short";
  if (schema.contains("maxItems") && array.size() > schema.at("maxItems").to_number<std::size_t>())
    return path + ": too long";
  for (std::size_t i = 0; i < array.size() && schema.contains("items"); ++i) {
    const std::string at = path + "/" + std::to_string(i);
    if (std::string why = check_schema_at(root, schema.at("items").as_object(), array[i], at); !why.empty())
      return why;
  }
  return "";
}

inline std::string check_schema_at(const boost::json::object& root, const boost::json::object& schema,
                                   const boost::json::value& value, const std::string& path) {
  if (const auto* reference = schema.if_contains("$ref")) {
    const std::string name(reference->as_string());
    const boost::json::value& target = root.at("$defs").at(name.substr(std::string("#/$defs/").size()));
    return check_schema_at(root, target.as_object(), value, path);
  }
  if (const auto* constant = schema.if_contains("const"); constant != nullptr && *constant != value)
    return path + ": not the constant";
  if (const auto* choices = schema.if_contains("enum")) {
    bool found = false;
    for (const auto& choice : choices->as_array()) found |= choice == value;
    if (!found) return path + ": not in the enum";
  }
  if (const auto* type = schema.if_contains("type")) {
    bool found = false;
    if (type->is_string()) {
      found = has_type(value, type->as_string());
    } else {
      for (const auto& one : type->as_array()) found |= has_type(value, one.as_string());
    }
    if (!found) return path + ": wrong type";
  }
  if (value.is_number()) {
    const double number = value.to_number<double>();
    if (schema.contains("minimum") && number < schema.at("minimum").to_number<double>())
      return path + ": too small";
    if (schema.contains("maximum") && number > schema.at("maximum").to_number<double>())
      return path + ": too large";
  }
  if (value.is_object()) return check_object(root, schema, value.as_object(), path);
  if (value.is_array()) return check_array(root, schema, value.as_array(), path);
  return "";
}

/// Where and how the value does not fit; empty when it does.
inline std::string check_schema(const boost::json::value& schema, const boost::json::value& value) {
  return check_schema_at(schema.as_object(), schema.as_object(), value, "");
}

}  // namespace touchstone::testing
