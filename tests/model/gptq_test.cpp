#include "model/gptq.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <tuple>
#include <vector>

#include "kernels/int_blocks.h"
#include "kernels/quant_blocks.h"

namespace touchstone {
namespace {

using Matrix = std::vector<std::vector<double>>;

/// Inputs that are much alike, of bfloat16 numbers, and weights.
struct Problem {
  std::int32_t tokens, columns, rows;
  std::vector<float> x, weights;

  Problem(std::int32_t tokens, std::int32_t columns, std::int32_t rows, unsigned seed)
      : tokens(tokens), columns(columns), rows(rows) {
    std::mt19937 random(seed);
    std::normal_distribution<float> normal;
    std::vector<std::vector<float>> causes(static_cast<std::size_t>(columns), std::vector<float>(8));
    for (auto& cause : causes) {
      for (float& value : cause) value = normal(random);
    }
    for (std::int32_t t = 0; t < tokens; ++t) {
      std::vector<float> hidden(8);
      for (float& value : hidden) value = normal(random);
      for (const auto& cause : causes) {
        float value = 0.3F * normal(random);
        for (std::size_t i = 0; i < hidden.size(); ++i) value += hidden[i] * cause[i];
        x.push_back(bfloat16_to_float(float_to_bfloat16(value)));
      }
    }
    for (std::int32_t i = 0; i < rows * columns; ++i) weights.push_back(0.05F * normal(random));
  }

  StoredMatrix stored() const { return {DType::f32, rows, columns, std::as_bytes(std::span(weights))}; }

  InputFactors factors(CpuBackend& on) {
    SquareMatrix gram(columns);
    const std::vector<float> even(static_cast<std::size_t>(tokens), 1.0F);
    add_gram(on, {x.data(), tokens, columns}, even, gram);
    return factorize(on, std::move(gram));
  }

  Matrix exact_gram() const {
    Matrix gram(static_cast<std::size_t>(columns), std::vector<double>(static_cast<std::size_t>(columns)));
    for (std::size_t t = 0; t < static_cast<std::size_t>(tokens); ++t) {
      const float* row = x.data() + t * gram.size();
      for (std::size_t i = 0; i < gram.size(); ++i) {
        for (std::size_t j = 0; j < gram.size(); ++j) gram[i][j] += double{row[i]} * double{row[j]};
      }
    }
    return gram;
  }

  /// The sum of the squared errors of all outputs, with a diagonal `dampening` larger.
  double error(DType dtype, const std::vector<std::byte>& blocks, double dampening = 0) const {
    Matrix gram = exact_gram();
    for (std::size_t i = 0; i < gram.size(); ++i) gram[i][i] *= 1 + dampening;
    const std::size_t n = gram.size();
    const std::size_t row_bytes = dtype_bytes(dtype, n);
    double total = 0;
    std::vector<float> rounded(n);
    for (std::size_t r = 0; r < static_cast<std::size_t>(rows); ++r) {
      decode_int_blocks(dtype, std::span(blocks).subspan(r * row_bytes, row_bytes), rounded);
      for (std::size_t i = 0; i < n; ++i) {
        for (std::size_t j = 0; j < n; ++j) {
          total += (double{weights[r * n + i]} - double{rounded[i]}) * gram[i][j] *
                   (double{weights[r * n + j]} - double{rounded[j]});
        }
      }
    }
    return total;
  }

  std::vector<std::byte> rounded_to_nearest(DType dtype) const {
    const auto n = static_cast<std::size_t>(columns);
    const std::size_t row_bytes = dtype_bytes(dtype, n);
    std::vector<std::byte> blocks(static_cast<std::size_t>(rows) * row_bytes);
    for (std::size_t r = 0; r < static_cast<std::size_t>(rows); ++r) {
      round_to_int_blocks(dtype, std::span(weights).subspan(r * n, n),
                          std::span(blocks).subspan(r * row_bytes, row_bytes));
    }
    return blocks;
  }
};

class Gptq : public ::testing::TestWithParam<std::tuple<DType, int>> {};

INSTANTIATE_TEST_SUITE_P(TypesAndWidths, Gptq,
                         ::testing::Combine(::testing::Values(DType::int8_128, DType::int4_128),
                                            ::testing::Values(32, 100, 128, 200, 384)));

TEST_P(Gptq, ChangesTheOutputsLessThanRoundingToTheNearest) {
  const auto [dtype, columns] = GetParam();
  for (unsigned seed = 1; seed <= 3; ++seed) {
    Problem problem(600, columns, 20, seed);
    CpuBackend on(2, "auto");
    const double ours =
        problem.error(dtype, round_with_feedback(on, problem.stored(), problem.factors(on), dtype));
    EXPECT_LT(ours, 0.7 * problem.error(dtype, problem.rounded_to_nearest(dtype))) << seed;
  }
}

TEST_P(Gptq, EachSweepLessensTheErrorThatItIsToLessen) {
  const auto [dtype, columns] = GetParam();
  Problem problem(600, columns, 20, 11);
  CpuBackend on(2, "auto");
  const InputFactors factors = problem.factors(on);
  const auto error_after = [&, dtype = dtype](int num_sweeps) {
    return problem.error(dtype, round_with_feedback(on, problem.stored(), factors, dtype, num_sweeps), 0.05);
  };
  double before = error_after(0);
  EXPECT_LT(error_after(kSweeps), 0.97 * before);
  for (int sweep = 1; sweep <= kSweeps; ++sweep) {
    const double after = error_after(sweep);
    EXPECT_LT(after, before * 1.0001) << sweep;  // but for float32's rounding
    before = after;
  }
}

TEST_P(Gptq, GivesTheSameBytesOnAnyNumberOfThreadsAndInstructionSet) {
  const auto [dtype, columns] = GetParam();
  Problem problem(300, columns, 40, 5);
  CpuBackend one(1, "scalar"), three(3, "auto");
  EXPECT_EQ(round_with_feedback(one, problem.stored(), problem.factors(one), dtype),
            round_with_feedback(three, problem.stored(), problem.factors(three), dtype));
}

TEST_P(Gptq, RoundsToTheNearestWhereNoInputWasEverSeen) {
  const auto [dtype, columns] = GetParam();
  Problem problem(10, columns, 20, 7);
  std::fill(problem.x.begin(), problem.x.end(), 0.0F);
  CpuBackend on(2, "auto");
  const std::vector<std::byte> blocks = round_with_feedback(on, problem.stored(), problem.factors(on), dtype);
  const auto n = static_cast<std::size_t>(columns);
  std::vector<float> decoded(n);
  decode_int_blocks(dtype, std::span(blocks).first(dtype_bytes(dtype, n)), decoded);
  for (std::size_t i = 0; i < n; ++i) EXPECT_NEAR(decoded[i], problem.weights[i], 0.02F) << i;
}

}  // namespace
}  // namespace touchstone
