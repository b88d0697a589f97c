// The kernels whose weights and activations are integers. As body.h: one source, `V` an instruction set's
// lanes.
#pragma once

#include "kernels/cpu/body_bf16.h"

namespace touchstone {
namespace {

/// Rounds to integers, which are then the low bits of the result.
template <class V>
typename V::Vec round_to_bits(typename V::Vec x, typename V::Vec inverse) {
  return V::fma(x, inverse, V::set1(12582912.0F));  // 1.5 * 2^23
}

template <class V>
void quantize(const float* x, std::int32_t n, std::size_t group_rows, std::int8_t* q, float* scales,
              std::int32_t* sums) {
  for (std::int32_t begin = 0; begin < n; begin += kIntGroup) {
    const std::int32_t count = n - begin < kIntGroup ? n - begin : kIntGroup;
    typename V::Vec largest = V::zero();
    typename V::Vec zeros = V::zero();
    for (std::int32_t i = 0; i < count; i += kLanes) {
      const typename V::Vec xi = V::load_first(x + begin + i, count - i);
      largest = V::max(V::max(xi, V::sub(V::zero(), xi)), largest);
      zeros = V::fma(xi, V::zero(), zeros);
    }
    const float most = V::max_lane(largest);
    const typename V::Vec inverse = V::set1(most > 0.0F ? 127.0F / most : 0.0F);
    *scales = most / 127.0F + V::sum(zeros);  // what isn't finite is passed on by the scale
    std::int32_t total = 0;
    for (std::int32_t part = 0; part < kIntGroup; part += kIntPart) {
      float rounded[kIntPart];
      for (std::int32_t i = 0; i < kIntPart; i += kLanes) {
        V::store(rounded + i,
                 round_to_bits<V>(V::load_first(x + begin + part + i, count - part - i), inverse));
      }
      std::int32_t bits[kIntPart];
      __builtin_memcpy(bits, rounded, sizeof bits);
      // Apart, so that compilers make vectors of each; and summed in 32 bits, which takes them least.
      std::int8_t bytes[kIntPart];
      for (std::int32_t i = 0; i < kIntPart; ++i) bytes[i] = static_cast<std::int8_t>(bits[i]);
      std::int32_t sum = 0;
      for (const std::int32_t b : bits) sum += (b << 24) >> 24;
      __builtin_memcpy(q + part, bytes, sizeof bytes);
      sums[part / kIntPart] = sum;
      total += sum;
    }
    sums[kIntSums - 1] = total;
    q += group_rows * kIntGroup;
    scales += group_rows;
    sums += group_rows * kIntSums;
  }
}

// ---- How groups are stored ----

inline constexpr std::size_t kIntLine = std::size_t{kIntDepth} * kLanes;  // bytes that meet four inputs
inline constexpr int kPartSteps = kIntPart / kIntDepth;
inline constexpr int kPartsInGroup = kIntGroup / kIntPart;

/// The activations of one group, and how many of its steps there are.
struct IntGroup {
  const std::int8_t* q;      // [num_tokens, kIntGroup]
  const std::int32_t* sums;  // [num_tokens, kIntSums]
  int steps;
};

/// Scales, then the weights plus 128.
struct Int8Panel {
  static constexpr std::size_t kGroupBytes = kInt8GroupBytes;
  static constexpr bool kUnpacks = false;  // whether many tokens meet Int8Panel instead
  static constexpr int kStreams = 2;       // panels that one token reads at once, where several are faster

