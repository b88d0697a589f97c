// A sequence's ids as they become text: stop strings cut out, thinking told from the answer.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "text/reasoning.h"
#include "text/tokenizer.h"

namespace touchstone {

class AnswerText {
 public:
  /// `stops`: the text ends before the one that is complete first, wherever its tokens part.
  /// `reasoning_opened`: the prompt ended inside `<think>`.
  AnswerText(const Tokenizer& tokenizer, std::vector<std::string> stops, bool reasoning_opened);

  /// Takes an id; returns the text that is now certain (it may lag behind where a stop string could begin).
  std::string push(std::int32_t id);
  /// The rest, when no id follows.
  std::string finish();

  bool stopped() const { return stopped_; }
  /// The stop string that ended the text; empty: none did.
  const std::string& stop_string() const { return stop_string_; }
  bool in_reasoning() const { return splitter_.in_reasoning(); }
  /// What there is so far. Whole after finish().
  const ReasoningText& parts() const { return parts_; }

 private:
  std::string release(bool all);

  StreamDecoder decoder_;
  std::vector<std::string> stops_;
  ReasoningSplitter splitter_;
  ReasoningText parts_;
  std::string held_;  // could be the beginning of a stop string
  bool stopped_ = false;
  std::string stop_string_;
};

}  // namespace touchstone
