#include "engine/score.h"

#include <algorithm>
#include <numeric>
#include <string>

#include "base/error.h"
#include "engine/check_logits.h"
#include "engine/logprobs.h"

namespace touchstone {

ScoredPosition score_row(std::span<const float> logits, std::int32_t next, int top_count) {
  const double normalizer = log_sum_exp(logits);
  const auto logprob = [&](std::int32_t id) { return logits[static_cast<std::size_t>(id)] - normalizer; };
  ScoredPosition position{next, logprob(next), {}};
  for (const std::int32_t id : find_top(logits, top_count)) position.top.emplace_back(id, logprob(id));
  return position;
}

void score_ids(Transformer& transformer, std::span<const std::int32_t> ids, int top_count,
               const std::function<void(const ScoredPosition&)>& on_position,
               const std::function<void(std::span<const float>)>& on_logits) {
  const Config& config = transformer.config();
  if (ids.empty()) throw Error("there is nothing to score", "give at least one token");
  if (ids.size() > static_cast<std::size_t>(config.max_position_embeddings)) {
    throw Error("the text has " + std::to_string(ids.size()) + " tokens, the model's context " +
                    std::to_string(config.max_position_embeddings),
                "score it in parts");
  }
  for (const std::int32_t id : ids) {
    if (id < 0 || id >= config.vocab_size) {
      throw Error(
          "token id " + std::to_string(id) + " is not among the model's " + std::to_string(config.vocab_size),
          "the ids may be another model's");
    }
  }
  std::vector<std::int32_t> blocks((ids.size() + kKvBlockTokens - 1) / kKvBlockTokens);
  std::iota(blocks.begin(), blocks.end(), 0);
  const auto pool = transformer.make_kv_pool(static_cast<std::int32_t>(blocks.size()));
  const auto vocab_size = static_cast<std::size_t>(config.vocab_size);
  std::vector<float> logits(std::min(kMostScoredRows, ids.size()) * vocab_size);
  for (std::size_t begin = 0; begin < ids.size(); begin += kMostScoredRows) {
    const std::size_t count = std::min(kMostScoredRows, ids.size() - begin);
    const ForwardSlice slice{ids.subspan(begin, count), static_cast<std::int32_t>(begin), blocks,
                             static_cast<std::int32_t>(count)};
    transformer.forward(*pool, {&slice, 1}, std::span(logits).first(count * vocab_size));
    for (std::size_t i = 0; i < count; ++i) {
      const auto row = std::span<const float>(logits).subspan(i * vocab_size, vocab_size);
      check_logits(row, "the model");
      if (on_logits) on_logits(row);
      if (begin + i + 1 < ids.size()) on_position(score_row(row, ids[begin + i + 1], top_count));
    }
  }
}

}  // namespace touchstone
