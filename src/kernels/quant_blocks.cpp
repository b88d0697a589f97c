#include "kernels/quant_blocks.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cassert>
#include <cstring>

#include "kernels/cpu/narrow.h"
#include "kernels/int_blocks.h"

namespace touchstone {
namespace {

constexpr std::size_t kMaxBlockValues = 256;
constexpr std::size_t kMaxBlockGroups = 16;

using Bytes = const std::uint8_t*;

std::uint16_t load_u16(Bytes p) { return static_cast<std::uint16_t>(p[0] | (p[1] << 8)); }

float load_half(Bytes p) { return half_to_float(load_u16(p)); }

std::int8_t to_q(int value) { return static_cast<std::int8_t>(value); }

// Each split_* takes one block apart. Layouts: d and m (dmin) are halves; nibbles of byte j are the values j
// (low) and j + 16 or j + 32 (high) of their run.

void split_q8_0(Bytes block, std::int8_t* q, float* scales, float* mins) {
  scales[0] = load_half(block);
  mins[0] = 0.0F;
  std::memcpy(q, block + 2, 32);
}

void split_nibbles(Bytes nibbles, int offset, std::int8_t* q) {
  for (int j = 0; j < 16; ++j) {
    q[j] = to_q((nibbles[j] & 0xF) - offset);
    q[j + 16] = to_q((nibbles[j] >> 4) - offset);
  }
}

void split_q4_0(Bytes block, std::int8_t* q, float* scales, float* mins) {
  scales[0] = load_half(block);
  mins[0] = 0.0F;
  split_nibbles(block + 2, 8, q);
}

void split_q4_1(Bytes block, std::int8_t* q, float* scales, float* mins) {
  scales[0] = load_half(block);
  mins[0] = -load_half(block + 2);
  split_nibbles(block + 4, 0, q);
}

/// Five-bit values: the fifth bits lie in four bytes, bit i for value i.
void split_nibbles_and_bits(Bytes bits, Bytes nibbles, int offset, std::int8_t* q) {
  const std::uint32_t high = load_u16(bits) | (static_cast<std::uint32_t>(load_u16(bits + 2)) << 16);
  for (int j = 0; j < 16; ++j) {
    const int low_bit = static_cast<int>((high >> j) & 1U) << 4;
    const int high_bit = static_cast<int>((high >> (j + 16)) & 1U) << 4;
    q[j] = to_q(((nibbles[j] & 0xF) | low_bit) - offset);
    q[j + 16] = to_q(((nibbles[j] >> 4) | high_bit) - offset);
  }
}

void split_q5_0(Bytes block, std::int8_t* q, float* scales, float* mins) {
  scales[0] = load_half(block);
  mins[0] = 0.0F;
  split_nibbles_and_bits(block + 2, block + 6, 16, q);
}

void split_q5_1(Bytes block, std::int8_t* q, float* scales, float* mins) {
  scales[0] = load_half(block);
  mins[0] = -load_half(block + 2);
  split_nibbles_and_bits(block + 4, block + 8, 0, q);
}

/// Eight six-bit scales and eight six-bit minima in twelve bytes, times the block's d and dmin.
void split_k_scales(Bytes block, float* scales, float* mins) {
  const float d = load_half(block);
  const float dmin = load_half(block + 2);
  Bytes packed = block + 4;
  for (int g = 0; g < 4; ++g) {
    scales[g] = d * static_cast<float>(packed[g] & 63);
    mins[g] = dmin * static_cast<float>(packed[g + 4] & 63);
    scales[g + 4] = d * static_cast<float>((packed[g + 8] & 0xF) | ((packed[g] >> 6) << 4));
    mins[g + 4] = dmin * static_cast<float>((packed[g + 8] >> 4) | ((packed[g + 4] >> 6) << 4));
  }
}

void split_q4_k(Bytes block, std::int8_t* q, float* scales, float* mins) {
  split_k_scales(block, scales, mins);
  Bytes nibbles = block + 16;
  for (int pair = 0; pair < 4; ++pair, nibbles += 32, q += 64) {
    for (int j = 0; j < 32; ++j) {
      q[j] = to_q(nibbles[j] & 0xF);
      q[j + 32] = to_q(nibbles[j] >> 4);
    }
  }
}

void split_q5_k(Bytes block, std::int8_t* q, float* scales, float* mins) {
  split_k_scales(block, scales, mins);
  Bytes bits = block + 16;  // bit g of byte j is the fifth bit of value j of group g
  Bytes nibbles = block + 48;
  for (int pair = 0; pair < 4; ++pair, nibbles += 32, q += 64) {
    for (int j = 0; j < 32; ++j) {
      q[j] = to_q((nibbles[j] & 0xF) | (((bits[j] >> (2 * pair)) & 1) << 4));
      q[j + 32] = to_q((nibbles[j] >> 4) | (((bits[j] >> (2 * pair + 1)) & 1) << 4));
    }
  }
}

void split_q6_k(Bytes block, std::int8_t* q, float* scales, float* mins) {
  Bytes sub_scales = block + 192;
  const float d = load_half(block + 208);
  for (int g = 0; g < 16; ++g) {
    scales[g] = d * static_cast<float>(static_cast<std::int8_t>(sub_scales[g]));
    mins[g] = 0.0F;
  }
  Bytes low = block;
  Bytes high = block + 128;
  for (int half = 0; half < 2; ++half, low += 64, high += 32, q += 128) {
    for (int j = 0; j < 32; ++j) {
      q[j] = to_q(((low[j] & 0xF) | ((high[j] & 3) << 4)) - 32);
      q[j + 32] = to_q(((low[j + 32] & 0xF) | (((high[j] >> 2) & 3) << 4)) - 32);
      q[j + 64] = to_q(((low[j] >> 4) | (((high[j] >> 4) & 3) << 4)) - 32);
      q[j + 96] = to_q(((low[j + 32] >> 4) | ((high[j] >> 6) << 4)) - 32);
    }
  }
}

using SplitBlock = void (*)(Bytes, std::int8_t*, float*, float*);

SplitBlock split_function(DType dtype) {
  switch (dtype) {
    case DType::q8_0:
      return split_q8_0;
    case DType::q4_0:
      return split_q4_0;
    case DType::q4_1:
      return split_q4_1;
    case DType::q5_0:
      return split_q5_0;
    case DType::q5_1:
      return split_q5_1;
    case DType::q4_k:
      return split_q4_k;
    case DType::q5_k:
      return split_q5_k;
    case DType::q6_k:
      return split_q6_k;
    case DType::f32:
    case DType::f16:
    case DType::bf16:
    case DType::int8_128:
    case DType::int6_128:
    case DType::int4_128:
      break;
  }
  assert(false);
  return nullptr;
}

void decode_quantized(DType dtype, Bytes block, std::span<float> values) {
  const SplitBlock split = split_function(dtype);
  const DTypeInfo& info = dtype_info(dtype);
  const std::size_t group = group_values(dtype);
  std::array<std::int8_t, kMaxBlockValues> q;
  std::array<float, kMaxBlockGroups> scales;
  std::array<float, kMaxBlockGroups> mins;
  for (std::size_t start = 0; start < values.size(); start += info.block_values, block += info.block_bytes) {
    split(block, q.data(), scales.data(), mins.data());
    for (std::size_t g = 0; g < info.block_values / group; ++g) {
      const std::int8_t* group_q = q.data() + g * group;
      float* out = values.data() + start + g * group;
      for (std::size_t i = 0; i < group; ++i) out[i] = scales[g] * static_cast<float>(group_q[i]) - mins[g];
    }
  }
}

}  // namespace

float half_to_float(std::uint16_t bits) {
  const std::uint32_t sign = static_cast<std::uint32_t>(bits & 0x8000U) << 16;
  const std::uint32_t magnitude = bits & 0x7FFFU;
  constexpr std::uint32_t kRebias = (127U - 15U) << 23;
  const std::uint32_t normal = (magnitude << 13) + kRebias;
  const std::uint32_t not_finite = normal + kRebias;
  // A subnormal half is magnitude * 2^-24, which float32 holds exactly.
  const auto subnormal =
      std::bit_cast<std::uint32_t>(static_cast<float>(static_cast<std::int32_t>(magnitude)) * 0x1p-24F);
  std::uint32_t result = magnitude < 0x400U ? subnormal : normal;
  result = magnitude >= 0x7C00U ? not_finite : result;
  return std::bit_cast<float>(result | sign);
}

std::uint16_t float_to_half(float value) { return narrow_to_half(value); }

std::uint16_t float_to_bfloat16(float value) { return narrow_to_bfloat16(value); }

float bfloat16_to_float(std::uint16_t bits) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16);
}

