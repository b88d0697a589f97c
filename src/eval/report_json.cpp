// report.json; its form is docs/report.schema.json.
#include <boost/json.hpp>
#include <map>

#include "eval/report_words.h"

namespace touchstone {
namespace {
namespace json = boost::json;

constexpr int kReportVersion = 1;

json::value interval_to_json(const std::optional<Interval>& interval) {
  if (!interval) return nullptr;
  return json::array{interval->low, interval->high};
}

template <typename T>
json::value optional_to_json(const std::optional<T>& value) {
  return value ? json::value(*value) : json::value(nullptr);
}

json::value summary_to_json(const Summary& summary) {
  if (summary.count == 0) return nullptr;
  return {{"mean", summary.mean},
          {"std", summary.standard_deviation},
          {"interval", interval_to_json(summary.interval)},
          {"count", summary.count}};
}

json::value label_or_null(const Report& report, int candidate) {
  return candidate < 0 ? json::value(nullptr) : json::value(label_of(report, candidate));
}

json::object outcomes_to_json(const SuiteResult& result) {
  json::object counts;
  for (const Outcome outcome : kOutcomes) {
    counts[outcome_name(outcome)] = result.outcomes[static_cast<std::size_t>(outcome)];
  }
  return counts;
}

json::object result_to_json(const Report& report, const CandidateResult& candidate) {
  json::object object = candidate_to_json(candidate.info);
  json::array suites;
  for (std::size_t i = 0; i < candidate.suites.size(); ++i) {
    const SuiteResult& result = candidate.suites[i];
    suites.push_back({{"suite", report.suites[i].name},
                      {"items", result.items},
                      {"accuracy", result.accuracy},
                      {"interval", interval_to_json(result.interval)},
                      {"outcomes", outcomes_to_json(result)},
                      {"tokens_per_answer", summary_to_json(result.tokens)}});
  }
  object["suites"] = std::move(suites);
  object["ttft_ms"] = summary_to_json(candidate.ttft_ms);
  object["decode_tokens_per_second"] = summary_to_json(candidate.decode_tokens_per_second);
  object["latency_prompt_tokens"] = summary_to_json(candidate.prompt_tokens);
  object["tokens_per_answer"] = summary_to_json(candidate.tokens);
  object["seconds_per_answer"] = summary_to_json(candidate.seconds_alone);
  const std::uint64_t peak = peak_memory_bytes(candidate);
  object["peak_memory_bytes"] = peak == 0 ? json::value(nullptr) : json::value(peak);
  object["quality_pass"] = candidate.cost ? json::value(cost_to_json(*candidate.cost)) : json::value(nullptr);
  return object;
}

json::object comparison_to_json(const Report& report, const AccuracyComparison& comparison) {
  return {{"a", label_of(report, comparison.a)},
          {"b", label_of(report, comparison.b)},
          {"suite", report.suites[static_cast<std::size_t>(comparison.suite)].name},
          {"difference", comparison.difference},
          {"interval", interval_to_json(comparison.interval)},
          {"only_a", json::value_from(comparison.only_a_items)},
          {"only_b", json::value_from(comparison.only_b_items)},
          {"test", report.settings.samples == 1 ? "exact McNemar" : "exact sign-flip"},
          {"p", comparison.p},
          {"p_holm", comparison.p_holm},
          {"smallest_detectable_difference", optional_to_json(comparison.detectable)},
          {"more_items_needed", optional_to_json(comparison.more_items)},
          {"better", label_or_null(report, comparison.better)},
          {"verdict", comparison.verdict}};
}

json::object comparison_to_json(const Report& report, const MeasureComparison& comparison) {
  return {{"a", label_of(report, comparison.a)},
          {"b", label_of(report, comparison.b)},
          {"measure", measure_name(comparison.measure)},
          {"as", comparison.is_ratio ? "ratio" : "difference"},
          {"estimate", comparison.estimate.estimate},
          {"interval", interval_to_json(comparison.estimate.interval)},
          {"p", optional_to_json(comparison.estimate.p)},
          {"better", label_or_null(report, comparison.better)},
          {"verdict", comparison.verdict}};
}

json::object answer_to_json(const Report& report, const StoredAnswer& answer) {
  json::object object{{"candidate", label_of(report, answer.candidate)},
                      {"sample", answer.sample},
                      {"outcome", answer.grade ? json::value(outcome_name(answer.grade->outcome)) : nullptr},
                      {"extracted", answer.grade ? answer.grade->extracted : ""},
                      {"why", answer.grade ? answer.grade->why : ""},
                      {"prompt_tokens", answer.prompt_tokens},
                      {"tokens", answer.tokens},
                      {"finish_reason", answer.hit_length ? "length" : "stop"},
                      {"reasoning", answer.reasoning},
                      {"reasoning_closed", answer.reasoning_closed},
                      {"text", answer.text}};
  return object;
}

json::array items_to_json(const Report& report) {
  std::map<std::pair<std::string, std::string>, json::array> answers;
  for (const StoredAnswer& answer : report.answers) {
    answers[{answer.suite, answer.item}].push_back(answer_to_json(report, answer));
  }
  json::array items;
  for (const StoredItem& item : report.items) {
    items.push_back({{"suite", item.suite},
                     {"item", item.item},
                     {"prompt", item.prompt},
                     {"expected", item.expected},
                     {"answers", std::move(answers[{item.suite, item.item}])}});
  }
  return items;
}

}  // namespace

json::object report_to_json(const Report& report) {
  json::array suites, candidates, accuracy, measures, scenarios;
  for (const SuiteInfo& suite : report.suites) suites.push_back(suite_to_json(suite));
  for (const CandidateResult& candidate : report.candidates)
    candidates.push_back(result_to_json(report, candidate));
  for (const AccuracyComparison& comparison : report.accuracy) {
    accuracy.push_back(comparison_to_json(report, comparison));
  }
  for (const MeasureComparison& comparison : report.measures) {
    measures.push_back(comparison_to_json(report, comparison));
  }
  for (const ScenarioResult& scenario : report.scenarios) {
    scenarios.push_back({{"name", scenario.name},
                         {"title", scenario.title},
                         {"recommended", label_or_null(report, scenario.recommended)},
                         {"recommendation", scenario.recommendation},
                         {"lines", json::value_from(scenario.lines)}});
  }
  return {{"report_version", kReportVersion},
          {"title", report_title(report)},
          {"created", report.created},
          {"version", report.version},
          {"machine", report.machine},
          {"sandbox", report.sandbox},
          {"settings", settings_to_json(report.settings)},
          {"suites", std::move(suites)},
          {"candidates", std::move(candidates)},
          {"accuracy_comparisons", std::move(accuracy)},
          {"measure_comparisons", std::move(measures)},
          {"scenarios", std::move(scenarios)},
          {"excluded_items", report.excluded_items},
          {"notes", json::value_from(report.notes)},
          {"method", json::value_from(make_method_lines(report))},
          {"items", items_to_json(report)}};
}

}  // namespace touchstone
