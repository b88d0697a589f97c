#include "eval/stats.h"

#include <algorithm>
#include <boost/math/distributions/binomial.hpp>
#include <boost/math/distributions/normal.hpp>
#include <boost/math/distributions/students_t.hpp>
#include <cassert>
#include <cmath>
#include <cstdlib>
#include <numeric>

namespace touchstone {
namespace {

double normal_quantile(double p) { return boost::math::quantile(boost::math::normal(), p); }

double two_sided_z(double alpha) { return normal_quantile(1 - alpha / 2); }

/// Tango's score statistic at a true difference `delta`; falls as delta grows.
double tango_score(double only_a, double only_b, double n, double delta) {
  const double a = 2 * n;
  const double b = -only_a - only_b + (2 * n - only_a + only_b) * delta;
  const double c = -only_b * delta * (1 - delta);
  const double share_only_b = (std::sqrt(std::max(0.0, b * b - 4 * a * c)) - b) / (2 * a);
  const double variance = n * (2 * share_only_b + delta * (1 - delta));
  const double distance = only_a - only_b - n * delta;
  if (distance == 0) return 0;
  return distance / std::sqrt(std::max(variance, 1e-300));
}

/// Where the falling score crosses `target`.
double solve_tango(double only_a, double only_b, double n, double target) {
  double low = -1;
  double high = 1;
  constexpr int kHalvings = 60;  // beyond a double's precision in [-1, 1]
  for (int i = 0; i < kHalvings; ++i) {
    const double middle = (low + high) / 2;
    (tango_score(only_a, only_b, n, middle) > target ? low : high) = middle;
  }
  return (low + high) / 2;
}

/// Student's t interval and two-sided p of the mean being 0.
PairedEstimate estimate_mean(std::span<const double> values) {
  const Summary summary = summarize(values);
  PairedEstimate result{.estimate = summary.mean, .interval = summary.interval};
  if (summary.count < 2) return result;
  const double error = summary.standard_deviation / std::sqrt(summary.count);
  if (error == 0) {
    result.p = summary.mean == 0 ? 1.0 : 0.0;
  } else {
    const boost::math::students_t distribution(summary.count - 1);
    result.p = 2 * boost::math::cdf(boost::math::complement(distribution, std::abs(summary.mean) / error));
  }
  return result;
}

}  // namespace

double effective_trials(std::span<const int> successes_per_item, int samples) {
  assert(samples >= 1);
  const auto num_items = static_cast<double>(successes_per_item.size());
  if (samples == 1 || num_items < 2) return num_items;
  std::vector<double> means;
  for (const int successes : successes_per_item) means.push_back(static_cast<double>(successes) / samples);
  const Summary summary = summarize(means);
  const double variance_of_mean = summary.standard_deviation * summary.standard_deviation / num_items;
  const double p = summary.mean;
  if (p <= 0 || p >= 1) return num_items;  // nothing known about how items vary: count each once
  const double most = num_items * samples;
  return variance_of_mean <= 0 ? most : std::clamp(p * (1 - p) / variance_of_mean, num_items, most);
}

double exact_mcnemar(int only_a, int only_b) {
  assert(only_a >= 0 && only_b >= 0);
  const int discordant = only_a + only_b;
  if (discordant == 0) return 1;
  const boost::math::binomial distribution(discordant, 0.5);
  return std::min(1.0, 2 * boost::math::cdf(distribution, std::min(only_a, only_b)));
}

double exact_sign_flip(std::span<const int> differences) {
  std::vector<double> probability{1.0};  // of a partial sum of ±|d|, shifted to be >= 0
  int total = 0;
  int observed = 0;
  for (const int difference : differences) {
    const int step = 2 * std::abs(difference);  // +|d| instead of -|d|
    observed += difference;
    total += std::abs(difference);
    if (step == 0) continue;
    std::vector<double> next(probability.size() + static_cast<std::size_t>(step), 0.0);
    for (std::size_t i = 0; i < probability.size(); ++i) {
      next[i] += probability[i] / 2;
      next[i + static_cast<std::size_t>(step)] += probability[i] / 2;
    }
    probability = std::move(next);
  }
  double p = 0;
  for (std::size_t i = 0; i < probability.size(); ++i) {
    const int sum = static_cast<int>(i) - total;
    if (std::abs(sum) >= std::abs(observed)) p += probability[i];
  }
  return std::min(1.0, p);
}

Interval tango_interval(int only_a, int only_b, int num_items) {
  assert(only_a >= 0 && only_b >= 0 && only_a + only_b <= num_items);
  if (num_items == 0) return {-1, 1};
  const double z = two_sided_z(kAlpha);
  return {solve_tango(only_a, only_b, num_items, z), solve_tango(only_a, only_b, num_items, -z)};
}

std::optional<double> smallest_detectable_difference(int num_discordant, int num_items, double alpha) {
  for (int discordant = std::max(num_discordant, 1); discordant <= num_items; ++discordant) {
    // The larger the minority, the smaller the difference: take the largest that is still significant.
    for (int minority = discordant / 2; minority >= 0; --minority) {
      if (exact_mcnemar(discordant - minority, minority) <= alpha) {
        return static_cast<double>(discordant - 2 * minority) / num_items;
      }
    }
  }
  return std::nullopt;
}

std::optional<double> items_needed(double difference, double discordance, double alpha) {
  const double size = std::abs(difference);
  if (size == 0) return std::nullopt;
  const double spread = std::max(0.0, discordance - size * size);
  const double root =
      two_sided_z(alpha) * std::sqrt(discordance) + normal_quantile(kPower) * std::sqrt(spread);
  return std::ceil(root * root / (size * size));
}

std::optional<double> items_needed_for_mean(double mean, double standard_deviation, double alpha) {
  if (mean == 0) return std::nullopt;
  const double root = (two_sided_z(alpha) + normal_quantile(kPower)) * standard_deviation / mean;
  return std::ceil(root * root);
}

std::vector<double> holm_adjust(std::span<const double> p_values) {
  std::vector<std::size_t> order(p_values.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return p_values[a] < p_values[b]; });
  std::vector<double> adjusted(p_values.size());
  double running = 0;
  for (std::size_t rank = 0; rank < order.size(); ++rank) {
    const auto remaining = static_cast<double>(order.size() - rank);
    running = std::max(running, std::min(1.0, p_values[order[rank]] * remaining));
    adjusted[order[rank]] = running;
  }
  return adjusted;
}

