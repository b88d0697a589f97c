// Options that an answer counts instead of naming their letters.
#pragma once

#include <string>
#include <string_view>

namespace touchstone {

/// `text` (normalised) with "the second option", "option 2", 第二个选项 and the like written "option B".
std::string letters_for_counts(std::string_view text, std::size_t num_options);

}  // namespace touchstone
