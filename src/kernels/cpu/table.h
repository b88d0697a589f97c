// What one instruction set provides, as plain functions over plain types. This header is compiled with every
// instruction set's flags, so it holds nothing that could be emitted as code.
#pragma once

#include <cstddef>
#include <cstdint>

namespace touchstone {

/// Outputs that are computed side by side: the lanes of the widest vector.
inline constexpr std::int32_t kLanes = 16;

/// Every output is a sum of sums: `kSumBlock` products at a time are added up from zero by fused
/// multiply-adds in the order of k, and these sums are added in their order. Keeps rounding errors small and
/// lets a matrix product stop and go on between blocks.
inline constexpr std::int32_t kSumBlock = 128;

/// The most panels and tokens that one call of KernelTable::multiply works on.
inline constexpr std::int32_t kMaxPanels = 6;
inline constexpr std::int32_t kMaxTokens = 256;

/// Floats between the rows of multiply's result, and those of all its rows.
inline constexpr std::int32_t kSumStride = kMaxPanels * kLanes;
inline constexpr std::ptrdiff_t kSumsSize = std::ptrdiff_t{kMaxTokens} * kSumStride;

/// How a panel's weights are stored. Blocks of 8-bit integers have a scale (and a minimum) for each group of
/// 32 or 16; the name says which of them are float16 (the rest is float32).
enum class PanelFormat : std::uint8_t {
  f32,
  bf16,
  f16,
  q8_half,            // group 32, float16 scale                     q8_0, q4_0, q5_0
  q8_half_with_mins,  // group 32, float16 scale and minimum         q4_1, q5_1
  q8_with_mins,       // group 32, float32 scale and minimum         q4_k, q5_k
  q8_group16,         // group 16, float32 scale                     q6_k
  bf16_pairs,         // meets activations that are bfloat16, too
  // These meet activations that are integers, too.
  int8,  // group kIntGroup, float32 scale
  int6,  // the same: the weight is n - 32
  int4,  // the same, and a small factor for each kIntPart: the weight is factor * (n - 8)
};

/// Whether weights of this format meet activations that are integers.
constexpr bool is_integer(PanelFormat format) {
  return format == PanelFormat::int8 || format == PanelFormat::int6 || format == PanelFormat::int4;
}

/// Weights and activations in integers share a scale over this many inputs.
inline constexpr std::int32_t kIntGroup = 128;

/// Inputs whose products with one output are summed by one lane of an integer instruction.
inline constexpr std::int32_t kIntDepth = 4;

/// Inputs that share a factor in `int4`, and whose activations are summed up.
inline constexpr std::int32_t kIntPart = 32;

inline constexpr std::size_t kIntScaleBytes = kLanes * sizeof(float);
inline constexpr std::size_t kInt4FactorBytes = std::size_t{kIntGroup / kIntPart} * kLanes;
inline constexpr std::size_t kInt8GroupBytes = kIntScaleBytes + std::size_t{kIntGroup} * kLanes;
inline constexpr std::size_t kInt6GroupBytes = kIntScaleBytes + std::size_t{kIntGroup} / 4 * 3 * kLanes;
inline constexpr std::size_t kInt4GroupBytes =
    kIntScaleBytes + kInt4FactorBytes + std::size_t{kIntGroup / 2} * kLanes;

/// Weights of a matrix [outputs, num_inputs] in panels of 16 outputs. In a panel, the 16 weights that meet
/// the same input lie side by side: [num_inputs][16]. Block types: for each group, [16] scales, [16] minima
/// if any, [group][16] integers. `bf16_pairs`: [inputs / 2][16][2], filled up with a zero. `int8`: for each
/// group, [16] scales, [group / 4][16][4] integers plus 128. `int6`: [16] scales, [group / 16][3][16][4]
/// bytes with n of three times four inputs in the low bits, and of four more inputs two bits in the high
/// ones, the lowest first. `int4`: [16] scales, [group / 32][16] factors, [group / 8][16][4] bytes with n of
/// two times four inputs, the first in the low bits. Rows are filled up to whole groups with weights 0.
struct PanelMatrix {
  PanelFormat format;
  std::int32_t num_inputs;
  std::size_t panel_bytes;  // from one panel to the next
  const std::uint8_t* panels;
};

/// Sums of a group's activations: of each part, and of them all.
inline constexpr std::int32_t kIntSums = kIntGroup / kIntPart + 1;

/// Activations as integers: x = scale * q. Rows are filled up with zeros to whole groups. The rows of a group
/// lie together: all of them meet the same weights.
struct IntRows {
  const std::int8_t* q;      // [num_groups, group_rows, kIntGroup], from the first row on
  const float* scales;       // [num_groups, group_rows]
  const std::int32_t* sums;  // [num_groups, group_rows, kIntSums]
  std::int32_t num_groups;
  std::size_t group_rows;
};

/// How keys and values are stored. Each is a block's matrix of one head, keys [head_dim, 32] and values [32,
/// head_dim rounded up to lanes]; after an `int8` matrix come 32 float scales, one a token.
enum class KvFormat : std::uint8_t { f32, f16, bf16, int8 };

/// Rows of queries that attend to one head's keys and values. Row r sees the first num_keys[r] of them.
struct AttentionTile {
  std::int32_t num_rows;
  std::int32_t head_dim;
  const float* const* queries;   // [num_rows] -> [head_dim]
  float* const* outputs;         // [num_rows] -> [head_dim]
  const std::int32_t* num_keys;  // [num_rows], each >= 1
  KvFormat format;
  const std::uint8_t* keys;  // block b at keys + b * block_stride
  const std::uint8_t* values;
  std::size_t block_stride;    // bytes
  const std::int32_t* blocks;  // the sequence's blocks in order
  // What is to be added to all keys of the sequence's block b, at key_offsets + b * key_offset_stride:
  // [head_dim]. May be null.
  const float* key_offsets;
  std::size_t key_offset_stride;
  float scale;
  float* scratch;  // attention_scratch_floats(head_dim) floats
};

inline constexpr std::int32_t kAttentionRows = 60;  // the most rows of a tile
inline constexpr std::int32_t kKeysPerBlock = 32;

/// Each row's maximum, sum, scores and weighted values.
constexpr std::size_t attention_scratch_floats(std::int32_t head_dim) {
  const std::size_t padded_dim = (static_cast<std::size_t>(head_dim) + kLanes - 1) / kLanes * kLanes;
  return std::size_t{kAttentionRows} * (2 + kKeysPerBlock + padded_dim);
}

struct KernelTable {
  const char* isa;

