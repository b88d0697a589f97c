#include "model/gptq.h"

#include <algorithm>
#include <array>
#include <cassert>
#include <cmath>
#include <cstring>
#include <limits>
#include <memory>
#include <span>
#include <utility>

#include "base/to_size.h"
#include "kernels/int_blocks.h"
#include "kernels/parallel.h"

namespace touchstone {
namespace {

/// Inputs of a block.
constexpr std::int32_t kBlock = kIntGroup;

/// Weights whose row o is column o of `rows`: weight(o, k) = rows[k * stride + o].
PackedMatrix pack_transposed(const float* rows, std::size_t stride, std::int32_t num_inputs,
                             std::int32_t num_outputs) {
  PackedMatrix packed;
  packed.rows = num_outputs;
  packed.columns = num_inputs;
  packed.format = PanelFormat::f32;
  packed.panel_bytes = to_size(num_inputs) * kLanes * sizeof(float);
  auto memory = std::make_shared<Buffer>(packed.bytes(), "a matrix product");
  packed.panels = {memory->data(), memory->size()};
  float* to = memory->floats();
  packed.owner = std::move(memory);
  for (std::int32_t first = 0; first < num_outputs; first += kLanes) {
    const std::size_t bytes = to_size(std::min(kLanes, num_outputs - first)) * sizeof(float);
    for (std::int32_t k = 0; k < num_inputs; ++k, to += kLanes) {
      std::memcpy(to, rows + to_size(k) * stride + first, bytes);
    }
  }
  return packed;
}

/// The block of a gram matrix at its diagonal.
using BlockGram = std::array<std::array<float, kBlock>, kBlock>;

/// Sixteen rows of one block on their way to integers, [kBlock]; k counts columns from the block's first.
struct RowBlock {
  std::array<RowLanes, kBlock> weights;  // as they are
  std::array<RowLanes, kBlock> targets;  // as they are to be, to make up for the errors so far
  std::array<RowLanes, kBlock> errors;   // weight - rounded weight
  std::array<RowLanes, kBlock> q;
};

/// What the columns of a block have to do with each other: `mixed[k][i]` is M's, for i < k.
struct BlockFactors {
  std::array<std::array<float, kBlock>, kBlock> mixed;
  std::array<float, kBlock> pivots;
};

float round_nearest(float x) {  // ties to even, for |x| < 2^22
  return (x + 12582912.0F) - 12582912.0F;
}

/// Rounds columns [first, last) to multiples of `step` within [low, high], from the last to the first, and
/// gives each row's error of the outputs.
RowLanes round_columns(RowBlock& rows, const BlockFactors& factors, std::size_t first, std::size_t last,
                       const RowLanes& step, float low, float high) {
  RowLanes loss{};
  RowLanes inverse;
  for (std::size_t r = 0; r < kLanes; ++r) inverse[r] = step[r] != 0 ? 1.0F / step[r] : 0.0F;
  for (std::size_t k = last; k-- > first;) {
    RowLanes target = rows.targets[k];
    for (std::size_t j = k + 1; j < last; ++j) {
      const float mixed = factors.mixed[j][k];
      for (std::size_t r = 0; r < kLanes; ++r) target[r] += rows.errors[j][r] * mixed;
    }
    for (std::size_t r = 0; r < kLanes; ++r) {
      const float q =
          round_nearest(std::min(high, std::max(low, target[r] * inverse[r])));  // a NaN gives low
      const float rounded = q * step[r];
      const float missed = target[r] - rounded;
      rows.q[k][r] = q;
      rows.errors[k][r] = rows.weights[k][r] - rounded;
      loss[r] += factors.pivots[k] * missed * missed;
    }
  }
  return loss;
}

/// Moves the targets of columns [0, first) by the errors of [first, last).
void feed_back(RowBlock& rows, const BlockFactors& factors, std::size_t first, std::size_t last) {
  for (std::size_t k = 0; k < first; ++k) {
    for (std::size_t j = first; j < last; ++j) {
      const float mixed = factors.mixed[j][k];
      for (std::size_t r = 0; r < kLanes; ++r) rows.targets[k][r] += rows.errors[j][r] * mixed;
    }
  }
}

RowLanes find_magnitudes(const RowBlock& rows, std::size_t first, std::size_t last) {
  RowLanes most{};
  for (std::size_t k = first; k < last; ++k) {
    for (std::size_t r = 0; r < kLanes; ++r) most[r] = std::max(most[r], std::fabs(rows.targets[k][r]));
  }
  return most;
}

using Int8Blocks = std::array<Int8Block, kLanes>;
using Int4Blocks = std::array<Int4Block, kLanes>;

void round_block(RowBlock& rows, const BlockFactors& factors, std::size_t count, Int8Blocks& blocks) {
  RowLanes scale = find_magnitudes(rows, 0, count);
  for (float& s : scale) s /= 127.0F;
  round_columns(rows, factors, 0, count, scale, -127.0F, 127.0F);
  for (std::size_t r = 0; r < kLanes; ++r) {
    blocks[r].scale = scale[r];
    for (std::size_t k = 0; k < count; ++k) blocks[r].set(k, static_cast<int>(rows.q[k][r]));
  }
}

/// Rounds a part with each factor near what its largest weight asks for, of either sign (-8 has no
/// counterpart), and keeps each row's best.
RowLanes round_part(RowBlock& rows, const BlockFactors& factors, std::size_t first, std::size_t last,
                    const RowLanes& scale) {
  constexpr int kDown = 4, kUp = 1;  // cutting off the largest weights may pay
  RowLanes most = find_magnitudes(rows, first, last);
  RowLanes best, best_factor{};
  best.fill(std::numeric_limits<float>::infinity());
  std::array<RowLanes, kIntPart> best_errors{}, best_q{};
  for (int sign : {-1, 1}) {
    for (int change = -kDown; change <= kUp; ++change) {
      RowLanes factor, step;
      for (std::size_t r = 0; r < kLanes; ++r) {
        const float wanted = scale[r] > 0 ? round_nearest(most[r] / (8.0F * scale[r])) : 1.0F;
        factor[r] = static_cast<float>(sign) * std::clamp(wanted + static_cast<float>(change), 1.0F,
                                                          static_cast<float>(kMostInt4Factor));
        step[r] = factor[r] * scale[r];
      }
      const RowLanes loss = round_columns(rows, factors, first, last, step, -8.0F, 7.0F);
      for (std::size_t r = 0; r < kLanes; ++r) {
        if (!(loss[r] < best[r])) continue;
        best[r] = loss[r];
        best_factor[r] = factor[r];
        for (std::size_t k = first; k < last; ++k) {
          best_errors[k - first][r] = rows.errors[k][r];
          best_q[k - first][r] = rows.q[k][r];
        }
      }
    }
  }
  std::copy_n(best_errors.begin(), last - first, rows.errors.begin() + static_cast<std::ptrdiff_t>(first));
  std::copy_n(best_q.begin(), last - first, rows.q.begin() + static_cast<std::ptrdiff_t>(first));
  return best_factor;
}

void round_block(RowBlock& rows, const BlockFactors& factors, std::size_t count, Int4Blocks& blocks) {
  RowLanes scale = find_magnitudes(rows, 0, count);
  for (float& s : scale) s /= 8.0F * kMostInt4Factor;
  for (std::size_t r = 0; r < kLanes; ++r) blocks[r].scale = scale[r];
  for (std::size_t part = kPartsInBlock; part-- > 0;) {
    const std::size_t first = part * kIntPart;
    const std::size_t last = std::min(first + kIntPart, count);
    if (first >= last) continue;
    const RowLanes factor = round_part(rows, factors, first, last, scale);
    feed_back(rows, factors, first, last);
    for (std::size_t r = 0; r < kLanes; ++r) {
      blocks[r].factors[part] = static_cast<std::int8_t>(factor[r]);
      for (std::size_t k = first; k < last; ++k) blocks[r].set(k, static_cast<int>(rows.q[k][r]));
    }
  }
}

BlockFactors cut_factors(const InputFactors& inputs, std::int32_t first, std::int32_t count) {
  BlockFactors block{};
  for (std::int32_t k = 0; k < count; ++k) {
    std::copy_n(inputs.matrix.row(first + k) + first, k, block.mixed[to_size(k)].begin());
    block.pivots[to_size(k)] = inputs.pivots[to_size(first + k)];
  }
  return block;
}

/// A matrix on its way to integers.
struct Rounding {
  std::int32_t rows, columns;
  std::vector<float> weights;  // [rows, columns]
  std::vector<float> targets;  // [rows, columns]
  std::vector<float> errors;   // [rows, columns]
  std::vector<std::byte> blocks;

