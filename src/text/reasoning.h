// Splits what a reasoning model writes into its thinking and its answer, whole or as it streams.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace touchstone {

struct ReasoningText {
  std::string reasoning;
  std::string answer;
  bool closed = true;  // false: the thinking began and `</think>` never came
};

/// Feeds on decoded text; holds back what could be the beginning of a tag, and line breaks that may stand
/// before one. The pieces together are what split_reasoning() gives, however the text is cut.
class ReasoningSplitter {
 public:
  /// `opened`: the prompt already ended inside the thinking (the template wrote `<think>\n`).
  explicit ReasoningSplitter(bool opened);
  /// Returns what the piece adds to each part. `closed` says how it stands so far.
  ReasoningText push(std::string_view piece);
  /// What has been held back, at the end of the text.
  ReasoningText flush();
  bool in_reasoning() const;

 private:
  enum class State : std::uint8_t { before, thinking, answer };
  void read_beginning(bool at_end);
  void read_thinking(bool at_end, std::string& reasoning);
  void read_answer(std::string& answer);
  ReasoningText read(bool at_end);

  State state_ = State::before;
  bool opened_;
  bool trims_ = false;  // nothing of this part has been written yet: its first line breaks are dropped
  std::string pending_;
};

/// The same for a whole text. A `<think>` that the model writes itself at the very beginning counts, also
/// where the prompt has opened one; `<think>` anywhere else is text. Line breaks after the opener and around
/// the closer belong to neither part.
ReasoningText split_reasoning(std::string_view text, bool opened);

/// Whether a rendered prompt ends inside an open `<think>`: nothing but white space follows it.
bool prompt_opens_reasoning(std::string_view prompt);

}  // namespace touchstone
