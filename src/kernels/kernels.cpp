#include "kernels/kernels.h"

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

bool has_avx512() {
  return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}

bool has_avx512vnni() { return has_avx512() && __builtin_cpu_supports("avx512vnni"); }

/// Fastest first.
std::vector<Choice> list_choices() {
  return {{&kAvx512VnniKernels, has_avx512vnni()},
          {&kAvx512Kernels, has_avx512()},
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
