#include "engine/sampler.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <limits>

namespace touchstone {
namespace {

struct Candidate {
  std::int32_t id;
  float logit;
};

void apply_penalties(std::span<float> logits, const TokenCounts& counts, const SamplingParams& params) {
  const auto at = [&](std::int32_t id) -> float& { return logits[static_cast<std::size_t>(id)]; };
  if (params.repetition_penalty != 1.0F) {
    const auto penalize = [&](std::int32_t id) {
      float& logit = at(id);
      logit = logit < 0 ? logit * params.repetition_penalty : logit / params.repetition_penalty;
    };
    for (const auto& [id, count] : counts.prompt) penalize(id);
    for (const auto& [id, count] : counts.generated) {
      if (!counts.prompt.contains(id)) penalize(id);
    }
  }
  if (params.presence_penalty != 0.0F || params.frequency_penalty != 0.0F) {
    for (const auto& [id, count] : counts.generated) {
      at(id) -= params.presence_penalty + params.frequency_penalty * static_cast<float>(count);
    }
  }
}

/// Higher logits first; among equals the higher id, which an ascending stable sort leaves last.
bool comes_first(const Candidate& a, const Candidate& b) {
  return a.logit != b.logit ? a.logit > b.logit : a.id > b.id;
}

void keep_top_k(std::vector<Candidate>& candidates, std::int32_t top_k) {
  const auto k = static_cast<std::size_t>(top_k);
  if (top_k <= 0 || k >= candidates.size()) return;
  std::vector<Candidate> sorted = candidates;
  std::nth_element(sorted.begin(), sorted.begin() + static_cast<std::ptrdiff_t>(k) - 1, sorted.end(),
                   comes_first);
  const float threshold = sorted[k - 1].logit;  // ties with the k-th stay, as in the reference
  std::erase_if(candidates, [&](const Candidate& c) { return c.logit < threshold; });
}

float highest(const std::vector<Candidate>& candidates) {
  float best = -std::numeric_limits<float>::infinity();
  for (const Candidate& c : candidates) best = std::max(best, c.logit);
  return best;
}

double weight(const Candidate& c, float best) { return static_cast<double>(std::exp(c.logit - best)); }

double total_weight(const std::vector<Candidate>& candidates, float best) {
  double total = 0;
  for (const Candidate& c : candidates) total += weight(c, best);
  return total;
}

/// Keeps the most probable tokens whose predecessors do not yet sum to top_p; at least one.
void keep_top_p(std::vector<Candidate>& candidates, float top_p) {
  if (top_p >= 1.0F) return;
  const float best = highest(candidates);
  const double limit = static_cast<double>(top_p) * total_weight(candidates, best);
  double before = 0;
  std::size_t kept = 0;
  // Sorted only as far as needed: a vocabulary is large and the nucleus small.
  for (std::size_t sorted = 0, next = 256; sorted < candidates.size(); next *= 4) {
    const std::size_t end = std::min(next, candidates.size());
    const auto begin_it = candidates.begin() + static_cast<std::ptrdiff_t>(sorted);
    const auto end_it = candidates.begin() + static_cast<std::ptrdiff_t>(end);
    if (end < candidates.size()) std::nth_element(begin_it, end_it, candidates.end(), comes_first);
    std::sort(begin_it, end_it, comes_first);
    for (; kept < end && (kept == 0 || before < limit); ++kept) before += weight(candidates[kept], best);
    if (kept < end) break;
    sorted = end;
  }
  candidates.resize(kept);
  std::sort(candidates.begin(), candidates.end(),
            [](const Candidate& a, const Candidate& b) { return a.id < b.id; });
}

void keep_min_p(std::vector<Candidate>& candidates, float min_p) {
  if (min_p <= 0.0F) return;
  const float best = highest(candidates);
  // p >= min_p * p_best, both over the same sum.
  std::erase_if(candidates, [&](const Candidate& c) { return std::exp(c.logit - best) < min_p; });
}

std::vector<Candidate> keep_candidates(std::span<float> logits, const TokenCounts& counts,
                                       const SamplingParams& params) {
  apply_penalties(logits, counts, params);
  const float temperature = params.temperature > 0.0F ? params.temperature : 1.0F;
  std::vector<Candidate> candidates;
  candidates.reserve(logits.size());
  for (std::size_t i = 0; i < logits.size(); ++i) {
    const float logit = logits[i] / temperature;
    // NaN (a damaged model) and -inf (masked) can't be chosen.
    if (logit > -std::numeric_limits<float>::infinity())
      candidates.push_back({static_cast<std::int32_t>(i), logit});
  }
  if (candidates.empty()) return {{0, 0.0F}};
  const float best = highest(candidates);
  if (std::isinf(best)) std::erase_if(candidates, [](const Candidate& c) { return !std::isinf(c.logit); });
  for (Candidate& c : candidates) {
    if (std::isinf(best)) c.logit = 0.0F;
  }
  keep_top_k(candidates, params.top_k);
  keep_top_p(candidates, params.top_p);
  keep_min_p(candidates, params.min_p);
  return candidates;
}

/// A number in [0, 1) with 53 random bits.
double uniform(std::uint64_t seed, std::uint32_t sample, std::uint64_t position) {
  const auto low = [](std::uint64_t x) { return static_cast<std::uint32_t>(x); };
  const auto high = [](std::uint64_t x) { return static_cast<std::uint32_t>(x >> 32); };
  const auto random = philox({low(position), high(position), sample, 0}, {low(seed), high(seed)});
  const std::uint64_t bits = (static_cast<std::uint64_t>(random[0]) << 32 | random[1]) >> 11;
  return static_cast<double>(bits) * 0x1p-53;
}

}  // namespace

std::array<std::uint32_t, 4> philox(std::array<std::uint32_t, 4> counter, std::array<std::uint32_t, 2> key) {
  constexpr int kRounds = 10;
  for (int round = 0; round < kRounds; ++round) {
    const std::uint64_t a = std::uint64_t{0xD2511F53} * counter[0];
    const std::uint64_t b = std::uint64_t{0xCD9E8D57} * counter[2];
    counter = {static_cast<std::uint32_t>(b >> 32) ^ counter[1] ^ key[0], static_cast<std::uint32_t>(b),
               static_cast<std::uint32_t>(a >> 32) ^ counter[3] ^ key[1], static_cast<std::uint32_t>(a)};
    key[0] += 0x9E3779B9;
    key[1] += 0xBB67AE85;
  }
  return counter;
}

std::vector<TokenProbability> process_logits(std::span<float> logits, const TokenCounts& counts,
                                             const SamplingParams& params) {
  const std::vector<Candidate> candidates = keep_candidates(logits, counts, params);
  const float best = highest(candidates);
  const double total = total_weight(candidates, best);
  std::vector<TokenProbability> probabilities;
  probabilities.reserve(candidates.size());
  for (const Candidate& c : candidates) probabilities.push_back({c.id, weight(c, best) / total});
  return probabilities;
}

std::int32_t sample_token(std::span<float> logits, const TokenCounts& counts, const SamplingParams& params,
                          std::uint32_t sample, std::uint64_t position) {
  assert(!logits.empty());
  if (params.temperature <= 0.0F) {
    apply_penalties(logits, counts, params);
    std::size_t best = 0;
    for (std::size_t i = 1; i < logits.size(); ++i) {
      if (logits[i] > logits[best] || std::isnan(logits[best])) best = i;
    }
    return static_cast<std::int32_t>(best);
  }
  const std::vector<Candidate> candidates = keep_candidates(logits, counts, params);
  const float best = highest(candidates);
  const double target = uniform(params.seed, sample, position) * total_weight(candidates, best);
  double sum = 0;
  for (const Candidate& c : candidates) {
    sum += weight(c, best);
    if (sum > target) return c.id;
  }
  return candidates.back().id;
}

}  // namespace touchstone
