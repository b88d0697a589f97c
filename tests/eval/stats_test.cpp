#include "eval/stats.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

namespace touchstone {
namespace {

void expect_interval(const Interval& got, double low, double high, double tolerance) {
  EXPECT_NEAR(got.low, low, tolerance);
  EXPECT_NEAR(got.high, high, tolerance);
}

TEST(Stats, WilsonGivesNewcombesPublishedIntervals) {
  // Newcombe, Stat. Med. 17:857 (1998), table I, method 3: 81/263, 15/148, 0/20, 1/29.
  expect_interval(wilson_interval(81, 263), 0.2553, 0.3662, 5e-5);
  expect_interval(wilson_interval(15, 148), 0.0624, 0.1605, 5e-5);
  expect_interval(wilson_interval(0, 20), 0.0000, 0.1611, 5e-5);
  expect_interval(wilson_interval(1, 29), 0.0061, 0.1718, 5e-5);
}

TEST(Stats, WilsonOfTheClassicTable) {
  // (p + z²/2n ± z sqrt(p(1-p)/n + z²/4n²)) / (1 + z²/n), evaluated with SciPy's quantile.
  expect_interval(wilson_interval(36, 50), 0.5833487630404344, 0.8252582933408878, 1e-12);
  expect_interval(wilson_interval(27, 50), 0.40398871399157477, 0.6703034780777566, 1e-12);
}

TEST(Stats, WilsonStaysInsideZeroAndOne) {
  for (int n = 0; n <= 60; ++n) {
    for (int k = 0; k <= n; ++k) {
      const Interval interval = wilson_interval(k, n);
      EXPECT_GE(interval.low, 0);
      EXPECT_LE(interval.high, 1);
      EXPECT_LT(interval.low, interval.high);
      EXPECT_EQ(interval.low == 0, k == 0);
      EXPECT_EQ(interval.high == 1, k == n);
    }
  }
}

TEST(Stats, McNemarIsTheExactBinomialTest) {
  // scipy.stats.binomtest(min(b, c), b + c, 0.5).pvalue
  EXPECT_NEAR(exact_mcnemar(12, 3), 0.03515625, 1e-12);
  EXPECT_NEAR(exact_mcnemar(1, 7), 0.0703125, 1e-12);
  EXPECT_NEAR(exact_mcnemar(6, 0), 0.03125, 1e-12);
  EXPECT_NEAR(exact_mcnemar(0, 5), 0.0625, 1e-12);
  EXPECT_NEAR(exact_mcnemar(15, 5), 0.04138946533203125, 1e-12);
  EXPECT_NEAR(exact_mcnemar(59, 6) / 4.964650327128616e-12, 1, 1e-9);
  EXPECT_EQ(exact_mcnemar(10, 10), 1);
  EXPECT_EQ(exact_mcnemar(0, 0), 1);
}

TEST(Stats, SignFlipCountsAllAssignmentsOfSigns) {
  // All 2^8 assignments enumerated.
  EXPECT_NEAR(exact_sign_flip(std::vector<int>{3, -1, 2, 0, 4, 1, -2, 3}), 0.1875, 1e-12);
}

TEST(Stats, SignFlipOfSingleSamplesIsMcNemar) {
  for (int only_a = 0; only_a <= 12; ++only_a) {
    for (int only_b = 0; only_b <= 12; ++only_b) {
      std::vector<int> differences(5, 0);
      differences.insert(differences.end(), static_cast<std::size_t>(only_a), 1);
      differences.insert(differences.end(), static_cast<std::size_t>(only_b), -1);
      EXPECT_NEAR(exact_sign_flip(differences), exact_mcnemar(only_a, only_b), 1e-12);
    }
  }
}

TEST(Stats, TangoGivesPublishedIntervals) {
  // Airway hyper-responsiveness (Bentur 2009) in Fagerland, Lydersen & Laake, Stat. Med. 33:2850 (2014).
  expect_interval(tango_interval(1, 7, 21), -0.517, -0.026, 5e-4);
  // Constrained likelihood maximised numerically and the score inverted with SciPy's brentq.
  expect_interval(tango_interval(40, 20, 160), 0.030864533, 0.218064246, 1e-7);
  expect_interval(tango_interval(12, 3, 50), 0.031386257, 0.329887768, 1e-7);
  expect_interval(tango_interval(6, 0, 50), 0.040090691, 0.238048174, 1e-7);
  expect_interval(tango_interval(0, 0, 50), -0.071347599, 0.071347599, 1e-7);
}

TEST(Stats, TangoIsSymmetricAndHoldsTheEstimate) {
  for (int n : {1, 2, 7, 50}) {
    for (int only_a = 0; only_a <= n; ++only_a) {
      for (int only_b = 0; only_a + only_b <= n; ++only_b) {
        const Interval ab = tango_interval(only_a, only_b, n);
        const Interval ba = tango_interval(only_b, only_a, n);
        EXPECT_NEAR(ab.low, -ba.high, 1e-9);
        EXPECT_NEAR(ab.high, -ba.low, 1e-9);
        const double estimate = static_cast<double>(only_a - only_b) / n;
        EXPECT_LE(ab.low, estimate + 1e-9);
        EXPECT_GE(ab.high, estimate - 1e-9);
        EXPECT_GE(ab.low, -1);
        EXPECT_LE(ab.high, 1);
      }
    }
  }
}

TEST(Stats, TangoCoversAKnownDifference) {
  // P(only A) = 0.25, P(only B) = 0.10, 50 items: the interval should hold 0.15 about 95 times in 100.
  std::mt19937 random(7);
  int covered = 0;
  constexpr int kRuns = 4000;
  for (int run = 0; run < kRuns; ++run) {
    int only_a = 0;
    int only_b = 0;
    for (int item = 0; item < 50; ++item) {
      const double u = static_cast<double>(random()) / 4294967296.0;
      only_a += u < 0.25 ? 1 : 0;
      only_b += u >= 0.25 && u < 0.35 ? 1 : 0;
    }
    const Interval interval = tango_interval(only_a, only_b, 50);
    covered += interval.low <= 0.15 && 0.15 <= interval.high ? 1 : 0;
  }
  EXPECT_GT(covered, kRuns * 0.935);
  EXPECT_LT(covered, kRuns * 0.97);
}

TEST(Stats, SixOneSidedItemsAreTheLeastThatCanShowADifference) {
  EXPECT_FALSE(smallest_detectable_difference(5, 5, 0.05).has_value());
  EXPECT_DOUBLE_EQ(smallest_detectable_difference(0, 50, 0.05).value(), 6.0 / 50);
  EXPECT_DOUBLE_EQ(smallest_detectable_difference(6, 50, 0.05).value(), 6.0 / 50);
  // 20 discordant: 15 to 5 is significant (p = 0.041), 14 to 6 is not (p = 0.115).
  EXPECT_DOUBLE_EQ(smallest_detectable_difference(20, 50, 0.05).value(), 10.0 / 50);
}

TEST(Stats, TheDetectableDifferenceIsTheBorderOfSignificance) {
  for (int discordant = 6; discordant <= 50; ++discordant) {
    const double difference = smallest_detectable_difference(discordant, 50, 0.05).value();
    const int gap = static_cast<int>(std::lround(difference * 50));
    ASSERT_EQ((discordant - gap) % 2, 0);
    const int minority = (discordant - gap) / 2;
    EXPECT_LE(exact_mcnemar(discordant - minority, minority), 0.05);
    if (minority < discordant / 2) {
      EXPECT_GT(exact_mcnemar(discordant - minority - 1, minority + 1), 0.05);
    }
  }
}

TEST(Stats, ItemsNeededFollowConnor) {
  // (z_{1-α/2} √ψ + z_{0.8} √(ψ - δ²))² / δ² with SciPy's quantiles, rounded up.
  EXPECT_EQ(items_needed(0.1, 0.2, 0.05), 155);
  EXPECT_EQ(items_needed(-0.1, 0.3, 0.05), 234);
  EXPECT_EQ(items_needed(0.18, 0.3, 0.05 / 3), 95);
  EXPECT_FALSE(items_needed(0, 0.3, 0.05).has_value());
}

TEST(Stats, ThatManyItemsDoShowIt) {
  // With the 155 items asked for at ψ = 0.2, δ = 0.1, about 80 in 100 runs must be significant (the exact
  // test is a little conservative).
  std::mt19937 random(11);
  int significant = 0;
  constexpr int kRuns = 2000;
  for (int run = 0; run < kRuns; ++run) {
    int only_a = 0;
    int only_b = 0;
    for (int item = 0; item < 155; ++item) {
      const double u = static_cast<double>(random()) / 4294967296.0;
      only_a += u < 0.15 ? 1 : 0;
      only_b += u >= 0.15 && u < 0.2 ? 1 : 0;
    }
    significant += exact_mcnemar(only_a, only_b) <= 0.05 ? 1 : 0;
  }
  EXPECT_GT(significant, kRuns * 0.70);
  EXPECT_LT(significant, kRuns * 0.86);
}

TEST(Stats, HolmStepsDown) {
  // Sorted 0.005, 0.01, 0.03, 0.04 times 4, 3, 2, 1, made monotone.
  const std::vector<double> adjusted = holm_adjust(std::vector<double>{0.01, 0.04, 0.03, 0.005});
  EXPECT_NEAR(adjusted[0], 0.03, 1e-12);
  EXPECT_NEAR(adjusted[1], 0.06, 1e-12);
  EXPECT_NEAR(adjusted[2], 0.06, 1e-12);
  EXPECT_NEAR(adjusted[3], 0.02, 1e-12);
  EXPECT_TRUE(holm_adjust({}).empty());
  EXPECT_EQ(holm_adjust(std::vector<double>{0.9, 0.8})[1], 1.0);
}

TEST(Stats, SummaryIsStudentsT) {
  // numpy mean, std(ddof=1), scipy.stats.t.interval(0.95, 4, mean, sem)
  const Summary summary = summarize(std::vector<double>{10.1, 9.8, 10.4, 10.0, 9.9});
  EXPECT_NEAR(summary.mean, 10.04, 1e-12);
  EXPECT_NEAR(summary.standard_deviation, 0.23021728866442664, 1e-12);
  expect_interval(summary.interval.value(), 9.754147480901297, 10.325852519098701, 1e-9);
  EXPECT_FALSE(summarize(std::vector<double>{3}).interval.has_value());
  EXPECT_EQ(summarize({}).count, 0);
}

TEST(Stats, PairedEstimatesAreTheOneSampleTTest) {
  const std::vector<double> a{10, 12, 11, 13, 9};
  const std::vector<double> b{8, 9, 9.5, 10, 8};
  // scipy.stats.ttest_1samp(a - b, 0) and of log(a / b)
  const PairedEstimate difference = paired_difference(a, b);
  EXPECT_NEAR(difference.estimate, 2.1, 1e-12);
  expect_interval(difference.interval.value(), 0.9894219579208827, 3.2105780420791175, 1e-9);
  EXPECT_NEAR(difference.p.value(), 0.006297200679493371, 1e-10);
  const PairedEstimate ratio = paired_ratio(a, b);
  EXPECT_NEAR(ratio.estimate, 1.2306165200447372, 1e-12);
  expect_interval(ratio.interval.value(), 1.1236781706183732, 1.3477319921358064, 1e-9);
  EXPECT_NEAR(ratio.p.value(), 0.0031735927651711676, 1e-10);
  EXPECT_EQ(paired_difference(a, a).p, 1.0);
}

TEST(Stats, IndependentVariationsAddUp) {
  // scipy: s1^2/4 + s2^2/3, Welch's 3.281 degrees of freedom, t.ppf(0.975) and 2 t.sf
  const PairedEstimate both =
      combine_variation(std::vector<double>{1, 2, 4, 7}, std::vector<double>{3, 3.5, 4});
  EXPECT_NEAR(both.estimate, 3.5, 1e-12);
  expect_interval(both.interval.value(), -0.6073900540715513, 7.607390054071551, 1e-9);
  EXPECT_NEAR(both.p.value(), 0.07437029112251878, 1e-10);
  EXPECT_FALSE(combine_variation(std::vector<double>{1, 2}, std::vector<double>{1}).interval.has_value());
}

TEST(Stats, AnIntervalOfAPositiveQuantityStaysAboveZero) {
  const std::vector<double> steady{10.1, 9.8, 10.4, 10.0, 9.9};
  EXPECT_EQ(summarize_positive(steady).interval->low, summarize(steady).interval->low);
  const std::vector<double> wild{1, 1, 1, 1, 50};
  EXPECT_LT(summarize(wild).interval->low, 0);
  const Summary summary = summarize_positive(wild);
  EXPECT_GT(summary.interval->low, 0);
  EXPECT_LT(summary.interval->low, summary.mean);
  EXPECT_NEAR(summary.interval->low * summary.interval->high, summary.mean * summary.mean, 1e-9);
}

TEST(Stats, SamplesOfOneItemThatAgreeCountOnce) {
  // Each item is always right or always wrong: 4 tries tell no more than one.
  EXPECT_NEAR(effective_trials(std::vector<int>{4, 0, 4, 0, 4, 0, 4, 0, 4, 0}, 4), 10, 1.0);
  // Every item right half of the time: all tries count.
  EXPECT_NEAR(effective_trials(std::vector<int>{2, 2, 2, 2, 2, 2}, 4), 24, 1e-9);
  EXPECT_EQ(effective_trials(std::vector<int>{4, 4, 4}, 4), 3);
  EXPECT_EQ(effective_trials(std::vector<int>{1, 0, 1}, 1), 3);
}

}  // namespace
}  // namespace touchstone
