// What the command line does on a GPU.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json.hpp>

#include "model/transformer.h"
#include "support/golden.h"
#include "support/process.h"

namespace touchstone::testing {
namespace {

using ::testing::HasSubstr;

class CommandLineOnGpu : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!choose_gpu("auto")) GTEST_SKIP() << "there is no GPU";
  }

  static ProcessResult touchstone(std::vector<std::string> arguments, const std::string& input = {}) {
    arguments.insert(arguments.begin(), TOUCHSTONE_BINARY);
    return run_process(arguments, input);
  }

  static boost::json::value run_json(std::vector<std::string> arguments, const std::string& input = {}) {
    arguments.emplace_back("--json");
    const ProcessResult result = touchstone(std::move(arguments), input);
    EXPECT_EQ(result.exit_status, 0) << result.err;
    return boost::json::parse(result.out);
  }
};

TEST_F(CommandLineOnGpu, GeneratesTheTextOfTheCpuAndTellsTheGpusMemory) {
  const std::string prompt = "Tom has 3 apples and buys 4 more. How many apples has he?";
  std::vector<boost::json::value> documents;
  for (const char* device : {"cpu", "cuda"}) {
    documents.push_back(run_json({"generate", "demo:distilled", "--seed", "5", "--device", device}, prompt));
  }
  EXPECT_EQ(documents[0].at("choices"), documents[1].at("choices"));
  EXPECT_EQ(documents[0].at("timings").at("peak_device_bytes").to_number<std::uint64_t>(), 0U);
  const boost::json::value& timings = documents[1].at("timings");
  const auto peak = timings.at("peak_device_bytes").to_number<std::uint64_t>();
  EXPECT_GT(peak, 1'000'000U);
  EXPECT_GT(timings.at("planned_device_bytes").to_number<std::uint64_t>(),
            peak);  // of a prompt of any length
}

TEST_F(CommandLineOnGpu, ScoresInt8AndInt4WithTheNumbersOfTheCpu) {
  for (const char* dtype : {"int8", "int4"}) {
    const std::string input = R"({"text":"One and one make two."})";
    EXPECT_EQ(run_json({"score", "demo:native", "--dtype", dtype, "--device", "cpu"}, input),
              run_json({"score", "demo:native", "--dtype", dtype, "--device", "cuda:1"}, input));
  }
}

TEST_F(CommandLineOnGpu, ComparesWithTheGradesOfTheCpu) {
  std::vector<boost::json::value> items;
  for (const char* device : {"cpu", "cuda"}) {
    const TemporaryFolder folder;
    const boost::json::value report =
        run_json({"compare", "demo:distilled", "demo:native", "--suite", "demo-math", "--limit", "4",
                  "--no-perf", "--device", device, "--out", (folder.path() / "run").string()});
    items.push_back(report.at("suites"));
  }
  EXPECT_EQ(items[0], items[1]);
}

TEST_F(CommandLineOnGpu, PlansTheGpusMemory) {
  const boost::json::value plan =
      run_json({"serve", "demo:distilled", "demo:native", "--preflight", "--device", "cuda"});
  EXPECT_EQ(plan.at("program").to_number<int>(), 0);
  EXPECT_TRUE(plan.at("fits").as_bool());
  EXPECT_EQ(plan.at("models").at(0).at("stored").to_number<int>(), 0);
}

TEST_F(CommandLineOnGpu, MeasuresNoRooflineThatIsNotTheGpus) {
  for (const char* option : {"--roofline", "--profile"}) {
    const ProcessResult result = touchstone({"bench", "demo:native", "--device", "cuda", option});
    EXPECT_EQ(result.exit_status, 1);
    EXPECT_THAT(result.err, HasSubstr("use --device cpu"));
  }
}

TEST_F(CommandLineOnGpu, BenchNamesTheGpu) {
  const boost::json::value document = run_json({"bench", "demo:native", "--device", "cuda", "--prompt-tokens",
                                                "8", "--new-tokens", "4", "--batch", "1,3", "--repeat", "1"});
  EXPECT_EQ(document.at("machine").at("isa").as_string(), "cuda");
  EXPECT_NE(document.at("machine").at("device").as_string(), "cpu");
  EXPECT_GT(document.at("rows").at(1).at("peak_device_bytes").to_number<std::uint64_t>(), 0U);
}

}  // namespace
}  // namespace touchstone::testing
