#include "engine/lookup.h"

#include <gmock/gmock.h>

#include <cmath>
#include <numeric>
#include <random>

#include "engine/prompt.h"
#include "engine_runs.h"

namespace touchstone {
namespace {

using ::testing::AnyOf;
using testing::BatchRun;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::Eq;
using testing::expect_same;
using testing::greedy_request;
using testing::load;
using testing::random_requests;
using testing::run_together;
using testing::small;

// ---- The index ----

/// The longest match by trying every place; the latest of the longest.
TextMatch find_slowly(const std::vector<std::int32_t>& text) {
  TextMatch best;
  for (std::size_t next = 1; next < text.size(); ++next) {
    std::size_t length = 0;
    while (length < next && text[next - length - 1] == text[text.size() - length - 1]) ++length;
    if (length > 0 && length >= best.length) best = {next, length};
  }
  return best;
}

std::vector<std::int32_t> random_text(std::mt19937& random, std::size_t size, std::uint32_t alphabet) {
  std::vector<std::int32_t> text(size);
  for (std::int32_t& id : text) id = static_cast<std::int32_t>(random() % alphabet);
  return text;
}

TEST(TextIndex, FindsTheLongestAndLatestMatchOfEachPrefix) {
  std::mt19937 random(1);
  for (const std::uint32_t alphabet : {12U, 40U, 1000U}) {
    const std::vector<std::int32_t> text = random_text(random, 400, alphabet);
    TextIndex index;
    for (std::size_t size = 1; size <= text.size(); ++size) {
      const std::vector<std::int32_t> prefix(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(size));
      index.extend(prefix);
      const TextMatch expected = find_slowly(prefix);
      ASSERT_EQ(index.longest().length, expected.length) << "alphabet " << alphabet << ", size " << size;
      ASSERT_EQ(index.longest().next, expected.next) << "alphabet " << alphabet << ", size " << size;
    }
  }
}

TEST(TextIndex, GivesTheSameWhenTheTextComesInPieces) {
  std::mt19937 random(2);
  const std::vector<std::int32_t> text = random_text(random, 300, 15);
  TextIndex at_once, in_pieces;
  at_once.extend(text);
  for (std::size_t size = 0; size < text.size(); size += 7) in_pieces.extend(std::span(text).first(size));
  in_pieces.extend(text);
  EXPECT_GT(at_once.longest().length, 0U);
  EXPECT_EQ(at_once.longest().length, in_pieces.longest().length);
  EXPECT_EQ(at_once.longest().next, in_pieces.longest().next);
}

TEST(TextIndex, MatchesInALoopAreTrueAndAsLongAsTheyAreCounted) {
  for (const std::size_t period : {1U, 2U, 7U, 100U}) {
    std::vector<std::int32_t> text;
    TextIndex index;
    for (std::size_t size = 1; size <= 300; ++size) {
      text.push_back(static_cast<std::int32_t>((size - 1) % period));
      index.extend(text);
      const TextMatch& match = index.longest();
      ASSERT_EQ(match.length, size > period ? std::min(size - period, kLongestMatch) : 0);
      for (std::size_t i = 1; i <= match.length; ++i) ASSERT_EQ(text[match.next - i], text[size - i]);
    }
  }
}

TEST(TextIndex, FollowsAMatchThroughTokensThatStandEverywhere) {
  // The first passage, then hundreds of the token that stands in its middle, then the passage again.
  const std::vector<std::int32_t> passage{1, 2, 3, 9, 4, 9, 5};
  std::vector<std::int32_t> text = passage;
  text.insert(text.end(), 500, 9);
  TextIndex index;
  index.extend(text);
  for (std::size_t i = 0; i + 1 < passage.size(); ++i) {
    text.push_back(passage[i]);
    index.extend(text);
    EXPECT_EQ(index.longest().length, i + 1);
    EXPECT_EQ(index.longest().next, i + 1);
  }
}

TEST(TextIndex, NamesEveryPlaceThatReadsLikeTheEndLatestFirst) {
  const std::vector<std::int32_t> text{1, 2, 7, 2, 8, 1, 2};
  TextIndex index;
  index.extend(text);
  ASSERT_EQ(index.matches().size(), 2U);
  EXPECT_EQ(index.matches()[0].next, 4U);
  EXPECT_EQ(index.matches()[0].length, 1U);
  EXPECT_EQ(index.matches()[1].next, 2U);
  EXPECT_EQ(index.matches()[1].length, 2U);
}

Drafter drafter_of(const std::vector<std::int32_t>& text) {
  Drafter drafter;
  drafter.follow(text);
  return drafter;
}

TEST(Drafter, GuessesWhatFollowedAndGoesOnInLoops) {
  std::vector<std::int32_t> text{5, 1, 2, 3, 4, 5};
  EXPECT_THAT(drafter_of(text).draft(text, 4).ids, ElementsAre(1, 2, 3, 4));
  text = {1, 2, 3, 1, 2, 3, 1};
  EXPECT_THAT(drafter_of(text).draft(text, 8).ids, ElementsAre(2, 3, 1, 2, 3, 1, 2, 3));
  text = {1, 2, 3};
  EXPECT_THAT(drafter_of(text).draft(text, 5).ids, ElementsAre());
}

TEST(Drafter, GuessesWhatFollowedTheLongestMatch) {
  const std::vector<std::int32_t> text{1, 2, 3, 4, 9, 3, 5, 1, 2, 3};
  EXPECT_THAT(drafter_of(text).draft(text, 3).ids, ElementsAre(4, 9, 3));
}

TEST(Drafter, TellsPlacesThatAgreeFromThoseThatDoNot) {
  EXPECT_EQ(drafter_of({1, 2, 3, 1, 2}).next.agreement, Agreement::alone);
  EXPECT_EQ(drafter_of({1, 2, 3, 4, 1, 2, 3, 5, 1, 2}).next.agreement, Agreement::agreed);
  EXPECT_EQ(drafter_of({1, 2, 3, 4, 1, 2, 6, 5, 1, 2}).next.agreement, Agreement::disputed);
  // A place that reads like less than half of the longest match has no voice.
  EXPECT_EQ(drafter_of({1, 2, 3, 4, 9, 3, 5, 1, 2, 3}).next.agreement, Agreement::alone);
  EXPECT_EQ(drafter_of({1, 2, 3}).next.length, 0U);
}

TEST(Drafter, TrustsATemplateButNotWhatStandsInItsGaps) {
  // "1 2 3 n", where n is another number each time.
  Drafter drafter;
  std::vector<std::int32_t> text;
  for (std::int32_t i = 0; i < 60; ++i) {
    for (const std::int32_t id : {1, 2, 3, 100 + i}) {
      text.push_back(id);
      drafter.follow(text);
    }
  }
  text.push_back(1);
  drafter.follow(text);
  const Draft draft = drafter.draft(text, 3);
  ASSERT_EQ(draft.ids.size(), 3U);
  EXPECT_EQ(draft.ids[0], 2);
  EXPECT_EQ(draft.ids[1], 3);
  EXPECT_GT(draft.chances[1], 0.9);
  EXPECT_LT(draft.chances[2], 0.1);
}

TEST(Drafter, LearnsHowOftenTheTextGoesOnAsBefore) {
  Drafter repeating, changing;
  std::vector<std::int32_t> text, changed;
  for (std::int32_t i = 0; i < 200; ++i) {
    text.push_back(i % 10);
    repeating.follow(text);
    changed.push_back(i % 2 == 0 ? 0 : i);  // after each 0 another token than ever
    changing.follow(changed);
  }
  changed.push_back(0);
  changing.follow(changed);
  ASSERT_EQ(repeating.draft(text, 15).chances.size(), 15U);
  EXPECT_GT(repeating.draft(text, 15).chances.back(), 0.5);
  ASSERT_FALSE(changing.draft(changed, 15).chances.empty());
  EXPECT_LT(changing.draft(changed, 15).chances.front(), 0.05);
  EXPECT_EQ(repeating.draft(text, 3).chances.size(), 3U);
}

// ---- The choice ----

/// Times of passes of 1 to 100 tokens.
template <typename Seconds>
PassTimes time_passes(const Seconds& seconds) {
  PassTimes times;
  for (std::size_t tokens = 100; tokens > 0; --tokens) {
    times.record(tokens, seconds(static_cast<double>(tokens)));
    times.record(1, seconds(1.0));
  }
  return times;
}

double bound_by_reading(double /*tokens*/) { return 1; }
double bound_by_arithmetic(double tokens) { return tokens; }

std::vector<double> powers(double chance) {
  std::vector<double> chances{chance};
  while (chances.size() < kMostDrafted) chances.push_back(chances.back() * chance);
  return chances;
}

TEST(ChooseDrafts, TakesGuessesThatCostNothing) {
  const std::vector<std::vector<double>> chances{powers(0.9)};
  EXPECT_THAT(choose_drafts(chances, time_passes(bound_by_reading)), ElementsAre(kMostDrafted));
}

TEST(ChooseDrafts, TakesNoneWhereEachTokenCostsItsPass) {
  for (const double chance : {0.1, 0.5, 0.95}) {
    const std::vector<std::vector<double>> chances{powers(chance)};
    EXPECT_THAT(choose_drafts(chances, time_passes(bound_by_arithmetic)), ElementsAre(0U));
  }
}

TEST(ChooseDrafts, FillsTheTileThatIsPaidFor) {
  const auto tiles_of_8 = [](double tokens) { return std::ceil(tokens / 8); };
  const std::vector<std::vector<double>> chances{powers(0.8)};
  EXPECT_THAT(choose_drafts(chances, time_passes(tiles_of_8)), ElementsAre(7U));
}

TEST(ChooseDrafts, PrefersTheLikelierSequenceAndLeavesTheOthersAlone) {
  const auto dear = [](double tokens) { return 1 + 0.3 * tokens; };
  const std::vector<std::vector<double>> chances{powers(0.05), powers(0.97), {}};
  const std::vector<std::size_t> lengths = choose_drafts(chances, time_passes(dear));
  EXPECT_EQ(lengths[0], 0U);
  EXPECT_GT(lengths[1], 0U);
  EXPECT_EQ(lengths[2], 0U);
}

TEST(ChooseDrafts, StopsWhenManySequencesMakeThePassArithmetic) {
  const auto roofline = [](double tokens) { return std::max(8.0, tokens); };
  const std::vector<std::vector<double>> one{powers(0.7)};
  const std::vector<std::vector<double>> many(40, powers(0.7));
  PassTimes times = time_passes(roofline);
  times.record(40, roofline(40));
  EXPECT_GT(choose_drafts(one, times).front(), 0U);
  EXPECT_THAT(choose_drafts(many, times), Each(0U));
}

TEST(ChooseDrafts, TakesTheLikeliestOfMoreThanAPassMayHave) {
  const std::vector<std::vector<double>> chances{powers(0.5), powers(0.9), powers(0.9), powers(0.8)};
  PassTimes times = time_passes(bound_by_reading);
  times.record(chances.size(), 1);
  const std::vector<std::size_t> lengths = choose_drafts(chances, times);
  EXPECT_EQ(std::accumulate(lengths.begin(), lengths.end(), std::size_t{0}), kMostDraftedInPass);
  EXPECT_GT(lengths[1], lengths[3]);
  EXPECT_GT(lengths[3], lengths[0]);
}

TEST(ChooseDrafts, RunsAPassWithoutDraftsWhenNoneWasTimedLately) {
  const std::vector<std::vector<double>> chances{powers(0.9)};
  PassTimes times;
  EXPECT_THAT(choose_drafts(chances, times), ElementsAre(0U));
  times.record(1, 1);
  int passes = 0;
  for (; choose_drafts(chances, times).front() > 0; ++passes) {
    ASSERT_LT(passes, 1000);
    times.record(8, 1.1);
  }
  EXPECT_GT(passes, 10);
}

TEST(PassTimes, LieBetweenTheirNeighboursWhereNothingWasTimed) {
  PassTimes times;
  for (const double seconds : {1.0, 1.1, 50.0}) times.record(2, seconds);  // one of them disturbed
  times.record(10, 5.1);
  EXPECT_TRUE(times.knows(2));
  EXPECT_FALSE(times.knows(3));
  EXPECT_DOUBLE_EQ(times.seconds(2), 1.1);
  EXPECT_DOUBLE_EQ(times.seconds(6), 3.1);
  EXPECT_DOUBLE_EQ(times.seconds(10), 5.1);
  EXPECT_GT(times.seconds(11), 5.1);
  times.record(6, 100);
  for (int i = 0; i < 100; ++i) times.record(2, 1.1);
  EXPECT_FALSE(times.knows(6));
  EXPECT_DOUBLE_EQ(times.seconds(6), 3.1);  // forgotten
}

// ---- The engine ----

// Trained on short answers: where its end token is ignored it repeats itself.
constexpr const char* kRepeats = "demo:native";

EngineOptions with(Lookup lookup, EngineOptions options = small()) {
  options.lookup = lookup;
  return options;
}

/// Requests whose answers run into loops, sampled or not: low temperatures, and prompts that repeat.
std::vector<GenerateRequest> repeating_requests(std::uint32_t seed, std::size_t count,
                                                const LoadedModel& model) {
  std::vector<GenerateRequest> requests = random_requests(seed, count, model);
  for (std::size_t i = 0; i < count; ++i) {
    GenerateRequest& request = requests[i];
    request.sampling.max_new_tokens = static_cast<std::int32_t>(30 + i % 7);
    request.sampling.ignore_eos = i % 5 != 0;
    if (i % 3 != 0) request.sampling.temperature = i % 3 == 1 ? 0.0F : 0.2F;
    if (i % 2 == 0) request.sampling.stop_ids.clear();
    if (i % 4 < 2) request.sampling.stop.clear();
    const std::vector<std::int32_t> once = request.prompt_ids;
    request.prompt_ids.insert(request.prompt_ids.end(), once.begin(), once.end());
  }
  return requests;
}

std::int64_t count_accepted(const std::vector<GenerateResult>& results) {
  std::int64_t accepted = 0;
  for (const GenerateResult& result : results) {
    EXPECT_LE(result.accepted_tokens, result.drafted_tokens);
    accepted += result.accepted_tokens;
  }
  return accepted;
}

TEST(LookupLaws, AnswersHaveTheSameBytesWithLookupAndWithout) {
  const auto model = load(kRepeats);
  const std::vector<GenerateRequest> requests = repeating_requests(11, 24, *model);
  const std::vector<GenerateResult> expected = run_together(model, with(Lookup::off), requests).results;
  EXPECT_EQ(count_accepted(expected), 0);
  for (const std::int32_t max_batch : {1, 3, 64}) {
    for (const Lookup lookup : {Lookup::on, Lookup::automatic}) {
      SCOPED_TRACE(max_batch);
      EngineOptions options = with(lookup);
      options.max_batch = max_batch;
      const std::vector<GenerateResult> results = run_together(model, options, requests).results;
      expect_same(results, expected);
      const std::int64_t accepted = count_accepted(results);
      if (lookup == Lookup::on) {
        EXPECT_GT(accepted, 50);
      }
    }
  }
}

TEST(HeavyLookupLaws, AnswersOfAllModelsHaveTheSameBytesWithLookupAndWithout) {
  for (const auto& folder : testing::golden_models()) {
    SCOPED_TRACE(folder.filename().string());
    const auto model = load(folder, 2);
    const std::vector<GenerateRequest> requests = repeating_requests(12, 48, *model);
    const std::vector<GenerateResult> expected =
        run_together(model, with(Lookup::off, small(16384)), requests).results;
    for (const Lookup lookup : {Lookup::on, Lookup::automatic}) {
      expect_same(run_together(model, with(lookup, small(16384)), requests).results, expected);
    }
  }
}

TEST(LookupLaws, RejectedGuessesLeaveNothingInKeysAndValuesOfEightBits) {
  LoadOptions in_8_bits;
  in_8_bits.kv_dtype = "int8";
  const auto model = std::make_shared<LoadedModel>(load_model(kRepeats, in_8_bits));
  const std::vector<GenerateRequest> requests = repeating_requests(14, 8, *model);
  const std::vector<GenerateResult> expected = run_together(model, with(Lookup::off), requests).results;
  const std::vector<GenerateResult> actual = run_together(model, with(Lookup::on), requests).results;
  EXPECT_GT(count_accepted(actual), 20);
  expect_same(actual, expected);
}

TEST(LookupLaws, SequencesThatGiveWayForMemoryEndWithTheSameBytes) {
  const auto model = load(kRepeats);
  std::vector<GenerateRequest> requests = repeating_requests(13, 10, *model);
  for (GenerateRequest& request : requests) {
    request.prompt_ids.resize(std::min<std::size_t>(request.prompt_ids.size(), 70));
    request.sampling.max_new_tokens = 50;
    request.sampling.temperature = 0;
    request.sampling.stop_ids.clear();
    request.sampling.stop.clear();
  }
  const std::vector<GenerateResult> expected = run_together(model, with(Lookup::off), requests).results;
  const BatchRun tight = run_together(model, with(Lookup::on, small(4 * kKvBlockTokens)), requests);
  EXPECT_EQ(tight.fewest_free_blocks, 0);
  EXPECT_GT(count_accepted(tight.results), 50);
  expect_same(tight.results, expected);
}

/// A prompt that ends inside a loop of the model's greedy continuation.
std::vector<std::int32_t> looping_prompt(const std::shared_ptr<LoadedModel>& model) {
  Engine engine(model, with(Lookup::off));
  std::vector<std::int32_t> prompt =
      make_prompt(make_prompter(*model, false), "Tom has 3 boxes with 4 pens each. How many pens?").ids;
  const GenerateResult result = engine.generate(greedy_request(prompt, 150));
  const std::vector<std::int32_t>& ids = result.samples.front().ids;
  prompt.insert(prompt.end(), ids.begin(), ids.end());
  return prompt;
}

/// A request run step by step: what it gave, and how many tokens each step appended.
struct Steps {
  GenerateResult result;
  std::vector<std::size_t> tokens;
};

Steps run_steps(const std::shared_ptr<LoadedModel>& model, GenerateRequest request, Lookup lookup) {
  Engine engine(model, with(lookup));
  Steps steps;
  const auto inner = request.on_token;
  request.on_token = [&](const TokenEvent& event) {
    ++steps.tokens.back();
    return !inner || inner(event);
  };
  engine.submit(request);
  while (!engine.idle()) {
    steps.tokens.push_back(0);
    for (auto& [id, result] : engine.step()) steps.result = std::move(result);
  }
  EXPECT_EQ(engine.free_blocks(), engine.num_blocks());
  return steps;
}

/// Runs the request for each of 1…24 of what `change` makes of it, with and without lookup; some must end
/// behind a right guess.
template <typename Change>
void expect_same_ends(const std::shared_ptr<LoadedModel>& model, const GenerateRequest& request,
                      const Change& change) {
  int ended_in_draft = 0;
  for (std::int32_t i = 1; i <= 24; ++i) {
    SCOPED_TRACE(i);
    GenerateRequest changed = request;
    change(changed, i);
    const Steps expected = run_steps(model, changed, Lookup::off);
    EXPECT_THAT(expected.tokens, Each(AnyOf(Eq(0U), Eq(1U))));
    const Steps actual = run_steps(model, changed, Lookup::on);
    expect_same({actual.result}, {expected.result});
    if (actual.tokens.back() > 1) ++ended_in_draft;
  }
  EXPECT_GT(ended_in_draft, 5);
}

TEST(LookupLaws, AnAnswerEndsAtItsLengthInTheMiddleOfADraft) {
  const auto model = load(kRepeats);
  const GenerateRequest request = greedy_request(looping_prompt(model), 1);
  expect_same_ends(model, request,
                   [](GenerateRequest& changed, std::int32_t i) { changed.sampling.max_new_tokens = i; });
}

TEST(LookupLaws, AnAnswerEndsAtAStopIdInTheMiddleOfADraft) {
  const auto model = load(kRepeats);
  const GenerateRequest request = greedy_request(looping_prompt(model), 40);
  const GenerateResult whole = run_steps(model, request, Lookup::off).result;
  expect_same_ends(model, request, [&](GenerateRequest& changed, std::int32_t i) {
    changed.sampling.stop_ids = {whole.samples.front().ids[static_cast<std::size_t>(i)]};
  });
}

TEST(LookupLaws, AnAnswerEndsAtAStopStringInTheMiddleOfADraft) {
  const auto model = load(kRepeats);
  const GenerateRequest request = greedy_request(looping_prompt(model), 60);
  const std::string whole = run_steps(model, request, Lookup::off).result.samples.front().text;
  ASSERT_GT(whole.size(), 40U);
  expect_same_ends(model, request, [&](GenerateRequest& changed, std::int32_t i) {
    changed.sampling.stop = {whole.substr(0, static_cast<std::size_t>(i + 6))};
  });
}

TEST(LookupLaws, ACallbackEndsAnAnswerInTheMiddleOfADraft) {
  const auto model = load(kRepeats);
  const GenerateRequest request = greedy_request(looping_prompt(model), 40);
  expect_same_ends(model, request, [](GenerateRequest& changed, std::int32_t i) {
    changed.on_token = [left = i](const TokenEvent&) mutable { return --left > 0; };
  });
}

TEST(LookupLaws, AReasoningBudgetIsSpentInTheMiddleOfADraft) {
  const auto model = load(kRepeats);
  GenerateRequest request = greedy_request(looping_prompt(model), 1);
  request.reasoning_opened = true;
  expect_same_ends(model, request, [](GenerateRequest& changed, std::int32_t i) {
    changed.sampling.reasoning_budget = i;
    changed.sampling.max_new_tokens = i + 20;
  });
}

TEST(LookupLaws, PenaltiesCountTheTokensOfDrafts) {
  const auto model = load(kRepeats);
  GenerateRequest request = greedy_request(looping_prompt(model), 1);
  int changed_by_penalty = 0;
  const auto penalize = [&](GenerateRequest& changed, std::int32_t i) {
    changed.sampling.max_new_tokens = 60;
    changed.sampling.frequency_penalty = 0.01F * static_cast<float>(i);
    changed.sampling.presence_penalty = 0.02F;
    changed.sampling.repetition_penalty = 1.001F;
  };
  const GenerateResult plain = run_steps(model, greedy_request(request.prompt_ids, 60), Lookup::off).result;
  std::int64_t accepted = 0;
  for (std::int32_t i = 1; i <= 24; ++i) {
    GenerateRequest changed = request;
    penalize(changed, i);
    const GenerateResult expected = run_steps(model, changed, Lookup::off).result;
    const GenerateResult actual = run_steps(model, changed, Lookup::on).result;
    expect_same({actual}, {expected});
    accepted += actual.accepted_tokens;
    if (expected.samples.front().ids != plain.samples.front().ids) ++changed_by_penalty;
  }
  EXPECT_GT(accepted, 100);
  EXPECT_GT(changed_by_penalty, 5);
}

TEST(LookupLaws, SamplesOfOnePromptAreTheSameAndShareItsBlocks) {
  const auto model = load(kRepeats);
  GenerateRequest request = greedy_request(looping_prompt(model), 40);
  request.n = 5;
  request.sampling.temperature = 1.2F;
  request.sampling.seed = 7;
  const GenerateResult expected = run_steps(model, request, Lookup::off).result;
  const GenerateResult actual = run_steps(model, request, Lookup::on).result;
  EXPECT_NE(expected.samples[0].ids, expected.samples[1].ids);
  EXPECT_GT(actual.accepted_tokens, 20);
  expect_same({actual}, {expected});
}

TEST(LookupEngine, ALoopTakesFewerStepsAndTheCountsSayHowMany) {
  const auto model = load(kRepeats);
  const Steps steps = run_steps(model, greedy_request(looping_prompt(model), 100), Lookup::on);
  EXPECT_EQ(steps.result.samples.front().ids.size(), 100U);
  const auto decoding =
      std::count_if(steps.tokens.begin(), steps.tokens.end(), [](std::size_t tokens) { return tokens > 0; });
  // The first token with the prompt, then as many as a pass may give.
  EXPECT_EQ(decoding, 1 + (99 + static_cast<std::ptrdiff_t>(kMostDrafted)) /
                              static_cast<std::ptrdiff_t>(kMostDrafted + 1));
  EXPECT_EQ(steps.result.accepted_tokens, 100 - decoding);
  EXPECT_GE(steps.result.drafted_tokens, steps.result.accepted_tokens);
}

TEST(LookupEngine, NothingIsGuessedBehindTheEndOfTheAnswer) {
  const auto model = load(kRepeats);
  const Steps steps = run_steps(model, greedy_request(looping_prompt(model), 3), Lookup::on);
  EXPECT_EQ(steps.result.samples.front().ids.size(), 3U);
  EXPECT_EQ(steps.result.drafted_tokens, 1);  // the first comes with the prompt, one without a guess
}

TEST(LookupEngine, RejectedGuessesKeepNoBlocks) {
  const auto model = load(kRepeats);
  Engine engine(model, with(Lookup::on));
  std::vector<std::int32_t> prompt(300);
  for (std::size_t i = 0; i < prompt.size(); ++i) prompt[i] = static_cast<std::int32_t>(i % 50);
  GenerateRequest request = greedy_request(prompt, 100);
  request.sampling.temperature = 2;
  std::size_t size = prompt.size();
  request.on_token = [&size](const TokenEvent&) { return ++size > 0; };
  engine.submit(request);
  std::int64_t drafted = 0;
  while (!engine.idle()) {
    for (const auto& [id, result] : engine.step()) drafted = result.drafted_tokens;
    if (engine.idle() || size == prompt.size()) continue;
    const auto needed = static_cast<std::int32_t>((size + kKvBlockTokens - 1) / kKvBlockTokens);
    ASSERT_LE(engine.num_blocks() - engine.free_blocks(), needed);
  }
  EXPECT_GT(drafted, 0);
}

}  // namespace
}  // namespace touchstone
