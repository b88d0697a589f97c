// `touchstone quantize` through the binary.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <spawn.h>
#include <sys/wait.h>

#include <chrono>
#include <cmath>
#include <csignal>
#include <fstream>
#include <thread>

#include "cli/run_touchstone.h"
#include "support/golden.h"

namespace touchstone::testing {
namespace {

using ::testing::HasSubstr;

// What the other commands say of the file that a model was quantized to.
void expect_to_be_a_model(const std::string& file, const boost::json::value& report) {
  EXPECT_EQ(report.at("bytes_out").to_number<std::uintmax_t>(), std::filesystem::file_size(file));
  EXPECT_LT(report.at("bytes_out").to_number<double>(), 0.6 * report.at("bytes_in").to_number<double>());
  EXPECT_EQ(touchstone({"inspect", file, "--doctor"}).exit_status, 0);
  EXPECT_EQ(touchstone({"generate", file, "--prompt", "Hi", "--greedy"}).exit_status, 0);
  EXPECT_EQ(touchstone({"tokenize", file}, "Tom").out, touchstone({"tokenize", "demo:native"}, "Tom").out);
}

TEST(HeavyQuantizeCommand, WritesAFileThatTheOtherCommandsTakeAsModel) {
  const TemporaryFolder folder;
  const std::string text = (folder.path() / "text.txt").string();
  std::ofstream(text) << "Kim has 38 apples, then finds 9, then loses 6. How many apples does Kim have now?";
  const std::string out = (folder.path() / "q.safetensors").string();
  const ProcessResult result =
      touchstone({"quantize", "demo:native", "--to", "int4", "-o", out, "--eval", text, "--json"});
  ASSERT_EQ(result.exit_status, 0) << result.err;
  const boost::json::value report = boost::json::parse(result.out);
  const double before = report.at("nll_before").as_double();
  EXPECT_NEAR(report.at("nll_after").as_double(), before, 0.05 * before);
  EXPECT_NE(report.at("nll_after").as_double(), before);
  expect_to_be_a_model(out, report);
}

TEST(HeavyQuantizeCommand, CtrlCEndsItWith130AtOnceAndLeavesNothing) {
  const TemporaryFolder folder;
  const std::string out = (folder.path() / "q.safetensors").string();
  std::vector<std::string> arguments = {
      TOUCHSTONE_BINARY, "quantize", "demo:native", "--to",  "int4", "-o", out,
      "--threads",       "1",        "--isa",       "scalar"};
  std::vector<char*> argv;
  for (std::string& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);
  pid_t child = -1;
  ASSERT_EQ(posix_spawn(&child, argv.front(), nullptr, nullptr, argv.data(), environ), 0);
  // The file has another name until it is whole.
  int status = 0;
  pid_t ended = 0;
  while (ended == 0 && std::filesystem::is_empty(folder.path())) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
    ended = waitpid(child, &status, WNOHANG);
  }
  ASSERT_EQ(ended, 0) << "ended before it wrote anything";
  ASSERT_FALSE(std::filesystem::exists(out));
  const auto asked = std::chrono::steady_clock::now();
  ASSERT_EQ(kill(child, SIGINT), 0);
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_LT(std::chrono::steady_clock::now() - asked, std::chrono::seconds(1)) << "a matrix takes longer";
  ASSERT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 130);
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
}

TEST(HeavyQuantizeCommand, WithoutATextThereIsNoNllAndTheFileHoldsTheModelAlone) {
  const TemporaryFolder folder;
  const std::string out = (folder.path() / "q.safetensors").string();
  // The progress that a closed stream does not take must not get into the file.
  const ProcessResult result = run_process(
      {"/bin/sh", "-c",
       std::string(TOUCHSTONE_BINARY) + " quantize demo:native --to int8 --json -o " + out + " 2>&-"});
  ASSERT_EQ(result.exit_status, 0);
  const boost::json::value report = boost::json::parse(result.out);
  EXPECT_TRUE(report.at("nll_before").is_null());
  expect_to_be_a_model(out, report);
  // Over itself: the file that is being read stays as it is.
  const ProcessResult again = touchstone({"quantize", out, "--to", "int4", "-o", out});
  EXPECT_EQ(again.exit_status, 1);
  EXPECT_THAT(again.err, HasSubstr("is the model itself"));
}

TEST(HeavyQuantizeCommand, WrongUseIsNamed) {
  const TemporaryFolder folder;
  const std::string out = (folder.path() / "q.safetensors").string();
  EXPECT_EQ(touchstone({"quantize", "demo:native", "--to", "int3", "-o", out}).exit_status, 2);
  EXPECT_EQ(touchstone({"quantize", "demo:native", "--to", "int4"}).exit_status, 2);
  EXPECT_EQ(touchstone({"quantize", "demo:native", "--to", "int4", "-o", out + ".gguf"}).exit_status, 2);
  const std::string nowhere = (folder.path() / "none" / "q.safetensors").string();
  const ProcessResult result = touchstone({"quantize", "demo:native", "--to", "int4", "-o", nowhere});
  EXPECT_EQ(result.exit_status, 1);
  EXPECT_THAT(result.err, HasSubstr("cannot create"));
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
}

}  // namespace
}  // namespace touchstone::testing
