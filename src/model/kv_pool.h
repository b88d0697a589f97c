// The memory behind KvPool.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
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
  std::shared_ptr<std::byte> memory;            // where the model runs
  std::vector<std::vector<float>> key_offsets;  // of each layer; see extend_key_offsets()

  std::size_t block_bytes() const { return static_cast<std::size_t>(num_layers) * 2 * layer_bytes; }
  std::size_t bytes() const {
    std::size_t bytes = 0;
    const bool overflows =
        __builtin_mul_overflow(block_bytes(), static_cast<std::size_t>(num_blocks), &bytes);
    return overflows ? SIZE_MAX / 2 : bytes;  // refused like any other size that cannot be had
  }
  std::byte* block(std::int32_t b) const {
    return memory.get() + static_cast<std::size_t>(b) * block_bytes();
  }
  KvLayer layer(std::int32_t l) const {
    const std::vector<float>& offsets = key_offsets[static_cast<std::size_t>(l)];
    std::byte* keys = memory.get() + static_cast<std::size_t>(l) * 2 * layer_bytes;
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

/// A pool that still lacks its memory.
KvPool plan_kv_pool(const Config& config, std::int32_t num_layers, KvFormat format, std::int32_t num_blocks);

}  // namespace touchstone
