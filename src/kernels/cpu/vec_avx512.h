// 16 lanes as one AVX-512 register.
#pragma once

#include <immintrin.h>

#include <cstdint>

namespace touchstone {
namespace {

struct Avx512 {
  using Vec = __m512;
#if defined(__AVX512BF16__)
  static constexpr const char* kName = "avx512bf16";
#elif defined(__AVX512VNNI__)
  static constexpr const char* kName = "avx512vnni";
#else
  static constexpr const char* kName = "avx512";
#endif
  static constexpr int kTileTokens = 8, kTilePanels = 3;  // 24 sums, 3 weights, 1 input of 32 registers
  static constexpr int kFewTokens = 8;                    // up to which weights are widened in registers
  static constexpr bool kManyStreams = false;             // whether one token reads several panels at once
#if defined(__AVX512VNNI__)
  static constexpr int kFollowedTokens = 6;  // whose 8-bit weights the processor fetches in time
#else
  static constexpr int kFollowedTokens = 4;
#endif
  static constexpr int kAttentionTile = 15;  // 30 sums, 2 vectors of keys or values

  static Vec zero() { return _mm512_setzero_ps(); }
  static Vec set1(float x) { return _mm512_set1_ps(x); }
  static Vec load(const float* p) { return _mm512_loadu_ps(p); }
  static void store(float* p, Vec v) { _mm512_storeu_ps(p, v); }
  static Vec load_bytes(const std::uint8_t* p) {
    return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))));
  }
  static Vec load_halves(const std::uint8_t* p) {
    return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
  }
  static Vec load_bfloats(const std::uint8_t* p) {
    const __m512i wide = _mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
    return _mm512_castsi512_ps(_mm512_slli_epi32(wide, 16));
  }
  /// The first n floats, the rest zero.
  static Vec load_first(const float* p, int n) { return _mm512_maskz_loadu_ps(first(n), p); }
  static void store_first(float* p, Vec v, int n) {
    if (n >= 16) return store(p, v);  // what a masked store wrote can't be loaded before it is in the cache
    _mm512_mask_storeu_ps(p, first(n), v);
  }
  /// The first n lanes of v, the rest from `other`.
  static Vec keep_first(Vec v, int n, Vec other) { return _mm512_mask_blend_ps(first(n), other, v); }

  static Vec fma(Vec a, Vec b, Vec c) { return _mm512_fmadd_ps(a, b, c); }
  static Vec add(Vec a, Vec b) { return _mm512_add_ps(a, b); }
  static Vec sub(Vec a, Vec b) { return _mm512_sub_ps(a, b); }
  static Vec mul(Vec a, Vec b) { return _mm512_mul_ps(a, b); }
  static Vec div(Vec a, Vec b) { return _mm512_div_ps(a, b); }
  static Vec max(Vec a, Vec b) { return _mm512_max_ps(a, b); }
  static Vec min(Vec a, Vec b) { return _mm512_min_ps(a, b); }
  /// 2^n, n in the low bits of v's representation.
  static Vec power_of_two(Vec v) {
    const __m512i exponent = _mm512_slli_epi32(_mm512_castps_si512(v), 23);
    return _mm512_castsi512_ps(_mm512_add_epi32(exponent, _mm512_set1_epi32(0x3F800000)));
  }
  /// Lane i + lane i+8, then i+4, i+2, i+1.
  static float sum(Vec v) {
    const __m256 eight = _mm256_add_ps(_mm512_castps512_ps256(v), _mm512_extractf32x8_ps(v, 1));
    const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
  }
  static float max_lane(Vec v) {
    const __m256 eight = _mm256_max_ps(_mm512_castps512_ps256(v), _mm512_extractf32x8_ps(v, 1));
    const __m128 four = _mm_max_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    const __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_max_ss(two, _mm_movehdup_ps(two)));
  }
  static float square_root(float x) { return _mm_cvtss_f32(_mm_sqrt_ss(_mm_set_ss(x))); }

  // ---- Pairs of bfloat16: lane i sums the products of two inputs with output i ----

  using Pairs = __m512i;

  static Pairs load_pairs(const std::uint8_t* p) { return _mm512_loadu_si512(p); }
  static Pairs set_pair(const std::uint16_t* p) {
    std::int32_t pair;
    __builtin_memcpy(&pair, p, sizeof pair);
    return _mm512_set1_epi32(pair);
  }
