// Ollama's API: its requests -> chats, answers -> its lines, and how it lists models. The dialects themselves
// (kOllamaChat, kOllamaGenerate) are declared in dialect.h.
#pragma once

#include <boost/json.hpp>
#include <optional>

#include "engine/engine.h"
#include "engine/model_hashes.h"

namespace touchstone::serve {

/// An entry of /api/tags, with what is known of the hashes.
boost::json::object describe_ollama_tag(const LoadedModel& model, const std::optional<ModelHashes>& hashes);
/// An entry of /api/ps.
boost::json::object describe_running_ollama_model(const LoadedModel& model,
                                                  const std::optional<ModelHashes>& hashes,
                                                  std::int32_t max_sequence_tokens);
/// What /api/show says. `max_sequence_tokens`: prompt and answer together.
boost::json::object describe_ollama_model(const LoadedModel& model, std::int32_t max_sequence_tokens);

}  // namespace touchstone::serve
