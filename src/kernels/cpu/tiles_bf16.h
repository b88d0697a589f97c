// Products of bfloat16 in matrix tiles. As body.h, internal to each file that includes it.
#pragma once

#include "kernels/cpu/body.h"
#include "kernels/cpu/tiles.h"

namespace touchstone {
namespace {

inline constexpr int kTileInputs = kTileRowBytes / 2;
inline constexpr std::size_t kBlockRowBytes = kSumBlock * sizeof(std::uint16_t);

/// Pairs of inputs that meet all tokens before the next ones do: weights of two panels stay near meanwhile.
inline constexpr int kNearPairs = kSumBlock;

/// Weights to come: the kNearPairs lines of each panel that are met next, and those that are met later.
struct Upcoming {
  const std::uint8_t* next;
  const std::uint8_t* later;
  std::size_t panel_bytes;
  int line, lines_each;  // the first one not yet asked for; of each panel with one step
};

/// Asks for one step's share.
template <int kPanels>
void ask_ahead(Upcoming& upcoming) {
  const int end = upcoming.line + upcoming.lines_each;
  for (; upcoming.line < end && upcoming.line < kNearPairs; ++upcoming.line) {
    for (std::size_t p = 0; p < kPanels; ++p) {
      prefetch_line(upcoming.next + p * upcoming.panel_bytes, upcoming.later + p * upcoming.panel_bytes,
                    upcoming.line);
    }
  }
}

/// One step: tiles 0 and 1 (2 and 3) get the products of the first (second) 16 tokens with one and another
/// panel, of 32 inputs. a: rows of row_bytes, the second 16 tokens' ones behind the first's.
template <int kTokenTiles, int kPanels>
void multiply_tile_step(const std::uint8_t* panel, std::size_t panel_bytes, const std::uint16_t* a,
                        std::size_t row_bytes) {
  const std::uint8_t* second = reinterpret_cast<const std::uint8_t*>(a) + kTileRows * row_bytes;
  _tile_loadd(6, panel, kTileRowBytes);
  _tile_loadd(4, a, row_bytes);
  _tile_dpbf16ps(0, 4, 6);
  if constexpr (kPanels == 2) {
    _tile_loadd(7, panel + panel_bytes, kTileRowBytes);
    _tile_dpbf16ps(1, 4, 7);
  }
  if constexpr (kTokenTiles == 2) {
    _tile_loadd(5, second, row_bytes);
    _tile_dpbf16ps(2, 5, 6);
    if constexpr (kPanels == 2) _tile_dpbf16ps(3, 5, 7);
  }
}

/// The last inputs of rows that don't fill a tile, filled up with zeros.
template <int kTokenTiles, int kPanels>
void multiply_last_tile_step(const std::uint8_t* panel, std::size_t panel_bytes, const std::uint16_t* a,
                             int num_rows, int num_pairs) {
  alignas(64) std::uint8_t panels[kPanels][kTileBytes] = {};
  alignas(64) std::uint16_t rows[kTokenTiles * kTileRows][kTileInputs] = {};
  for (std::size_t p = 0; p < kPanels; ++p) {
    __builtin_memcpy(panels[p], panel + p * panel_bytes, static_cast<std::size_t>(num_pairs) * kTileRowBytes);
  }
  for (int row = 0; row < num_rows; ++row) {
    __builtin_memcpy(rows[row], a + std::ptrdiff_t{row} * kSumBlock, static_cast<std::size_t>(num_pairs) * 4);
  }
  asm volatile("" ::: "memory");
  multiply_tile_step<kTokenTiles, kPanels>(panels[0], kTileBytes, rows[0], sizeof rows[0]);
}

/// Sums of some inputs, added to `sums` unless they are the first ones. All tiles of tokens have num_rows
/// rows.
template <int kTokenTiles, int kPanels>
void multiply_tiles(const std::uint8_t* panels, std::size_t panel_bytes, int num_pairs,
                    const std::uint16_t* x, std::size_t block_rows, int num_rows, bool first,
                    Upcoming& upcoming, float* sums) {
  constexpr std::size_t kStride = kSumStride * sizeof(float);
  float* second = sums + std::ptrdiff_t{kTileRows} * kSumStride;
  if (first) {
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
  } else {
    _tile_loadd(0, sums, kStride);
    if constexpr (kPanels == 2) _tile_loadd(1, sums + kLanes, kStride);
    if constexpr (kTokenTiles == 2) _tile_loadd(2, second, kStride);
    if constexpr (kTokenTiles == 2 && kPanels == 2) _tile_loadd(3, second + kLanes, kStride);
  }
  constexpr int kPairs = kTileInputs / 2;
  constexpr int kBlockSteps = kSumBlock / kTileInputs;
  int pair = 0;
  for (int step = 0; pair + kPairs <= num_pairs; pair += kPairs, panels += kTileBytes) {
    multiply_tile_step<kTokenTiles, kPanels>(panels, panel_bytes, x + step * kTileInputs, kBlockRowBytes);
    ask_ahead<kPanels>(upcoming);
    if (++step == kBlockSteps) {
      step = 0;
      x += block_rows * kSumBlock;
    }
  }
  if (pair < num_pairs) {
    multiply_last_tile_step<kTokenTiles, kPanels>(panels, panel_bytes, x + (2 * pair) % kSumBlock,
                                                  kTokenTiles * num_rows, num_pairs - pair);
  }
  _tile_stored(0, sums, kStride);
  if constexpr (kPanels == 2) _tile_stored(1, sums + kLanes, kStride);
  if constexpr (kTokenTiles == 2) _tile_stored(2, second, kStride);
  if constexpr (kTokenTiles == 2 && kPanels == 2) _tile_stored(3, second + kLanes, kStride);
}

/// kPanels panels times tokens in tiles of num_rows, over the inputs of num_pairs.
template <int kPanels>
void multiply_tile_panels(const std::uint8_t* panels, std::size_t panel_bytes, int num_pairs,
                          const std::uint16_t* x, std::size_t block_rows, int num_tokens, int num_rows,
                          bool first, Upcoming upcoming, float* sums) {
  for (int t = 0; t < num_tokens;) {
    const int n = t + 2 * num_rows <= num_tokens ? 2 * num_rows : num_rows;
    const auto multiply = n > num_rows ? multiply_tiles<2, kPanels> : multiply_tiles<1, kPanels>;
    multiply(panels, panel_bytes, num_pairs, x + std::ptrdiff_t{t} * kSumBlock, block_rows, num_rows, first,
             upcoming, sums + std::ptrdiff_t{t} * kSumStride);
    t += n;
  }
}

/// All panels times tokens in tiles of num_rows.
void multiply_tile_rows(const PanelMatrix& weights, std::int32_t first_panel, std::int32_t num_panels,
                        const std::uint16_t* x, std::size_t block_rows, int num_tokens, int num_rows,
                        float* sums) {
  const std::size_t stride = weights.panel_bytes;
  const int num_pairs = (weights.num_inputs + 1) / 2;
  const bool many = num_tokens > 2 * num_rows;
  const int pairs_each = many ? kNearPairs : num_pairs;
  const auto lines_of = [&](int panel, int pair) {  // a line holds a pair of inputs
    return weights.panels + static_cast<std::size_t>(first_panel + panel) * stride +
           static_cast<std::size_t>(pair) * kTileRowBytes;
  };
  const int steps = num_tokens / (2 * num_rows) * (kNearPairs / (kTileInputs / 2));
  for (int begin = 0; begin < num_pairs; begin += pairs_each) {
    const int count = num_pairs - begin < pairs_each ? num_pairs - begin : pairs_each;
    const std::uint16_t* rows = x + static_cast<std::size_t>(2 * begin) * block_rows;
    const bool first = begin == 0;
    const int end = begin + count < num_pairs ? begin + count : 0;
    for (int panel = 0; panel < num_panels;) {
      const int n = panel + 2 <= num_panels ? 2 : 1;
      // After the last inputs come the first ones of the panels behind these.
      const int next = panel + n;
      const std::uint8_t* next_lines =
          next < num_panels ? lines_of(next, begin) : lines_of(end > 0 ? 0 : next, end);
      const Upcoming upcoming{.next = next_lines,
                              .later = lines_of(end > 0 ? panel : panel + num_panels, end),
                              .panel_bytes = stride,
                              .line = 0,
                              .lines_each = many ? (kNearPairs + steps - 1) / steps : 0};
      const auto multiply = n == 2 ? multiply_tile_panels<2> : multiply_tile_panels<1>;
      multiply(lines_of(panel, begin), stride, count, rows, block_rows, num_tokens, num_rows, first, upcoming,
               sums + panel / kMaxPanels * kSumsSize + panel % kMaxPanels * kLanes);
      panel = next;
    }
  }
}

/// As KernelTable has it.
void multiply_pairs_in_tiles(const PanelMatrix& weights, std::int32_t first_panel, std::int32_t num_panels,
                             const std::uint16_t* x, std::size_t block_rows, std::int32_t num_tokens,
                             float* sums) {
  const int whole = num_tokens / kTileRows * kTileRows;
  asm volatile("" ::: "memory");  // to GCC the loads of tiles don't read memory
  if (whole > 0) {
    start_tiles();
    multiply_tile_rows(weights, first_panel, num_panels, x, block_rows, whole, kTileRows, sums);
  }
  if (whole < num_tokens) {
    const int rest = num_tokens - whole;
    start_tiles(rest);
    multiply_tile_rows(weights, first_panel, num_panels, x + std::ptrdiff_t{whole} * kSumBlock, block_rows,
                       rest, rest, sums + std::ptrdiff_t{whole} * kSumStride);
  }
  stop_tiles();
  asm volatile("" ::: "memory");
}

}  // namespace
}  // namespace touchstone
