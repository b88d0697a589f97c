// The latency pass: one user, one prompt at a time, candidates taking turns so that a busy minute of the
// machine hits all of them.
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "eval/runner.h"
#include "eval/store.h"

namespace touchstone {

struct LatencyOptions {
  int prompt_tokens = 256;  // by each candidate's own tokenizer; less where its context is short
  int new_tokens = 64;
  int repetitions = 10;
};

/// User text from `texts`, beginning with number `first`, cut so that the rendered prompt has at most
/// `prompt_tokens` tokens and as many of them as whole characters allow. Empty text when even the bare
/// template is longer.
Prompt make_prompt_of_length(const Prompter& prompter, std::span<const std::string> texts, std::size_t first,
                             int prompt_tokens);

/// Warms up each candidate, then measures A B A B …; every repetition has a text of its own, so that no
/// prefix cache helps, and no token is guessed (Lookup::off). Nothing when it was stopped.
std::optional<std::vector<StoredLatency>> measure_latency(std::span<const RunnerCandidate> candidates,
                                                          std::span<const Suite> suites,
                                                          const RunSettings& settings,
                                                          const LatencyOptions& options,
                                                          const RunHooks& hooks);

}  // namespace touchstone
