// How likely a model finds a given text.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <utility>
#include <vector>

#include "model/transformer.h"

namespace touchstone {

/// What the model expected at one place.
struct ScoredPosition {
  std::int32_t id;  // the token that follows
  double logprob;
  std::vector<std::pair<std::int32_t, double>>
      top;  // most likely ids with their log-probabilities, best first

  bool operator==(const ScoredPosition&) const = default;
};

/// Positions of a prompt whose logits are held at once: 64 rows of a large vocabulary are 40 MB.
inline constexpr std::size_t kMostScoredRows = 64;

/// What `logits`, a position's, say of the token `next` that follows it.
ScoredPosition score_row(std::span<const float> logits, std::int32_t next, int top_count);

/// Runs `ids` once and calls `on_position` for each position i < ids.size() - 1 (it predicts ids[i + 1]) and
/// `on_logits` (may be empty) with the float32 logits [vocab_size] of every position, both in order. Throws
/// Error for ids outside the vocabulary, more than the context holds, or logits that are not finite.
void score_ids(Transformer& transformer, std::span<const std::int32_t> ids, int top_count,
               const std::function<void(const ScoredPosition&)>& on_position,
               const std::function<void(std::span<const float>)>& on_logits);

}  // namespace touchstone