  template <class V, int kTokens, int kPanels, class Ahead>
  static void sum_group(const std::uint8_t* group, std::size_t panel_bytes, const IntGroup& x,
                        const Ahead& ahead, typename V::Ints (&sum)[kTokens][kPanels]) {
    // The weights carry 128 too much, which comes to 128 times the sum of the activations.
    for (int t = 0; t < kTokens; ++t) {
      for (auto& s : sum[t]) s = V::set_ints(-128 * x.sums[t * kIntSums + kIntSums - 1]);
    }
    const std::uint8_t* lines = group + kIntScaleBytes;
    const int steps = (x.steps + 1) / 2 * 2;  // beyond x.steps all is zero
#pragma GCC unroll 2
    for (int i = 0; i < steps; ++i, lines += kIntLine) {
      ahead.template ask<kPanels>(i);
      typename V::Bytes w[kPanels];
      for (int p = 0; p < kPanels; ++p)
        w[p] = V::load_line(lines + static_cast<std::size_t>(p) * panel_bytes);
      for (int t = 0; t < kTokens; ++t) {
        const auto four = V::load_four(x.q + t * kIntGroup + i * kIntDepth);
        for (int p = 0; p < kPanels; ++p) sum[t][p] = V::dot(sum[t][p], w[p], four);
      }
    }
  }
};

/// Scales, then the weights' 6 bits: weight = scale * (n - 32). Three lines have those of three steps in
/// their low bits, and of a fourth one two bits each in their high ones.
struct Int6Panel {
  static constexpr std::size_t kGroupBytes = kInt6GroupBytes;
  static constexpr bool kUnpacks = true;
  static constexpr int kStreams = 2;

  template <class V, int kTokens, int kPanels, class Ahead>
  static void sum_group(const std::uint8_t* group, std::size_t panel_bytes, const IntGroup& x,
                        const Ahead& ahead, typename V::Ints (&sum)[kTokens][kPanels]) {
    for (int t = 0; t < kTokens; ++t) {
      for (auto& s : sum[t]) s = V::set_ints(-32 * x.sums[t * kIntSums + kIntSums - 1]);
    }
    const std::uint8_t* lines = group + kIntScaleBytes;
    const std::int8_t* q = x.q;
    for (int i = 0; i < x.steps; i += 4, lines += 3 * kIntLine, q += 4 * kIntDepth) {
      for (int line = 0; line < 3; ++line) ahead.template ask<kPanels>(i / 4 * 3 + line);
      typename V::Bytes w[4][kPanels];
      for (int p = 0; p < kPanels; ++p) {
        const std::uint8_t* line = lines + static_cast<std::size_t>(p) * panel_bytes;
        const typename V::Bytes a = V::load_line(line);
        const typename V::Bytes b = V::load_line(line + kIntLine);
        const typename V::Bytes c = V::load_line(line + 2 * kIntLine);
        w[0][p] = V::template bits<0>(a, 0x3F);
        w[1][p] = V::template bits<0>(b, 0x3F);
        w[2][p] = V::template bits<0>(c, 0x3F);
        w[3][p] = V::either(V::either(V::template bits<6>(a, 0x03), V::template bits<4>(b, 0x0C)),
                            V::template bits<2>(c, 0x30));
      }
      for (int t = 0; t < kTokens; ++t) {
        for (int step = 0; step < 4; ++step) {
          const auto four = V::load_four(q + t * kIntGroup + step * kIntDepth);
          for (int p = 0; p < kPanels; ++p) sum[t][p] = V::dot(sum[t][p], w[step][p], four);
        }
      }
    }
  }

  /// The group as Int8Panel has it.
  static void unpack(const std::uint8_t* group, std::uint8_t* unpacked) {
    constexpr std::uint8_t kOffset = 128 - 32;
    __builtin_memcpy(unpacked, group, kIntScaleBytes);
    const std::uint8_t* line = group + kIntScaleBytes;
    std::uint8_t* out = unpacked + kIntScaleBytes;
    for (int step = 0; step < kIntGroup / kIntDepth; step += 4, line += 3 * kIntLine, out += 4 * kIntLine) {
      std::uint8_t from[3 * kIntLine], to[4 * kIntLine];  // apart, so that compilers make vectors of them
      __builtin_memcpy(from, line, sizeof from);
      for (std::size_t i = 0; i < sizeof from; ++i)
        to[i] = static_cast<std::uint8_t>((from[i] & 0x3F) + kOffset);
      for (std::size_t i = 0; i < kIntLine; ++i) {
        to[3 * kIntLine + i] = static_cast<std::uint8_t>(
            (from[i] >> 6 | (from[kIntLine + i] >> 4 & 0x0C) | (from[2 * kIntLine + i] >> 2 & 0x30)) +
            kOffset);
      }
      __builtin_memcpy(out, to, sizeof to);
    }
  }
};

/// Scales, factors, then the weights' 4 bits: weight = scale * factor * (n - 8). A byte has those of two
/// steps.
struct Int4Panel {
  static constexpr std::size_t kGroupBytes = kInt4GroupBytes;
  static constexpr bool kUnpacks = true;
  static constexpr int kStreams = 3;

