// Rounding a weight matrix so that the outputs of its layer change little: GPTQ (Frantar et al. 2022) in the
// form of LDLQ (Chee et al. 2023, "QuIP"), which makes the same choices and inverts no matrix. Columns are
// rounded one after the other, and each is moved first by what makes up for the errors of those before it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/dtype.h"
#include "kernels/cpu_backend.h"
#include "model/least_squares.h"

namespace touchstone {

inline constexpr int kSweeps = 3;  // each is worth less than the one before

/// The rows of `weights` in blocks of int8_128 or int4_128, [rows, dtype_bytes(to, columns)]. The columns are
/// rounded from the last to the first; a block's scale and factors are chosen from the weights as they have
/// been moved by then, for the least error of the outputs. Then each block's scale and each column's integers
/// are chosen again with all the others as they are, `num_sweeps` times (coordinate descent, as in
/// "QuantEase", Behdin et al. 2023).
std::vector<std::byte> round_with_feedback(CpuBackend& on, const StoredMatrix& weights,
                                           const InputFactors& inputs, DType to, int num_sweeps = kSweeps);

}  // namespace touchstone
