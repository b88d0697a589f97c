// Finds the program in an answer.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace touchstone {

struct CodeAnswer {
  std::vector<std::string> attempts;  // ways to read the answer, best first; empty: there is no code
  std::vector<std::string> helpers;   // the answer's other Python blocks
  std::string shown;                  // the code as the answer wrote it
  std::string why;                    // where it was found, or why there is none
};

/// The code that defines `entry_point`: the last Markdown block that does (where that does not compile, an
/// earlier one, or what is left of it without prose and a line that was cut off); else code without a fence;
/// else the answer as a continuation of `prompt` (which must then be Python that ends in the function's
/// head).
CodeAnswer extract_code(std::string_view answer, std::string_view prompt, const std::string& entry_point);

/// What stands before the definition of `entry_point` in a prompt: imports and helpers.
std::string prompt_preamble(std::string_view prompt, const std::string& entry_point);

}  // namespace touchstone
