// A model's weights, ready for the kernels.
#pragma once

#include <array>
#include <functional>
#include <span>
#include <string>
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

/// A layer's matrices, in the order in which they are packed.
template <class Layer>
auto linears_of(Layer& w) {
  return std::array{&w.q, &w.k, &w.v, &w.o, &w.gate, &w.up, &w.down};
}

template <class Layer>
auto norms_of(Layer& w) {
  return std::array{&w.attention_norm, &w.mlp_norm, &w.q_norm, &w.k_norm};
}

struct Weights {
  StoredMatrix embedding;  // [vocab_size, hidden_size]: rows are read from the file as they are needed
  std::vector<LayerWeights> layers;
  std::vector<float> norm;  // [hidden_size]
  Linear lm_head;           // [vocab_size, hidden_size]
  std::vector<Blob> blobs;  // what the embedding views; see drop_embedding_pages()
  PackedCacheUse cache_use = PackedCacheUse::off;
};

/// Makes of a stored matrix what the kernels multiply with; `row_order` as for pack_matrix.
using PackFunction = std::function<PackedMatrix(const std::string& name, const StoredMatrix& stored,
                                                std::span<const std::int32_t> row_order)>;

/// One layer's weights; `pack` is given q, k, v, o, gate, up and down in this order. The checkpoint must have
/// passed check_tensors. Throws Error for integers that no quantization writes.
LayerWeights load_layer(const Checkpoint& checkpoint, const Config& config, std::int32_t index,
                        const PackFunction& pack);

/// A matrix that is not packed yet. Demands and throws as load_layer.
StoredMatrix find_matrix(const Checkpoint& checkpoint, const std::string& name);

/// The head's rounding is felt the most: 4 bits are too few for it.
inline PackAs pack_head_as(PackAs as) { return as == PackAs::int4 ? PackAs::int6 : as; }

/// Packs all weights, or finds them packed in the cache. Throws as check_tensors and load_layer.
Weights load_weights(const Checkpoint& checkpoint, const Config& config, PackAs as,
                     const ModelOptions& options, ThreadPool& pool);

/// Gives back the pages of the embedding's file that reading rows has brought in: each row brings the
/// system's read-around with it (64 KiB on Linux), so that the whole table would come to lie in memory with
/// time.
void drop_embedding_pages(const Weights& weights);

/// Packed bytes, all of which a decode step reads.
std::size_t count_weight_bytes(const Weights& weights);

}  // namespace touchstone
