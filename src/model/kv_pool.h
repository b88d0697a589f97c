// The memory behind KvPool.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "kernels/cpu_backend.h"
#include "model/transformer.h"

namespace touchstone {

struct KvPool {
  KvFormat format = KvFormat::f32;
  std::int32_t num_blocks = 0;
  std::int32_t num_layers = 0;
  std::size_t head_bytes = 0;   // of one block's keys, or values, of one head
  std::size_t block_bytes = 0;  // of all heads
  Buffer memory;                // [num_layers, 2 (keys, values), num_blocks, num_kv_heads, …]; see KvLayer
  std::vector<std::vector<float>> key_offsets;  // of each layer; see extend_key_offsets()

  std::byte* keys(std::int32_t layer) const {
    return memory.data() +
           static_cast<std::size_t>(layer) * 2 * static_cast<std::size_t>(num_blocks) * block_bytes;
  }
  std::byte* values(std::int32_t layer) const {
    return keys(layer) + static_cast<std::size_t>(num_blocks) * block_bytes;
  }
  KvLayer layer(std::int32_t l) const {
    const std::vector<float>& offsets = key_offsets[static_cast<std::size_t>(l)];
    return {.format = format,
            .keys = keys(l),
            .values = values(l),
            .block_bytes = block_bytes,
            .head_bytes = head_bytes,
            .key_offsets = offsets.empty() ? nullptr : offsets.data()};
  }
};

}  // namespace touchstone