  std::size_t at(std::int32_t row, std::int32_t column) const {
    return to_size(row) * to_size(columns) + to_size(column);
  }
  std::byte* block(std::int32_t row, std::int32_t column, std::size_t bytes) {
    return blocks.data() + to_size(row) * (blocks.size() / to_size(rows)) + to_size(column / kBlock) * bytes;
  }
};

/// Rounds one block of the 16 rows from `first_row` on, and writes its errors.
template <class Blocks>
void round_rows(Rounding& m, const BlockFactors& factors, std::int32_t first_row, std::int32_t first_column,
                std::int32_t count) {
  const std::int32_t num_rows = std::min(kLanes, m.rows - first_row);
  RowBlock rows{};
  for (std::int32_t r = 0; r < num_rows; ++r) {
    const std::size_t at = m.at(first_row + r, first_column);
    for (std::size_t k = 0; k < to_size(count); ++k) {
      rows.weights[k][to_size(r)] = m.weights[at + k];
      rows.targets[k][to_size(r)] = m.targets[at + k];
    }
  }
  Blocks blocks{};
  round_block(rows, factors, to_size(count), blocks);
  for (std::int32_t r = 0; r < num_rows; ++r) {
    float* errors = m.errors.data() + m.at(first_row + r, first_column);
    for (std::size_t k = 0; k < to_size(count); ++k) errors[k] = rows.errors[k][to_size(r)];
    const auto& block = blocks[to_size(r)];
    std::memcpy(m.block(first_row + r, first_column, sizeof block), &block, sizeof block);
  }
}

// ---- Coordinate descent ----

/// Sixteen rows of one block whose integers are chosen again.
struct RefinedRows {
  std::array<RowLanes, kBlock> q, step;  // weight = q * step
  std::array<RowLanes, kBlock> errors;
  std::array<RowLanes, kBlock>
      slopes;  // errors * gram: half of what the outputs' error changes with an error
};

/// Changes all errors of a column by `change`, as the slopes of columns [0, last) come to feel.
void move_errors(RefinedRows& rows, const BlockGram& gram, std::size_t k, std::size_t last,
                 const RowLanes& change) {
  for (std::size_t r = 0; r < kLanes; ++r) rows.errors[k][r] += change[r];
  for (std::size_t j = 0; j < last; ++j) {
    const float related = gram[k][j];
    for (std::size_t r = 0; r < kLanes; ++r) rows.slopes[j][r] += change[r] * related;
  }
}

/// Multiplies all steps of a row by one factor, that of least squares, which is returned.
RowLanes refit_steps(RefinedRows& rows, const BlockGram& gram, std::size_t count) {
  RowLanes slope{}, curvature{};
  for (std::size_t k = 0; k < count; ++k) {
    RowLanes product{};
    for (std::size_t j = 0; j < count; ++j) {
      for (std::size_t r = 0; r < kLanes; ++r) product[r] += gram[k][j] * rows.q[j][r] * rows.step[j][r];
    }
    for (std::size_t r = 0; r < kLanes; ++r) {
      const float rounded = rows.q[k][r] * rows.step[k][r];
      slope[r] += rounded * rows.slopes[k][r];
      curvature[r] += rounded * product[r];
    }
  }
  RowLanes factor;
  for (std::size_t r = 0; r < kLanes; ++r) {
    factor[r] = curvature[r] > 0 ? std::max(0.5F, 1.0F + slope[r] / curvature[r]) : 1.0F;
  }
  for (std::size_t k = 0; k < count; ++k) {
    RowLanes change;
    for (std::size_t r = 0; r < kLanes; ++r) {
      const float step = rows.step[k][r];
      rows.step[k][r] = step * factor[r];
      change[r] = rows.q[k][r] * (step - rows.step[k][r]);
    }
    move_errors(rows, gram, k, count, change);
  }
  return factor;
}

/// Chooses each column's integers within [low, high] anew, from the last to the first.
void refine_columns(RefinedRows& rows, const BlockGram& gram, std::size_t count, float low, float high) {
  for (std::size_t k = count; k-- > 0;) {
    RowLanes change;
    for (std::size_t r = 0; r < kLanes; ++r) {
      const float step = rows.step[k][r];
      const float wanted = step != 0 ? rows.q[k][r] + rows.slopes[k][r] / gram[k][k] / step : 0.0F;
      const float q = round_nearest(std::min(high, std::max(low, wanted)));  // a NaN gives low
      change[r] = (rows.q[k][r] - q) * step;
      rows.q[k][r] = q;
    }
    move_errors(rows, gram, k, k, change);
  }
}

float step_of(const Int8Block& block, std::size_t) { return block.scale; }
float step_of(const Int4Block& block, std::size_t k) {
  return block.scale * static_cast<float>(block.factors[k / kIntPart]);
}

/// Chooses one block of the 16 rows from `first_row` on anew; the targets hold its slopes.
template <class Block>
void refine_rows(Rounding& m, const BlockGram& gram, std::int32_t first_row, std::int32_t first_column,
                 std::int32_t count, float low, float high) {
  const std::int32_t num_rows = std::min(kLanes, m.rows - first_row);
  RefinedRows rows{};
  std::array<Block, kLanes> blocks;
  for (std::int32_t i = 0; i < num_rows; ++i) {
    const std::size_t r = to_size(i), at = m.at(first_row + i, first_column);
    std::memcpy(&blocks[r], m.block(first_row + i, first_column, sizeof(Block)), sizeof(Block));
    for (std::size_t k = 0; k < to_size(count); ++k) {
      rows.q[k][r] = static_cast<float>(blocks[r].get(k));
      rows.step[k][r] = step_of(blocks[r], k);
      rows.errors[k][r] = m.errors[at + k];
      rows.slopes[k][r] = m.targets[at + k];
    }
  }
  const RowLanes factor = refit_steps(rows, gram, to_size(count));
  refine_columns(rows, gram, to_size(count), low, high);
  for (std::int32_t i = 0; i < num_rows; ++i) {
    const std::size_t r = to_size(i), at = m.at(first_row + i, first_column);
    blocks[r].scale *= factor[r];
    for (std::size_t k = 0; k < to_size(count); ++k) {
      blocks[r].set(k, static_cast<int>(rows.q[k][r]));
      m.errors[at + k] = rows.errors[k][r];
    }
    std::memcpy(m.block(first_row + i, first_column, sizeof(Block)), &blocks[r], sizeof(Block));
  }
}

/// Goes once over all blocks.
void refine(CpuBackend& on, const SquareMatrix& gram, DType to, Rounding& m) {
  std::vector<float> related(to_size(kBlock) * to_size(m.columns));  // a block's rows of the gram matrix
  for (std::int32_t first = (m.columns - 1) / kBlock * kBlock; first >= 0; first -= kBlock) {
    const std::int32_t count = std::min(kBlock, m.columns - first);
    BlockGram block{};
    for (std::int32_t k = 0; k < count; ++k) {
      float* row = related.data() + to_size(k) * to_size(m.columns);
      for (std::int32_t j = 0; j < m.columns; ++j) {
        row[j] = gram.row(std::min(first + k, j))[std::max(first + k, j)];
      }
      std::copy_n(row + first, count, block[to_size(k)].begin());
    }
    for (std::int32_t r = 0; r < m.rows; ++r) std::fill_n(m.targets.data() + m.at(r, first), count, 0.0F);
    const auto used = std::span(related).first(to_size(count) * to_size(m.columns));
    const StoredMatrix stored{DType::f32, count, m.columns, std::as_bytes(used)};
    const Linear linear{pack_matrix(stored, PackAs::stored, {}, on.pool()), {}};
    on.add_projection({m.errors.data(), m.rows, m.columns}, linear,
                      {m.targets.data() + first, m.rows, m.columns});
    for_each(on.pool(), (m.rows + kLanes - 1) / kLanes, [&](std::int32_t i, int) {
      if (to == DType::int8_128) {
        refine_rows<Int8Block>(m, block, i * kLanes, first, count, -127.0F, 127.0F);
      } else {
        refine_rows<Int4Block>(m, block, i * kLanes, first, count, -8.0F, 7.0F);
      }
    });
  }
}

}  // namespace

std::vector<std::byte> round_with_feedback(CpuBackend& on, const StoredMatrix& weights,
                                           const InputFactors& inputs, DType to, int num_sweeps) {
  assert((to == DType::int8_128 || to == DType::int4_128) && inputs.matrix.size == weights.columns);
  Rounding m{.rows = weights.rows,
             .columns = weights.columns,
             .weights = {},
             .targets = {},
             .errors = {},
             .blocks = {}};
  const std::size_t columns = to_size(m.columns);
  m.weights.resize(to_size(m.rows) * columns);
  m.blocks.resize(to_size(m.rows) * dtype_bytes(to, columns));
  for_each(on.pool(), m.rows, [&](std::int32_t r, int) {
    read_row(weights, r, std::span(m.weights).subspan(to_size(r) * columns, columns));
  });
  m.targets = m.weights;
  m.errors.resize(m.weights.size());
  for (std::int32_t first = (m.columns - 1) / kBlock * kBlock; first >= 0; first -= kBlock) {
    const std::int32_t count = std::min(kBlock, m.columns - first);
    const BlockFactors factors = cut_factors(inputs, first, count);
    for_each(on.pool(), (m.rows + kLanes - 1) / kLanes, [&](std::int32_t i, int) {
      if (to == DType::int8_128) {
        round_rows<Int8Blocks>(m, factors, i * kLanes, first, count);
      } else {
        round_rows<Int4Blocks>(m, factors, i * kLanes, first, count);
      }
    });
    if (first == 0) break;
    const Linear feedback{pack_transposed(inputs.matrix.row(first), columns, count, first), {}};
    on.add_projection({m.errors.data() + first, m.rows, m.columns}, feedback,
                      {m.targets.data(), m.rows, m.columns});
  }
  for (int i = 0; i < num_sweeps; ++i) refine(on, inputs.matrix, to, m);
  return std::move(m.blocks);
}

}  // namespace touchstone
