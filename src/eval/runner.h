// Puts every item of the suites to one candidate in batches, grades the answers, and commits each to the
// store.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "engine/engine.h"
#include "eval/grade.h"
#include "eval/report.h"
#include "eval/runner_prompt.h"
#include "eval/store.h"
#include "eval/suite.h"

namespace touchstone {

// Sequences that decode at once. Past this, a CPU's decode rate gains little and the KV cache grows on.
inline constexpr int kRunnerBatch = 32;

struct Progress {
  std::string phase;  // "answers", "grading", "latency"
  std::string candidate;
  int done = 0, total = 0;
  double tokens_per_second = 0;  // 0: does not apply
  double seconds_left = -1;      // below 0: not known yet
};

struct RunHooks {
  std::function<bool()> stop;  // polled between steps; true ends the run, what is committed stays
  std::function<void(const Progress&)> progress;
  std::function<void(const std::filesystem::path& folder)> begun;  // from now on the run can be resumed
};

/// What one candidate needs to answer.
struct RunnerCandidate {
  int index = 0;  // in the run's settings
  std::string label;
  std::shared_ptr<LoadedModel> model;
  Prompter prompter;
  SamplingParams sampling;
};

/// Whether the store holds every answer of this candidate.
bool has_all_answers(const Store& store, int candidate, std::span<const Suite> suites, int samples);

/// Makes the answers that the store lacks and updates the cost document. False when it was stopped. Throws
/// Error for a prompt that does not fit, naming the item.
bool answer_items(Store& store, const RunnerCandidate& candidate, std::span<const Suite> suites,
                  const RunSettings& settings, std::uint64_t rss_before_bytes, const RunHooks& hooks);

/// Grades the answers that have no grade yet; code runs in sandboxes, several at once. False when it was
/// stopped.
bool grade_answers(Store& store, int candidate, const std::string& label, std::span<const Suite> suites,
                   const RunHooks& hooks);

/// What becomes of an answer: its grade, how it ended, and whether its tail repeats.
Outcome classify_answer(TaskKind kind, const Grade& grade, bool hit_length, bool loops);

/// The right answer in words, for transcripts.
std::string describe_expected(const Item& item);

/// Seed of an item's samples: the same for every candidate and every order of execution.
std::uint64_t item_seed(std::uint64_t run_seed, std::string_view suite, std::string_view item);

/// Tokens that prompt and answer may take together.
int context_limit(const LoadedModel& model, const RunSettings& settings);

}  // namespace touchstone
