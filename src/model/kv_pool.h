// The memory behind KvPool.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/cpu_backend.h"
#include "model/transformer.h"

namespace touchstone {

struct KvPool {
  std::int32_t num_blocks = 0;
  std::int32_t num_layers = 0;
  std::size_t head_floats = 0;   // of one block's keys, or values, of one head
  std::size_t block_floats = 0;  // of all heads
  Buffer memory;                 // [num_layers, 2 (keys, values), num_blocks, num_kv_heads, …]; see KvLayer

  float* keys(std::int32_t layer) const {
    return memory.floats() +
           static_cast<std::size_t>(layer) * 2 * static_cast<std::size_t>(num_blocks) * block_floats;
  }
  float* values(std::int32_t layer) const {
    return keys(layer) + static_cast<std::size_t>(num_blocks) * block_floats;
  }
  KvLayer layer(std::int32_t l) const {
    return {.keys = keys(l), .values = values(l), .block_floats = block_floats, .head_floats = head_floats};
  }
};

}  // namespace touchstone
