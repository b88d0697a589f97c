// Intervals and tests for paired comparisons. Proportions are in [0, 1]; intervals cover 95 %.
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "base/wilson.h"

namespace touchstone {

inline constexpr double kPower = 0.8;  // what "about N more items would do" plans for

/// How many independent trials `samples` tries on each item are worth, from how the items' success counts
/// vary (variance of cluster means; Kish's design effect). Between the number of items and items * samples.
double effective_trials(std::span<const int> successes_per_item, int samples);

/// Exact two-sided McNemar test: the binomial test of the items that only one of the two got right.
double exact_mcnemar(int only_a, int only_b);

/// Exact two-sided sign-flip (Fisher-Pitman) test that paired integer differences are symmetric about 0. With
/// differences of -1, 0 and 1 it is exact_mcnemar().
double exact_sign_flip(std::span<const int> differences);

/// Tango's score interval (Stat. Med. 17:891, 1998) for the difference of two paired proportions, A minus B.
Interval tango_interval(int only_a, int only_b, int num_items);

/// Smallest difference |A - B| that would have been significant at `alpha` with this many items, had
/// `num_discordant` of them come out differently. More discordant items are assumed where that many could not
/// have shown anything; nothing when no outcome of `num_items` could.
std::optional<double> smallest_detectable_difference(int num_discordant, int num_items, double alpha);

/// Items needed to show a difference like the observed one at `alpha` with power 0.8 (Connor, Biometrics
/// 43:207, 1987). `discordance`: share of items that come out differently. Nothing for a difference of 0.
std::optional<double> items_needed(double difference, double discordance, double alpha);

/// The same for means of paired differences (normal approximation).
std::optional<double> items_needed_for_mean(double mean, double standard_deviation, double alpha);

/// Holm's step-down adjustment (1979), in the order given.
std::vector<double> holm_adjust(std::span<const double> p_values);

struct Summary {
  int count = 0;
  double mean = 0;
  double standard_deviation = 0;       // sample; 0 for fewer than two values
  std::optional<Interval> interval{};  // Student's t; nothing for fewer than two values
};
Summary summarize(std::span<const double> values);
/// The same for quantities above 0: an interval that would reach 0 is taken on logarithms (delta method).
Summary summarize_positive(std::span<const double> values);
Interval keep_positive(const Interval& interval, double mean);

/// A comparison of paired measurements; `estimate` is A - B, or A / B for paired_ratio().
struct PairedEstimate {
  double estimate = 0;
  std::optional<Interval> interval{};
  std::optional<double> p{};
};

/// Mean of a[i] - b[i] with Student's t.
PairedEstimate paired_difference(std::span<const double> a, std::span<const double> b);

/// A mean that varies with two independent samples, say of items and of repetitions, each given with the
/// other at its mean: their variances add, with Welch's degrees of freedom.
PairedEstimate combine_variation(std::span<const double> first, std::span<const double> second);

/// Geometric mean of a[i] / b[i] with Student's t on the logarithms; all values must be positive.
PairedEstimate paired_ratio(std::span<const double> a, std::span<const double> b);

}  // namespace touchstone
