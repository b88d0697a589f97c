// The back end's operations together.
#include "kernels/cpu_backend.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "base/to_size.h"

namespace touchstone::testing {
namespace {

std::vector<float> make_normals(std::int32_t rows, std::int32_t columns, unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  std::vector<float> numbers(to_size(rows) * to_size(columns));
  for (float& number : numbers) number = normal(random);
  return numbers;
}

Linear make_bf16_linear(std::int32_t rows, std::int32_t columns, unsigned seed, ThreadPool& pool) {
  const std::vector<float> weights = make_normals(rows, columns, seed);
  const StoredMatrix stored{DType::f32, rows, columns, std::as_bytes(std::span(weights))};
  return {pack_matrix(stored, PackAs::bfloat16, {}, pool), {}};
}

TEST(CpuBackend, GatedOutputsThatAreRoundedAtOnceGiveTheSameBitsAsRows) {
  constexpr std::int32_t kHidden = 80;
  // Blocks of 128 that pieces of outputs fit into, do not, and a width that is not made of blocks.
  for (const std::int32_t width : {128, 640, 176}) {
    for (const std::int32_t num_tokens : {1, 2, 7, 70}) {
      CpuBackend on(2, "auto");
      const Linear gate = make_bf16_linear(width, kHidden, 1, on.pool());
      const Linear up = make_bf16_linear(width, kHidden, 2, on.pool());
      const Linear down = make_bf16_linear(kHidden, width, 3, on.pool());
      std::vector<float> x = make_normals(num_tokens, kHidden, 4);
      const auto run = [&](bool at_once) {
        std::vector<float> room(to_size(num_tokens) * to_size(width));
        std::vector<float> y = x;
        const Rows rows{room.data(), num_tokens, width};
        const Rows gated = at_once ? as_input_of(down, rows) : rows;
        EXPECT_EQ(gated.in_bf16_blocks, at_once && width % 128 == 0);
        on.gated_projection({x.data(), num_tokens, kHidden}, gate, up, gated);
        on.add_projection(gated, down, {y.data(), num_tokens, kHidden});
        return y;
      };
      EXPECT_EQ(run(true), run(false)) << width << " outputs, " << num_tokens << " tokens";
    }
  }
}

TEST(CpuBackend, ManyTokensInBfloat16GetTheBitsThatEachGetsAlone) {
  // Wide enough that in tiles the activations of all tokens are taken to be far.
  constexpr std::int32_t kInputs = 2304, kOutputs = 1400, kTokens = 250;
  for (const bool in_tiles : {false, true}) {
    CpuBackend on(2, "auto", in_tiles);
    Linear linear = make_bf16_linear(kOutputs, kInputs, 1, on.pool());
    linear.bias = make_normals(1, kOutputs, 2);
    std::vector<float> x = make_normals(kTokens, kInputs, 3);
    const std::vector<float> before = make_normals(kTokens, kOutputs, 4);
    std::vector<float> together = before;
    on.add_projection({x.data(), kTokens, kInputs}, linear, {together.data(), kTokens, kOutputs});
    for (const std::int32_t token : {0, 31, 100, 239, 249}) {
      const auto at = std::ptrdiff_t{token} * kOutputs;
      std::vector<float> alone(before.begin() + at, before.begin() + at + kOutputs);
      on.add_projection({x.data() + std::ptrdiff_t{token} * kInputs, 1, kInputs}, linear,
                        {alone.data(), 1, kOutputs});
      EXPECT_TRUE(std::equal(alone.begin(), alone.end(), together.begin() + at)) << token << in_tiles;
    }
  }
}

}  // namespace
}  // namespace touchstone::testing
