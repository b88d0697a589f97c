// Rounding a weight matrix so that the outputs of its layer change little: GPTQ (Frantar et al. 2022) in the
// form of LDLQ (Chee et al. 2023, "QuIP"), which makes the same choices and inverts no matrix. Columns are
// rounded one after the other, and each is moved first by what makes up for the errors of those before it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/dtype.h"
#include "kernels/cpu_backend.h"

namespace touchstone {

/// A square matrix of floats, row-major.
struct SquareMatrix {
  std::int32_t size = 0;
  Buffer values;

  explicit SquareMatrix(std::int32_t size);
  float* row(std::int32_t i) const {
    return values.floats() + static_cast<std::size_t>(i) * static_cast<std::size_t>(size);
  }
};

/// gram += the sum of x x^T over the rows of x, their numbers rounded to bfloat16: a gram matrix still, and
/// sooner had where the CPU multiplies such. Only the lower triangle is whole.
void add_gram(CpuBackend& on, Rows x, SquareMatrix& gram);

/// A gram matrix H, and its factors: H = M D M^T, M being lower triangular with ones on its diagonal and D
/// diagonal.
struct InputFactors {
  SquareMatrix matrix;        // H on its diagonal and above, M below
  std::vector<float> pivots;  // D
};

/// Factorises a gram matrix (Cholesky), given its lower triangle. Before, the
/// diagonal is made a twentieth larger: some inputs are so much larger than the rest that a part of the
/// diagonal's mean, as GPTQ adds, would drown most of it, and without any the factors learn the texts by
/// heart. Throws Error when the matrix is not finite.
InputFactors factorize(CpuBackend& on, SquareMatrix gram);

inline constexpr int kSweeps = 3;  // each is worth less than the one before

/// The rows of `weights` in blocks of int8_128 or int4_128, [rows, dtype_bytes(to, columns)]. The columns are
/// rounded from the last to the first; a block's scale and factors are chosen from the weights as they have
/// been moved by then, for the least error of the outputs. Then each block's scale and each column's integers
/// are chosen again with all the others as they are, `num_sweeps` times (coordinate descent, as in
/// "QuantEase", Behdin et al. 2023).
std::vector<std::byte> round_with_feedback(CpuBackend& on, const StoredMatrix& weights,
                                           const InputFactors& inputs, DType to, int num_sweeps = kSweeps);

}  // namespace touchstone
