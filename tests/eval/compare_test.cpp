#include "eval/compare.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/file.h>

#include <atomic>
#include <fstream>
#include <thread>

#include "base/descriptor.h"
#include "base/error.h"
#include "report_schema.h"
#include "support/golden.h"

namespace touchstone {
namespace {
namespace fs = std::filesystem;
using testing::TemporaryFolder;

void write_suite(const fs::path& file, int items) {
  std::ofstream out(file);
  out << R"({"suite":"tiny","kind":"math","version":1,"licence":"MIT","provenance":"test","prompt":"{question}"})"
      << '\n';
  for (int i = 0; i < items; ++i) {
    out << R"({"id":"t)" << i << R"(","question":"Kim has )" << i
        << R"( apples and finds 2 more. How many?","answer":")" << i + 2 << "\"}\n";
  }
}

/// Two small models and a suite of six items; answers are short so that the test is quick.
CompareOptions make_options(const TemporaryFolder& folder) {
  write_suite(folder.path() / "tiny.jsonl", 6);
  CompareOptions options;
  options.models = {(testing::source_dir() / "demo/distilled").string(),
                    (testing::source_dir() / "demo/native").string()};
  options.suites = {(folder.path() / "tiny.jsonl").string()};
  options.max_new_tokens = 12;
  options.temperature = 0.8;
  options.seed = 5;
  options.samples = 2;
  options.threads = 2;
  options.perf = false;
  options.out = folder.path() / "run";
  options.version = "test";
  return options;
}

/// Everything about the answers but when they were made.
std::vector<std::string> list_answers(const fs::path& folder) {
  std::vector<std::string> lines;
  for (const StoredAnswer& answer : Store::open(folder / "run.sqlite").answers()) {
    std::string line =
        std::to_string(answer.candidate) + "/" + answer.item + "/" + std::to_string(answer.sample) + ": ";
    line += answer.prompt + "|" + answer.reasoning + "|" + answer.text + "|" + std::to_string(answer.tokens);
    if (answer.grade)
      line += "|" + std::string(outcome_name(answer.grade->outcome)) + "|" + answer.grade->extracted;
    lines.push_back(std::move(line));
  }
  return lines;
}

std::string error_of(const CompareOptions& options) {
  try {
    run_compare(options, {});
  } catch (const Error& error) {
    return error.what();
  }
  ADD_FAILURE() << "no error was thrown";
  return {};
}

/// Stops the run when this many answers have been committed.
RunHooks stop_after(int answers, std::shared_ptr<std::atomic<int>> seen) {
  RunHooks hooks;
  hooks.progress = [seen](const Progress& progress) {
    if (progress.phase == "answers") *seen = progress.done;
  };
  hooks.stop = [seen, answers] { return *seen >= answers; };
  return hooks;
}

TEST(Compare, RunsToTheEndAndWritesItsReports) {
  const TemporaryFolder folder;
  CompareOptions options = make_options(folder);
  options.perf = true;
  options.samples = 1;
  const CompareResult result = run_compare(options, {});
  ASSERT_FALSE(result.interrupted);
  ASSERT_TRUE(result.report.has_value());
  EXPECT_EQ(result.answers_kept, 12);
  for (const char* name : {"run.sqlite", "report.json", "report.md", "report.html"}) {
    EXPECT_TRUE(fs::is_regular_file(result.folder / name)) << name;
  }
  EXPECT_EQ(std::distance(fs::directory_iterator(result.folder), fs::directory_iterator()), 4);

  const boost::json::value report = testing::read_json(result.folder / "report.json");
  const boost::json::value schema = testing::read_json(testing::source_dir() / "docs/report.schema.json");
  EXPECT_EQ(testing::check_schema(schema, report), "");
  for (const CandidateResult& candidate : result.report->candidates) {
    EXPECT_EQ(candidate.ttft_ms.count, 10);
    EXPECT_GT(candidate.ttft_ms.mean, 0);
    EXPECT_GT(candidate.decode_tokens_per_second.mean, 0);
    EXPECT_NEAR(candidate.prompt_tokens.mean, 256, 4);
    ASSERT_TRUE(candidate.cost.has_value());
    EXPECT_EQ(candidate.cost->answers, 6);
    EXPECT_EQ(candidate.info.sha256.size(), 64U);
    EXPECT_GT(candidate.info.weight_bytes, 0U);
  }
  EXPECT_EQ(result.report->scenarios.size(), 4U);
}

TEST(Compare, TwoRunsGiveIdenticalAnswersAndGrades) {
  const TemporaryFolder first;
  const TemporaryFolder second;
  CompareOptions options = make_options(first);
  run_compare(options, {});
  options.out = second.path() / "run";
  options.threads = 1;
  run_compare(options, {});
  const std::vector<std::string> answers = list_answers(first.path() / "run");
  EXPECT_EQ(answers.size(), 24U);
  EXPECT_EQ(answers, list_answers(second.path() / "run"));
}

TEST(Compare, AStoppedRunContinuesToTheSameAnswers) {
  const TemporaryFolder whole;
  CompareOptions options = make_options(whole);
  run_compare(options, {});

  const TemporaryFolder stopped;
  options.out = stopped.path() / "run";
  const auto seen = std::make_shared<std::atomic<int>>(0);
  const CompareResult half = run_compare(options, stop_after(1, seen));
  ASSERT_TRUE(half.interrupted);
  EXPECT_FALSE(half.report.has_value());
  EXPECT_GT(half.answers_kept, 0);
  EXPECT_LT(half.answers_kept, 24);
  EXPECT_FALSE(fs::exists(half.folder / "report.json"));

  CompareOptions resume;
  resume.resume = half.folder;
  resume.threads = 1;
  const CompareResult rest = run_compare(resume, {});
  ASSERT_FALSE(rest.interrupted);
  EXPECT_EQ(rest.report->settings.seed, 5U);
  EXPECT_EQ(list_answers(half.folder), list_answers(whole.path() / "run"));
}

TEST(Compare, AResumedRunRefusesOtherSettingsByName) {
  const TemporaryFolder folder;
  const CompareOptions options = make_options(folder);
  run_compare(options, stop_after(0, std::make_shared<std::atomic<int>>(0)));
  CompareOptions resume;
  resume.resume = options.out;
  resume.max_new_tokens = 13;
  EXPECT_NE(error_of(resume).find("max_new_tokens = 12, not 13"), std::string::npos) << error_of(resume);
  resume.max_new_tokens = 12;
  resume.models = {options.models[1], options.models[0]};
  EXPECT_NE(error_of(resume).find("models"), std::string::npos);
  resume.models = options.models;
  EXPECT_FALSE(run_compare(resume, {}).interrupted);
}

TEST(Compare, AResumedRunRefusesAChangedSuiteOrModel) {
  const TemporaryFolder folder;
  CompareOptions options = make_options(folder);
  fs::copy(options.models[1], folder.path() / "model", fs::copy_options::recursive);
  options.models[1] = (folder.path() / "model").string();
  run_compare(options, stop_after(0, std::make_shared<std::atomic<int>>(0)));
  CompareOptions resume;
  resume.resume = options.out;

  write_suite(folder.path() / "tiny.jsonl", 7);
  EXPECT_NE(error_of(resume).find("suite tiny (fingerprint"), std::string::npos) << error_of(resume);
  write_suite(folder.path() / "tiny.jsonl", 6);

  const fs::path weights = folder.path() / "model/model.safetensors";
  const auto flip_last_byte = [&] {
    std::fstream file(weights, std::ios::in | std::ios::out | std::ios::binary);
    file.seekg(-1, std::ios::end);
    const int byte = file.get();
    file.seekp(-1, std::ios::end);
    file.put(static_cast<char>(byte ^ 1));
  };
  flip_last_byte();
  EXPECT_NE(error_of(resume).find("sha256"), std::string::npos) << error_of(resume);
  flip_last_byte();
  EXPECT_FALSE(run_compare(resume, {}).interrupted);
}

TEST(Compare, TheLoadTimeIsThatOfTheFirstLoad) {
  const TemporaryFolder folder;
  const CompareOptions options = make_options(folder);
  run_compare(options, stop_after(0, std::make_shared<std::atomic<int>>(0)));
  const auto stored = Store::open(options.out / "run.sqlite").find_document("candidate/0");
  const CandidateInfo first = candidate_from_json(boost::json::parse(stored.value()).as_object());
  EXPECT_GT(first.load_ms, 0);
  CompareOptions resume;
  resume.resume = options.out;
  resume.perf = true;  // loads it a third time
  const CompareResult result = run_compare(resume, {});
  EXPECT_EQ(result.report.value().candidates.front().info.load_ms, first.load_ms);
}

TEST(Compare, NothingIsLeftBehindWhenAModelIsMissing) {
  const TemporaryFolder folder;
  CompareOptions options = make_options(folder);
  options.models[1] = (folder.path() / "nowhere").string();
  EXPECT_NE(error_of(options).find("nowhere"), std::string::npos);
  EXPECT_FALSE(fs::exists(options.out));
}

TEST(Compare, AFolderWithARunIsNotOverwritten) {
  const TemporaryFolder folder;
  const CompareOptions options = make_options(folder);
  run_compare(options, stop_after(0, std::make_shared<std::atomic<int>>(0)));
  EXPECT_NE(error_of(options).find("exists already"), std::string::npos);
}

TEST(Compare, OfRunsThatBeginInOneFolderAtOnceOneGoesOn) {
  const TemporaryFolder folder;
  const CompareOptions options = make_options(folder);
  std::atomic<int> begun = 0, refused = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      try {
        run_compare(options, stop_after(0, std::make_shared<std::atomic<int>>(0)));
        ++begun;
      } catch (const Error&) {
        ++refused;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(begun, 1);
  EXPECT_EQ(refused, 3);
}

TEST(Compare, AFolderInWhichAnotherRunBeginsIsRefused) {
  const TemporaryFolder folder;
  const CompareOptions options = make_options(folder);
  fs::create_directories(options.out);
  const fs::path lock = options.out / "run.sqlite.lock";
  {
    const Descriptor other(open(lock.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644));
    ASSERT_EQ(flock(other.fd, LOCK_EX | LOCK_NB), 0);
    EXPECT_NE(error_of(options).find("another compare begins"), std::string::npos);
    EXPECT_FALSE(fs::exists(options.out / "run.sqlite"));
  }
  EXPECT_FALSE(run_compare(options, {}).interrupted);  // a lock that was left behind locks nobody out
  EXPECT_FALSE(fs::exists(lock));
}

TEST(Compare, ARunThatWasKilledBeforeItBeganStandsInNobodysWay) {
  const TemporaryFolder folder;
  const CompareOptions options = make_options(folder);
  fs::create_directories(options.out);
  std::ofstream(options.out / "run.sqlite.new") << "half a file";
  EXPECT_FALSE(run_compare(options, {}).interrupted);
  EXPECT_FALSE(fs::exists(options.out / "run.sqlite.new"));
}

TEST(Compare, AResumedRunCountsWhatItHasAlready) {
  const TemporaryFolder folder;
  CompareOptions options = make_options(folder);
  options.samples = 1;
  constexpr int kItems = kRunnerBatch + 8;  // more than are answered at once
  write_suite(folder.path() / "tiny.jsonl", kItems);
  const auto seen = std::make_shared<std::atomic<int>>(0);
  run_compare(options, stop_after(1, seen));
  CompareOptions resume;
  resume.resume = options.out;
  std::optional<Progress> first;
  RunHooks hooks;
  hooks.progress = [&](const Progress& progress) {
    if (!first && progress.phase == "answers") first = progress;
  };
  run_compare(resume, hooks);
  ASSERT_TRUE(first.has_value());
  EXPECT_EQ(first->total, kItems);
  EXPECT_GT(seen->load(), 0);
  EXPECT_GE(first->done, seen->load());
}

TEST(Compare, AnItemThatDoesNotFitTheContextIsNamed) {
  const TemporaryFolder folder;
  CompareOptions options = make_options(folder);
  options.context_tokens = 8;
  EXPECT_NE(error_of(options).find("item 't0' of suite tiny"), std::string::npos) << error_of(options);
}

TEST(Compare, OneModelIsNoComparison) {
  const TemporaryFolder folder;
  CompareOptions options = make_options(folder);
  options.models.pop_back();
  EXPECT_NE(error_of(options).find("two models"), std::string::npos);
}

TEST(Compare, LabelsAreShortAndUnique) {
  EXPECT_EQ(make_labels({"/models/a.gguf", "org/a", "demo:native", "org/a/", "b"}),
            (std::vector<std::string>{"a", "a #2", "demo:native", "a #3", "b"}));
}

TEST(Compare, TheDemoPairGetsTheDemoSuites) {
  EXPECT_EQ(default_suites({"demo:native", "demo:distilled"})[0], "demo-math");
  EXPECT_EQ(default_suites({"demo:native", "other"})[0], "math");
}

}  // namespace
}  // namespace touchstone
