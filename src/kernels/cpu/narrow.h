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

inline std::uint16_t narrow_to_half(float value) {
  const std::uint32_t bits = bits_of_float(value);
  const std::uint32_t sign = bits >> 16 & 0x8000U;
  const std::uint32_t magnitude = bits & 0x7FFFFFFFU;
  constexpr std::uint32_t kRebias = (127U - 15U) << 23;
  const std::uint32_t normal = (magnitude - kRebias + 0xFFFU + (magnitude >> 13 & 1U)) >> 13;
  // Below 2^-14: adding 0.5 leaves multiples of 2^-24 in the low bits.
  const std::uint32_t subnormal = bits_of_float(__builtin_fabsf(value) + 0.5F) & 0x7FFU;
  std::uint32_t half = magnitude < 0x38800000U ? subnormal : normal;
  half = magnitude >= 0x477FF000U ? 0x7C00U : half;  // rounds to 2^16
  half = magnitude > 0x7F800000U ? 0x7E00U : half;
  return static_cast<std::uint16_t>(sign | half);
}

inline std::uint16_t narrow_to_bfloat16(float value) {
  const std::uint32_t bits = bits_of_float(value);
  const std::uint32_t rounded = (bits + 0x7FFFU + (bits >> 16 & 1U)) >> 16;
  const bool is_nan = (bits & 0x7FFFFFFFU) > 0x7F800000U;
  return static_cast<std::uint16_t>(is_nan ? bits >> 16 | 0x40U : rounded);
}

}  // namespace
}  // namespace touchstone
