#include "model/weights.h"

#include <charconv>
#include <initializer_list>
#include <limits>
#include <optional>
#include <string>
#include <string_view>

#include "base/error.h"
#include "formats/checked.h"
#include "kernels/int_blocks.h"
#include "model/packed_cache.h"

namespace touchstone {
namespace {

std::string describe(std::span<const std::int64_t> shape) {
  std::string text = "[";
  for (const std::int64_t size : shape) text += (text.size() > 1 ? ", " : "") + std::to_string(size);
  return text + "]";
}

struct Loader {
  const Checkpoint& checkpoint;
  const Config& config;

  const Tensor& tensor(const std::string& name, std::initializer_list<std::int64_t> shape) const {
    const Tensor& found = checkpoint.tensor(name);
    const std::vector<std::int64_t> wanted(shape);
    if (found.shape != wanted) {
      throw Error(checkpoint.id + ": tensor '" + name + "' has shape " + describe(found.shape) +
                      ", but config wants " + describe(wanted),
                  "config and weights are of different models, or damaged: fetch the model again");
    }
    return found;
  }

  std::vector<float> vector(const std::string& name, std::int64_t size) const {
    const Tensor& found = tensor(name, {size});
    std::vector<float> values(static_cast<std::size_t>(size));
    read_row({found.dtype, 1, static_cast<std::int32_t>(size), found.bytes}, 0, values);
    return values;
  }

  StoredMatrix matrix(const std::string& name, std::int64_t rows, std::int64_t columns) const {
    const Tensor& found = tensor(name, {rows, columns});
    if (pads_rows(found.dtype) && !are_int_blocks_valid(found.dtype, found.bytes)) {
      throw Error(
          checkpoint.id + ": tensor '" + name + "' has factors outside ±" + std::to_string(kMostInt4Factor),
          "the file is damaged: quantize the model again");
    }
    return {found.dtype, static_cast<std::int32_t>(rows), static_cast<std::int32_t>(columns), found.bytes};
  }

  /// A bias that config announces must be there. One that it does not: GGUF files, and what was made of them,
  /// have no such announcement, and in other formats something is amiss.
  std::vector<float> bias(const std::string& name, std::int64_t size, bool announced) const {
    if (!announced) {
      if (checkpoint.find_tensor(name) == nullptr) return {};
      if (checkpoint.format == "safetensors") {
        throw Error(checkpoint.id + ": tensor '" + name + "' is there, but config announces no such bias",
                    "set attention_bias or mlp_bias in config.json if the model was trained with it");
      }
    }
    return vector(name, size);
  }

  Linear linear(const PackFunction& pack, const std::string& name, std::int64_t rows, std::int64_t columns,
                bool has_bias, std::span<const std::int32_t> row_order = {}) const {
    Linear result;
    result.weight = pack(name + ".weight", matrix(name + ".weight", rows, columns), row_order);
    const std::vector<float> stored = bias(name + ".bias", rows, has_bias);
    result.bias = stored;
    for (std::size_t i = 0; i < row_order.size() && !stored.empty(); ++i) {
      result.bias[i] = stored[static_cast<std::size_t>(row_order[i])];
    }
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
    const std::int64_t hidden = config.hidden_size;
    const std::int64_t mlp = config.intermediate_size;
    const std::int64_t q_size = std::int64_t{config.num_heads} * config.head_dim;
    const std::int64_t kv_size = std::int64_t{config.num_kv_heads} * config.head_dim;
    const bool bias = config.attention_bias;
    const bool o_bias = bias && config.model_type != "qwen2";
    LayerWeights w;
    w.attention_norm = vector(prefix + "input_layernorm.weight", hidden);
    w.q = linear(pack, prefix + "self_attn.q_proj", q_size, hidden, bias, head_row_order(config.num_heads));
    w.k =
        linear(pack, prefix + "self_attn.k_proj", kv_size, hidden, bias, head_row_order(config.num_kv_heads));
    w.v = linear(pack, prefix + "self_attn.v_proj", kv_size, hidden, bias);
    if (config.qk_norm) {
      w.q_norm = vector(prefix + "self_attn.q_norm.weight", config.head_dim);
      w.k_norm = vector(prefix + "self_attn.k_norm.weight", config.head_dim);
    }
    w.o = linear(pack, prefix + "self_attn.o_proj", hidden, q_size, o_bias);
    w.mlp_norm = vector(prefix + "post_attention_layernorm.weight", hidden);
    w.gate = linear(pack, prefix + "mlp.gate_proj", mlp, hidden, config.mlp_bias);
    w.up = linear(pack, prefix + "mlp.up_proj", mlp, hidden, config.mlp_bias);
    w.down = linear(pack, prefix + "mlp.down_proj", hidden, mlp, config.mlp_bias);
    return w;
  }
};

/// The layer that a tensor belongs to; nothing for one outside the layers.
std::optional<std::int64_t> find_layer(std::string_view name) {
  constexpr std::string_view kLayers = "model.layers.";
  if (!name.starts_with(kLayers)) return std::nullopt;
  name.remove_prefix(kLayers.size());
  std::int64_t layer = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), layer);
  if (error == std::errc::result_out_of_range) return std::numeric_limits<std::int64_t>::max();
  const bool whole = error == std::errc() && end != name.data() + name.size() && *end == '.';
  return whole ? std::optional(layer) : std::nullopt;
}

