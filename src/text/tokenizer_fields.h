// Typed access to the fields of a tokenizer's JSON. `where` begins the message of the Error that a field of
// the wrong type gets.
#pragma once

#include <boost/json.hpp>
#include <cstdint>
#include <optional>
#include <string_view>

namespace touchstone {

/// The field, or nothing when it is missing or null.
const boost::json::value* find_field(const boost::json::object& object, std::string_view key);
std::optional<std::string_view> find_string(const boost::json::object& object, std::string_view key,
                                            std::string_view where);
bool flag_field(const boost::json::object& object, std::string_view key, bool fallback,
                std::string_view where);

/// These must be there.
const boost::json::object& object_field(const boost::json::object& object, std::string_view key,
                                        std::string_view where);
const boost::json::array& array_field(const boost::json::object& object, std::string_view key,
                                      std::string_view where);
/// A whole number that may be an id: 0 … kMaxTokens - 1.
std::int32_t id_of(const boost::json::value& value, std::string_view token, std::string_view where);

// No published vocabulary is near it; it keeps a lying id from asking for gigabytes.
constexpr std::int32_t kMaxTokens = 4'000'000;
// Sequences inside sequences of a pipeline's parts; published files have one level.
constexpr int kMaxSequences = 16;

}  // namespace touchstone
