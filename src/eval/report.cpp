#include "eval/report.h"

#include <fmt/core.h>

#include <algorithm>
#include <boost/json.hpp>
#include <cmath>
#include <map>
#include <utility>

#include "base/error.h"
#include "eval/report_words.h"

namespace touchstone {
namespace {
namespace json = boost::json;

json::object parse_document(const std::string& text, std::string_view name) {
  boost::system::error_code error;
  json::value value = json::parse(text, error);
  if (error || !value.is_object()) {
    throw Error("the run's document '" + std::string(name) + "' is damaged", "start a new run");
  }
  return std::move(value.as_object());
}

json::object need_document(const Store& store, const std::string& name) {
  const std::optional<std::string> text = store.find_document(name);
  if (!text) throw Error("the run's document '" + name + "' is missing", "start a new run");
  return parse_document(*text, name);
}

/// The answers to one item, by candidate and sample; counted only when all are there and graded.
struct ItemAnswers {
  int suite = 0;
  std::string item;
  std::vector<std::vector<const StoredAnswer*>> by_candidate;
  bool counted = false;

  int correct(std::size_t candidate) const {
    const auto& samples = by_candidate[candidate];
    return static_cast<int>(std::count_if(samples.begin(), samples.end(), [](const StoredAnswer* answer) {
      return answer->grade->outcome == Outcome::correct;
    }));
  }
  double mean_tokens(std::size_t candidate) const {
    double sum = 0;
    for (const StoredAnswer* answer : by_candidate[candidate]) sum += answer->tokens;
    return sum / static_cast<double>(by_candidate[candidate].size());
  }
};

bool is_complete(const ItemAnswers& item, int samples) {
  return std::all_of(item.by_candidate.begin(), item.by_candidate.end(), [&](const auto& answers) {
    return static_cast<int>(answers.size()) == samples &&
           std::all_of(answers.begin(), answers.end(), [](const StoredAnswer* answer) {
             return answer->grade && answer->grade->outcome != Outcome::error;
           });
  });
}

std::vector<ItemAnswers> group_answers(const Report& report) {
  std::map<std::string, int> suite_index;
  for (std::size_t i = 0; i < report.suites.size(); ++i)
    suite_index[report.suites[i].name] = static_cast<int>(i);
  std::map<std::pair<std::string, std::string>, std::size_t> position;
  std::vector<ItemAnswers> groups;
  for (const StoredItem& item : report.items) {
    position[{item.suite, item.item}] = groups.size();
    groups.push_back({.suite = suite_index.at(item.suite), .item = item.item, .by_candidate = {}});
    groups.back().by_candidate.resize(report.candidates.size());
  }
  for (const StoredAnswer& answer : report.answers) {
    const auto candidate = static_cast<std::size_t>(answer.candidate);
    if (candidate < report.candidates.size()) {
      groups[position.at({answer.suite, answer.item})].by_candidate[candidate].push_back(&answer);
    }
  }
  for (ItemAnswers& group : groups) group.counted = is_complete(group, report.settings.samples);
  return groups;
}

SuiteResult measure_suite(const std::vector<ItemAnswers>& groups, int suite, std::size_t candidate,
                          int samples) {
  SuiteResult result;
  std::vector<int> correct;
  std::vector<double> tokens;
  for (const ItemAnswers& group : groups) {
    if (group.suite != suite) continue;
    for (const StoredAnswer* answer : group.by_candidate[candidate]) {
      if (answer->grade) ++result.outcomes[static_cast<std::size_t>(answer->grade->outcome)];
    }
    if (!group.counted) continue;
    correct.push_back(group.correct(candidate));
    tokens.push_back(group.mean_tokens(candidate));
  }
  result.items = static_cast<int>(correct.size());
  int total = 0;
  for (const int count : correct) total += count;
  const double trials = static_cast<double>(result.items) * samples;
  result.accuracy = trials > 0 ? total / trials : 0;
  const double effective = effective_trials(correct, samples);
  result.interval = wilson_interval(result.accuracy * effective, effective);
  result.tokens = summarize_positive(tokens);
  return result;
}

/// Values of one latency column for a candidate, in order of repetition.
std::vector<double> latency_column(std::span<const StoredLatency> rows, int candidate,
                                   double (*column)(const StoredLatency&)) {
  std::vector<double> values;
  for (const StoredLatency& row : rows) {
    if (row.candidate == candidate) values.push_back(column(row));
  }
  return values;
}

double ttft_of(const StoredLatency& row) { return row.ttft_ms; }
double rate_of(const StoredLatency& row) { return row.decode_tokens_per_second; }

/// How fast a candidate answers a user who is alone.
struct Pace {
  double first_seconds = 0;  // until the first token
  double token_seconds = 0;  // each further one
};

double seconds_alone(const Pace& pace, double tokens) {
  return pace.first_seconds + std::max(0.0, tokens - 1) * pace.token_seconds;
}

/// One for each repetition; empty where the latency pass was not run or too quick to be timed.
std::vector<Pace> paces_of(std::span<const StoredLatency> rows, int candidate) {
  std::vector<Pace> paces;
  for (const StoredLatency& row : rows) {
    if (row.candidate != candidate) continue;
    if (row.decode_tokens_per_second <= 0) return {};
    paces.push_back({row.ttft_ms / 1000, 1 / row.decode_tokens_per_second});
  }
  return paces;
}

/// Seconds of answers alone, computed: how they vary with the item and with the repetition.
struct SecondsAlone {
  std::vector<double> by_item, by_repetition;
};

SecondsAlone compute_seconds(const std::vector<Pace>& paces, const std::vector<double>& tokens) {
  SecondsAlone seconds;
  if (paces.empty() || tokens.empty()) return seconds;
  Pace mean_pace;
  for (const Pace& pace : paces) {
    mean_pace.first_seconds += pace.first_seconds / static_cast<double>(paces.size());
    mean_pace.token_seconds += pace.token_seconds / static_cast<double>(paces.size());
  }
  const double mean_tokens = summarize(tokens).mean;
  for (const double count : tokens) seconds.by_item.push_back(seconds_alone(mean_pace, count));
  for (const Pace& pace : paces) seconds.by_repetition.push_back(seconds_alone(pace, mean_tokens));
  return seconds;
}

Summary summarize_seconds(const SecondsAlone& seconds) {
  Summary summary = summarize(seconds.by_item);
  const PairedEstimate both = combine_variation(seconds.by_item, seconds.by_repetition);
  summary.interval = both.interval;
  if (both.interval) summary.interval = keep_positive(*both.interval, summary.mean);
  return summary;
}

/// Tokens an answer to each item that counts.
std::vector<double> tokens_of(const std::vector<ItemAnswers>& groups, int candidate) {
  std::vector<double> tokens;
  for (const ItemAnswers& group : groups) {
    if (group.counted) tokens.push_back(group.mean_tokens(static_cast<std::size_t>(candidate)));
  }
  return tokens;
}

void measure_candidate(CandidateResult& result, int index, const std::vector<ItemAnswers>& groups,
                       std::span<const StoredLatency> latency, const Report& report) {
  for (std::size_t suite = 0; suite < report.suites.size(); ++suite) {
    result.suites.push_back(measure_suite(groups, static_cast<int>(suite), static_cast<std::size_t>(index),
                                          report.settings.samples));
  }
  result.ttft_ms = summarize_positive(latency_column(latency, index, ttft_of));
  result.decode_tokens_per_second = summarize_positive(latency_column(latency, index, rate_of));
  result.prompt_tokens = summarize(latency_column(
      latency, index, [](const StoredLatency& row) { return static_cast<double>(row.prompt_tokens); }));
  result.cached_tokens = summarize(latency_column(
      latency, index, [](const StoredLatency& row) { return static_cast<double>(row.cached_tokens); }));
  const std::vector<double> tokens = tokens_of(groups, index);
  result.tokens = summarize_positive(tokens);
  result.seconds_alone = summarize_seconds(compute_seconds(paces_of(latency, index), tokens));
}

std::vector<std::pair<int, int>> make_pairs(int num_candidates, std::optional<int> baseline) {
  std::vector<std::pair<int, int>> pairs;
  for (int a = 0; a < num_candidates; ++a) {
    for (int b = a + 1; b < num_candidates; ++b) {
      // Against a baseline, a difference says what the other adds to it.
      if (!baseline || b == *baseline) pairs.emplace_back(a, b);
      if (baseline && a == *baseline) pairs.emplace_back(b, a);
    }
  }
  return pairs;
}

AccuracyComparison compare_accuracy(const std::vector<ItemAnswers>& groups, int a, int b, int suite,
                                    int samples) {
  AccuracyComparison comparison{.a = a, .b = b, .suite = suite};
  std::vector<int> differences;
  std::vector<double> shares_a;
  std::vector<double> shares_b;
  for (const ItemAnswers& group : groups) {
    if (group.suite != suite || !group.counted) continue;
    const int correct_a = group.correct(static_cast<std::size_t>(a));
    const int correct_b = group.correct(static_cast<std::size_t>(b));
    differences.push_back(correct_a - correct_b);
    shares_a.push_back(static_cast<double>(correct_a) / samples);
    shares_b.push_back(static_cast<double>(correct_b) / samples);
    if (correct_a > correct_b) comparison.only_a_items.push_back(group.item);
    if (correct_a < correct_b) comparison.only_b_items.push_back(group.item);
  }
  comparison.only_a = static_cast<int>(comparison.only_a_items.size());
  comparison.only_b = static_cast<int>(comparison.only_b_items.size());
  const PairedEstimate estimate = paired_difference(shares_a, shares_b);
  const auto num_items = static_cast<int>(differences.size());
  comparison.difference = estimate.estimate;
  comparison.interval = samples == 1 ? tango_interval(comparison.only_a, comparison.only_b, num_items)
                                     : estimate.interval.value_or(Interval{-1, 1});
  comparison.p =
      samples == 1 ? exact_mcnemar(comparison.only_a, comparison.only_b) : exact_sign_flip(differences);
  return comparison;
}

/// What more items would do; `family`: how many comparisons share the error rate.
void plan_items(AccuracyComparison& comparison, const std::vector<ItemAnswers>& groups, int samples,
                std::size_t family) {
  const double alpha = kAlpha / static_cast<double>(family);
  std::vector<double> differences;
  for (const ItemAnswers& group : groups) {
    if (group.suite != comparison.suite || !group.counted) continue;
    differences.push_back(static_cast<double>(group.correct(static_cast<std::size_t>(comparison.a)) -
                                              group.correct(static_cast<std::size_t>(comparison.b))) /
                          samples);
  }
  const auto num_items = static_cast<double>(differences.size());
  if (differences.empty()) return;
  const int discordant = comparison.only_a + comparison.only_b;
  std::optional<double> needed;
  if (samples == 1) {
    comparison.detectable = smallest_detectable_difference(discordant, static_cast<int>(num_items), alpha);
    needed = items_needed(comparison.difference, discordant / num_items, alpha);
  } else {
    needed = items_needed_for_mean(comparison.difference, summarize(differences).standard_deviation, alpha);
  }
  if (needed) comparison.more_items = std::max(1.0, *needed - num_items);
}

void compare_accuracies(Report& report, const std::vector<ItemAnswers>& groups,
                        const std::vector<std::pair<int, int>>& pairs) {
  std::vector<double> p_values;
  for (const auto& [a, b] : pairs) {
    for (std::size_t suite = 0; suite < report.suites.size(); ++suite) {
      report.accuracy.push_back(
          compare_accuracy(groups, a, b, static_cast<int>(suite), report.settings.samples));
      p_values.push_back(report.accuracy.back().p);
    }
  }
  const std::vector<double> adjusted = holm_adjust(p_values);
  for (std::size_t i = 0; i < adjusted.size(); ++i) {
    AccuracyComparison& comparison = report.accuracy[i];
    comparison.p_holm = adjusted[i];
    if (adjusted[i] <= kAlpha) comparison.better = comparison.difference > 0 ? comparison.a : comparison.b;
    plan_items(comparison, groups, report.settings.samples, adjusted.size());
    comparison.verdict = accuracy_verdict(report, comparison);
  }
}

/// The candidate that a significant estimate favours, or -1. `zero`: the value that means no difference.
int find_better(const MeasureComparison& comparison, bool more_is_better) {
  const PairedEstimate& estimate = comparison.estimate;
  if (!estimate.p || *estimate.p > kAlpha) return -1;
  const double zero = comparison.is_ratio ? 1 : 0;
  return (estimate.estimate > zero) == more_is_better ? comparison.a : comparison.b;
}

void compare_latency(Report& report, std::span<const StoredLatency> latency, int a, int b) {
  const auto compare = [&](Measure measure, double (*column)(const StoredLatency&), bool more_is_better) {
    const std::vector<double> of_a = latency_column(latency, a, column);
    const std::vector<double> of_b = latency_column(latency, b, column);
    const auto positive = [](double value) { return value > 0; };
    if (of_a.empty() || of_a.size() != of_b.size() || !std::all_of(of_a.begin(), of_a.end(), positive) ||
        !std::all_of(of_b.begin(), of_b.end(), positive)) {
      return;
    }
    MeasureComparison comparison{.a = a, .b = b, .measure = measure, .is_ratio = true};
    comparison.estimate = paired_ratio(of_a, of_b);
    comparison.better = find_better(comparison, more_is_better);
    report.measures.push_back(std::move(comparison));
  };
  compare(Measure::ttft_ms, ttft_of, false);
  compare(Measure::decode_tokens_per_second, rate_of, true);
}

void compare_memory(Report& report, int a, int b) {
  const auto memory_a =
      static_cast<double>(peak_memory_bytes(report.candidates[static_cast<std::size_t>(a)]));
  const auto memory_b =
      static_cast<double>(peak_memory_bytes(report.candidates[static_cast<std::size_t>(b)]));
  if (memory_a == 0 || memory_b == 0) return;
  MeasureComparison comparison{.a = a, .b = b, .measure = Measure::peak_memory_bytes};
  comparison.estimate.estimate = memory_a - memory_b;
  if (std::abs(memory_a - memory_b) > kMemoryTie * std::max(memory_a, memory_b)) {
    comparison.better = memory_a < memory_b ? a : b;
  }
  report.measures.push_back(std::move(comparison));
}

void add_length_measure(Report& report, int a, int b, Measure measure, const PairedEstimate& estimate) {
  MeasureComparison comparison{.a = a, .b = b, .measure = measure, .is_ratio = false, .estimate = estimate};
  comparison.better = find_better(comparison, false);
  report.measures.push_back(std::move(comparison));
}

std::vector<double> subtract(std::span<const double> a, std::span<const double> b) {
  std::vector<double> differences;
  for (std::size_t i = 0; i < a.size(); ++i) differences.push_back(a[i] - b[i]);
  return differences;
}

void compare_lengths(Report& report, const std::vector<ItemAnswers>& groups,
                     std::span<const StoredLatency> latency, int a, int b) {
  const std::vector<double> tokens_a = tokens_of(groups, a);
  const std::vector<double> tokens_b = tokens_of(groups, b);
  if (tokens_a.empty()) return;
  add_length_measure(report, a, b, Measure::tokens_per_answer, paired_difference(tokens_a, tokens_b));
  const SecondsAlone seconds_a = compute_seconds(paces_of(latency, a), tokens_a);
  const SecondsAlone seconds_b = compute_seconds(paces_of(latency, b), tokens_b);
  if (seconds_a.by_item.empty() || seconds_a.by_repetition.size() != seconds_b.by_repetition.size()) return;
  add_length_measure(report, a, b, Measure::seconds_per_answer,
                     combine_variation(subtract(seconds_a.by_item, seconds_b.by_item),
                                       subtract(seconds_a.by_repetition, seconds_b.by_repetition)));
}

void read_documents(Report& report, const Store& store) {
  report.settings = settings_from_json(need_document(store, "settings"));
  const json::object run = need_document(store, "run");
  const auto text = [&](std::string_view key) {
    const json::value* value = run.if_contains(key);
    return value != nullptr && value->is_string() ? std::string(value->get_string()) : std::string();
  };
  report.created = text("created");
  report.version = text("version");
  report.machine = text("machine");
  report.sandbox = text("sandbox");
  for (std::size_t i = 0; i < report.settings.suites.size(); ++i) {
    report.suites.push_back(suite_from_json(need_document(store, "suite/" + std::to_string(i))));
  }
  for (std::size_t i = 0; i < report.settings.models.size(); ++i) {
    CandidateResult candidate;
    candidate.info = candidate_from_json(need_document(store, "candidate/" + std::to_string(i)));
    const std::string cost = "cost/" + std::to_string(i);
    if (const auto document = store.find_document(cost)) {
      candidate.cost = cost_from_json(parse_document(*document, cost));
    }
    report.candidates.push_back(std::move(candidate));
  }
}

}  // namespace

std::string_view measure_name(Measure measure) {
  switch (measure) {
    case Measure::ttft_ms:
      return "ttft_ms";
    case Measure::decode_tokens_per_second:
      return "decode_tokens_per_second";
    case Measure::peak_memory_bytes:
      return "peak_memory_bytes";
    case Measure::tokens_per_answer:
      return "tokens_per_answer";
    case Measure::seconds_per_answer:
      break;
  }
  return "seconds_per_answer";
}

std::uint64_t peak_memory_bytes(const CandidateResult& candidate) {
  if (!candidate.cost || candidate.cost->peak_rss_bytes < candidate.cost->rss_before_bytes) return 0;
  return candidate.cost->peak_rss_bytes - candidate.cost->rss_before_bytes;
}

Report make_report(const Store& store, std::optional<int> baseline) {
  Report report;
  read_documents(report, store);
  report.items = store.items();
  report.answers = store.answers();
  const std::vector<StoredLatency> latency = store.latency();
  const std::vector<ItemAnswers> groups = group_answers(report);
  report.excluded_items = static_cast<int>(
      std::count_if(groups.begin(), groups.end(), [](const ItemAnswers& group) { return !group.counted; }));
  for (std::size_t i = 0; i < report.candidates.size(); ++i) {
    measure_candidate(report.candidates[i], static_cast<int>(i), groups, latency, report);
  }
  const auto pairs = make_pairs(static_cast<int>(report.candidates.size()), baseline);
  compare_accuracies(report, groups, pairs);
  for (const auto& [a, b] : pairs) {
    compare_latency(report, latency, a, b);
    compare_memory(report, a, b);
    compare_lengths(report, groups, latency, a, b);
  }
  for (MeasureComparison& comparison : report.measures)
    comparison.verdict = measure_verdict(report, comparison);
  report.notes = make_notes(report);
  return report;
}

}  // namespace touchstone
