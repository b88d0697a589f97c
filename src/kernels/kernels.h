// kernels/: what runs on the silicon. One table of functions per instruction set, chosen once at load; cpu/ holds the bodies.
//
// Law (tested): every output element is summed in one fixed order that depends on shapes alone. So a result has the same bits for any
// number of tokens in the call, any number of threads, and any instruction set: the scalar table is the specification of the others.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "base/dtype.h"

namespace touchstone {

/// (To be completed by the implementation: packed weights, the table of kernels, dispatch by --isa.)

}  // namespace touchstone
