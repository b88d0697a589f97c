#include "eval/suite.h"

#include <gtest/gtest.h>

#include <array>
#include <fstream>
#include <functional>
#include <set>
#include <string>

#include "base/error.h"
#include "support/golden.h"

namespace touchstone {
namespace {

const std::string kMathHeader =
    R"({"suite":"mine","kind":"math","version":1,"licence":"CC0","provenance":"me","prompt":"{question}!"})";

std::string error_of(const std::function<void()>& act) {
  try {
    act();
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

std::string parse_error(const std::string& text) {
  return error_of([&] { parse_suite(text, "file.jsonl", "file"); });
}

TEST(Suite, EveryEmbeddedSuiteHoldsFiftyItemsAndSaysItsLicence) {
  for (const std::string& name : embedded_suite_names()) {
    const Suite suite = load_suite(name);
    EXPECT_EQ(suite.items.size(), 50U) << name;
    EXPECT_FALSE(suite.licence.empty()) << name;
    EXPECT_FALSE(suite.provenance.empty()) << name;
    EXPECT_EQ(suite.fingerprint.size(), 16U) << name;
    for (const Item& item : suite.items) {
      EXPECT_EQ(user_turn(suite, item).find("{question}"), std::string::npos) << item.id;
      EXPECT_GT(user_turn(suite, item).size(), 10U) << item.id;
    }
  }
}

TEST(Suite, TheLogicSuiteSpreadsItsAnswersAndHasBothLanguages) {
  const Suite suite = load_suite("logic");
  std::array<int, 4> answers{};
  int chinese = 0;
  for (const Item& item : suite.items) {
    ASSERT_EQ(item.options.size(), 4U) << item.id;
    EXPECT_EQ(std::set<std::string>(item.options.begin(), item.options.end()).size(), 4U) << item.id;
    ++answers.at(item.answer_index);
    chinese += item.language == "zh" ? 1 : 0;
  }
  for (const int count : answers) EXPECT_NEAR(count, 12.5, 1);
  EXPECT_EQ(chinese, 20);
}

TEST(Suite, ItemsInChineseGetTheChineseInstruction) {
  const Suite suite = load_suite("logic");
  for (const Item& item : suite.items) {
    const std::string turn = user_turn(suite, item);
    EXPECT_EQ(turn.find("答案：X") != std::string::npos, item.language == "zh") << item.id;
    EXPECT_EQ(turn.find("Answer: X") != std::string::npos, item.language == "en") << item.id;
  }
}

TEST(Suite, AHeaderAndItemsAreRead) {
  const Suite suite =
      parse_suite(kMathHeader + "\r\n\n" + R"({"id":"a","question":"2+2?","answer":"4","steps":1})" + "\r\n" +
                      R"({"id":7,"question":"1/2?","answer":0.5})",
                  "file.jsonl", "file");
  ASSERT_EQ(suite.items.size(), 2U);
  EXPECT_EQ(suite.kind, TaskKind::math);
  EXPECT_EQ(suite.licence, "CC0");
  EXPECT_EQ(suite.items[0].steps, 1);
  EXPECT_EQ(suite.items[1].id, "7");
  EXPECT_EQ(user_turn(suite, suite.items[0]), "2+2?!");
}

TEST(Suite, TemplatesAreFilledInOnePass) {
  Suite suite;
  suite.prompt = "{question} {A} {options} {unknown} {";
  Item item;
  item.question = "{A} and {question}";
  item.options = {"{B}", "two"};
  EXPECT_EQ(user_turn(suite, item), "{A} and {question} {B} A. {B}\nB. two {unknown} {");
}

TEST(Suite, TheOriginalFormOfGsm8kIsRead) {
  const Suite suite =
      parse_suite(R"({"question":"How many?","answer":"3*4=<<3*4=12>>12,000\n#### 12,000"})", "f", "gsm");
  ASSERT_EQ(suite.items.size(), 1U);
  EXPECT_EQ(suite.items[0].answer, "12,000");
  EXPECT_EQ(suite.items[0].id, "gsm-1");
  EXPECT_NE(user_turn(suite, suite.items[0]).find("\\boxed{}"), std::string::npos);
}

TEST(Suite, TheOriginalFormOfHumanEvalIsRead) {
  const Suite suite = parse_suite(
      R"({"task_id":"HumanEval/0","prompt":"def f(x):\n","entry_point":"f","canonical_solution":"    return x\n","test":"def check(candidate):\n    assert candidate(1) == 1\n"})",
      "f", "f");
  ASSERT_EQ(suite.items.size(), 1U);
  EXPECT_EQ(suite.kind, TaskKind::code);
  EXPECT_EQ(suite.items[0].id, "HumanEval/0");
}

TEST(Suite, TheTextFormOfLogiqaIsReadInBothLanguages) {
  const std::string text =
      "\xEF\xBB\xBF\r\nb\r\nAll cats purr.\r\nWhat follows?\r\nA.Dogs purr.\r\nB.Tom the cat purrs.\r\nC. "
      "None.\r\nD.All.\r\n"
      "\r\nd\r\n如果下雨，图书馆就闭馆。\r\n由此可以推出：\r\n甲\r\n乙\r\n丙\r\n丁\r\n";
  const Suite suite = parse_suite(text, "Test.txt", "Test");
  ASSERT_EQ(suite.items.size(), 2U);
  EXPECT_EQ(suite.kind, TaskKind::logic);
  EXPECT_EQ(suite.items[0].answer_index, 1U);
  EXPECT_EQ(suite.items[0].options[1], "Tom the cat purrs.");
  EXPECT_EQ(suite.items[0].language, "en");
  EXPECT_EQ(suite.items[1].answer_index, 3U);
  EXPECT_EQ(suite.items[1].language, "zh");
  EXPECT_NE(user_turn(suite, suite.items[1]).find("D. 丁"), std::string::npos);
}

TEST(Suite, TheJsonFormOfLogiqaTakesPositionsAndLetters) {
  const Suite suite =
      parse_suite(R"({"id":"1","context":"c","question":"q","options":["x","y","z","w"],"answer":2})"
                  "\n"
                  R"({"id":"2","context":"c","question":"q","options":["x","y","z","w"],"answer":"d"})",
                  "f", "f");
  ASSERT_EQ(suite.items.size(), 2U);
  EXPECT_EQ(suite.items[0].answer_index, 2U);
  EXPECT_EQ(suite.items[1].answer_index, 3U);
}

TEST(Suite, ErrorsNameTheFileTheLineAndWhatIsWrong) {
  const std::string good = R"({"id":"a","question":"q","answer":"1"})";
  EXPECT_NE(parse_error(good + "\n{\"id\":").find("file.jsonl, line 2: not valid JSON"), std::string::npos);
  EXPECT_NE(parse_error(good + "\n[1]").find("line 2: not a JSON object"), std::string::npos);
  EXPECT_NE(parse_error(good + "\n{\"id\":\"b\",\"answer\":\"1\"}").find("\"question\" is missing"),
            std::string::npos);
  EXPECT_NE(parse_error(good + "\n" + R"({"id":"b","question":"q","answer":"many"})").find("not a number"),
            std::string::npos);
  EXPECT_NE(parse_error(good + "\n" + good).find("two items with the id 'a'"), std::string::npos);
  EXPECT_NE(parse_error("").find("is empty"), std::string::npos);
  EXPECT_NE(parse_error(" \n\n").find("is empty"), std::string::npos);
  EXPECT_NE(parse_error(kMathHeader).find("holds no items"), std::string::npos);
  EXPECT_NE(parse_error("{\"suite\":\"x\",\"kind\":\"music\"}").find("not math, code or logic"),
            std::string::npos);
  EXPECT_NE(parse_error("{\"foo\":1}").find("neither a suite's header nor an item"), std::string::npos);
  EXPECT_NE(
      parse_error(R"({"name":"mine","kind":"math","prompt":"{question}"})").find("needs the field \"suite\""),
      std::string::npos);
  EXPECT_NE(parse_error("\nq\ncontext\n").find("file.jsonl, line 2: not one of the letters"),
            std::string::npos);
  EXPECT_NE(parse_error("\na\ncontext\nquestion\nA. 1\n").find("ends after line 5"), std::string::npos);
  EXPECT_NE(parse_error(R"({"id":"1","question":"q","options":["x","y"],"answer":2})").find("\"answer\""),
            std::string::npos);
  EXPECT_NE(
      parse_error(R"({"task_id":"1","prompt":"p","entry_point":"f","test":"pass"})").find("could never fail"),
      std::string::npos);
  EXPECT_NE(
      parse_error(R"({"task_id":"1","prompt":"p","entry_point":"f(","test":"assert 1"})").find("entry_point"),
      std::string::npos);
}

TEST(Suite, HostileInputIsAnError) {
  EXPECT_NE(parse_error("{\"id\":" + std::string(100'000, '[')).find("not valid JSON"), std::string::npos);
  EXPECT_NE(parse_error("{\"id\":\"" + std::string(11U << 20U, 'x') + "\"}").find("longer than 10 MiB"),
            std::string::npos);
  EXPECT_NE(parse_error(R"({"id":"a","question":"q","answer":")" + std::string(100'000, '9') + "\"}")
                .find("not a number"),
            std::string::npos);
}

TEST(Suite, AMissingFileAndAFileByPathAreToldApart) {
  EXPECT_NE(error_of([] { load_suite("no/such/file.jsonl"); }).find("no suite 'no/such/file.jsonl'"),
            std::string::npos);
  const testing::TemporaryFolder folder;
  const std::filesystem::path path = folder.path() / "mine.jsonl";
  std::ofstream(path) << R"({"question":"q","answer":"#### 3"})"
                      << "\n";
  const Suite suite = load_suite(path.string());
  EXPECT_EQ(suite.name, "mine");
  EXPECT_EQ(suite.items.size(), 1U);
}

}  // namespace
}  // namespace touchstone