Summary summarize(std::span<const double> values) {
  Summary summary{.count = static_cast<int>(values.size())};
  if (values.empty()) return summary;
  const auto n = static_cast<double>(values.size());
  summary.mean = std::accumulate(values.begin(), values.end(), 0.0) / n;
  if (values.size() < 2) return summary;
  double squares = 0;
  for (const double value : values) squares += (value - summary.mean) * (value - summary.mean);
  summary.standard_deviation = std::sqrt(squares / (n - 1));
  const double t = boost::math::quantile(boost::math::students_t(n - 1), 1 - kAlpha / 2);
  const double half = t * summary.standard_deviation / std::sqrt(n);
  summary.interval = Interval{summary.mean - half, summary.mean + half};
  return summary;
}

Interval keep_positive(const Interval& interval, double mean) {
  if (interval.low > 0 || mean <= 0) return interval;
  const double factor = std::exp((interval.high - mean) / mean);
  return {mean / factor, mean * factor};
}

Summary summarize_positive(std::span<const double> values) {
  Summary summary = summarize(values);
  if (summary.interval) summary.interval = keep_positive(*summary.interval, summary.mean);
  return summary;
}

PairedEstimate combine_variation(std::span<const double> first, std::span<const double> second) {
  const Summary samples[] = {summarize(first), summarize(second)};
  double variance = 0;
  double spread = 0;  // Welch and Satterthwaite's denominator
  for (const Summary& sample : samples) {
    if (sample.count < 2) return {.estimate = samples[0].mean};
    const double part = sample.standard_deviation * sample.standard_deviation / sample.count;
    variance += part;
    spread += part * part / (sample.count - 1);
  }
  const double mean = samples[0].mean;
  if (variance == 0) return {.estimate = mean, .interval = Interval{mean, mean}, .p = mean == 0 ? 1.0 : 0.0};
  const boost::math::students_t distribution(variance * variance / spread);
  const double error = std::sqrt(variance);
  const double half = boost::math::quantile(distribution, 1 - kAlpha / 2) * error;
  const double tail = boost::math::cdf(boost::math::complement(distribution, std::abs(mean) / error));
  return {.estimate = mean, .interval = Interval{mean - half, mean + half}, .p = 2 * tail};
}

PairedEstimate paired_difference(std::span<const double> a, std::span<const double> b) {
  assert(a.size() == b.size());
  std::vector<double> differences;
  for (std::size_t i = 0; i < a.size(); ++i) differences.push_back(a[i] - b[i]);
  return estimate_mean(differences);
}

PairedEstimate paired_ratio(std::span<const double> a, std::span<const double> b) {
  assert(a.size() == b.size());
  std::vector<double> logs;
  for (std::size_t i = 0; i < a.size(); ++i) {
    assert(a[i] > 0 && b[i] > 0);
    logs.push_back(std::log(a[i] / b[i]));
  }
  PairedEstimate result = estimate_mean(logs);
  result.estimate = std::exp(result.estimate);
  if (result.interval) {
    result.interval = Interval{std::exp(result.interval->low), std::exp(result.interval->high)};
  }
  return result;
}

}  // namespace touchstone
