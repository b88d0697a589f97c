// What tests take that hold bits against bits: models of several shapes, random ids, types.
#pragma once

#include <bit>
#include <cstdint>
#include <random>
#include <span>
#include <vector>

#include "model/tiny_model.h"

namespace touchstone::testing {

using Ids = std::vector<std::int32_t>;

struct Random {
  std::mt19937 engine;
  int between(int low, int high) { return std::uniform_int_distribution<int>(low, high)(engine); }
  Ids ids(int n, int vocab_size) {
    Ids result(static_cast<std::size_t>(n));
    for (std::int32_t& id : result) id = between(0, vocab_size - 1);
    return result;
  }
};

inline std::vector<std::uint32_t> bits_of(std::span<const float> values) {
  std::vector<std::uint32_t> bits;
  for (const float value : values) bits.push_back(std::bit_cast<std::uint32_t>(value));
  return bits;
}

inline std::vector<TinyShape> list_shapes() {
  return {{},
          {.model_type = "llama",
           .hidden_size = 72,
           .intermediate_size = 300,
           .num_heads = 4,
           .num_kv_heads = 4,
           .head_dim = 18,
           .vocab_size = 131,
           .tied = true},
          {.model_type = "qwen3",
           .hidden_size = 96,
           .intermediate_size = 200,
           .num_heads = 7,
           .num_kv_heads = 1,
           .head_dim = 32,
           .vocab_size = 100}};
}

struct Dtypes {
  const char *weights, *kv;
};

}  // namespace touchstone::testing
