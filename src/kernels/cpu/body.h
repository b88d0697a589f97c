// The one source of every kernel (those of integers: body_int.h). `V` is an instruction set's 16 lanes
// (vec_*.h), a type of its own in each file that includes this, so that no two files share a function. An
// operation on V gives the same bits on all of them, and each result here is a fixed sequence of such
// operations.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/cpu/narrow.h"
#include "kernels/cpu/table.h"

namespace touchstone {
namespace {

// ---- How panels are stored ----

/// Plain floats. A "group" is as long as a sum's block and needs nothing but its numbers.
template <class V, PanelFormat kFormat>
struct FloatPanel {
  struct Group {};
  static constexpr int kGroup = kSumBlock;
  static constexpr int kStreams = 1;  // panels that one token reads side by side: memory is the limit
  static constexpr std::size_t kStep = kFormat == PanelFormat::f32 ? 64 : 32;  // bytes of 16 weights
  static constexpr std::size_t kGroupBytes = kGroup * kStep;

  static Group open(const std::uint8_t*) { return {}; }
  static typename V::Vec weights(const Group&, const std::uint8_t* group, int i) {
    const std::uint8_t* p = group + static_cast<std::size_t>(i) * kStep;
    if constexpr (kFormat == PanelFormat::f32) return V::load(reinterpret_cast<const float*>(p));
    if constexpr (kFormat == PanelFormat::f16) return V::load_halves(p);
    if constexpr (kFormat == PanelFormat::bf16) return V::load_bfloats(p);
  }
};

/// Groups of 8-bit integers: weight = scale * q - minimum, a product and a difference rounded one after the
/// other, as the block types define their values.
template <class V, int kGroupSize, bool kHalfScales, bool kMins>
struct BytePanel {
  struct Group {
    typename V::Vec scale, min;
  };
  static constexpr int kGroup = kGroupSize;
  static constexpr int kStreams = 6;  // widening is the limit, and wants independent sums
  static constexpr std::size_t kScaleBytes = kHalfScales ? 32 : 64;
  static constexpr std::size_t kHeaderBytes = kScaleBytes * (kMins ? 2 : 1);
  static constexpr std::size_t kGroupBytes = kHeaderBytes + std::size_t{kGroup} * kLanes;

  static typename V::Vec load_scales(const std::uint8_t* p) {
    if constexpr (kHalfScales) return V::load_halves(p);
    return V::load(reinterpret_cast<const float*>(p));
  }
  static Group open(const std::uint8_t* group) {
    return {load_scales(group), kMins ? load_scales(group + kScaleBytes) : V::zero()};
  }
  static typename V::Vec weights(const Group& g, const std::uint8_t* group, int i) {
    const std::uint8_t* p = group + kHeaderBytes + static_cast<std::size_t>(i) * kLanes;
    const typename V::Vec product = V::mul(g.scale, V::load_bytes(p));
    if constexpr (kMins) return V::sub(product, g.min);
    return product;
  }
};

// ---- Matrix products ----

/// How far ahead of each stream of weights to fetch; 768 was measured best of 0 to 4096.
inline constexpr std::size_t kStreamAhead = 768;

/// Asks for memory to be brought into the second-level cache, or with kNear into the first.
template <bool kNear = false>
void prefetch(const void* from, std::size_t bytes) {
  asm volatile("");  // GCC drops calls of functions that seem to have no effect
  const auto* p = static_cast<const std::uint8_t*>(from);
  for (std::size_t line = 0; line < bytes; line += 64) __builtin_prefetch(p + line, 0, kNear ? 3 : 2);
}

/// From this many tokens on, computing with weights takes longer than fetching them.
inline constexpr int kManyTokens = 96;

/// Lines of each panel that are met later, to be asked for.
struct LinesAhead {
  const std::uint8_t* lines;  // the first panel's
  std::size_t panel_bytes;
  int count;
  bool to_first_level;

