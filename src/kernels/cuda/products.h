// Products of activations with packed weights, as work for launch(). An output's sums have the order that
// table.h gives them: inputs in blocks of kSumBlock, which are summed up side by side where outputs are too
// few to keep a GPU busy, and added in their order.
#pragma once

#include <cmath>
#include <cstdint>

#include "kernels/cpu/narrow.h"
#include "kernels/cpu/table.h"
#include "kernels/cuda/launch.h"

namespace touchstone::cuda {
namespace {

/// What a block adds to an output: value * factor.
struct BlockSum {
  float value = 0.0F, factor = 1.0F;
};

/// Of kSumBlock inputs each; the last one may have fewer.
TOUCHSTONE_ON_DEVICE inline std::int32_t count_blocks(std::int32_t num_inputs) {
  return (num_inputs + kSumBlock - 1) / kSumBlock;
}

TOUCHSTONE_ON_DEVICE inline std::int32_t end_of_block(int block, std::int32_t num_inputs) {
  const std::int32_t end = (block + 1) * kSumBlock;
  return end < num_inputs ? end : num_inputs;
}

/// Tokens beyond the last one count as it.
TOUCHSTONE_ON_DEVICE inline int limit_token(int token, int last_token) {
  return token < last_token ? token : last_token;
}

template <class T>
TOUCHSTONE_ON_DEVICE T load(const std::uint8_t* p) {
  return *reinterpret_cast<const T*>(p);
}

// ---- Activations in float32, weights in any type ----

/// [num_tokens, …], rows `stride` floats apart.
struct FloatRows {
  const float* data;
  std::int64_t stride;

  template <int kTokens>
  TOUCHSTONE_ON_DEVICE void find(int token, int last_token, const float* (&rows)[kTokens]) const {
    for (int t = 0; t < kTokens; ++t) rows[t] = data + limit_token(token + t, last_token) * stride;
  }
};

template <PanelFormat kFormat>
struct FloatPanel {
  struct Group {};
  static constexpr int kGroup = kSumBlock;
  static constexpr std::int64_t kWeightBytes = kFormat == PanelFormat::f32 ? 4 : 2;
  static constexpr std::int64_t kGroupBytes = kGroup * kLanes * kWeightBytes;

  TOUCHSTONE_ON_DEVICE static Group open(const std::uint8_t*, int) { return {}; }
  TOUCHSTONE_ON_DEVICE static float weight(const Group&, const std::uint8_t* group, int lane, int i) {
    const std::uint8_t* p = group + (i * kLanes + lane) * kWeightBytes;
    if constexpr (kFormat == PanelFormat::f32) return load<float>(p);
    if constexpr (kFormat == PanelFormat::f16) return widen_half(load<std::uint16_t>(p));
    if constexpr (kFormat == PanelFormat::bf16) return widen_bfloat16(load<std::uint16_t>(p));
  }
};

template <int kGroupSize, bool kHalfScales, bool kMins>
struct BytePanel {
  struct Group {
    float scale, min;
  };
  static constexpr int kGroup = kGroupSize;
  static constexpr std::int64_t kScaleBytes = kHalfScales ? 2 : 4;
  static constexpr std::int64_t kHeaderBytes = kLanes * kScaleBytes * (kMins ? 2 : 1);
  static constexpr std::int64_t kGroupBytes = kHeaderBytes + kGroup * kLanes;

  TOUCHSTONE_ON_DEVICE static float load_scale(const std::uint8_t* p) {
    if constexpr (kHalfScales) return widen_half(load<std::uint16_t>(p));
    return load<float>(p);
  }
  TOUCHSTONE_ON_DEVICE static Group open(const std::uint8_t* group, int lane) {
    const std::uint8_t* scale = group + lane * kScaleBytes;
    return {load_scale(scale), kMins ? load_scale(scale + kLanes * kScaleBytes) : 0.0F};
  }
  TOUCHSTONE_ON_DEVICE static float weight(const Group& g, const std::uint8_t* group, int lane, int i) {
    const auto q = static_cast<std::int8_t>(group[kHeaderBytes + i * kLanes + lane]);
    const float product = g.scale * static_cast<float>(q);
    return kMins ? product - g.min : product;
  }
};

template <class Panel>
struct FloatProduct {
  FloatRows x;

