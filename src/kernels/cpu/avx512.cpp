#include "kernels/cpu/body.h"
#include "kernels/cpu/vec_avx512.h"

namespace touchstone {

const KernelTable kAvx512Kernels = make_table<Avx512>();

}  // namespace touchstone
