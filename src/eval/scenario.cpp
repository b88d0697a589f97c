#include "eval/scenario.h"

#include <fmt/core.h>

#include <algorithm>
#include <boost/json.hpp>
#include <cmath>

#include "base/blob.h"
#include "base/error.h"
#include "eval/report_words.h"

namespace touchstone {
namespace {
namespace json = boost::json;

enum class Limit { holds, broken, unknown, unmeasured };

// Two seconds until something appears and a reader's ten tokens a second keep a conversation alive;
// suggestions while typing must come before the next keystrokes; a small board has about a gigabyte to spare.
constexpr std::string_view kBuiltIn = R"([
{"name": "tutor", "title": "Tutor", "suites": ["math", "logic"], "ttft_ms": 2000, "itl_ms": 100,
 "prefer": "seconds_per_answer"},
{"name": "completion", "title": "Text completion", "suites": ["logic"], "ttft_ms": 300, "itl_ms": 50,
 "prefer": "ttft_ms"},
{"name": "ide", "title": "IDE plug-in", "suites": ["code"], "ttft_ms": 500, "itl_ms": 50,
 "prefer": "seconds_per_answer"},
{"name": "embedded", "title": "Embedded device", "suites": ["math", "code", "logic"], "ttft_ms": 2000,
 "memory_mb": 1000, "prefer": "peak_memory_bytes"}
])";

constexpr Measure kMeasures[] = {Measure::ttft_ms, Measure::decode_tokens_per_second,
                                 Measure::peak_memory_bytes, Measure::tokens_per_answer,
                                 Measure::seconds_per_answer};

std::optional<Measure> find_measure(std::string_view name) {
  for (const Measure measure : kMeasures) {
    if (measure_name(measure) == name) return measure;
  }
  return std::nullopt;
}

[[noreturn]] void refuse_scenario(const std::string& source, const std::string& what) {
  throw Error("scenario " + source + ": " + what,
              R"(give {"name","title","suites":["math","code","logic"],"ttft_ms","itl_ms","memory_mb",)"
              R"("seconds_per_answer","prefer"})");
}

std::string read_text(const json::value& value, std::string_view key, const std::string& source) {
  if (!value.is_string()) refuse_scenario(source, "'" + std::string(key) + "' is not a string");
  return std::string(value.get_string());
}

double read_limit(const json::value& value, std::string_view key, const std::string& source) {
  const auto number = json::try_value_to<double>(value);
  if (!number || !std::isfinite(*number) || *number <= 0)
    refuse_scenario(source, "'" + std::string(key) + "' is not a positive number");
  return *number;
}

Scenario read_scenario(const json::value& document, const std::string& source) {
  if (!document.is_object()) refuse_scenario(source, "it is not a JSON object");
  Scenario scenario;
  for (const auto& [key, value] : document.get_object()) {
    if (key == "name") {
      scenario.name = read_text(value, key, source);
    } else if (key == "title") {
      scenario.title = read_text(value, key, source);
    } else if (key == "suites") {
      if (!value.is_array()) refuse_scenario(source, "'suites' is not a list");
      for (const json::value& kind : value.get_array()) {
        scenario.kinds.push_back(read_text(kind, key, source));
        const std::string& name = scenario.kinds.back();
        if (name != "math" && name != "code" && name != "logic")
          refuse_scenario(source, "there is no kind of suite '" + name + "'");
      }
    } else if (key == "ttft_ms") {
      scenario.ttft_ms = read_limit(value, key, source);
    } else if (key == "itl_ms") {
      scenario.itl_ms = read_limit(value, key, source);
    } else if (key == "memory_mb") {
      scenario.memory_mb = read_limit(value, key, source);
    } else if (key == "seconds_per_answer") {
      scenario.seconds_per_answer = read_limit(value, key, source);
    } else if (key == "prefer") {
      const auto measure = find_measure(read_text(value, key, source));
      if (!measure) refuse_scenario(source, "'prefer' names no measure");
      scenario.prefer = *measure;
    } else {
      refuse_scenario(source, "unknown field '" + std::string(key) + "'");
    }
  }
  if (scenario.name.empty()) scenario.name = source;
  if (scenario.title.empty()) scenario.title = scenario.name;
  if (scenario.kinds.empty()) refuse_scenario(source, "'suites' names no kind of suite that matters");
  return scenario;
}

Limit check_limit(double limit, const Interval& interval) {
  if (interval.high <= limit) return Limit::holds;
  return interval.low > limit ? Limit::broken : Limit::unknown;
}

std::string_view limit_words(Limit limit) {
  if (limit == Limit::holds) return "holds";
  return limit == Limit::broken ? "broken" : "can't tell";
}

