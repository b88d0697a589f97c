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
  std::size_t layer_bytes = 0;  // of one block's keys, or values, of all heads of a layer
  // [num_blocks, num_layers, 2 (keys, values), num_kv_heads, …]; see KvLayer. A block's layers lie together,
  // so that a short context takes few large pages.
  Buffer memory;
  std::vector<std::vector<float>> key_offsets;  // of each layer; see extend_key_offsets()

  std::size_t block_bytes() const { return static_cast<std::size_t>(num_layers) * 2 * layer_bytes; }
  std::byte* block(std::int32_t b) const {
    return memory.data() + static_cast<std::size_t>(b) * block_bytes();
  }
  KvLayer layer(std::int32_t l) const {
    const std::vector<float>& offsets = key_offsets[static_cast<std::size_t>(l)];
    std::byte* keys = memory.data() + static_cast<std::size_t>(l) * 2 * layer_bytes;
    return {.format = format,
            .keys = keys,
            .values = keys + layer_bytes,
            .block_bytes = block_bytes(),
            .head_bytes = head_bytes,
            .key_offsets = offsets.empty() ? nullptr : offsets.data()};
  }
};

/// Bytes of one token's keys and values.
std::size_t kv_token_bytes(const Config& config, std::int32_t num_layers, KvFormat format);

/// Throws Error when the memory cannot be had.
KvPool allocate_kv_pool(const Config& config, std::int32_t num_layers, KvFormat format,
                        std::int32_t num_blocks);

}  // namespace touchstone
