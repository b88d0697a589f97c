// What the model thinks and what it answers, whole and in pieces.
#include "text/reasoning.h"

#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

namespace touchstone {
namespace {

void expect_split(std::string_view text, bool opened, std::string_view reasoning, std::string_view answer,
                  bool closed) {
  const ReasoningText split = split_reasoning(text, opened);
  EXPECT_EQ(split.reasoning, reasoning) << text;
  EXPECT_EQ(split.answer, answer) << text;
  EXPECT_EQ(split.closed, closed) << text;
}

TEST(Reasoning, ThinkingThatThePromptOpenedEndsAtTheCloser) {
  expect_split("12*7 is 84.\n</think>\n\nThe answer is 84.", true, "12*7 is 84.", "The answer is 84.", true);
}

TEST(Reasoning, WithoutACloserAllOfItIsThinking) {
  expect_split("Let me see, 12 * 7", true, "Let me see, 12 * 7", "", false);
  expect_split("ends with half a closer </thin", true, "ends with half a closer </thin", "", false);
}

TEST(Reasoning, AnOpenerThatTheModelWritesCounts) {
  expect_split("<think>\nhm\n</think>\n\n84", false, "hm", "84", true);
  expect_split("\n<think>\nhm\n</think>\n\n84", false, "hm", "84", true);
  expect_split("<think>\nhm\n</think>\n\n84", true, "hm", "84", true);
  expect_split("<think>\nhm", false, "hm", "", false);
}

TEST(Reasoning, WithoutThinkingAllOfItIsTheAnswer) {
  expect_split("84", false, "", "84", true);
  expect_split("\n84 \n", false, "", "\n84 \n", true);
  expect_split("A <think> in the middle </think> is text", false, "",
               "A <think> in the middle </think> is text", true);
  expect_split("", false, "", "", true);
  expect_split("<thi", false, "", "<thi", true);
}

TEST(Reasoning, EmptyThinkingIsClosed) {
  expect_split("\n</think>\n\n84", true, "", "84", true);
  expect_split("<think>\n\n</think>\n\n84", false, "", "84", true);
  expect_split("", true, "", "", false);
}

TEST(Reasoning, OnlyTheFirstCloserCounts) {
  expect_split("a</think>b</think>c", true, "a", "b</think>c", true);
}

TEST(Reasoning, SpacesAndInnerLineBreaksStay) {
  expect_split("  a\n\nb \n</think>\n    code\n", true, "  a\n\nb ", "    code\n", true);
}

TEST(Reasoning, AnyChunkingGivesTheWholeTextsSplit) {
  const std::vector<std::string> parts = {"<think>", "</think>", "\n",      " ",     "<",     "/",
                                          "think",   ">",        "a",       "你好",  "</thi", "<thin",
                                          "\r",      "\n\n",     "</think", "answer"};
  std::mt19937 random(7);
  const auto below = [&](std::size_t bound) {
    return std::uniform_int_distribution<std::size_t>(0, bound - 1)(random);
  };
  for (int round = 0; round < 3000; ++round) {
    std::string text;
    for (std::size_t i = below(12); i > 0; --i) text += parts[below(parts.size())];
    for (const bool opened : {false, true}) {
      ReasoningSplitter splitter(opened);
      ReasoningText pieces;
      bool closed = !opened;
      for (std::size_t at = 0; at < text.size();) {
        const std::size_t size = 1 + below(4);
        const ReasoningText added = splitter.push(std::string_view(text).substr(at, size));
        pieces.reasoning += added.reasoning;
        pieces.answer += added.answer;
        at += size;
      }
      const ReasoningText rest = splitter.flush();
      pieces.reasoning += rest.reasoning;
      pieces.answer += rest.answer;
      closed = rest.closed;
      const ReasoningText whole = split_reasoning(text, opened);
      ASSERT_EQ(pieces.reasoning, whole.reasoning) << text;
      ASSERT_EQ(pieces.answer, whole.answer) << text;
      ASSERT_EQ(closed, whole.closed) << text;
    }
  }
}

TEST(Reasoning, NothingIsHeldBackThatCannotBeATag) {
  ReasoningSplitter splitter(true);
  EXPECT_EQ(splitter.push("a <b").reasoning, "a <b");
  EXPECT_EQ(splitter.push(" </").reasoning, " ");
  EXPECT_EQ(splitter.push("b>").reasoning, "</b>");
  EXPECT_TRUE(splitter.in_reasoning());
  EXPECT_EQ(splitter.push("\n</think>\n\nc").answer, "c");
  EXPECT_FALSE(splitter.in_reasoning());
}

TEST(Reasoning, APromptOpensThinkingOnlyAtItsEnd) {
  EXPECT_TRUE(prompt_opens_reasoning("<｜User｜>1+1?<｜Assistant｜><think>\n"));
  EXPECT_FALSE(prompt_opens_reasoning("<|im_start|>assistant\n<think>\n\n</think>\n\n"));
  EXPECT_FALSE(prompt_opens_reasoning("What does <think> mean?<|im_end|>\n<|im_start|>assistant\n"));
  EXPECT_FALSE(prompt_opens_reasoning(""));
}

}  // namespace
}  // namespace touchstone
