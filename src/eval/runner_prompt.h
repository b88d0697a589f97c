// How a candidate is prompted: its own template and tokenizer, nothing shared with the other candidates.
#pragma once

#include <boost/json.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/engine.h"
#include "eval/report.h"
#include "formats/checkpoint.h"
#include "text/chat_template.h"
#include "text/tokenizer.h"

namespace touchstone {

struct Prompter {
  Tokenizer tokenizer;
  std::optional<ChatTemplate> chat_template;  // nothing: the bare text is the prompt
  boost::json::object context;                // what the template sees besides the messages
};

/// With `raw`, or where the model has no chat template, prompts are the bare text. Throws Error for a
/// tokenizer or template that cannot be used.
Prompter make_prompter(const Checkpoint& checkpoint, bool raw);

struct Prompt {
  std::string text;
  std::vector<std::int32_t> ids;
  bool thinking_opened = false;
};

/// One user turn, ready for the answer.
Prompt make_prompt(const Prompter& prompter, std::string_view user);

/// The model's own defaults, with what the run's settings override.
SamplingParams make_sampling(const Checkpoint& checkpoint, const Prompter& prompter,
                             const RunSettings& settings);

/// All that is known before the weights are loaded; label, model and sha256 are the caller's.
CandidateInfo describe_candidate(const Checkpoint& checkpoint, const Prompter& prompter,
                                 const RunSettings& settings);

}  // namespace touchstone
