// JSON as users give it. Boost's own reader rounds a long decimal to a neighbour of the nearest double, which
// a rendered template would show; here each number is the nearest.
#pragma once

#include <boost/json/value.hpp>
#include <cstddef>
#include <string>
#include <string_view>

namespace touchstone {

/// The text without the byte order mark that some editors put in front of it.
std::string_view without_byte_order_mark(std::string_view text);

/// Parses one JSON document, with or without a byte order mark. Throws Error that names `source` and where it
/// broke, with `hint`; nesting deeper than `max_depth` is an error, too.
boost::json::value parse_json(const std::string& text, const std::string& source,
                              const std::string& hint = "give one JSON document; see --help for an example",
                              std::size_t max_depth = 32);

}  // namespace touchstone