  template <class V, int kTokens, int kPanels, class Ahead>
  static void sum_group(const std::uint8_t* group, std::size_t panel_bytes, const IntGroup& x,
                        const Ahead& ahead, typename V::Ints (&sum)[kTokens][kPanels]) {
    for (auto& row : sum) {
      for (auto& s : row) s = V::set_ints(0);
    }
    for (int part = 0; part * kPartSteps < x.steps; ++part) {
      typename V::Ints of_part[kTokens][kPanels];
      for (int t = 0; t < kTokens; ++t) {
        for (auto& s : of_part[t]) s = V::set_ints(-8 * x.sums[t * kIntSums + part]);
      }
      const std::uint8_t* lines = group + kIntScaleBytes + kInt4FactorBytes +
                                  static_cast<std::size_t>(part * (kPartSteps / 2)) * kIntLine;
      const std::int8_t* q = x.q + part * kIntPart;
      for (int i = 0; i < kPartSteps; i += 2, lines += kIntLine, q += 2 * kIntDepth) {
        ahead.template ask<kPanels>((part * kPartSteps + i) / 2);
        typename V::Bytes low[kPanels], high[kPanels];
        for (int p = 0; p < kPanels; ++p) {
          const typename V::Bytes both = V::load_line(lines + static_cast<std::size_t>(p) * panel_bytes);
          low[p] = V::template bits<0>(both, 0x0F);
          high[p] = V::template bits<4>(both, 0x0F);
        }
        for (int t = 0; t < kTokens; ++t) {
          const std::int8_t* at = q + t * kIntGroup;
          const auto first = V::load_four(at);
          const auto second = V::load_four(at + kIntDepth);
          for (int p = 0; p < kPanels; ++p) {
            of_part[t][p] = V::dot(V::dot(of_part[t][p], low[p], first), high[p], second);
          }
        }
      }
      for (int p = 0; p < kPanels; ++p) {
        const typename V::Ints factor = V::load_small_ints(reinterpret_cast<const std::int8_t*>(
            group + static_cast<std::size_t>(p) * panel_bytes + kIntScaleBytes + part * kLanes));
        for (int t = 0; t < kTokens; ++t) sum[t][p] = V::add_product(sum[t][p], of_part[t][p], factor);
      }
    }
  }