  template <int kPanels>
  void ask(int index) const {
    if (index >= count) return;
    const std::uint8_t* line = lines + static_cast<std::size_t>(index) * 64;
    for (int p = 0; p < kPanels; ++p, line += panel_bytes) {
      if (to_first_level) {
        prefetch<true>(line, 1);
      } else {
        prefetch(line, 1);
      }
    }
  }
};

/// Those of `ahead` that tokens [token, end) of num_tokens ask for.
inline LinesAhead share_lines(LinesAhead ahead, int token, int end, int num_tokens) {
  const int first = token * ahead.count / num_tokens;
  ahead.lines += static_cast<std::size_t>(first) * 64;
  ahead.count = end * ahead.count / num_tokens - first;
  return ahead;
}

/// In place of LinesAhead: even to find that none are left takes time.
struct NoLinesAhead {
  template <int kPanels>
  void ask(int) const {}
};

/// Runs multiply(lines) for tokens [token, end) of num_tokens, which asks for `lines` at its steps, one after
/// the other: more at once than the core can have under way would hold up its loads. Many tokens' products
/// have time enough, and ask for theirs before. Not inlined, this would make them 2 % slower.
template <int kPanels, class Multiply>
[[gnu::always_inline]] inline void multiply_asking(const LinesAhead& ahead, int token, int end,
                                                   int num_tokens, const Multiply& multiply) {
  const LinesAhead share = share_lines(ahead, token, end, num_tokens);
  if (num_tokens < kManyTokens) {
    multiply(share);
  } else {
    for (int line = 0; line < share.count; ++line) share.template ask<kPanels>(line);
    multiply(NoLinesAhead{});
  }
}

/// Asks for a line of the weights that are met next and, of each eight, for one of those that are met later.
/// A line that is asked for takes one of the core's 16 fill buffers until it is there, and activations on
/// their way from the second-level cache need these, too. One line of eight makes the processor's own
/// prefetcher fetch most of the others, which takes no such buffer; what that leaves out is asked for when it
/// is next, and is mostly near by then.
inline void prefetch_line(const std::uint8_t* next, const std::uint8_t* later, int line) {
  const std::size_t byte = static_cast<std::size_t>(line) * 64;
  prefetch(next + byte, 1);
  if (line % 8 == 0) prefetch(later + byte, 1);
}

/// Adds the sums of one block to those of the blocks before it.
template <class V, int kTokens, int kPanels>
void add_sums(const typename V::Vec (&sum)[kTokens][kPanels], bool first, float* sums) {
#pragma GCC unroll 8
  for (int t = 0; t < kTokens; ++t) {
#pragma GCC unroll 8
    for (int p = 0; p < kPanels; ++p) {
      float* out = sums + t * kSumStride + p * kLanes;
      V::store(out, V::add(first ? V::zero() : V::load(out), sum[t][p]));
    }
  }
}

/// A few tokens times kPanels panels: weights go from memory through registers once, as many streams as
/// panels.
template <class V, class Panel, int kTokens, int kPanels>
void multiply_few(const std::uint8_t* panels, std::size_t panel_bytes, int num_inputs, const float* x,
                  std::size_t x_stride, float* sums) {
  for (int begin = 0; begin < num_inputs; begin += kSumBlock) {
    const int end = begin + kSumBlock < num_inputs ? begin + kSumBlock : num_inputs;
    typename V::Vec sum[kTokens][kPanels];
    for (auto& row : sum) {
      for (auto& s : row) s = V::zero();
    }
    for (int k = begin; k < end; k += Panel::kGroup) {
      const std::uint8_t* group = panels + static_cast<std::size_t>(k / Panel::kGroup) * Panel::kGroupBytes;
      typename Panel::Group groups[kPanels];
      for (int p = 0; p < kPanels; ++p) {
        const std::uint8_t* bytes = group + static_cast<std::size_t>(p) * panel_bytes;
        groups[p] = Panel::open(bytes);
        // A single stream is better followed by the processor's own prefetcher.
        if (kTokens * kPanels > 1) prefetch(bytes + kStreamAhead, Panel::kGroupBytes);
      }
      const int n = Panel::kGroup < end - k ? Panel::kGroup : end - k;
      for (int i = 0; i < n; ++i) {
        typename V::Vec w[kPanels];
        for (int p = 0; p < kPanels; ++p) {
          w[p] = Panel::weights(groups[p], group + static_cast<std::size_t>(p) * panel_bytes, i);
        }
        for (int t = 0; t < kTokens; ++t) {
          const typename V::Vec xi =
              V::set1(x[static_cast<std::size_t>(t) * x_stride + static_cast<std::size_t>(k + i)]);
          for (int p = 0; p < kPanels; ++p) sum[t][p] = V::fma(w[p], xi, sum[t][p]);
        }
      }
    }
    add_sums<V, kTokens, kPanels>(sum, begin == 0, sums);
  }
}

/// As multiply_few, for a number of tokens known at run time.
template <class V, class Panel, int kTokens, int kPanels>
void multiply_few_of(int tokens, const std::uint8_t* panels, std::size_t panel_bytes, int num_inputs,
                     const float* x, std::size_t x_stride, float* sums) {
  if constexpr (kTokens > 1) {
    if (tokens < kTokens) {
      return multiply_few_of<V, Panel, kTokens - 1, kPanels>(tokens, panels, panel_bytes, num_inputs, x,
                                                             x_stride, sums);
    }
  }
  multiply_few<V, Panel, kTokens, kPanels>(panels, panel_bytes, num_inputs, x, x_stride, sums);
}

/// The weights of inputs [begin, end) of one panel, as floats [kSumBlock][16].
template <class V, class Panel>
void unpack(const std::uint8_t* panel, int begin, int end, float* tile) {
  for (int k = begin; k < end; k += Panel::kGroup) {
    const std::uint8_t* group = panel + static_cast<std::size_t>(k / Panel::kGroup) * Panel::kGroupBytes;
    const typename Panel::Group opened = Panel::open(group);
    const int n = Panel::kGroup < end - k ? Panel::kGroup : end - k;
    for (int i = 0; i < n; ++i) {
      V::store(tile + static_cast<std::ptrdiff_t>(k - begin + i) * kLanes, Panel::weights(opened, group, i));
    }
  }
}

/// kTokens tokens times kPanels panels over n inputs, all sums in registers; added to `sums`.
template <class V, int kTokens, int kPanels>
void multiply_tile(const float* x, std::size_t x_stride, int n, const float* tile, std::size_t tile_stride,
                   bool first, float* sums) {
  typename V::Vec sum[kTokens][kPanels];
  for (auto& row : sum) {
    for (auto& s : row) s = V::zero();
  }
  for (int k = 0; k < n; ++k) {
    typename V::Vec w[kPanels];
    for (int p = 0; p < kPanels; ++p) {
      w[p] = V::load(tile + static_cast<std::size_t>(p) * tile_stride + static_cast<std::size_t>(k) * kLanes);
    }
    for (int t = 0; t < kTokens; ++t) {
      const typename V::Vec xk =
          V::set1(x[static_cast<std::size_t>(t) * x_stride + static_cast<std::size_t>(k)]);
      for (int p = 0; p < kPanels; ++p) sum[t][p] = V::fma(w[p], xk, sum[t][p]);
    }
  }
  add_sums<V, kTokens, kPanels>(sum, first, sums);
}

/// As multiply_tile, for a number of tokens known at run time.
template <class V, int kTokens, int kPanels>
void multiply_tile_of(int tokens, const float* x, std::size_t x_stride, int n, const float* tile,
                      std::size_t tile_stride, bool first, float* sums) {
  if constexpr (kTokens > 1) {
    if (tokens < kTokens) {
      return multiply_tile_of<V, kTokens - 1, kPanels>(tokens, x, x_stride, n, tile, tile_stride, first,
                                                       sums);
    }
  }
  multiply_tile<V, kTokens, kPanels>(x, x_stride, n, tile, tile_stride, first, sums);
}

/// Many tokens times kPanels panels: weights are widened to floats once a block, then met by all tokens.
template <class V, class Panel, int kPanels>
void multiply_tokens(const std::uint8_t* panels, std::size_t panel_bytes, int num_inputs, const float* x,
                     std::size_t x_stride, int num_tokens, float* scratch, float* sums) {
  constexpr std::size_t kTileStride = std::size_t{kSumBlock} * kLanes;
  for (int begin = 0; begin < num_inputs; begin += kSumBlock) {
    const int end = begin + kSumBlock < num_inputs ? begin + kSumBlock : num_inputs;
    for (int p = 0; p < kPanels; ++p) {
      const std::uint8_t* panel = panels + static_cast<std::size_t>(p) * panel_bytes;
      unpack<V, Panel>(panel, begin, end, scratch + static_cast<std::size_t>(p) * kTileStride);
      // The next block, while this one is computed with.
      prefetch(panel + static_cast<std::size_t>(end / Panel::kGroup) * Panel::kGroupBytes,
               kSumBlock / Panel::kGroup * Panel::kGroupBytes);
    }
    for (int t = 0; t < num_tokens; t += V::kTileTokens) {
      const float* rows = x + static_cast<std::size_t>(t) * x_stride + begin;
      multiply_tile_of<V, V::kTileTokens, kPanels>(num_tokens - t, rows, x_stride, end - begin, scratch,
                                                   kTileStride, begin == 0, sums + t * kSumStride);
    }
  }
}

template <class V, class Panel>
void multiply_panels(const PanelMatrix& weights, std::int32_t first_panel, std::int32_t num_panels,
                     const float* x, std::size_t x_stride, std::int32_t num_tokens, float* tile,
                     float* sums) {
  constexpr int kTilePanels = V::kTilePanels;
  const std::size_t stride = weights.panel_bytes;
  const std::uint8_t* panels = weights.panels + static_cast<std::size_t>(first_panel) * stride;
  const int k = weights.num_inputs;
  if (num_tokens == 1) {
    constexpr int kStreams = Panel::kStreams;
    for (; num_panels >= kStreams; num_panels -= kStreams) {
      multiply_few<V, Panel, 1, kStreams>(panels, stride, k, x, x_stride, sums);
      panels += kStreams * stride;
      sums += kStreams * kLanes;
    }
  }
  if (num_tokens <= V::kFewTokens) {
    constexpr int kFew = V::kFewTokens;
    for (; num_panels >= kTilePanels; num_panels -= kTilePanels) {
      multiply_few_of<V, Panel, kFew, kTilePanels>(num_tokens, panels, stride, k, x, x_stride, sums);
      panels += kTilePanels * stride;
      sums += kTilePanels * kLanes;
    }
    for (; num_panels >= 1; --num_panels, panels += stride, sums += kLanes) {
      multiply_few_of<V, Panel, kFew, 1>(num_tokens, panels, stride, k, x, x_stride, sums);
    }
    return;
  }
  while (num_panels >= kTilePanels) {
    multiply_tokens<V, Panel, kTilePanels>(panels, stride, k, x, x_stride, num_tokens, tile, sums);
    num_panels -= kTilePanels;
    panels += kTilePanels * stride;
    sums += kTilePanels * kLanes;
  }
  for (; num_panels >= 1; --num_panels, panels += stride, sums += kLanes) {
    multiply_tokens<V, Panel, 1>(panels, stride, k, x, x_stride, num_tokens, tile, sums);
  }
}

template <class V>
void multiply(const PanelMatrix& weights, std::int32_t first_panel, std::int32_t num_panels, const float* x,
              std::size_t x_stride, std::int32_t num_tokens, float* tile, float* sums) {
  const auto with = [&]<class Panel>(Panel) {
    multiply_panels<V, Panel>(weights, first_panel, num_panels, x, x_stride, num_tokens, tile, sums);
  };
  switch (weights.format) {
    case PanelFormat::f32:
      return with(FloatPanel<V, PanelFormat::f32>{});
    case PanelFormat::bf16:
      return with(FloatPanel<V, PanelFormat::bf16>{});
    case PanelFormat::f16:
      return with(FloatPanel<V, PanelFormat::f16>{});
    case PanelFormat::q8_half:
      return with(BytePanel<V, 32, true, false>{});
    case PanelFormat::q8_half_with_mins:
      return with(BytePanel<V, 32, true, true>{});
    case PanelFormat::q8_with_mins:
      return with(BytePanel<V, 32, false, true>{});
    case PanelFormat::q8_group16:
      return with(BytePanel<V, 16, false, false>{});
    case PanelFormat::bf16_pairs:
    case PanelFormat::int8:
    case PanelFormat::int6:
    case PanelFormat::int4:
      __builtin_unreachable();  // the business of multiply_pairs and multiply_ints
  }
}

// ---- Elementwise ----

/// exp(x) within 2 units in the last place, for x from -87.3 to 88. x = n ln 2 + r with |r| <= ln 2 / 2,
/// exp(x) = 2^n exp(r); the polynomial for exp(r) is that of the Cephes library's expf. exp(0) = 1.
template <class V>
constexpr typename V::Vec exponential_within(typename V::Vec x) {
  // Adding 1.5 * 2^23 rounds to an integer and leaves it in the low bits.
  const typename V::Vec round = V::set1(12582912.0F);
  const typename V::Vec shifted = V::fma(x, V::set1(1.44269504088896341F), round);
  const typename V::Vec n = V::sub(shifted, round);
  typename V::Vec r =
      V::fma(n, V::set1(-0.693359375F), x);  // ln 2 in two parts, the first one exact in products
  r = V::fma(n, V::set1(2.12194440e-4F), r);
  typename V::Vec p = V::set1(1.9875691500e-4F);
  p = V::fma(p, r, V::set1(1.3981999507e-3F));
  p = V::fma(p, r, V::set1(8.3334519073e-3F));
  p = V::fma(p, r, V::set1(4.1665795894e-2F));
  p = V::fma(p, r, V::set1(1.6666665459e-1F));
  p = V::fma(p, r, V::set1(5.0000001201e-1F));
  p = V::fma(p, V::mul(r, r), r);
  return V::mul(V::add(p, V::set1(1.0F)), V::power_of_two(shifted));
}

/// Below -87.3 it stays at 2^-126, above 88 at exp(88).
template <class V>
constexpr typename V::Vec exponential(typename V::Vec x) {
  return exponential_within<V>(V::min(V::max(x, V::set1(-87.3F)), V::set1(88.0F)));
}

/// The same, but not a number where x is not one: of two operands, min and max give the second one then.
template <class V>
constexpr typename V::Vec exponential_or_nan(typename V::Vec x) {
  return exponential_within<V>(V::min(V::set1(88.0F), V::max(V::set1(-87.3F), x)));
}

template <class V>
void exponential_of(const float* x, std::int32_t n, float* y) {
  for (std::int32_t i = 0; i < n; i += kLanes) {
    V::store_first(y + i, exponential<V>(V::load_first(x + i, n - i)), n - i);
  }
}

template <class V>
void round_to_f16(const float* x, std::int32_t n, std::uint16_t* y) {
  for (std::int32_t i = 0; i < n; ++i) y[i] = narrow_to_finite_half(x[i]);
}

template <class V>
void round_to_bf16(const float* x, std::int32_t n, std::uint16_t* y) {
  for (std::int32_t i = 0; i < n; ++i) y[i] = narrow_to_bfloat16(x[i]);
}

template <class V>
void rotate(float* x, const float* cos, const float* sin, std::int32_t half) {
  for (std::int32_t i = 0; i < half; i += kLanes) {
    const std::int32_t n = half - i;
    const typename V::Vec a = V::load_first(x + i, n), b = V::load_first(x + half + i, n);
    const typename V::Vec c = V::load_first(cos + i, n), s = V::load_first(sin + i, n);
    V::store_first(x + i, V::sub(V::mul(a, c), V::mul(b, s)), n);
    V::store_first(x + half + i, V::add(V::mul(b, c), V::mul(a, s)), n);
  }
}

template <class V>
void gate(const float* gates, const float* up, std::int32_t n, float* y) {
  for (std::int32_t i = 0; i < n; i += kLanes) {
    const typename V::Vec g = V::load_first(gates + i, n - i);
    const typename V::Vec denominator = V::add(V::set1(1.0F), exponential<V>(V::sub(V::zero(), g)));
    const typename V::Vec silu = V::div(g, denominator);
    V::store_first(y + i, V::mul(silu, V::load_first(up + i, n - i)), n - i);
  }
}

template <class V>
void rms_norm(const float* x, const float* weight, std::int32_t n, float eps, float* y) {
  typename V::Vec squares = V::zero();
  for (std::int32_t i = 0; i < n; i += kLanes) {
    const typename V::Vec xi = V::load_first(x + i, n - i);
    squares = V::fma(xi, xi, squares);
  }
  const float mean = V::sum(squares) / static_cast<float>(n);
  const typename V::Vec scale = V::set1(1.0F / V::square_root(mean + eps));
  for (std::int32_t i = 0; i < n; i += kLanes) {
    const typename V::Vec normed = V::mul(V::load_first(x + i, n - i), scale);
    V::store_first(y + i, V::mul(normed, V::load_first(weight + i, n - i)), n - i);
  }
}

// ---- Attention ----

/// What the rows of a tile have seen so far: the running maximum and sum of softmax, and in `weighted` the
/// sum of exp(score - maximum) * value.
struct AttentionState {
  float* maximum;   // [kAttentionRows]
  float* total;     // [kAttentionRows]
  float* weighted;  // [kAttentionRows, padded head_dim]
  float* scores;    // [kAttentionRows, kKeysPerBlock]
};

template <KvFormat kFormat>
inline constexpr std::ptrdiff_t kStoredBytes = kFormat == KvFormat::f32    ? 4
                                               : kFormat == KvFormat::int8 ? 1
                                                                           : 2;

/// 16 neighbouring numbers of stored keys or values.
template <class V, KvFormat kFormat>
typename V::Vec load_stored(const std::uint8_t* matrix, int index) {
  const auto i = static_cast<std::size_t>(index);
  if constexpr (kFormat == KvFormat::f32) return V::load(reinterpret_cast<const float*>(matrix) + i);
  if constexpr (kFormat == KvFormat::f16) return V::load_halves(matrix + 2 * i);
  if constexpr (kFormat == KvFormat::bf16) return V::load_bfloats(matrix + 2 * i);
  if constexpr (kFormat == KvFormat::int8) return V::load_bytes(matrix + i);
}

/// The scales of an int8 matrix of n numbers.
inline const float* scales_behind(const std::uint8_t* matrix, int n) {
  return reinterpret_cast<const float*>(matrix + n);
}

template <class V>
float dot(const float* a, const float* b, int n) {
  typename V::Vec sum = V::zero();
  for (int i = 0; i < n; i += kLanes)
    sum = V::fma(V::load_first(a + i, n - i), V::load_first(b + i, n - i), sum);
  return V::sum(sum);
}

/// scores = queries · (keys + offset) * scale for kRows rows and the 32 keys of a block. What lies `ahead`
/// bytes behind the keys is prefetched.
template <class V, int kRows, KvFormat kFormat>
void score_block(const float* const* queries, const std::uint8_t* keys, std::ptrdiff_t ahead,
                 const float* offset, int head_dim, float scale, float* scores) {
  typename V::Vec sum[kRows][2];
  for (auto& row : sum) row[0] = row[1] = V::zero();
  for (int d = 0; d < head_dim; ++d) {
    __builtin_prefetch(keys + d * kKeysPerBlock * kStoredBytes<kFormat> + ahead, 0, 2);
    const typename V::Vec low = load_stored<V, kFormat>(keys, d * kKeysPerBlock);
    const typename V::Vec high = load_stored<V, kFormat>(keys, d * kKeysPerBlock + kLanes);
    for (int r = 0; r < kRows; ++r) {
      const typename V::Vec q = V::set1(queries[r][d]);
      sum[r][0] = V::fma(q, low, sum[r][0]);
      sum[r][1] = V::fma(q, high, sum[r][1]);
    }
  }
  const typename V::Vec factor = V::set1(scale);
  for (int r = 0; r < kRows; ++r) {
    if constexpr (kFormat == KvFormat::int8) {
      const float* scales = scales_behind(keys, head_dim * kKeysPerBlock);
      for (int half = 0; half < 2; ++half)
        sum[r][half] = V::mul(sum[r][half], V::load(scales + half * kLanes));
    }
    if (offset != nullptr) {
      const typename V::Vec all = V::set1(dot<V>(queries[r], offset, head_dim));
      for (typename V::Vec& score : sum[r]) score = V::add(score, all);
    }
    V::store(scores + r * kKeysPerBlock, V::mul(sum[r][0], factor));
    V::store(scores + r * kKeysPerBlock + kLanes, V::mul(sum[r][1], factor));
  }
}

/// Turns a row's scores into exp(score - maximum), zero from `count` on, and brings the row's state up to
/// date. A score that is infinitely large or no number makes the row no number, so that whoever reads the
/// logits sees it.
template <class V>
void soften_row(int count, int padded_dim, float* scores, float& maximum, float& total, float* weighted) {
  const typename V::Vec lowest = V::set1(-__builtin_inff());
  const typename V::Vec low = V::keep_first(V::load(scores), count, lowest);
  const typename V::Vec high = V::keep_first(V::load(scores + kLanes), count - kLanes, lowest);
  const float block_maximum = V::max_lane(V::max(low, high));
  const float new_maximum = block_maximum > maximum ? block_maximum : maximum;
  const typename V::Vec shift = V::set1(new_maximum);
  const typename V::Vec p_low = V::keep_first(exponential_or_nan<V>(V::sub(low, shift)), count, V::zero());
  const typename V::Vec p_high =
      V::keep_first(exponential_or_nan<V>(V::sub(high, shift)), count - kLanes, V::zero());
  V::store(scores, p_low);
  V::store(scores + kLanes, p_high);
  if (new_maximum == maximum) {
    total += V::sum(V::add(p_low, p_high));
    return;
  }
  float factors[kLanes];
  V::store(factors, exponential<V>(V::sub(V::set1(maximum), shift)));
  total = total * factors[0] + V::sum(V::add(p_low, p_high));
  const typename V::Vec factor = V::set1(factors[0]);
  for (int d = 0; d < padded_dim; d += kLanes) V::store(weighted + d, V::mul(V::load(weighted + d), factor));
  maximum = new_maximum;
}

/// weighted += p · values for kRows rows, kWide vectors of the head's dimensions from `first` on and the
/// first `count` keys. Prefetches as score_block.
template <class V, int kRows, int kWide, KvFormat kFormat>
void weigh_values(const float* p, const std::uint8_t* values, std::ptrdiff_t ahead, int first, int padded_dim,
                  int count, float* weighted) {
  typename V::Vec sum[kRows][kWide];
  for (int r = 0; r < kRows; ++r) {
    for (int w = 0; w < kWide; ++w) sum[r][w] = V::load(weighted + r * padded_dim + first + w * kLanes);
  }
  for (int key = 0; key < count; ++key) {
    __builtin_prefetch(values + (key * padded_dim + first) * kStoredBytes<kFormat> + ahead, 0, 2);
    typename V::Vec value[kWide];
    for (int w = 0; w < kWide; ++w) {
      value[w] = load_stored<V, kFormat>(values, key * padded_dim + first + w * kLanes);
    }
    for (int r = 0; r < kRows; ++r) {
      const typename V::Vec weight = V::set1(p[r * kKeysPerBlock + key]);
      for (int w = 0; w < kWide; ++w) sum[r][w] = V::fma(weight, value[w], sum[r][w]);
    }
  }
  for (int r = 0; r < kRows; ++r) {
    for (int w = 0; w < kWide; ++w) V::store(weighted + r * padded_dim + first + w * kLanes, sum[r][w]);
  }
}

/// One block of keys for kRows rows. `counts`: how many of its keys each row sees (none: the row stays as it
/// is). `offset`: what is to be added to its keys, or null.
template <class V, int kRows, KvFormat kFormat>
void attend_block(const AttentionTile& tile, int row, const std::int32_t* counts, const std::uint8_t* keys,
                  const std::uint8_t* values, std::ptrdiff_t ahead, const float* offset,
                  const AttentionState& state) {
  const int padded_dim = (tile.head_dim + kLanes - 1) / kLanes * kLanes;
  float* scores = state.scores + row * kKeysPerBlock;
  float* weighted = state.weighted + row * padded_dim;
  score_block<V, kRows, kFormat>(tile.queries + row, keys, ahead, offset, tile.head_dim, tile.scale, scores);
  int most = 0;
  for (int r = 0; r < kRows; ++r) {
    float* p = scores + r * kKeysPerBlock;
    soften_row<V>(counts[r], padded_dim, p, state.maximum[row + r], state.total[row + r],
                  weighted + r * padded_dim);
    if constexpr (kFormat == KvFormat::int8) {
      const float* scales = scales_behind(values, kKeysPerBlock * padded_dim);
      for (int i = 0; i < kKeysPerBlock; i += kLanes)
        V::store(p + i, V::mul(V::load(p + i), V::load(scales + i)));
    }
    most = counts[r] > most ? counts[r] : most;
  }
  int d = 0;
  for (; d + 2 * kLanes <= padded_dim; d += 2 * kLanes) {
    weigh_values<V, kRows, 2, kFormat>(scores, values, ahead, d, padded_dim, most, weighted);
  }
  if (d < padded_dim)
    weigh_values<V, kRows, 1, kFormat>(scores, values, ahead, d, padded_dim, most, weighted);
}

/// As attend_block, for a number of rows known at run time.
template <class V, int kRows, KvFormat kFormat>
void attend_block_of(int rows, const AttentionTile& tile, int row, const std::int32_t* counts,
                     const std::uint8_t* keys, const std::uint8_t* values, std::ptrdiff_t ahead,
                     const float* offset, const AttentionState& state) {
  if constexpr (kRows > 1) {
    if (rows < kRows) {
      return attend_block_of<V, kRows - 1, kFormat>(rows, tile, row, counts, keys, values, ahead, offset,
                                                    state);
    }
  }
  attend_block<V, kRows, kFormat>(tile, row, counts, keys, values, ahead, offset, state);
}

template <class V, KvFormat kFormat>
void attend_in(const AttentionTile& tile) {
  const int padded_dim = (tile.head_dim + kLanes - 1) / kLanes * kLanes;
  AttentionState state;
  state.maximum = tile.scratch;
  state.total = state.maximum + kAttentionRows;
  state.scores = state.total + kAttentionRows;
  state.weighted = state.scores + kAttentionRows * kKeysPerBlock;
  std::int32_t most_keys = 0;
  for (int r = 0; r < tile.num_rows; ++r) {
    state.maximum[r] = -__builtin_inff();
    state.total[r] = 0.0F;
    for (int d = 0; d < padded_dim; ++d) state.weighted[r * padded_dim + d] = 0.0F;
    most_keys = tile.num_keys[r] > most_keys ? tile.num_keys[r] : most_keys;
  }
  for (std::int32_t first = 0, block = 0; first < most_keys; first += kKeysPerBlock, ++block) {
    const std::size_t place = static_cast<std::size_t>(tile.blocks[block]) * tile.block_stride;
    // The next block is asked for, line by line, while this one is computed with.
    const std::size_t next = first + kKeysPerBlock < most_keys
                                 ? static_cast<std::size_t>(tile.blocks[block + 1]) * tile.block_stride
                                 : place;
    const auto ahead = static_cast<std::ptrdiff_t>(next) - static_cast<std::ptrdiff_t>(place);
    const float* offset = tile.key_offsets == nullptr
                              ? nullptr
                              : tile.key_offsets + static_cast<std::size_t>(block) * tile.key_offset_stride;
    std::int32_t counts[kAttentionRows];
    for (int r = 0; r < tile.num_rows; ++r) {
      const std::int32_t left = tile.num_keys[r] - first;
      counts[r] = left < 0 ? 0 : left > kKeysPerBlock ? kKeysPerBlock : left;
    }
    for (int row = 0; row < tile.num_rows; row += V::kAttentionTile) {
      attend_block_of<V, V::kAttentionTile, kFormat>(tile.num_rows - row, tile, row, counts + row,
                                                     tile.keys + place, tile.values + place, ahead, offset,
                                                     state);
    }
  }
  for (int r = 0; r < tile.num_rows; ++r) {
    const typename V::Vec inverse = V::set1(1.0F / state.total[r]);
    for (int d = 0; d < tile.head_dim; d += kLanes) {
      const typename V::Vec mean = V::mul(V::load(state.weighted + r * padded_dim + d), inverse);
      V::store_first(tile.outputs[r] + d, mean, tile.head_dim - d);
    }
  }
}

template <class V>
void attend(const AttentionTile& tile) {
  switch (tile.format) {
    case KvFormat::f32:
      return attend_in<V, KvFormat::f32>(tile);
    case KvFormat::f16:
      return attend_in<V, KvFormat::f16>(tile);
    case KvFormat::bf16:
      return attend_in<V, KvFormat::bf16>(tile);
    case KvFormat::int8:
      return attend_in<V, KvFormat::int8>(tile);
  }
}

}  // namespace
}  // namespace touchstone
