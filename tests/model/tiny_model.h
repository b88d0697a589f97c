// A checkpoint made in memory: random weights of any shape.
#pragma once

#include <cstring>
#include <initializer_list>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "formats/checkpoint.h"

namespace touchstone::testing {

struct TinyShape {
  std::string model_type = "qwen2";
  int hidden_size = 40, intermediate_size = 56, num_layers = 2, num_heads = 6, num_kv_heads = 2,
      head_dim = 10;
  int vocab_size = 37;
  bool tied = false;
};

class TinyModel {
 public:
  explicit TinyModel(const TinyShape& shape, float bad_weight = 0.0F) : random_(1), bad_weight_(bad_weight) {
    checkpoint.id = "tiny";
    checkpoint.format = "safetensors";
    checkpoint.config = {{"model_type", shape.model_type},
                         {"hidden_size", shape.hidden_size},
                         {"intermediate_size", shape.intermediate_size},
                         {"num_hidden_layers", shape.num_layers},
                         {"num_attention_heads", shape.num_heads},
                         {"num_key_value_heads", shape.num_kv_heads},
                         {"head_dim", shape.head_dim},
                         {"vocab_size", shape.vocab_size},
                         {"max_position_embeddings", 1024},
                         {"rms_norm_eps", 1e-6},
                         {"rope_theta", 10000.0},
                         {"tie_word_embeddings", shape.tied}};
    const int q = shape.num_heads * shape.head_dim;
    const int kv = shape.num_kv_heads * shape.head_dim;
    add("model.embed_tokens.weight", {shape.vocab_size, shape.hidden_size});
    for (int l = 0; l < shape.num_layers; ++l) {
      const std::string prefix = "model.layers." + std::to_string(l) + ".";
      add(prefix + "input_layernorm.weight", {shape.hidden_size});
      for (const auto& [name, rows] : {std::pair("q", q), std::pair("k", kv), std::pair("v", kv)}) {
        add(prefix + "self_attn." + name + "_proj.weight", {rows, shape.hidden_size});
        if (shape.model_type == "qwen2") add(prefix + "self_attn." + name + "_proj.bias", {rows});
      }
      if (shape.model_type == "qwen3") {
        add(prefix + "self_attn.q_norm.weight", {shape.head_dim});
        add(prefix + "self_attn.k_norm.weight", {shape.head_dim});
      }
      add(prefix + "self_attn.o_proj.weight", {shape.hidden_size, q});
      add(prefix + "post_attention_layernorm.weight", {shape.hidden_size});
      add(prefix + "mlp.gate_proj.weight", {shape.intermediate_size, shape.hidden_size});
      add(prefix + "mlp.up_proj.weight", {shape.intermediate_size, shape.hidden_size});
      add(prefix + "mlp.down_proj.weight", {shape.hidden_size, shape.intermediate_size});
    }
    add("model.norm.weight", {shape.hidden_size});
    if (!shape.tied) add("lm_head.weight", {shape.vocab_size, shape.hidden_size});
  }

  /// Adds or replaces a float32 tensor.
  void add(const std::string& name, const std::vector<std::int64_t>& shape) {
    std::size_t n = 1;
    for (const std::int64_t size : shape) n *= static_cast<std::size_t>(size);
    auto values = std::make_shared<std::vector<float>>(n);
    std::normal_distribution<float> normal(0.0F, 0.2F);
    for (float& value : *values) value = normal(random_);
    if (bad_weight_ != 0.0F) (*values)[n / 2] = bad_weight_;
    set(name, shape, values);
  }

  void set(const std::string& name, const std::vector<std::int64_t>& shape,
           std::shared_ptr<std::vector<float>> values) {
    const Blob blob{"memory", std::as_bytes(std::span(*values)), values};
    checkpoint.tensors[name] = {name, DType::f32, shape, blob.bytes};
    checkpoint.blobs.push_back(blob);
  }

  Checkpoint checkpoint;

 private:
  std::mt19937 random_;
  float bad_weight_;
};

}  // namespace touchstone::testing