  /// The group as Int8Panel has it.
  static void unpack(const std::uint8_t* group, std::uint8_t* unpacked) {
    constexpr int kWords = kIntLine / 2;
    __builtin_memcpy(unpacked, group, kIntScaleBytes);
    const std::uint8_t* factors = group + kIntScaleBytes;
    const std::uint8_t* line = factors + kInt4FactorBytes;
    std::uint8_t* out = unpacked + kIntScaleBytes;
    for (int part = 0; part < kPartsInGroup; ++part, factors += kLanes) {
      // factor * (n - 8) + 128 of two neighbouring bytes in one product of 16 bits: with |factor| <= 15
      // neither overflows its byte. A negative factor takes 15 - n for n.
      std::uint32_t flips[kLanes], magnitudes[kLanes],
          offsets[kLanes];  // the same for an output's four bytes
      for (int i = 0; i < kLanes; ++i) {
        const int f = (factors[i] ^ 0x80) - 0x80;  // as a signed byte
        const int negative = f >> 31;
        const int magnitude = (f ^ negative) - negative;
        flips[i] = static_cast<std::uint32_t>(negative) & 0x0F0F0F0FU;
        magnitudes[i] = static_cast<std::uint32_t>(magnitude) * 0x00010001U;
        offsets[i] = static_cast<std::uint32_t>(128 - 8 * magnitude + (negative & magnitude)) * 0x01010101U;
      }
      std::uint16_t flip[kWords], factor[kWords], offset[kWords];
      __builtin_memcpy(flip, flips, kIntLine);
      __builtin_memcpy(factor, magnitudes, kIntLine);
      __builtin_memcpy(offset, offsets, kIntLine);
      for (int step = 0; step < kPartSteps; step += 2, line += kIntLine, out += 2 * kIntLine) {
        std::uint16_t both[kWords], low[kWords], high[kWords];
        __builtin_memcpy(both, line, kIntLine);
        for (int i = 0; i < kWords; ++i) {
          low[i] = static_cast<std::uint16_t>(((both[i] & 0x0F0F) ^ flip[i]) * factor[i] + offset[i]);
          high[i] = static_cast<std::uint16_t>((((both[i] >> 4) & 0x0F0F) ^ flip[i]) * factor[i] + offset[i]);
        }
        __builtin_memcpy(out, low, kIntLine);
        __builtin_memcpy(out + kIntLine, high, kIntLine);
      }
    }
  }
};

// ---- Matrix products ----

/// A group's sums in floats, times both scales, are added to `sums`.
template <class V, int kTokens, int kPanels>
void add_int_sums(const typename V::Ints (&sum)[kTokens][kPanels], const std::uint8_t* group,
                  std::size_t panel_bytes, const float* x_scales, bool first, float* sums) {
#pragma GCC unroll 8
  for (int p = 0; p < kPanels; ++p) {
    const typename V::Vec scale =
        V::load(reinterpret_cast<const float*>(group + static_cast<std::size_t>(p) * panel_bytes));
#pragma GCC unroll 8
    for (int t = 0; t < kTokens; ++t) {
      float* out = sums + t * kSumStride + p * kLanes;
      const typename V::Vec before = first ? V::zero() : V::load(out);
      V::store(out, V::fma(V::to_floats(sum[t][p]), V::mul(scale, V::set1(x_scales[t])), before));
    }
  }
}

/// One group of kTokens tokens times kPanels panels, added to `sums`.
template <class V, class Panel, int kTokens, int kPanels, class Ahead>
void multiply_int_group(const std::uint8_t* group, std::size_t panel_bytes, int steps, const IntRows& x,
                        int token, int index, const Ahead& ahead, float* sums) {
  const std::size_t at = static_cast<std::size_t>(index) * x.group_rows + static_cast<std::size_t>(token);
  typename V::Ints sum[kTokens][kPanels];
  Panel::template sum_group<V, kTokens, kPanels>(
      group, panel_bytes, {x.q + at * kIntGroup, x.sums + at * kIntSums, steps}, ahead, sum);
  add_int_sums<V, kTokens, kPanels>(sum, group, panel_bytes, x.scales + at, index == 0, sums);
}

/// As multiply_int_group, for a number of tokens known at run time.
template <class V, class Panel, int kTokens, int kPanels, class Ahead>
void multiply_int_group_of(int tokens, const std::uint8_t* group, std::size_t panel_bytes, int steps,
                           const IntRows& x, int token, int index, const Ahead& ahead, float* sums) {
  if constexpr (kTokens > 1) {
    if (tokens < kTokens) {
      return multiply_int_group_of<V, Panel, kTokens - 1, kPanels>(tokens, group, panel_bytes, steps, x,
                                                                   token, index, ahead, sums);
    }
  }
  multiply_int_group<V, Panel, kTokens, kPanels>(group, panel_bytes, steps, x, token, index, ahead, sums);
}

/// Whether V multiplies the integers of many tokens at once.
template <class V>
concept HasMatrices = requires {
  V::kMatrixTokens;
};

/// What matrix instructions made of one group and kMatrixTokens tokens, to be added to sums.
template <class V, int kPanels>
struct Products {
  alignas(64) std::int32_t numbers[kPanels][V::kMatrixTokens][kLanes];
  const std::uint8_t* group;  // panel by panel, unpacked
  const float* x_scales;
  bool first;
  float* sums;
};

inline constexpr int kTokensAdded = 4;

/// `ask` is called before each kTokensAdded tokens.
template <class V, int kPanels, class Ask>
void add_products(const Products<V, kPanels>& products, const Ask& ask) {
  static_assert(V::kMatrixTokens % kTokensAdded == 0);
  for (int t = 0; t < V::kMatrixTokens; t += kTokensAdded) {
    ask();
    typename V::Ints sum[kTokensAdded][kPanels];
    for (int i = 0; i < kTokensAdded; ++i) {
      for (int p = 0; p < kPanels; ++p) sum[i][p] = V::load_ints(products.numbers[p][t + i]);
    }
    add_int_sums<V, kTokensAdded, kPanels>(sum, products.group, kInt8GroupBytes, products.x_scales + t,
                                           products.first, products.sums + t * kSumStride);
  }
}

/// The group as Int8Panel has it, but for the weights, which are signed: so nothing has to be taken from
/// their products afterwards.
template <class Panel>
void unpack_signed(const std::uint8_t* group, std::uint8_t* unpacked) {
  const std::uint8_t* from = group;
  if constexpr (Panel::kUnpacks) {
    Panel::unpack(group, unpacked);
    from = unpacked;
  } else {
    __builtin_memcpy(unpacked, group, kIntScaleBytes);
  }
  for (std::size_t i = kIntScaleBytes; i < kInt8GroupBytes; ++i) {
    unpacked[i] = static_cast<std::uint8_t>(from[i] ^ 0x80);
  }
}

/// kPanels panels times a multiple of kMatrixTokens tokens, with matrix instructions. While they compute, the
/// products of the group before are added to sums.
template <class V, class Panel, int kPanels, bool kMany>
void multiply_int_matrices(const std::uint8_t* panels, std::size_t panel_bytes, const IntRows& x,
                           int num_tokens, std::uint8_t* unpacked, float* sums) {
  // Groups whose products are added to some tokens' sums, which are near then, before the next tokens come.
  constexpr int kGroups = kMany ? 2 : 1;
  constexpr int kLines = kGroups * Panel::kGroupBytes / 64;
  constexpr int kAsks = 2 * kPanels + V::kMatrixTokens / kTokensAdded;  // a step
  const int steps_a_group = num_tokens / V::kMatrixTokens;
  const int lines_an_ask = (kLines + steps_a_group * kAsks - 1) / (steps_a_group * kAsks);
  // After a panel's last groups come the first ones of the panels behind.
  const auto groups_from = [&](int group) {
    const bool behind = group >= x.num_groups;
    return panels + (behind ? kPanels * panel_bytes : 0) +
           static_cast<std::size_t>(behind ? group - x.num_groups : group) * Panel::kGroupBytes;
  };
  Products<V, kPanels> products;
  for (int begin = 0; begin < x.num_groups; begin += kGroups) {
    const int count = x.num_groups - begin < kGroups ? x.num_groups - begin : kGroups;
    const std::uint8_t* groups = groups_from(begin);
    const std::size_t first_row = static_cast<std::size_t>(begin) * x.group_rows;
    const std::uint8_t* next = groups_from(begin + count);
    const std::uint8_t* later = groups_from(begin + count + kGroups);
    std::uint8_t* to = unpacked;
    for (std::size_t g = 0; g < static_cast<std::size_t>(count); ++g) {
      for (std::size_t p = 0; p < kPanels; ++p, to += kInt8GroupBytes)
        unpack_signed<Panel>(groups + p * panel_bytes + g * Panel::kGroupBytes, to);
    }
    int asked = 0;
    // Few tokens wait for memory: a few lines at a time, so that there are always some under way while the
    // instructions between them go on.
    const auto ask = [&] {
      if constexpr (!kMany) {
        for (int i = 0; i < lines_an_ask && asked < kLines; ++i, ++asked) {
          for (std::size_t p = 0; p < kPanels; ++p)
            prefetch<true>(next + p * panel_bytes + static_cast<std::size_t>(asked) * 64, 1);
        }
      }
    };
    const int num_steps = steps_a_group * count;
    int step = 0;
    for (int t = 0; t < num_tokens; t += V::kMatrixTokens) {
      for (int g = 0; g < count; ++g, ++step) {
        if constexpr (kMany) {
          for (; asked < (step + 1) * kLines / num_steps; ++asked) {
            for (std::size_t p = 0; p < kPanels; ++p)
              prefetch_line(next + p * panel_bytes, later + p * panel_bytes, asked);
          }
        }
        const std::uint8_t* group = unpacked + static_cast<std::size_t>(g) * kPanels * kInt8GroupBytes;
        const std::size_t at =
            first_row + static_cast<std::size_t>(g) * x.group_rows + static_cast<std::size_t>(t);
        const std::int8_t* q = x.q + at * kIntGroup;
        if constexpr (kMany) {  // the activations of the step after this one
          const std::int8_t* next_q =
              g + 1 < count ? q + x.group_rows * kIntGroup
                            : x.q + (first_row + static_cast<std::size_t>(t + V::kMatrixTokens)) * kIntGroup;
          prefetch<true>(next_q, V::kMatrixTokens * kIntGroup);
        }
        V::template multiply_matrices<kPanels>(group + kIntScaleBytes, kInt8GroupBytes, q, ask);
        if (step > 0) add_products<V, kPanels>(products, ask);
        V::template store_matrices<kPanels>(products.numbers);
        products.group = group;
        products.x_scales = x.scales + at;
        products.first = begin + g == 0;
        products.sums = sums + t * kSumStride;
      }
    }
    add_products<V, kPanels>(products, ask);
  }
}

/// One group times all tokens, which ask for `ahead`.
template <class V, class Panel, int kTokens, int kPanels>
void multiply_int_group_of_all(const std::uint8_t* group, std::size_t panel_bytes, int steps,
                               const IntRows& x, int num_tokens, int index, const LinesAhead& ahead,
                               float* sums) {
  for (int t = 0; t < num_tokens; t += kTokens) {
    const int end = t + kTokens < num_tokens ? t + kTokens : num_tokens;
    multiply_asking<kPanels>(ahead, t, end, num_tokens, [&](const auto& lines) {
      multiply_int_group_of<V, Panel, kTokens, kPanels>(num_tokens - t, group, panel_bytes, steps, x, t,
                                                        index, lines, sums + t * kSumStride);
    });
  }
}

/// Whether weights come fastest unasked for, to so few tokens, in one stream (where one token reads several,
/// to that one): the processor's own prefetcher follows it, and is in time. More than a few tokens need
/// activations that stay in the first-level cache.
template <class V, class Panel>
bool are_followed(int num_tokens, int num_inputs) {
  constexpr int kFew = 4;  // of any format and length
  constexpr int kFirstLevelBytes = 32 * 1024;
  if (V::kManyStreams) return num_tokens == 1;
  if (num_tokens <= kFew) return true;
  return !Panel::kUnpacks && num_tokens <= V::kFollowedTokens && num_tokens * num_inputs <= kFirstLevelBytes;
}

/// A group's products take about as long as memory takes to answer if there are so many sums.
inline constexpr int kSumsToHideMemory = 24;

/// kPanels panels: each group of weights is met by all tokens while it is near.
template <class V, class Panel, int kTokens, int kPanels>
void multiply_int_panels(const std::uint8_t* panels, std::size_t panel_bytes, int num_inputs,
                         const IntRows& x, int num_tokens, std::uint8_t* tile, float* sums) {
  if constexpr (HasMatrices<V> && kTokens > 1) {
    const int in_matrices = num_tokens / V::kMatrixTokens * V::kMatrixTokens;
    if (in_matrices > 0) {
      const auto multiply_them = in_matrices < kManyTokens ? multiply_int_matrices<V, Panel, kPanels, false>
                                                           : multiply_int_matrices<V, Panel, kPanels, true>;
      multiply_them(panels, panel_bytes, x, in_matrices, tile, sums);
      if (in_matrices == num_tokens) return;
      IntRows rest = x;
      rest.q += in_matrices * kIntGroup;
      rest.scales += in_matrices;
      rest.sums += in_matrices * kIntSums;
      return multiply_int_panels<V, Panel, kTokens, kPanels>(panels, panel_bytes, num_inputs, rest,
                                                             num_tokens - in_matrices, tile,
                                                             sums + in_matrices * kSumStride);
    }
  }
  // Many tokens' products take longer than memory.
  const bool asks =
      !are_followed<V, Panel>(num_tokens, num_inputs) && (Panel::kUnpacks || num_tokens < kManyTokens);
  const std::size_t bytes_ahead =
      kInt8GroupBytes * static_cast<std::size_t>((kSumsToHideMemory - 1) / (num_tokens * kPanels) + 1);
  for (int index = 0; index < x.num_groups; ++index) {
    const std::uint8_t* group = panels + static_cast<std::size_t>(index) * Panel::kGroupBytes;
    const int left = num_inputs - index * kIntGroup;
    const int steps = ((left < kIntGroup ? left : kIntGroup) + kIntDepth - 1) / kIntDepth;
    // Several streams of 8 bits were measured to come faster by way of the second level.
    const LinesAhead ahead = {.lines = group + bytes_ahead,
                              .panel_bytes = panel_bytes,
                              .count = asks ? static_cast<int>(Panel::kGroupBytes / kIntLine) : 0,
                              .to_first_level = kPanels == 1 || Panel::kUnpacks};
    if constexpr (Panel::kUnpacks) {
      if (num_tokens > V::kFewTokens) {
        for (std::size_t p = 0; p < kPanels; ++p)
          Panel::unpack(group + p * panel_bytes, tile + p * kInt8GroupBytes);
        multiply_int_group_of_all<V, Int8Panel, kTokens, kPanels>(tile, kInt8GroupBytes, steps, x, num_tokens,
                                                                  index, ahead, sums);
        continue;
      }
    }
    multiply_int_group_of_all<V, Panel, kTokens, kPanels>(group, panel_bytes, steps, x, num_tokens, index,
                                                          ahead, sums);
  }
}

template <class V, class Panel>
void multiply_ints_in(const PanelMatrix& weights, std::int32_t first_panel, std::int32_t num_panels,
                      const IntRows& x, std::int32_t num_tokens, std::uint8_t* tile, float* sums) {
  const std::size_t stride = weights.panel_bytes;
  const std::uint8_t* panels = weights.panels + static_cast<std::size_t>(first_panel) * stride;
  const int k = weights.num_inputs;
  if constexpr (V::kManyStreams) {
    for (; num_tokens == 1 && num_panels >= Panel::kStreams; num_panels -= Panel::kStreams) {
      multiply_int_panels<V, Panel, 1, Panel::kStreams>(panels, stride, k, x, num_tokens, tile, sums);
      panels += Panel::kStreams * stride;
      sums += Panel::kStreams * kLanes;
    }
  }
  // Weights that are widened in registers leave none for a second panel's sums.
  const bool one_by_one = are_followed<V, Panel>(num_tokens, k) ||
                          (!V::kManyStreams && Panel::kUnpacks && num_tokens <= V::kFewTokens);
  for (; !one_by_one && num_panels >= V::kTilePanels; num_panels -= V::kTilePanels) {
    multiply_int_panels<V, Panel, V::kTileTokens, V::kTilePanels>(panels, stride, k, x, num_tokens, tile,
                                                                  sums);
    panels += V::kTilePanels * stride;
    sums += V::kTilePanels * kLanes;
  }
  for (; num_panels >= 1; --num_panels, panels += stride, sums += kLanes) {
    multiply_int_panels<V, Panel, V::kTileTokens, 1>(panels, stride, k, x, num_tokens, tile, sums);
  }
}

template <class V>
void multiply_ints(const PanelMatrix& weights, std::int32_t first_panel, std::int32_t num_panels,
                   const IntRows& x, std::int32_t num_tokens, float* tile, float* sums) {
  auto* bytes = reinterpret_cast<std::uint8_t*>(tile);
  if constexpr (HasMatrices<V>) {
    if (num_tokens >= V::kMatrixTokens) V::start_matrices();
  }
  if (weights.format == PanelFormat::int4) {
    multiply_ints_in<V, Int4Panel>(weights, first_panel, num_panels, x, num_tokens, bytes, sums);
  } else if (weights.format == PanelFormat::int6) {
    multiply_ints_in<V, Int6Panel>(weights, first_panel, num_panels, x, num_tokens, bytes, sums);
  } else {
    multiply_ints_in<V, Int8Panel>(weights, first_panel, num_panels, x, num_tokens, bytes, sums);
  }
  if constexpr (HasMatrices<V>) {
    if (num_tokens >= V::kMatrixTokens) V::stop_matrices();
  }
}

template <class V>
constexpr KernelTable make_table() {
  return {.isa = V::kName,
          .multiply = multiply<V>,
          .quantize = quantize<V>,
          .multiply_ints = multiply_ints<V>,
          .multiply_pairs = multiply_pairs<V>,
          .rms_norm = rms_norm<V>,
          .rotate = rotate<V>,
          .gate = gate<V>,
          .round_to_f16 = round_to_f16<V>,
          .round_to_bf16 = round_to_bf16<V>,
          .attend = attend<V>,
          .exponential = exponential_of<V>};
}

}  // namespace
}  // namespace touchstone
