#include "kernels/cpu/body_int.h"
#include "kernels/cpu/vec_scalar.h"

namespace touchstone {

const KernelTable kScalarKernels = make_table<Scalar>();

}  // namespace touchstone
