// From a model to the same one in integers, in one file.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "model/transformer.h"

namespace touchstone {

struct QuantizeOptions {
  DType to = DType::int4_128;  // or int8_128
  int num_threads = 0;         // 0: usable_cores()
  std::string isa = "auto";
  /// Called before each matrix, `done` of `total` being finished. What it throws ends the work.
  std::function<void(int done, int total)> on_progress;
};

/// Writes `checkpoint` to `path` (formats/quantized_file.h), whole or not at all. The matrices of each layer
/// are fitted (fit_weights()) and rounded by GPTQ (model/gptq.h) for the inputs that they get when the model,
/// as rounded so far, reads `texts`, token ids that are run as sequences of their own, beside the model as it
/// was. In any case int8_128 are the matrices of keys and values and the first and the last layer's down.
/// Embedding and head are rounded to the nearest, to int6_128 instead of int4_128; vectors stay float32. The
/// same bytes for any number of threads and instruction set. Throws Error for weights or activations that are
/// not finite, and as load_weights.
void quantize_model(const Checkpoint& checkpoint, const std::vector<std::vector<std::int32_t>>& texts,
                    const QuantizeOptions& options, const std::filesystem::path& path);

}  // namespace touchstone
