#include "kernels/quant_blocks.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <string>
#include <vector>

#include "support/golden.h"

namespace touchstone {
namespace {

constexpr DType kGgufTypes[] = {DType::f16,  DType::bf16, DType::q8_0, DType::q4_0, DType::q4_1,
                                DType::q5_0, DType::q5_1, DType::q4_k, DType::q5_k, DType::q6_k};

/// What follows the header of a version 1 .npy file.
std::string read_npy(const std::filesystem::path& path) {
  const std::string file = testing::read_file(path);
  const std::size_t header =
      static_cast<unsigned char>(file.at(8)) + 256U * static_cast<unsigned char>(file.at(9));
  return file.substr(10 + header);
}

std::vector<float> to_floats(const std::string& bytes) {
  std::vector<float> values(bytes.size() / sizeof(float));
  std::memcpy(values.data(), bytes.data(), values.size() * sizeof(float));
  return values;
}

std::span<const std::byte> as_bytes(const std::string& text) { return std::as_bytes(std::span(text)); }

class QuantBlocks : public ::testing::TestWithParam<DType> {
 protected:
  void SetUp() override {
    const std::string name(dtype_info(GetParam()).name);
    blocks_ = read_npy(testing::golden_dir() / "quants" / (name + ".blocks.npy"));
    values_ = to_floats(read_npy(testing::golden_dir() / "quants" / (name + ".values.npy")));
    ASSERT_FALSE(values_.empty());
    ASSERT_EQ(blocks_.size(), dtype_bytes(GetParam(), values_.size()));
  }
  std::string blocks_;
  std::vector<float> values_;
};

TEST_P(QuantBlocks, DecodeToTheReferencesValuesBitForBit) {
  std::vector<float> decoded(values_.size());
  decode_blocks(GetParam(), as_bytes(blocks_), decoded);
  for (std::size_t i = 0; i < values_.size(); ++i) {
    ASSERT_EQ(std::bit_cast<std::uint32_t>(decoded[i]), std::bit_cast<std::uint32_t>(values_[i]))
        << "value " << i;
  }
}

class BlockTypes : public QuantBlocks {};

TEST_P(BlockTypes, AreTheSumOfTheirParts) {
  const std::size_t group = group_values(GetParam());
  std::vector<std::int8_t> q(values_.size());
  std::vector<float> scales(values_.size() / group);
  std::vector<float> mins(scales.size());
  split_blocks(GetParam(), as_bytes(blocks_), q, scales, mins);
  for (std::size_t i = 0; i < values_.size(); ++i) {
    const float product = scales[i / group] * static_cast<float>(q[i]);
    const float value = product - mins[i / group];
    ASSERT_EQ(std::bit_cast<std::uint32_t>(value), std::bit_cast<std::uint32_t>(values_[i])) << "value " << i;
  }
}

const auto name_of = [](const auto& info) { return std::string(dtype_info(info.param).name); };
INSTANTIATE_TEST_SUITE_P(AllTypes, QuantBlocks, ::testing::ValuesIn(kGgufTypes), name_of);
INSTANTIATE_TEST_SUITE_P(AllTypes, BlockTypes, ::testing::ValuesIn(std::span(kGgufTypes).subspan(2)),
                         name_of);

TEST(HalfToFloat, EveryBitPatternHasItsValue) {
  for (std::uint32_t bits = 0; bits < 0x10000U; ++bits) {
    const float value = half_to_float(static_cast<std::uint16_t>(bits));
    const int exponent = static_cast<int>((bits >> 10) & 31U);
    const auto mantissa = static_cast<float>(bits & 0x3FFU);
    ASSERT_EQ(std::signbit(value), bits >= 0x8000U) << bits;
    if (exponent == 31) {
      ASSERT_EQ(std::isnan(value), mantissa != 0) << bits;
      ASSERT_EQ(std::isinf(value), mantissa == 0) << bits;
    } else {
      const float magnitude =
          exponent == 0 ? std::ldexp(mantissa, -24) : std::ldexp(1024.0F + mantissa, exponent - 25);
      ASSERT_EQ(std::fabs(value), magnitude) << bits;
    }
  }
}

}  // namespace
}  // namespace touchstone
