// What a model will take of the memory, or of a GPU's, reckoned from its files' headers before anything is
// loaded.
#pragma once

#include <cstdint>

#include "formats/checkpoint.h"
#include "model/transformer.h"

namespace touchstone {

/// Bytes; see plan_model_memory().
struct ModelMemory {
  std::uint64_t weights = 0;  // packed
  // Of the stored file: what reading the embedding's rows holds of it. On a GPU, whose memory that isn't, 0.
  std::uint64_t stored = 0;
  std::uint64_t kv_per_token = 0;  // of one sequence
  std::uint64_t pass = 0;          // activations, scratch and logits of the largest forward()
};

/// The largest pass that will be asked for.
struct PassSize {
  std::int32_t tokens = 0, logits = 0;
  std::int32_t positions = 0;  // the longest sequence
};

/// Throws Error for a config or dtype that a Transformer would refuse.
ModelMemory plan_model_memory(const Checkpoint& checkpoint, const ModelOptions& options,
                              const PassSize& pass);

}  // namespace touchstone
