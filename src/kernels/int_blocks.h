// The block types that the integer kernels compute with, as they lie in a row of a matrix: int8_128,
// int6_128 and int4_128. A row is filled up to whole blocks with weights 0.
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
  static constexpr int kMost = 127;

  float scale = 0;
  std::array<std::int8_t, kIntGroup> q{};

  int get(std::size_t i) const { return q[i]; }
  void set(std::size_t i, int value) { q[i] = static_cast<std::int8_t>(value); }
};

/// weight = scale * (n - 32). Of each sixteen n, bytes 0 to 11 hold the first twelve in their low six bits;
/// of the (i + 12)-th, bytes i, i + 4 and i + 8 hold two bits each in their high ones, the lowest first.
struct Int6Block {
  static constexpr int kMost = 31;

  float scale = 0;
  std::array<std::uint8_t, kIntGroup / 4 * 3> bytes = filled_with_zero_weights();

  int get(std::size_t i) const {
    const std::uint8_t* sixteen = bytes.data() + i / 16 * 12;
    if (i % 16 < 12) return (sixteen[i % 16] & 63) - 32;
    const std::uint8_t* top = sixteen + i % 4;
    return (top[0] >> 6 | top[4] >> 6 << 2 | top[8] >> 6 << 4) - 32;
  }
  void set(std::size_t i, int value) {
    std::uint8_t* sixteen = bytes.data() + i / 16 * 12;
    const auto put = [](std::uint8_t& byte, int mask, int bits) {
      byte = static_cast<std::uint8_t>((byte & ~mask) | bits);
    };
    const int n = value + 32;
    if (i % 16 < 12) return put(sixteen[i % 16], 63, n);
    for (std::size_t j = 0; j < 3; ++j) put(sixteen[i % 4 + 4 * j], 0xC0, (n >> (2 * j) & 3) << 6);
  }

 private:
  static constexpr std::array<std::uint8_t, kIntGroup / 4 * 3> filled_with_zero_weights() {
    std::array<std::uint8_t, kIntGroup / 4 * 3> filled{};
    for (std::size_t i = 0; i < filled.size(); ++i) filled[i] = i % 12 < 8 ? 0x20 : 0xA0;
    return filled;
  }
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

static_assert(sizeof(Int8Block) == 132 && sizeof(Int6Block) == 100 && sizeof(Int4Block) == 72);

/// The largest magnitude of a group; not a number where the group holds one that isn't finite.
float find_magnitude(std::span<const float> group);

/// The float32 values of one row of blocks.
void decode_int_blocks(DType dtype, std::span<const std::byte> blocks, std::span<float> values);

/// Whether all factors are such as the kernels can multiply with; any bytes are blocks of other types.
bool are_int_blocks_valid(DType dtype, std::span<const std::byte> blocks);

/// Rounds one row to the nearest: int8_128 and int6_128 by each block's largest weight, int4_128 with the
/// factors of least squared error. A block with a weight that is not finite becomes not a number.
void round_to_int_blocks(DType dtype, std::span<const float> values, std::span<std::byte> blocks);

}  // namespace touchstone
