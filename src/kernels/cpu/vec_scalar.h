// 16 lanes as 16 numbers: the specification of the other instruction sets, operation by operation.
#pragma once

#include <cmath>
#include <cstdint>

#include "kernels/cpu/narrow.h"

namespace touchstone {
namespace {

struct Scalar {
  struct Vec {
    float lane[16];
  };
  static constexpr const char* kName = "scalar";
  static constexpr int kTileTokens = 2, kTilePanels = 1;
  static constexpr int kFewTokens = 1;         // up to which weights are widened in registers
  static constexpr bool kManyStreams = false;  // whether one token reads several panels at once
  static constexpr int kFollowedTokens = 4;    // whose 8-bit weights the processor fetches in time
  static constexpr int kAttentionTile = 1;

  template <class Make>
  static Vec each_lane(Make make) {
    Vec v;
    for (int i = 0; i < 16; ++i) v.lane[i] = make(i);
    return v;
  }

  static Vec zero() { return set1(0.0F); }
  static Vec set1(float x) {
    return each_lane([x](int) { return x; });
  }
  static Vec load(const float* p) {
    return each_lane([p](int i) { return p[i]; });
  }
  static void store(float* p, const Vec& v) { store_first(p, v, 16); }
  static Vec load_bytes(const std::uint8_t* p) {
    return each_lane([p](int i) { return static_cast<float>(static_cast<std::int8_t>(p[i])); });
  }
  static Vec load_halves(const std::uint8_t* p) {
    return each_lane([p](int i) { return widen_half(load_u16(p + 2 * i)); });
  }
  static Vec load_bfloats(const std::uint8_t* p) {
    return each_lane([p](int i) { return widen_bfloat16(load_u16(p + 2 * i)); });
  }
  /// The first n floats, the rest zero.
  static Vec load_first(const float* p, int n) {
    return each_lane([p, n](int i) { return i < n ? p[i] : 0.0F; });
  }
  static void store_first(float* p, const Vec& v, int n) {
    for (int i = 0; i < 16 && i < n; ++i) p[i] = v.lane[i];
  }
  /// The first n lanes of v, the rest from `other`.
  static Vec keep_first(const Vec& v, int n, const Vec& other) {
    return each_lane([&](int i) { return i < n ? v.lane[i] : other.lane[i]; });
  }

  static Vec fma(const Vec& a, const Vec& b, const Vec& c) {
    return each_lane([&](int i) { return std::fmaf(a.lane[i], b.lane[i], c.lane[i]); });
  }
  static Vec add(const Vec& a, const Vec& b) {
    return each_lane([&](int i) { return a.lane[i] + b.lane[i]; });
  }
  static Vec sub(const Vec& a, const Vec& b) {
    return each_lane([&](int i) { return a.lane[i] - b.lane[i]; });
  }
  static Vec mul(const Vec& a, const Vec& b) {
    return each_lane([&](int i) { return a.lane[i] * b.lane[i]; });
  }
  static Vec div(const Vec& a, const Vec& b) {
    return each_lane([&](int i) { return a.lane[i] / b.lane[i]; });
  }
  /// The second operand where either is not a number, as x86 does.
  static Vec max(const Vec& a, const Vec& b) {
    return each_lane([&](int i) { return greater(a.lane[i], b.lane[i]); });
  }
  static Vec min(const Vec& a, const Vec& b) {
    return each_lane([&](int i) { return a.lane[i] < b.lane[i] ? a.lane[i] : b.lane[i]; });
  }
  /// 2^n, n in the low bits of v's representation.
  static Vec power_of_two(const Vec& v) {
    return each_lane([&](int i) { return float_of_bits((bits_of_float(v.lane[i]) << 23) + 0x3F800000U); });
  }
  /// Lane i + lane i+8, then i+4, i+2, i+1.
  static float sum(Vec v) {
    for (int half = 8; half > 0; half /= 2) {
      for (int i = 0; i < half; ++i) v.lane[i] += v.lane[i + half];
    }
    return v.lane[0];
  }
  static float max_lane(Vec v) {
    for (int half = 8; half > 0; half /= 2) {
      for (int i = 0; i < half; ++i) v.lane[i] = greater(v.lane[i], v.lane[i + half]);
    }
    return v.lane[0];
  }
  static float square_root(float x) { return std::sqrt(x); }

  // ---- Pairs of bfloat16: lane i sums the products of two inputs with output i ----

  struct Pairs {
    Vec first, second;
  };

  static Pairs load_pairs(const std::uint8_t* p) {
    return {each_lane([p](int i) { return widen_bfloat16(load_u16(p + 4 * i)); }),
            each_lane([p](int i) { return widen_bfloat16(load_u16(p + 4 * i + 2)); })};
  }
  static Pairs set_pair(const std::uint16_t* p) {
    return {set1(widen_bfloat16(p[0])), set1(widen_bfloat16(p[1]))};
  }
  static Vec dot_pairs(Vec sum, const Pairs& w, const Pairs& x) {
    return fma(w.first, x.first, fma(w.second, x.second, sum));
  }

  // ---- Integers: lane i sums the products of four inputs with output i ----

  struct Ints {
    std::int32_t lane[16];
  };
  struct Bytes {
    std::uint8_t byte[64];  // [16][4]
  };
  using Four = const std::int8_t*;

  template <class Make>
  static Bytes each_byte(Make make) {
    Bytes v;
    for (int i = 0; i < 64; ++i) v.byte[i] = static_cast<std::uint8_t>(make(i));
    return v;
  }

  static Ints set_ints(std::int32_t n) {
    Ints v;
    for (std::int32_t& lane : v.lane) lane = n;
    return v;
  }
  static Bytes load_line(const std::uint8_t* p) {
    return each_byte([p](int i) { return p[i]; });
  }
  static Four load_four(const std::int8_t* p) { return p; }
  static Ints dot(Ints sum, const Bytes& w, Four x) {
    for (int i = 0; i < 16; ++i) {
      for (int j = 0; j < 4; ++j) sum.lane[i] += w.byte[4 * i + j] * x[j];
    }
    return sum;
  }
  /// sum + a * b.
  static Ints add_product(Ints sum, const Ints& a, const Ints& b) {
    for (int i = 0; i < 16; ++i) sum.lane[i] += a.lane[i] * b.lane[i];
    return sum;
  }
  static Ints load_small_ints(const std::int8_t* p) {
    Ints v = set_ints(0);
    for (int i = 0; i < 16; ++i) v.lane[i] += p[i];
    return v;
  }
  /// (v >> shift) & mask of each byte.
  template <int kShift>
  static Bytes bits(const Bytes& v, int mask) {
    return each_byte([&](int i) { return v.byte[i] >> kShift & mask; });
  }
  static Bytes either(const Bytes& a, const Bytes& b) {
    return each_byte([&](int i) { return a.byte[i] | b.byte[i]; });
  }
  static Vec to_floats(const Ints& v) {
    return each_lane([&](int i) { return static_cast<float>(v.lane[i]); });
  }

 private:
  static float greater(float a, float b) { return a > b ? a : b; }
  static std::uint32_t load_u16(const std::uint8_t* p) {
    return static_cast<std::uint32_t>(p[0]) | (static_cast<std::uint32_t>(p[1]) << 8);
  }
};

}  // namespace
}  // namespace touchstone