/// The worse of two: broken, then unmeasured, then unknown, then holds.
Limit worse(Limit a, Limit b) {
  for (const Limit limit : {Limit::broken, Limit::unmeasured, Limit::unknown}) {
    if (a == limit || b == limit) return limit;
  }
  return Limit::holds;
}

/// Judges a candidate's limits and writes one line for each.
Limit check_limits(const Scenario& scenario, const CandidateResult& candidate,
                   std::vector<std::string>& lines) {
  Limit all = Limit::holds;
  const auto check = [&](const std::optional<double>& limit, std::string_view what, const std::string& unit,
                         double value, const std::optional<Interval>& interval) {
    if (!limit) return;
    if (!interval) {
      all = worse(all, Limit::unmeasured);
      lines.push_back(
          fmt::format("{}: {} at most {:g} {}: not measured", candidate.info.label, what, *limit, unit));
      return;
    }
    const Limit result = check_limit(*limit, *interval);
    all = worse(all, result);
    lines.push_back(fmt::format("{}: {} at most {:g} {}: {} (measured {:.4g} [{:.4g}, {:.4g}])",
                                candidate.info.label, what, *limit, unit, limit_words(result), value,
                                interval->low, interval->high));
  };
  check(scenario.ttft_ms, "TTFT", "ms", candidate.ttft_ms.mean, candidate.ttft_ms.interval);
  const Summary& rate = candidate.decode_tokens_per_second;
  std::optional<Interval> itl;
  if (rate.interval && rate.interval->low > 0)
    itl = Interval{1000 / rate.interval->high, 1000 / rate.interval->low};
  check(scenario.itl_ms, "time between tokens", "ms", itl ? 1000 / rate.mean : 0, itl);
  const auto memory = static_cast<double>(peak_memory_bytes(candidate)) / 1e6;
  std::optional<Interval> memory_interval;
  if (memory > 0) memory_interval = Interval{memory, memory};
  check(scenario.memory_mb, "peak memory", "MB", memory, memory_interval);
  check(scenario.seconds_per_answer, "seconds per answer", "s", candidate.seconds_alone.mean,
        candidate.seconds_alone.interval);
  return all;
}

bool matters(const Report& report, const Scenario& scenario, const AccuracyComparison& comparison) {
  const std::string& kind = report.suites[static_cast<std::size_t>(comparison.suite)].kind;
  return std::find(scenario.kinds.begin(), scenario.kinds.end(), kind) != scenario.kinds.end();
}

bool is_pair(int a, int b, int x, int y) { return (a == x && b == y) || (a == y && b == x); }

// Where no difference in quality is shown, the cheaper candidate is chosen if it can hardly be worse than by
// this much: what 50 items can exclude that came out differently in one case of five.
constexpr double kTolerableLoss = 0.15;

struct QualityTally {
  int wins = 0, losses = 0;
  int compared = 0;
  double worst = 1;  // the lower ends of the intervals of x - y
};

/// How often `x` is supported as better, and as worse, than `y` on suites that matter, and how much worse it
/// may be.
QualityTally compare_quality(const Report& report, const Scenario& scenario, int x, int y) {
  QualityTally tally;
  for (const AccuracyComparison& comparison : report.accuracy) {
    if (!is_pair(comparison.a, comparison.b, x, y) || !matters(report, scenario, comparison)) continue;
    ++tally.compared;
    tally.wins += comparison.better == x ? 1 : 0;
    tally.losses += comparison.better == y ? 1 : 0;
    tally.worst =
        std::min(tally.worst, comparison.a == x ? comparison.interval.low : -comparison.interval.high);
  }
  return tally;
}

const MeasureComparison* find_preferred(const Report& report, const Scenario& scenario, int x, int y) {
  for (const MeasureComparison& comparison : report.measures) {
    if (comparison.measure == scenario.prefer && is_pair(comparison.a, comparison.b, x, y))
      return &comparison;
  }
  return nullptr;
}

void add_comparison_lines(const Report& report, const Scenario& scenario, std::vector<std::string>& lines) {
  const auto versus = [&](int a, int b) {
    return report.candidates.size() == 2
               ? std::string()
               : fmt::format(" ({} - {})", label_of(report, a), label_of(report, b));
  };
  for (const AccuracyComparison& comparison : report.accuracy) {
    if (!matters(report, scenario, comparison)) continue;
    lines.push_back(fmt::format("{}{}: {}", suite_title(report, comparison.suite),
                                versus(comparison.a, comparison.b), comparison.verdict));
  }
  for (const MeasureComparison& comparison : report.measures) {
    if (comparison.measure != scenario.prefer) continue;
    lines.push_back(fmt::format("{}{}: {}", measure_title(comparison.measure),
                                versus(comparison.a, comparison.b), comparison.verdict));
  }
}

