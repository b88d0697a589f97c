// Matrix tiles (Intel AMX): eight registers of 16 rows of 64 bytes, which each thread has to set up. Internal
// to each file that includes it, as body.h.
#pragma once

#include <immintrin.h>

#include <cstddef>
#include <cstdint>

namespace touchstone {
namespace {

inline constexpr int kTileRows = 16;
inline constexpr int kTileRowBytes = 64;
inline constexpr std::size_t kTileBytes = std::size_t{kTileRows} * kTileRowBytes;

/// Makes all tiles of this thread whole ones, or the first six of num_rows rows, with zeros.
__attribute__((target("amx-tile"))) inline void start_tiles(int num_rows = kTileRows) {
  struct alignas(64) Config {
    std::uint8_t palette = 1, start_row = 0, reserved[14] = {};
    std::uint16_t row_bytes[16] = {kTileRowBytes, kTileRowBytes, kTileRowBytes, kTileRowBytes,
                                   kTileRowBytes, kTileRowBytes, kTileRowBytes, kTileRowBytes};
    std::uint8_t rows[16] = {};
  };
  static_assert(sizeof(Config) == 64);
  Config config;
  for (int i = 0; i < 8; ++i) config.rows[i] = static_cast<std::uint8_t>(i < 6 ? num_rows : kTileRows);
  asm volatile("" ::"r"(&config) : "memory");  // to GCC only the first eight bytes are read
  _tile_loadconfig(&config);
}

/// Gives the tiles back: a thread that has none is switched to and from faster.
__attribute__((target("amx-tile"))) inline void stop_tiles() { _tile_release(); }

}  // namespace
}  // namespace touchstone
