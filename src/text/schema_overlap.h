// Whether JSON schemas may accept the same value.
#pragma once

#include <boost/json.hpp>
#include <cstddef>
#include <optional>
#include <string_view>
#include <utility>

namespace touchstone {

/// Whether `value` is of the JSON schema type; false where there is no such type.
bool has_json_type(const boost::json::value& value, std::string_view type);

/// Two of `schemas` (parts of `root`, as for compile_json_schema) of which one may accept what the grammar of
/// the other writes; nothing where it is plain that there are none: they are told apart by types, values,
/// bounds, and properties that must be there.
std::optional<std::pair<std::size_t, std::size_t>> find_overlap(const boost::json::value& root,
                                                                const boost::json::array& schemas);

}  // namespace touchstone
