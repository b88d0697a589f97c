// Which candidate to choose for a use, from what the report can support.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "eval/report.h"

namespace touchstone {

/// Limits hold on the machine of the run. Those that are not set do not matter.
struct Scenario {
  std::string name;
  std::string title;
  std::vector<std::string> kinds;                // of suites that matter: "math", "code", "logic"
  std::optional<double> ttft_ms{};               // at a prompt of about 256 tokens
  std::optional<double> itl_ms{};                // between two tokens
  std::optional<double> memory_mb{};             // 10^6 bytes, at the quality pass's batch
  std::optional<double> seconds_per_answer{};    // a user alone
  Measure prefer = Measure::seconds_per_answer;  // what decides where quality can't be told apart
};

/// tutor, completion, ide, embedded.
const std::vector<Scenario>& built_in_scenarios();

/// A built-in one by name, or a JSON file of the same fields (see docs). Throws Error naming what is wrong.
Scenario load_scenario(const std::string& name_or_file);

/// `source` names the text in errors.
Scenario parse_scenario(std::string_view text, const std::string& source);

/// Recommends a candidate, or says that it can't tell; only differences that are statistically supported
/// count.
ScenarioResult judge_scenario(const Report& report, const Scenario& scenario);

}  // namespace touchstone
