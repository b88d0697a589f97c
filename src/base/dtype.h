// How a tensor's numbers are stored.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace touchstone {

/// Plain floats; GGUF's block types (ggml-quants: blocks of 32 or 256 values with their scales); and the
/// blocks of 128 values that the integer kernels compute with (kernels/int_blocks.h).
enum class DType : std::uint8_t {
  f32,
  f16,
  bf16,
  q8_0,
  q4_0,
  q4_1,
  q5_0,
  q5_1,
  q4_k,
  q5_k,
  q6_k,
  int8_128,
  int6_128,
  int4_128
};

struct DTypeInfo {
  std::string_view name;     // "F32", "Q4_K", "I8_128", …, as the files write it
  std::size_t block_values;  // values in a block; 1 for plain floats
  std::size_t block_bytes;
};

const DTypeInfo& dtype_info(DType dtype);

/// Whether values are in blocks whose last one in a row is filled up: int8_128, int6_128 and int4_128. Rows
/// of the other types are whole blocks.
constexpr bool pads_rows(DType dtype) {
  return dtype == DType::int8_128 || dtype == DType::int6_128 || dtype == DType::int4_128;
}

/// Bytes of a row of `num_values` values, in whole blocks.
std::size_t dtype_bytes(DType dtype, std::size_t num_values);

}  // namespace touchstone
