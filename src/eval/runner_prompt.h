// How a candidate is prompted: its own template and tokenizer, nothing shared with the other candidates.
#pragma once

#include "engine/engine.h"
#include "engine/prompt.h"
#include "eval/report.h"
#include "formats/checkpoint.h"

namespace touchstone {

/// The model's own defaults, with what the run's settings override.
SamplingParams make_sampling(const Checkpoint& checkpoint, const Prompter& prompter,
                             const RunSettings& settings);

/// All that is known before the weights are loaded; label, model and sha256 are the caller's.
CandidateInfo describe_candidate(const Checkpoint& checkpoint, const Prompter& prompter,
                                 const RunSettings& settings);

}  // namespace touchstone
