// Prompts that are scored while they are computed.
#include "engine/score.h"
#include "engine_runs.h"

namespace touchstone {
namespace {

using testing::greedy_request;
using testing::load;
using testing::random_ids;
using testing::small;
using testing::some_model;

using Scores = std::vector<ScoredPosition>;

/// What `touchstone score` says.
Scores scores_of(const LoadedModel& model, const std::vector<std::int32_t>& ids, int top_count) {
  Scores scores;
  score_ids(*model.transformer, ids, top_count, [&](const ScoredPosition& p) { scores.push_back(p); }, {});
  return scores;
}

GenerateRequest scored_request(std::vector<std::int32_t> ids, Scores& scores, std::int32_t new_tokens = 2) {
  GenerateRequest request = greedy_request(std::move(ids), new_tokens);
  request.sampling.num_logprobs = 3;
  request.on_prompt = [&scores](std::span<const ScoredPosition> prompt) {
    scores.insert(scores.end(), prompt.begin(), prompt.end());
  };
  return request;
}

std::vector<std::vector<std::int32_t>> prompts_of(const LoadedModel& model) {
  std::mt19937 random(7);
  std::vector<std::vector<std::int32_t>> prompts;
  for (const std::size_t size : {150, 1, 2, 40, 65}) {
    prompts.push_back(random_ids(random, size, model.tokenizer.vocab_size()));
  }
  return prompts;
}

TEST(PromptScores, AreThoseOfScoreInAnyBatchAndChunks) {
  const auto model = load(some_model());
  const auto prompts = prompts_of(*model);
  for (const std::int32_t chunk : {1, 7, 64, 256}) {
    SCOPED_TRACE(chunk);
    EngineOptions options = small();
    options.prefill_chunk = chunk;
    Engine engine(model, options);
    std::vector<Scores> scores(prompts.size());
    for (std::size_t i = 0; i < prompts.size(); ++i) engine.submit(scored_request(prompts[i], scores[i]));
    engine.submit(greedy_request(prompts[0], 30));  // others go on beside them
    while (!engine.idle()) engine.step();
    for (std::size_t i = 0; i < prompts.size(); ++i) {
      EXPECT_TRUE(scores[i] == scores_of(*model, prompts[i], 3)) << "prompt " << i;
    }
    EXPECT_EQ(engine.free_blocks(), engine.num_blocks());
  }
}

TEST(PromptScores, AreWholeThoughThePromptIsInThePrefixCache) {
  const auto model = load(some_model());
  const auto prompt = prompts_of(*model).front();
  EngineOptions options = small();
  options.max_batch = 1;  // far fewer rows of logits than the prompt's
  options.lookup = Lookup::off;
  Engine engine(model, options);
  const std::vector<std::int32_t> plain = engine.generate(greedy_request(prompt, 4)).samples[0].ids;
  Scores scores;
  const GenerateResult result = engine.generate(scored_request(prompt, scores, 4));
  EXPECT_TRUE(scores == scores_of(*model, prompt, 3));
  EXPECT_EQ(result.samples[0].ids, plain);
  EXPECT_EQ(result.cached_tokens, 0);
  EXPECT_GT(engine.generate(greedy_request(prompt, 4)).cached_tokens, 100) << "others take what it computed";
}

TEST(PromptScores, AreWholeWhereTheirSequencesGaveWayForMemory) {
  const auto model = load(some_model());
  std::mt19937 random(8);
  Engine engine(model, small(256));
  std::vector<std::vector<std::int32_t>> prompts;
  std::vector<Scores> scores(4);
  for (Scores& own : scores) {
    prompts.push_back(random_ids(random, 90, model->tokenizer.vocab_size()));
    engine.submit(scored_request(prompts.back(), own, 100));
  }
  while (!engine.idle()) engine.step();
  for (std::size_t i = 0; i < scores.size(); ++i) {
    EXPECT_TRUE(scores[i] == scores_of(*model, prompts[i], 3)) << "prompt " << i;
  }
}

TEST(PromptScores, ComeOnceForAllSamples) {
  const auto model = load(some_model());
  const auto prompt = prompts_of(*model).front();
  Engine engine(model, small());
  Scores scores;
  GenerateRequest request = scored_request(prompt, scores, 3);
  request.n = 3;
  const GenerateResult result = engine.generate(request);
  EXPECT_TRUE(scores == scores_of(*model, prompt, 3));
  for (const GeneratedSample& sample : result.samples) EXPECT_EQ(sample.ids.size(), 3U);
}

TEST(PromptOnly, SamplesEndEmptyWhenThePromptIsComputedAndThereIsRoomForItAlone) {
  const auto model = load(some_model());
  std::mt19937 random(9);
  EngineOptions options = small();
  options.max_sequence_tokens = 100;
  const auto prompt = random_ids(random, 100, model->tokenizer.vocab_size());
  Engine engine(model, options);
  Scores scores;
  GenerateRequest request = scored_request(prompt, scores, 1);
  request.prompt_only = true;
  request.n = 2;
  request.on_token = [](const TokenEvent&) { return ADD_FAILURE() << "a token", true; };
  const GenerateResult result = engine.generate(request);
  EXPECT_TRUE(scores == scores_of(*model, prompt, 3));
  ASSERT_EQ(result.samples.size(), 2U);
  for (const GeneratedSample& sample : result.samples) {
    EXPECT_TRUE(sample.ids.empty());
    EXPECT_EQ(sample.text, "");
    EXPECT_EQ(sample.finish_reason, FinishReason::length);
  }
  EXPECT_EQ(engine.free_blocks(), engine.num_blocks());
}

}  // namespace
}  // namespace touchstone
