#include "kernels/int_blocks.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <vector>

#include "kernels/cpu_backend.h"

namespace touchstone {
namespace {

class IntBlocks : public ::testing::TestWithParam<DType> {
 protected:
  static std::vector<float> random_row(std::size_t n) {
    std::mt19937 random(1);
    std::normal_distribution<float> normal(0.0F, 0.1F);
    std::vector<float> row(n);
    for (float& value : row) value = normal(random);
    return row;
  }
  static std::vector<std::byte> round(const std::vector<float>& row) {
    std::vector<std::byte> blocks(dtype_bytes(GetParam(), row.size()));
    round_to_int_blocks(GetParam(), row, blocks);
    return blocks;
  }
  static std::vector<float> decode(const std::vector<std::byte>& blocks, std::size_t n) {
    std::vector<float> row(n);
    decode_int_blocks(GetParam(), blocks, row);
    return row;
  }
};

INSTANTIATE_TEST_SUITE_P(AllTypes, IntBlocks,
                         ::testing::Values(DType::int8_128, DType::int6_128, DType::int4_128),
                         [](const auto& param) { return std::string(dtype_info(param.param).name); });

TEST_P(IntBlocks, RoundingMovesNoWeightByMoreThanItsStep) {
  const std::vector<float> row = random_row(300);
  const std::vector<float> decoded = decode(round(row), row.size());
  const float step = GetParam() == DType::int8_128   ? 0.5F / 127
                     : GetParam() == DType::int6_128 ? 0.5F / 31
                                                     : 1.0F / 8;
  for (std::size_t i = 0; i < row.size(); ++i) EXPECT_NEAR(decoded[i], row[i], 0.4F * step) << i;
}

TEST_P(IntBlocks, RoundingWhatIsRoundedChangesNothing) {
  const std::vector<float> once = decode(round(random_row(300)), 300);
  const std::vector<float> twice = decode(round(once), 300);
  for (std::size_t i = 0; i < once.size(); ++i) EXPECT_NEAR(twice[i], once[i], 1e-7F) << i;
}

TEST_P(IntBlocks, ZerosStayZerosAndWhatIsNotFiniteBecomesNotANumber) {
  std::vector<float> row(300, 0.0F);
  for (const float value : decode(round(row), row.size())) EXPECT_EQ(value, 0.0F);
  row[130] = std::numeric_limits<float>::infinity();
  const std::vector<float> decoded = decode(round(row), row.size());
  EXPECT_EQ(decoded[0], 0.0F);
  EXPECT_TRUE(std::isnan(decoded[130]));
}

TEST_P(IntBlocks, KernelsMultiplyWithTheVeryWeightsThatDecodingGives) {
  constexpr std::int32_t kRows = 19, kColumns = 200;
  std::vector<std::byte> matrix;
  std::vector<std::vector<float>> weights;
  for (std::int32_t r = 0; r < kRows; ++r) {
    std::vector<float> row = random_row(static_cast<std::size_t>(kColumns + r));
    row.erase(row.begin(), row.begin() + r);
    const std::vector<std::byte> blocks = round(row);
    matrix.insert(matrix.end(), blocks.begin(), blocks.end());
    weights.push_back(decode(blocks, row.size()));
  }
  CpuBackend on(2, "auto");
  const Linear linear{pack_matrix({GetParam(), kRows, kColumns, matrix}, PackAs::stored, {}, on.pool()), {}};
  // One input at a time: its product is one weight.
  std::vector<float> x(std::size_t{kColumns} * kColumns), y(std::size_t{kColumns} * kRows);
  for (std::size_t i = 0; i < kColumns; ++i) x[i * kColumns + i] = 127.0F;
  on.project({x.data(), kColumns, kColumns}, {{&linear, {y.data(), kColumns, kRows}}});
  for (std::size_t i = 0; i < kColumns; ++i) {
    for (std::size_t r = 0; r < kRows; ++r) {
      const float weight = weights[r][i];
      EXPECT_NEAR(y[i * kRows + r] / 127.0F, weight, 1e-6F * std::fabs(weight)) << r << ", " << i;
    }
  }
}

TEST(Int4Blocks, FactorsThatTheKernelsCannotMultiplyWithAreFound) {
  Int4Block block;
  const auto valid = [&] {
    return are_int_blocks_valid(DType::int4_128, std::as_bytes(std::span(&block, 1)));
  };
  block.factors = {15, -15, 0, 1};
  EXPECT_TRUE(valid());
  block.factors[2] = 16;
  EXPECT_FALSE(valid());
  block.factors[2] = -128;
  EXPECT_FALSE(valid());
}

}  // namespace
}  // namespace touchstone
