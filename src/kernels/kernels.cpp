#include "kernels/kernels.h"

#if defined(__x86_64__)
#include <asm/prctl.h>
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

#include <algorithm>
#include <chrono>
#include <string>

#include "base/error.h"

namespace touchstone {
namespace {

struct Choice {
  const KernelTable* kernels;
  bool available;
};

#if defined(__x86_64__)

/// No CPU has AVX2 and FMA without F16C, which not every compiler can ask for.
bool has_avx2() { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }

/// Not every compiler that has the instructions knows their name: CPUID leaf 7.1, EAX bit 4.
bool has_avxvnni() {
  unsigned a = 0, b = 0, c = 0, d = 0;
  return has_avx2() && __get_cpuid_count(7, 1, &a, &b, &c, &d) != 0 && (a >> 4 & 1U) != 0;
}

bool has_avx512() {
  return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}

bool has_avx512vnni() { return has_avx512() && __builtin_cpu_supports("avx512vnni"); }

bool has_avx512bf16() { return has_avx512vnni() && __builtin_cpu_supports("avx512bf16"); }

/// Matrix tiles of bfloat16 and of 8-bit integers: CPUID leaf 7, EDX bits 22, 24 and 25. The system lends a
/// process their registers when it asks.
bool has_amx() {
  constexpr unsigned kTileBits = 13U << 22;
  constexpr long kTileData = 18;  // the registers' number in XCR0
  unsigned a = 0, b = 0, c = 0, d = 0;
  return has_avx512bf16() && __get_cpuid_count(7, 0, &a, &b, &c, &d) != 0 && (d & kTileBits) == kTileBits &&
         syscall(SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, kTileData) == 0;
}

/// The time of products of bfloat16 from the first-level cache, the best of several.
double time_pairs(const KernelTable& kernels) {
  constexpr std::int32_t kInputs = 256;
  constexpr std::int32_t kPanels = 3;
  constexpr std::int32_t kTokens = 8;
  const std::vector<std::uint8_t> panels(std::size_t{kPanels} * kInputs * kLanes * 2);
  const std::vector<std::uint16_t> x(std::size_t{kTokens} * kInputs);
  std::vector<float> sums(std::size_t{kTokens} * kSumStride);
  const PanelMatrix weights{PanelFormat::bf16_pairs, kInputs, std::size_t{kInputs} * kLanes * 2,
                            panels.data()};
  double best = 1;
  for (int round = 0; round < 100; ++round) {
    const auto start = std::chrono::steady_clock::now();
    kernels.multiply_pairs(weights, 0, kPanels, x.data(), kTokens, kTokens, sums.data());
    const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
    best = std::min(best, elapsed.count());
  }
  return best;
}

/// On some CPUs VDPBF16PS is half as fast as widening to float32, on others twice as fast.
bool is_bf16_faster() {
  static const bool faster = time_pairs(kAvx512Bf16Kernels) < time_pairs(kAvx512VnniKernels);
  return faster;
}

/// Fastest first.
std::vector<Choice> list_choices() {
  const bool bf16 = has_avx512bf16();
  const bool bf16_first = bf16 && is_bf16_faster();
  const Choice tiles{&kAmxKernels, has_amx()};
  const Choice dots{&kAvx512Bf16Kernels, bf16};
  const Choice widens{&kAvx512VnniKernels, has_avx512vnni()};
  return {tiles,
          bf16_first ? dots : widens,
          bf16_first ? widens : dots,
          {&kAvx512Kernels, has_avx512()},
          {&kAvxVnniKernels, has_avxvnni()},
          {&kAvx2Kernels, has_avx2()},
          {&kScalarKernels, true}};
}

#else

std::vector<Choice> list_choices() { return {{&kScalarKernels, true}}; }

#endif

}  // namespace

const KernelTable& choose_kernels(std::string_view isa) {
  std::string names = "auto";
  for (const Choice& choice : list_choices()) {
    const std::string_view name = choice.kernels->isa;
    if (choice.available && (isa == "auto" || isa == name)) return *choice.kernels;
    if (isa == name) {
      throw Error("this CPU has no " + std::string(isa) + " instructions",
                  "leave --isa out, or use --isa auto");
    }
    if (choice.available) names += ", " + std::string(name);
  }
  throw Error("instruction set '" + std::string(isa) + "' is not known", "this machine has: " + names);
}

}  // namespace touchstone
