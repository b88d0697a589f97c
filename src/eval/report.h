// What a comparison found: plain data computed from a run's store, and its three written forms.
#pragma once

#include <array>
#include <boost/json/fwd.hpp>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "eval/stats.h"
#include "eval/store.h"

namespace touchstone {

/// Everything that decides which answers come out; equal settings and models give equal answers.
struct RunSettings {
  std::vector<std::string> models;  // as the user named them
  std::vector<std::string> suites;  // names or paths
  int limit = 50;                   // items of each suite, from its beginning
  int samples = 1;                  // answers to each item
  int max_new_tokens = 2048;
  std::uint64_t seed = 0;
  std::optional<double> temperature{};  // nothing: each model's published default
  bool raw = false;                     // without chat template
  std::string isa = "auto";
  std::string dtype = "auto";
  std::string kv_dtype = "auto";
  int context_tokens = 0;  // 0: each model's own
  bool perf = true;        // run the latency pass
};

boost::json::object settings_to_json(const RunSettings& settings);
/// Throws Error where the document is not one that settings_to_json() wrote.
RunSettings settings_from_json(const boost::json::object& object);

/// What is known of a candidate before it answers anything.
struct CandidateInfo {
  std::string label;  // short, unique within the run
  std::string model;  // as the user named it
  std::string sha256;
  std::string format;
  std::string architecture;
  std::string isa;
  int threads = 0;
  bool chat_template = true;         // false: prompted with the bare text
  std::string text_before_user;      // what the template writes before the user's words
  std::string hidden_system_prompt;  // that nobody asked for; empty: none
  bool thinking_opened = false;      // the prompt ends inside <think>
  std::string sampling_source;       // where the sampling parameters come from
  double temperature = 0, top_p = 1, min_p = 0, repetition_penalty = 1, presence_penalty = 0,
         frequency_penalty = 0;
  int top_k = 0;
  std::string stop_tokens;  // as text
  std::uint64_t weight_bytes = 0;
  std::uint64_t kv_bytes_per_token = 0;
  double load_ms = 0;
};

/// What the quality pass cost, summed over the sittings of a resumed run.
struct CandidateCost {
  double generation_seconds = 0;
  int answers = 0;                     // made in these seconds
  int batch = 0;                       // sequences at once, at most
  std::uint64_t rss_before_bytes = 0;  // of the process before this candidate was loaded
  // The largest while only this candidate was loaded; on a GPU, with what it held there.
  std::uint64_t peak_rss_bytes = 0;
};

struct SuiteInfo {
  std::string name;
  std::string kind;  // "math", "code", "logic"
  std::string licence;
  std::string provenance;
  std::string fingerprint;
};

boost::json::object candidate_to_json(const CandidateInfo& info);
CandidateInfo candidate_from_json(const boost::json::object& object);
boost::json::object cost_to_json(const CandidateCost& cost);
CandidateCost cost_from_json(const boost::json::object& object);
boost::json::object suite_to_json(const SuiteInfo& info);
SuiteInfo suite_from_json(const boost::json::object& object);

/// One candidate on one suite.
struct SuiteResult {
  std::array<int, std::size(kOutcomes)> outcomes{};  // answers, by Outcome
  int items = 0;                                     // that count: graded for every candidate
  double accuracy = 0;                               // mean over items and samples
  Interval interval{};
  Summary tokens{};  // generated an answer, over items
};

/// One candidate over the whole run. Measures that were not taken have a count of 0.
struct CandidateResult {
  CandidateInfo info;
  std::optional<CandidateCost> cost{};
  std::vector<SuiteResult> suites;  // in the report's order of suites
  Summary ttft_ms{};
  Summary decode_tokens_per_second{};
  Summary prompt_tokens{};  // of the latency pass
  Summary cached_tokens{};
  Summary tokens{};         // generated an answer, over items of all suites
  Summary seconds_alone{};  // computed: TTFT + tokens / rate
};

/// A against B on one suite. Differences are A - B.
struct AccuracyComparison {
  int a = 0, b = 0, suite = 0;
  double difference = 0;
  Interval interval{};
  int only_a = 0, only_b = 0;  // items on which one did better
  std::vector<std::string> only_a_items{}, only_b_items{};
  double p = 1;                        // exact
  double p_holm = 1;                   // over all accuracy comparisons of the run
  std::optional<double> detectable{};  // smallest difference that this many items could have shown
  std::optional<double> more_items{};  // that would be needed to show the observed difference
  int better = -1;                     // candidate, or -1: can't tell
  std::string verdict{};
};

enum class Measure {
  ttft_ms,
  decode_tokens_per_second,
  peak_memory_bytes,
  tokens_per_answer,
  seconds_per_answer
};
std::string_view measure_name(Measure measure);

// Resident memory is counted in pages and includes what the allocator keeps: nearer than this is a tie.
inline constexpr double kMemoryTie = 0.05;

/// A against B on a quantity. TTFT and speed compare as ratios A / B, the others as differences A - B.
struct MeasureComparison {
  int a = 0, b = 0;
  Measure measure = Measure::ttft_ms;
  bool is_ratio = false;
  PairedEstimate estimate{};
  int better = -1;  // candidate, or -1: can't tell
  std::string verdict{};
};

struct ScenarioResult {
  std::string name, title;
  int recommended = -1;  // candidate, or -1: can't tell
  std::string recommendation;
  std::vector<std::string> lines;  // each cites its measurement
};

struct Report {
  std::string created;  // UTC, ISO 8601
  std::string version;  // of touchstone
  std::string machine;  // in words
  std::string sandbox;  // kind and what it keeps out; empty where no code ran
  RunSettings settings;
  std::vector<SuiteInfo> suites;
  std::vector<CandidateResult> candidates;
  std::vector<AccuracyComparison> accuracy;
  std::vector<MeasureComparison> measures;
  std::vector<ScenarioResult> scenarios;
  std::vector<std::string> notes;  // what a reader must know before believing a number
  int excluded_items = 0;          // not graded for some candidate

  // What the report is made of, for transcripts.
  std::vector<StoredItem> items;
  std::vector<StoredAnswer> answers;
};

/// Computes everything but `scenarios`. `baseline`: index of the candidate that all others are compared with;
/// nothing: each with each. Throws Error where the store lacks what a run writes first.
Report make_report(const Store& store, std::optional<int> baseline);

/// What the candidate added to the process at most; 0: not measured.
std::uint64_t peak_memory_bytes(const CandidateResult& candidate);

boost::json::object report_to_json(const Report& report);  // docs/report.schema.json
std::string report_to_markdown(const Report& report);
std::string report_to_html(const Report& report);
/// Summary table, verdicts and recommendations for a terminal.
std::string report_to_text(const Report& report);

}  // namespace touchstone
