// 16 lanes as two AVX2 registers.
#pragma once

#include <immintrin.h>

#include <cstdint>

namespace touchstone {
namespace {

struct Avx2 {
  struct Vec {
    __m256 low, high;
  };
#if defined(__AVXVNNI__)
  static constexpr const char* kName = "avxvnni";
#else
  static constexpr const char* kName = "avx2";
#endif
  static constexpr int kTileTokens = 6, kTilePanels = 1;  // 12 sums, 2 weights, 1 input of 16 registers
  static constexpr int kFewTokens = 4;                    // up to which weights are widened in registers
  static constexpr bool kManyStreams = false;             // whether one token reads several panels at once
  static constexpr int kFollowedTokens = 4;               // whose 8-bit weights the processor fetches in time
  static constexpr int kAttentionTile = 3;

  static Vec zero() { return {_mm256_setzero_ps(), _mm256_setzero_ps()}; }
  static Vec set1(float x) { return {_mm256_set1_ps(x), _mm256_set1_ps(x)}; }
  static Vec load(const float* p) { return {_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)}; }
  static void store(float* p, Vec v) {
    _mm256_storeu_ps(p, v.low);
    _mm256_storeu_ps(p + 8, v.high);
  }
  static Vec load_bytes(const std::uint8_t* p) {
    const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
    return {_mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(bytes)),
            _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_unpackhi_epi64(bytes, bytes)))};
  }
  static Vec load_halves(const std::uint8_t* p) {
    const auto* halves = reinterpret_cast<const __m128i*>(p);
    return {_mm256_cvtph_ps(_mm_loadu_si128(halves)), _mm256_cvtph_ps(_mm_loadu_si128(halves + 1))};
  }
  static Vec load_bfloats(const std::uint8_t* p) {
    const auto* bits = reinterpret_cast<const __m128i*>(p);
    return {widen_bfloats(_mm_loadu_si128(bits)), widen_bfloats(_mm_loadu_si128(bits + 1))};
  }
  /// The first n floats, the rest zero.
  static Vec load_first(const float* p, int n) {
    return {_mm256_maskload_ps(p, first(n)), _mm256_maskload_ps(p + 8, first(n - 8))};
  }
  static void store_first(float* p, Vec v, int n) {
    _mm256_maskstore_ps(p, first(n), v.low);
    _mm256_maskstore_ps(p + 8, first(n - 8), v.high);
  }
  /// The first n lanes of v, the rest from `other`.
  static Vec keep_first(Vec v, int n, Vec other) {
    return {_mm256_blendv_ps(other.low, v.low, _mm256_castsi256_ps(first(n))),
            _mm256_blendv_ps(other.high, v.high, _mm256_castsi256_ps(first(n - 8)))};
  }

  static Vec fma(Vec a, Vec b, Vec c) {
    return {_mm256_fmadd_ps(a.low, b.low, c.low), _mm256_fmadd_ps(a.high, b.high, c.high)};
  }
  static Vec add(Vec a, Vec b) { return {_mm256_add_ps(a.low, b.low), _mm256_add_ps(a.high, b.high)}; }
  static Vec sub(Vec a, Vec b) { return {_mm256_sub_ps(a.low, b.low), _mm256_sub_ps(a.high, b.high)}; }
  static Vec mul(Vec a, Vec b) { return {_mm256_mul_ps(a.low, b.low), _mm256_mul_ps(a.high, b.high)}; }
  static Vec div(Vec a, Vec b) { return {_mm256_div_ps(a.low, b.low), _mm256_div_ps(a.high, b.high)}; }
  static Vec max(Vec a, Vec b) { return {_mm256_max_ps(a.low, b.low), _mm256_max_ps(a.high, b.high)}; }
  static Vec min(Vec a, Vec b) { return {_mm256_min_ps(a.low, b.low), _mm256_min_ps(a.high, b.high)}; }
  /// 2^n, n in the low bits of v's representation.
  static Vec power_of_two(Vec v) { return {power_of_two(v.low), power_of_two(v.high)}; }
  /// Lane i + lane i+8, then i+4, i+2, i+1.
  static float sum(Vec v) {
    const __m256 eight = _mm256_add_ps(v.low, v.high);
    const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
  }
  static float max_lane(Vec v) {
    const __m256 eight = _mm256_max_ps(v.low, v.high);
    const __m128 four = _mm_max_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    const __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_max_ss(two, _mm_movehdup_ps(two)));
  }
  static float square_root(float x) { return _mm_cvtss_f32(_mm_sqrt_ss(_mm_set_ss(x))); }

  // ---- Pairs of bfloat16: lane i sums the products of two inputs with output i ----

  struct Pairs {
    __m256i low, high;
  };

  static Pairs load_pairs(const std::uint8_t* p) {
    const auto* halves = reinterpret_cast<const __m256i*>(p);
    return {_mm256_loadu_si256(halves), _mm256_loadu_si256(halves + 1)};
  }
  static Pairs set_pair(const std::uint16_t* p) {
    std::int32_t pair;
    __builtin_memcpy(&pair, p, sizeof pair);
    return {_mm256_set1_epi32(pair), _mm256_set1_epi32(pair)};
  }
  static Vec dot_pairs(Vec sum, Pairs w, Pairs x) {
    return fma(first_of(w), first_of(x), fma(second_of(w), second_of(x), sum));
  }

  // ---- Integers: lane i sums the products of four inputs with output i ----

  // With __m256i, gcc 12 copies sums to and fro.
  using Ints8 = std::int32_t __attribute__((vector_size(32)));
  struct Ints {
    Ints8 low, high;
  };
  struct Bytes {
    __m256i low, high;
  };
