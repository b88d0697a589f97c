// What `touchstone quantize` writes: one safetensors file that is a whole model. Its __metadata__ holds, as
// JSON texts, what other models have in files of their own; its vectors are F32; its matrices are U8, [rows,
// bytes of a row], in the blocks of kernels/int_blocks.h, and the entry "blocks" says of which type and how
// many columns: {"model.embed_tokens.weight": {"dtype": "I8_128", "columns": 896}, …}.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "formats/checkpoint.h"

namespace touchstone {

/// A tensor that is to be written: F32 of any shape, or a matrix of int8_128, int6_128 or int4_128.
struct PlannedTensor {
  std::string name;
  DType dtype;
  std::vector<std::int64_t> shape;  // of its values
};

/// The file up to its tensors, whose bytes then follow without gaps in the given order. `source` gives
/// everything but tensors. Throws Error for texts that are not UTF-8.
std::string make_quantized_header(const Checkpoint& source, std::span<const PlannedTensor> tensors);

/// Throws Error for any other safetensors file, and a damaged one.
Checkpoint read_quantized_model(const std::filesystem::path& path);

}  // namespace touchstone
