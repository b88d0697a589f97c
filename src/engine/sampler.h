// From logits to the next token: the logits processors of Transformers in their order, then one counter-based
// draw.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <unordered_map>
#include <vector>

#include "engine/engine.h"

namespace touchstone {

/// Throws Error naming the first parameter that is out of range.
void check_sampling(const SamplingParams& params);

/// How often each token stands in a sequence, for the penalties.
struct TokenCounts {
  std::unordered_map<std::int32_t, std::int32_t> prompt, generated;
};

/// Whether the parameters look at what has been said.
bool needs_counts(const SamplingParams& params);

/// A token that may be chosen.
struct Candidate {
  std::int32_t id;
  float logit;   // penalized, divided by the temperature
  float weight;  // exp(logit - highest logit)
};

/// Memory that is used again from call to call.
struct SamplerBuffers {
  std::vector<float> block_maxima;
  std::vector<float> values;
  std::vector<Candidate> candidates, near_border;
};

struct TokenProbability {
  std::int32_t id;
  double probability;
};

/// Probabilities that remain after logit bias, repetition, presence and frequency penalty, temperature,
/// top-k, top-p and min-p, in this order (transformers/generation/logits_process.py; presence and frequency
/// as in OpenAI's API, over what was generated). Sorted by id; what was removed is absent. Temperature 0
/// counts as 1 here. Changes `logits`.
std::vector<TokenProbability> process_logits(std::span<float> logits, const TokenCounts& counts,
                                             const SamplingParams& params);

/// The next token. Greedy (temperature 0, or below 1e-5) takes the highest logit after the penalties, the
/// lowest id among equals; otherwise the draw depends on (seed, sample, position) alone. NaN counts as minus
/// infinity. Changes `logits`.
std::int32_t sample_token(std::span<float> logits, const TokenCounts& counts, const SamplingParams& params,
                          std::uint32_t sample, std::uint64_t position, SamplerBuffers& buffers);

/// Philox4x32-10 (Salmon et al., "Parallel Random Numbers: As Easy as 1, 2, 3", 2011).
std::array<std::uint32_t, 4> philox(std::array<std::uint32_t, 4> counter, std::array<std::uint32_t, 2> key);

}  // namespace touchstone
