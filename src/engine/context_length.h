// Whether a model has the context that the user asks for.
#pragma once

#include <cstdint>
#include <string>

#include "model/transformer.h"

namespace touchstone {

/// Warns when `context_tokens` (--ctx; 0: the model's own) are more than `config` has, which then counts:
/// several models may be given one --ctx. `model` names it.
void warn_of_short_context(const std::string& model, const Config& config, std::int32_t context_tokens);

}  // namespace touchstone
