#if defined(__GNUC__) && !defined(__clang__)
// gcc 12 takes _mm512_undefined_ps() of its own header for a mistake.
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"
#endif

#include "kernels/cpu/body_int.h"
#include "kernels/cpu/tiles_bf16.h"
#include "kernels/cpu/vec_amx.h"

namespace touchstone {

constinit const KernelTable kAmxKernels = [] {
  KernelTable table = make_table<Amx>();
  table.multiply_pairs_in_tiles = multiply_pairs_in_tiles;
  return table;
}();

}  // namespace touchstone
