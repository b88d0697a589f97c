#include "eval/scenario.h"

#include <gtest/gtest.h>

#include <fstream>

#include "base/error.h"
#include "report_fixture.h"

namespace touchstone {
namespace {
using testing::discordant;
using testing::FakeRun;
using testing::make_fake_report;

const Scenario& find_built_in(const std::string& name) {
  for (const Scenario& scenario : built_in_scenarios()) {
    if (scenario.name == name) return scenario;
  }
  throw std::runtime_error("no scenario " + name);
}

/// Alpha better at maths; both fast enough for everything.
FakeRun make_run() {
  FakeRun run;
  run.outcome = discordant(20, 2, 15);
  run.ttft_ms = {20, 21};
  run.tokens_per_second = {100, 100};
  run.memory = {200'000'000, 100'000'000};
  return run;
}

TEST(Scenario, TheBetterCandidateIsRecommended) {
  const ScenarioResult result = judge_scenario(make_fake_report(make_run()), find_built_in("tutor"));
  EXPECT_EQ(result.recommended, 0);
  bool cites = false;
  for (const std::string& line : result.lines)
    cites |= line.find("alpha is better (p < 0.001)") != std::string::npos;
  EXPECT_TRUE(cites) << "the recommendation must cite the measurement";
}

TEST(Scenario, ABrokenLimitOutweighsQuality) {
  FakeRun run = make_run();
  run.ttft_ms = {5000, 20};
  const ScenarioResult result = judge_scenario(make_fake_report(run), find_built_in("tutor"));
  EXPECT_EQ(result.recommended, 1);
  EXPECT_NE(result.recommendation.find("only one within the limits"), std::string::npos);
}

TEST(Scenario, NoneIsRecommendedWhenAllBreakALimit) {
  FakeRun run = make_run();
  run.tokens_per_second = {5, 6};
  const ScenarioResult result = judge_scenario(make_fake_report(run), find_built_in("tutor"));
  EXPECT_EQ(result.recommended, -1);
  EXPECT_NE(result.recommendation.find("none"), std::string::npos);
}

TEST(Scenario, AnInsignificantLeadIsNoReason) {
  FakeRun run = make_run();
  run.outcome = discordant(7, 4, 20);
  run.tokens_per_second = {100, 100};
  run.tokens = [](int, int) { return 100; };
  Scenario scenario = find_built_in("tutor");
  scenario.prefer = Measure::tokens_per_answer;
  const ScenarioResult result = judge_scenario(make_fake_report(run), scenario);
  EXPECT_EQ(result.recommended, -1);
  EXPECT_NE(result.recommendation.find("can't tell"), std::string::npos);
}

TEST(Scenario, OnATieInQualityThePreferredMeasureDecidesAndSaysSo) {
  FakeRun run = make_run();
  run.kinds = {"math", "code", "logic"};
  run.outcome = discordant(5, 5, 20);
  const ScenarioResult result = judge_scenario(make_fake_report(run), find_built_in("embedded"));
  EXPECT_EQ(result.recommended, 1);
  EXPECT_NE(result.recommendation.find("does not mean that there is none"), std::string::npos);
}

TEST(Scenario, TheCheaperCandidateIsNotChosenWhileItMayBeMuchWorse) {
  FakeRun run = make_run();
  run.items = 20;
  run.outcome = discordant(5, 0, 0);  // p = 0.06: no difference shown, none excluded
  run.tokens = [](int candidate, int) { return candidate == 0 ? 400 : 100; };
  const ScenarioResult result = judge_scenario(make_fake_report(run), find_built_in("tutor"));
  EXPECT_EQ(result.recommended, -1);
  EXPECT_NE(result.recommendation.find("beta needs less time for an answer, but may be worse by up to"),
            std::string::npos)
      << result.recommendation;
}

TEST(Scenario, EachBetterAtSomethingIsCantTell) {
  FakeRun run = make_run();
  run.kinds = {"math", "logic"};
  run.outcome = [](int candidate, int suite, int item, int sample) {
    return discordant(20, 2, 15)(suite == 0 ? candidate : 1 - candidate, suite, item, sample);
  };
  EXPECT_EQ(judge_scenario(make_fake_report(run), find_built_in("tutor")).recommended, -1);
}

TEST(Scenario, WithoutASuiteThatMattersItCantTell) {
  const ScenarioResult result = judge_scenario(make_fake_report(make_run()), find_built_in("ide"));
  EXPECT_EQ(result.recommended, -1);
  EXPECT_NE(result.recommendation.find("no suite that matters"), std::string::npos);
}

TEST(Scenario, LimitsThatWereNotMeasuredAreNotAssumed) {
  FakeRun run = make_run();
  run.ttft_ms = {};
  const ScenarioResult result = judge_scenario(make_fake_report(run), find_built_in("tutor"));
  EXPECT_EQ(result.recommended, -1);
  EXPECT_NE(result.lines[0].find("not measured"), std::string::npos);
}

TEST(Scenario, AFileMayDescribeIt) {
  const testing::TemporaryFolder folder;
  const auto file = folder.path() / "mine.json";
  std::ofstream(file)
      << R"({"name":"mine","title":"My use","suites":["code"],"memory_mb":150,"prefer":"ttft_ms"})";
  const Scenario scenario = load_scenario(file.string());
  EXPECT_EQ(scenario.title, "My use");
  EXPECT_EQ(scenario.memory_mb, 150);
  EXPECT_EQ(scenario.prefer, Measure::ttft_ms);
  FakeRun run = make_run();
  run.kinds = {"code"};
  EXPECT_EQ(judge_scenario(make_fake_report(run), scenario).recommended, 1);
}

TEST(Scenario, AMalformedOneIsRefusedByName) {
  for (const char* text : {"[", "[]", "{}", R"({"suites":[]})", R"({"suites":["cooking"]})",
                           R"({"suites":["math"],"ttft_ms":-1})", R"({"suites":["math"],"ttft_ms":"x"})",
                           R"({"suites":["math"],"prefer":"looks"})", R"({"suites":["math"],"latency":1})",
                           R"({"suites":"math"})", R"({"suites":["math"],"name":3})"}) {
    try {
      parse_scenario(text, "bad.json");
      ADD_FAILURE() << text;
    } catch (const Error& error) {
      EXPECT_NE(std::string(error.what()).find("bad.json"), std::string::npos) << text;
    }
  }
  EXPECT_THROW(load_scenario("nothing"), Error);
  EXPECT_THROW(load_scenario("./missing.json"), Error);
}

}  // namespace
}  // namespace touchstone
