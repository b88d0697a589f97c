#include "engine/logprobs.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace touchstone {

double log_sum_exp(std::span<const float> logits) {
  const float best = *std::max_element(logits.begin(), logits.end());
  double sum = 0;
  for (const float logit : logits) sum += std::exp(static_cast<double>(logit) - best);
  return best + std::log(sum);
}

std::vector<std::int32_t> find_top(std::span<const float> logits, std::int32_t count) {
  const auto value = [&](std::int32_t id) { return logits[static_cast<std::size_t>(id)]; };
  std::vector<std::int32_t> order(logits.size());
  std::iota(order.begin(), order.end(), 0);
  const auto end =
      order.begin() + std::clamp<std::ptrdiff_t>(count, 0, static_cast<std::ptrdiff_t>(order.size()));
  std::partial_sort(order.begin(), end, order.end(), [&](std::int32_t a, std::int32_t b) {
    return value(a) != value(b) ? value(a) > value(b) : a < b;
  });
  order.erase(end, order.end());
  return order;
}

TokenLogprobs find_logprobs(std::span<const float> logits, std::int32_t id, std::int32_t top_count) {
  const double normalizer = log_sum_exp(logits);
  const auto logprob = [&](std::int32_t of) {
    return static_cast<float>(logits[static_cast<std::size_t>(of)] - normalizer);
  };
  TokenLogprobs logprobs{.chosen = logprob(id), .top = {}};
  if (top_count == 0) return logprobs;
  for (const std::int32_t likely : find_top(logits, top_count)) {
    logprobs.top.emplace_back(likely, logprob(likely));
  }
  return logprobs;
}

}  // namespace touchstone
