// What a server asks of an engine besides text: log-probabilities, bias, deadlines, "answer now", its load.
#include <cmath>

#include "base/error.h"
#include "engine/score.h"
#include "engine_runs.h"

namespace touchstone {
namespace {

using testing::greedy_request;
using testing::load;
using testing::random_requests;
using testing::small;
using testing::some_model;

struct SeenEvent {
  std::int32_t id;
  float logprob;
  std::vector<std::pair<std::int32_t, float>> top;
};

std::vector<SeenEvent> events_of(Engine& engine, GenerateRequest request) {
  std::vector<SeenEvent> events;
  request.on_token = [&](const TokenEvent& event) {
    events.push_back({event.id, event.logprob, {event.top.begin(), event.top.end()}});
    return true;
  };
  engine.generate(std::move(request));
  return events;
}

TEST(TokenEvents, LogprobsAreTheModelsOwnWhateverTheSampling) {
  const auto model = load(some_model());
  Engine engine(model, small());
  GenerateRequest request = greedy_request({5, 6, 7}, 12);
  request.sampling.temperature = 1.7F;
  request.sampling.top_k = 40;
  request.sampling.presence_penalty = 2;
  request.sampling.logit_bias = {{9, 5.0F}};
  request.sampling.num_logprobs = 3;
  const std::vector<SeenEvent> events = events_of(engine, request);
  ASSERT_EQ(events.size(), 12U);
  std::vector<std::int32_t> ids = request.prompt_ids;
  for (const SeenEvent& event : events) ids.push_back(event.id);
  std::size_t position = 0;
  score_ids(*model->transformer, ids, 3,
            [&](const ScoredPosition& expected) {
              if (++position < request.prompt_ids.size()) return;
              const SeenEvent& event = events[position - request.prompt_ids.size()];
              EXPECT_FLOAT_EQ(event.logprob, static_cast<float>(expected.logprob));
              ASSERT_EQ(event.top.size(), 3U);
              for (std::size_t i = 0; i < 3; ++i) {
                EXPECT_EQ(event.top[i].first, expected.top[i].first);
                EXPECT_FLOAT_EQ(event.top[i].second, static_cast<float>(expected.top[i].second));
              }
            },
            {});
}

TEST(TokenEvents, LogprobsChangeNoToken) {
  const auto model = load(some_model());
  for (GenerateRequest& request : random_requests(20, 10, *model)) {
    Engine engine(model, small());
    const std::vector<std::int32_t> plain = engine.generate(request).samples.front().ids;
    request.sampling.num_logprobs = 0;
    EXPECT_EQ(engine.generate(request).samples.front().ids, plain);
  }
}

TEST(TokenEvents, BiasForcesATokenAndBansOne) {
  const auto model = load(some_model());
  Engine engine(model, small());
  GenerateRequest request = greedy_request({5, 6, 7}, 5);
  const std::vector<std::int32_t> plain = engine.generate(request).samples.front().ids;
  request.sampling.logit_bias = {{9, 100.0F}};
  EXPECT_EQ(engine.generate(request).samples.front().ids, std::vector<std::int32_t>(5, 9));
  request.sampling.logit_bias = {{plain[0], -100.0F}};
  EXPECT_NE(engine.generate(request).samples.front().ids[0], plain[0]);
  request.sampling.logit_bias = {{1 << 20, 1.0F}};
  EXPECT_THROW(engine.submit(request), Error);
  request.sampling.logit_bias = {{9, std::nanf("")}};
  EXPECT_THROW(engine.submit(request), Error);
  EXPECT_TRUE(engine.idle());
}

TEST(TokenEvents, AnEventSaysWhetherItsTokenThinks) {
  const auto model = load(some_model());
  Engine engine(model, small());
  GenerateRequest request = greedy_request({5, 6, 7}, 30);
  request.reasoning_opened = true;
  request.sampling.reasoning_budget = 5;
  std::string thinking;
  std::string answer;
  request.on_token = [&](const TokenEvent& event) {
    (event.reasoning ? thinking : answer) += event.text;
    return true;
  };
  const GeneratedSample sample = engine.generate(request).samples.front();
  ASSERT_TRUE(sample.reasoning_closed);
  EXPECT_TRUE(thinking.starts_with(sample.reasoning));
  EXPECT_NE(thinking.find("</think>"), std::string::npos);
  EXPECT_TRUE(answer.ends_with(sample.text));
  EXPECT_FALSE(sample.text.empty());
}

TEST(Serving, AThinkingRequestAnswersNowWhenToldTo) {
  const auto model = load(some_model());
  const std::vector<std::int32_t> closer =
      model->tokenizer.encode("\n</think>\n\n", {.parse_special = true, .add_special = false});
  EngineOptions options = small();
  options.lookup = Lookup::off;  // a token a step
  Engine engine(model, options);
  GenerateRequest request = greedy_request({5, 6, 7}, 40);
  request.reasoning_opened = true;
  const Engine::RequestId id = engine.submit(request);
  for (int i = 0; i < 8; ++i) engine.step();
  engine.close_thinking(id);
  engine.close_thinking(id);         // once is enough
  engine.close_thinking(id + 1000);  // no such request
  GeneratedSample sample;
  while (!engine.idle()) {
    for (auto& [done, result] : engine.step()) sample = result.samples.front();
  }
  const auto at = std::search(sample.ids.begin(), sample.ids.end(), closer.begin(), closer.end());
  EXPECT_EQ(at - sample.ids.begin(), 8);
  EXPECT_TRUE(sample.reasoning_closed);
  EXPECT_FALSE(sample.text.empty());
}

TEST(Serving, WhatIsNotDoneByItsDeadlineIsCutOff) {
  const auto model = load(some_model());
  Engine engine(model, small());
  GenerateRequest late = greedy_request({5, 6, 7}, 400);
  late.deadline = std::chrono::steady_clock::now() - std::chrono::seconds(1);
  GenerateRequest in_time = greedy_request({5, 6, 7}, 20);
  in_time.deadline = std::chrono::steady_clock::now() + std::chrono::hours(1);
  const Engine::RequestId first = engine.submit(late);
  engine.submit(in_time);
  while (!engine.idle()) {
    for (const auto& [id, result] : engine.step()) {
      EXPECT_EQ(result.samples.front().finish_reason,
                id == first ? FinishReason::deadline : FinishReason::length);
      EXPECT_EQ(result.samples.front().ids.size(), id == first ? 0U : 20U);
    }
  }
  EXPECT_EQ(engine.free_blocks(), engine.num_blocks());
}

TEST(Serving, WhatWaitsForAStopStringWhenAnAnswerIsCutOffIsItsRest) {
  const auto model = load(some_model());
  Engine engine(model, small());
  GenerateRequest request = greedy_request({5, 6, 7}, 400);
  // Each character might be the first of one.
  for (int c = 1; c < 256; ++c) request.sampling.stop.push_back(static_cast<char>(c) + std::string("\1\2\3"));
  std::string seen;
  int left = 5;
  request.on_token = [&](const TokenEvent& event) {
    seen += event.text;
    return --left > 0;
  };
  const GeneratedSample cut = engine.generate(std::move(request)).samples.front();
  EXPECT_EQ(cut.finish_reason, FinishReason::cancelled);
  EXPECT_FALSE(cut.rest.empty());
  EXPECT_EQ(seen + cut.rest, cut.text);
}

TEST(Serving, TheLoadCountsWhatWaitsRunsAndWasMade) {
  const auto model = load(some_model());
  EngineOptions options = small();
  options.max_batch = 2;
  Engine engine(model, options);
  for (int i = 0; i < 5; ++i) engine.submit(greedy_request({5, 6, 7}, 10));
  EXPECT_EQ(engine.load().waiting, 5);
  engine.step();
  const EngineLoad load = engine.load();
  EXPECT_EQ(load.waiting, 3);
  EXPECT_EQ(load.running, 2);
  EXPECT_EQ(load.used_blocks, 2);
  EXPECT_EQ(load.num_blocks, engine.num_blocks());
  while (!engine.idle()) engine.step();
  EXPECT_EQ(engine.load().running + engine.load().waiting + engine.load().used_blocks, 0);
  EXPECT_EQ(engine.load().prompt_tokens, 15);
  EXPECT_EQ(engine.load().generated_tokens, 50);
}

}  // namespace
}  // namespace touchstone
