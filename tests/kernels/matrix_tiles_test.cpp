// The loops around matrix tiles, with tiles by their definition in place of the processor's.
#include <gtest/gtest.h>

#include <cstring>
#include <random>
#include <vector>

#include "base/to_size.h"
#include "kernels/cpu/body_int.h"
#include "kernels/cpu/vec_scalar.h"
#include "kernels/kernels.h"
#include "quantized_rows.h"

namespace touchstone {
namespace {

struct ScalarTiles : Scalar {
  static constexpr const char* kName = "scalar with tiles";
  static constexpr int kTilePanels = 3;
  static constexpr int kMatrixTokens = 16;

  static inline std::int32_t tiles[kTilePanels][kMatrixTokens][kLanes];

  static void start_matrices() {}
  static void stop_matrices() {}

  template <int kPanels, class Ask>
  static void multiply_matrices(const std::uint8_t* lines, std::size_t panel_bytes, const std::int8_t* q,
                                const Ask& ask) {
    ask();
    for (std::size_t p = 0; p < kPanels; ++p) {
      for (std::size_t t = 0; t < kMatrixTokens; ++t) {
        for (std::size_t o = 0; o < kLanes; ++o) {
          std::int32_t sum = 0;
          for (std::size_t k = 0; k < kIntGroup; ++k) {
            sum += q[t * kIntGroup + k] *
                   static_cast<std::int8_t>(
                       lines[p * panel_bytes + k / kIntDepth * kIntLine + o * kIntDepth + k % kIntDepth]);
          }
          tiles[p][t][o] = sum;
        }
      }
    }
  }

  template <int kPanels>
  static void store_matrices(std::int32_t (*products)[kMatrixTokens][kLanes]) {
    std::memcpy(products, tiles, kPanels * sizeof tiles[0]);
  }

  static Ints load_ints(const std::int32_t* p) {
    Ints ints = set_ints(0);
    for (int i = 0; i < kLanes; ++i) ints.lane[i] = p[i];
    return ints;
  }
};

class MatrixTiles : public ::testing::TestWithParam<PackAs> {};

TEST_P(MatrixTiles, GiveTheBitsOfTheScalarKernels) {
  const KernelTable tiles = make_table<ScalarTiles>();
  ThreadPool pool(2);
  std::mt19937 random(9);
  std::normal_distribution<float> normal;
  for (const std::int32_t columns : {1, 100, 128, 300, 512}) {
    constexpr std::int32_t kRows = 16 * kMaxPanels - 5;
    constexpr std::int32_t kTokens = 50;
    std::vector<float> weights(to_size(kRows * columns)), x(to_size(kTokens * columns));
    for (float& weight : weights) weight = normal(random);
    for (float& number : x) number = normal(random);
    const PackedMatrix packed =
        pack_matrix({DType::f32, kRows, columns, std::as_bytes(std::span(weights))}, GetParam(), {}, pool);
    const Quantized quantized(tiles, x, columns);
    const auto multiply = [&](const KernelTable& kernels, std::int32_t num_panels, std::int32_t num_tokens) {
      std::vector<float> tile(std::size_t{3} * kSumBlock * kLanes), sums(std::size_t{kTokens} * kSumStride);
      kernels.multiply_ints(view(packed), 0, num_panels, quantized.from(0), num_tokens, tile.data(),
                            sums.data());
      std::vector<std::uint32_t> bits(sums.size());
      std::memcpy(bits.data(), sums.data(), sums.size() * sizeof(float));
      return bits;
    };
    for (const std::int32_t num_panels : {1, 3, 4, 6}) {
      for (const std::int32_t num_tokens : {15, 16, 17, 32, 50}) {
        EXPECT_EQ(multiply(tiles, num_panels, num_tokens),
                  multiply(choose_kernels("scalar"), num_panels, num_tokens))
            << columns << " inputs, " << num_panels << " panels, " << num_tokens << " tokens";
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Types, MatrixTiles, integer_types(), name_integer_type);

}  // namespace
}  // namespace touchstone
