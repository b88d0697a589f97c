#include "kernels/roofline.h"

#include <immintrin.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <span>

#include "base/clock.h"
#include "base/error.h"
#include "base/to_size.h"
#include "kernels/cpu/tiles.h"

namespace touchstone {
namespace {

// More than the last-level caches of today's servers, within what a small machine can spare.
constexpr std::size_t kReadBytesMax = std::size_t{1} << 30;
constexpr int kRounds = 5;
constexpr std::int64_t kFmaIterations = 4'000'000;
// Enough independent chains to cover a latency of 4 cycles at two a cycle, with some to spare.
constexpr int kChains = 12;
/// What memory delivers at a time, in 64-bit words.
constexpr std::size_t kLineWords = 8;
constexpr std::size_t kLineBytes = kLineWords * sizeof(std::uint64_t);

/// Sums the words of lines in independent chains, so that memory is the limit; reads them as so many
/// streams side by side.
std::uint64_t sum_lines(const std::uint64_t* words, std::size_t num_lines, std::size_t streams) {
  const std::size_t lines_each = num_lines / streams;
  std::uint64_t sums[kLineWords] = {};
  for (std::size_t line = 0; line < lines_each; ++line) {
    for (std::size_t stream = 0; stream < streams; ++stream) {
      const std::uint64_t* from = words + (stream * lines_each + line) * kLineWords;
      for (std::size_t i = 0; i < kLineWords; ++i) sums[i] += from[i];
    }
  }
  std::uint64_t total = 0;
  for (const std::uint64_t sum : sums) total += sum;
  return total;
}

__attribute__((target("avx512f"))) float burn_avx512() {
  __m512 chains[kChains];
  for (__m512& chain : chains) chain = _mm512_set1_ps(1.0F);
  const __m512 factor = _mm512_set1_ps(0.999F);
  for (std::int64_t i = 0; i < kFmaIterations; ++i) {
#pragma GCC unroll 12
    for (__m512& chain : chains) chain = _mm512_fmadd_ps(chain, factor, factor);
  }
  float sum = 0;
  for (const __m512& chain : chains) sum += _mm512_cvtss_f32(chain);
  return sum;
}

__attribute__((target("avx2,fma"))) float burn_avx2() {
  __m256 chains[kChains];
  for (__m256& chain : chains) chain = _mm256_set1_ps(1.0F);
  const __m256 factor = _mm256_set1_ps(0.999F);
  for (std::int64_t i = 0; i < kFmaIterations; ++i) {
#pragma GCC unroll 12
    for (__m256& chain : chains) chain = _mm256_fmadd_ps(chain, factor, factor);
  }
  float sum = 0;
  for (const __m256& chain : chains) sum += _mm256_cvtss_f32(chain);
  return sum;
}

// As vectors of 32-bit integers: with __m512i, gcc 12 copies every chain in every step.
using Ints16 = std::int32_t __attribute__((vector_size(64)));
using Ints8 = std::int32_t __attribute__((vector_size(32)));

__attribute__((target("avx512f,avx512vnni"))) float burn_avx512vnni() {
  Ints16 chains[kChains];
  for (int i = 0; i < kChains; ++i) chains[i] = reinterpret_cast<Ints16>(_mm512_set1_epi32(i));
  const __m512i ones = _mm512_set1_epi8(1);
  for (std::int64_t i = 0; i < kFmaIterations; ++i) {
    __m512i factor = ones;
    __asm__("" : "+v"(factor));  // or the compiler adds up the constants itself
#pragma GCC unroll 12
    for (Ints16& chain : chains) {
      chain = reinterpret_cast<Ints16>(_mm512_dpbusd_epi32(reinterpret_cast<__m512i>(chain), factor, ones));
    }
  }
  std::int32_t sum = 0;
  for (const Ints16& chain : chains) sum += chain[0];
  return static_cast<float>(sum);
}

/// Six sums, each once a half.
__attribute__((target("amx-tile,amx-int8"))) float burn_amx() {
  static_assert(kChains == 12);
  start_tiles();
  for (std::int64_t i = 0; i < 2 * kFmaIterations; ++i) {
    _tile_dpbsud(0, 6, 7);
    _tile_dpbsud(1, 6, 7);
    _tile_dpbsud(2, 6, 7);
    _tile_dpbsud(3, 6, 7);
    _tile_dpbsud(4, 6, 7);
    _tile_dpbsud(5, 6, 7);
  }
  stop_tiles();
  return 0;
}

__attribute__((target("amx-tile,amx-bf16"))) float burn_amx_bf16() {
  start_tiles();
  for (std::int64_t i = 0; i < 2 * kFmaIterations; ++i) {
    _tile_dpbf16ps(0, 6, 7);
    _tile_dpbf16ps(1, 6, 7);
    _tile_dpbf16ps(2, 6, 7);
    _tile_dpbf16ps(3, 6, 7);
    _tile_dpbf16ps(4, 6, 7);
    _tile_dpbf16ps(5, 6, 7);
  }
  stop_tiles();
  return 0;
}

__attribute__((target("avx512f,avx512bf16"))) float burn_avx512bf16() {
  __m512 chains[kChains];
  for (__m512& chain : chains) chain = _mm512_set1_ps(1.0F);
  const auto ones = reinterpret_cast<__m512bh>(_mm512_set1_epi16(0x3F80));
  for (std::int64_t i = 0; i < kFmaIterations; ++i) {
#pragma GCC unroll 12
    for (__m512& chain : chains) chain = _mm512_dpbf16_ps(chain, ones, ones);
  }
  float sum = 0;
  for (const __m512& chain : chains) sum += _mm512_cvtss_f32(chain);
  return sum;
}

__attribute__((target("avx2,avxvnni"))) float burn_avxvnni() {
  Ints8 chains[kChains];
  for (int i = 0; i < kChains; ++i) chains[i] = reinterpret_cast<Ints8>(_mm256_set1_epi32(i));
  const __m256i ones = _mm256_set1_epi8(1);
  for (std::int64_t i = 0; i < kFmaIterations; ++i) {
    __m256i factor = ones;
    __asm__("" : "+x"(factor));
#pragma GCC unroll 12
    for (Ints8& chain : chains) {
      chain =
          reinterpret_cast<Ints8>(_mm256_dpbusd_avx_epi32(reinterpret_cast<__m256i>(chain), factor, ones));
    }
  }
  std::int32_t sum = 0;
  for (const Ints8& chain : chains) sum += chain[0];
  return static_cast<float>(sum);
}

/// Products of 16 bits: AVX2 has none of 8 whose sums are exact.
__attribute__((target("avx2"))) float burn_avx2_ints() {
  Ints8 chains[kChains];
  for (int i = 0; i < kChains; ++i) chains[i] = reinterpret_cast<Ints8>(_mm256_set1_epi32(i));
  const __m256i ones = _mm256_set1_epi16(1);
  for (std::int64_t i = 0; i < kFmaIterations; ++i) {
#pragma GCC unroll 12
    for (Ints8& chain : chains) {
      __m256i factor = ones;
      __asm__ volatile("" : "+x"(factor));  // or the compiler does the product once
      chain += reinterpret_cast<Ints8>(_mm256_madd_epi16(factor, ones));
    }
  }
  std::int32_t sum = 0;
  for (const Ints8& chain : chains) sum += chain[0];
  return static_cast<float>(sum);
}

/// Without vector FMA: separate multiply and add, which is what the processor has.
float burn_scalar() {
  float chains[kChains];
  for (float& chain : chains) chain = 1.0F;
  for (std::int64_t i = 0; i < kFmaIterations; ++i) {
    for (float& chain : chains) chain = chain * 0.999F + 0.999F;
  }
  float sum = 0;
  for (const float chain : chains) sum += chain;
  return sum;
}

/// Operations a second of `burn`, whose step on a chain does `products` products and as many sums.
double measure_peak(ThreadPool& pool, float (*burn)(), int products) {
  double best = 0;
  std::atomic<float> sink = 0;
  for (int round = 0; round < kRounds; ++round) {
    const auto start = Clock::now();
    pool.run([&](int) { sink.store(burn(), std::memory_order_relaxed); });
    const double flops = 2.0 * products * kChains * static_cast<double>(kFmaIterations) * pool.size();
    best = std::max(best, flops / seconds_since(start));
  }
  return best;
}

/// Each thread's part of the memory that is read, in whole lines.
std::span<std::uint64_t> part_of(const Buffer& memory, int thread, int num_threads) {
  const std::size_t words = memory.size() / kLineBytes / to_size(num_threads) * kLineWords;
  return {reinterpret_cast<std::uint64_t*>(memory.data()) + words * to_size(thread), words};
}

}  // namespace

Buffer allocate_read_buffer(ThreadPool& pool) {
  const auto available =
      static_cast<std::size_t>(sysconf(_SC_AVPHYS_PAGES)) * static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  const std::size_t part = std::min(kReadBytesMax, available / 4) / kLineBytes / to_size(pool.size());
  if (part == 0) throw Error("no memory to measure the read bandwidth with", "close other programs");
  Buffer memory(part * kLineBytes * to_size(pool.size()), "measuring the read bandwidth");
  pool.run([&](int thread) {
    std::ranges::fill(part_of(memory, thread, pool.size()), static_cast<std::uint64_t>(thread) + 1);
  });
  return memory;
}

double measure_reads(ThreadPool& pool, const Buffer& memory, int rounds) {
  double best = 0;
  std::atomic<std::uint64_t> sink = 0;
  for (const std::size_t streams : {1U, 3U}) {  // processors differ in which memory delivers faster
    const std::size_t lines = part_of(memory, 0, pool.size()).size() / kLineWords / streams * streams;
    for (int round = 0; round < rounds; ++round) {
      const auto start = Clock::now();
      pool.run([&](int thread) {
        const std::uint64_t* words = part_of(memory, thread, pool.size()).data();
        sink.fetch_add(sum_lines(words, lines, streams), std::memory_order_relaxed);
      });
      const auto bytes = static_cast<double>(lines * kLineBytes * to_size(pool.size()));
      best = std::max(best, bytes / seconds_since(start));
    }
  }
  return best;
}

Roofline measure_roofline(ThreadPool& pool, const std::string& isa) {
  Roofline roofline{.isa = isa};
  roofline.read_bytes_per_s = measure_reads(pool, allocate_read_buffer(pool), kRounds);
  if (isa == "scalar") {
    roofline.fma_flops = roofline.bf16_flops = roofline.int8_ops = measure_peak(pool, burn_scalar, 1);
    return roofline;
  }
  const bool is_avx2 = isa == "avx2" || isa == "avxvnni";
  const bool has_vnni = isa == "avx512vnni" || isa == "avx512bf16";
  roofline.fma_flops = is_avx2 ? measure_peak(pool, burn_avx2, 8) : measure_peak(pool, burn_avx512, 16);
  roofline.bf16_flops = isa == "amx"          ? measure_peak(pool, burn_amx_bf16, 16 * 16 * 32)
                        : isa == "avx512bf16" ? measure_peak(pool, burn_avx512bf16, 32)
                                              : roofline.fma_flops;
  roofline.int8_ops = isa == "amx"       ? measure_peak(pool, burn_amx, 16 * 16 * 64)
                      : has_vnni         ? measure_peak(pool, burn_avx512vnni, 64)
                      : isa == "avxvnni" ? measure_peak(pool, burn_avxvnni, 32)
                                         : measure_peak(pool, burn_avx2_ints, 16);
  return roofline;
}

}  // namespace touchstone
