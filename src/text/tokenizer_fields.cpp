#include "text/tokenizer_fields.h"

#include <string>

#include "base/error.h"

namespace touchstone {
namespace {

[[noreturn]] void throw_wrong(std::string_view where, std::string_view key, std::string_view wanted) {
  throw Error(std::string(where) + ": '" + std::string(key) + "' is not " + std::string(wanted));
}

}  // namespace

const boost::json::value* find_field(const boost::json::object& object, std::string_view key) {
  const boost::json::value* value = object.if_contains(key);
  return value == nullptr || value->is_null() ? nullptr : value;
}

std::optional<std::string_view> find_string(const boost::json::object& object, std::string_view key,
                                            std::string_view where) {
  const boost::json::value* value = find_field(object, key);
  if (value == nullptr) return std::nullopt;
  if (!value->is_string()) throw_wrong(where, key, "a string");
  return std::string_view(value->get_string());
}

bool flag_field(const boost::json::object& object, std::string_view key, bool fallback,
                std::string_view where) {
  const boost::json::value* value = find_field(object, key);
  if (value == nullptr) return fallback;
  if (!value->is_bool()) throw_wrong(where, key, "true or false");
  return value->get_bool();
}

const boost::json::object& object_field(const boost::json::object& object, std::string_view key,
                                        std::string_view where) {
  const boost::json::value* value = object.if_contains(key);
  if (value == nullptr || !value->is_object()) throw_wrong(where, key, "an object");
  return value->get_object();
}

const boost::json::array& array_field(const boost::json::object& object, std::string_view key,
                                      std::string_view where) {
  const boost::json::value* value = object.if_contains(key);
  if (value == nullptr || !value->is_array()) throw_wrong(where, key, "a list");
  return value->get_array();
}

std::int32_t id_of(const boost::json::value& value, std::string_view token, std::string_view where) {
  std::int64_t id = -1;
  if (value.is_int64()) id = value.get_int64();
  if (value.is_uint64() && value.get_uint64() < kMaxTokens)
    id = static_cast<std::int64_t>(value.get_uint64());
  if (id < 0 || id >= kMaxTokens) {
    throw Error(std::string(where) + ": token '" + std::string(token) + "' has the impossible id " +
                boost::json::serialize(value).substr(0, 40));
  }
  return static_cast<std::int32_t>(id);
}

}  // namespace touchstone
