// Runs sequences on a Transformer as a test wants them cut, and reads the reference's expectations.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <boost/json.hpp>
#include <cmath>
#include <filesystem>
#include <memory>
#include <numeric>
#include <span>
#include <string>
#include <vector>

#include "model/transformer.h"
#include "support/golden.h"

namespace touchstone::testing {

/// One sequence with its own blocks.
class Sequence {
 public:
  Sequence(Transformer& model, std::int32_t max_tokens) : model_(model) {
    blocks_.resize(static_cast<std::size_t>((max_tokens + kKvBlockTokens - 1) / kKvBlockTokens));
    std::iota(blocks_.begin(), blocks_.end(), 0);
    pool_ = model.make_kv_pool(static_cast<std::int32_t>(blocks_.size()));
  }

  /// The logits of all the given tokens, or of the last `num_logits`: [n, vocab_size].
  std::vector<float> run(std::span<const std::int32_t> ids, std::int32_t num_logits = -1) {
    if (num_logits < 0) num_logits = static_cast<std::int32_t>(ids.size());
    const auto vocab = static_cast<std::size_t>(model_.config().vocab_size);
    std::vector<float> logits(static_cast<std::size_t>(num_logits) * vocab);
    const ForwardSlice slice{ids, position_, blocks_, num_logits};
    model_.forward(*pool_, {&slice, 1}, logits);
    position_ += static_cast<std::int32_t>(ids.size());
    return logits;
  }

 private:
  Transformer& model_;
  std::shared_ptr<KvPool> pool_;
  std::vector<std::int32_t> blocks_;
  std::int32_t position_ = 0;
};

inline std::int32_t argmax(std::span<const float> logits) {
  return static_cast<std::int32_t>(std::max_element(logits.begin(), logits.end()) - logits.begin());
}

inline double log_probability(std::span<const float> logits, std::int32_t id) {
  const double maximum = *std::max_element(logits.begin(), logits.end());
  double sum = 0;
  for (const float logit : logits) sum += std::exp(static_cast<double>(logit) - maximum);
  return static_cast<double>(logits[static_cast<std::size_t>(id)]) - maximum - std::log(sum);
}

/// Greedy continuation of a prompt, with the margin between the two best logits at each step.
struct Greedy {
  std::vector<std::int32_t> ids;
  std::vector<float> margins;
};

inline Greedy continue_greedily(Transformer& model, std::span<const std::int32_t> prompt, std::size_t steps) {
  Sequence sequence(model, static_cast<std::int32_t>(prompt.size() + steps));
  std::vector<float> logits = sequence.run(prompt, 1);
  Greedy result;
  while (true) {
    const std::int32_t best = argmax(logits);
    result.ids.push_back(best);
    const float top = std::exchange(logits[static_cast<std::size_t>(best)], -HUGE_VALF);
    result.margins.push_back(top - *std::max_element(logits.begin(), logits.end()));
    if (result.ids.size() == steps) return result;
    logits = sequence.run({&best, 1});
  }
}

/// Mean negative log-likelihood of ids[1…], logits: [n, vocab_size].
inline double mean_nll(std::span<const float> logits, std::span<const std::int32_t> ids) {
  const std::size_t vocab = logits.size() / ids.size();
  double sum = 0;
  for (std::size_t i = 0; i + 1 < ids.size(); ++i)
    sum -= log_probability(logits.subspan(i * vocab, vocab), ids[i + 1]);
  return sum / static_cast<double>(ids.size() - 1);
}

}  // namespace touchstone::testing
