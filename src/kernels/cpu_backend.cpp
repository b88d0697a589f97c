#include "kernels/cpu_backend.h"

#include <algorithm>
#include <array>
#include <cassert>
#include <cmath>
#include <cstring>

#include "base/to_size.h"
#include "kernels/int_blocks.h"
#include "kernels/parallel.h"
#include "kernels/quant_blocks.h"

namespace touchstone {
namespace {

/// Below this many numbers a loop is done before a second thread has begun.
constexpr std::int64_t kWorthSharing = 4096;

/// Numbers of bfloat16 that stay in a second-level cache of 2 MiB beside weights and sums.
constexpr std::int64_t kNearActivations = 512 * 1024;

/// Up to this many rows wait for weights more than for anything else: those are read in long streams.
constexpr std::int32_t kFewRows = 8;

std::int32_t divide_up(std::int32_t a, std::int32_t b) { return (a + b - 1) / b; }

/// Runs work(row) for all rows, on all threads if that pays.
template <class Work>
void for_each_row(ThreadPool& pool, std::int32_t count, std::int32_t width, const Work& work) {
  if (std::int64_t{count} * width < kWorthSharing) {
    for (std::int32_t row = 0; row < count; ++row) work(row);
    return;
  }
  for_each(pool, count, [&](std::int32_t row, int) { work(row); });
}

static_assert(kIntGroup == kSumBlock);

/// Runs work(row, first_input, num_inputs) for all blocks of inputs of all rows, on all threads if that pays:
/// some rows of one block after the other, since they are written side by side. A single row's blocks are
/// shared out.
template <class Work>
void for_each_block(ThreadPool& pool, Rows x, const Work& work) {
  const std::int32_t num_blocks = divide_up(x.width, kSumBlock);
  if (x.count == 1 && x.width >= kWorthSharing) {
    return for_each_run(pool, num_blocks, num_blocks, [&](std::int32_t block, std::int32_t count, int) {
      for (const std::int32_t end = block + count; block < end; ++block) {
        const std::int32_t input = block * kSumBlock;
        work(0, input, std::min(kSumBlock, x.width - input));
      }
    });
  }
  const std::int32_t rows = std::clamp(divide_up(x.count, pool.size()), 1, 8);
  for_each_row(pool, divide_up(x.count, rows), rows * x.width, [&](std::int32_t group) {
    const std::int32_t end = std::min(x.count, (group + 1) * rows);
    for (std::int32_t input = 0; input < x.width; input += kSumBlock) {
      const std::int32_t next = input + kSumBlock;
      for (std::int32_t row = group * rows; row < end; ++row) {
        // Other threads have written them, and rows are too short for the processor to foresee them.
        for (std::int32_t i = next; i < std::min(next + kSumBlock, x.width); i += kLanes)
          __builtin_prefetch(x.row(row) + i);
        work(row, input, std::min(kSumBlock, x.width - input));
      }
    }
  });
}

template <class T>
void write_number(std::byte* matrix, std::size_t index, T number) {
  std::memcpy(matrix + index * sizeof number, &number, sizeof number);
}

/// Where one token's numbers go in a block's matrix of `size` numbers: the first at `first`, the others
/// `step` apart.
struct TokenPlace {
  std::byte* matrix;
  std::size_t size, first, step, slot;
};

/// Rounds n numbers to 8 bits, and writes their scale behind the matrix.
void store_token_int8(const float* x, std::size_t n, const TokenPlace& to) {
  const float most = find_magnitude({x, n});
  write_number(to.matrix + to.size, to.slot, most / 127.0F);  // what isn't finite is passed on by the scale
  const float quotient = most > 0 ? 127.0F / most : 0.0F;     // a NaN is not > 0
  const float inverse = std::isfinite(quotient) ? quotient : 0;  // numbers this small become zeros
  for (std::size_t i = 0; i < n; ++i) {
    const float q = inverse > 0 ? std::nearbyint(x[i] * inverse) : 0.0F;
    write_number(to.matrix, to.first + i * to.step, static_cast<std::int8_t>(q));
  }
}

/// Rounds n numbers by `round`, a kernel, and writes them.
void store_token_16(void (*round)(const float*, std::int32_t, std::uint16_t*), const float* x, std::size_t n,
                    const TokenPlace& to) {
  std::array<std::uint16_t, 64> rounded;
  for (std::size_t begin = 0; begin < n; begin += rounded.size()) {
    const std::size_t count = std::min(rounded.size(), n - begin);
    round(x + begin, static_cast<std::int32_t>(count), rounded.data());
    for (std::size_t i = 0; i < count; ++i)
      write_number(to.matrix, to.first + (begin + i) * to.step, rounded[i]);
  }
}

void store_token(const KernelTable& kernels, KvFormat format, const float* x, std::size_t n,
                 const TokenPlace& to) {
  switch (format) {
    case KvFormat::f32:
      for (std::size_t i = 0; i < n; ++i) write_number(to.matrix, to.first + i * to.step, x[i]);
      return;
    case KvFormat::f16:
      return store_token_16(kernels.round_to_f16, x, n, to);
    case KvFormat::bf16:
      return store_token_16(kernels.round_to_bf16, x, n, to);
    case KvFormat::int8:
      return store_token_int8(x, n, to);
  }
}

void add_bias(const Linear& linear, std::int32_t first_output, std::int32_t n, float* sums) {
  if (linear.bias.empty()) return;
  const float* bias = linear.bias.data() + first_output;
  for (std::int32_t o = 0; o < n; ++o) sums[o] += bias[o];
}

/// Where [blocks of kSumBlock inputs, num_rows, kSumBlock] has an input of a row.
std::size_t place_in_blocks(std::int32_t row, std::int32_t input, std::int32_t num_rows) {
  return (to_size(input / kSumBlock) * to_size(num_rows) + to_size(row)) * kSumBlock +
         to_size(input % kSumBlock);
}

}  // namespace

Rows as_input_of(const Linear& linear, Rows x) {
  // Inputs of a last block that is not whole could take more room than x has.
  x.in_bf16_blocks = linear.weight.format == PanelFormat::bf16_pairs && x.width % kSumBlock == 0;
  return x;
}

void extend_rope_table(std::span<const double> inverse_frequencies, std::int32_t num_positions,
                       RopeTable& table) {
  if (num_positions <= table.num_positions) return;
  const std::int32_t first = table.num_positions;
  table.num_positions = std::max(num_positions, first + first / 2);
  for (std::int32_t position = first; position < table.num_positions; ++position) {
    for (const double frequency : inverse_frequencies) {
      const float angle = static_cast<float>(position) * static_cast<float>(frequency);
      table.cos.push_back(static_cast<float>(std::cos(static_cast<double>(angle))));
      table.sin.push_back(static_cast<float>(std::sin(static_cast<double>(angle))));
    }
  }
}

std::size_t kv_head_bytes(KvFormat format, std::int32_t head_dim) {
  const std::size_t numbers = to_size(divide_up(head_dim, kLanes) * kLanes) * kKeysPerBlock;
  switch (format) {
    case KvFormat::f32:
      return numbers * sizeof(float);
    case KvFormat::f16:
    case KvFormat::bf16:
      return numbers * sizeof(std::uint16_t);
    case KvFormat::int8:
      return numbers + kKeysPerBlock * sizeof(float);
  }
  __builtin_unreachable();
}

void extend_key_offsets(std::span<const float> key_bias, const RopeTable& rope, std::int32_t head_dim,
                        std::int32_t num_positions, std::vector<float>& offsets) {
  const std::size_t half = to_size(head_dim) / 2;
  for (std::size_t size = offsets.size(); size / key_bias.size() * kKeysPerBlock < to_size(num_positions);
       size = offsets.size()) {
    const std::size_t middle = size / key_bias.size() * kKeysPerBlock + kKeysPerBlock / 2;
    assert(middle < to_size(rope.num_positions));
    offsets.insert(offsets.end(), key_bias.begin(), key_bias.end());
    for (std::size_t head = size; head < offsets.size(); head += to_size(head_dim)) {
      kScalarKernels.rotate(offsets.data() + head, rope.cos.data() + middle * half,
                            rope.sin.data() + middle * half, head_dim / 2);
    }
  }
}

CpuBackend::CpuBackend(int num_threads, std::string_view isa, bool may_sum_in_tiles)
    : pool_(num_threads),
      kernels_(choose_kernels(isa)),
      sums_in_tiles_(may_sum_in_tiles && kernels_.multiply_pairs_in_tiles != nullptr),
      scratch_(static_cast<std::size_t>(num_threads)) {
  constexpr std::size_t kTileBytes = std::size_t{3} * kSumBlock * kLanes * sizeof(float);
  constexpr std::size_t kSumsBytes = 2 * kSumsSize * sizeof(float);
  for (ThreadScratch& scratch : scratch_) {
    scratch.tile = Buffer(kTileBytes, "the kernels' scratch");
    scratch.sums = Buffer(kSumsBytes, "the kernels' scratch");
  }
}

void CpuBackend::embed(const StoredMatrix& table, std::span<const std::int32_t> ids, Rows x) {
  for_each_row(pool_, x.count, x.width, [&](std::int32_t row) {
    read_row(table, ids[to_size(row)], {x.row(row), to_size(x.width)});
  });
}

void CpuBackend::gather(Rows x, std::span<const std::int32_t> rows, Rows y) {
  for (std::int32_t i = 0; i < y.count; ++i) {
    std::memcpy(y.row(i), x.row(rows[to_size(i)]), to_size(x.width) * sizeof(float));
  }
}

void CpuBackend::rms_norm(Rows x, std::span<const float> weight, float eps, Rows y) {
  for_each_row(pool_, x.count, x.width, [&](std::int32_t row) {
    kernels_.rms_norm(x.row(row), weight.data(), x.width, eps, y.row(row));
  });
}

/// The outputs of a piece lie in rows of kSumStride floats, those beyond kMaxPanels panels behind kMaxTokens
/// rows: calls visit(first_output, num_outputs, rows) for each of the two.
template <class Visit>
void CpuBackend::for_each_half(const Linear& linear, const Piece& piece, float* sums, const Visit& visit) {
  for (std::int32_t panel = 0; panel < piece.num_panels; panel += kMaxPanels, sums += kSumsSize) {
    const std::int32_t first_output = (piece.first_panel + panel) * kLanes;
    const std::int32_t num_outputs = std::min(kMaxPanels, piece.num_panels - panel) * kLanes;
    visit(first_output, std::min(num_outputs, linear.weight.rows - first_output), sums);
  }
}

/// Writes the sums of a piece, bias included.
void CpuBackend::multiply_piece(const Linear& linear, Rows x, const Piece& piece, const Buffer& tile,
                                float* sums) {
  const PackedMatrix& w = linear.weight;
  const PanelMatrix panels{.format = w.format,
                           .num_inputs = w.columns,
                           .panel_bytes = w.panel_bytes,
                           .panels = reinterpret_cast<const std::uint8_t*>(w.panels.data())};
  if (w.format == PanelFormat::bf16_pairs) {
    const auto multiply = sums_in_tiles_ ? kernels_.multiply_pairs_in_tiles : kernels_.multiply_pairs;
    multiply(panels, piece.first_panel, piece.num_panels, bf16_rows(x, piece.first_token), to_size(x.count),
             piece.num_tokens, sums);
  } else if (is_integer(w.format)) {
    kernels_.multiply_ints(panels, piece.first_panel, piece.num_panels, int_rows(x, piece.first_token),
                           piece.num_tokens, tile.floats(), sums);
  } else {
    kernels_.multiply(panels, piece.first_panel, piece.num_panels, x.row(piece.first_token), to_size(x.width),
                      piece.num_tokens, tile.floats(), sums);
  }
  for_each_half(linear, piece, sums, [&](std::int32_t first_output, std::int32_t n, float* half_sums) {
    for (std::int32_t t = 0; t < piece.num_tokens; ++t) {
      add_bias(linear, first_output, n, half_sums + std::ptrdiff_t{t} * kSumStride);
    }
  });
}

/// Makes integers of the activations, for products with weights that are integers.
void CpuBackend::quantize(Rows x) {
  const std::size_t rows = to_size(x.count);
  const std::size_t count = to_size(divide_up(x.width, kIntGroup)) * rows;
  int_values_.reserve(count * kIntGroup, "activations");
  int_scales_.reserve(count * sizeof(float), "activations");
  int_sums_.reserve(count * kIntSums * sizeof(std::int32_t), "activations");
  for_each_block(pool_, x, [&](std::int32_t row, std::int32_t input, std::int32_t n) {
    const std::size_t place = place_in_blocks(row, input, x.count) / kIntGroup;
    kernels_.quantize(
        x.row(row) + input, n, rows, reinterpret_cast<std::int8_t*>(int_values_.data()) + place * kIntGroup,
        int_scales_.floats() + place, reinterpret_cast<std::int32_t*>(int_sums_.data()) + place * kIntSums);
  });
}

/// Rounds the activations to bfloat16, for products with weights that are.
void CpuBackend::round_to_bf16(Rows x) {
  const std::int32_t num_blocks = divide_up(x.width, kSumBlock);
  int_values_.reserve(to_size(num_blocks) * to_size(x.count) * kSumBlock * sizeof(std::uint16_t),
                      "activations");
  auto* rounded = reinterpret_cast<std::uint16_t*>(int_values_.data());
  for_each_block(pool_, x, [&](std::int32_t row, std::int32_t input, std::int32_t n) {
    std::uint16_t* to = rounded + place_in_blocks(row, input, x.count);
    kernels_.round_to_bf16(x.row(row) + input, n, to);
    if (n % 2 != 0) to[n] = 0;
  });
}

/// x in bfloat16, as it came or as round_to_bf16() made it, from first_row on.
const std::uint16_t* CpuBackend::bf16_rows(Rows x, std::int32_t first_row) const {
  const void* blocks = x.in_bf16_blocks ? static_cast<const void*>(x.data) : int_values_.data();
  return static_cast<const std::uint16_t*>(blocks) + place_in_blocks(first_row, 0, x.count);
}

/// What quantize() made of x, from first_row on.
IntRows CpuBackend::int_rows(Rows x, std::int32_t first_row) const {
  const std::size_t first = to_size(first_row);
  return {.q = reinterpret_cast<const std::int8_t*>(int_values_.data()) + first * kIntGroup,
          .scales = int_scales_.floats() + first,
          .sums = reinterpret_cast<const std::int32_t*>(int_sums_.data()) + first * kIntSums,
          .num_groups = divide_up(x.width, kIntGroup),
          .group_rows = to_size(x.count)};
}

/// How the products of x with `all_panels` panels are best cut.
CpuBackend::Cut CpuBackend::choose_cut(Rows x, std::int32_t all_panels, bool pairs,
                                       std::int32_t max_panels) const {
  constexpr std::int32_t kFewPanels = kMaxPanels / 2;
  if (x.count <= kFewRows) {
    return {.panels_each = kFewPanels, .tokens_each = x.count, .longest_run = max_panels / kFewPanels};
  }
  Cut cut = {.panels_each = kMaxPanels, .tokens_each = std::min(kMaxTokens, x.count), .longest_run = 1};
  const auto too_few = [&](std::int32_t each) {  // pieces for a thread: with few, some idle at the end
    return divide_up(all_panels, cut.panels_each) * divide_up(x.count, cut.tokens_each) < each * pool_.size();
  };
  // Tiles wait for activations that don't stay in the second-level cache: large pieces read them less often.
  const bool activations_stream =
      pairs && sums_in_tiles_ && std::int64_t{cut.tokens_each} * x.width > kNearActivations;
  if (activations_stream) cut.panels_each = max_panels;
  if (cut.panels_each > kMaxPanels && too_few(4)) cut.panels_each = kMaxPanels;
  const bool wide = cut.panels_each > kMaxPanels;
  if (!wide && too_few(activations_stream ? 8 : 32)) cut.panels_each = kFewPanels;
  while (too_few(wide ? 4 : 8) && cut.tokens_each > 64) cut.tokens_each = divide_up(cut.tokens_each, 2);
  while (too_few(3) && cut.tokens_each > 32) cut.tokens_each = divide_up(cut.tokens_each, 2);
  return cut;
}

/// Cuts the products of x into pieces and calls finish(linear_index, piece, thread) for each, on all threads.
/// Pieces have up to max_panels where that is faster, and up to kMaxPanels otherwise.
template <class Finish>
void CpuBackend::for_each_piece(Rows x, std::span<const Linear* const> linears, std::int32_t max_panels,
                                const Finish& finish) {
  std::int32_t all_panels = 0;
  bool integers = false;
  bool pairs = false;
  for (const Linear* linear : linears) {
    all_panels += linear->weight.num_panels();
    integers = integers || is_integer(linear->weight.format);
    pairs = pairs || linear->weight.format == PanelFormat::bf16_pairs;
  }
  if (integers) quantize(x);
  if (pairs && !x.in_bf16_blocks) round_to_bf16(x);
  const Cut cut = choose_cut(x, all_panels, pairs, max_panels);
  std::array<std::int32_t, 4> num_groups{};  // of each product
  assert(linears.size() <= num_groups.size());
  std::int32_t groups = 0;
  for (std::size_t i = 0; i < linears.size(); ++i) {
    num_groups[i] = divide_up(linears[i]->weight.num_panels(), cut.panels_each);
    groups += num_groups[i];
  }
  const std::int32_t num_items = groups * divide_up(x.count, cut.tokens_each);
  for_each_run(pool_, num_items, cut.longest_run, [&](std::int32_t index, std::int32_t left, int thread) {
    const std::int32_t first_token = index / groups * cut.tokens_each;
    std::int32_t group = index % groups;
    std::size_t i = 0;
    for (; group >= num_groups[i]; ++i) group -= num_groups[i];
    for (std::int32_t count = 0; left > 0; left -= count, group = 0, ++i) {
      count = std::min(left, num_groups[i] - group);
      const std::int32_t first_panel = group * cut.panels_each;
      const std::int32_t panels_left = linears[i]->weight.num_panels() - first_panel;
      finish(i,
             Piece{.first_panel = first_panel,
                   .num_panels = std::min(count * cut.panels_each, panels_left),
                   .first_token = first_token,
                   .num_tokens = std::min(cut.tokens_each, x.count - first_token)},
             thread);
    }
  });
}

void CpuBackend::project(Rows x, std::initializer_list<Projection> projections) {
  std::array<const Linear*, 4> linears{};
  std::size_t n = 0;
  for (const Projection& projection : projections) linears[n++] = projection.linear;
  for_each_piece(x, {linears.data(), n}, kMaxPanels, [&](std::size_t i, const Piece& piece, int thread) {
    const Rows y = projections.begin()[i].y;
    const ThreadScratch& scratch = scratch_[to_size(thread)];
    multiply_piece(*linears[i], x, piece, scratch.tile, scratch.sums.floats());
    for_each_half(*linears[i], piece, scratch.sums.floats(),
                  [&](std::int32_t first_output, std::int32_t m, const float* from) {
                    for (std::int32_t t = 0; t < piece.num_tokens; ++t, from += kSumStride) {
                      std::memcpy(y.row(piece.first_token + t) + first_output, from,
                                  to_size(m) * sizeof(float));
                    }
                  });
  });
}

void CpuBackend::add_projection(Rows x, const Linear& linear, Rows y) {
  const Linear* linears[] = {&linear};
  // Only tiles, which wait for many tokens' activations, gain from more panels.
  const std::int32_t max_panels = x.count <= kFewRows ? kMaxPanels : 2 * kMaxPanels;
  for_each_piece(x, linears, max_panels, [&](std::size_t, const Piece& piece, int thread) {
    const ThreadScratch& scratch = scratch_[to_size(thread)];
    multiply_piece(linear, x, piece, scratch.tile, scratch.sums.floats());
    for_each_half(linear, piece, scratch.sums.floats(),
                  [&](std::int32_t first_output, std::int32_t n, const float* sums) {
                    for (std::int32_t t = 0; t < piece.num_tokens; ++t, sums += kSumStride) {
                      float* out = y.row(piece.first_token + t) + first_output;
                      for (std::int32_t o = 0; o < n; ++o) out[o] += sums[o];
                    }
                  });
  });
}

void CpuBackend::gated_projection(Rows x, const Linear& gate, const Linear& up, Rows y) {
  const Linear* linears[] = {&gate};
  // A few rows read gate and up by turns, the longer the faster.
  const std::int32_t max_panels = x.count <= kFewRows ? 2 * kMaxPanels : kMaxPanels;
  for_each_piece(x, linears, max_panels, [&](std::size_t, const Piece& piece, int thread) {
    const ThreadScratch& scratch = scratch_[to_size(thread)];
    // Calls visit(part, first_sum) for kMaxPanels panels at a time: their rows of sums lie one part behind
    // the other.
    const auto for_each_part = [&](const auto& visit) {
      Piece part = piece;
      std::ptrdiff_t first_sum = 0;
      for (std::int32_t left = piece.num_panels; left > 0; left -= kMaxPanels) {
        part.num_panels = std::min(kMaxPanels, left);
        visit(part, first_sum);
        part.first_panel += kMaxPanels;
        first_sum += std::ptrdiff_t{piece.num_tokens} * kSumStride;
      }
    };
    float* gates = scratch.sums.floats();
    float* ups = gates + kSumsSize;
    for_each_part([&](const Piece& part, std::ptrdiff_t first_sum) {
      multiply_piece(gate, x, part, scratch.tile, gates + first_sum);
    });
    for_each_part([&](const Piece& part, std::ptrdiff_t first_sum) {
      multiply_piece(up, x, part, scratch.tile, ups + first_sum);
    });
    for_each_part([&](const Piece& part, std::ptrdiff_t first_sum) {
      const std::int32_t first_output = part.first_panel * kLanes;
      const std::int32_t num_outputs = std::min(part.num_panels * kLanes, gate.weight.rows - first_output);
      for (std::int32_t t = 0; t < part.num_tokens; ++t, first_sum += kSumStride) {
        const std::int32_t row = part.first_token + t;
        float* row_gates = gates + first_sum;
        const float* row_ups = ups + first_sum;
        if (!y.in_bf16_blocks) {
          kernels_.gate(row_gates, row_ups, num_outputs, y.row(row) + first_output);
          continue;
        }
        kernels_.gate(row_gates, row_ups, num_outputs, row_gates);
        for (std::int32_t o = 0, n = 0; o < num_outputs; o += n) {
          n = std::min(num_outputs - o, kSumBlock - (first_output + o) % kSumBlock);
          kernels_.round_to_bf16(
              row_gates + o, n,
              reinterpret_cast<std::uint16_t*>(y.data) + place_in_blocks(row, first_output + o, y.count));
        }
      }
    });
  });
}

/// Cuts the slices at the ends of blocks: keys of neighbouring tokens share cache lines, which two threads
/// should not write to.
void CpuBackend::plan_stores(std::span<const PassSlice> slices) {
  store_items_.clear();
  for (std::int32_t s = 0; s < static_cast<std::int32_t>(slices.size()); ++s) {
    const PassSlice& slice = slices[to_size(s)];
    for (std::int32_t begin = 0, end = 0; begin < slice.num_rows; begin = end) {
      end = std::min(slice.num_rows, begin + kKeysPerBlock - (slice.first_position + begin) % kKeysPerBlock);
      store_items_.push_back({s, begin, end});
    }
  }
}

void CpuBackend::rotate_and_store(std::span<const PassSlice> slices, const AttentionShape& shape,
                                  const RopeTable& rope, std::span<const float> q_norm,
                                  std::span<const float> k_norm, Rows q, Rows k, Rows v,
                                  const KvLayer& cache) {
  const std::int32_t dim = shape.head_dim;
  const std::int32_t half = dim / 2;
  const std::size_t padded_dim = to_size(divide_up(dim, kLanes) * kLanes);
  const auto store_row = [&](const PassSlice& slice, std::int32_t i) {
    const std::int32_t row = slice.first_row + i;
    const std::int32_t position = slice.first_position + i;
    assert(position < rope.num_positions);
    const float* cos = rope.cos.data() + to_size(position) * to_size(half);
    const float* sin = rope.sin.data() + to_size(position) * to_size(half);
    const auto finish_head = [&](float* head, std::span<const float> norm) {
      if (!norm.empty()) kernels_.rms_norm(head, norm.data(), dim, shape.eps, head);
      kernels_.rotate(head, cos, sin, half);
    };
    for (std::int32_t h = 0; h < shape.num_heads; ++h)
      finish_head(q.row(row) + std::ptrdiff_t{h} * dim, q_norm);
    const std::size_t block = to_size(slice.blocks[to_size(position / kKeysPerBlock)]);
    const std::size_t slot = to_size(position % kKeysPerBlock);
    const float* offset = cache.key_offsets == nullptr
                              ? nullptr
                              : cache.key_offsets + to_size(position / kKeysPerBlock) * to_size(k.width);
    for (std::int32_t h = 0; h < shape.num_kv_heads; ++h) {
      float* key = k.row(row) + std::ptrdiff_t{h} * dim;
      finish_head(key, k_norm);
      for (std::int32_t d = 0; d < dim && offset != nullptr; ++d) key[d] -= offset[h * dim + d];
      const std::size_t place = block * cache.block_bytes + to_size(h) * cache.head_bytes;
      store_token(kernels_, cache.format, key, to_size(dim),
                  {.matrix = cache.keys + place,
                   .size = to_size(dim) * kKeysPerBlock,
                   .first = slot,
                   .step = kKeysPerBlock,
                   .slot = slot});
      store_token(kernels_, cache.format, v.row(row) + std::ptrdiff_t{h} * dim, to_size(dim),
                  {.matrix = cache.values + place,
                   .size = padded_dim * kKeysPerBlock,
                   .first = slot * padded_dim,
                   .step = 1,
                   .slot = slot});
    }
  };
  plan_stores(slices);
  const auto num_items = static_cast<std::int32_t>(store_items_.size());
  const std::int32_t numbers = q.count * (q.width + k.width);
  for_each_row(pool_, num_items, divide_up(numbers, std::max(1, num_items)), [&](std::int32_t i) {
    const StoreItem& item = store_items_[to_size(i)];
    for (std::int32_t row = item.begin; row < item.end; ++row) store_row(slices[to_size(item.slice)], row);
  });
}

/// Cuts the queries into items, the longest first.
void CpuBackend::plan_attention(std::span<const PassSlice> slices, const AttentionShape& shape) {
  const std::int32_t group = shape.num_heads / shape.num_kv_heads;
  attention_items_.clear();
  for (std::int32_t s = 0; s < static_cast<std::int32_t>(slices.size()); ++s) {
    const std::int32_t num_rows = slices[to_size(s)].num_rows * group;
    for (std::int32_t end = num_rows; end > 0; end -= kAttentionRows) {
      const std::int32_t first = std::max(0, end - kAttentionRows);
      for (std::int32_t h = 0; h < shape.num_kv_heads; ++h)
        attention_items_.push_back({s, h, first, end - first});
    }
  }
}

void CpuBackend::attend_rows(const AttentionItem& item, const PassSlice& slice, const AttentionShape& shape,
                             Rows q, const KvLayer& cache, Rows y, float* scratch) const {
  const std::int32_t group = shape.num_heads / shape.num_kv_heads;
  std::array<const float*, kAttentionRows> queries;
  std::array<float*, kAttentionRows> outputs;
  std::array<std::int32_t, kAttentionRows> num_keys;
  for (std::int32_t r = 0; r < item.num_rows; ++r) {
    const std::int32_t token = (item.first_row + r) / group;
    const std::int32_t head = item.kv_head * group + (item.first_row + r) % group;
    queries[to_size(r)] = q.row(slice.first_row + token) + std::ptrdiff_t{head} * shape.head_dim;
    outputs[to_size(r)] = y.row(slice.first_row + token) + std::ptrdiff_t{head} * shape.head_dim;
    num_keys[to_size(r)] = slice.first_position + token + 1;
  }
  const std::size_t head = to_size(item.kv_head);
  const auto matrices = [&](const std::byte* first) {
    return reinterpret_cast<const std::uint8_t*>(first) + head * cache.head_bytes;
  };
  kernels_.attend({.num_rows = item.num_rows,
                   .head_dim = shape.head_dim,
                   .queries = queries.data(),
                   .outputs = outputs.data(),
                   .num_keys = num_keys.data(),
                   .format = cache.format,
                   .keys = matrices(cache.keys),
                   .values = matrices(cache.values),
                   .block_stride = cache.block_bytes,
                   .blocks = slice.blocks.data(),
                   .key_offsets = cache.key_offsets == nullptr
                                      ? nullptr
                                      : cache.key_offsets + head * to_size(shape.head_dim),
                   .key_offset_stride = to_size(shape.num_kv_heads * shape.head_dim),
                   .scale = 1.0F / std::sqrt(static_cast<float>(shape.head_dim)),
                   .scratch = scratch});
}

void CpuBackend::attend(std::span<const PassSlice> slices, const AttentionShape& shape, Rows q,
                        const KvLayer& cache, Rows y) {
  plan_attention(slices, shape);
  const std::size_t scratch_bytes = attention_scratch_floats(shape.head_dim) * sizeof(float);
  for (ThreadScratch& scratch : scratch_) scratch.attention.reserve(scratch_bytes, "the kernels' scratch");
  for_each(pool_, static_cast<std::int32_t>(attention_items_.size()), [&](std::int32_t i, int thread) {
    const AttentionItem& item = attention_items_[to_size(i)];
    attend_rows(item, slices[to_size(item.slice)], shape, q, cache, y,
                scratch_[static_cast<std::size_t>(thread)].attention.floats());
  });
}

}  // namespace touchstone
