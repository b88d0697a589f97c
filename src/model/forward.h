// The transformer's forward pass, once for all devices: what a Backend must provide is what cpu_backend.h
// declares.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>

#include "kernels/cpu_backend.h"
#include "model/kv_pool.h"
#include "model/transformer.h"
#include "model/weights.h"

namespace touchstone {

/// The tokens of one pass: rows of all slices one after the other.
struct Pass {
  std::span<const std::int32_t> ids;  // [num_tokens]
  std::span<const PassSlice> slices;
  std::span<const std::int32_t> logit_rows;  // rows whose logits are wanted
};

/// Room for a pass's activations.
struct Activations {
  Rows x, normed;    // [num_tokens, hidden_size]
  Rows q, attended;  // [num_tokens, num_heads * head_dim]
  Rows k, v;         // [num_tokens, num_kv_heads * head_dim]
  Rows gated;        // [num_tokens, intermediate_size]
  Rows last;         // [num_logits, hidden_size]
};

/// The size of a pass's activations.
std::size_t count_activation_floats(const Config& config, std::int32_t num_tokens, std::int32_t num_logits);

/// Cuts count_activation_floats() of them, where the pass runs, into the activations of a pass.
Activations cut_activations(const Config& config, std::int32_t num_tokens, std::int32_t num_logits,
                            float* floats);

/// Runs one layer: `a.x` holds its input, and then its output.
template <class Backend>
void run_layer(Backend& on, const Config& config, const LayerWeights& w, const RopeTable& rope,
               std::span<const PassSlice> slices, const KvLayer& kv, const Activations& a) {
  const float eps = config.rms_norm_eps;
  const AttentionShape shape{config.num_heads, config.num_kv_heads, config.head_dim, eps};

  on.rms_norm(a.x, w.attention_norm, eps, a.normed);
  on.project(a.normed, {{&w.q, a.q}, {&w.k, a.k}, {&w.v, a.v}});
  on.rotate_and_store(slices, shape, rope, w.q_norm, w.k_norm, a.q, a.k, a.v, kv);
  on.attend(slices, shape, a.q, kv, a.attended);
  on.add_projection(a.attended, w.o, a.x);

  on.rms_norm(a.x, w.mlp_norm, eps, a.normed);
  const Rows gated = as_input_of(w.down, a.gated);
  on.gated_projection(a.normed, w.gate, w.up, gated);
  on.add_projection(gated, w.down, a.x);
}

inline constexpr std::int32_t kEmbeddedRows = 64;  // between two drop_embedding_pages()

/// Writes keys and values of the pass's tokens into `cache`, and the wanted logits, [num_logits, vocab_size].
template <class Backend>
void run_pass(Backend& on, const Config& config, const Weights& weights, const RopeTable& rope,
              const Pass& pass, const KvPool& cache, const Activations& a, Rows logits) {
  for (std::int32_t first = 0; first < a.x.count; first += kEmbeddedRows) {
    const std::int32_t count = std::min(kEmbeddedRows, a.x.count - first);
    on.embed(weights.embedding,
             pass.ids.subspan(static_cast<std::size_t>(first), static_cast<std::size_t>(count)),
             {a.x.row(first), count, a.x.width});
    drop_embedding_pages(weights);
  }
  for (std::int32_t l = 0; l < config.num_layers; ++l) {
    const LayerWeights& w = weights.layers[static_cast<std::size_t>(l)];
    run_layer(on, config, w, rope, pass.slices, cache.layer(l), a);
  }
  if (logits.count == 0) return;
  on.gather(a.x, pass.logit_rows, a.last);
  on.rms_norm(a.last, weights.norm, config.rms_norm_eps, a.last);
  on.project(a.last, {{&weights.lm_head, logits}});
}

}  // namespace touchstone
