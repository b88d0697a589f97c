// Splits what a reasoning model writes into its thinking and its answer, whole or as it streams.
#pragma once

#include <string>
#include <string_view>

namespace touchstone {

struct ReasoningText {
  std::string reasoning;
  std::string answer;
  bool closed = true;  // false: the thinking began and `</think>` never came
};

/// Feeds on decoded text; holds back what could be the beginning of a tag.
class ReasoningSplitter {
 public:
  /// `opened`: the prompt already ended inside the thinking (the template wrote `<think>\n`).
  explicit ReasoningSplitter(bool opened);
  /// Returns what the piece adds to each part.
  ReasoningText push(std::string_view piece);
  ReasoningText flush();
  bool in_reasoning() const;

 private:
  enum class State { before, thinking, answer };
  State state_;
  std::string pending_;
};

/// The same for a whole text. Whitespace around both parts is trimmed as the reference does (one newline after the opener,
/// blank lines around the closer).
ReasoningText split_reasoning(std::string_view text, bool opened);

/// Whether a rendered prompt ends inside an open `<think>`.
bool prompt_opens_reasoning(std::string_view prompt);

}  // namespace touchstone