  /// The sums of one block of inputs, of kTokens tokens from `token` on. They come as BlockSum makes them.
  template <int kTokens>
  TOUCHSTONE_ON_DEVICE void sum_block(const std::uint8_t* panel, int lane, int block, int num_inputs,
                                      int token, int last_token, BlockSum (&sums)[kTokens]) const {
    const int end = end_of_block(block, num_inputs);
    const float* rows[kTokens];
    x.find(token, last_token, rows);
    for (int k = block * kSumBlock; k < end; k += Panel::kGroup) {
      const std::uint8_t* group = panel + k / Panel::kGroup * Panel::kGroupBytes;
      const typename Panel::Group opened = Panel::open(group, lane);
      const int n = Panel::kGroup < end - k ? Panel::kGroup : end - k;
      for (int i = 0; i < n; ++i) {
        const float w = Panel::weight(opened, group, lane, i);
        for (int t = 0; t < kTokens; ++t) sums[t].value = fmaf(w, rows[t][k + i], sums[t].value);
      }
    }
  }
};

/// Weights in bfloat16 meet activations that were rounded to it; two inputs at a time, the second before the
/// first.
struct PairProduct {
  FloatRows x;

  template <int kTokens>
  TOUCHSTONE_ON_DEVICE void sum_block(const std::uint8_t* panel, int lane, int block, int num_inputs,
                                      int token, int last_token, BlockSum (&sums)[kTokens]) const {
    const int end = end_of_block(block, num_inputs);
    const float* rows[kTokens];
    x.find(token, last_token, rows);
    for (int k = block * kSumBlock; k < end; k += 2) {
      const auto pair = load<std::uint32_t>(panel + (std::int64_t{k / 2} * kLanes + lane) * 4);
      const float first = widen_bfloat16(pair & 0xFFFFU);
      const float second = widen_bfloat16(pair >> 16);
      for (int t = 0; t < kTokens; ++t) {
        const float x_second = k + 1 < end ? rows[t][k + 1] : 0.0F;
        sums[t].value = fmaf(first, rows[t][k], fmaf(second, x_second, sums[t].value));
      }
    }
  }
};

// ---- Weights and activations in integers ----

/// Activations as quantize() of table.h makes them, [num_tokens, num_groups, …].
struct QuantizedRows {
  std::int8_t* q;            // kIntGroup
  float *scales, *inverses;  // what q is to be multiplied with, and what numbers were
  std::int32_t* sums;        // kIntGroup / kIntPart
  std::int64_t num_groups;
};

/// sum + a · b, four signed bytes each.
TOUCHSTONE_ON_DEVICE inline std::int32_t dot_four(std::uint32_t a, std::uint32_t b, std::int32_t sum) {
#if defined(__CUDA_ARCH__)
  return __dp4a(static_cast<int>(a), static_cast<int>(b), sum);
#else
  for (int shift = 0; shift < 32; shift += 8) {
    sum += static_cast<std::int8_t>(a >> shift) * static_cast<std::int8_t>(b >> shift);
  }
  return sum;
#endif
}

inline constexpr int kGroupSteps = kIntGroup / kIntDepth;
inline constexpr int kGroupParts = kIntGroup / kIntPart;
inline constexpr std::int64_t kLineBytes = kIntDepth * kLanes;

/// The activations of one token's group.
struct GroupInputs {
  const std::int8_t* q;
  const std::int32_t* sums;

  TOUCHSTONE_ON_DEVICE std::uint32_t four(int step) const {
    return load<std::uint32_t>(reinterpret_cast<const std::uint8_t*>(q) + step * kIntDepth);
  }
  TOUCHSTONE_ON_DEVICE std::int32_t total() const { return sums[0] + sums[1] + sums[2] + sums[3]; }
};
static_assert(kGroupParts == 4);

struct Int8Panel {
  static constexpr std::int64_t kGroupBytes = kInt8GroupBytes;

