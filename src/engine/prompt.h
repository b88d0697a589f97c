// How a model is prompted: its own template and tokenizer, nothing shared with another model.
#pragma once

#include <boost/json.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/engine.h"
#include "formats/checkpoint.h"
#include "text/chat_template.h"
#include "text/tokenizer.h"

namespace touchstone {

struct Prompter {
  Tokenizer tokenizer;
  std::optional<ChatTemplate> chat_template;  // nothing: the bare text is the prompt
  boost::json::object context;                // what the template sees besides the request
};

struct Prompt {
  std::string text;
  std::vector<std::int32_t> ids;
  bool reasoning_opened = false;  // ends inside `<think>`
};

/// With `raw`, or where the model has no chat template, prompts are the bare text. Throws Error for a
/// tokenizer or template that cannot be used.
Prompter make_prompter(const Checkpoint& checkpoint, bool raw);

/// The same of a model that is loaded already: nothing is read or built again.
Prompter make_prompter(const LoadedModel& model, bool raw);

/// A text as it is, special tokens in it read as such, with what the tokenizer puts before it (BOS) unless it
/// is there already.
Prompt make_raw_prompt(const Prompter& prompter, std::string_view text);

/// A request (messages, tools, add_generation_prompt, …) through the chat template, which must be there.
Prompt make_chat_prompt(const Prompter& prompter, const boost::json::object& request);

/// What the prompts of the next turn begin with, whatever its user says: `request` as it was, with the answer
/// behind its messages, as the template writes it when it is history (thinking is mostly left out then).
std::vector<std::int32_t> make_history(const Prompter& prompter, boost::json::object request,
                                       std::string_view answer);

/// One user turn, ready for the answer: through the template where there is one.
Prompt make_prompt(const Prompter& prompter, std::string_view user);

}  // namespace touchstone
