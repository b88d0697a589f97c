#include "eval/grade.h"

#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <map>
#include <string>

#include "answers/extract_number.h"
#include "answers/extract_text.h"
#include "support/golden.h"

namespace touchstone {
namespace {

namespace json = boost::json;

std::string text_of(const json::value& value, const char* key) {
  return std::string(value.at(key).as_string());
}

std::vector<json::value> own_cases(const std::string& name) {
  return testing::read_json_lines(testing::source_dir() / "tests/eval/cases" / (name + ".jsonl"));
}

void expect_grade(const Item& item, const std::string& output, const std::string& expected) {
  const Grade graded = grade(item, output);
  EXPECT_EQ(verdict_name(graded.verdict), expected)
      << output << "\n-> " << graded.extracted << ": " << graded.why;
  EXPECT_FALSE(graded.why.empty()) << output;
}

/// A HumanEval problem of the golden cases.
Item code_item() {
  for (const json::value& row : testing::read_json_lines(testing::data_dir() / "grader_cases.jsonl")) {
    if (text_of(row, "task") == "humaneval")
      return parse_item(TaskKind::code, row.at("item").as_object(), "case");
  }
  throw std::runtime_error("grader_cases.jsonl holds no code");
}

TEST(Grade, TheGoldenCasesGetTheGradesThatTheyDeserve) {
  const std::map<std::string, TaskKind> kinds = {
      {"gsm8k", TaskKind::math}, {"humaneval", TaskKind::code}, {"logiqa", TaskKind::logic}};
  int cases = 0;
  for (const json::value& row : testing::read_json_lines(testing::data_dir() / "grader_cases.jsonl")) {
    const Item item = parse_item(kinds.at(text_of(row, "task")), row.at("item").as_object(), "case");
    expect_grade(item, text_of(row, "output"), text_of(row, "expected"));
    ++cases;
  }
  EXPECT_GE(cases, 37);
}

TEST(Grade, NumbersAreReadFromManyWaysOfWriting) {
  int cases = 0;
  for (const json::value& row : own_cases("numbers")) {
    Item item;
    item.answer = text_of(row, "answer");
    expect_grade(item, text_of(row, "output"), text_of(row, "expected"));
    ++cases;
  }
  EXPECT_GE(cases, 120);
}

TEST(Grade, OptionsAreReadFromManyWaysOfWriting) {
  Item item;
  item.kind = TaskKind::logic;
  item.options = {"Dana is a pilot", "Every pilot in the club can read maps",
                  "Someone without a compass is a pilot", "Dana can read maps"};
  item.answer_index = 1;
  int cases = 0;
  for (const json::value& row : own_cases("options")) {
    expect_grade(item, text_of(row, "output"), text_of(row, "expected"));
    ++cases;
  }
  EXPECT_GE(cases, 90);
}

TEST(Grade, CodeIsFoundInManyFormsAndHostileCodeNeverPasses) {
  const Item item = code_item();
  int cases = 0;
  for (const json::value& row : own_cases("code")) {
    SCOPED_TRACE(text_of(row, "what"));
    expect_grade(item, text_of(row, "output"), text_of(row, "expected"));
    ++cases;
  }
  EXPECT_GE(cases, 45);
}

TEST(Grade, EveryCanonicalSolutionOfTheCodeSuitePasses) {
  for (const Item& item : load_suite("code").items) {
    ASSERT_FALSE(item.canonical_solution.empty()) << item.id;
    const Grade graded = grade(item, "```python\n" + item.prompt + item.canonical_solution + "```");
    EXPECT_EQ(graded.verdict, Verdict::correct) << item.id << ": " << graded.why;
  }
}

TEST(Grade, ARawContinuationOfThePromptPasses) {
  int cases = 0;
  for (const Item& item : load_suite("code").items) {
    if (++cases > 10) break;
    for (const std::string& body : {item.canonical_solution, std::string(trim(item.canonical_solution)),
                                    item.canonical_solution + "\n\ndef main():\n    unfinished("}) {
      const Grade graded = grade(item, body);
      EXPECT_EQ(graded.verdict, Verdict::correct) << item.id << ": " << graded.why << "\n" << body;
    }
  }
}

TEST(Grade, AnEndlessLoopIsWrongAndSaidToHaveTimedOut) {
  const Grade graded =
      grade(code_item(), "```python\ndef double_the_difference(lst):\n    while True: pass\n```");
  EXPECT_EQ(graded.verdict, Verdict::wrong);
  EXPECT_TRUE(graded.timed_out);
}

TEST(Grade, ThinkingThatThePromptOpenedIsNotAnAnswer) {
  Item item;
  item.answer = "80";
  EXPECT_EQ(grade(item, "so \\boxed{80}", true).verdict, Verdict::unanswered);
  EXPECT_EQ(grade(item, "so \\boxed{83}\n</think>\n\n\\boxed{80}", true).verdict, Verdict::correct);
  EXPECT_EQ(grade(item, "so \\boxed{83}\n</think>\n\n\\boxed{80}", false).verdict, Verdict::correct);
  EXPECT_EQ(grade(item, "so \\boxed{80}", false).verdict, Verdict::correct);
}

TEST(Grade, AnswersOfEveryShapeEndInAVerdict) {
  Item number;
  number.answer = "3";
  Item option;
  option.kind = TaskKind::logic;
  option.options = {"a", "b"};
  for (const char* piece :
       {"{",       "}",        "\\boxed{",   "\\frac{", "**",  "####",    "= ",      "-",
        "9",       "1,",       "answer is ", "\xE7",    "A, ", "\\text{", "一",      "</think>",
        "<think>", "million ", "(",          "\n",      "so ", "wait ",   "hundred "}) {
    std::string text = "one ";
    for (int i = 0; i < 3000; ++i) text += piece;
    EXPECT_FALSE(grade(number, text).why.empty()) << piece;
    EXPECT_FALSE(grade(option, text).why.empty()) << piece;
  }
}

TEST(Number, EqualNumbersAreEqualHoweverTheyAreWritten) {
  const std::vector<std::vector<std::string>> groups = {
      {"17", "17.0", "17.00", "+17", "34/2", "\\frac{34}{2}", "１７", "1.7e1", "$17", "17 dollars", "17%"},
      {"0.75", "3/4", ".75", "\\dfrac{3}{4}", "75/100"},
      {"1234567", "1,234,567", "1 234 567", "1{,}234{,}567", "1\\,234\\,567", "1，234，567"},
      {"-2.5", "-5/2", "−2.5", "-$2.50", "$-2.50", "-2 1/2"},
      {"0.1", "1/10", "0.10", "10^{-1}"}};
  for (const auto& group : groups) {
    for (const std::string& text : group) {
      const auto number = parse_number(text);
      ASSERT_TRUE(number) << text;
      EXPECT_EQ(number->value, parse_number(group[0])->value) << text;
    }
  }
}

TEST(Number, WhatIsNotOneNumberIsNotRead) {
  for (const char* text :
       {"", "many", "3, 4", "3 and 4", "70-80", "1/0", "3:45", "1. Compute", "+", "-", "."}) {
    EXPECT_FALSE(parse_number(text)) << text;
  }
}

TEST(Number, LargeNumbersAreExact) {
  EXPECT_EQ(parse_number("123456789012345678901234567890.5")->value, "246913578024691357802469135781/2");
  EXPECT_FALSE(same_number(*parse_number("9007199254740993"), *parse_number("9007199254740992")));
  EXPECT_FALSE(parse_number(std::string(10'000, '9')));
}

}  // namespace
}  // namespace touchstone
