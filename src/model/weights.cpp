#include "model/weights.h"

#include <optional>
#include <string>

#include "base/error.h"
#include "base/to_size.h"
#include "kernels/int_blocks.h"
#include "model/packed_cache.h"
#include "model/wanted_tensors.h"

namespace touchstone {
namespace {

/// Reads tensors that find_tensor_errors() has seen to be what the config wants.
struct Loader {
  const Checkpoint& checkpoint;
  const Config& config;

  std::vector<float> vector(const std::string& name) const {
    const Tensor& found = checkpoint.tensor(name);
    std::vector<float> values(static_cast<std::size_t>(found.shape.front()));
    read_row({found.dtype, 1, static_cast<std::int32_t>(values.size()), found.bytes}, 0, values);
    return values;
  }

  StoredMatrix matrix(const std::string& name) const {
    const Tensor& found = checkpoint.tensor(name);
    if (pads_rows(found.dtype) && !are_int_blocks_valid(found.dtype, found.bytes)) {
      throw Error(
          checkpoint.id + ": tensor '" + name + "' has factors outside ±" + std::to_string(kMostInt4Factor),
          "the file is damaged: quantize the model again");
    }
    return {found.dtype, static_cast<std::int32_t>(found.shape.front()),
            static_cast<std::int32_t>(found.shape.back()), found.bytes};
  }

  Linear linear(const PackFunction& pack, const std::string& name,
                std::span<const std::int32_t> row_order = {}) const {
    Linear result;
    result.weight = pack(name + ".weight", matrix(name + ".weight"), row_order);
    if (checkpoint.find_tensor(name + ".bias") == nullptr) return result;
    const std::vector<float> stored = vector(name + ".bias");
    result.bias = stored;
    for (std::size_t i = 0; i < row_order.size(); ++i) result.bias[i] = stored[to_size(row_order[i])];
    return result;
  }

  /// GGUF stores llama's q and k for rotation of neighbouring pairs: rows 2i and 2i + 1 of a head are rows i
  /// and i + head_dim / 2 here.
  std::vector<std::int32_t> head_row_order(std::int32_t num_heads) const {
    std::vector<std::int32_t> order;
    if (!config.rope_interleaved) return order;
    const std::int32_t half = config.head_dim / 2;
    for (std::int32_t row = 0; row < num_heads * config.head_dim; ++row) {
      const std::int32_t i = row % config.head_dim;
      order.push_back(row - i + 2 * (i % half) + i / half);
    }
    return order;
  }

  LayerWeights layer(std::int32_t index, const PackFunction& pack) const {
    const std::string prefix = "model.layers." + std::to_string(index) + ".";
    LayerWeights w;
    w.attention_norm = vector(prefix + "input_layernorm.weight");
    w.q = linear(pack, prefix + "self_attn.q_proj", head_row_order(config.num_heads));
    w.k = linear(pack, prefix + "self_attn.k_proj", head_row_order(config.num_kv_heads));
    w.v = linear(pack, prefix + "self_attn.v_proj");
    if (config.qk_norm) {
      w.q_norm = vector(prefix + "self_attn.q_norm.weight");
      w.k_norm = vector(prefix + "self_attn.k_norm.weight");
    }
    w.o = linear(pack, prefix + "self_attn.o_proj");
    w.mlp_norm = vector(prefix + "post_attention_layernorm.weight");
    w.gate = linear(pack, prefix + "mlp.gate_proj");
    w.up = linear(pack, prefix + "mlp.up_proj");
    w.down = linear(pack, prefix + "mlp.down_proj");
    return w;
  }
};

std::size_t bytes_of(const Linear& linear) {
  return linear.weight.bytes() + linear.bias.size() * sizeof(float);
}

}  // namespace

LayerWeights load_layer(const Checkpoint& checkpoint, const Config& config, std::int32_t index,
                        const PackFunction& pack) {
  return Loader{checkpoint, config}.layer(index, pack);
}

StoredMatrix find_matrix(const Checkpoint& checkpoint, const std::string& name) {
  return Loader{checkpoint, {}}.matrix(name);
}

Weights load_weights(const Checkpoint& checkpoint, const Config& config, PackAs as,
                     const ModelOptions& options, ThreadPool& pool) {
  check_tensors(checkpoint, config);
  PackedCache cache(checkpoint, as, options, pool);
  Arena arena;
  const auto pack_as = [&](const StoredMatrix& stored, PackAs form, std::span<const std::int32_t> row_order) {
    std::optional<PackedMatrix> packed = cache.take(plan_packing(stored, form));
    if (!packed) {
      packed = pack_matrix(stored, form, row_order, pool, &arena);
      for (const Blob& blob : checkpoint.blobs) drop_pages(blob, stored.bytes);
    }
    cache.add(*packed);
    return *packed;
  };
  const PackFunction pack = [&](const std::string&, const StoredMatrix& stored,
                                std::span<const std::int32_t> row_order) {
    return pack_as(stored, as, row_order);
  };
  const Loader loader{checkpoint, config};
  Weights weights;
  weights.blobs = checkpoint.blobs;
  weights.embedding = loader.matrix(kEmbeddingName);
  // The largest matrix goes first: its stored form is in memory when no other packed one is.
  weights.lm_head.weight = pack_as(loader.matrix(head_name(config)), pack_head_as(as), {});
  for (std::int32_t i = 0; i < config.num_layers; ++i) weights.layers.push_back(loader.layer(i, pack));
  weights.norm = loader.vector("model.norm.weight");
  weights.cache_use = cache.finish();
  return weights;
}

void drop_embedding_pages(const Weights& weights) {
  for (const Blob& blob : weights.blobs) drop_pages(blob, weights.embedding.bytes);
}

std::size_t count_weight_bytes(const Weights& weights) {
  std::size_t bytes = bytes_of(weights.lm_head) + weights.norm.size() * sizeof(float);
  for (const LayerWeights& w : weights.layers) {
    for (const Linear* linear : linears_of(w)) bytes += bytes_of(*linear);
    for (const auto* norm : norms_of(w)) bytes += norm->size() * sizeof(float);
  }
  return bytes;
}

}  // namespace touchstone
