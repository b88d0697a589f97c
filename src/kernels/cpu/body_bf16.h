// The kernel whose weights and activations are bfloat16. As body.h: one source, `V` an instruction set's
// lanes.
#pragma once

#include "kernels/cpu/body.h"

namespace touchstone {
namespace {

inline constexpr std::size_t kPairLine = std::size_t{4} * kLanes;  // bytes that meet two inputs
inline constexpr int kBlockPairs = kSumBlock / 2;

/// One block of kTokens tokens times kPanels panels, all sums in registers; added to `sums`.
template <class V, int kTokens, int kPanels, class Ahead>
void multiply_pair_block(const std::uint8_t* lines, std::size_t panel_bytes, int num_pairs,
                         const std::uint16_t* x, bool first, const Ahead& ahead, float* sums) {
  typename V::Vec sum[kTokens][kPanels];
  for (auto& row : sum) {
    for (auto& s : row) s = V::zero();
  }
  for (int i = 0; i < num_pairs; ++i, lines += kPairLine) {
    ahead.template ask<kPanels>(i);
    typename V::Pairs w[kPanels];
    for (int p = 0; p < kPanels; ++p) w[p] = V::load_pairs(lines + static_cast<std::size_t>(p) * panel_bytes);
    for (int t = 0; t < kTokens; ++t) {
      const typename V::Pairs pair = V::set_pair(x + t * kSumBlock + 2 * i);
      for (int p = 0; p < kPanels; ++p) sum[t][p] = V::dot_pairs(sum[t][p], w[p], pair);
    }
  }
  add_sums<V, kTokens, kPanels>(sum, first, sums);
}

/// As multiply_pair_block, for a number of tokens known at run time.
template <class V, int kTokens, int kPanels, class Ahead>
void multiply_pair_block_of(int tokens, const std::uint8_t* lines, std::size_t panel_bytes, int num_pairs,
                            const std::uint16_t* x, bool first, const Ahead& ahead, float* sums) {
  if constexpr (kTokens > 1) {
    if (tokens < kTokens) {
      return multiply_pair_block_of<V, kTokens - 1, kPanels>(tokens, lines, panel_bytes, num_pairs, x, first,
                                                             ahead, sums);
    }
  }
  multiply_pair_block<V, kTokens, kPanels>(lines, panel_bytes, num_pairs, x, first, ahead, sums);
}

/// Activations of one piece beyond this many bytes are not expected to stay in the second-level cache.
inline constexpr std::size_t kNearBytes = std::size_t{1} << 20;

/// kPanels panels: each block of weights is met by all tokens while it is near.
template <class V, int kTokens, int kPanels>
void multiply_pair_panels(const std::uint8_t* panels, std::size_t panel_bytes, int num_pairs,
                          const std::uint16_t* x, std::size_t block_rows, int num_tokens, float* sums) {
  constexpr std::size_t kRowBytes = kSumBlock * sizeof *x;
  constexpr int kTilesAhead = 4;
  const bool x_is_far =
      static_cast<std::size_t>(num_pairs) * 4 * static_cast<std::size_t>(num_tokens) > kNearBytes;
  for (int begin = 0; begin < num_pairs; begin += kBlockPairs) {
    const int count = num_pairs - begin < kBlockPairs ? num_pairs - begin : kBlockPairs;
    const std::uint8_t* block = panels + static_cast<std::size_t>(begin) * kPairLine;
    const std::uint16_t* rows = x + static_cast<std::size_t>(2 * begin) * block_rows;
    // The next block. A single stream is better followed by the processor's own prefetcher.
    const LinesAhead ahead = {.lines = block + kBlockPairs * kPairLine,
                              .panel_bytes = panel_bytes,
                              .count = num_tokens > 1 ? kBlockPairs : 0,
                              .to_first_level = false};
    for (int t = 0; t < num_tokens; t += kTokens) {
      const int end = t + kTokens < num_tokens ? t + kTokens : num_tokens;
      if (x_is_far) {  // the rows of a later tile, of the next block where this one ends
        const int later = t + kTilesAhead * kTokens;
        const std::size_t row = later < num_tokens
                                    ? static_cast<std::size_t>(later)
                                    : block_rows + static_cast<std::size_t>(later - num_tokens);
        prefetch(rows + row * kSumBlock, kTokens * kRowBytes);
      }
      multiply_asking<kPanels>(ahead, t, end, num_tokens, [&](const auto& lines) {
        multiply_pair_block_of<V, kTokens, kPanels>(num_tokens - t, block, panel_bytes, count,
                                                    rows + t * kSumBlock, begin == 0, lines,
                                                    sums + t * kSumStride);
      });
    }
  }
}

template <class V>
void multiply_pairs(const PanelMatrix& weights, std::int32_t first_panel, std::int32_t num_panels,
                    const std::uint16_t* x, std::size_t block_rows, std::int32_t num_tokens, float* sums) {
  const std::size_t stride = weights.panel_bytes;
  const std::uint8_t* panels = weights.panels + static_cast<std::size_t>(first_panel) * stride;
  const int num_pairs = (weights.num_inputs + 1) / 2;
  for (; (num_tokens > 1 || V::kManyStreams) && num_panels >= V::kTilePanels; num_panels -= V::kTilePanels) {
    multiply_pair_panels<V, V::kTileTokens, V::kTilePanels>(panels, stride, num_pairs, x, block_rows,
                                                            num_tokens, sums);
    panels += V::kTilePanels * stride;
    sums += V::kTilePanels * kLanes;
  }
  for (; num_panels >= 1; --num_panels, panels += stride, sums += kLanes) {
    multiply_pair_panels<V, V::kTileTokens, 1>(panels, stride, num_pairs, x, block_rows, num_tokens, sums);
  }
}

}  // namespace
}  // namespace touchstone
