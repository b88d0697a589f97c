#include "engine/loop_guard.h"

#include <fstream>

#include "engine/loops.h"
#include "engine/prompt.h"
#include "engine_runs.h"
#include "text/reasoning.h"

namespace touchstone {
namespace {

using testing::greedy_request;
using testing::load;
using testing::random_ids;
using testing::small;

/// The place behind which the guard first sees a loop, and where it would take it back to.
struct Alarm {
  std::size_t at;
  std::size_t begin;
};
std::optional<Alarm> find_alarm(const std::vector<std::int32_t>& ids) {
  LoopGuard guard;
  for (std::size_t i = 0; i < ids.size(); ++i) {
    guard.push(ids[i]);
    if (guard.in_loop()) return Alarm{i + 1, guard.num_certain()};
  }
  return std::nullopt;
}

void append(std::vector<std::int32_t>& ids, const std::vector<std::int32_t>& more) {
  ids.insert(ids.end(), more.begin(), more.end());
}

TEST(LoopGuard, SeesLoopsOfAnyLengthAndWhereTheyBegan) {
  std::mt19937 random(70);
  for (const std::size_t period : {1U, 2U, 7U, 40U, 150U, 400U, 1500U}) {
    SCOPED_TRACE(period);
    std::vector<std::int32_t> ids = random_ids(random, 300, 100000);
    const std::vector<std::int32_t> loop = random_ids(random, period, 100000);
    while (ids.size() < 300 + 6 * period + 400) append(ids, loop);
    const auto alarm = find_alarm(ids);
    ASSERT_TRUE(alarm);
    EXPECT_LE(alarm->at, 300 + 4 * period + LoopGuard::kWindow + LoopGuard::kPassage);
    // Kept is what was written once, and the first words of its repetition.
    EXPECT_GE(alarm->begin, 300 + 1U);
    const std::size_t most_held = alarm->at - std::min(alarm->at, LoopGuard::kMostHeld);
    EXPECT_LE(alarm->begin, std::max(300 + period + LoopGuard::kSuspicion, most_held));
  }
}

TEST(LoopGuard, SeesLoopsThatChangeAWordNowAndThen) {
  std::mt19937 random(71);
  std::vector<std::int32_t> ids = random_ids(random, 200, 100000);
  const std::vector<std::int32_t> loop = random_ids(random, 60, 100000);
  for (int round = 0; round < 12; ++round) {
    std::vector<std::int32_t> changed = loop;
    changed[random() % 60] = static_cast<std::int32_t>(random() % 100000);
    append(ids, changed);
  }
  const auto alarm = find_alarm(ids);
  ASSERT_TRUE(alarm);
  EXPECT_GE(alarm->begin, 200U);
  EXPECT_LE(alarm->begin, std::max<std::size_t>(200U + 2 * 60, alarm->at - LoopGuard::kMostHeld));
}

TEST(LoopGuard, HoldsBackOnlyWhatRepeatsItself) {
  std::mt19937 random(73);
  const std::vector<std::int32_t> text = random_ids(random, 700, 100000);
  LoopGuard guard;
  for (const std::int32_t id : text) {
    guard.push(id);
    EXPECT_EQ(guard.num_certain(), guard.size());
  }
  std::size_t certain = 0;
  for (const std::int32_t id : text) {
    guard.push(id);
    EXPECT_GE(guard.num_certain(), certain);
    EXPECT_LE(guard.size() - guard.num_certain(), LoopGuard::kMostHeld);
    certain = guard.num_certain();
  }
  EXPECT_LT(certain, guard.size());
  for (std::size_t i = 0; i <= 2 * LoopGuard::kPassage; ++i)
    guard.push(static_cast<std::int32_t>(200000 + i));
  EXPECT_EQ(guard.num_certain(), guard.size());
}

TEST(LoopGuard, TakesListsWhoseNumbersGoOnAndCopiesForNoLoops) {
  std::mt19937 random(72);
  std::vector<std::int32_t> ids;
  const std::vector<std::int32_t> words = random_ids(random, 12, 100000);
  for (int i = 0; i < 500; ++i) {  // "… n is … so that … is m …"
    std::vector<std::int32_t> line = words;
    line.insert(line.begin() + 6, {i / 100 % 10, i / 10 % 10, i % 10});
    line.insert(line.end() - 2, {i * 7 / 100 % 10, i * 7 / 10 % 10, i * 7 % 10});
    append(ids, line);
  }
  EXPECT_FALSE(find_alarm(ids));
  std::vector<std::int32_t> copies = random_ids(random, 1000, 100000);
  const std::vector<std::int32_t> text = copies;
  append(copies, text);
  append(copies, text);
  EXPECT_FALSE(find_alarm(copies));
}

TEST(LoopGuard, IsQuietOnQuestionsSolutionsAndCodeAsPeopleWriteThem) {
  const boost::json::value file =
      testing::read_json(testing::golden_dir() / "r1_distill_qwen" / "tokenizer.json");
  const Tokenizer tokenizer = Tokenizer::from_json(file.as_object(), {});
  std::vector<std::filesystem::path> files{testing::source_dir() / "suites" / "math.jsonl"};
  for (const auto& entry : std::filesystem::directory_iterator(testing::data_dir())) {
    if (entry.path().extension() == ".jsonl") files.push_back(entry.path());
  }
  std::size_t texts = 0;
  for (const auto& file : files) {
    std::ifstream lines(file);
    for (std::string line; std::getline(lines, line); ++texts) {
      EXPECT_FALSE(find_alarm(tokenizer.encode(line, {}))) << line;
    }
  }
  EXPECT_GT(texts, 80U);
  // One after the other they are one long text.
  EXPECT_FALSE(find_alarm(tokenizer.encode(testing::read_file(files.front()), {})));
}

TEST(HeavyLoopGuard, IsQuietOnAThousandTracesOfAModelThatComesToAnEnd) {
  const auto model = load("demo:distilled", 2);
  const Prompter prompter = make_prompter(*model, false);
  Engine engine(model, small(32768));
  for (int i = 0; i < 40; ++i) {
    const Prompt prompt = make_prompt(prompter, "Tom has " + std::to_string(2 + i) + " boxes with " +
                                                    std::to_string(3 + i % 7) + " pens each. How many pens?");
    GenerateRequest request;
    request.prompt_ids = prompt.ids;
    request.sampling = model->defaults;
    request.sampling.seed = static_cast<std::uint64_t>(i);
    request.sampling.max_new_tokens = 400;
    request.n = 25;
    request.loop_guard = true;
    request.reasoning_opened = prompt.reasoning_opened;
    engine.submit(std::move(request));
  }
  std::size_t ended = 0;
  while (!engine.idle()) {
    for (const auto& [id, result] : engine.step()) {
      for (const GeneratedSample& sample : result.samples) {
        if (sample.finish_reason != FinishReason::stop) continue;
        ++ended;
        EXPECT_EQ(sample.loops, 0) << sample.reasoning;
      }
    }
  }
  EXPECT_GT(ended, 900U);
}

/// A request that thinks in circles.
GenerateRequest make_looping_request(const LoadedModel& model) {
  GenerateRequest request = greedy_request(
      make_prompt(make_prompter(model, false), "Tom has 3 boxes with 4 pens each. How many pens?").ids, 900);
  request.reasoning_opened = true;
  request.loop_guard = true;
  return request;
}

TEST(LoopGuard, TakesALoopBackGoesOnOtherwiseAndClosesTheThinkingTheSecondTime) {
  const auto model = load("demo:native");
  GenerateRequest request = make_looping_request(*model);
  request.loop_guard = false;
  Engine engine(model, small());
  const GeneratedSample looping = engine.generate(request).samples.front();
  ASSERT_TRUE(ends_in_loop(looping.ids));
  EXPECT_EQ(looping.loops, 0);
  EXPECT_FALSE(looping.reasoning_closed);

  request.loop_guard = true;
  std::vector<std::int32_t> seen;
  std::string text;
  request.on_token = [&](const TokenEvent& event) {
    seen.push_back(event.id);
    text += event.text;
    return true;
  };
  const GeneratedSample guarded = engine.generate(request).samples.front();
  EXPECT_EQ(guarded.loops, 2);
  EXPECT_TRUE(guarded.reasoning_closed);
  EXPECT_EQ(guarded.ids, seen);
  const ReasoningText parts = split_reasoning(text, true);
  EXPECT_EQ(parts.reasoning, guarded.reasoning);
  EXPECT_EQ(parts.answer, guarded.text);
  const auto [a, b] =
      std::mismatch(guarded.ids.begin(), guarded.ids.end(), looping.ids.begin(), looping.ids.end());
  EXPECT_GT(a - guarded.ids.begin(), 0);
  EXPECT_FALSE(ends_in_loop(model->tokenizer.encode(guarded.reasoning, {})));
  EXPECT_EQ(engine.free_blocks(), engine.num_blocks());
}

TEST(HeavyLoopGuard, GivesTheSameBytesWhateverRunsBesideIt) {
  const auto model = load("demo:native");
  std::vector<GenerateRequest> requests;
  for (int i = 0; i < 4; ++i) {
    GenerateRequest request = make_looping_request(*model);
    request.prompt_ids.push_back(20 + i);
    request.sampling.temperature = i % 2 == 0 ? 0.0F : 0.3F;
    request.sampling.repetition_penalty = i == 2 ? 1.01F : 1.0F;
    request.n = 1 + i % 2;
    requests.push_back(std::move(request));
  }
  const auto expected = testing::run_alone(
      model, {.context_tokens = 8192, .lookup = Lookup::off, .prefix_cache = false}, requests);
  std::int32_t loops = 0;
  for (const GenerateResult& result : expected) loops += result.samples.front().loops;
  EXPECT_GT(loops, 0);
  std::vector<EngineOptions> many{small(8192), small(8192), small(8192)};
  many[1].lookup = Lookup::on;
  many[2].context_tokens = 45 * kKvBlockTokens;
  many[2].prefill_chunk = 17;
  for (const EngineOptions& options : many)
    testing::expect_same(testing::run_together(model, options, requests).results, expected);
}

}  // namespace
}  // namespace touchstone
