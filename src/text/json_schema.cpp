#include "text/json_schema.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "text/json_grammar.h"
#include "text/schema_overlap.h"

namespace touchstone {
namespace {

namespace json = boost::json;

constexpr int kMostDepth = 64;
constexpr std::size_t kMostProperties = 1000;
// Longer arrays than this are valid, and none the better for it.
constexpr std::size_t kLongestArray = 1024;

// Keywords that assert nothing.
constexpr std::array<std::string_view, 16> kAnnotations{
    "$schema",     "$id",     "$comment",         "$defs",          "definitions", "title",
    "description", "default", "examples",         "example",        "deprecated",  "readOnly",
    "writeOnly",   "format",  "contentMediaType", "contentEncoding"};
// Keywords that assert something of one type only.
struct TypeKeyword {
  std::string_view keyword, type;
};
constexpr std::array<TypeKeyword, 13> kTypeKeywords{{{"properties", "object"},
                                                     {"required", "object"},
                                                     {"additionalProperties", "object"},
                                                     {"items", "array"},
                                                     {"prefixItems", "array"},
                                                     {"minItems", "array"},
                                                     {"maxItems", "array"},
                                                     {"minLength", "string"},
                                                     {"maxLength", "string"},
                                                     {"minimum", "number"},
                                                     {"maximum", "number"},
                                                     {"exclusiveMinimum", "number"},
                                                     {"exclusiveMaximum", "number"}}};

template <typename Names>
bool contains(const Names& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

[[noreturn]] void refuse(const std::string& what) {
  throw Error(
      "the schema's " + what,
      "say it with type, enum, const, anyOf, $ref, properties, items and their bounds, or leave it out");
}

[[noreturn]] void refuse_type(std::string_view keyword, const std::string& wanted) {
  refuse("'" + std::string(keyword) + "' must be " + wanted);
}

const json::value* find(const json::object& schema, std::string_view keyword) {
  const auto found = schema.find(keyword);
  return found == schema.end() ? nullptr : &found->value();
}

std::optional<std::size_t> find_count(const json::object& schema, std::string_view keyword) {
  const json::value* value = find(schema, keyword);
  if (value == nullptr) return std::nullopt;
  json::error_code error;
  const auto count = value->to_number<std::uint32_t>(error);
  if (error.failed()) refuse_type(keyword, "a count");
  return count;
}

std::optional<double> find_number(const json::object& schema, std::string_view keyword) {
  const json::value* value = find(schema, keyword);
  if (value == nullptr) return std::nullopt;
  if (!value->is_number()) refuse_type(keyword, "a number");
  return value->to_number<double>();
}

const json::array& get_array(const json::value& value, std::string_view keyword) {
  if (!value.is_array() || value.get_array().empty()) refuse_type(keyword, "an array with something in it");
  return value.get_array();
}

std::string_view get_string(const json::value& value, std::string_view keyword) {
  if (!value.is_string()) refuse_type(keyword, "of strings");
  return value.get_string();
}

bool has_type(const json::value& value, std::string_view type) {
  constexpr std::array<std::string_view, 7> kTypes{"null",  "boolean", "string", "object",
                                                   "array", "number",  "integer"};
  if (!contains(kTypes, type)) refuse("type '" + std::string(type) + "' is none of JSON's");
  return has_json_type(value, type);
}

/// The value as people write it: Boost's own form of 0.1 is 1E-1.
std::string write_value(const json::value& value) {
  if (value.is_double()) {
    constexpr double kBeyondIntegers = 9.2e18;
    constexpr std::ptrdiff_t kExactDigits = 15;
    std::string number = fmt::format("{}", value.get_double());
    const auto digits = std::count_if(number.begin(), std::find(number.begin(), number.end(), 'e'),
                                      [](char c) { return c >= '0' && c <= '9'; });
    // Of a whole number of so many digits only the first were kept.
    if (std::abs(value.get_double()) > kBeyondIntegers && digits > kExactDigits)
      refuse("value " + number + " is too large to be repeated exactly");
    return number;
  }
  std::string text;
  if (const json::array* array = value.if_array()) {
    for (const json::value& element : *array) text += (text.empty() ? "" : ",") + write_value(element);
    return "[" + text + "]";
  }
  if (const json::object* object = value.if_object()) {
    for (const auto& member : *object) {
      text += text.empty() ? "" : ",";
      text += json::serialize(json::value(member.key())) + ":" + write_value(member.value());
    }
    return "{" + text + "}";
  }
  return json::serialize(value);
}

/// A value that two parts accept is one that oneOf does not.
void refuse_overlap(const json::value& root, const json::array& parts) {
  const auto overlap = find_overlap(root, parts);
  if (!overlap) return;
  throw Error(fmt::format("parts {} and {} of the schema's oneOf may accept the same value",
                          overlap->first + 1, overlap->second + 1),
              "use anyOf, or tell them apart by types, bounds, or the values of a required property");
}

class SchemaCompiler {
 public:
  SchemaCompiler(Grammar& grammar, const JsonRules& rules, const json::value& root)
      : root_(root), grammar_(grammar), rules_(rules) {}

  std::int32_t add_root() { return add_rule_of(root_, 0); }

 private:
  struct Property {
    std::string name;
    std::int32_t value;  // rule
    bool required;
  };

  std::int32_t add_rule_of(const json::value& schema, int depth);
  std::int32_t add_reference(std::string_view reference, int depth);
  void fill_rule(std::int32_t rule, const json::value& schema, int depth);
  void add_alternatives(const json::array& schemas, int depth, std::uint32_t start, std::uint32_t end);
  void add_values(const json::object& schema, std::uint32_t start, std::uint32_t end);
  void add_type(const json::object& schema, std::string_view type, int depth, std::uint32_t start,
                std::uint32_t end);
  void add_number(const json::object& schema, bool fractions, std::uint32_t start, std::uint32_t end);
  std::int32_t add_object(const json::object& schema, int depth);
  std::vector<Property> read_properties(const json::object& schema, std::optional<std::int32_t> additional,
                                        int depth);
  std::int32_t add_array(const json::object& schema, int depth);
  void call(std::uint32_t start, std::int32_t rule, std::uint32_t end) {
    grammar_.add_skip(grammar_.add_call(start, rule), end);
  }
  std::uint32_t add_space(std::uint32_t from) { return grammar_.add_call(from, rules_.white_space); }

  const json::value& root_;
  Grammar& grammar_;
  const JsonRules& rules_;
  std::map<std::string, std::int32_t, std::less<>> references_;
};

/// Only `keywords` and those that assert nothing; `beside` says which of them rules the others out.
template <typename Keywords>
void allow_only(const json::object& schema, const Keywords& keywords, const std::string& beside) {
  for (const auto& entry : schema) {
    const std::string_view keyword = entry.key();
    if (contains(keywords, keyword) || contains(kAnnotations, keyword)) continue;
    if (keyword == "uniqueItems" && entry.value() == json::value(false)) continue;  // asserts nothing
    refuse("keyword '" + std::string(keyword) + "' is not supported" + beside);
  }
}

std::int32_t SchemaCompiler::add_rule_of(const json::value& schema, int depth) {
  const std::int32_t rule = grammar_.add_rule(false);
  fill_rule(rule, schema, depth);
  return rule;
}

std::int32_t SchemaCompiler::add_reference(std::string_view reference, int depth) {
  if (const auto known = references_.find(reference); known != references_.end()) return known->second;
  const std::string name(reference);
  if (!reference.starts_with('#')) refuse("$ref '" + name + "' is no place in it, like #/$defs/NAME");
  json::error_code error;
  const json::value* target = root_.find_pointer(reference.substr(1), error);
  if (target == nullptr) refuse("$ref '" + name + "' refers to nothing");
  const std::int32_t rule = grammar_.add_rule(false);
  references_.emplace(name, rule);  // before it is filled: it may refer to itself
  fill_rule(rule, *target, depth);
  return rule;
}

void SchemaCompiler::fill_rule(std::int32_t rule, const json::value& schema, int depth) {
  if (depth > kMostDepth) refuse("parts stand more than " + std::to_string(kMostDepth) + " deep");
  const std::uint32_t start = grammar_.rule(rule).start;
  const std::uint32_t end = grammar_.add_state();
  grammar_.end_rule(end);
  if (schema.is_bool() && schema.get_bool()) return call(start, rules_.value, end);
  if (schema.is_bool()) refuse("part 'false' lets nothing be written");
  if (!schema.is_object()) refuse("parts must be objects or booleans");
  const json::object& object = schema.get_object();
  // It would be what "#" means in the references below it.
  if (&schema != &root_ && object.contains("$id")) refuse("keyword '$id' is supported at its root only");

  using Keyword = std::array<std::string_view, 1>;
  if (const json::value* reference = find(object, "$ref")) {
    allow_only(object, Keyword{"$ref"}, " beside '$ref'");
    return call(start, add_reference(get_string(*reference, "$ref"), depth + 1), end);
  }
  for (const std::string_view keyword : {"anyOf", "oneOf", "allOf"}) {
    const json::value* schemas = find(object, keyword);
    if (schemas == nullptr) continue;
    allow_only(object, Keyword{keyword}, " beside '" + std::string(keyword) + "'");
    const json::array& parts = get_array(*schemas, keyword);
    if (keyword == "allOf" && parts.size() > 1) refuse("keyword 'allOf' is supported with one part only");
    if (keyword == "oneOf") refuse_overlap(root_, parts);
    return add_alternatives(parts, depth, start, end);
  }
  if (object.contains("enum") || object.contains("const")) return add_values(object, start, end);

  std::vector<std::string_view> types;  // that its keywords speak of
  std::vector<std::string_view> known{"type"};
  for (const auto& [keyword, type] : kTypeKeywords) {
    known.push_back(keyword);
    if (object.contains(keyword) && !contains(types, type)) types.push_back(type);
  }
  allow_only(object, known, "");
  if (const json::value* type = find(object, "type")) {
    types.clear();
    if (type->is_array()) {
      for (const json::value& name : get_array(*type, "type")) types.push_back(get_string(name, "type"));
    } else {
      types.push_back(get_string(*type, "type"));
    }
  }
  if (types.empty()) return call(start, rules_.value, end);
  for (const std::string_view type : types) add_type(object, type, depth, start, end);
}

void SchemaCompiler::add_alternatives(const json::array& schemas, int depth, std::uint32_t start,
                                      std::uint32_t end) {
  for (const json::value& schema : schemas) call(start, add_rule_of(schema, depth + 1), end);
}

void SchemaCompiler::add_values(const json::object& schema, std::uint32_t start, std::uint32_t end) {
  const bool is_enum = schema.contains("enum");
  const std::string_view keyword = is_enum ? "enum" : "const";
  allow_only(schema, std::array<std::string_view, 2>{keyword, "type"},
             " beside '" + std::string(keyword) + "'");
  std::vector<std::string> texts;
  const auto add = [&](const json::value& value) {
    const json::value* type = find(schema, "type");
    const auto fits = [&](const json::value& name) { return has_type(value, get_string(name, "type")); };
    const bool is_allowed = type == nullptr || (type->is_array() ? std::any_of(type->get_array().begin(),
                                                                               type->get_array().end(), fits)
                                                                 : fits(*type));
    if (is_allowed) texts.push_back(write_value(value));
  };
  if (is_enum) {
    for (const json::value& value : get_array(schema.at("enum"), "enum")) add(value);
  } else {
    add(schema.at("const"));
  }
  if (texts.empty()) refuse("'" + std::string(keyword) + "' and 'type' exclude each other");
  add_texts(grammar_, start, texts, end);
}

void SchemaCompiler::add_type(const json::object& schema, std::string_view type, int depth,
                              std::uint32_t start, std::uint32_t end) {
  if (type == "null") {
    grammar_.add_skip(grammar_.add_literal(start, "null"), end);
  } else if (type == "boolean") {
    add_texts(grammar_, start, std::array<std::string, 2>{"true", "false"}, end);
  } else if (type == "string") {
    const auto least = find_count(schema, "minLength");
    const auto most = find_count(schema, "maxLength");
    if (least && most && *least > *most) refuse("minLength is above its maxLength");
    if (!most && least.value_or(0) == 0) return call(start, rules_.string, end);
    add_string(grammar_, rules_, start, least.value_or(0), most.value_or(SIZE_MAX), end);
  } else if (type == "integer" || type == "number") {
    add_number(schema, type == "number", start, end);
  } else if (type == "object") {
    call(start, add_object(schema, depth), end);
  } else if (type == "array") {
    call(start, add_array(schema, depth), end);
  } else {
    refuse("type '" + std::string(type) + "' is none of JSON's");
  }
}

void SchemaCompiler::add_number(const json::object& schema, bool fractions, std::uint32_t start,
                                std::uint32_t end) {
  Interval interval;
  bool is_bounded = false;
  const auto raise = [&](std::string_view keyword, bool open) {
    const auto bound = find_number(schema, keyword);
    if (!bound || *bound < interval.low) return;
    interval.low = *bound;
    interval.low_open = open;
    is_bounded = true;
  };
  const auto lower = [&](std::string_view keyword, bool open) {
    const auto bound = find_number(schema, keyword);
    if (!bound || *bound > interval.high) return;
    interval.high = *bound;
    interval.high_open = open;
    is_bounded = true;
  };
  raise("minimum", false);
  raise("exclusiveMinimum", true);
  lower("maximum", false);
  lower("exclusiveMaximum", true);
  if (is_bounded) return add_interval(grammar_, start, interval, fractions, end);
  call(start, fractions ? rules_.number : rules_.integer, end);
}

/// In the schema's order, and those that are required without being named behind them.
std::vector<SchemaCompiler::Property> SchemaCompiler::read_properties(const json::object& schema,
                                                                      std::optional<std::int32_t> additional,
                                                                      int depth) {
  std::vector<std::string> required;
  if (const json::value* names = find(schema, "required")) {
    if (!names->is_array()) refuse_type("required", "an array of strings");
    for (const json::value& name : names->get_array()) required.emplace_back(get_string(name, "required"));
  }
  std::vector<Property> properties;
  if (const json::value* named = find(schema, "properties")) {
    if (!named->is_object()) refuse_type("properties", "an object");
    for (const auto& entry : named->get_object()) {
      const std::string name = entry.key();
      properties.push_back({name, add_rule_of(entry.value(), depth + 1), contains(required, name)});
    }
  }
  for (const std::string& name : required) {
    const auto is_it = [&](const Property& property) { return property.name == name; };
    if (std::any_of(properties.begin(), properties.end(), is_it)) continue;
    if (!additional) refuse("'required' names '" + name + "', which additionalProperties forbids");
    properties.push_back({name, *additional, true});
  }
  if (properties.size() > kMostProperties) refuse("objects have too many properties");
  return properties;
}

std::int32_t SchemaCompiler::add_object(const json::object& schema, int depth) {
  const json::value* others = find(schema, "additionalProperties");
  std::optional<std::int32_t> additional = rules_.value;
  if (others != nullptr && others->is_bool() && !others->get_bool()) additional.reset();
  if (others != nullptr && others->is_object()) additional = add_rule_of(*others, depth + 1);
  if (others != nullptr && !others->is_bool() && !others->is_object()) {
    refuse_type("additionalProperties", "a schema");
  }
  const std::vector<Property> properties = read_properties(schema, additional, depth);
  if (properties.empty() && others == nullptr) return rules_.object;
  // A schema that names properties means these, whatever its silence allows.
  if (others == nullptr) additional.reset();

  const std::int32_t rule = grammar_.add_rule(true);
  std::uint32_t none = add_space(grammar_.add_literal(grammar_.rule(rule).start, "{"));  // written so far
  std::uint32_t some = grammar_.add_state();
  const auto begin_member = [&] {
    const std::uint32_t member = grammar_.add_state();
    grammar_.add_skip(none, member);
    grammar_.add_skip(add_space(grammar_.add_literal(some, ",")), member);
    return member;
  };
  const auto add_value = [&](std::uint32_t behind_name, std::int32_t value) {
    return grammar_.add_call(add_space(grammar_.add_literal(behind_name, ":")), value);
  };
  std::vector<std::string> names;
  for (const Property& property : properties) {
    const std::uint32_t member = begin_member();
    const std::uint32_t written =
        add_value(grammar_.add_literal(member, json::serialize(property.name)), property.value);
    const std::uint32_t none_yet = grammar_.add_state();
    if (!property.required) {
      grammar_.add_skip(none, none_yet);
      grammar_.add_skip(some, written);
    }
    none = none_yet;
    some = written;
    names.push_back(property.name);
  }
  if (additional) {
    const std::uint32_t member = begin_member();
    const std::uint32_t named = grammar_.add_state();
    if (names.empty()) {
      call(member, rules_.string, named);
    } else {
      add_other_string(grammar_, member, names, named);
    }
    grammar_.add_skip(add_value(named, *additional), some);
  }
  const std::uint32_t close = grammar_.add_state();
  grammar_.add_skip(none, close);
  grammar_.add_skip(add_space(some), close);
  grammar_.end_rule(grammar_.add_literal(close, "}"));
  return rule;
}

std::int32_t SchemaCompiler::add_array(const json::object& schema, int depth) {
  std::vector<std::int32_t> first;  // rules of the first elements
  if (const json::value* schemas = find(schema, "prefixItems")) {
    for (const json::value& item : get_array(*schemas, "prefixItems")) {
      first.push_back(add_rule_of(item, depth + 1));
    }
  }
  std::size_t least = find_count(schema, "minItems").value_or(0);
  std::size_t most = find_count(schema, "maxItems").value_or(SIZE_MAX);
  if (least > most) refuse("minItems is above its maxItems");
  const json::value* items = find(schema, "items");
  const bool others =
      items != nullptr ? !items->is_bool() || items->get_bool() : least > first.size() || first.empty();
  if (!others) most = std::min(most, first.size());
  if (least > most) refuse("minItems is above the number of its prefixItems");
  least = std::max(least, std::min(most, first.size()));  // tuples are whole
  const std::int32_t other = !others ? -1 : items == nullptr ? rules_.value : add_rule_of(*items, depth + 1);

  const std::int32_t rule = grammar_.add_rule(true);
  const std::uint32_t open = add_space(grammar_.add_literal(grammar_.rule(rule).start, "["));
  const std::uint32_t close = grammar_.add_state();
  const auto add_element = [&](std::uint32_t from, std::size_t place) {
    if (place > 0) from = add_space(grammar_.add_literal(from, ","));
    return grammar_.add_call(from, place < first.size() ? first[place] : other);
  };
  std::uint32_t at = open;
  const bool has_end = most != SIZE_MAX;
  const std::size_t counted =
      has_end ? std::min(most, std::max(least, kLongestArray)) : std::max<std::size_t>(least, 1);
  if (least == 0) grammar_.add_skip(open, close);
  for (std::size_t place = 0; place < counted; ++place) {
    at = add_element(at, place);
    if (place + 1 >= least) grammar_.add_skip(at, close);
  }
  if (!has_end) grammar_.add_skip(add_element(at, counted), at);
  grammar_.end_rule(grammar_.add_literal(add_space(close), "]"));
  return rule;
}

}  // namespace

std::int32_t add_json_schema(Grammar& grammar, const JsonRules& rules, const json::value& schema) {
  return SchemaCompiler(grammar, rules, schema).add_root();
}

Grammar compile_json_schema(const json::value& schema) {
  Grammar grammar;
  const JsonRules rules = add_json_rules(grammar);
  const std::int32_t root = add_json_schema(grammar, rules, schema);
  grammar.finish(root, json::serialize(schema));
  return grammar;
}

Grammar make_json_object_grammar() { return compile_json_schema(json::object{{"type", "object"}}); }

}  // namespace touchstone
