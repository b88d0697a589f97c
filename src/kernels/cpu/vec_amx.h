// As vec_avx512.h, with matrix tiles for the products of many tokens with weights that are integers.
#pragma once

#include "kernels/cpu/tiles.h"
#include "kernels/cpu/vec_avx512.h"

namespace touchstone {
namespace {

struct Amx : Avx512 {
  static constexpr const char* kName = "amx";
  static constexpr int kMatrixTokens = kTileRows;
  /// Measured on Granite Rapids: three streams give one token 4-bit weights 12 to 25 % faster than one; 8-bit
  /// weights come 8 % faster, and with two streams 12 %.
  static constexpr bool kManyStreams = true;

  static void start_matrices() { start_tiles(); }
  static void stop_matrices() { stop_tiles(); }

  /// Sums of q[t][k] * panel p's weight (o, k), both signed, over a group, for kMatrixTokens tokens, for
  /// store_matrices. A tile has 64 inputs, so that a group is two of them: `lines` [kPanels][2][16]
  /// [16 outputs][4], q: [16][128]. `ask` is called after each product of two tiles.
  template <int kPanels, class Ask>
  static void multiply_matrices(const std::uint8_t* lines, std::size_t panel_bytes, const std::int8_t* q,
                                const Ask& ask) {
    static_assert(kPanels == 1 || kPanels == 3);
    asm volatile("" ::: "memory");  // to GCC the loads of tiles don't read memory
    _tile_zero(0);
    if constexpr (kPanels == 3) {
      _tile_zero(1);
      _tile_zero(2);
    }
    _tile_loadd(6, q, 2 * kTileRowBytes);
    _tile_loadd(3, lines, kTileRowBytes);
    _tile_dpbssd(0, 6, 3);
    ask();
    if constexpr (kPanels == 3) {
      _tile_loadd(4, lines + panel_bytes, kTileRowBytes);
      _tile_dpbssd(1, 6, 4);
      ask();
      _tile_loadd(5, lines + 2 * panel_bytes, kTileRowBytes);
      _tile_dpbssd(2, 6, 5);
      ask();
    }
    _tile_loadd(7, q + kTileRowBytes, 2 * kTileRowBytes);
    _tile_loadd(3, lines + kTileBytes, kTileRowBytes);
    _tile_dpbssd(0, 7, 3);
    ask();
    if constexpr (kPanels == 3) {
      _tile_loadd(4, lines + panel_bytes + kTileBytes, kTileRowBytes);
      _tile_dpbssd(1, 7, 4);
      ask();
      _tile_loadd(5, lines + 2 * panel_bytes + kTileBytes, kTileRowBytes);
      _tile_dpbssd(2, 7, 5);
      ask();
    }
  }

  /// products[p][t][o] = what multiply_matrices summed up.
  template <int kPanels>
  static void store_matrices(std::int32_t (*products)[kTileRows][16]) {
    _tile_stored(0, products[0], kTileRowBytes);
    if constexpr (kPanels == 3) {
      _tile_stored(1, products[1], kTileRowBytes);
      _tile_stored(2, products[2], kTileRowBytes);
    }
    asm volatile("" ::: "memory");
  }

  static Ints load_ints(const std::int32_t* p) {
    Ints ints;
    __builtin_memcpy(&ints, p, sizeof ints);
    return ints;
  }
};

}  // namespace
}  // namespace touchstone
