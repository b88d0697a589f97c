#include "eval/report.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "eval/report_words.h"
#include "report_fixture.h"
#include "report_schema.h"

namespace touchstone {
namespace {
namespace json = boost::json;
using testing::discordant;
using testing::FakeRun;
using testing::make_fake_report;

bool contains(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

FakeRun make_full_run() {
  FakeRun run;
  run.kinds = {"math", "code", "logic"};
  run.outcome = discordant(20, 2, 15);
  run.tokens = [](int candidate, int item) { return candidate == 0 ? 300 + item : 40 + item % 7; };
  run.ttft_ms = {20, 30};
  run.tokens_per_second = {100, 200};
  run.memory = {200'000'000, 100'000'000};
  run.hidden_system_prompt = "You are a helpful assistant.";
  return run;
}

TEST(Report, ADifferenceIsPairedByItem) {
  FakeRun run;
  run.outcome = discordant(12, 3, 24);
  const Report report = make_fake_report(run);
  EXPECT_DOUBLE_EQ(report.candidates[0].suites[0].accuracy, 36.0 / 50);
  EXPECT_DOUBLE_EQ(report.candidates[1].suites[0].accuracy, 27.0 / 50);
  // Wilson 36/50 and Tango (12, 3, 50): the values of stats_test.
  EXPECT_NEAR(report.candidates[0].suites[0].interval.low, 0.58335, 1e-5);
  ASSERT_EQ(report.accuracy.size(), 1U);
  const AccuracyComparison& comparison = report.accuracy[0];
  EXPECT_NEAR(comparison.difference, 0.18, 1e-12);
  EXPECT_NEAR(comparison.interval.low, 0.031386257, 1e-7);
  EXPECT_NEAR(comparison.p, 0.03515625, 1e-12);
  EXPECT_EQ(comparison.better, 0);
  EXPECT_EQ(comparison.verdict, "alpha is better (p = 0.035)");
  EXPECT_EQ(comparison.only_a, 12);
  EXPECT_EQ(comparison.only_b_items, (std::vector<std::string>{"item-12", "item-13", "item-14"}));
}

TEST(Report, HolmTakesBackWhatOneOfThreeSuitesShowsAlone) {
  FakeRun run;
  run.kinds = {"math", "code", "logic"};
  run.outcome = [](int candidate, int suite, int item, int sample) {
    return suite == 0 ? discordant(12, 3, 24)(candidate, suite, item, sample)
                      : discordant(5, 5, 20)(candidate, suite, item, sample);
  };
  const Report report = make_fake_report(run);
  EXPECT_NEAR(report.accuracy[0].p_holm, 3 * 0.03515625, 1e-12);
  EXPECT_EQ(report.accuracy[0].better, -1);
  EXPECT_TRUE(contains(report.accuracy[0].verdict, "can't tell: p = 0.035, p = 0.105 with Holm's correction"))
      << report.accuracy[0].verdict;
  EXPECT_TRUE(contains(report.accuracy[0].verdict, "more items would be needed"));
  EXPECT_TRUE(contains(report.accuracy[1].verdict, "no difference was seen"));
}

TEST(Report, CantTellSaysWhatTheseItemsCouldHaveShown) {
  FakeRun run;
  run.outcome = discordant(7, 4, 20);
  const AccuracyComparison comparison = make_fake_report(run).accuracy[0];
  EXPECT_EQ(comparison.better, -1);
  // 11 discordant: 10 to 1 is the first significant split (p = 0.012; 9 to 2: 0.065).
  EXPECT_NEAR(comparison.detectable.value(), 9.0 / 50, 1e-12);
  // Connor with δ = 0.06, ψ = 0.22: 478 items, 428 more.
  EXPECT_NEAR(comparison.more_items.value(), 428, 1);
  EXPECT_TRUE(contains(comparison.verdict, "about 430 more items")) << comparison.verdict;
}

TEST(Report, OutcomesAreCountedApart) {
  FakeRun run;
  run.items = 14;
  run.outcome = [](int, int, int item, int) { return kOutcomes[static_cast<std::size_t>(item % 6)]; };
  const Report report = make_fake_report(run);
  const SuiteResult& result = report.candidates[0].suites[0];
  EXPECT_EQ(result.outcomes[static_cast<std::size_t>(Outcome::correct)], 3);
  EXPECT_EQ(result.outcomes[static_cast<std::size_t>(Outcome::cut_off)], 2);
  EXPECT_EQ(result.outcomes[static_cast<std::size_t>(Outcome::timed_out)], 2);
  EXPECT_EQ(result.outcomes[static_cast<std::size_t>(Outcome::error)], 0);
  EXPECT_DOUBLE_EQ(result.accuracy, 3.0 / 14);
  ASSERT_FALSE(report.notes.empty());
  EXPECT_TRUE(contains(report.notes[0], "alpha: 4 of 14 answers ran into the limit of 2048 tokens"))
      << report.notes[0];
}

TEST(Report, OneThingIsCountedInTheSingular) {
  FakeRun run;
  run.items = 2;
  run.outcome = [](int candidate, int, int item, int) {
    if (item == 1) return Outcome::error;
    return candidate == 0 ? Outcome::correct : Outcome::cut_off;
  };
  const Report report = make_fake_report(run);
  for (const std::string& text :
       {report_to_markdown(report), report_to_html(report), report_to_text(report)}) {
    EXPECT_TRUE(contains(text, "1 item could not be graded for every candidate and is left out")) << text;
    EXPECT_FALSE(contains(text, "1 items")) << text;
  }
  EXPECT_TRUE(contains(report_to_markdown(report), "Maths accuracy (math, 1 item)"));
  EXPECT_TRUE(contains(report_to_html(report), "Maths accuracy (math, 1 item)"));
  EXPECT_TRUE(contains(report_to_html(report), "alpha right where beta is not: 1 item</summary>"));
}

TEST(Report, ItemsThatCouldNotBeGradedAreLeftOutForEveryone) {
  FakeRun run;
  run.items = 20;
  run.outcome = [](int candidate, int, int item, int) {
    if (candidate == 1 && item < 5) return Outcome::error;
    return item < 10 ? Outcome::correct : Outcome::wrong;
  };
  const Report report = make_fake_report(run);
  EXPECT_EQ(report.excluded_items, 5);
  EXPECT_EQ(report.candidates[0].suites[0].items, 15);
  EXPECT_DOUBLE_EQ(report.candidates[0].suites[0].accuracy, 5.0 / 15);
  EXPECT_TRUE(contains(report_to_markdown(report), "5 items could not be graded"));
}

TEST(Report, SeveralSamplesOfAnItemAreNotIndependentTrials) {
  FakeRun run;
  run.samples = 4;
  run.outcome = [](int candidate, int, int item, int) {
    return item < (candidate == 0 ? 30 : 20) ? Outcome::correct : Outcome::wrong;
  };
  const Report report = make_fake_report(run);
  const SuiteResult& result = report.candidates[0].suites[0];
  EXPECT_DOUBLE_EQ(result.accuracy, 0.6);
  // All samples of an item agree, so 200 answers tell what 50 would.
  const Interval alone = wilson_interval(30, 50);
  EXPECT_NEAR(result.interval.low, alone.low, 0.005);
  EXPECT_NEAR(report.accuracy[0].p, exact_mcnemar(10, 0), 1e-12);
  EXPECT_EQ(report_to_json(report).at("accuracy_comparisons").at(0).at("test").as_string(),
            "exact sign-flip");
}

TEST(Report, LatencyIsComparedByRepetition) {
  const Report report = make_fake_report(make_full_run());
  const auto find = [&](Measure measure) {
    for (const MeasureComparison& comparison : report.measures) {
      if (comparison.measure == measure) return comparison;
    }
    throw std::runtime_error("the measure is missing");
  };
  const MeasureComparison ttft = find(Measure::ttft_ms);
  EXPECT_NEAR(ttft.estimate.estimate, 20.0 / 30, 0.01);
  EXPECT_EQ(ttft.better, 0);
  EXPECT_TRUE(contains(ttft.verdict, "alpha begins to answer sooner (x0.67")) << ttft.verdict;
  EXPECT_EQ(find(Measure::decode_tokens_per_second).better, 1);
  const MeasureComparison memory = find(Measure::peak_memory_bytes);
  EXPECT_EQ(memory.better, 1);
  EXPECT_DOUBLE_EQ(memory.estimate.estimate, 1e8);
  EXPECT_EQ(find(Measure::tokens_per_answer).better, 1);
  EXPECT_EQ(find(Measure::seconds_per_answer).better, 1);
  // About 3.2 s at 100 tokens/s for some 325 tokens.
  EXPECT_NEAR(report.candidates[0].seconds_alone.mean, 0.02 + 324.5 / 99, 0.05);
}

TEST(Report, NearlyEqualMemoryIsATie) {
  FakeRun run = make_full_run();
  run.memory = {100'000'000, 103'000'000};
  for (const MeasureComparison& comparison : make_fake_report(run).measures) {
    const bool memory = comparison.measure == Measure::peak_memory_bytes;
    EXPECT_TRUE(!memory || comparison.better == -1);
  }
}

TEST(Report, WithoutALatencyPassThereAreNoLatencyRows) {
  FakeRun run = make_full_run();
  run.ttft_ms = {};
  const Report report = make_fake_report(run);
  const Table table = make_summary_table(report);
  for (const auto& row : table.rows) EXPECT_FALSE(contains(row[0], "TTFT"));
  EXPECT_TRUE(report_to_json(report).at("candidates").at(0).at("ttft_ms").is_null());
}

TEST(Report, ThreeCandidatesArePairedEachWithEachOrWithTheBaseline) {
  FakeRun run = make_full_run();
  run.models = {"alpha", "beta", "gamma"};
  run.ttft_ms = {10, 20, 30};
  run.tokens_per_second = {10, 20, 30};
  run.memory = {1, 2, 3};
  EXPECT_EQ(make_fake_report(run).accuracy.size(), 9U);
  const Report against_beta = make_fake_report(run, 1);
  EXPECT_EQ(against_beta.accuracy.size(), 6U);
  for (const AccuracyComparison& comparison : against_beta.accuracy) {
    EXPECT_TRUE(comparison.a == 1 || comparison.b == 1);
  }
}

TEST(Report, AgainstABaselineADifferenceIsWhatTheOtherAdds) {
  FakeRun run;
  run.outcome = discordant(12, 3, 24);
  for (const int baseline : {0, 1}) {
    const AccuracyComparison comparison = make_fake_report(run, baseline).accuracy.at(0);
    EXPECT_EQ(comparison.b, baseline);
    EXPECT_NEAR(comparison.difference, baseline == 1 ? 0.18 : -0.18, 1e-12);
    EXPECT_EQ(comparison.better, 0);
  }
  EXPECT_TRUE(contains(report_to_text(make_fake_report(run, 0)), "Differences are beta - alpha"));
}

TEST(Report, NoSpeedIsBelowZeroAndScatterIsSaid) {
  FakeRun run = make_full_run();
  run.wobble = 40;
  const Report report = make_fake_report(run);
  const Summary& rate = report.candidates[0].decode_tokens_per_second;
  EXPECT_GT(rate.standard_deviation, rate.mean);
  ASSERT_TRUE(rate.interval.has_value());
  EXPECT_GT(rate.interval->low, 0);
  EXPECT_TRUE(contains(report_to_markdown(report), "something else ran on this machine"));
  EXPECT_FALSE(contains(report_to_markdown(make_fake_report(make_full_run())), "something else ran"));
}

TEST(Report, SecondsOfAnAnswerAreNoSurerThanTheSpeedTheyComeFrom) {
  FakeRun run = make_full_run();
  run.tokens = [](int, int) { return 100; };  // items do not vary
  run.wobble = 5;
  const CandidateResult noisy = make_fake_report(run).candidates[0];
  ASSERT_TRUE(noisy.seconds_alone.interval.has_value());
  const Interval& interval = *noisy.seconds_alone.interval;
  EXPECT_GT(interval.high - interval.low, 0.5 * noisy.seconds_alone.mean);
  EXPECT_LT(interval.low, noisy.seconds_alone.mean);
}

TEST(Report, ASettingSurvivesTheStore) {
  RunSettings settings;
  settings.models = {"a", "b"};
  settings.suites = {"math"};
  settings.seed = 18446744073709551615U;
  settings.temperature = 0.25;
  settings.raw = true;
  const json::object object = settings_to_json(settings);
  EXPECT_EQ(settings_to_json(settings_from_json(json::parse(json::serialize(object)).as_object())), object);
  json::object broken = object;
  broken["limit"] = "many";
  EXPECT_THROW(settings_from_json(broken), Error);
}

TEST(ReportJson, FitsTheCommittedSchema) {
  const json::value schema = testing::read_json(testing::source_dir() / "docs/report.schema.json");
  FakeRun plain;
  plain.outcome = discordant(5, 5, 5);
  FakeRun failed = make_full_run();
  failed.outcome = [](int, int, int item, int) { return kOutcomes[static_cast<std::size_t>(item % 7)]; };
  failed.samples = 3;
  for (const FakeRun& run : {plain, make_full_run(), failed}) {
    Report report = make_fake_report(run);
    report.scenarios.push_back({"ide", "IDE", 0, "alpha", {"line"}});
    report.scenarios.push_back({"tutor", "Tutor", -1, "can't tell", {}});
    EXPECT_EQ(testing::check_schema(schema, report_to_json(report)), "");
  }
}

TEST(ReportJson, HasTheTranscripts) {
  const Report report = make_fake_report(make_full_run());
  const json::array items = report_to_json(report).at("items").as_array();
  ASSERT_EQ(items.size(), report.items.size());
  EXPECT_EQ(items[0].at("prompt").as_string(), report.items[0].prompt);
  const json::value& answer = items[0].at("answers").at(0);
  EXPECT_EQ(answer.at("text").as_string(), report.answers[0].text);
  EXPECT_EQ(answer.at("reasoning").as_string(), report.answers[0].reasoning);
}

TEST(ReportJson, TheSchemaRefusesWhatDoesNotFit) {
  const json::value schema = testing::read_json(testing::source_dir() / "docs/report.schema.json");
  const json::object good = report_to_json(make_fake_report(make_full_run()));
  for (const auto& [key, value] : good) {
    json::object without = good;
    without.erase(key);
    EXPECT_NE(testing::check_schema(schema, without), "") << key;
  }
  json::object wrong_type = good;
  wrong_type["candidates"].as_array()[0].as_object()["threads"] = "many";
  EXPECT_NE(testing::check_schema(schema, wrong_type), "");
  json::object unknown = good;
  unknown["candidates"].as_array()[0].as_object()["suites"].as_array()[0].as_object()["surprise"] = 1;
  EXPECT_NE(testing::check_schema(schema, unknown), "");
  json::object wrong_enum = good;
  wrong_enum["suites"].as_array()[0].as_object()["kind"] = "cooking";
  EXPECT_NE(testing::check_schema(schema, wrong_enum), "");
}

TEST(ReportHtml, EscapesWhateverAModelWrote) {
  FakeRun run = make_full_run();
  run.text = "</pre><script>alert('x')</script><img src=\"http://evil/\">&\x01\x1b[31m";
  run.models = {"<b>alpha</b>", "beta"};
  const std::string html = report_to_html(make_fake_report(run));
  EXPECT_FALSE(contains(html, "<script"));
  EXPECT_FALSE(contains(html, "<img"));
  EXPECT_FALSE(contains(html, "<b>alpha"));
  EXPECT_FALSE(contains(html, "\x1b"));
  EXPECT_TRUE(contains(html, "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;"));
  EXPECT_TRUE(contains(html, "question &lt;7&gt;"));
}

TEST(ReportHtml, IsOneFileThatLoadsNothing) {
  const std::string html = report_to_html(make_fake_report(make_full_run()));
  for (const char* banned :
       {"http:", "https:", "src=", "@import", "url(", "<link", "<script", "javascript:"}) {
    EXPECT_FALSE(contains(html, banned)) << banned;
  }
  for (const char* needed : {"name=\"viewport\"", "prefers-color-scheme:dark", "<details>",
                             "default-src 'none'", "<h4>Thinking", "Expected", "item-49"}) {
    EXPECT_TRUE(contains(html, needed)) << needed;
  }
}

TEST(ReportHtml, EveryElementThatOpensCloses) {
  const std::string html = report_to_html(make_fake_report(make_full_run()));
  for (const std::string tag :
       {"div", "details", "summary", "table", "tr", "td", "pre", "ul", "li", "p", "span"}) {
    const auto count = [&](const std::string& text) {
      std::size_t found = 0;
      for (std::size_t at = html.find(text); at != std::string::npos; at = html.find(text, at + 1)) ++found;
      return found;
    };
    EXPECT_EQ(count("<" + tag + ">") + count("<" + tag + " "), count("</" + tag + ">")) << tag;
  }
}

TEST(ReportMarkdown, HasTheRowsOfTheClassicTable) {
  const std::string text = report_to_markdown(make_fake_report(make_full_run()));
  for (const char* row : {"| Maths accuracy", "| Code pass rate", "| Logic accuracy", "| TTFT, mean ± std",
                          "| Tokens/s", "| Peak memory", "| Tokens per answer", "| Seconds per answer, alone",
                          "| Seconds per answer, in a batch"}) {
    EXPECT_TRUE(contains(text, row)) << row;
  }
  EXPECT_TRUE(contains(text, "You are a helpful assistant."));
  EXPECT_TRUE(contains(text, "math: alpha right where beta is not (20): item-0, item-1"));
}

TEST(ReportMarkdown, ANameCannotBreakATable) {
  FakeRun run = make_full_run();
  run.models = {"al|pha\n# injected [x](http://evil/)<b>", "beta"};
  const std::string text = report_to_markdown(make_fake_report(run));
  EXPECT_FALSE(contains(text, "\n# injected"));
  EXPECT_TRUE(contains(text, "al\\|pha"));
  EXPECT_FALSE(contains(text, "](http"));
  EXPECT_FALSE(contains(text, " <b>"));
}

TEST(ReportText, NamesItemsThatFlipped) {
  const std::string text = report_to_text(make_fake_report(make_full_run()));
  EXPECT_TRUE(contains(text, "math: beta right where alpha is not (2): item-20, item-21\n")) << text;
  EXPECT_TRUE(contains(text, "(20): item-0, item-1, item-2, item-3, item-4, item-5, item-6, item-7, …\n"));
}

TEST(ReportText, SendsNoControlCharactersToTheTerminal) {
  FakeRun run = make_full_run();
  run.models = {"alpha\x1b[2J", "beta"};
  run.hidden_system_prompt = "clear\x1b[2J\nscreen";
  const std::string text = report_to_text(make_fake_report(run));
  EXPECT_FALSE(contains(text, "\x1b"));
  EXPECT_TRUE(contains(text, "Maths accuracy (math, 50 items)"));
}

TEST(ReportWords, RoundsAsPeopleDo) {
  EXPECT_EQ(format_about(7), "7");
  EXPECT_EQ(format_about(100), "100");
  EXPECT_EQ(format_about(421), "430");
  EXPECT_EQ(format_about(12345), "13000");
  EXPECT_EQ(format_about(5e7), "more than 1,000,000");
  EXPECT_EQ(format_p(0.0004), "p < 0.001");
  EXPECT_EQ(format_p(0.0351), "p = 0.035");
  EXPECT_EQ(format_p(1), "p = 1");
  EXPECT_EQ(format_bytes(12'345'678), "12.3 MB");
  EXPECT_EQ(format_bytes(3.31e9), "3.31 GB");
}

}  // namespace
}  // namespace touchstone
