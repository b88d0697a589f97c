// The block types that the integer kernels compute with, as they lie in a row of a matrix: int8_128 and
// int4_128. A row is filled up to whole blocks with weights 0.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "base/dtype.h"
#include "kernels/cpu/table.h"

namespace touchstone {

/// weight = scale * q.
struct Int8Block {
  float scale = 0;
  std::array<std::int8_t, kIntGroup> q{};
};

inline constexpr std::size_t kPartsInBlock = kIntGroup / kIntPart;
inline constexpr int kMostInt4Factor = 15;  // 15 * 8 fits into the 8 bits that the products take

/// weight = scale * factor * (n - 8), factors within ±kMostInt4Factor, one for each kIntPart. Of each eight
/// n, byte i holds the i-th in its low bits and the (i + 4)-th in its high ones.
struct Int4Block {
  float scale = 0;
  std::array<std::int8_t, kPartsInBlock> factors{};
  std::array<std::uint8_t, kIntGroup / 2> n = filled_with_zero_weights();

  int get(std::size_t i) const {
    const int pair = n[i / 8 * 4 + i % 4];
    return (i % 8 < 4 ? pair & 15 : pair >> 4) - 8;
  }
  void set(std::size_t i, int value) {
    std::uint8_t& pair = n[i / 8 * 4 + i % 4];
    pair = static_cast<std::uint8_t>(i % 8 < 4 ? (pair & 0xF0) | (value + 8)
                                               : (pair & 0x0F) | ((value + 8) << 4));
  }

 private:
  static constexpr std::array<std::uint8_t, kIntGroup / 2> filled_with_zero_weights() {
    std::array<std::uint8_t, kIntGroup / 2> bytes{};
    for (std::uint8_t& byte : bytes) byte = 0x88;
    return bytes;
  }
};

static_assert(sizeof(Int8Block) == 132 && sizeof(Int4Block) == 72);

/// The largest magnitude of a group; not a number where the group holds one that isn't finite.
float find_magnitude(std::span<const float> group);

/// The float32 values of one row of int8_128 or int4_128 blocks.
void decode_int_blocks(DType dtype, std::span<const std::byte> blocks, std::span<float> values);

/// Whether all factors are such as the kernels can multiply with; any bytes are int8_128 blocks.
bool are_int_blocks_valid(DType dtype, std::span<const std::byte> blocks);

/// Rounds one row to the nearest: int8_128 by each block's largest weight, int4_128 with the factors of least
/// squared error. A block with a weight that is not finite becomes not a number.
void round_to_int_blocks(DType dtype, std::span<const float> values, std::span<std::byte> blocks);

}  // namespace touchstone
