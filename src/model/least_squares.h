// The statistics of a layer's inputs, and the weights of least squares that follow from them.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "kernels/cpu_backend.h"

namespace touchstone {

/// Numbers of 16 rows, side by side.
using RowLanes = std::array<float, kLanes>;

/// A square matrix of floats, row-major.
struct SquareMatrix {
  std::int32_t size = 0;
  Buffer values;

  explicit SquareMatrix(std::int32_t size);
  float* row(std::int32_t i) const {
    return values.floats() + static_cast<std::size_t>(i) * static_cast<std::size_t>(size);
  }
};

/// gram += the sum of w x x^T over the rows of x and their weights w. The rows times the roots of their
/// weights are rounded to bfloat16: a gram matrix still, and sooner had where the CPU multiplies such. Only
/// the lower triangle is whole.
void add_gram(CpuBackend& on, Rows x, std::span<const float> token_weights, SquareMatrix& gram);

/// A gram matrix H, and its factors: H = M D M^T, M being lower triangular with ones on its diagonal and D
/// diagonal.
struct InputFactors {
  SquareMatrix matrix;        // H on its diagonal and above, M below
  std::vector<float> pivots;  // D
};

/// Factorises a gram matrix (Cholesky), given its lower triangle. Before, the diagonal is made a twentieth
/// larger: some inputs are so much larger than the rest that a part of the diagonal's mean, as GPTQ adds,
/// would drown most of it, and without any the factors learn the texts by heart. Throws Error when the matrix
/// is not finite.
InputFactors factorize(CpuBackend& on, SquareMatrix gram);

/// The same activations in the model as it was, and in the model as it is rounded so far.
struct TwinRows {
  Rows wanted, got;
};

/// How much of what least squares would add to the weights is added: not all, as they learn the texts by
/// heart.
inline constexpr float kTrust = 0.75F;

/// The weights W + kTrust d, [rows, columns]. W x.got falls short of the outputs wanted by
/// y = W (x.wanted - x.got) + missing, and d = (sum of w y x.got^T) H^-1 makes up for it as well as a linear
/// function of x.got can; the sum goes over all tokens and their weights w, and H, x.got's gram matrix with
/// the same weights, is what `inputs` holds. `missing` is [tokens, rows], or empty for zeros. For inputs
/// alone this is the asymmetric calibration of "GPTAQ" (Li et al. 2025).
std::vector<float> fit_weights(CpuBackend& on, const StoredMatrix& weights, TwinRows x, Rows missing,
                               std::span<const float> token_weights, const InputFactors& inputs);

}  // namespace touchstone
