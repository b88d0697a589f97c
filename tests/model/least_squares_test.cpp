#include "model/least_squares.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "base/error.h"
#include "kernels/quant_blocks.h"

namespace touchstone {
namespace {

using Matrix = std::vector<std::vector<double>>;

constexpr std::int32_t kTokens = 1500;  // more than are summed at a time
const std::vector<float> kEven(kTokens, 1.0F);

/// Rows of numbers that are bfloat16, much alike.
std::vector<float> bfloat16_rows(std::int32_t columns, unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  std::vector<float> causes(static_cast<std::size_t>(columns)), x;
  for (float& cause : causes) cause = normal(random);
  for (std::int32_t t = 0; t < kTokens; ++t) {
    const float hidden = normal(random);
    for (const float cause : causes) {
      x.push_back(bfloat16_to_float(float_to_bfloat16(hidden * cause + 0.5F * normal(random))));
    }
  }
  return x;
}

Rows rows_of(std::vector<float>& x, std::int32_t columns) {
  return {x.data(), static_cast<std::int32_t>(x.size()) / columns, columns};
}

/// The sum of w y x^T.
Matrix exact_products(Rows y, Rows x, const std::vector<float>& token_weights) {
  Matrix sums(static_cast<std::size_t>(y.width), std::vector<double>(static_cast<std::size_t>(x.width)));
  for (std::int32_t t = 0; t < x.count; ++t) {
    for (std::size_t i = 0; i < sums.size(); ++i) {
      for (std::size_t j = 0; j < sums[i].size(); ++j) {
        sums[i][j] +=
            double{token_weights[static_cast<std::size_t>(t)]} * double{y.row(t)[i]} * double{x.row(t)[j]};
      }
    }
  }
  return sums;
}

InputFactors make_factors(CpuBackend& on, Rows x, const std::vector<float>& token_weights) {
  SquareMatrix gram(x.width);
  add_gram(on, x, token_weights, gram);
  return factorize(on, std::move(gram));
}

TEST(Factorize, GivesFactorsWhoseProductIsTheGramMatrixDampened) {
  for (const std::int32_t columns : {1, 40, 128, 300}) {
    CpuBackend on(2, "auto");
    std::vector<float> x = bfloat16_rows(columns, 3);
    const InputFactors factors = make_factors(on, rows_of(x, columns), kEven);
    const Matrix gram = exact_products(rows_of(x, columns), rows_of(x, columns), kEven);
    const std::size_t n = gram.size();
    double mean = 0;
    for (std::size_t i = 0; i < n; ++i) mean += gram[i][i] / static_cast<double>(n);
    const auto lower = [&](std::size_t i, std::size_t k) {
      return i == k ? 1.0 : double{factors.matrix.row(static_cast<std::int32_t>(i))[k]};
    };
    for (std::size_t i = 0; i < n; ++i) {
      for (std::size_t j = 0; j <= i; ++j) {
        double product = 0;
        for (std::size_t k = 0; k <= j; ++k) product += lower(i, k) * double{factors.pivots[k]} * lower(j, k);
        const double wanted = gram[i][j] * (i == j ? 1.05 : 1.0);
        EXPECT_NEAR(product, wanted, 1e-4 * mean) << i << ", " << j;
        EXPECT_NEAR(factors.matrix.row(static_cast<std::int32_t>(j))[i], wanted, 1e-4 * mean)
            << i << ", " << j;
      }
    }
  }
}

TEST(AddGram, CountsATokenByItsWeight) {
  CpuBackend on(2, "auto");
  std::vector<float> x = bfloat16_rows(40, 5), larger = x;
  std::vector<float> token_weights = kEven;
  for (std::size_t t = 0; t < token_weights.size(); ++t) {
    token_weights[t] = t % 3 == 0 ? 4.0F : t % 3 == 1 ? 0.0F : 1.0F;
    for (std::size_t i = t * 40; i < (t + 1) * 40; ++i) larger[i] *= std::sqrt(token_weights[t]);
  }
  SquareMatrix weighted(40), plain(40);
  add_gram(on, rows_of(x, 40), token_weights, weighted);
  add_gram(on, rows_of(larger, 40), kEven, plain);
  for (std::int32_t i = 0; i < 40; ++i) {
    for (std::int32_t k = 0; k <= i; ++k) EXPECT_EQ(weighted.row(i)[k], plain.row(i)[k]) << i << ", " << k;
  }
}

TEST(Factorize, RefusesAGramMatrixThatIsNotFinite) {
  CpuBackend on(2, "auto");
  std::vector<float> x = bfloat16_rows(40, 5);
  x[17] = std::numeric_limits<float>::infinity();
  EXPECT_THROW(make_factors(on, rows_of(x, 40), kEven), Error);
}

/// A product whose inputs are wrong by a part of themselves and by noise, as are the sums it is added to.
struct Drifted {
  static constexpr std::int32_t kColumns = 150, kOutputs = 37;
  std::vector<float> weights, wanted, got, missing, token_weights;

