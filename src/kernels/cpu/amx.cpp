#if defined(__GNUC__) && !defined(__clang__)
// gcc 12 takes _mm512_undefined_ps() of its own header for a mistake.
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"
#endif

#include "kernels/cpu/body_int.h"
#include "kernels/cpu/vec_amx.h"

namespace touchstone {

const KernelTable kAmxKernels = make_table<Amx>();

}  // namespace touchstone
