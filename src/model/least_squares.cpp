#include "model/least_squares.h"

#include <algorithm>
#include <array>
#include <cassert>
#include <cmath>
#include <functional>
#include <utility>

#include "base/error.h"
#include "base/to_size.h"
#include "kernels/parallel.h"

namespace touchstone {
namespace {

constexpr std::int32_t kFactorBlock = 128;  // columns that are factorised at a time

// ---- Sums over tokens ----

template <class Work>
void for_each_chunk(std::int32_t num_tokens, const Work& work) {
  constexpr std::int32_t kTokens = 1024;
  for (std::int32_t begin = 0; begin < num_tokens; begin += kTokens) {
    work(begin, std::min(kTokens, num_tokens - begin));
  }
}

Rows cut_rows(Rows x, std::int32_t begin, std::int32_t count) { return {x.row(begin), count, x.width}; }

/// The columns of x one after the other, each token times the root of its weight.
std::vector<float> transpose_weighted(CpuBackend& on, Rows x, std::span<const float> token_weights) {
  std::vector<float> roots(token_weights.size());
  std::transform(token_weights.begin(), token_weights.end(), roots.begin(),
                 [](float w) { return std::sqrt(w); });
  std::vector<float> columns(to_size(x.width) * to_size(x.count));
  for_each(on.pool(), x.width, [&](std::int32_t i, int) {
    float* to = columns.data() + to_size(i) * to_size(x.count);
    for (std::int32_t t = 0; t < x.count; ++t) to[t] = roots[to_size(t)] * x.row(t)[i];
  });
  return columns;
}

/// Columns of x as a product's weights, which sums over tokens.
Linear pack_columns(CpuBackend& on, std::span<const float> columns, std::int32_t num_tokens) {
  const auto width = static_cast<std::int32_t>(columns.size() / to_size(num_tokens));
  const StoredMatrix stored{DType::f32, width, num_tokens, std::as_bytes(columns)};
  return {pack_matrix(stored, PackAs::bfloat16, {}, on.pool()), {}};
}

// ---- Cholesky ----

/// Factorises the block at the diagonal, [count, count] from row and column `first`; pivots are `least` at
/// least.
void factorize_diagonal(const SquareMatrix& h, std::int32_t first, std::int32_t count,
                        std::span<const float> least) {
  for (std::int32_t j = 0; j < count; ++j) {
    float* row = h.row(first + j) + first;
    for (std::int32_t k = 0; k < j; ++k) {
      const float* above = h.row(first + k) + first;
      float sum = row[k];
      for (std::int32_t i = 0; i < k; ++i) sum -= row[i] * above[i];
      row[k] = sum / above[k];
    }
    float pivot = row[j];
    for (std::int32_t i = 0; i < j; ++i) pivot -= row[i] * row[i];
    row[j] = std::sqrt(std::max(pivot, least[to_size(j)]));
  }
}

/// The rows below the block at the diagonal: each is divided by the block's transpose.
void solve_below(CpuBackend& on, const SquareMatrix& h, std::int32_t first, std::int32_t count) {
  std::vector<float> columns(to_size(count) * to_size(count));  // of the block, one after the other
  for (std::int32_t j = 0; j < count; ++j) {
    for (std::int32_t i = j; i < count; ++i)
      columns[to_size(j) * to_size(count) + to_size(i)] = h.row(first + i)[first + j];
  }
  const std::int32_t below = first + count;
  for_each(on.pool(), h.size - below, [&](std::int32_t r, int) {
    float* row = h.row(below + r) + first;
    for (std::int32_t j = 0; j < count; ++j) {
      const float* column = columns.data() + to_size(j) * to_size(count);
      const float x = row[j] / column[j];
      row[j] = x;
      for (std::int32_t i = j + 1; i < count; ++i) row[i] -= x * column[i];
    }
  });
}

/// Subtracts from columns [first, first + count) what the columns before them account for.
void subtract_products(CpuBackend& on, const SquareMatrix& h, std::int32_t first, std::int32_t count) {
  if (first == 0) return;
  std::vector<float> negative(to_size(count) * to_size(first));
  for (std::int32_t j = 0; j < count; ++j) {
    std::transform(h.row(first + j), h.row(first + j) + first, negative.begin() + std::ptrdiff_t{j} * first,
                   std::negate<>());
  }
  const StoredMatrix stored{DType::f32, count, first, std::as_bytes(std::span(negative))};
  const Linear linear{pack_matrix(stored, PackAs::stored, {}, on.pool()), {}};
  const std::int32_t rows = h.size - first;
  on.add_projection({h.row(first), rows, h.size}, linear, {h.row(first) + first, rows, h.size});
}

// ---- Least squares ----

/// x := x H^-1 for 16 rows x, [H's size].
void divide_by_gram(const InputFactors& inputs, std::span<RowLanes> x) {
  for (std::size_t i = 0; i < x.size(); ++i) {
    const float* m = inputs.matrix.row(static_cast<std::int32_t>(i));
    RowLanes sum = x[i];
    for (std::size_t k = 0; k < i; ++k) {
      for (std::size_t r = 0; r < kLanes; ++r) sum[r] -= m[k] * x[k][r];
    }
    x[i] = sum;
  }
  for (std::size_t i = 0; i < x.size(); ++i) {
    for (float& value : x[i]) value /= inputs.pivots[i];
  }
  for (std::size_t i = x.size(); i-- > 0;) {
    const float* m = inputs.matrix.row(static_cast<std::int32_t>(i));
    const RowLanes done = x[i];
    for (std::size_t k = 0; k < i; ++k) {
      for (std::size_t r = 0; r < kLanes; ++r) x[k][r] -= m[k] * done[r];
    }
  }
}

}  // namespace

SquareMatrix::SquareMatrix(std::int32_t size)
    : size(size),
      values(to_size(size) * to_size(size) * sizeof(float), "the statistics of a layer's inputs") {}

void add_gram(CpuBackend& on, Rows x, std::span<const float> token_weights, SquareMatrix& gram) {
  assert(x.width == gram.size && to_size(x.count) == token_weights.size());
  constexpr std::int32_t kRows = 256;  // of the result; a multiple of kLanes
  const std::int32_t n = gram.size;
  for_each_chunk(x.count, [&](std::int32_t begin, std::int32_t count) {
    const auto part = token_weights.subspan(to_size(begin), to_size(count));
    std::vector<float> columns = transpose_weighted(on, cut_rows(x, begin, count), part);
    Linear linear = pack_columns(on, columns, count);
    for (std::int32_t first = 0; first < n; first += kRows) {
      const std::int32_t last = std::min(n, first + kRows);
      linear.weight.rows = last;  // no outputs right of the diagonal's blocks
      on.add_projection({columns.data() + to_size(first) * to_size(count), last - first, count}, linear,
                        {gram.row(first), last - first, n});
    }
  });
}

InputFactors factorize(CpuBackend& on, SquareMatrix gram) {
  const std::int32_t n = gram.size;
  constexpr float kDampening = 0.05F;
  std::vector<float> least(to_size(n));  // of the pivots, as they would be but for rounding
  for (std::int32_t i = 0; i < n; ++i) {
    float& d = gram.row(i)[i];
    if (!std::isfinite(d)) {
      throw Error("a layer's inputs are not finite when the model reads the calibration text",
                  "the model may be damaged: download it again");
    }
    // Where an input was never anything but zero, its weights are as good as any, and rounded by themselves.
    constexpr float kNothing = 1e-20F;
    least[to_size(i)] = d > kNothing ? kDampening * d : 1.0F;
    d += least[to_size(i)];
  }
  for_each(on.pool(), n, [&](std::int32_t i, int) {
    for (std::int32_t k = i + 1; k < n; ++k) gram.row(i)[k] = gram.row(k)[i];
  });
  std::vector<float> pivots(to_size(n));
  std::array<std::array<float, kFactorBlock>, kFactorBlock> kept;  // at the diagonal, where products write
  for (std::int32_t first = 0; first < n; first += kFactorBlock) {
    const std::int32_t count = std::min(kFactorBlock, n - first);
    for (std::int32_t i = 0; i < count; ++i) {
      std::copy_n(gram.row(first + i) + first, count, kept[to_size(i)].begin());
    }
    subtract_products(on, gram, first, count);
    factorize_diagonal(gram, first, count, std::span(least).subspan(to_size(first)));
    solve_below(on, gram, first, count);
    for (std::int32_t i = 0; i < count; ++i) {
      float* row = gram.row(first + i) + first;
      pivots[to_size(first + i)] = row[i];
      std::copy_n(kept[to_size(i)].begin() + i, count - i, row + i);
    }
  }
  for_each(on.pool(), n, [&](std::int32_t i, int) {
    for (std::int32_t k = 0; k < i; ++k) gram.row(i)[k] /= pivots[to_size(k)];
  });
  for (float& pivot : pivots) pivot *= pivot;
  return {std::move(gram), std::move(pivots)};
}

std::vector<float> fit_weights(CpuBackend& on, const StoredMatrix& weights, TwinRows x, Rows missing,
                               std::span<const float> token_weights, const InputFactors& inputs) {
  assert(x.got.width == weights.columns && inputs.matrix.size == weights.columns);
  const std::int32_t rows = weights.rows, columns = weights.columns;
  const Linear linear{pack_matrix(weights, PackAs::int8, {}, on.pool()), {}};  // near enough for differences
  std::vector<float> sums(to_size(rows) * to_size(columns));
  for_each_chunk(x.got.count, [&](std::int32_t begin, std::int32_t count) {
    const Rows got = cut_rows(x.got, begin, count);
    std::vector<float> x_missing(to_size(count) * to_size(columns)),
        y_missing(to_size(count) * to_size(rows));
    std::transform(x.wanted.row(begin), x.wanted.row(begin + count), got.data, x_missing.begin(),
                   std::minus<>());
    if (missing.data != nullptr) std::copy(missing.row(begin), missing.row(begin + count), y_missing.begin());
    on.add_projection({x_missing.data(), count, columns}, linear, {y_missing.data(), count, rows});
    const auto part = token_weights.subspan(to_size(begin), to_size(count));
    std::vector<float> outputs = transpose_weighted(on, {y_missing.data(), count, rows}, part);
    on.add_projection({outputs.data(), rows, count},
                      pack_columns(on, transpose_weighted(on, got, part), count),
                      {sums.data(), rows, columns});
  });
  std::vector<float> fitted(sums.size());
  for_each(on.pool(), (rows + kLanes - 1) / kLanes, [&](std::int32_t group, int) {
    const std::int32_t first = group * kLanes, last = std::min(rows, first + kLanes);
    std::vector<RowLanes> change(to_size(columns));
    const auto at = [&](std::int32_t row) { return to_size(row) * to_size(columns); };
    for (std::int32_t row = first; row < last; ++row) {
      for (std::size_t i = 0; i < change.size(); ++i) change[i][to_size(row - first)] = sums[at(row) + i];
    }
    divide_by_gram(inputs, change);
    for (std::int32_t row = first; row < last; ++row) {
      const auto to = std::span(fitted).subspan(at(row), change.size());
      read_row(weights, row, to);
      for (std::size_t i = 0; i < change.size(); ++i) to[i] += kTrust * change[i][to_size(row - first)];
    }
  });
  return fitted;
}

}  // namespace touchstone
