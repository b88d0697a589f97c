// What string methods and filters share.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "text/jinja_value.h"

namespace touchstone::jinja {

/// str.split and str.rsplit; a negative limit is none. Raises ValueError for an empty separator.
std::vector<std::string_view> split_at(std::string_view text, std::string_view separator, std::int64_t limit,
                                       bool from_right);
std::vector<std::string_view> split_at_space(std::string_view text, std::int64_t limit, bool from_right);
std::vector<std::string_view> split_lines(std::string_view text, bool keep_ends);
std::string replace_text(std::string_view text, std::string_view old_part, std::string_view new_part,
                         std::int64_t limit, Budget& budget);
/// To `width` characters; `align` '<', '>' or '^' (where str.center puts the odd one).
std::string pad_text(std::string_view text, char align, std::string_view fill, std::int64_t width,
                     Budget& budget);

}  // namespace touchstone::jinja
