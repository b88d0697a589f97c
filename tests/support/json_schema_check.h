// Schemas with the keywords that grammars know, and an independent reading of them.
#pragma once

#include <algorithm>
#include <boost/json.hpp>
#include <cmath>
#include <string>
#include <string_view>
#include <vector>

namespace touchstone::testing {

inline const std::vector<std::string>& schemas() {
  static const std::vector<std::string> list{
      R"({"type":"object"})",
      R"({"type":"object","properties":{"name":{"type":"string"},"age":{"type":"integer"}},"required":["name","age"],"additionalProperties":false})",
      R"({"type":"object","properties":{"a":{"type":"boolean"},"b":{"type":"null"},"c":{"type":"number"}},"required":["b"]})",
      R"({"type":"object","properties":{"a":{"type":"integer"},"ab":{"type":"integer"}},"additionalProperties":{"type":"string","maxLength":4}})",
      R"({"type":"object","properties":{"ключ":{"type":"integer"},"k\"q":{"type":"null"}},"additionalProperties":true})",
      R"({"type":"object","additionalProperties":{"type":"integer","minimum":0,"maximum":9}})",
      R"({"type":"object","required":["x","y"]})",
      R"({"type":"object","properties":{},"additionalProperties":false})",
      R"({"type":"array","items":{"type":"integer"},"minItems":2,"maxItems":4})",
      R"({"type":"array","items":{"type":"string","minLength":1,"maxLength":3},"maxItems":3})",
      R"({"type":"array","prefixItems":[{"type":"integer"},{"type":"string"}],"items":false})",
      R"({"type":"array","prefixItems":[{"type":"integer"}],"items":{"type":"boolean"},"minItems":3})",
      R"({"type":"array","prefixItems":[{"const":1},{"const":2}],"maxItems":1})",
      R"({"type":"array","items":false})",
      R"({"type":"array","maxItems":2})",
      R"({"enum":["red","green","redder",null,7,{"a":[1,2]}]})",
      R"({"enum":[1,"one",true],"type":["string","boolean"]})",
      R"({"const":{"deep":[1,{"x":"y\n"}]}})",
      R"({"type":["string","null"],"maxLength":5})",
      R"({"type":["integer","string"],"minimum":10,"maxLength":2})",
      R"({"type":"integer","minimum":-3,"maximum":1234})",
      R"({"type":"integer","minimum":95,"maximum":1005})",
      R"({"type":"integer","exclusiveMinimum":-20,"exclusiveMaximum":-9})",
      R"({"type":"integer","minimum":0.5})",
      R"({"type":"number","minimum":0,"maximum":1})",
      R"({"type":"number","exclusiveMinimum":0})",
      R"({"type":"number","minimum":-2.5,"exclusiveMaximum":3})",
      R"({"type":"string","minLength":3})",
      R"({"type":"object","properties":{"a":{"type":"string","minLength":1,"maxLength":150}},"required":["a"]})",
      R"({"type":"string","minLength":2,"maxLength":2})",
      R"({"anyOf":[{"type":"integer"},{"type":"object","properties":{"v":{"type":"integer"}},"required":["v"]}]})",
      R"({"oneOf":[{"type":"string"},{"type":"array","items":{"type":"null"}}]})",
      R"({"allOf":[{"$ref":"#/$defs/p"}],"$defs":{"p":{"type":"object","properties":{"q":{"const":1}},"required":["q"]}}})",
      R"({"$ref":"#/$defs/node","$defs":{"node":{"type":"object","properties":{"value":{"type":"integer"},"next":{"anyOf":[{"$ref":"#/$defs/node"},{"type":"null"}]}},"required":["value","next"],"additionalProperties":false}}})",
      R"({"type":"object","properties":{"name":{"type":"string"},"children":{"type":"array","items":{"$ref":"#"}}},"required":["name"]})",
      R"({"definitions":{"t":{"anyOf":[{"type":"string","maxLength":2},{"type":"array","items":{"$ref":"#/definitions/t"}}]}},"$ref":"#/definitions/t"})",
      R"({"type":"object","title":"Step list","description":"as clients write it","properties":{"steps":{"type":"array","items":{"type":"object","properties":{"explanation":{"type":"string"},"output":{"type":"string"}},"required":["explanation","output"],"additionalProperties":false}},"final_answer":{"type":"string"}},"required":["steps","final_answer"],"additionalProperties":false,"$schema":"https://json-schema.org/draft/2020-12/schema"})",
      R"({"type":"object","properties":{"city":{"type":"string"},"unit":{"enum":["celsius","fahrenheit"]},"days":{"type":"integer","minimum":1,"maximum":14}},"required":["city"]})",
      R"({"properties":{"a":{"type":"integer"}},"required":["a"]})",
      R"(true)",
      R"({})",
      R"({"oneOf":[{"type":"number","exclusiveMaximum":3},{"type":"number","minimum":3}]})",
      R"({"oneOf":[{"enum":[1,"a"]},{"type":"string","minLength":2},{"type":"integer","minimum":2}]})",
      R"({"$defs":{"a":{"type":"object","properties":{"k":{"const":"a"}},"required":["k"]},"u":{"oneOf":[{"$ref":"#/$defs/a"},{"type":"object","properties":{"k":{"const":"b"},"n":{"$ref":"#/$defs/u"}},"required":["k"]}]}},"$ref":"#/$defs/u"})",
  };
  return list;
}

/// The same as parameters of functions, which are objects: those that are not stand in one.
inline std::vector<boost::json::value> parameter_schemas() {
  namespace json = boost::json;
  std::vector<json::value> list;
  for (const std::string& text : schemas()) {
    json::value schema = json::parse(text);
    const bool is_object = schema.is_object() && schema.as_object().contains("type") &&
                           schema.at("type") == json::value("object");
    if (is_object) {
      list.push_back(std::move(schema));
      continue;
    }
    json::object parameters = {{"type", "object"}, {"required", {"v"}}, {"additionalProperties", false}};
    for (const char* name : {"$defs", "definitions"}) {
      const json::value* parts = schema.is_object() ? schema.as_object().if_contains(name) : nullptr;
      if (parts != nullptr) parameters[name] = *parts;
    }
    parameters["properties"] = json::object{{"v", std::move(schema)}};
    list.emplace_back(std::move(parameters));
  }
  return list;
}

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
  const auto count_accepting = [&](const char* key) {
    const json::array& parts = s.at(key).as_array();
    return std::count_if(parts.begin(), parts.end(),
                         [&](const json::value& part) { return accepts(root, part, value); });
  };
  if (s.contains("$ref")) {
    json::error_code error;
    const std::string pointer(s.at("$ref").as_string().subview(1));
    return accepts(root, *root.find_pointer(pointer, error), value);
  }
  if (s.contains("oneOf") && count_accepting("oneOf") > 1) return false;
  for (const char* key : {"anyOf", "oneOf", "allOf"}) {
    if (s.contains(key) && count_accepting(key) == 0) return false;
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