/// Tensors that would change what the model computes, if it were the one that config describes: those of
/// further layers, and norms of q and k that the model's type does not have.
void refuse_foreign_tensors(const Checkpoint& checkpoint, const Config& config) {
  for (const auto& [name, tensor] : checkpoint.tensors) {
    const std::optional<std::int64_t> layer = find_layer(name);
    const bool is_qk_norm = name.ends_with(".q_norm.weight") || name.ends_with(".k_norm.weight");
    if (!layer || (*layer < config.num_layers && (config.qk_norm || !is_qk_norm))) continue;
    const std::string why = *layer < config.num_layers
                                ? "a model of type " + config.model_type + " has no such norm"
                                : "config has only " + std::to_string(config.num_layers) + " layers";
    throw Error(checkpoint.id + ": tensor " + quote(name) + " is there, but " + why,
                "config and weights are of different models, or damaged: fetch the model again");
  }
}

std::size_t bytes_of(const Linear& linear) {
  return linear.weight.bytes() + linear.bias.size() * sizeof(float);
}

}  // namespace

LayerWeights load_layer(const Checkpoint& checkpoint, const Config& config, std::int32_t index,
                        const PackFunction& pack) {
  return Loader{checkpoint, config}.layer(index, pack);
}

StoredMatrix find_matrix(const Checkpoint& checkpoint, const std::string& name, std::int64_t rows,
                         std::int64_t columns) {
  return Loader{checkpoint, {}}.matrix(name, rows, columns);
}

std::string head_name(const Config& config) {
  return config.tie_word_embeddings ? kEmbeddingName : "lm_head.weight";
}

std::vector<std::string> list_loaded_names(const Config& config) {
  std::vector<std::string> names = {head_name(config), "model.norm.weight"};
  for (std::int32_t i = 0; i < config.num_layers; ++i) {
    const std::string prefix = "model.layers." + std::to_string(i) + ".";
    for (const char* linear : {"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj",
                               "mlp.gate_proj", "mlp.up_proj", "mlp.down_proj"}) {
      names.push_back(prefix + linear + ".weight");
      names.push_back(prefix + linear + ".bias");
    }
    names.push_back(prefix + "input_layernorm.weight");
    names.push_back(prefix + "post_attention_layernorm.weight");
    if (!config.qk_norm) continue;
    names.push_back(prefix + "self_attn.q_norm.weight");
    names.push_back(prefix + "self_attn.k_norm.weight");
  }
  return names;
}

Weights load_weights(const Checkpoint& checkpoint, const Config& config, PackAs as,
                     const ModelOptions& options, ThreadPool& pool) {
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
  refuse_foreign_tensors(checkpoint, config);
  Weights weights;
  weights.blobs = checkpoint.blobs;
  weights.embedding = loader.matrix(kEmbeddingName, config.vocab_size, config.hidden_size);
  // The largest matrix goes first: its stored form is in memory when no other packed one is.
  weights.lm_head.weight =
      pack_as(loader.matrix(head_name(config), config.vocab_size, config.hidden_size), pack_head_as(as), {});
  for (std::int32_t i = 0; i < config.num_layers; ++i) weights.layers.push_back(loader.layer(i, pack));
  weights.norm = loader.vector("model.norm.weight", config.hidden_size);
  weights.cache_use = cache.finish();
  return weights;
}

void drop_embedding_pages(const Weights& weights) {
  for (const Blob& blob : weights.blobs) drop_pages(blob, weights.embedding.bytes);
}

std::size_t count_weight_bytes(const Weights& weights) {
  std::size_t bytes = bytes_of(weights.lm_head) + weights.norm.size() * sizeof(float);
  for (const LayerWeights& w : weights.layers) {
    for (const Linear* linear : {&w.q, &w.k, &w.v, &w.o, &w.gate, &w.up, &w.down}) bytes += bytes_of(*linear);
    for (const auto* norm : {&w.attention_norm, &w.mlp_norm, &w.q_norm, &w.k_norm}) {
      bytes += norm->size() * sizeof(float);
    }
  }
  return bytes;
}

}  // namespace touchstone
