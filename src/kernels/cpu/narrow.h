// Rounding of float32 to 16 bits, to the nearest and to even: without branches, so that a loop over numbers
// becomes vectors. Internal to each file that includes it, as body.h.
#pragma once

#include <cstdint>

namespace touchstone {
namespace {

inline std::uint32_t bits_of_float(float value) {
  std::uint32_t bits;
  __builtin_memcpy(&bits, &value, sizeof bits);
  return bits;
}

/// As `condition ? a : b`, of which GCC 12 makes branches.
inline std::uint32_t choose(bool condition, std::uint32_t a, std::uint32_t b) {
  return b ^ ((a ^ b) & (0U - static_cast<std::uint32_t>(condition)));
}

/// A half without its sign, for magnitudes that round to less than 2^16.
inline std::uint32_t round_magnitude_to_half(std::uint32_t magnitude) {
  constexpr std::uint32_t kRebias = (127U - 15U) << 23;
  const std::uint32_t normal = (magnitude - kRebias + 0xFFFU + (magnitude >> 13 & 1U)) >> 13;
  float value;
  __builtin_memcpy(&value, &magnitude, sizeof value);
  // Below 2^-14: adding 0.5 leaves multiples of 2^-24 in the low bits.
  const std::uint32_t subnormal = bits_of_float(value + 0.5F) & 0x7FFU;
  return choose(magnitude < 0x38800000U, subnormal, normal);
}

inline std::uint16_t narrow_to_half(float value) {
  const std::uint32_t magnitude = bits_of_float(value) & 0x7FFFFFFFU;
  std::uint32_t half = round_magnitude_to_half(magnitude);
  half = choose(magnitude >= 0x477FF000U, 0x7C00U, half);  // rounds to 2^16
  half = choose(magnitude > 0x7F800000U, 0x7E00U, half);
  return static_cast<std::uint16_t>((bits_of_float(value) >> 16 & 0x8000U) | half);
}

/// As narrow_to_half, at most ±65504; what is infinite is not a number then.
inline std::uint16_t narrow_to_finite_half(float value) {
  const std::uint32_t magnitude = bits_of_float(value) & 0x7FFFFFFFU;
  std::uint32_t half = round_magnitude_to_half(magnitude);
  half = choose(magnitude > 0x477FE000U, 0x7BFFU, half);
  half = choose(magnitude >= 0x7F800000U, 0x7E00U, half);
  return static_cast<std::uint16_t>((bits_of_float(value) >> 16 & 0x8000U) | half);
}

inline std::uint16_t narrow_to_bfloat16(float value) {
  const std::uint32_t bits = bits_of_float(value);
  const std::uint32_t rounded = (bits + 0x7FFFU + (bits >> 16 & 1U)) >> 16;
  const bool is_nan = (bits & 0x7FFFFFFFU) > 0x7F800000U;
  return static_cast<std::uint16_t>(is_nan ? bits >> 16 | 0x40U : rounded);
}

}  // namespace
}  // namespace touchstone
