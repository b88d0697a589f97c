// Exact decoding of stored numbers: what the bytes of a tensor mean, in float32. This is the reference that
// every faster path is measured against; results equal those of the gguf package's dequantize() bit for bit.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "base/dtype.h"

namespace touchstone {

/// The float32 value of IEEE half-precision bits; exact, NaN payloads kept.
float half_to_float(std::uint16_t bits);

/// The float32 value of bfloat16 bits; exact.
float bfloat16_to_float(std::uint16_t bits);

/// The nearest IEEE half-precision number, ties to even; infinity for what is too large. NaN stays NaN.
std::uint16_t float_to_half(float value);

/// The nearest bfloat16 number, ties to even. NaN stays NaN.
std::uint16_t float_to_bfloat16(float value);

/// Decodes little-endian `blocks` of any DType into float32 `values`. `values.size()` is a multiple of the
/// dtype's block (or one row, where pads_rows) and `blocks.size() == dtype_bytes(dtype, values.size())`.
void decode_blocks(DType dtype, std::span<const std::byte> blocks, std::span<float> values);

/// How many neighbouring values share one scale: 32 for q8_0, q4_0, q4_1, q5_0, q5_1, q4_k and q5_k; 16 for
/// q6_k. GGUF's block types only.
std::size_t group_values(DType dtype);

/// Takes GGUF's block types apart into small integers, scales and minima, in the order of the values:
///   value[i] == scales[g] * float(q[i]) - mins[g]   with g = i / group_values(dtype),
/// bit for bit when computed as a float multiplication, then a float subtraction (no fused multiply-add). The
/// products d * sub_scale and dmin * sub_min of the K types are rounded to float32 as in the reference. Types
/// without a minimum (q8_0, q4_0, q5_0, q6_k) get mins of +0. Ranges of q: q8_0 -128..127; q4_0 -8..7; q5_0
/// -16..15; q6_k -32..31; q4_1 and q4_k 0..15; q5_1 and q5_k 0..31. `scales` and `mins` hold q.size() /
/// group_values(dtype) elements each; `blocks` as for decode_blocks.
void split_blocks(DType dtype, std::span<const std::byte> blocks, std::span<std::int8_t> q,
                  std::span<float> scales, std::span<float> mins);

}  // namespace touchstone
