#include "answers/extract_option.h"

#include <gtest/gtest.h>

#include <string>

namespace touchstone {
namespace {

const std::vector<std::string>& pilots() {
  static const std::vector<std::string> options = {"Dana is a pilot", "Every pilot in the club can read maps",
                                                   "Someone without a compass is a pilot",
                                                   "Dana can read maps"};
  return options;
}

/// The letter that is read; "-" for none, and the letters behind it where several are chosen.
std::string read_option(const std::string& answer) {
  const OptionAnswer said = extract_option(answer, pilots());
  return (said.index ? "" : "-") + said.text;
}

TEST(AnswersOption, AnOptionsTextInsideALongerWordChoosesNothing) {
  const std::vector<std::string> options = {"cat", "owl", "23", "w", "猫"};
  const auto read = [&](const std::string& answer) { return extract_option(answer, options).text; };
  for (const char* answer :
       {"They must be concatenated.", "We look at the bowl.", "It costs 1234.", "answer: 2"})
    EXPECT_EQ(read(answer), "") << answer;
  EXPECT_EQ(read("It is the **cat**."), "A");
  EXPECT_EQ(read("Only cats do that."), "A");
  EXPECT_EQ(read("The owl's nest."), "B");
  EXPECT_EQ(read("It costs 23."), "C");
  EXPECT_EQ(read("It is 23cm long."), "C");
  EXPECT_EQ(read("它是猫的。"), "E");
}

TEST(AnswersOption, AListOfVerdictsChoosesTheOptionItCallsRight) {
  EXPECT_EQ(
      read_option("A. Dana is a pilot: incorrect.\nB. Every pilot in the club can read maps: incorrect.\n"
                  "C. Someone without a compass is a pilot: correct.\nD. Dana can read maps: incorrect."),
      "C");
  EXPECT_EQ(read_option("A. Dana is a pilot ❌\nB. Every pilot in the club can read maps ✅\n"
                        "C. Someone without a compass is a pilot ❌\nD. Dana can read maps ❌"),
            "B");
  EXPECT_EQ(read_option("A) wrong\nB) correct\nC) wrong\nD) wrong"), "B");
}

TEST(AnswersOption, OptionsThatAreOnlyRepeatedAreNoChoice) {
  const std::string list =
      "A. Dana is a pilot\nB. Every pilot in the club can read maps\n"
      "C. Someone without a compass is a pilot\nD. Dana can read maps";
  EXPECT_EQ(read_option(list), "-");
  EXPECT_EQ(read_option(list + "\n\nThe answer is B."), "B");
  EXPECT_EQ(read_option(list + "\n\nB"), "B");
}

TEST(AnswersOption, AContrastRejectsTheOtherOption) {
  EXPECT_EQ(read_option("应该选B而不是A"), "B");
  EXPECT_EQ(read_option("答案是B，而非A"), "B");
  EXPECT_EQ(read_option("不选A，选B"), "B");
  EXPECT_EQ(read_option("B is wrong, so C"), "C");
  EXPECT_EQ(read_option("Options A and B are ruled out; D"), "D");
  EXPECT_EQ(read_option("A seems right, but actually B is."), "B");
  EXPECT_EQ(read_option("A is tempting but not correct. B is."), "B");
  EXPECT_EQ(read_option("not A"), "-");
}

TEST(AnswersOption, AReasonAgainstAnotherOptionDoesNotRejectTheChosenOne) {
  EXPECT_EQ(read_option("I choose A because B is wrong."), "A");
  EXPECT_EQ(read_option("I pick C because A and B are not supported."), "C");
}

TEST(AnswersOption, ALetterBehindTheChosenOneThatIsRejectedIsNotChosenToo) {
  EXPECT_EQ(read_option("本题选B，A项错误"), "B");
  EXPECT_EQ(read_option("The answer is B, A is wrong."), "B");
  EXPECT_EQ(read_option("The answer is B, and C does not follow."), "B");
  EXPECT_EQ(read_option("The answer is B, D."), "-B, D");
}

TEST(AnswersOption, AComparisonAndALabelChoose) {
  EXPECT_EQ(read_option("Between A and B, B is stronger."), "B");
  EXPECT_EQ(read_option("The correct option: B.\nHope it helps! A great day to you."), "B");
  EXPECT_EQ(read_option("The best choice: C\nGood luck with the rest."), "C");
}

TEST(AnswersOption, WhatIsLeftAfterEliminationIsChosen) {
  EXPECT_EQ(read_option("I'll eliminate A, B, and C. D remains."), "D");
  EXPECT_EQ(read_option("Eliminating A, C, and D, we get B."), "B");
  EXPECT_EQ(read_option("After eliminating A, C and D, B is left."), "B");
  EXPECT_EQ(read_option("A and C can be eliminated. Between B and D, B is better supported."), "B");
}

TEST(AnswersOption, TheLetterIsReadInsideQuotesAndBrackets) {
  EXPECT_EQ(read_option("The answer is 'B'."), "B");
  EXPECT_EQ(read_option("A's premise is odd. The answer is B."), "B");
  EXPECT_EQ(read_option("【答案】B\n【解析】A项不符合。"), "B");
  EXPECT_EQ(read_option("(A) no (B) yes (C) no (D) no. Answer (B)."), "B");
  EXPECT_EQ(read_option("Answer (B) is wrong, so the answer is C."), "C");
  EXPECT_EQ(read_option("Ans: b"), "B");
}

TEST(AnswersOption, AnOptionMayBeCounted) {
  for (const char* second :
       {"The second option.", "The correct answer is the second choice.", "The 2nd option is correct.",
        "I choose option 2.", "Option two follows.", "The answer is 2.", "\\boxed{2}", "答案是第二个选项。",
        "选第二个", "选择第2项"}) {
    EXPECT_EQ(read_option(second), "B") << second;
  }
  EXPECT_EQ(read_option("The last option follows."), "D");
  EXPECT_EQ(read_option("最后一个选项正确。"), "D");
  EXPECT_EQ(read_option("The first option is wrong, so the third option."), "C");
  EXPECT_EQ(read_option("The answer is option 7."), "-");
  EXPECT_EQ(read_option("The second pilot has a compass."), "-");
  for (const char* second : {"the second statement", "The second statement is correct.",
                             "The second one follows.", "The first option is wrong, so the second.",
                             "The correct one is the second statement.", "第二个", "第二个说法正确。"}) {
    EXPECT_EQ(read_option(second), "B") << second;
  }
  EXPECT_EQ(read_option("The second statement in the passage says that Dana reads."), "-");
  EXPECT_EQ(read_option("This contradicts the second statement."), "-");
  EXPECT_EQ(read_option("Dana is the second."), "-");
  EXPECT_EQ(read_option("第一句话说了这些，所以选D"), "D");
  EXPECT_FALSE(extract_option("The second statement is correct.", {"Both statements", "Only one"}).index);
  EXPECT_EQ(extract_option("The answer is 2.", {"1", "3", "2", "4"}).text, "C") << "its own text";
}

TEST(AnswersOption, EitherAndBothChooseSeveral) {
  EXPECT_EQ(read_option("The answer is either A or B"), "-A, B");
  EXPECT_EQ(read_option("The answer is both A and C."), "-A, C");
  for (const char* several :
       {"Both A and B are correct.", "A and B are correct.", "A and B are both right.",
        "Either A or B could be correct.", "A和B都正确。", "A、B均正确", "选项A和B都是正确的。"}) {
    EXPECT_EQ(read_option(several), "-A, B") << several;
  }
  EXPECT_EQ(read_option("A, B and C are all correct."), "-A, B, C");
  for (const char* none : {"A or B", "A和B都对", "A或B", "Neither A nor B is correct."}) {
    EXPECT_FALSE(extract_option(none, pilots()).index) << none;
  }
  EXPECT_EQ(read_option("A、B、C都对，所以选D。"), "D");
  EXPECT_EQ(read_option("A and C are ruled out, B is left."), "B") << "a comma behind the list";
}

TEST(AnswersOption, OfTwoThatAreSetAgainstEachOtherTheRejectedOneIsNotChosen) {
  for (const char* contrast :
       {"not A but C", "It isn't A, it's C.", "C instead of A", "C rather than A.", "I'd say C over A.",
        "不是A而是C", "不是A，是C。", "应该是C，不是A。", "选C不选A", "A, B, D are wrong, so C",
        "排除ABD,选C", "排除A、B、D，选C。", "Neither A nor B, so C."}) {
    EXPECT_EQ(read_option(contrast), "C") << contrast;
  }
  EXPECT_EQ(read_option("答案不是A"), "-");
  EXPECT_EQ(read_option("A, B, D are wrong."), "-");
}

TEST(AnswersOption, ACorrectionReplacesWhatWasChosenBefore) {
  for (const char* corrected : {"答案是A。不对，应该是B。", "A. Actually, B.", "The answer is A. No, B.",
                                "The answer is A. No wait, it's B.", "答案是A。等等，应该选B。"}) {
    EXPECT_EQ(read_option(corrected), "B") << corrected;
  }
}

TEST(AnswersOption, VerdictsMayBeTrueAndFalse) {
  EXPECT_EQ(read_option("A - False\nB - True\nC - False\nD - False"), "B");
  EXPECT_EQ(read_option("A) False\nB) True\nC) False\nD) False"), "B");
  EXPECT_EQ(read_option("A: No. B: Yes. C: No. D: No."), "B");
}

TEST(AnswersOption, TheAnswerToANextQuestionDoesNotCount) {
  EXPECT_EQ(read_option("The answer is B.\n\nQuestion: Who flies?\nA. X\nB. Y\nThe answer is C."), "B");
  EXPECT_EQ(read_option("Let me see.\nQuestion: Who flies?\nThe answer is C."), "C");
}

TEST(AnswersOption, AnEndlessListTakesNoMoreThanItsLength) {
  std::string list;
  for (int i = 0; i < 100'000; ++i) list += "A or ";
  EXPECT_EQ(read_option(list + "B are correct"), "-A, B");  // minutes, were it looked through for each letter
}

}  // namespace
}  // namespace touchstone
