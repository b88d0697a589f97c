// The tensors that a model of some config is made of.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/error.h"
#include "model/transformer.h"

namespace touchstone {

struct WantedTensor {
  std::string name;
  std::vector<std::int64_t> shape;
  bool required = true;  // else a bias that config does not announce
};

inline constexpr const char* kEmbeddingName = "model.embed_tokens.weight";

/// The name of the tensor that makes logits: the embedding itself in a model whose head is tied to it.
std::string head_name(const Config& config);

/// All tensors that load_weights reads; files may hold others.
std::vector<WantedTensor> list_wanted_tensors(const Config& config);

/// Why the checkpoint's tensors are not those of a model that `config` describes: one that is missing, of
/// another shape, or there although such a model has none. Empty when they are.
std::vector<Error> find_tensor_errors(const Checkpoint& checkpoint, const Config& config);
/// Throws the first of them.
void check_tensors(const Checkpoint& checkpoint, const Config& config);

}  // namespace touchstone
