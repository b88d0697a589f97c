#include "engine/engine.h"

#include <gmock/gmock.h>

#include <boost/json.hpp>
#include <map>
#include <random>

#include "base/error.h"
#include "engine_runs.h"
#include "text/json_schema.h"

namespace touchstone {
namespace {

using testing::BatchRun;
using testing::expect_same;
using testing::greedy;
using testing::greedy_request;
using ::testing::HasSubstr;
using testing::load;
using testing::random_ids;
using testing::random_request;
using testing::random_requests;
using testing::run_alone;
using testing::run_together;
using testing::small;
using testing::some_model;

TEST(EngineGolden, GreedyContinuationsAreTheReferencesTogetherAndAlone) {
  std::size_t cases = 0;
  for (const auto& folder : testing::golden_models()) {
    SCOPED_TRACE(folder.filename().string());
    const boost::json::value golden = testing::read_json(folder / "expected.json");
    const auto model = load(folder);
    std::vector<GenerateRequest> requests;
    for (std::size_t i = 0; i < golden.at("prompts").as_array().size(); ++i) {
      const std::size_t steps = golden.at("greedy").at(i).at("ids").as_array().size();
      GenerateRequest request;
      request.prompt_ids = testing::to_ids(golden.at("prompts").at(i).at("ids"));
      request.sampling = greedy(static_cast<std::int32_t>(steps));
      request.sampling.stop_ids = model->defaults.stop_ids;
      request.sampling.ignore_eos = true;  // the reference went on behind end tokens
      requests.push_back(std::move(request));
    }
    const std::vector<GenerateResult> together = run_together(model, small(), requests).results;
    for (std::size_t i = 0; i < requests.size(); ++i) {
      EXPECT_EQ(together[i].samples.front().ids, testing::to_ids(golden.at("greedy").at(i).at("ids")));
      EXPECT_EQ(together[i].samples.front().finish_reason, FinishReason::length);
      ++cases;
    }
    expect_same(run_alone(model, small(), {requests.front()}), {together.front()});
  }
  EXPECT_GT(cases, 0U);
}

TEST(EngineLaws, ARequestGivesTheSameBytesAloneAndInAnyBatch) {
  const auto model = load(some_model());
  const std::vector<GenerateRequest> requests = random_requests(1, 20, *model);
  const std::vector<GenerateResult> alone = run_alone(model, small(), requests);
  for (const std::int32_t max_batch : {1, 3, 64}) {
    SCOPED_TRACE(max_batch);
    EngineOptions options = small();
    options.max_batch = max_batch;
    expect_same(run_together(model, options, requests).results, alone);
  }
}

TEST(HeavyEngineLaws, ARequestGivesTheSameBytesInBatchesOfUpTo64) {
  for (const auto& folder : testing::golden_models()) {
    SCOPED_TRACE(folder.filename().string());
    const auto model = load(folder, 2);
    const std::vector<GenerateRequest> requests = random_requests(2, 64, *model);
    const std::vector<GenerateResult> alone = run_alone(model, small(), requests);
    for (const std::size_t count : {2U, 17U, 64U}) {
      const std::vector<GenerateRequest> some(requests.begin(), requests.begin() + count);
      expect_same(run_together(model, small(16384), some).results, {alone.begin(), alone.begin() + count});
    }
  }
}

TEST(EngineLaws, ChunksOfThePromptDoNotChangeTheBytes) {
  const auto model = load(some_model());
  const std::vector<GenerateRequest> requests = random_requests(3, 8, *model);
  const std::vector<GenerateResult> expected = run_together(model, small(), requests).results;
  for (const std::int32_t chunk : {1, 7}) {
    SCOPED_TRACE(chunk);
    EngineOptions options = small();
    options.prefill_chunk = chunk;
    expect_same(run_together(model, options, requests).results, expected);
  }
}

TEST(EngineLaws, ThreadsDoNotChangeTheBytes) {
  const auto model = load(some_model());
  const std::vector<GenerateRequest> requests = random_requests(4, 8, *model);
  const std::vector<GenerateResult> expected = run_together(model, small(), requests).results;
  for (const int threads : {2, 3}) {
    SCOPED_TRACE(threads);
    expect_same(run_together(load(some_model(), threads), small(), requests).results, expected);
  }
}

struct Event {
  std::size_t request;
  int sample;
  std::int32_t id;
  std::string text;
  float logprob;
  std::vector<std::pair<std::int32_t, float>> top;
  bool operator==(const Event&) const = default;
};

/// All that callbacks see, in the order in which they see it.
std::vector<Event> events_of(const std::shared_ptr<LoadedModel>& model,
                             std::vector<GenerateRequest> requests) {
  std::vector<Event> events;
  for (std::size_t i = 0; i < requests.size(); ++i) {
    requests[i].on_token = [i, &events](const TokenEvent& e) {
      events.push_back({i, e.sample, e.id, std::string(e.text), e.logprob, {e.top.begin(), e.top.end()}});
      return true;
    };
  }
  run_together(model, small(16384), requests);
  return events;
}

TEST(EngineLaws, ManySampledRowsGiveTheSameEventsInTheSameOrderOnAnyNumberOfThreads) {
  const auto model = load(some_model());
  std::vector<GenerateRequest> requests = random_requests(6, 48, *model);
  const auto grammar = std::make_shared<Grammar>(
      compile_json_schema(boost::json::parse(R"({"type": "array", "items": {"type": "integer"}})")));
  for (std::size_t i = 0; i < requests.size(); ++i) {
    requests[i].sampling.num_logprobs = i % 3 == 0 ? 3 : -1;
    if (i % 4 == 0) requests[i].constraint = grammar;  // one for all of them
  }
  const std::vector<Event> expected = events_of(model, requests);
  EXPECT_GT(expected.size(), 48U);
  for (const int threads : {2, 4}) {
    SCOPED_TRACE(threads);
    EXPECT_EQ(events_of(load(some_model(), threads), requests), expected);
  }
}

TEST(EngineLaws, SequencesThatGiveWayForMemoryEndWithTheSameBytes) {
  const auto model = load(some_model());
  std::vector<GenerateRequest> requests = random_requests(5, 10, *model);
  for (GenerateRequest& request : requests) {
    request.sampling.max_new_tokens = 40;
    request.sampling.stop_ids.clear();
    request.sampling.stop.clear();
  }
  const std::vector<GenerateResult> expected = run_together(model, small(), requests).results;
  // The longest fits, and little else: 70 + 40 tokens in blocks of 32.
  const BatchRun tight = run_together(model, small(4 * kKvBlockTokens), requests);
  EXPECT_EQ(tight.fewest_free_blocks, 0);
  expect_same(tight.results, expected);
  EngineOptions in_pieces = small(5 * kKvBlockTokens);
  in_pieces.prefill_chunk = 5;
  expect_same(run_together(model, in_pieces, requests).results, expected);
}

TEST(EngineLaws, ASampleDoesNotDependOnHowManyOthersAreAskedFor) {
  const auto model = load(some_model());
  std::mt19937 random(6);
  for (const std::size_t prompt_size : {1U, 32U, 33U, 50U}) {
    GenerateRequest request = random_request(random, *model);
    request.prompt_ids = random_ids(random, prompt_size, model->tokenizer.vocab_size());
    request.sampling.temperature = 1;
    request.sampling.max_new_tokens = 12;
    request.sampling.stop.clear();
    request.sampling.stop_ids.clear();
    request.n = 6;
    for (const std::int32_t max_batch : {2, 64}) {
      EngineOptions options = small();
      options.max_batch = max_batch;
      const GenerateResult six = run_together(model, options, {request}).results.front();
      ASSERT_EQ(six.samples.size(), 6U);
      EXPECT_NE(six.samples[0].ids, six.samples[1].ids);
      for (std::int32_t n = 1; n < 6; n += 2) {
        GenerateRequest fewer = request;
        fewer.n = n;
        GenerateResult first = six;
        first.samples.resize(static_cast<std::size_t>(n));
        expect_same(run_together(model, options, {fewer}).results, {first});
      }
    }
  }
}

TEST(Engine, TheCallbackSeesEachIdOnceAndAllOfTheText) {
  const auto model = load(some_model());
  for (GenerateRequest& request : random_requests(7, 20, *model)) {
    request.reasoning_opened = false;
    std::map<int, std::vector<std::int32_t>> ids;
    std::map<int, std::string> text;
    request.on_token = [&](const TokenEvent& event) {
      ids[event.sample].push_back(event.id);
      text[event.sample] += event.text;
      return true;
    };
    const GenerateResult result = run_together(model, small(), {request}).results.front();
    for (std::size_t i = 0; i < result.samples.size(); ++i) {
      const GeneratedSample& sample = result.samples[i];
      EXPECT_EQ(ids[static_cast<int>(i)], sample.ids);
      EXPECT_EQ(text[static_cast<int>(i)], sample.text);
      EXPECT_GT(sample.total_ms, 0);
      EXPECT_LE(sample.ttft_ms, sample.total_ms);
    }
  }
}

TEST(Engine, AnEndTokenEndsTheAnswerUnlessItIsIgnored) {
  const auto model = load(some_model());
  GenerateRequest request = greedy_request({5, 6, 7}, 12);
  Engine engine(model, small());
  const std::vector<std::int32_t> ids = engine.generate(request).samples.front().ids;
  ASSERT_EQ(ids.size(), 12U);
  request.sampling.stop_ids = {ids[4]};
  const auto first = std::find(ids.begin(), ids.end(), ids[4]);
  const GeneratedSample stopped = engine.generate(request).samples.front();
  EXPECT_EQ(stopped.ids, std::vector(ids.begin(), first + 1));
  EXPECT_EQ(stopped.finish_reason, FinishReason::stop);
  EXPECT_EQ(stopped.text, model->tokenizer.decode(std::vector(ids.begin(), first), true));
  request.sampling.ignore_eos = true;
  const GeneratedSample ignored = engine.generate(request).samples.front();
  EXPECT_EQ(ignored.ids, ids);
  EXPECT_EQ(ignored.finish_reason, FinishReason::length);
  // Ids that the model does not have are no harm.
  request.sampling.stop_ids = {-1, 1 << 30};
  EXPECT_EQ(engine.generate(request).samples.front().ids, ids);
}

TEST(Engine, AStopStringEndsTheAnswerBeforeIt) {
  const auto model = load(some_model());
  GenerateRequest request = greedy_request({5, 6, 7}, 20);
  Engine engine(model, small());
  const std::string whole = engine.generate(request).samples.front().text;
  ASSERT_GT(whole.size(), 12U);
  const std::string stop = whole.substr(whole.size() / 2, 3);
  request.sampling.stop = {stop};
  const GeneratedSample stopped = engine.generate(request).samples.front();
  EXPECT_EQ(stopped.text, whole.substr(0, whole.find(stop)));
  EXPECT_EQ(stopped.finish_reason, FinishReason::stop);
  EXPECT_LT(stopped.ids.size(), 20U);
}

TEST(Engine, ASpentReasoningBudgetClosesTheThinking) {
  const auto model = load(some_model());
  const std::vector<std::int32_t> closer =
      model->tokenizer.encode("\n</think>\n\n", {.parse_special = true, .add_special = false});
  for (const std::int32_t budget : {0, 1, 6}) {
    GenerateRequest request = greedy_request({5, 6, 7}, 40);
    request.reasoning_opened = true;
    request.sampling.reasoning_budget = budget;
    Engine engine(model, small());
    const GeneratedSample sample = engine.generate(request).samples.front();
    ASSERT_EQ(sample.ids.size(), 40U);
    EXPECT_TRUE(sample.reasoning_closed);
    EXPECT_TRUE(std::equal(closer.begin(), closer.end(), sample.ids.begin() + budget));
    EXPECT_EQ(sample.reasoning.empty(), budget == 0);
    EXPECT_FALSE(sample.text.empty());
    request.sampling.reasoning_budget.reset();
    EXPECT_FALSE(engine.generate(request).samples.front().reasoning_closed);
  }
}

TEST(Engine, CancelledRequestsGiveTheirBlocksBack) {
  const auto model = load(some_model());
  Engine engine(model, small(512));
  std::mt19937 random(8);
  int calls = 0;
  std::vector<Engine::RequestId> ids;
  for (int i = 0; i < 6; ++i) {
    GenerateRequest request = greedy_request(random_ids(random, 40, 500), 200);
    request.n = 1 + i % 3;
    if (i % 2 == 0) {
      request.on_token = [&](const TokenEvent&) { return ++calls % 7 != 0; };
    }
    ids.push_back(engine.submit(request));
  }
  std::size_t finished = 0;
  for (int i = 0; i < 10; ++i) finished += engine.step().size();
  for (const Engine::RequestId id : ids) engine.cancel(id);
  engine.cancel(12345);  // no such request
  EXPECT_EQ(engine.free_blocks(), engine.num_blocks());
  for (const auto& [id, result] : engine.step()) {
    EXPECT_EQ(result.samples.front().finish_reason, FinishReason::cancelled);
    ++finished;
  }
  EXPECT_EQ(finished, ids.size());
  EXPECT_TRUE(engine.idle());
  EXPECT_EQ(engine.generate(greedy_request({1}, 3)).samples.front().ids.size(), 3U);
}

TEST(Engine, ACallbackMayCancelAnyRequest) {
  const auto model = load(some_model());
  Engine engine(model, small());
  const Engine::RequestId other = engine.submit(greedy_request({1, 2}, 50));
  Engine::RequestId own = 0;
  GenerateRequest request = greedy_request({3, 4}, 50);
  request.on_token = [&](const TokenEvent&) {
    engine.cancel(other);
    engine.cancel(own);
    return true;
  };
  own = engine.submit(request);
  std::size_t finished = 0;
  while (!engine.idle()) finished += engine.step().size();
  EXPECT_EQ(finished, 2U);
  EXPECT_EQ(engine.free_blocks(), engine.num_blocks());
}

std::string submit_error(Engine& engine, const GenerateRequest& request) {
  try {
    engine.submit(request);
  } catch (const Error& error) {
    return error.what();
  }
  return "accepted";
}

TEST(Engine, RequestsThatCannotRunAreRefusedWithTheNumbers) {
  const auto model = load(some_model());
  Engine engine(model, {.context_tokens = 64});
  EXPECT_EQ(engine.max_sequence_tokens(), 64);
  GenerateRequest request = greedy_request(std::vector<std::int32_t>(64, 1), 5);
  EXPECT_THAT(submit_error(engine, request), AllOf(HasSubstr("64"), HasSubstr("prompt")));
  request.prompt_ids = {};
  EXPECT_THAT(submit_error(engine, request), HasSubstr("empty"));
  request.prompt_ids = {1, 1 << 20};
  EXPECT_THAT(submit_error(engine, request), HasSubstr(std::to_string(1 << 20)));
  request.prompt_ids = {-1};
  EXPECT_THAT(submit_error(engine, request), HasSubstr("-1"));
  request.prompt_ids = {1};
  request.n = 0;
  EXPECT_THAT(submit_error(engine, request), HasSubstr("0"));
  request.n = 1;
  request.sampling.temperature = -1;
  EXPECT_THAT(submit_error(engine, request), HasSubstr("temperature"));
  EXPECT_TRUE(engine.idle());
}

TEST(Engine, AnAnswerEndsWhereTheContextEnds) {
  const auto model = load(some_model());
  Engine engine(model, {.context_tokens = 64});
  const GenerateResult result = engine.generate(greedy_request(std::vector<std::int32_t>(60, 3), 100));
  EXPECT_EQ(result.samples.front().ids.size(), 4U);
  EXPECT_EQ(result.samples.front().finish_reason, FinishReason::length);
}

}  // namespace
}  // namespace touchstone
