// From a checkpoint to a model that can be run: tokenizer, chat template, defaults, weights.
#pragma once

#include <boost/json.hpp>
#include <memory>
#include <string>

#include "engine/engine.h"
#include "formats/checkpoint.h"
#include "text/chat_template.h"
#include "text/tokenizer.h"

namespace touchstone {

/// From tokenizer.json or GGUF metadata. Throws Error when the checkpoint has neither.
Tokenizer load_tokenizer(const Checkpoint& checkpoint);

/// Throws Error when the checkpoint has no chat template.
ChatTemplate load_chat_template(const Checkpoint& checkpoint);

/// Sets bos_token, eos_token (and unk/pad where known) in a template's context, unless the caller has set
/// them.
void add_special_token_strings(boost::json::object& context, const Checkpoint& checkpoint,
                               const Tokenizer& tokenizer);

/// Sampling defaults: generation_config.json's where it has them, else CONTRACT's; stop_ids from every place
/// that names one.
SamplingParams load_defaults(const Checkpoint& checkpoint, const Tokenizer& tokenizer);

/// load_model() of files that are open already.
LoadedModel load_checkpoint(Checkpoint checkpoint, const LoadOptions& options);

}  // namespace touchstone