  explicit Drifted(unsigned seed) : wanted(bfloat16_rows(kColumns, seed)) {
    std::mt19937 random(seed);
    std::normal_distribution<float> normal;
    for (std::int32_t i = 0; i < kColumns * kOutputs; ++i) weights.push_back(normal(random));
    for (std::size_t i = 0; i < wanted.size(); ++i) {
      const float neighbour = wanted[i % kColumns == 0 ? i : i - 1];
      got.push_back(
          bfloat16_to_float(float_to_bfloat16(0.9F * wanted[i] + 0.1F * neighbour + 0.1F * normal(random))));
    }
    for (std::size_t t = 0; t < kEven.size(); ++t) {
      token_weights.push_back(t % 2 == 0 ? 1.0F : 0.25F);
      for (std::size_t o = 0; o < kOutputs; ++o)
        missing.push_back(got[t * kColumns + o] + 0.1F * normal(random));
    }
  }

  StoredMatrix stored() const { return {DType::f32, kOutputs, kColumns, std::as_bytes(std::span(weights))}; }
  Rows missing_rows() { return rows_of(missing, kOutputs); }
  TwinRows x() { return {rows_of(wanted, kColumns), rows_of(got, kColumns)}; }

  std::vector<float> fit(CpuBackend& on, TwinRows from, Rows sums) {
    return fit_weights(on, stored(), from, sums, token_weights, make_factors(on, from.got, token_weights));
  }

  /// What outputs of `fitted` weights fall short of, [kTokens, kOutputs].
  std::vector<float> shortfall(const std::vector<float>& fitted) const {
    std::vector<float> result = missing;
    for (std::size_t t = 0; t < kEven.size(); ++t) {
      for (std::size_t o = 0; o < kOutputs; ++o) {
        double sum = 0;
        for (std::size_t k = 0; k < kColumns; ++k) {
          sum += double{weights[o * kColumns + k]} * double{wanted[t * kColumns + k]} -
                 double{fitted[o * kColumns + k]} * double{got[t * kColumns + k]};
        }
        result[t * kOutputs + o] += static_cast<float>(sum);
      }
    }
    return result;
  }
};

double sum_squares(const std::vector<float>& values) {
  double sum = 0;
  for (const float value : values) sum += double{value} * double{value};
  return sum;
}

TEST(FitWeights, GivesTheTrustedPartOfWhatLeastSquaresGive) {
  CpuBackend on(2, "auto");
  Drifted drifted(7);
  const std::vector<float> fitted = drifted.fit(on, drifted.x(), drifted.missing_rows());
  const Matrix gram = exact_products(drifted.x().got, drifted.x().got, drifted.token_weights);
  std::vector<float> short_of = drifted.shortfall(drifted.weights);
  const Matrix wanted =
      exact_products(rows_of(short_of, Drifted::kOutputs), drifted.x().got, drifted.token_weights);
  double size = 0, error = 0;
  for (std::size_t o = 0; o < Drifted::kOutputs; ++o) {
    for (std::size_t i = 0; i < Drifted::kColumns; ++i) {
      double product = 0;  // of the change and the gram matrix, as it is dampened
      for (std::size_t k = 0; k < Drifted::kColumns; ++k) {
        const std::size_t at = o * Drifted::kColumns + k;
        product += (double{fitted[at]} - double{drifted.weights[at]}) * gram[k][i] * (k == i ? 1.05 : 1.0);
      }
      error += std::pow(product - double{kTrust} * wanted[o][i], 2);
      size += std::pow(wanted[o][i], 2);
    }
  }
  EXPECT_LT(std::sqrt(error / size), 0.01);  // differences are multiplied in 8 bits
}

TEST(FitWeights, BringsTheOutputsNearerToThoseWanted) {
  CpuBackend on(2, "auto");
  Drifted drifted(9);
  const double before = sum_squares(drifted.shortfall(drifted.weights));
  const std::vector<float> for_inputs = drifted.fit(on, drifted.x(), {});
  const std::vector<float> for_both = drifted.fit(on, drifted.x(), drifted.missing_rows());
  EXPECT_LT(sum_squares(drifted.shortfall(for_inputs)), 0.95 * before);
  EXPECT_LT(sum_squares(drifted.shortfall(for_both)), 0.5 * before);
}

TEST(FitWeights, LeavesWeightsAloneWhereNothingIsMissing) {
  CpuBackend on(2, "auto");
  Drifted drifted(11);
  EXPECT_EQ(drifted.fit(on, {drifted.x().wanted, drifted.x().wanted}, {}), drifted.weights);
}

TEST(FitWeights, GivesTheSameBytesOnAnyNumberOfThreadsAndInstructionSet) {
  CpuBackend one(1, "scalar"), three(3, "auto");
  Drifted drifted(13);
  EXPECT_EQ(drifted.fit(one, drifted.x(), drifted.missing_rows()),
            drifted.fit(three, drifted.x(), drifted.missing_rows()));
}

}  // namespace
}  // namespace touchstone
