// One answer, until Ctrl-C.
#pragma once

#include "engine/engine.h"

namespace touchstone::cli {

/// As Engine::generate; Ctrl-C cancels the request between two steps.
GenerateResult generate_answer(Engine& engine, GenerateRequest request);

}  // namespace touchstone::cli
