// Matrix tiles (Intel AMX): eight registers of 16 rows of 64 bytes, which each thread has to set up. Internal
// to each file that includes it, as body.h.
#pragma once

#include <immintrin.h>

#include <cstdint>

namespace touchstone {
namespace {

inline constexpr int kTileRows = 16;
inline constexpr int kTileRowBytes = 64;

/// Makes all tiles of this thread whole ones, with zeros.
__attribute__((target("amx-tile"))) inline void start_tiles() {
  struct alignas(64) Config {
    std::uint8_t palette = 1, start_row = 0, reserved[14] = {};
    std::uint16_t row_bytes[16] = {kTileRowBytes, kTileRowBytes, kTileRowBytes, kTileRowBytes,
                                   kTileRowBytes, kTileRowBytes, kTileRowBytes, kTileRowBytes};
    std::uint8_t rows[16] = {kTileRows, kTileRows, kTileRows, kTileRows,
                             kTileRows, kTileRows, kTileRows, kTileRows};
  };
  static constexpr Config kConfig;
  static_assert(sizeof kConfig == 64);
  _tile_loadconfig(&kConfig);
}

/// Gives the tiles back: a thread that has none is switched to and from faster.
__attribute__((target("amx-tile"))) inline void stop_tiles() { _tile_release(); }

}  // namespace
}  // namespace touchstone