#if defined(__AVX512BF16__)
  static Vec dot_pairs(Vec sum, Pairs w, Pairs x) {
    return _mm512_dpbf16_ps(sum, reinterpret_cast<__m512bh>(w), reinterpret_cast<__m512bh>(x));
  }
#else
  static Vec dot_pairs(Vec sum, Pairs w, Pairs x) {
    return fma(first_of(w), first_of(x), fma(second_of(w), second_of(x), sum));
  }
#endif

  // ---- Integers: lane i sums the products of four inputs with output i ----

  // With __m512i, gcc 12 copies sums to and fro.
  using Ints = std::int32_t __attribute__((vector_size(64)));
  using Bytes = __m512i;
  using Four = __m512i;

  static Ints set_ints(std::int32_t n) { return to_ints(_mm512_set1_epi32(n)); }
  static Bytes load_line(const std::uint8_t* p) {
    Bytes line = _mm512_loadu_si512(p);
    asm("" : "+v"(line));  // GCC 12 copies a line that is used twice to the stack, and reads it there
    return line;
  }
  static Four load_four(const std::int8_t* p) {
    std::int32_t four;
    __builtin_memcpy(&four, p, sizeof four);
    return _mm512_set1_epi32(four);
  }
  /// sum + a * b.
  static Ints add_product(Ints sum, Ints a, Ints b) { return sum + a * b; }
  static Ints load_small_ints(const std::int8_t* p) {
    return to_ints(_mm512_cvtepi8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))));
  }
  /// (v >> shift) & mask of each byte, the mask without the bits that come from its neighbour.
  template <int kShift>
  static Bytes bits(Bytes v, char mask) {
    return _mm512_and_si512(_mm512_srli_epi16(v, kShift), _mm512_set1_epi8(mask));
  }
  static Bytes either(Bytes a, Bytes b) { return _mm512_or_si512(a, b); }
  static Vec to_floats(Ints v) { return _mm512_cvtepi32_ps(reinterpret_cast<__m512i>(v)); }
#if defined(__AVX512VNNI__)
  static Ints dot(Ints sum, Bytes w, Four x) {
    return to_ints(_mm512_dpbusd_epi32(reinterpret_cast<__m512i>(sum), w, x));
  }
#else
  /// In 16 bits the even and the odd products apart: those of 8 bits would overflow where they are added up.
  static Ints dot(Ints sum, Bytes w, Four x) {
    const __m512i even = _mm512_madd_epi16(_mm512_and_si512(w, _mm512_set1_epi16(0xFF)),
                                           _mm512_srai_epi16(_mm512_slli_epi16(x, 8), 8));
    const __m512i odd = _mm512_madd_epi16(_mm512_srli_epi16(w, 8), _mm512_srai_epi16(x, 8));
    return sum + to_ints(_mm512_add_epi32(even, odd));
  }
#endif

 private:
  static Ints to_ints(__m512i v) { return reinterpret_cast<Ints>(v); }
#if !defined(__AVX512BF16__)
  static Vec first_of(Pairs v) { return _mm512_castsi512_ps(_mm512_slli_epi32(v, 16)); }
  static Vec second_of(Pairs v) {
    return _mm512_castsi512_ps(
        _mm512_and_si512(v, _mm512_set1_epi32(static_cast<std::int32_t>(0xFFFF0000U))));
  }
#endif
  static __mmask16 first(int n) {
    return static_cast<__mmask16>(n >= 16 ? 0xFFFFU : n <= 0 ? 0U : (1U << n) - 1U);
  }
};

}  // namespace
}  // namespace touchstone
