#include "eval/store.h"

#include <gtest/gtest.h>
#include <sqlite3.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>

#include "base/error.h"
#include "support/golden.h"

namespace touchstone {
namespace {
namespace fs = std::filesystem;
using testing::TemporaryFolder;

StoredAnswer make_answer(int candidate, const std::string& item, int sample) {
  StoredAnswer answer;
  answer.candidate = candidate;
  answer.suite = "math";
  answer.item = item;
  answer.sample = sample;
  answer.prompt = "<bos>1+1?";
  answer.prompt_tokens = 4;
  answer.text = std::string("2 \0 ü", 6);
  answer.reasoning = "easy";
  answer.reasoning_closed = false;
  answer.tokens = 7;
  answer.hit_length = true;
  answer.loops = true;
  answer.ttft_ms = 1.5;
  answer.total_ms = 9.25;
  return answer;
}

Store make_store(const fs::path& file) {
  Store store = Store::create(file);
  store.put_items(std::vector<StoredItem>{{"math", "b", 0, "1+1?", "2"}, {"math", "a", 1, "2+2?", "4"}});
  return store;
}

/// The message of the Error that `action` throws; a test fails where it throws nothing.
template <typename Action>
std::string error_of(const Action& action) {
  try {
    action();
  } catch (const Error& error) {
    return error.what();
  }
  ADD_FAILURE() << "no error was thrown";
  return {};
}

TEST(Store, WhatIsCommittedIsThereWhenOpenedAgain) {
  const TemporaryFolder folder;
  const fs::path file = folder.path() / "run.sqlite";
  {
    Store store = make_store(file);
    store.put_document("settings", R"({"seed":1})");
    store.put_document("settings", R"({"seed":2})");
    store.put_answers(std::vector{make_answer(0, "a", 0), make_answer(0, "b", 0), make_answer(1, "a", 0)});
    store.put_grade(make_answer(0, "a", 0), {Outcome::timed_out, "x", "ran 10 s"});
  }
  const Store store = Store::open(file);
  EXPECT_EQ(store.find_document("settings"), R"({"seed":2})");
  EXPECT_EQ(store.find_document("missing"), std::nullopt);
  ASSERT_EQ(store.items().size(), 2U);
  EXPECT_EQ(store.items()[0].item, "b");
  EXPECT_EQ(store.items()[1].expected, "4");

  const std::vector<StoredAnswer> answers = store.answers();
  ASSERT_EQ(answers.size(), 3U);
  EXPECT_EQ(answers[0].item, "b");  // in the suite's order, not the alphabet's
  EXPECT_FALSE(answers[0].grade.has_value());
  const StoredAnswer& answer = answers[1];
  EXPECT_EQ(answer.text, std::string("2 \0 ü", 6));
  EXPECT_EQ(answer.reasoning, "easy");
  EXPECT_FALSE(answer.reasoning_closed);
  EXPECT_TRUE(answer.hit_length);
  EXPECT_TRUE(answer.loops);
  EXPECT_EQ(answer.tokens, 7);
  EXPECT_EQ(answer.total_ms, 9.25);
  ASSERT_TRUE(answer.grade.has_value());
  EXPECT_EQ(answer.grade->outcome, Outcome::timed_out);
  EXPECT_EQ(answer.grade->why, "ran 10 s");
  EXPECT_EQ(store.ungraded_answers(0).size(), 1U);
  EXPECT_EQ(store.ungraded_answers(1).size(), 1U);
  EXPECT_TRUE(store.answered(0).contains({"math", "a", 0}));
  EXPECT_FALSE(store.answered(1).contains({"math", "b", 0}));
}

TEST(Store, EveryOutcomeHasItsOwnName) {
  for (const Outcome outcome : kOutcomes) EXPECT_EQ(find_outcome(outcome_name(outcome)), outcome);
  EXPECT_EQ(find_outcome("fine"), std::nullopt);
}

TEST(Store, AnAnswerIsCommittedOnce) {
  const TemporaryFolder folder;
  Store store = make_store(folder.path() / "run.sqlite");
  store.put_answers(std::vector{make_answer(0, "a", 0)});
  EXPECT_THROW(store.put_answers(std::vector{make_answer(0, "b", 0), make_answer(0, "a", 0)}), Error);
  EXPECT_EQ(store.answers().size(), 1U) << "a failed transaction must leave nothing behind";
}

TEST(Store, AnAnswerToAnUnknownItemIsRefused) {
  const TemporaryFolder folder;
  Store store = make_store(folder.path() / "run.sqlite");
  EXPECT_THROW(store.put_answers(std::vector{make_answer(0, "nowhere", 0)}), Error);
}

TEST(Store, AProcessKilledInTheMiddleLosesNothingCommitted) {
  const TemporaryFolder folder;
  const fs::path file = folder.path() / "run.sqlite";
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    Store store = make_store(file);
    store.put_answers(std::vector{make_answer(0, "a", 0)});
    // Left open inside a transaction's life: no destructor runs, the lock dies with the process.
    raise(SIGKILL);
  }
  int status = 0;
  waitpid(child, &status, 0);
  ASSERT_TRUE(WIFSIGNALED(status));
  Store store = Store::open(file);
  EXPECT_EQ(store.answers().size(), 1U);
  store.put_answers(std::vector{make_answer(0, "b", 0)});
  EXPECT_EQ(store.answers().size(), 2U);
}

TEST(Store, ASecondUserIsToldThatTheFileIsInUse) {
  const TemporaryFolder folder;
  const fs::path file = folder.path() / "run.sqlite";
  const Store store = make_store(file);
  EXPECT_NE(error_of([&] { Store::open(file); }).find("in use"), std::string::npos);
}

TEST(Store, AnExistingRunIsNotOverwritten) {
  const TemporaryFolder folder;
  const fs::path file = folder.path() / "run.sqlite";
  { make_store(file); }
  EXPECT_NE(error_of([&] { Store::create(file); }).find("exists already"), std::string::npos);
  EXPECT_EQ(Store::open(file).items().size(), 2U);
}

TEST(Store, OtherFilesAreRefusedByName) {
  const TemporaryFolder folder;
  const fs::path missing = folder.path() / "run.sqlite";
  EXPECT_NE(error_of([&] { Store::open(missing); }).find("run.sqlite is missing"), std::string::npos);

  const fs::path text = folder.path() / "text.sqlite";
  std::ofstream(text) << std::string(4096, 'x');
  EXPECT_NE(error_of([&] { Store::open(text); }).find("not a touchstone run"), std::string::npos);

  const fs::path other = folder.path() / "other.sqlite";
  sqlite3* database = nullptr;
  ASSERT_EQ(sqlite3_open(other.c_str(), &database), SQLITE_OK);
  sqlite3_exec(database, "CREATE TABLE t(x)", nullptr, nullptr, nullptr);
  sqlite3_close(database);
  EXPECT_NE(error_of([&] { Store::open(other); }).find("not a touchstone run"), std::string::npos);
}

TEST(Store, AnotherSchemaVersionIsRefused) {
  const TemporaryFolder folder;
  const fs::path file = folder.path() / "run.sqlite";
  { make_store(file); }
  sqlite3* database = nullptr;
  ASSERT_EQ(sqlite3_open(file.c_str(), &database), SQLITE_OK);
  sqlite3_exec(database, "PRAGMA user_version = 99", nullptr, nullptr, nullptr);
  sqlite3_close(database);
  EXPECT_NE(error_of([&] { Store::open(file); }).find("schema version 99"), std::string::npos);
}

TEST(Store, AFullDiskIsAnErrorAndLosesNothingCommitted) {
  const TemporaryFolder folder;
  const fs::path file = folder.path() / "run.sqlite";
  Store store = make_store(file);
  store.put_answers(std::vector{make_answer(0, "a", 0)});

  // A limit on file size makes write() fail as a full disk does.
  rlimit old{};
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &old), 0);
  const auto old_handler = std::signal(SIGXFSZ, SIG_IGN);
  const rlimit tight{.rlim_cur = fs::file_size(file) + 4096, .rlim_max = old.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &tight), 0);
  StoredAnswer large = make_answer(0, "b", 0);
  large.text.assign(std::size_t{1} << 20, 'x');
  const std::string what = error_of([&] { store.put_answers(std::vector{large}); });
  setrlimit(RLIMIT_FSIZE, &old);
  std::signal(SIGXFSZ, old_handler);

  EXPECT_NE(what.find("cannot write"), std::string::npos) << what;
  EXPECT_EQ(store.answers().size(), 1U);
  store.put_answers(std::vector{large});
  EXPECT_EQ(store.answers().size(), 2U);
}

TEST(Store, LatencyRowsReplaceThoseOfAnEarlierPass) {
  const TemporaryFolder folder;
  Store store = make_store(folder.path() / "run.sqlite");
  store.put_latency(std::vector<StoredLatency>{{0, 0, 256, 0, 64, 10, 100}, {1, 0, 255, 3, 64, 20, 50}});
  store.put_latency(std::vector<StoredLatency>{{0, 0, 256, 0, 64, 11, 101}, {1, 0, 255, 3, 64, 21, 51}});
  const std::vector<StoredLatency> rows = store.latency();
  ASSERT_EQ(rows.size(), 2U);
  EXPECT_EQ(rows[1].ttft_ms, 21);
  EXPECT_EQ(rows[1].cached_tokens, 3);
}

}  // namespace
}  // namespace touchstone
