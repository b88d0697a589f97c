#if defined(__GNUC__) && !defined(__clang__)
// gcc 12 takes _mm512_undefined_ps() of its own header for a mistake.
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"
#endif

#include "kernels/cpu/body_int.h"
#include "kernels/cpu/vec_avx512.h"

namespace touchstone {

const KernelTable kAvx512Bf16Kernels = make_table<Avx512>();

}  // namespace touchstone