struct Choice {
  int candidate = -1;
  std::string why;
};

/// Chooses among candidates whose limits hold.
Choice choose(const Report& report, const Scenario& scenario, const std::vector<int>& allowed) {
  bool quality_differs = false;
  for (const int x : allowed) {
    int beaten = 0;
    for (const int y : allowed) {
      if (x == y) continue;
      const QualityTally tally = compare_quality(report, scenario, x, y);
      if (tally.compared == 0)
        return {-1, "can't tell: no suite that matters here compared these candidates"};
      quality_differs |= tally.wins + tally.losses > 0;
      beaten += tally.wins > 0 && tally.losses == 0 ? 1 : 0;
    }
    if (beaten + 1 == static_cast<int>(allowed.size())) {
      return {x, label_of(report, x) + ": better where it matters here"};
    }
  }
  if (quality_differs) return {-1, "can't tell: none is better at all that matters here"};
  for (const int x : allowed) {
    int beaten = 0;
    double worst = 1;
    for (const int y : allowed) {
      const MeasureComparison* comparison = x == y ? nullptr : find_preferred(report, scenario, x, y);
      if (comparison == nullptr || comparison->better != x) continue;
      ++beaten;
      worst = std::min(worst, compare_quality(report, scenario, x, y).worst);
    }
    if (beaten + 1 == static_cast<int>(allowed.size())) {
      if (worst < -kTolerableLoss) {
        return {-1,
                fmt::format(
                    "can't tell: {} {}, but may be worse by up to {:.0f} points where it matters; more items "
                    "would tell",
                    label_of(report, x), better_words(scenario.prefer), -100 * worst)};
      }
      return {x,
              fmt::format(
                  "{}: {}; in quality these items show no difference, which does not mean that there is none",
                  label_of(report, x), better_words(scenario.prefer))};
    }
  }
  return {-1, "can't tell: no supported difference in what matters here"};
}

}  // namespace

const std::vector<Scenario>& built_in_scenarios() {
  static const std::vector<Scenario> scenarios = [] {
    std::vector<Scenario> all;
    const json::value document = json::parse(kBuiltIn);
    for (const json::value& value : document.as_array()) all.push_back(read_scenario(value, "built-in"));
    return all;
  }();
  return scenarios;
}

Scenario parse_scenario(std::string_view text, const std::string& source) {
  boost::system::error_code error;
  const json::value document = json::parse(text, error);
  if (error) refuse_scenario(source, "it is not valid JSON: " + error.message());
  return read_scenario(document, source);
}

Scenario load_scenario(const std::string& name_or_file) {
  std::string names;
  for (const Scenario& scenario : built_in_scenarios()) {
    if (scenario.name == name_or_file) return scenario;
    names += (names.empty() ? "" : ", ") + scenario.name;
  }
  if (name_or_file.find_first_of("./") == std::string::npos) {
    throw Error("there is no scenario '" + name_or_file + "'",
                "choose one of " + names + ", or name a .json file");
  }
  return parse_scenario(map_file(name_or_file).text(), name_or_file);
}

ScenarioResult judge_scenario(const Report& report, const Scenario& scenario) {
  ScenarioResult result{
      .name = scenario.name, .title = scenario.title, .recommended = -1, .recommendation = {}, .lines = {}};
  std::vector<int> allowed;
  Limit all = Limit::holds;  // of the candidates that break none
  for (std::size_t i = 0; i < report.candidates.size(); ++i) {
    const Limit limit = check_limits(scenario, report.candidates[i], result.lines);
    if (limit == Limit::broken) continue;
    allowed.push_back(static_cast<int>(i));
    all = worse(all, limit);
  }
  add_comparison_lines(report, scenario, result.lines);
  Choice choice;
  if (allowed.empty()) {
    choice.why = "none: every candidate breaks a limit on this machine";
  } else if (all == Limit::unmeasured) {
    choice.why = "can't tell: not all limits were measured";
  } else if (all == Limit::unknown) {
    choice.why = "can't tell whether all limits hold";
  } else if (allowed.size() == 1) {
    choice = {allowed[0], label_of(report, allowed[0]) + ": the only one within the limits on this machine"};
  } else {
    choice = choose(report, scenario, allowed);
  }
  result.recommended = choice.candidate;
  result.recommendation = choice.why;
  return result;
}

}  // namespace touchstone
