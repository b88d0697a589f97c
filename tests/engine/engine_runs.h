// Requests of many kinds, and engines that run them.
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <random>

#include "engine/engine.h"
#include "engine_golden.h"

namespace touchstone::testing {

inline std::shared_ptr<LoadedModel> load(const std::filesystem::path& folder, int threads = 1) {
  LoadOptions options;
  options.num_threads = threads;
  return std::make_shared<LoadedModel>(load_model(folder.string(), options));
}

inline std::filesystem::path some_model() { return golden_models().front(); }

/// Small enough for a test, large enough for what it runs.
inline EngineOptions small(std::int32_t context_tokens = 4096) { return {.context_tokens = context_tokens}; }

inline SamplingParams greedy(std::int32_t max_new_tokens) {
  SamplingParams params;
  params.temperature = 0;
  params.max_new_tokens = max_new_tokens;
  return params;
}

inline GenerateRequest greedy_request(std::vector<std::int32_t> prompt_ids, std::int32_t max_new_tokens) {
  GenerateRequest request;
  request.prompt_ids = std::move(prompt_ids);
  request.sampling = greedy(max_new_tokens);
  return request;
}

inline std::vector<std::int32_t> random_ids(std::mt19937& random, std::size_t size, std::int32_t vocab_size) {
  std::vector<std::int32_t> ids(size);
  for (std::int32_t& id : ids)
    id = static_cast<std::int32_t>(random() % static_cast<std::uint32_t>(vocab_size));
  return ids;
}

inline GenerateRequest random_request(std::mt19937& random, const LoadedModel& model) {
  GenerateRequest request;
  request.prompt_ids = random_ids(random, 1 + random() % 70, model.tokenizer.vocab_size());
  SamplingParams& params = request.sampling;
  params.seed = random();
  params.temperature = random() % 4 == 0 ? 0.0F : 0.5F + 0.1F * static_cast<float>(random() % 10);
  params.top_p = random() % 2 == 0 ? 1.0F : 0.8F;
  params.top_k = random() % 2 == 0 ? 0 : 20;
  params.min_p = random() % 3 == 0 ? 0.02F : 0.0F;
  params.repetition_penalty = random() % 3 == 0 ? 1.2F : 1.0F;
  params.presence_penalty = random() % 3 == 0 ? 0.5F : 0.0F;
  params.frequency_penalty = random() % 3 == 0 ? 0.3F : 0.0F;
  params.max_new_tokens = static_cast<std::int32_t>(1 + random() % 20);
  if (random() % 2 == 0) params.stop = {"e", "th"};
  if (random() % 2 == 0) params.stop_ids = random_ids(random, 20, model.tokenizer.vocab_size());
  if (random() % 3 == 0) params.reasoning_budget = static_cast<std::int32_t>(random() % 8);
  request.reasoning_opened = random() % 2 == 0;
  request.n = random() % 4 == 0 ? 3 : 1;
  return request;
}

inline std::vector<GenerateRequest> random_requests(std::uint32_t seed, std::size_t count,
                                                    const LoadedModel& model) {
  std::mt19937 random(seed);
  std::vector<GenerateRequest> requests;
  for (std::size_t i = 0; i < count; ++i) requests.push_back(random_request(random, model));
  return requests;
}

struct BatchRun {
  std::vector<GenerateResult> results;
  std::int32_t fewest_free_blocks = 0;
};

/// All requests at once.
inline BatchRun run_together(const std::shared_ptr<LoadedModel>& model, const EngineOptions& options,
                             const std::vector<GenerateRequest>& requests) {
  Engine engine(model, options);
  std::map<Engine::RequestId, std::size_t> places;
  for (std::size_t i = 0; i < requests.size(); ++i) places[engine.submit(requests[i])] = i;
  BatchRun run{.results = std::vector<GenerateResult>(requests.size()),
               .fewest_free_blocks = engine.num_blocks()};
  while (!engine.idle()) {
    for (auto& [id, result] : engine.step()) run.results[places.at(id)] = std::move(result);
    run.fewest_free_blocks = std::min(run.fewest_free_blocks, engine.free_blocks());
  }
  EXPECT_EQ(engine.free_blocks(), engine.num_blocks());
  return run;
}

inline std::vector<GenerateResult> run_alone(const std::shared_ptr<LoadedModel>& model,
                                             const EngineOptions& options,
                                             const std::vector<GenerateRequest>& requests) {
  std::vector<GenerateResult> results;
  for (const GenerateRequest& request : requests) {
    Engine engine(model, options);
    results.push_back(engine.generate(request));
    EXPECT_EQ(engine.free_blocks(), engine.num_blocks());
  }
  return results;
}

inline void expect_same(const std::vector<GenerateResult>& actual,
                        const std::vector<GenerateResult>& expected) {
  ASSERT_EQ(actual.size(), expected.size());
  for (std::size_t i = 0; i < actual.size(); ++i) {
    SCOPED_TRACE("request " + std::to_string(i));
    EXPECT_EQ(actual[i].prompt_tokens, expected[i].prompt_tokens);
    ASSERT_EQ(actual[i].samples.size(), expected[i].samples.size());
    for (std::size_t sample = 0; sample < actual[i].samples.size(); ++sample) {
      const GeneratedSample& a = actual[i].samples[sample];
      const GeneratedSample& b = expected[i].samples[sample];
      EXPECT_EQ(a.ids, b.ids);
      EXPECT_EQ(a.text, b.text);
      EXPECT_EQ(a.reasoning, b.reasoning);
      EXPECT_EQ(a.reasoning_closed, b.reasoning_closed);
      EXPECT_EQ(a.finish_reason, b.finish_reason);
      EXPECT_EQ(a.loops, b.loops);
    }
  }
}

}  // namespace touchstone::testing
