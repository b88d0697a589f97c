#include "text/schema_overlap.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "text/unicode.h"

namespace touchstone {
namespace {

namespace json = boost::json;

// Parts of schemas that are looked at before what is left counts as overlapping: references may lead in
// circles, and there is a comparison for each pair of alternatives.
constexpr std::int64_t kMostLooks = 1'000'000;
constexpr int kMostReferences = 32;
constexpr std::array<std::string_view, 6> kDistinctTypes{"null",   "boolean", "string",
                                                         "number", "object",  "array"};

bool equal_values(const json::value& a, const json::value& b) {
  if (a.is_number() && b.is_number()) return a.to_number<double>() == b.to_number<double>();
  if (a.is_array() && b.is_array()) {
    return std::equal(a.get_array().begin(), a.get_array().end(), b.get_array().begin(), b.get_array().end(),
                      equal_values);
  }
  if (!a.is_object() || !b.is_object()) return a == b;
  if (a.get_object().size() != b.get_object().size()) return false;
  return std::all_of(a.get_object().begin(), a.get_object().end(), [&](const auto& member) {
    const json::value* other = b.get_object().if_contains(member.key());
    return other != nullptr && equal_values(member.value(), *other);
  });
}

/// Whether `names` (a string or an array of strings) holds `name`.
bool holds_name(const json::value* names, std::string_view name) {
  if (names == nullptr) return false;
  if (names->is_string()) return names->get_string() == name;
  return names->is_array() &&
         std::any_of(names->get_array().begin(), names->get_array().end(),
                     [&](const json::value& one) { return one.is_string() && one.get_string() == name; });
}

std::size_t size_of(const json::value* array) {
  return array != nullptr && array->is_array() ? array->get_array().size() : 0;
}

double number_at(const json::object& schema, std::string_view keyword, double otherwise) {
  const json::value* value = schema.if_contains(keyword);
  return value != nullptr && value->is_number() ? value->to_number<double>() : otherwise;
}

/// Whether the ranges from the greatest of the lowest to the least of the highest bounds meet.
bool counts_meet(const json::object& a, const json::object& b, std::string_view least,
                 std::string_view most) {
  constexpr double kEndless = std::numeric_limits<double>::infinity();
  return std::max(number_at(a, least, 0), number_at(b, least, 0)) <=
         std::min(number_at(a, most, kEndless), number_at(b, most, kEndless));
}

bool numbers_meet(const json::object& a, const json::object& b) {
  constexpr double kEndless = std::numeric_limits<double>::infinity();
  const double low = std::max(number_at(a, "minimum", -kEndless), number_at(b, "minimum", -kEndless));
  const double high = std::min(number_at(a, "maximum", kEndless), number_at(b, "maximum", kEndless));
  const double above =
      std::max(number_at(a, "exclusiveMinimum", -kEndless), number_at(b, "exclusiveMinimum", -kEndless));
  const double below =
      std::min(number_at(a, "exclusiveMaximum", kEndless), number_at(b, "exclusiveMaximum", kEndless));
  return low <= high && above < high && low < below && above < below;
}

/// The values of enum or const; none where the schema has neither.
std::vector<const json::value*> values_of(const json::object& schema) {
  std::vector<const json::value*> values;
  if (const json::value* one = schema.if_contains("const")) values.push_back(one);
  const json::value* several = schema.if_contains("enum");
  if (several != nullptr && several->is_array()) {
    for (const json::value& value : several->get_array()) values.push_back(&value);
  }
  return values;
}

const json::array* alternatives_of(const json::object& schema) {
  for (const std::string_view keyword : {"anyOf", "oneOf", "allOf"}) {
    const json::value* parts = schema.if_contains(keyword);
    if (parts != nullptr && parts->is_array()) return &parts->get_array();
  }
  return nullptr;
}

const json::value* property_of(const json::object& schema, std::string_view name) {
  const json::value* properties = schema.if_contains("properties");
  return properties != nullptr && properties->is_object() ? properties->get_object().if_contains(name)
                                                          : nullptr;
}

class OverlapFinder {
 public:
  explicit OverlapFinder(const json::value& root) : root_(root) {}

  /// Whether a value that the grammar of `written` writes may be accepted by `reader`.
  bool may_match(const json::value& written, const json::value& reader, int depth) {
    const json::value* out = resolve(written);
    const json::value* in = resolve(reader);
    if (out == nullptr || in == nullptr || depth > kMostReferences || !spend(1)) return true;
    if (!out->is_object() || !in->is_object()) return true;
    const json::object& from = out->get_object();
    const json::object& by = in->get_object();
    if (const json::array* parts = alternatives_of(from)) {
      return std::any_of(parts->begin(), parts->end(),
                         [&](const json::value& part) { return may_match(part, *in, depth + 1); });
    }
    if (const json::array* parts = alternatives_of(by)) {
      return std::any_of(parts->begin(), parts->end(),
                         [&](const json::value& part) { return may_match(*out, part, depth + 1); });
    }
    for (const auto& [listed, other] : {std::pair{&from, in}, std::pair{&by, out}}) {
      const std::vector<const json::value*> values = values_of(*listed);
      if (values.empty()) continue;
      if (!spend(values.size())) return true;
      return std::any_of(values.begin(), values.end(), [&, other = other](const json::value* value) {
        return may_accept(*other, *value, depth + 1);
      });
    }
    return std::any_of(kDistinctTypes.begin(), kDistinctTypes.end(), [&](std::string_view type) {
      return allows_type(from, type) && allows_type(by, type) && may_match_as(type, from, by, depth);
    });
  }

