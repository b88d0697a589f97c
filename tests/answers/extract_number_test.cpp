#include "answers/extract_number.h"

#include <gtest/gtest.h>

#include <string>

namespace touchstone {
namespace {

/// The number that is read, with its percent sign; "-" for none.
std::string read(const std::string& answer, const std::string& question = "") {
  const NumberAnswer said = extract_number(answer, question);
  return said.number ? said.number->value + (said.number->percent ? "%" : "") : "-";
}

TEST(AnswersNumber, AMinusIsReadWhicheverDashItIsWrittenWith) {
  for (const char* minus : {"-", "−", "－", "‐", "‑", "‒", "–", "﹣", "minus ", "negative "}) {
    EXPECT_EQ(read("The answer is " + std::string(minus) + "7."), "-7") << minus;
  }
  EXPECT_EQ(read("The answer is minus twelve."), "-12");
  EXPECT_EQ(read("The answer is negative one half."), "-1/2");
}

TEST(AnswersNumber, AMinusBetweenTwoNumbersInWordsSubtracts) {
  EXPECT_NE(read("We take ten minus five"), "-5");
}

TEST(AnswersNumber, FractionsAreReadAsSignsAndInWords) {
  EXPECT_EQ(read("The answer is ⅝."), "5/8");
  EXPECT_EQ(read("The answer is 3⅕ cups."), "16/5");
  EXPECT_EQ(read("The answer is one quarter"), "1/4");
  EXPECT_EQ(read("The answer is two-thirds of a cup."), "2/3");
  EXPECT_EQ(read("The answer is 2 and a half hours."), "5/2");
  EXPECT_EQ(read("The answer is two and a half hours."), "5/2");
  EXPECT_EQ(read("The answer is twenty-third."), "20") << "an ordinal is no fraction";
}

TEST(AnswersNumber, ARaisedNumberIsAnExponent) {
  EXPECT_EQ(read("The answer is 3 × 10⁸ m/s."), "300000000");
  EXPECT_EQ(read("The answer is 10⁻³."), "1/1000");
  EXPECT_EQ(read("\\boxed{5\\text{ m s}^{-1}}"), "5");
  for (const char* area : {"12 cm^2", "12 cm²", "12 cm^{2}", "12 m s⁻²"}) {
    EXPECT_EQ(read("So we find that it is " + std::string(area) + " in the end."), "12") << area;
  }
}

TEST(AnswersNumber, GroupsOfTwoDigitsAreReadAsInIndia) {
  EXPECT_EQ(read("The answer is ₹1,00,000."), "100000");
  EXPECT_EQ(read("The answer is 12,34,567."), "1234567");
  EXPECT_EQ(read("The answer is 1,234,567."), "1234567");
}

TEST(AnswersNumber, MoneyMayBeInThousandsMillionsAndBillions) {
  EXPECT_EQ(read("The answer is $5K"), "5000");
  EXPECT_EQ(read("The answer is $1.5M."), "1500000");
  EXPECT_EQ(read("The answer is $2B"), "2000000000");
  EXPECT_EQ(read("The answer is 3M tapes."), "3") << "not money";
  EXPECT_EQ(read("The answer is $3 Monday."), "3");
}

TEST(AnswersNumber, ARangeIsNotOneNumber) {
  EXPECT_EQ(read("The answer is between 3 and 4."), "-");
  EXPECT_EQ(read("The answer is between $30 and $40."), "-");
  EXPECT_EQ(read("The answer is 80-90."), "-");
  EXPECT_EQ(read("The answer is the difference between 30 and 12, which is 18."), "18");
  EXPECT_EQ(read("The answer is 80-20, which is 60"), "60");
  EXPECT_EQ(read("The answer is 80 - 20 = 60"), "60");
}

TEST(AnswersNumber, AReasonBehindTheAnswerIsNotTheAnswer) {
  EXPECT_EQ(read("The answer is 42 since each of the 6 boxes = 7."), "42");
  EXPECT_EQ(read("The answer is 42 because 50 - 8 = 42."), "42");
  EXPECT_EQ(read("14 is the final answer, from 2 times 7."), "14");
  EXPECT_EQ(read("So **14** pens is the answer. I used 3 steps."), "14");
  EXPECT_EQ(read("If 12 is the answer to part 1, then the answer is 14."), "14");
  EXPECT_EQ(read("12 is not the answer. 14 is."), "14");
}

TEST(AnswersNumber, WhatTheAnswerIsToAnotherNumberIsNotTheAnswer) {
  EXPECT_EQ(read("The answer is $80, which is 20% of $400."), "80");
  EXPECT_EQ(read("Answer: 80 apples, which is 5 more than before."), "80");
  EXPECT_EQ(read("The answer is 3 dozen eggs, which is 36 eggs."), "36");
  EXPECT_EQ(read("The answer is the rest of 30, which is 18 of the eggs."), "18");
}

TEST(AnswersNumber, CalculatorMarksDoNotHideTheResult) {
  EXPECT_EQ(read("he paid $4.00 each for 4, that's 4*4 = $<<4*4=16.00>>16.00"), "16");
  EXPECT_EQ(read("So she spent 4*26 = <<4*26=104>>104 hours on all 26 articles."), "104");
  EXPECT_EQ(read("The answer is <<5+7=12>>12."), "12");
  EXPECT_EQ(read("The answer is 7 << 2 = 28"), "28");
}

TEST(AnswersNumber, TheWholeOfAShareIsNotTheResult) {
  EXPECT_EQ(read("Hence she has 9 left out of 24."), "9");
  EXPECT_EQ(read("He picked 9 out of 24, so 15 remain."), "15");
  EXPECT_EQ(read("So she spent $9 on 3 books."), "9");
}

TEST(AnswersNumber, DozensAreTwelvesOrAreCounted) {
  EXPECT_EQ(read("The answer is a dozen."), "12");
  EXPECT_EQ(read("She needs half a dozen eggs."), "6");
  EXPECT_EQ(read("\\boxed{2\\text{ dozen}}"), "24");
  for (const char* same : {"24", "2"}) {
    EXPECT_TRUE(same_number(*parse_number("two dozen eggs"), *parse_number(same))) << same;
    EXPECT_TRUE(same_number(*parse_number(same), *parse_number("2 dozen"))) << same;
  }
  EXPECT_FALSE(same_number(*parse_number("2 dozen"), *parse_number("12")));
}

TEST(AnswersNumber, TwoUnitsMakeOneNumberInEither) {
  const auto says = [](const std::string& answer, const char* expected) {
    const NumberAnswer said = extract_number(answer);
    return said.number && same_number(*said.number, *parse_number(expected));
  };
  for (const char* hours : {"The answer is 2 hours and 30 minutes.", "答：需要2小时30分钟。",
                            "\\boxed{2\\text{ hours }30\\text{ minutes}}"}) {
    EXPECT_TRUE(says(hours, "150")) << hours;
    EXPECT_TRUE(says(hours, "2.5")) << hours;
    EXPECT_FALSE(says(hours, "2")) << hours;
    EXPECT_FALSE(says(hours, "30")) << hours;
  }
  EXPECT_TRUE(says("The answer is $5 and 50 cents.", "5.5"));
  EXPECT_TRUE(says("The answer is 5 feet 6 inches.", "66"));
  EXPECT_TRUE(says("The answer is 2 hours and 3 breaks.", "2"));
  EXPECT_TRUE(says("The answer is 2 hours.", "2"));
}

TEST(AnswersNumber, ABoxMayHoldAComputation) {
  EXPECT_EQ(read("\\boxed{8 \\times 10}"), "80");
  EXPECT_EQ(read("\\boxed{50 - 2 \\cdot 4 + 6}"), "48");
  EXPECT_EQ(read("\\boxed{- 5}"), "-5");
  EXPECT_EQ(read("\\boxed{1\\text{,}234}"), "1234");
  EXPECT_NE(read("\\boxed{80-90}"), "-10") << "a range";
}

TEST(AnswersNumber, NumbersInWordsCountWhereThereAreNoOthers) {
  EXPECT_EQ(read("He sold his car. So he has a hundred dollars left."), "100");
  EXPECT_EQ(read("所以，杰夫得到八十美元。"), "80");
  EXPECT_EQ(read("答案是三分之二"), "2/3");
  EXPECT_EQ(read("答案是百分之十五"), "15%");
  EXPECT_EQ(read("This is a hard one."), "-");
}

TEST(AnswersNumber, ChineseUnitsBehindDigitsMultiplyAndFollowEachOther) {
  EXPECT_EQ(read("答案是1万2千。"), "12000");
  EXPECT_EQ(read("答案是3亿5千万元"), "350000000");
  EXPECT_EQ(read("答案是2千3百"), "2300");
  EXPECT_EQ(read("答案是5百万"), "5000000");
  EXPECT_EQ(read("答案是1.5万"), "15000");
  std::string many = "答案是1";
  for (int i = 0; i < 10'000; ++i) many += "万";
  EXPECT_EQ(read(many), "1000000000000");
}

TEST(AnswersNumber, AConclusionDoesNotOutweighWhatIsComputedBehindIt) {
  EXPECT_EQ(read("So he pays $96 in the second year.\nOver both years he pays $48 + $96 = $144."), "144");
  EXPECT_EQ(read("So he pays $144.\nCheck: 144 - 96 = 48."), "144");
}

TEST(AnswersNumber, WhatTheQuestionGivesIsSeldomTheResult) {
  const std::string question = "Tom picks apples for five days in 2 classes. How many apples does he have?";
  EXPECT_EQ(read("Therefore, he has 30 apples after 5 days.", question), "30");
  EXPECT_EQ(read("So there are 30 students in the 2 classes combined.", question), "30");
  EXPECT_EQ(read("So he gets 30 apples and keeps 5.", question), "5");
  EXPECT_EQ(read("So out of 30, 5 are left.", question), "5");
  EXPECT_EQ(read("Therefore, he has 5 apples after 30 days.", question), "30");
}

TEST(AnswersNumber, AnAnswerThatIsCutOffIsNone) {
  EXPECT_EQ(read("Thus, what he needs for 60 days is \\(\\boxed"), "-");
  EXPECT_EQ(read("Thus, what he needs for 60 days is \\(\\boxed{"), "-");
}

TEST(AnswersNumber, TheLastOfSeveralStatementsCounts) {
  EXPECT_EQ(read("First \\boxed{3} then \\boxed{5}, finally \\boxed{7}."), "7");
  EXPECT_EQ(read("Ans: 9\nNote: 3 pens are blue."), "9");
  EXPECT_EQ(read("【答案】36\n【解析】共 5 天。"), "36");
  EXPECT_EQ(read("Answer: **42**\n\nThis took 3 steps and we checked 2 of them."), "42");
}

TEST(AnswersNumber, HalfIsANumberWhereItIsTheWholeAnswer) {
  for (const char* half : {"The answer is half.", "The answer is a half.", "So the answer is half an hour.",
                           "The answer is half of it.", "答案是一半。", "答案是半小时。"}) {
    EXPECT_EQ(read(half), "1/2") << half;
  }
  EXPECT_EQ(read("The answer is half of the 48 = 24."), "24");
  EXPECT_EQ(read("The answer is half of 48, 24."), "24");
  EXPECT_EQ(read("The answer is half of 48."), "24");
  EXPECT_EQ(read("答案是48的一半，即24。"), "24");
  EXPECT_EQ(read("The answer is half as many, 12."), "12");
  EXPECT_EQ(read("Half of the 48 eggs are broken, so 24 eggs are left."), "24");
  EXPECT_EQ(read("The answer is half a million dollars."), "500000");
  EXPECT_EQ(read("答案是两个半小时。"), "5/2");
  EXPECT_EQ(read("答案是2个半小时。"), "5/2");
  for (const char* none : {"He ate half.", "The answer is half past three.", "他吃了一半"}) {
    EXPECT_NE(read(none), "1/2") << none;
  }
}

TEST(AnswersNumber, ARootIsReadWhereItIsExactAndElseIsNoNumber) {
  EXPECT_EQ(read("\\boxed{\\sqrt{16}}"), "4");
  EXPECT_EQ(read("\\boxed{2\\sqrt{9}}"), "6");
  EXPECT_EQ(read("\\boxed{-\\sqrt[3]{27}}"), "-3");
  EXPECT_EQ(read("\\boxed{\\frac{\\sqrt{4}}{8}}"), "1/4");
  EXPECT_EQ(read("The answer is $\\sqrt{25}$."), "5");
  EXPECT_EQ(read("The answer is √16."), "4");
  EXPECT_EQ(read("\\boxed{\\sqrt{2} \\approx 1.414}"), "707/500");
  for (const char* none : {"\\boxed{2\\sqrt{3}}", "\\boxed{\\frac{\\sqrt{3}}{2}}", "\\boxed{10\\pi}",
                           "The answer is $3\\sqrt{2}$", "\\boxed{5x}", "So it is 2\\sqrt{3}."}) {
    EXPECT_EQ(read(none), "-") << none;
  }
  EXPECT_EQ(read("\\boxed{\\sqrt{" + std::string(150, '9') + "}}"), "-");
}

TEST(AnswersNumber, ABoxOfSeveralNumbersIsNoAnswer) {
  for (const char* none : {"\\boxed{18, 20}", "\\boxed{18\\text{ or }20}"}) {
    EXPECT_EQ(read(none), "-") << none;
  }
}

TEST(AnswersNumber, TimesAndRatiosAreNotTheirFirstNumber) {
  EXPECT_EQ(read("The answer is 3:30 pm."), "-");
  EXPECT_EQ(read("The answer is 1:2."), "-");
  EXPECT_EQ(read("The answer is 7:00 AM."), "7");
}

TEST(AnswersNumber, WhatAResultIsComputedFromMayFollowIt) {
  EXPECT_EQ(read("The answer is 18 = 12 + 6."), "18");
  EXPECT_EQ(read("\\boxed{17 = 12 + 5}"), "17");
  EXPECT_EQ(read("\\boxed{(3 + 5) \\times 2}"), "16");
  EXPECT_EQ(read("\\boxed{\\frac{10+2}{3}}"), "4");
}

TEST(AnswersNumber, ACorrectionReplacesWhatWasStatedBefore) {
  for (const char* corrected :
       {"The answer is 17. Wait, no: 12 + 6 = 18.",
        "The answer is 17. Wait, I made a mistake: 12 + 6 = 18, so 18.", "The answer is 17... no, 18.",
        "The answer is 17, sorry, 18.", "The answer is 17. Hmm, once more. 12 + 6 = 18. So it's 18.",
        "答案是17。等等，重新计算，12+6=18，所以是18。"}) {
    EXPECT_EQ(read(corrected), "18") << corrected;
  }
  EXPECT_EQ(read("The answer is 18. Wait, let me check: 18 - 6 = 12, so 12 are left. Yes."), "18");
  EXPECT_EQ(read("The answer is 18. Wait, 3 of those were rotten from the start."), "18");
}

TEST(AnswersNumber, WhatFollowsTheAnswerIsNotTheAnswer) {
  EXPECT_EQ(read("She has 18 apples. Would you like me to explain step 2 in more detail?"), "18");
  EXPECT_EQ(read("So she has 18 apples. To verify: 18 - 12 = 6."), "18");
  EXPECT_EQ(read("The answer is 18.\n\nQuestion: Jane has 4 cats.\nAnswer: The answer is 16."), "18");
  EXPECT_EQ(read("Let me think.\nQuestion: Jane has 4 cats.\nAnswer: 16"), "16")
      << "nothing is stated before";
  EXPECT_EQ(read("Are there 5 or 6?"), "6") << "nothing but a question";
}

}  // namespace
}  // namespace touchstone
