// How a tensor's numbers are stored.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace touchstone {

/// Plain floats, and GGUF's block types (ggml-quants: blocks of 32 or 256 values with their scales).
enum class DType : std::uint8_t { f32, f16, bf16, q8_0, q4_0, q4_1, q5_0, q5_1, q4_k, q5_k, q6_k };

struct DTypeInfo {
  std::string_view name;     // "F32", "Q4_K", … as GGUF and safetensors write it
  std::size_t block_values;  // values in a block; 1 for plain floats
  std::size_t block_bytes;
};

const DTypeInfo& dtype_info(DType dtype);

/// Bytes of `num_values` values; `num_values` must be a multiple of the block.
std::size_t dtype_bytes(DType dtype, std::size_t num_values);

}  // namespace touchstone
