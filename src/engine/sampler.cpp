#include "engine/sampler.h"

#include <algorithm>
#include <bit>
#include <cassert>
#include <cmath>
#include <cstring>
#include <limits>
#include <optional>
#include <string>

#include "base/error.h"

namespace touchstone {
namespace {

constexpr float kMinusInfinity = -std::numeric_limits<float>::infinity();

// A vocabulary is looked at in blocks: where a block's maximum is too low, nothing in it need be looked at.
constexpr std::size_t kBlock = 64;
// Independent chains, so that the compiler may use vectors without changing a sum's or maximum's order.
constexpr std::size_t kLanes = 16;
// exp(-104) is zero in float32.
constexpr float kVanishes = -104.0F;
// A whole vocabulary of weights below exp(-32) is less than float32 can add to 1.
constexpr float kNegligible = -32.0F;
// Top-p seldom keeps weights below exp(-9), and few blocks have any above it.
constexpr float kUnlikely = -9.0F;
// The polynomial's 0.8e-4, and what some thousand sums in float32 lose at most.
constexpr double kEstimateError = 3e-4;
constexpr float kLog2OfE = 1.44269504F;
constexpr float kRound = 12582912.0F;  // 1.5 * 2^23: adding it rounds to an integer, left in the low bits
constexpr int kFractionBits = 23;

/// Bias, then penalties.
void adjust_logits(std::span<float> logits, const TokenCounts& counts, const SamplingParams& params) {
  const auto at = [&](std::int32_t id) -> float& { return logits[static_cast<std::size_t>(id)]; };
  for (const auto& [id, bias] : params.logit_bias) at(id) += bias;
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

// Loops over whole vocabularies are compiled again where the CPU may have wider vectors: always inline, so
// that they are what their caller is. Each has one order of sums, so the bits are the same.
#define TOUCHSTONE_INLINE [[gnu::always_inline]] inline

// Spelled out, as gcc 12 makes scalar code of the same loop over an array; of the width that every processor
// has, as it takes wider vectors apart where there are none.
constexpr std::size_t kWidth = 4;
using Floats [[gnu::vector_size(kWidth * sizeof(float))]] = float;

TOUCHSTONE_INLINE float find_maximum(std::span<const float> values) {
  constexpr std::size_t kChains = kLanes / kWidth;
  Floats best[kChains];
  for (Floats& chain : best) chain = Floats{} + kMinusInfinity;
  std::size_t i = 0;
  for (; i + kLanes <= values.size(); i += kLanes) {
    Floats lanes[kChains];
    std::memcpy(lanes, &values[i], sizeof lanes);
    for (std::size_t c = 0; c < kChains; ++c)
      best[c] = lanes[c] > best[c] ? lanes[c] : best[c];  // false for NaN
  }
  for (std::size_t c = 1; c < kChains; ++c) best[0] = best[0] > best[c] ? best[0] : best[c];
  float most = kMinusInfinity;
  for (std::size_t lane = 0; lane < kWidth; ++lane) most = std::max(most, best[0][lane]);
  for (; i < values.size(); ++i) most = values[i] > most ? values[i] : most;
  return most;
}

/// The lowest id among the highest logits; 0 when all are NaN.
std::int32_t find_likeliest(std::span<const float> logits) {
  const auto best = std::find(logits.begin(), logits.end(), find_maximum(logits));
  return best == logits.end() ? 0 : static_cast<std::int32_t>(best - logits.begin());
}

/// exp(x) for x <= 0, within 2 units in the last place, without a branch so that loops over it become
/// vectors. Coefficients: S. L. Moshier, Cephes, expf.
TOUCHSTONE_INLINE float exp_weight(float x) {
  const float bounded = x > kVanishes ? x : kVanishes;
  const float n = (bounded * kLog2OfE + kRound) - kRound;
  const float r = (bounded - n * 0.693359375F) + n * 2.12194440e-4F;
  float y = 1.9875691500e-4F;
  y = y * r + 1.3981999507e-3F;
  y = y * r + 8.3334519073e-3F;
  y = y * r + 4.1665795894e-2F;
  y = y * r + 1.6666665459e-1F;
  y = y * r + 5.0000001201e-1F;
  y = y * r * r + r + 1.0F;
  // 2^n in two factors: results below 2^-126 have no exponent of their own.
  const auto exponent = static_cast<std::int32_t>(n);
  const std::int32_t half = exponent >> 1;
  constexpr std::int32_t kBias = 127;
  return y * std::bit_cast<float>((half + kBias) << kFractionBits) *
         std::bit_cast<float>((exponent - half + kBias) << kFractionBits);
}

/// 2^x for x <= 0, within 1e-4 of it; no less than 2^-126. Least squares over [-1/2, 1/2].
TOUCHSTONE_INLINE float estimate_exp2(float x) {
  constexpr float kLeast = -126.0F;
  const float bounded = x > kLeast ? x : kLeast;
  const float rounded = bounded + kRound;
  const float r = bounded - (rounded - kRound);
  const float y = ((5.517167e-2F * r + 2.4261115e-1F) * r + 6.9326099e-1F) * r + 9.9992807e-1F;
  return std::bit_cast<float>(std::bit_cast<std::uint32_t>(y) +
                              (std::bit_cast<std::uint32_t>(rounded) << kFractionBits));
}

/// Logits that are to be divided by the temperature, which is done block by block: most of a vocabulary is
/// not looked at again once its blocks' maxima are known.
struct ScaledLogits {
  std::span<const float> logits;
  float temperature;

  std::size_t num_blocks() const { return (logits.size() + kBlock - 1) / kBlock; }
};

using Block = std::array<float, kBlock>;

/// A block's logits as the model gave them; in `room`, with minus infinity behind the end, the last one's.
TOUCHSTONE_INLINE const float* find_block(const ScaledLogits& scaled, std::size_t block, Block& room) {
  const std::size_t begin = block * kBlock;
  const float* logits = scaled.logits.data() + begin;
  if (scaled.logits.size() - begin >= kBlock) return logits;
  room.fill(kMinusInfinity);
  std::copy(logits, scaled.logits.data() + scaled.logits.size(), room.begin());
  return room.data();
}

/// Writes a block's logits; minus infinity for NaN, and behind the last block's end.
TOUCHSTONE_INLINE void scale_block(const ScaledLogits& scaled, std::size_t block, Block& values) {
  Block room;
  const float* logits = find_block(scaled, block, room);
  for (std::size_t i = 0; i < kBlock; ++i) {
    const float quotient = logits[i] / scaled.temperature;
    values[i] = quotient > kMinusInfinity ? quotient : kMinusInfinity;
  }
}

/// exp(logit - maximum) of a block's logits.
TOUCHSTONE_INLINE void weigh_block(const Block& values, float maximum, Block& weights) {
  for (std::size_t i = 0; i < kBlock; ++i) weights[i] = exp_weight(values[i] - maximum);
}

/// Writes each block's maximum, and returns that of all, not yet divided.
TOUCHSTONE_INLINE float find_maxima(const ScaledLogits& scaled, std::vector<float>& block_maxima) {
  block_maxima.resize(scaled.num_blocks());
  for (std::size_t block = 0; block < block_maxima.size(); ++block) {
    const std::size_t begin = block * kBlock;
    block_maxima[block] =
        find_maximum(scaled.logits.subspan(begin, std::min(kBlock, scaled.logits.size() - begin)));
  }
  const float highest = find_maximum(block_maxima);
  // Division by a positive number, rounded as it is, keeps the order.
  for (float& maximum : block_maxima) maximum /= scaled.temperature;
  return highest;
}

/// The k-th largest logit, k < logits.size().
TOUCHSTONE_INLINE float find_kth_largest(const ScaledLogits& scaled, std::size_t k, SamplerBuffers& buffers) {
  const auto select = [k](std::vector<float>& values) {
    const auto kth = values.begin() + static_cast<std::ptrdiff_t>(k) - 1;
    std::nth_element(values.begin(), kth, values.end(), std::greater<>());
    return *kth;
  };
  float bound = kMinusInfinity;  // at least k logits are not below it
  if (k <= buffers.block_maxima.size()) {
    buffers.values = buffers.block_maxima;
    bound = select(buffers.values);
  }
  buffers.values.clear();
  for (std::size_t block = 0; block < buffers.block_maxima.size(); ++block) {
    if (buffers.block_maxima[block] < bound) continue;
    Block values;
    scale_block(scaled, block, values);
    for (const float logit : values) {
      if (logit >= bound) buffers.values.push_back(logit);
    }
  }
  return select(buffers.values);
}

/// Sum of the weights in the blocks with a logit of at least `lowest`.
TOUCHSTONE_INLINE double sum_blocks(const ScaledLogits& scaled, float maximum, float lowest,
                                    std::span<const float> block_maxima) {
  std::array<double, kLanes> sums{};
  for (std::size_t block = 0; block < block_maxima.size(); ++block) {
    if (block_maxima[block] < lowest) continue;
    Block values, weights;
    scale_block(scaled, block, values);
    weigh_block(values, maximum, weights);
    for (std::size_t i = 0; i < kBlock; i += kLanes) {
      for (std::size_t lane = 0; lane < kLanes; ++lane) sums[lane] += static_cast<double>(weights[i + lane]);
    }
  }
  double sum = 0;
  for (const double part : sums) sum += part;
  return sum;
}

/// As sum_blocks, of the blocks with a logit of at least `lowest` and none of `below` or more; within
/// kEstimateError of it. `highest`: the highest logit, not yet divided.
TOUCHSTONE_INLINE double estimate_blocks(const ScaledLogits& scaled, float highest, float lowest, float below,
                                         std::span<const float> block_maxima) {
  const float scale = kLog2OfE / scaled.temperature;
  std::array<float, kBlock> sums{};
  for (std::size_t block = 0; block < block_maxima.size(); ++block) {
    if (block_maxima[block] < lowest || block_maxima[block] >= below) continue;
    Block room;
    const float* logits = find_block(scaled, block, room);
    for (std::size_t i = 0; i < kBlock; ++i) sums[i] += estimate_exp2((logits[i] - highest) * scale);
  }
  double sum = 0;
  for (const float part : sums) sum += static_cast<double>(part);
  return sum;
}

/// The weights in the blocks without a logit of `below` or more sum to no more than this.
TOUCHSTONE_INLINE double bound_blocks(float maximum, float below, std::span<const float> block_maxima) {
  std::array<float, kLanes> sums{};
  for (std::size_t block = 0; block < block_maxima.size(); ++block) {
    const float weight = estimate_exp2((block_maxima[block] - maximum) * kLog2OfE);
    sums[block % kLanes] += block_maxima[block] < below ? weight : 0.0F;
  }
  double sum = 0;
  for (const float part : sums) sum += static_cast<double>(part);
  return static_cast<double>(kBlock) * sum * (1 + kEstimateError);
}

/// Collects the tokens whose logit is at least `lowest` and whose weight is not zero, by id.
TOUCHSTONE_INLINE void collect_candidates(const ScaledLogits& scaled, float maximum, float lowest,
                                          SamplerBuffers& buffers) {
  const float bound = std::max(lowest, maximum + kVanishes);
  buffers.candidates.clear();
  for (std::size_t block = 0; block < buffers.block_maxima.size(); ++block) {
    if (buffers.block_maxima[block] < bound) continue;
    Block values, weights;
    scale_block(scaled, block, values);
    weigh_block(values, maximum, weights);
    std::array<std::uint8_t, kBlock> found;
    for (std::size_t i = 0; i < kBlock; ++i) found[i] = values[i] >= bound && weights[i] != 0.0F ? 1 : 0;
    std::uint64_t some = 0;
    for (std::size_t begin = 0; begin < kBlock; begin += sizeof some) {
      std::memcpy(&some, &found[begin], sizeof some);
      if (some == 0) continue;
      for (std::size_t i = begin; i < begin + sizeof some; ++i) {
        if (found[i] == 0) continue;
        buffers.candidates.push_back({static_cast<std::int32_t>(block * kBlock + i), values[i], weights[i]});
      }
    }
  }
}

double sum_weights(std::span<const Candidate> candidates) {
  double sum = 0;
  for (const Candidate& candidate : candidates) sum += static_cast<double>(candidate.weight);
  return sum;
}

/// Descending, and among equal logits the higher id first: the reference sorts ascending and stable, and
/// removes from the front.
bool comes_first(const Candidate& a, const Candidate& b) {
  return a.logit != b.logit ? a.logit > b.logit : a.id > b.id;
}

/// What may be removed, as the reference has it: 1 - top_p is computed in double from the decimal number that
/// was written, and whole groups of equal probabilities can hang on its last bit.
float removable_share(float top_p) {
  constexpr double kGrid = 1e6;
  const double decimal = std::round(static_cast<double>(top_p) * kGrid) / kGrid;
  return static_cast<float>(1.0 -
                            (static_cast<float>(decimal) == top_p ? decimal : static_cast<double>(top_p)));
}

/// Candidates by how far their logits lie below the highest, so that only those near the border of top-p need
/// be sorted.
constexpr std::size_t kBuckets = 256;
constexpr float kBucketsPerUnit = 8.0F;

std::size_t bucket_of(float logit, float maximum) {
  return static_cast<std::size_t>(
      std::min((maximum - logit) * kBucketsPerUnit, static_cast<float>(kBuckets - 1)));
}

/// How many of `tokens` stay, most likely ones first, when `rest` goes already; at least one. Leaves the last
/// of them behind those that come before it. Bisects, so that it sorts no more than it needs.
template <typename Probability>
std::size_t partition_top_p(std::vector<Candidate>& tokens, double rest, float removable,
                            const Probability& probability) {
  const auto at = [&](std::size_t i) { return tokens.begin() + static_cast<std::ptrdiff_t>(i); };
  std::size_t kept = 0;
  std::size_t end = tokens.size();
  while (kept < end) {
    const std::size_t middle = kept + (end - kept) / 2;
    std::nth_element(at(kept), at(middle), at(end), comes_first);
    double from_middle = rest;
    for (std::size_t i = middle; i < end; ++i) from_middle += probability(tokens[i]);
    if (static_cast<float>(from_middle) <= removable && middle > 0) {
      end = middle;
      rest = from_middle;
    } else {
      kept = middle + 1;
    }
  }
  std::nth_element(tokens.begin(), at(kept - 1), at(kept), comes_first);
  return kept;
}

/// The last token that stays when the unlikeliest go, as long as those that go sum to at most 1 - top_p; one
/// always stays. `sum`: the weight of all tokens, also of those that are not among the candidates. Nothing
/// where some of these would stay, too.
std::optional<Candidate> find_last_kept(float top_p, double sum, float maximum, SamplerBuffers& buffers) {
  const auto probability = [sum](const Candidate& candidate) {
    return static_cast<double>(static_cast<float>(static_cast<double>(candidate.weight) / sum));
  };
  const float removable = removable_share(top_p);
  std::array<double, kBuckets> shares{};
  for (const Candidate& c : buffers.candidates) shares[bucket_of(c.logit, maximum)] += probability(c);
  double rest = std::max(0.0, (sum - sum_weights(buffers.candidates)) / sum);  // of what goes
  if (static_cast<float>(rest) > removable) return std::nullopt;
  std::size_t border = kBuckets - 1;
  for (; border > 0 && (shares[border] == 0 || static_cast<float>(rest + shares[border]) <= removable);
       --border)
    rest += shares[border];

  buffers.near_border.clear();
  for (const Candidate& c : buffers.candidates) {
    if (bucket_of(c.logit, maximum) == border) buffers.near_border.push_back(c);
  }
  const std::size_t kept = partition_top_p(buffers.near_border, rest, removable, probability);
  return buffers.near_border[kept - 1];
}

void drop_behind(const Candidate& last, std::vector<Candidate>& candidates) {
  std::erase_if(candidates, [&](const Candidate& c) { return comes_first(last, c); });
}

/// Top-p among candidates that cannot all go; `sum` as above.
void keep_top_p(float top_p, double sum, float maximum, SamplerBuffers& buffers) {
  const std::optional<Candidate> last = find_last_kept(top_p, sum, maximum, buffers);
  if (last) drop_behind(*last, buffers.candidates);
}

/// As keep_top_p, if all sums from `least` to `most` keep the same tokens; otherwise false.
bool keep_top_p_between(float top_p, double least, double most, float maximum, SamplerBuffers& buffers) {
  constexpr double kSlack = 1e-5;  // more than probabilities lose that are rounded to float32
  const auto of_most = find_last_kept(top_p, most * (1 + kSlack), maximum, buffers);
  if (!of_most) return false;
  const auto of_least = find_last_kept(top_p, least * (1 - kSlack), maximum, buffers);
  if (!of_least || of_least->id != of_most->id) return false;
  drop_behind(*of_most, buffers.candidates);
  return true;
}

/// Leaves in buffers.candidates what top-p leaves of all tokens. Most weights need not be known for that:
/// bounds for the sum of those that are not likely do where they keep the same tokens as the sum would.
TOUCHSTONE_INLINE void collect_top_p(const ScaledLogits& scaled, float highest, float top_p,
                                     SamplerBuffers& buffers) {
  const float maximum = highest / scaled.temperature;
  const float likely = maximum + kUnlikely;
  const float negligible = maximum + kNegligible;
  collect_candidates(scaled, maximum, likely, buffers);
  const double near = sum_blocks(scaled, maximum, likely, buffers.block_maxima);
  const double most = near + bound_blocks(maximum, likely, buffers.block_maxima);
  if (keep_top_p_between(top_p, near, most, maximum, buffers)) return;
  const double far = estimate_blocks(scaled, highest, negligible, likely, buffers.block_maxima);
  if (keep_top_p_between(top_p, near + far * (1 - kEstimateError), near + far * (1 + kEstimateError), maximum,
                         buffers))
    return;
  const double sum = sum_blocks(scaled, maximum, negligible, buffers.block_maxima);
  // All tokens below this weight together are less than top-p removes.
  const double bound =
      (1.0 - static_cast<double>(top_p)) * sum / static_cast<double>(scaled.logits.size()) / 2;
  collect_candidates(scaled, maximum, maximum + static_cast<float>(std::log(bound)), buffers);
  keep_top_p(top_p, sum, maximum, buffers);
}

/// Removes tokens with less than min_p of the likeliest one's probability.
void keep_min_p(float min_p, std::vector<Candidate>& candidates) {
  const double sum = sum_weights(candidates);
  const auto probability = [sum](float weight) {
    return static_cast<float>(static_cast<double>(weight) / sum);
  };
  const float threshold = min_p * probability(1.0F);
  std::erase_if(candidates, [&](const Candidate& c) { return probability(c.weight) < threshold; });
}

TOUCHSTONE_INLINE void filter_any(std::span<float> logits, const SamplingParams& params,
                                  SamplerBuffers& buffers) {
  ScaledLogits scaled{logits, params.temperature > 0.0F ? params.temperature : 1.0F};
  float highest = find_maxima(scaled, buffers.block_maxima);
  float maximum = highest / scaled.temperature;
  if (std::isinf(maximum)) {  // nothing but NaN and minus infinity, or one or more that outweigh all
    for (float& logit : logits) {
      const float quotient = logit / scaled.temperature;
      logit = quotient == maximum || (maximum < 0 && std::isnan(quotient)) ? 0.0F : kMinusInfinity;
    }
    scaled.temperature = 1.0F;
    highest = maximum = find_maxima(scaled, buffers.block_maxima);
  }
  const bool has_top_p = params.top_p < 1.0F;
  if (params.top_k > 0 && static_cast<std::size_t>(params.top_k) < logits.size()) {
    // Equals of the last stay, too.
    const float lowest = find_kth_largest(scaled, static_cast<std::size_t>(params.top_k), buffers);
    collect_candidates(scaled, maximum, lowest, buffers);
    if (has_top_p) keep_top_p(params.top_p, sum_weights(buffers.candidates), maximum, buffers);
  } else if (has_top_p) {
    collect_top_p(scaled, highest, params.top_p, buffers);
  } else {
    collect_candidates(scaled, maximum, kMinusInfinity, buffers);
  }
  if (params.min_p > 0.0F) keep_min_p(params.min_p, buffers.candidates);
}

#if defined(__x86_64__)
[[gnu::target("avx2")]] void filter_avx2(std::span<float> logits, const SamplingParams& params,
                                         SamplerBuffers& buffers) {
  filter_any(logits, params, buffers);
}

[[gnu::target("avx512f,avx512bw,avx512dq,avx512vl")]] void filter_avx512(std::span<float> logits,
                                                                         const SamplingParams& params,
                                                                         SamplerBuffers& buffers) {
  filter_any(logits, params, buffers);
}

const bool kHasAvx2 = __builtin_cpu_supports("avx2") != 0;
const bool kHasAvx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
#endif

/// Leaves in buffers.candidates, by id, what temperature, top-k, top-p and min-p leave of penalized logits;
/// at least one.
void filter_logits(std::span<float> logits, const SamplingParams& params, SamplerBuffers& buffers) {
#if defined(__x86_64__)
  if (kHasAvx512) return filter_avx512(logits, params, buffers);
  if (kHasAvx2) return filter_avx2(logits, params, buffers);
#endif
  filter_any(logits, params, buffers);
}

/// A number in [0, 1) with 53 random bits.
double uniform(std::uint64_t seed, std::uint32_t sample, std::uint64_t position) {
  const auto low = [](std::uint64_t x) { return static_cast<std::uint32_t>(x); };
  const auto high = [](std::uint64_t x) { return static_cast<std::uint32_t>(x >> 32); };
  const auto random = philox({low(position), high(position), sample, 0}, {low(seed), high(seed)});
  const std::uint64_t bits = (static_cast<std::uint64_t>(random[0]) << 32 | random[1]) >> 11;
  return static_cast<double>(bits) * 0x1p-53;
}

void check_range(const char* name, double value, double low, double high) {
  if (value >= low && value <= high) return;  // false for NaN
  throw Error(std::string(name) + " is out of range",
              "use a number from " + std::to_string(low) + " to " + std::to_string(high));
}

}  // namespace

void check_sampling(const SamplingParams& params) {
  constexpr double kMostTemperature = 1000;
  constexpr double kMostPenalty = 1000;
  constexpr double kMostBias = 100;  // as in OpenAI's API, and so is the next
  constexpr double kMostLogprobs = 20;
  check_range("temperature", params.temperature, 0, kMostTemperature);
  check_range("top_p", params.top_p, 0, 1);
  check_range("top_k", params.top_k, 0, std::numeric_limits<std::int32_t>::max());
  check_range("min_p", params.min_p, 0, 1);
  check_range("repetition_penalty", params.repetition_penalty, 1 / kMostPenalty, kMostPenalty);
  check_range("presence_penalty", params.presence_penalty, -kMostPenalty, kMostPenalty);
  check_range("frequency_penalty", params.frequency_penalty, -kMostPenalty, kMostPenalty);
  check_range("max_new_tokens", params.max_new_tokens, 1, std::numeric_limits<std::int32_t>::max());
  check_range("num_logprobs", params.num_logprobs, -1, kMostLogprobs);
  for (const auto& [id, bias] : params.logit_bias) check_range("logit_bias", bias, -kMostBias, kMostBias);
  if (params.reasoning_budget) {
    check_range("reasoning_budget", *params.reasoning_budget, 0, std::numeric_limits<std::int32_t>::max());
  }
}

bool needs_counts(const SamplingParams& params) {
  return params.repetition_penalty != 1.0F || params.presence_penalty != 0.0F ||
         params.frequency_penalty != 0.0F;
}

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
  SamplerBuffers buffers;
  adjust_logits(logits, counts, params);
  filter_logits(logits, params, buffers);
  const double sum = sum_weights(buffers.candidates);
  std::vector<TokenProbability> probabilities;
  probabilities.reserve(buffers.candidates.size());
  for (const Candidate& c : buffers.candidates) {
    probabilities.push_back({c.id, static_cast<double>(c.weight) / sum});
  }
  return probabilities;
}

// Quotients by less would reach infinity before they tell apart what is left to tell apart.
constexpr float kLeastTemperature = 1e-5F;

std::int32_t sample_token(std::span<float> logits, const TokenCounts& counts, const SamplingParams& params,
                          std::uint32_t sample, std::uint64_t position, SamplerBuffers& buffers) {
  assert(!logits.empty());
  adjust_logits(logits, counts, params);
  if (params.temperature < kLeastTemperature) return find_likeliest(logits);
  filter_logits(logits, params, buffers);
  const double target = uniform(params.seed, sample, position) * sum_weights(buffers.candidates);
  double sum = 0;
  for (const Candidate& candidate : buffers.candidates) {
    sum += static_cast<double>(candidate.weight);
    if (sum > target) return candidate.id;
  }
  return buffers.candidates.back().id;
}

}  // namespace touchstone
