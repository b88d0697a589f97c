// What the model itself finds likely: log-probabilities of tokens from unchanged logits.
#pragma once

#include <cstdint>
#include <span>
#include <utility>
#include <vector>

namespace touchstone {

/// log(sum of exp(logit)): a token's log-probability is its logit less this.
double log_sum_exp(std::span<const float> logits);

/// The ids of the `count` highest logits (or of all, where there are fewer), the lower id first among equals.
std::vector<std::int32_t> find_top(std::span<const float> logits, std::int32_t count);

struct TokenLogprobs {
  float chosen = 0;
  std::vector<std::pair<std::int32_t, float>> top;  // likeliest first
};

/// Log-probabilities of `id` and of the `top_count` likeliest.
TokenLogprobs find_logprobs(std::span<const float> logits, std::int32_t id, std::int32_t top_count);

}  // namespace touchstone
