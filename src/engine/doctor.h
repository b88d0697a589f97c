// Looks for what makes a model answer worse than it could, or not at all: template, tokenizer, stop ids and
// sampling defaults that disagree, tensors that are not the model's.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "formats/checkpoint.h"
#include "model/transformer.h"
#include "text/chat_template.h"
#include "text/tokenizer.h"

namespace touchstone {

struct Finding {
  std::string code;    // stable name: "double_bos", "hidden_system_prompt", …
  std::string what;    // what was seen, with the strings and ids concerned
  std::string advice;  // what to do, or what touchstone does about it
};

/// All findings about a checkpoint, in a fixed order; empty when nothing is amiss. Codes: no_chat_template,
/// template_fails, hidden_system_prompt, double_bos, missing_think_opener, stop_ids_disagree,
/// stop_id_not_special, stop_id_unknown, turn_end_not_a_stop, no_published_sampling, sampling_deviates.
/// Throws Error only where the tokenizer itself cannot be loaded.
std::vector<Finding> examine(const Checkpoint& checkpoint);

/// The tensors that the model needs and the files lack, hold in another shape, or hold although such a model
/// has none: one finding each with the code tensor_amiss, the first ones of many (more_tensors_amiss). Such a
/// model cannot be loaded.
std::vector<Finding> examine_tensors(const Checkpoint& checkpoint, const Config& config);

/// The system prompt that a template writes when the conversation has none; nothing when it writes none.
std::optional<std::string> find_hidden_system_prompt(const ChatTemplate& chat_template,
                                                     const boost::json::object& context);

}  // namespace touchstone
