// A model's weights, ready for the kernels.
#pragma once

#include <vector>

#include "base/blob.h"
#include "base/thread_pool.h"
#include "kernels/cpu_backend.h"
#include "model/transformer.h"

namespace touchstone {

struct LayerWeights {
  std::vector<float> attention_norm;  // [hidden_size]
  Linear q, k, v;                     // [heads * head_dim, hidden_size]
  std::vector<float> q_norm, k_norm;  // [head_dim], or empty
  Linear o;                           // [hidden_size, num_heads * head_dim]
  std::vector<float> mlp_norm;        // [hidden_size]
  Linear gate, up;                    // [intermediate_size, hidden_size]
  Linear down;                        // [hidden_size, intermediate_size]
};

struct Weights {
  StoredMatrix embedding;  // [vocab_size, hidden_size]: rows are read from the file as they are needed
  std::vector<LayerWeights> layers;
  std::vector<float> norm;  // [hidden_size]
  Linear lm_head;           // [vocab_size, hidden_size]
  std::vector<Blob> blobs;  // what the embedding views
  PackedCacheUse cache_use = PackedCacheUse::off;
};

/// Packs all weights, or finds them packed in the cache. Throws Error for a missing tensor or one of another
/// shape than the config says, naming it.
Weights load_weights(const Checkpoint& checkpoint, const Config& config, PackAs as,
                     const ModelOptions& options, ThreadPool& pool);

/// Packed bytes, and those among them that one decode step reads.
std::size_t count_weight_bytes(const Weights& weights);

}  // namespace touchstone