  template <int kTokens>
  TOUCHSTONE_ON_DEVICE static void sum_group(const std::uint8_t* group, int lane,
                                             const GroupInputs (&x)[kTokens], std::int32_t (&sum)[kTokens]) {
    const std::uint8_t* lines = group + kIntScaleBytes + lane * kIntDepth;
    for (int t = 0; t < kTokens; ++t) sum[t] = 0;
    for (int step = 0; step < kGroupSteps; ++step) {
      const std::uint32_t w = load<std::uint32_t>(lines + step * kLineBytes) ^ 0x80808080U;  // less 128
      for (int t = 0; t < kTokens; ++t) sum[t] = dot_four(w, x[t].four(step), sum[t]);
    }
  }
};

struct Int6Panel {
  static constexpr std::int64_t kGroupBytes = kInt6GroupBytes;

  template <int kTokens>
  TOUCHSTONE_ON_DEVICE static void sum_group(const std::uint8_t* group, int lane,
                                             const GroupInputs (&x)[kTokens], std::int32_t (&sum)[kTokens]) {
    const std::uint8_t* lines = group + kIntScaleBytes + lane * kIntDepth;
    for (int t = 0; t < kTokens; ++t) sum[t] = -32 * x[t].total();
    for (int step = 0; step < kGroupSteps; step += 4, lines += 3 * kLineBytes) {
      const auto a = load<std::uint32_t>(lines);
      const auto b = load<std::uint32_t>(lines + kLineBytes);
      const auto c = load<std::uint32_t>(lines + 2 * kLineBytes);
      const std::uint32_t fourth = (a >> 6 & 0x03030303U) | (b >> 4 & 0x0C0C0C0CU) | (c >> 2 & 0x30303030U);
      for (int t = 0; t < kTokens; ++t) {
        sum[t] = dot_four(a & 0x3F3F3F3FU, x[t].four(step), sum[t]);
        sum[t] = dot_four(b & 0x3F3F3F3FU, x[t].four(step + 1), sum[t]);
        sum[t] = dot_four(c & 0x3F3F3F3FU, x[t].four(step + 2), sum[t]);
        sum[t] = dot_four(fourth, x[t].four(step + 3), sum[t]);
      }
    }
  }
};

struct Int4Panel {
  static constexpr std::int64_t kGroupBytes = kInt4GroupBytes;

  template <int kTokens>
  TOUCHSTONE_ON_DEVICE static void sum_group(const std::uint8_t* group, int lane,
                                             const GroupInputs (&x)[kTokens], std::int32_t (&sum)[kTokens]) {
    constexpr int kPartSteps = kIntPart / kIntDepth;
    const std::uint8_t* factors = group + kIntScaleBytes + lane;
    const std::uint8_t* lines = group + kIntScaleBytes + kInt4FactorBytes + lane * kIntDepth;
    for (int t = 0; t < kTokens; ++t) sum[t] = 0;
    for (int part = 0; part < kGroupParts; ++part) {
      std::int32_t of_part[kTokens];
      for (int t = 0; t < kTokens; ++t) of_part[t] = -8 * x[t].sums[part];
      for (int i = 0; i < kPartSteps; i += 2, lines += kLineBytes) {
        const auto both = load<std::uint32_t>(lines);
        const int step = part * kPartSteps + i;
        for (int t = 0; t < kTokens; ++t) {
          of_part[t] = dot_four(both & 0x0F0F0F0FU, x[t].four(step), of_part[t]);
          of_part[t] = dot_four(both >> 4 & 0x0F0F0F0FU, x[t].four(step + 1), of_part[t]);
        }
      }
      const auto factor = static_cast<std::int8_t>(factors[part * kLanes]);
      for (int t = 0; t < kTokens; ++t) sum[t] += of_part[t] * factor;
    }
  }
};

template <class Panel>
struct IntProduct {
  QuantizedRows x;

