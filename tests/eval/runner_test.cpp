#include "eval/runner.h"

#include <gtest/gtest.h>

#include <set>

#include "eval/latency.h"
#include "formats/checkpoint.h"
#include "support/golden.h"

namespace touchstone {
namespace {

Grade make_grade(Verdict verdict, bool timed_out = false) {
  return {.verdict = verdict, .extracted = "", .why = "", .timed_out = timed_out};
}

Checkpoint open_demo(const std::string& name) {
  return open_checkpoint((testing::source_dir() / "demo" / name).string());
}

TEST(Runner, WhyAnAnswerScoresNothingIsToldApart) {
  const auto classify = [](Verdict verdict, bool hit_length, bool loops, TaskKind kind = TaskKind::math) {
    return classify_answer(kind, make_grade(verdict), hit_length, loops);
  };
  EXPECT_EQ(classify(Verdict::wrong, false, false), Outcome::wrong);
  EXPECT_EQ(classify(Verdict::unanswered, false, false), Outcome::unparsable);
  EXPECT_EQ(classify(Verdict::unanswered, true, false), Outcome::cut_off);
  EXPECT_EQ(classify(Verdict::unanswered, true, true), Outcome::looped);
  EXPECT_EQ(classify(Verdict::wrong, true, false), Outcome::wrong)
      << "an answer stood there before the limit came";
  EXPECT_EQ(classify(Verdict::wrong, true, true), Outcome::looped);
  EXPECT_EQ(classify(Verdict::wrong, true, false, TaskKind::code), Outcome::cut_off)
      << "a program cut in the middle is not an answer";
  EXPECT_EQ(classify(Verdict::wrong, false, false, TaskKind::code), Outcome::wrong);
  EXPECT_EQ(classify(Verdict::error, true, true), Outcome::error)
      << "the grader's failure is not the answer's";
  EXPECT_EQ(classify_answer(TaskKind::code, make_grade(Verdict::wrong, true), false, false),
            Outcome::timed_out);
}

TEST(Runner, ANumberOnTheWayToAnAnswerThatWasCutOffIsNoWrongAnswer) {
  Item item;
  item.answer = "80";
  Grade graded = grade(item, "First, 4 * 5 is 20. Then he adds 7 and");
  EXPECT_EQ(classify_answer(TaskKind::math, graded, true, false), Outcome::cut_off);
  EXPECT_EQ(classify_answer(TaskKind::math, graded, false, false), Outcome::wrong);
  graded = grade(item, "The answer is 83. To check, take 7 and");
  EXPECT_EQ(classify_answer(TaskKind::math, graded, true, false), Outcome::wrong);
  item.kind = TaskKind::logic;
  item.options = {"It rains", "It snows"};
  graded = grade(item, "Let us see: it snows when it is cold, and");
  EXPECT_EQ(graded.verdict, Verdict::wrong);
  EXPECT_EQ(classify_answer(TaskKind::logic, graded, true, false), Outcome::cut_off);
}

TEST(Runner, ACorrectAnswerCountsHoweverItEnded) {
  for (const bool hit_length : {false, true}) {
    for (const bool loops : {false, true}) {
      EXPECT_EQ(classify_answer(TaskKind::math, make_grade(Verdict::correct), hit_length, loops),
                Outcome::correct);
    }
  }
}

TEST(Runner, EveryItemHasASeedOfItsOwn) {
  std::set<std::uint64_t> seeds;
  for (const char* suite : {"math", "mat", "code"}) {
    for (const char* item : {"1", "h1", "11", ""}) {
      for (const std::uint64_t seed : {0U, 1U, 7U}) seeds.insert(item_seed(seed, suite, item));
    }
  }
  EXPECT_EQ(seeds.size(), 36U);
  EXPECT_EQ(item_seed(3, "math", "x"), item_seed(3, "math", "x"));
}

TEST(Runner, ExpectedAnswersAreSaidInWords) {
  Item item;
  item.kind = TaskKind::logic;
  item.options = {"red", "green"};
  item.answer_index = 1;
  EXPECT_EQ(describe_expected(item), "B: green");
  item.kind = TaskKind::math;
  item.answer = "42";
  EXPECT_EQ(describe_expected(item), "42");
}

TEST(RunnerPrompt, TheTemplateIsAppliedUnlessRaw) {
  const Checkpoint checkpoint = open_demo("native");
  const Prompt chat = make_prompt(make_prompter(checkpoint, false), "How many?");
  const Prompt raw = make_prompt(make_prompter(checkpoint, true), "How many?");
  EXPECT_EQ(raw.text, "How many?");
  EXPECT_NE(chat.text, raw.text);
  EXPECT_NE(chat.text.find("How many?"), std::string::npos);
  EXPECT_GT(chat.ids.size(), raw.ids.size());
}

TEST(RunnerPrompt, WhatTheTemplateAddsIsRecorded) {
  const Checkpoint checkpoint = open_demo("distilled");
  RunSettings settings;
  const Prompter prompter = make_prompter(checkpoint, false);
  const CandidateInfo info = describe_candidate(checkpoint, prompter, settings);
  EXPECT_TRUE(info.chat_template);
  EXPECT_TRUE(info.thinking_opened) << "the distilled demo's template opens <think>";
  EXPECT_TRUE(make_prompt(prompter, "x").text.starts_with(info.text_before_user));
  EXPECT_FALSE(info.stop_tokens.empty());
  settings.temperature = 0.5;
  EXPECT_FLOAT_EQ(make_sampling(checkpoint, prompter, settings).temperature, 0.5F);
}

TEST(Latency, ThePromptHasTheTokensAskedFor) {
  const Prompter prompter = make_prompter(open_demo("native"), false);
  const std::vector<std::string> texts{"Kim has 38 apples and finds 9 more.", "",
                                       "Zoë holt 三 Äpfel — how many?"};
  std::set<std::string> seen;
  for (const int tokens : {64, 256}) {
    for (std::size_t first = 0; first < 3; ++first) {
      const Prompt prompt = make_prompt_of_length(prompter, texts, first, tokens);
      EXPECT_LE(static_cast<int>(prompt.ids.size()), tokens);
      EXPECT_GE(static_cast<int>(prompt.ids.size()), tokens - 4);
      seen.insert(prompt.text);
    }
  }
  EXPECT_EQ(seen.size(), 6U) << "repetitions must not share their text";
}

}  // namespace
}  // namespace touchstone
