#include "kernels/cpu/body_int.h"
#include "kernels/cpu/vec_avx2.h"

namespace touchstone {

const KernelTable kAvxVnniKernels = make_table<Avx2>();

}  // namespace touchstone