 private:
  bool spend(std::size_t looks) {
    looks_left_ -= std::min(static_cast<std::int64_t>(looks), looks_left_);
    return looks_left_ > 0;
  }

  const json::value* resolve(const json::value& schema) const {
    const json::value* at = &schema;
    for (int step = 0; step < kMostReferences; ++step) {
      const json::value* reference = at->is_object() ? at->get_object().if_contains("$ref") : nullptr;
      if (reference == nullptr) return at;
      if (!reference->is_string() || !reference->get_string().starts_with('#')) return nullptr;
      json::error_code error;
      at = root_.find_pointer(std::string_view(reference->get_string()).substr(1), error);
      if (at == nullptr) return nullptr;
    }
    return nullptr;
  }

  /// Integers count as numbers.
  static bool allows_type(const json::object& schema, std::string_view type) {
    const json::value* types = schema.if_contains("type");
    return types == nullptr || holds_name(types, type) || (type == "number" && holds_name(types, "integer"));
  }

  bool may_match_as(std::string_view type, const json::object& from, const json::object& by, int depth) {
    if (type == "string") return counts_meet(from, by, "minLength", "maxLength");
    if (type == "array") return counts_meet(from, by, "minItems", "maxItems");
    if (type == "number") return numbers_meet(from, by);
    return type != "object" || objects_may_match(from, by, depth);
  }

  /// Whether the grammar of `schema` may write a property of this name.
  static bool may_write(const json::object& schema, std::string_view name) {
    const json::value* others = schema.if_contains("additionalProperties");
    if (property_of(schema, name) != nullptr || holds_name(schema.if_contains("required"), name)) return true;
    if (others != nullptr) return !others->is_bool() || others->get_bool();
    return !schema.contains("properties") && !schema.contains("required");
  }

  bool objects_may_match(const json::object& from, const json::object& by, int depth) {
    const json::value* needed = by.if_contains("required");
    const json::value* always = from.if_contains("required");
    if (!spend(size_of(needed) * (1 + size_of(always)) + size_of(always))) return true;
    if (needed != nullptr && needed->is_array()) {
      for (const json::value& name : needed->get_array()) {
        if (name.is_string() && !may_write(from, name.get_string())) return false;
      }
    }
    if (always == nullptr || !always->is_array()) return true;
    for (const json::value& name : always->get_array()) {
      if (!name.is_string()) continue;
      const json::value* written = property_of(from, name.get_string());
      const json::value* read = property_of(by, name.get_string());
      if (read == nullptr) read = by.if_contains("additionalProperties");
      if (read == nullptr) continue;
      if (read->is_bool() && !read->get_bool()) return false;
      if (written != nullptr && !may_match(*written, *read, depth + 1)) return false;
    }
    return true;
  }

  /// Whether `schema` may accept the value.
  bool may_accept(const json::value& schema, const json::value& value, int depth) {
    const json::value* target = resolve(schema);
    if (target == nullptr || !target->is_object() || depth > kMostReferences || !spend(1)) return true;
    const json::object& object = target->get_object();
    if (const json::array* parts = alternatives_of(object)) {
      return std::any_of(parts->begin(), parts->end(),
                         [&](const json::value& part) { return may_accept(part, value, depth + 1); });
    }
    const std::vector<const json::value*> values = values_of(object);
    if (!spend(values.size())) return true;
    if (!values.empty()) {
      return std::any_of(values.begin(), values.end(),
                         [&](const json::value* other) { return equal_values(value, *other); });
    }
    const bool typed = std::any_of(kDistinctTypes.begin(), kDistinctTypes.end(), [&](std::string_view type) {
      return has_json_type(value, type) && allows_type(object, type);
    });
    if (!typed) return false;
    if (value.is_number()) {
      const json::object exactly{{"minimum", value}, {"maximum", value}};
      return numbers_meet(object, exactly);
    }
    if (value.is_string()) {
      const json::string& text = value.get_string();
      const std::size_t length = count_codepoints(text);
      return counts_meet(object, {{"minLength", length}, {"maxLength", length}}, "minLength", "maxLength");
    }
    if (!value.is_object()) return true;
    const json::value* needed = object.if_contains("required");
    if (needed != nullptr && needed->is_array()) {
      for (const json::value& name : needed->get_array()) {
        if (name.is_string() && !value.get_object().contains(name.get_string())) return false;
      }
    }
    return std::all_of(value.get_object().begin(), value.get_object().end(), [&](const auto& member) {
      const json::value* property = property_of(object, member.key());
      return property == nullptr || may_accept(*property, member.value(), depth + 1);
    });
  }

  const json::value& root_;
  std::int64_t looks_left_ = kMostLooks;
};

}  // namespace

bool has_json_type(const json::value& value, std::string_view type) {
  if (type == "null") return value.is_null();
  if (type == "boolean") return value.is_bool();
  if (type == "string") return value.is_string();
  if (type == "object") return value.is_object();
  if (type == "array") return value.is_array();
  if (type == "number") return value.is_number();
  const bool is_whole = value.is_int64() || value.is_uint64() ||
                        (value.is_double() && std::floor(value.get_double()) == value.get_double());
  return type == "integer" && is_whole;
}

std::optional<std::pair<std::size_t, std::size_t>> find_overlap(const json::value& root,
                                                                const json::array& schemas) {
  OverlapFinder finder(root);
  for (std::size_t i = 0; i < schemas.size(); ++i) {
    for (std::size_t j = i + 1; j < schemas.size(); ++j) {
      if (finder.may_match(schemas[i], schemas[j], 0) || finder.may_match(schemas[j], schemas[i], 0))
        return std::pair{i, j};
    }
  }
  return std::nullopt;
}

}  // namespace touchstone
