// Synthetic runs with known results.
#pragma once

#include <boost/json.hpp>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "eval/report.h"
#include "support/golden.h"

namespace touchstone::testing {

struct FakeRun {
  std::vector<std::string> models{"alpha", "beta"};
  std::vector<std::string> kinds{"math"};  // one suite each
  int items = 50;
  int samples = 1;
  /// Outcome of a candidate's answer.
  std::function<Outcome(int candidate, int suite, int item, int sample)> outcome;
  std::function<int(int candidate, int item)> tokens = [](int, int) { return 100; };
  std::vector<double> ttft_ms{};  // by candidate; empty: no latency pass
  std::vector<double> tokens_per_second{};
  double wobble = 0.01;                 // how much longer every third repetition takes
  std::vector<std::uint64_t> memory{};  // by candidate; empty: not measured
  std::string hidden_system_prompt{};   // of the first candidate
  std::string text = "the answer";
};

inline std::string item_id(int item) { return "item-" + std::to_string(item); }

inline void put_fake_answers(Store& store, const FakeRun& run) {
  std::vector<StoredItem> items;
  std::vector<StoredAnswer> answers;
  for (std::size_t suite = 0; suite < run.kinds.size(); ++suite) {
    for (int item = 0; item < run.items; ++item) {
      items.push_back(
          {run.kinds[suite], item_id(item), item, "question <" + std::to_string(item) + ">", "42"});
      for (std::size_t candidate = 0; candidate < run.models.size(); ++candidate) {
        for (int sample = 0; sample < run.samples; ++sample) {
          const int index = static_cast<int>(candidate);
          StoredAnswer answer;
          answer.candidate = index;
          answer.suite = run.kinds[suite];
          answer.item = item_id(item);
          answer.sample = sample;
          answer.prompt = "<|user|>question";
          answer.prompt_tokens = 12;
          answer.text = run.text;
          answer.reasoning = "hm";
          answer.tokens = run.tokens(index, item);
          const Outcome outcome = run.outcome(index, static_cast<int>(suite), item, sample);
          answer.hit_length = outcome == Outcome::cut_off || outcome == Outcome::looped;
          answer.grade = StoredGrade{outcome, "41", "because"};
          answers.push_back(answer);
        }
      }
    }
  }
  store.put_items(items);
  store.put_answers(answers);
}

/// Writes the run into folder/run.sqlite.
inline Store make_fake_store(const std::filesystem::path& folder, const FakeRun& run) {
  Store store = Store::create(folder / "run.sqlite");
  RunSettings settings;
  settings.models = run.models;
  settings.suites = run.kinds;
  settings.samples = run.samples;
  settings.limit = run.items;
  store.put_document("settings", boost::json::serialize(settings_to_json(settings)));
  store.put_document(
      "run", R"({"created":"2026-01-02T03:04:05Z","version":"9.9","machine":"a box","sandbox":"none"})");
  for (std::size_t i = 0; i < run.kinds.size(); ++i) {
    const SuiteInfo suite{run.kinds[i], run.kinds[i], "MIT", "made up", "abc"};
    store.put_document("suite/" + std::to_string(i), boost::json::serialize(suite_to_json(suite)));
  }
  std::vector<StoredLatency> latency;
  for (std::size_t i = 0; i < run.models.size(); ++i) {
    CandidateInfo info;
    info.label = run.models[i];
    info.model = run.models[i];
    info.sha256 = std::string(64, 'a');
    info.weight_bytes = 1000;
    if (i == 0) info.hidden_system_prompt = run.hidden_system_prompt;
    store.put_document("candidate/" + std::to_string(i), boost::json::serialize(candidate_to_json(info)));
    if (!run.memory.empty()) {
      const CandidateCost cost{.generation_seconds = 25,
                               .answers = 50,
                               .batch = 8,
                               .rss_before_bytes = 1000,
                               .peak_rss_bytes = 1000 + run.memory[i]};
      store.put_document("cost/" + std::to_string(i), boost::json::serialize(cost_to_json(cost)));
    }
    for (int repetition = 0; repetition < 10 && !run.ttft_ms.empty(); ++repetition) {
      const double wobble =
          1 + run.wobble * (repetition % 3) + 0.002 * static_cast<double>(i) * (repetition % 2);
      latency.push_back({static_cast<int>(i), repetition, 256, 3, 64, run.ttft_ms[i] * wobble,
                         run.tokens_per_second[i] / wobble});
    }
  }
  store.put_latency(latency);
  put_fake_answers(store, run);
  return store;
}

inline Report make_fake_report(const FakeRun& run, std::optional<int> baseline = std::nullopt) {
  const TemporaryFolder folder;
  return make_report(make_fake_store(folder.path(), run), baseline);
}

/// Alpha alone right on the first `only_a` items, beta alone on the next `only_b`, both on the next `both`.
inline std::function<Outcome(int, int, int, int)> discordant(int only_a, int only_b, int both) {
  return [=](int candidate, int, int item, int) {
    const bool right = item < only_a            ? candidate == 0
                       : item < only_a + only_b ? candidate == 1
                                                : item < only_a + only_b + both;
    return right ? Outcome::correct : Outcome::wrong;
  };
}

}  // namespace touchstone::testing
