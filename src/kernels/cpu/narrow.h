// Rounding of float32 to 16 bits, to the nearest and to even, without branches, so that a loop over numbers
// becomes vectors; and widening. Internal to each file that includes it, as body.h. `constexpr`, since a
// GPU's code may call such functions.
#pragma once

#include <cstdint>

namespace touchstone {
namespace {

constexpr std::uint32_t bits_of_float(float value) { return __builtin_bit_cast(std::uint32_t, value); }

/// As `condition ? a : b`, of which GCC 12 makes branches.
constexpr std::uint32_t choose(bool condition, std::uint32_t a, std::uint32_t b) {
  return b ^ ((a ^ b) & (0U - static_cast<std::uint32_t>(condition)));
}

/// Magnitudes, as bits, from `first_beyond` on become the half `beyond`, those from `first_nan` on no number.
constexpr std::uint16_t narrow_below(float number, std::uint32_t first_beyond, std::uint32_t beyond,
                                     std::uint32_t first_nan) {
  const std::uint32_t bits = bits_of_float(number);
  const std::uint32_t magnitude = bits & 0x7FFFFFFFU;
  constexpr std::uint32_t kRebias = (127U - 15U) << 23;
  const std::uint32_t normal = (magnitude - kRebias + 0xFFFU + (magnitude >> 13 & 1U)) >> 13;
  // Below 2^-14: adding 0.5 leaves multiples of 2^-24 in the low bits.
  const std::uint32_t subnormal = bits_of_float(__builtin_fabsf(number) + 0.5F) & 0x7FFU;
  std::uint32_t half = choose(magnitude < 0x38800000U, subnormal, normal);
  half = choose(magnitude >= first_beyond, beyond, half);
  half = choose(magnitude >= first_nan, 0x7E00U, half);
  return static_cast<std::uint16_t>((bits >> 16 & 0x8000U) | half);
}

constexpr std::uint16_t narrow_to_half(float number) {
  return narrow_below(number, 0x477FF000U, 0x7C00U, 0x7F800001U);  // what rounds to 2^16 is infinite
}

/// As narrow_to_half, at most ±65504; what is infinite is not a number then.
constexpr std::uint16_t narrow_to_finite_half(float number) {
  return narrow_below(number, 0x477FE001U, 0x7BFFU, 0x7F800000U);
}

constexpr std::uint16_t narrow_to_bfloat16(float value) {
  const std::uint32_t bits = bits_of_float(value);
  const std::uint32_t rounded = (bits + 0x7FFFU + (bits >> 16 & 1U)) >> 16;
  const bool is_nan = (bits & 0x7FFFFFFFU) > 0x7F800000U;
  return static_cast<std::uint16_t>(is_nan ? bits >> 16 | 0x40U : rounded);
}

constexpr float float_of_bits(std::uint32_t bits) { return __builtin_bit_cast(float, bits); }

/// Shifts the half's exponent and mantissa into place and multiplies by 2^112, the difference of the biases:
/// exact for zeros, subnormal and normal numbers; infinities and NaNs get their exponent back.
constexpr float widen_half(std::uint32_t half) {
  const std::uint32_t sign = (half & 0x8000U) << 16;
  const std::uint32_t magnitude = (half & 0x7FFFU) << 13;
  if ((half & 0x7C00U) == 0x7C00U) return float_of_bits(sign | 0x7F800000U | magnitude);
  return float_of_bits(sign | bits_of_float(float_of_bits(magnitude) * float_of_bits(0x77800000U)));
}

constexpr float widen_bfloat16(std::uint32_t bits) { return float_of_bits(bits << 16); }

}  // namespace
}  // namespace touchstone