  /// sums[t * kSumStride + o] = sum over k of x[t * x_stride + k] * weight(o, k), for the 16 * num_panels
  /// outputs from first_panel on. `tile` is room for 3 * kSumBlock * kLanes floats.
  void (*multiply)(const PanelMatrix& weights, std::int32_t first_panel, std::int32_t num_panels,
                   const float* x, std::size_t x_stride, std::int32_t num_tokens, float* tile, float* sums);

  /// q, scales and sums of one row among group_rows, as IntRows has them: x / scale rounded to the nearest
  /// integer, ties to even; the largest number of a group becomes 127.
  void (*quantize)(const float* x, std::int32_t n, std::size_t group_rows, std::int8_t* q, float* scales,
                   std::int32_t* sums);

  /// As multiply, for weights and activations in integers. A group's products are summed exactly, and the
  /// groups by fused multiply-adds in their order.
  void (*multiply_ints)(const PanelMatrix& weights, std::int32_t first_panel, std::int32_t num_panels,
                        const IntRows& x, std::int32_t num_tokens, float* tile, float* sums);

  /// As multiply, for weights and activations in bfloat16, x: [blocks of kSumBlock inputs, block_rows,
  /// kSumBlock], from the first row on; an odd number of inputs is filled up with a zero. Two inputs at a
  /// time, the second before the first, as VDPBF16PS does it: products of bfloat16 are exact in float32, so
  /// these are the bits of fused multiply-adds.
  void (*multiply_pairs)(const PanelMatrix& weights, std::int32_t first_panel, std::int32_t num_panels,
                         const std::uint16_t* x, std::size_t block_rows, std::int32_t num_tokens,
                         float* sums);

  /// As multiply_pairs, faster, in the order of TDPBF16PS, which no other instruction has: of each 32 inputs,
  /// those with even and those with odd numbers are summed up from zero by fused multiply-adds, and the sum
  /// of both is added to that of the inputs before. Subnormal numbers count as zeros. Takes twice
  /// kMaxPanels, too: sums of the panels behind them are kSumsSize floats further. Null without such tiles.
  void (*multiply_pairs_in_tiles)(const PanelMatrix& weights, std::int32_t first_panel,
                                  std::int32_t num_panels, const std::uint16_t* x, std::size_t block_rows,
                                  std::int32_t num_tokens, float* sums) = nullptr;

  /// y = x / sqrt(mean(x^2) + eps) * weight, over n numbers. y may be x.
  void (*rms_norm)(const float* x, const float* weight, std::int32_t n, float eps, float* y);

  /// Rotates the pairs (x[i], x[i + half]) by angles, of which cos and sin are given: [half].
  void (*rotate)(float* x, const float* cos, const float* sin, std::int32_t half);

  /// y = silu(gate) * up, silu(g) = g / (1 + exp(-g)). y may be gate.
  void (*gate)(const float* gate, const float* up, std::int32_t n, float* y);

  /// y = x to the nearest float16, at most ±65504, or bfloat16; ties to even.
  void (*round_to_f16)(const float* x, std::int32_t n, std::uint16_t* y);
  void (*round_to_bf16)(const float* x, std::int32_t n, std::uint16_t* y);

  /// softmax(queries · keys * scale) · values, block by block with a running maximum.
  void (*attend)(const AttentionTile& tile);

  /// y = exp(x), for the tests.
  void (*exponential)(const float* x, std::int32_t n, float* y);
};

extern const KernelTable kScalarKernels;
#if defined(__x86_64__)
extern const KernelTable kAvx2Kernels;
extern const KernelTable kAvxVnniKernels;
extern const KernelTable kAvx512Kernels;
extern const KernelTable kAvx512VnniKernels;
extern const KernelTable kAvx512Bf16Kernels;
extern const KernelTable kAmxKernels;
#endif

}  // namespace touchstone
