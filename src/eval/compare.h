// The main job: two or more candidates over the same items, measured, tested and reported. Enter here.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "eval/report.h"
#include "eval/runner.h"

namespace touchstone {

/// What is not set takes its default, or on --resume what the run was started with.
struct CompareOptions {
  std::vector<std::string> models;
  std::vector<std::string> suites;  // empty: the built-in ones
  std::optional<int> limit{};
  std::optional<int> samples{};
  std::optional<int> max_new_tokens{};
  std::optional<std::uint64_t> seed{};
  std::optional<double> temperature{};  // 0: greedy
  std::optional<bool> raw{};
  std::optional<bool> perf{};
  std::optional<std::string> isa{}, dtype{}, kv_dtype{};
  std::optional<int> context_tokens{};
  int threads = 0;           // 0: physical cores; changes no answer
  bool packed_cache = true;  // as ModelOptions has it

  std::filesystem::path out;           // empty: touchstone-runs/DATE-A-vs-B
  std::filesystem::path resume;        // empty: a new run
  std::vector<std::string> scenarios;  // names or files; empty: all built-in ones
  std::string baseline;                // a candidate's label or model; empty: each with each
  std::string version;                 // of the program, for the report
};

struct CompareResult {
  bool interrupted = false;
  int answers_kept = 0;
  std::filesystem::path folder;
  std::optional<Report> report{};  // unless interrupted
};

/// Runs or continues a comparison and writes report.json, report.md, report.html beside run.sqlite.
/// Everything that can be checked is checked before the first model is loaded. Throws Error.
CompareResult run_compare(const CompareOptions& options, const RunHooks& hooks);

/// Suites of a comparison that names none: the demo suites when every model is a demo.
std::vector<std::string> default_suites(const std::vector<std::string>& models);

/// A short name for each model, unique among them.
std::vector<std::string> make_labels(const std::vector<std::string>& models);

}  // namespace touchstone