  template <int kTokens>
  TOUCHSTONE_ON_DEVICE void sum_block(const std::uint8_t* panel, int lane, int block, int, int token,
                                      int last_token, BlockSum (&sums)[kTokens]) const {
    const std::uint8_t* group = panel + block * Panel::kGroupBytes;
    const float scale = load<float>(group + lane * static_cast<int>(sizeof(float)));
    GroupInputs inputs[kTokens];
    for (int t = 0; t < kTokens; ++t) {
      const std::int64_t at = limit_token(token + t, last_token) * x.num_groups + block;
      inputs[t] = {x.q + at * kIntGroup, x.sums + at * kGroupParts};
      sums[t].factor = scale * x.scales[at];
    }
    std::int32_t sum[kTokens];
    Panel::sum_group(group, lane, inputs, sum);
    for (int t = 0; t < kTokens; ++t) sums[t].value = static_cast<float>(sum[t]);
  }
};
static_assert(kIntGroup == kSumBlock);

// ---- Work ----

/// A weight matrix and the tokens that meet it.
struct ProductShape {
  const std::uint8_t* panels;
  std::int64_t panel_bytes;
  std::int32_t num_outputs, num_inputs, num_tokens;

  TOUCHSTONE_ON_DEVICE const std::uint8_t* panel(int output) const {
    return panels + output / kLanes * panel_bytes;
  }
};

/// sums = x W^T, rows `stride` floats apart. Items: [tiles of kTokens tokens, num_outputs].
template <class Product, int kTokens>
struct Multiply {
  Product product;
  ProductShape shape;
  float* sums;
  std::int64_t stride;

  TOUCHSTONE_ON_DEVICE void operator()(std::int64_t item) const {
    const auto output = static_cast<int>(item % shape.num_outputs);
    const auto token = static_cast<int>(item / shape.num_outputs) * kTokens;
    float total[kTokens] = {};
    const int num_blocks = count_blocks(shape.num_inputs);
    for (int block = 0; block < num_blocks; ++block) {
      BlockSum sum[kTokens];
      product.sum_block(shape.panel(output), output % kLanes, block, shape.num_inputs, token,
                        shape.num_tokens - 1, sum);
      for (int t = 0; t < kTokens; ++t) total[t] = fmaf(sum[t].value, sum[t].factor, total[t]);
    }
    for (int t = 0; t < kTokens && token + t < shape.num_tokens; ++t)
      sums[(token + t) * stride + output] = total[t];
  }
};

/// The same in two steps. First all blocks' sums, [num_blocks, num_tokens, num_outputs].
/// Items: [num_blocks, tiles of kTokens tokens, num_outputs].
template <class Product, int kTokens>
struct MultiplyBlocks {
  Product product;
  ProductShape shape;
  std::int32_t num_tiles;
  BlockSum* blocks;

  TOUCHSTONE_ON_DEVICE void operator()(std::int64_t item) const {
    const auto output = static_cast<int>(item % shape.num_outputs);
    const std::int64_t tile = item / shape.num_outputs;
    const auto token = static_cast<int>(tile % num_tiles) * kTokens;
    const auto block = static_cast<int>(tile / num_tiles);
    BlockSum sum[kTokens];
    product.sum_block(shape.panel(output), output % kLanes, block, shape.num_inputs, token,
                      shape.num_tokens - 1, sum);
    BlockSum* to = blocks + std::int64_t{block} * shape.num_tokens * shape.num_outputs;
    for (int t = 0; t < kTokens && token + t < shape.num_tokens; ++t)
      to[std::int64_t{token + t} * shape.num_outputs + output] = sum[t];
  }
};

/// Then their sums. Items: [num_tokens, num_outputs].
struct AddBlocks {
  const BlockSum* blocks;
  std::int32_t num_blocks, num_tokens, num_outputs;
  float* sums;
  std::int64_t stride;

  TOUCHSTONE_ON_DEVICE void operator()(std::int64_t item) const {
    float total = 0.0F;
    for (int block = 0; block < num_blocks; ++block) {
      const BlockSum sum = blocks[block * std::int64_t{num_tokens} * num_outputs + item];
      total = fmaf(sum.value, sum.factor, total);
    }
    sums[item / num_outputs * stride + item % num_outputs] = total;
  }
};

}  // namespace
}  // namespace touchstone::cuda
