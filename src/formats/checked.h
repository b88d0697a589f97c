// What every reader of hostile bytes needs: arithmetic that notices overflow, JSON with bounds, names fit to
// print.
#pragma once

#include <boost/json.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/blob.h"

namespace touchstone {

/// The product, or nothing when it overflows.
std::optional<std::uint64_t> multiply_checked(std::uint64_t a, std::uint64_t b);

/// The number of values in a tensor of this shape (1 for the empty shape), or nothing when it overflows or a
/// dimension is negative.
std::optional<std::uint64_t> count_values(const std::vector<std::int64_t>& shape);

/// A name out of a file, in quotes, on one line: control characters and invalid UTF-8 replaced, cut when very
/// long.
std::string quote(std::string_view name);

/// `text` fit for one line of a terminal: control characters (an escape, say) become '?', as do the two
/// Unicode line ends; invalid UTF-8 becomes U+FFFD.
std::string make_one_line(std::string_view text);

/// `text` with each invalid byte of UTF-8 replaced by U+FFFD.
std::string replace_invalid_utf8(std::string_view text);

/// Whether the JSON text holds so many values that their tree takes absurd memory: each takes dozens of
/// bytes, however short it is written.
bool has_absurdly_many_values(std::string_view json);

/// Parses a file that must hold one JSON object. Depth, size and the number of values are bounded, and
/// numbers are finite. Throws Error naming the file.
boost::json::object parse_json_object(const Blob& file);

}  // namespace touchstone