#if defined(__AVXVNNI__)
  using Four = __m256i;
#else
  struct Four {
    __m256i even, odd;  // in 16 bits
  };
#endif

  static Ints set_ints(std::int32_t n) {
    return {to_ints(_mm256_set1_epi32(n)), to_ints(_mm256_set1_epi32(n))};
  }
  static Bytes load_line(const std::uint8_t* p) {
    const auto* halves = reinterpret_cast<const __m256i*>(p);
    return {_mm256_loadu_si256(halves), _mm256_loadu_si256(halves + 1)};
  }
  static Four load_four(const std::int8_t* p) {
    std::int32_t four;
    __builtin_memcpy(&four, p, sizeof four);
    const __m256i x = _mm256_set1_epi32(four);
#if defined(__AVXVNNI__)
    return x;
#else
    return {_mm256_srai_epi16(_mm256_slli_epi16(x, 8), 8), _mm256_srai_epi16(x, 8)};
#endif
  }
  static Ints dot(Ints sum, Bytes w, Four x) { return {dot(sum.low, w.low, x), dot(sum.high, w.high, x)}; }
  /// sum + a * b.
  static Ints add_product(Ints sum, Ints a, Ints b) {
    return {sum.low + a.low * b.low, sum.high + a.high * b.high};
  }
  static Ints load_small_ints(const std::int8_t* p) {
    const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
    return {to_ints(_mm256_cvtepi8_epi32(bytes)),
            to_ints(_mm256_cvtepi8_epi32(_mm_unpackhi_epi64(bytes, bytes)))};
  }
  /// (v >> shift) & mask of each byte, the mask without the bits that come from its neighbour.
  template <int kShift>
  static Bytes bits(Bytes v, char mask) {
    const __m256i masks = _mm256_set1_epi8(mask);
    return {_mm256_and_si256(_mm256_srli_epi16(v.low, kShift), masks),
            _mm256_and_si256(_mm256_srli_epi16(v.high, kShift), masks)};
  }
  static Bytes either(Bytes a, Bytes b) {
    return {_mm256_or_si256(a.low, b.low), _mm256_or_si256(a.high, b.high)};
  }
  static Vec to_floats(Ints v) {
    return {_mm256_cvtepi32_ps(reinterpret_cast<__m256i>(v.low)),
            _mm256_cvtepi32_ps(reinterpret_cast<__m256i>(v.high))};
  }

 private:
  static Ints8 to_ints(__m256i v) { return reinterpret_cast<Ints8>(v); }
  static Vec first_of(Pairs v) {
    return {_mm256_castsi256_ps(_mm256_slli_epi32(v.low, 16)),
            _mm256_castsi256_ps(_mm256_slli_epi32(v.high, 16))};
  }
  static Vec second_of(Pairs v) {
    const __m256i mask = _mm256_set1_epi32(static_cast<std::int32_t>(0xFFFF0000U));
    return {_mm256_castsi256_ps(_mm256_and_si256(v.low, mask)),
            _mm256_castsi256_ps(_mm256_and_si256(v.high, mask))};
  }
#if defined(__AVXVNNI__)
  static Ints8 dot(Ints8 sum, __m256i w, Four x) {
    return to_ints(_mm256_dpbusd_avx_epi32(reinterpret_cast<__m256i>(sum), w, x));
  }
#else
  /// The even and the odd products apart: _mm256_maddubs_epi16 would overflow where it adds them up.
  static Ints8 dot(Ints8 sum, __m256i w, Four x) {
    const __m256i even = _mm256_madd_epi16(_mm256_and_si256(w, _mm256_set1_epi16(0xFF)), x.even);
    const __m256i odd = _mm256_madd_epi16(_mm256_srli_epi16(w, 8), x.odd);
    return sum + to_ints(_mm256_add_epi32(even, odd));
  }
#endif
  static __m256i first(int n) {
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
  }
  static __m256 widen_bfloats(__m128i bits) {
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(bits), 16));
  }
  static __m256 power_of_two(__m256 v) {
    const __m256i exponent = _mm256_slli_epi32(_mm256_castps_si256(v), 23);
    return _mm256_castsi256_ps(_mm256_add_epi32(exponent, _mm256_set1_epi32(0x3F800000)));
  }
};

}  // namespace
}  // namespace touchstone
