#include "model/wanted_tensors.h"

#include <charconv>
#include <limits>
#include <optional>
#include <set>
#include <string_view>

#include "formats/checked.h"

namespace touchstone {
namespace {

using Shape = std::vector<std::int64_t>;

constexpr const char* kOtherModel =
    "config and weights are of different models, or damaged: fetch the model again";

std::string describe(const Shape& shape) {
  std::string text = "[";
  for (const std::int64_t size : shape) text += (text.size() > 1 ? ", " : "") + std::to_string(size);
  return text + "]";
}

/// A matrix [rows, columns] and its bias.
void add_linear(const std::string& name, std::int64_t rows, std::int64_t columns, bool has_bias,
                std::vector<WantedTensor>& wanted) {
  wanted.push_back({name + ".weight", {rows, columns}});
  wanted.push_back({name + ".bias", {rows}, has_bias});
}

void add_layer(const Config& config, const std::string& prefix, std::vector<WantedTensor>& wanted) {
  const std::int64_t hidden = config.hidden_size;
  const std::int64_t mlp = config.intermediate_size;
  const std::int64_t q_size = std::int64_t{config.num_heads} * config.head_dim;
  const std::int64_t kv_size = std::int64_t{config.num_kv_heads} * config.head_dim;
  const bool bias = config.attention_bias;
  const bool o_bias = bias && config.model_type != "qwen2";
  wanted.push_back({prefix + "input_layernorm.weight", {hidden}});
  add_linear(prefix + "self_attn.q_proj", q_size, hidden, bias, wanted);
  add_linear(prefix + "self_attn.k_proj", kv_size, hidden, bias, wanted);
  add_linear(prefix + "self_attn.v_proj", kv_size, hidden, bias, wanted);
  if (config.qk_norm) {
    wanted.push_back({prefix + "self_attn.q_norm.weight", {config.head_dim}});
    wanted.push_back({prefix + "self_attn.k_norm.weight", {config.head_dim}});
  }
  add_linear(prefix + "self_attn.o_proj", hidden, q_size, o_bias, wanted);
  wanted.push_back({prefix + "post_attention_layernorm.weight", {hidden}});
  add_linear(prefix + "mlp.gate_proj", mlp, hidden, config.mlp_bias, wanted);
  add_linear(prefix + "mlp.up_proj", mlp, hidden, config.mlp_bias, wanted);
  add_linear(prefix + "mlp.down_proj", hidden, mlp, config.mlp_bias, wanted);
}

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
void find_foreign_tensors(const Checkpoint& checkpoint, const Config& config, std::vector<Error>& errors) {
  std::set<std::string> names;  // in an order that does not change
  for (const auto& [name, tensor] : checkpoint.tensors) names.insert(name);
  for (const std::string& name : names) {
    const std::optional<std::int64_t> layer = find_layer(name);
    const bool is_qk_norm = name.ends_with(".q_norm.weight") || name.ends_with(".k_norm.weight");
    if (!layer || (*layer < config.num_layers && (config.qk_norm || !is_qk_norm))) continue;
    const std::string why = *layer < config.num_layers
                                ? "a model of type " + config.model_type + " has no such norm"
                                : "config has only " + std::to_string(config.num_layers) + " layers";
    errors.emplace_back(checkpoint.id + ": tensor " + quote(name) + " is there, but " + why, kOtherModel);
  }
}

std::optional<Error> find_error(const Checkpoint& checkpoint, const WantedTensor& wanted) {
  const Tensor* found = checkpoint.find_tensor(wanted.name);
  if (found == nullptr && !wanted.required) return std::nullopt;
  if (found == nullptr) return checkpoint.missing_tensor(wanted.name);
  // GGUF files, and what was made of them, have no announcement; in other formats something is amiss.
  if (!wanted.required && checkpoint.format == "safetensors") {
    return Error(checkpoint.id + ": tensor '" + wanted.name + "' is there, but config announces no such bias",
                 "set attention_bias or mlp_bias in config.json if the model was trained with it");
  }
  if (found->shape == wanted.shape) return std::nullopt;
  return Error(checkpoint.id + ": tensor '" + wanted.name + "' has shape " + describe(found->shape) +
                   ", but config wants " + describe(wanted.shape),
               kOtherModel);
}

}  // namespace

std::string head_name(const Config& config) {
  return config.tie_word_embeddings ? kEmbeddingName : "lm_head.weight";
}

std::vector<WantedTensor> list_wanted_tensors(const Config& config) {
  const Shape table{config.vocab_size, config.hidden_size};
  std::vector<WantedTensor> wanted = {{kEmbeddingName, table}};
  if (!config.tie_word_embeddings) wanted.push_back({head_name(config), table});
  for (std::int32_t i = 0; i < config.num_layers; ++i) {
    add_layer(config, "model.layers." + std::to_string(i) + ".", wanted);
  }
  wanted.push_back({"model.norm.weight", {config.hidden_size}});
  return wanted;
}

std::vector<Error> find_tensor_errors(const Checkpoint& checkpoint, const Config& config) {
  std::vector<Error> errors;
  find_foreign_tensors(checkpoint, config, errors);
  for (const WantedTensor& wanted : list_wanted_tensors(config)) {
    if (auto error = find_error(checkpoint, wanted)) errors.push_back(std::move(*error));
  }
  return errors;
}

void check_tensors(const Checkpoint& checkpoint, const Config& config) {
  const std::vector<Error> errors = find_tensor_errors(checkpoint, config);
  if (!errors.empty()) throw Error(errors.front());
}

}  // namespace touchstone