void decode_blocks(DType dtype, std::span<const std::byte> blocks, std::span<float> values) {
  assert(blocks.size() == dtype_bytes(dtype, values.size()));
  if (values.empty()) return;
  const auto* bytes = reinterpret_cast<Bytes>(blocks.data());
  if (dtype == DType::f32) {
    std::memcpy(values.data(), bytes, blocks.size());
  } else if (dtype == DType::f16) {
    for (std::size_t i = 0; i < values.size(); ++i) values[i] = half_to_float(load_u16(bytes + 2 * i));
  } else if (dtype == DType::bf16) {
    for (std::size_t i = 0; i < values.size(); ++i) values[i] = bfloat16_to_float(load_u16(bytes + 2 * i));
  } else if (pads_rows(dtype)) {
    decode_int_blocks(dtype, blocks, values);
  } else {
    decode_quantized(dtype, bytes, values);
  }
}

std::size_t group_values(DType dtype) {
  assert(dtype_info(dtype).block_values > 1);
  return dtype == DType::q6_k ? 16 : 32;
}

void split_blocks(DType dtype, std::span<const std::byte> blocks, std::span<std::int8_t> q,
                  std::span<float> scales, std::span<float> mins) {
  const DTypeInfo& info = dtype_info(dtype);
  const std::size_t block_groups = info.block_values / group_values(dtype);
  const std::size_t num_blocks = q.size() / info.block_values;
  assert(q.size() % info.block_values == 0);
  assert(blocks.size() == dtype_bytes(dtype, q.size()));
  assert(scales.size() == num_blocks * block_groups && mins.size() == scales.size());
  const SplitBlock split = split_function(dtype);
  const auto* bytes = reinterpret_cast<Bytes>(blocks.data());
  for (std::size_t b = 0; b < num_blocks; ++b) {
    split(bytes + b * info.block_bytes, q.data() + b * info.block_values, scales.data() + b * block_groups,
          mins.data() + b * block_groups);
  }
}

}  // namespace touchstone
