#include "kernels/cpu/body.h"
#include "kernels/cpu/vec_scalar.h"

namespace touchstone {

const KernelTable kScalarKernels = make_table<Scalar>();

}  // namespace touchstone
