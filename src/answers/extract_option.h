// Reads which option an answer chooses.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace touchstone {

struct OptionAnswer {
  std::optional<std::size_t> index;  // nothing: no single option is chosen
  std::string text;                  // the letter, or the letters when several were chosen at once
  std::string why;
  bool guessed = false;  // not stated as the answer
};

/// The option that `answer` (without thinking) chooses: the last of \boxed{B}, "answer is B", 选B and the
/// like; else an answer that begins with a letter; else an option's own text; else the one letter that the
/// last sentence does not reject.
OptionAnswer extract_option(std::string_view answer, const std::vector<std::string>& options);

}  // namespace touchstone
