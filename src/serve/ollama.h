// Ollama's API: its requests -> chats, answers -> its lines, and how it lists models. The dialects themselves
// (kOllamaChat, kOllamaGenerate) are declared in dialect.h.
#pragma once

#include <boost/json.hpp>

#include "engine/engine.h"

namespace touchstone::serve {

/// An entry of /api/tags.
boost::json::object describe_ollama_tag(const LoadedModel& model);
/// What /api/show says. `max_sequence_tokens`: prompt and answer together.
boost::json::object describe_ollama_model(const LoadedModel& model, std::int32_t max_sequence_tokens);

}  // namespace touchstone::serve
