#include "model/kv_pool.h"

#include "base/to_size.h"

namespace touchstone {

std::size_t kv_token_bytes(const Config& config, std::int32_t num_layers, KvFormat format) {
  return to_size(num_layers) * to_size(config.num_kv_heads) * 2 * kv_head_bytes(format, config.head_dim) /
         kKvBlockTokens;
}

KvPool plan_kv_pool(const Config& config, std::int32_t num_layers, KvFormat format, std::int32_t num_blocks) {
  KvPool pool;
  pool.format = format;
  pool.num_blocks = num_blocks;
  pool.num_layers = num_layers;
  pool.head_bytes = kv_head_bytes(format, config.head_dim);
  pool.layer_bytes = pool.head_bytes * to_size(config.num_kv_heads);
  pool.key_offsets.resize(to_size(num_layers));
  return pool;
}

}  // namespace touchstone
