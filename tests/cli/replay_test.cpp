// Receipts: what `generate --receipt` writes, `replay` makes again, through the binary.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>  // NOLINT(modernize-deprecated-headers): kill() is POSIX
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <boost/json.hpp>
#include <fstream>
#include <functional>
#include <thread>

#include "cli/run_touchstone.h"
#include "support/golden.h"

namespace touchstone::testing {
namespace {

namespace json = boost::json;
using ::testing::HasSubstr;
using ::testing::StartsWith;

class Replay : public ::testing::Test {
 protected:
  /// A receipt of the answer to a question.
  json::value make_receipt(const std::string& model, const std::vector<std::string>& options) {
    std::vector<std::string> arguments = {
        "generate",  model,  "--prompt",         "Tom has 3 boxes with 4 pens each.",
        "--receipt", path(), "--max-new-tokens", "60"};
    arguments.insert(arguments.end(), options.begin(), options.end());
    const ProcessResult result = touchstone(arguments);
    EXPECT_EQ(result.exit_status, 0) << result.err;
    return read_json(path());
  }
  void write(const std::string& text) const { std::ofstream(path()) << text; }
  /// Writes the receipt with a change.
  void write_changed(json::value receipt, const std::function<void(json::value&)>& change) const {
    change(receipt);
    write(json::serialize(receipt));
  }
  ProcessResult replay(const std::vector<std::string>& options = {}) const {
    std::vector<std::string> arguments = {"replay", path()};
    arguments.insert(arguments.end(), options.begin(), options.end());
    return touchstone(arguments);
  }
  json::value replay_json(int exit_status) const {
    const ProcessResult result = replay({"--json"});
    EXPECT_EQ(result.exit_status, exit_status) << result.out << result.err;
    return json::parse(result.out);
  }
  std::string path() const { return (folder_.path() / "receipt.json").string(); }

 private:
  TemporaryFolder folder_;
};

TEST_F(Replay, TheSameBytesComeAgain) {
  for (const char* model : {"demo:distilled", "demo:native"}) {
    for (const std::vector<std::string>& options :
         {std::vector<std::string>{"--greedy"},
          {"--temperature", "1.3", "--seed", "18446744073709551615"},
          {"--n", "3", "--temperature", "0.9", "--top-p", "0.8", "--stop", "s.", "--presence-penalty", "0.1"},
          {"--reasoning-budget", "7", "--dtype", "int8", "--ignore-eos"}}) {
      const json::value receipt = make_receipt(model, options);
      const ProcessResult result = replay();
      EXPECT_EQ(result.exit_status, 0) << model << "\n"
                                       << json::serialize(receipt) << result.out << result.err;
      EXPECT_THAT(result.out, HasSubstr("weights    same\ntokenizer  same\n"));
    }
  }
}

TEST_F(Replay, TheReceiptHoldsTheHashesThatAreKnownOtherwise) {
  const json::value receipt = make_receipt("demo:native", {"--greedy", "--top-p", "0.9"});
  const json::value inspected = json::parse(touchstone({"inspect", "demo:native", "--json"}).out);
  EXPECT_EQ(receipt.at("model").at("weights_sha256"), inspected.at("sha256"));
  EXPECT_EQ(receipt.at("model").at("name"), "demo:native");
  EXPECT_EQ(receipt.at("sampling").at("top_p").to_number<double>(), 0.9);
}

TEST_F(Replay, CtrlCEndsItWith130) {
  make_receipt("demo:native", {"--greedy", "--ignore-eos"});
  const std::string receipt = path();
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    execl(TOUCHSTONE_BINARY, TOUCHSTONE_BINARY, "replay", receipt.c_str(), nullptr);
    _exit(127);
  }
  while (!catches_interrupts(child) && waitpid(child, nullptr, WNOHANG) == 0) std::this_thread::yield();
  ASSERT_EQ(kill(child, SIGINT), 0);
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 130);
}

TEST_F(Replay, AnAnswerThatIsStoppedHasNoReceipt) {
  const std::string answer = path() + ".answer";
  const std::string script =
      std::string(TOUCHSTONE_BINARY) +
      " generate demo:native --isa scalar --ignore-eos --max-new-tokens 100000 --prompt Hi" +
      " --no-loop-guard --receipt " + path() + " > " + answer + " & while [ ! -s " + answer +
      " ] && kill -0 $!; do sleep 0.01; done; kill -TERM $!; wait $!";
  EXPECT_EQ(run_process({"/bin/sh", "-c", script}).exit_status, 130);
  EXPECT_GT(std::filesystem::file_size(answer), 0U);
  EXPECT_FALSE(std::filesystem::exists(path()));
}

TEST_F(Replay, AChangedTokenIsNamed) {
  const json::value receipt = make_receipt("demo:distilled", {"--seed", "3"});
  const std::int64_t honest = receipt.at("outputs").at(0).at("ids").at(5).as_int64();
  write_changed(receipt, [&](json::value& r) { r.at("outputs").at(0).at("ids").at(5) = honest + 1; });
  const json::value report = replay_json(1);
  EXPECT_EQ(report.at("same"), false);
  const json::value& difference = report.at("outputs").at(0).at("first_difference");
  EXPECT_EQ(difference.at("position"), 5);
  EXPECT_EQ(difference.at("expected").at("id"), honest + 1);
  EXPECT_EQ(difference.at("got").at("id"), honest);
  EXPECT_LT(difference.at("expected").at("logprob").as_double(), 0);
  EXPECT_LT(difference.at("got").at("logprob").as_double(), 0);
  EXPECT_THAT(std::string(report.at("why").as_string()), HasSubstr("the receipt was changed"));
  EXPECT_THAT(replay().out, HasSubstr("token 5 of "));
}

TEST_F(Replay, AnOutputThatEndsElsewhereIsNamed) {
  const json::value receipt = make_receipt("demo:native", {"--greedy", "--ignore-eos"});
  write_changed(receipt, [](json::value& r) { r.at("outputs").at(0).at("ids").as_array().pop_back(); });
  const json::value shorter = replay_json(1);
  EXPECT_TRUE(shorter.at("outputs").at(0).at("first_difference").at("expected").is_null());
  EXPECT_EQ(shorter.at("outputs").at(0).at("first_difference").at("position"), 59);
  write_changed(receipt, [](json::value& r) { r.at("outputs").at(0).at("ids").as_array().emplace_back(1); });
  EXPECT_TRUE(replay_json(1).at("outputs").at(0).at("first_difference").at("got").is_null());
  write_changed(receipt, [](json::value& r) { r.at("outputs").at(0).at("finish_reason") = "stop"; });
  EXPECT_THAT(replay().out, HasSubstr("finish_reason is stop, here it is length"));
  write_changed(receipt,
                [](json::value& r) { r.at("outputs").at(0).at("text_sha256") = std::string(64, '0'); });
  EXPECT_THAT(replay().out, HasSubstr("the receipt was changed"));
}

TEST_F(Replay, AnotherSeedGivesAnotherToken) {
  const json::value receipt = make_receipt("demo:distilled", {"--temperature", "1.5", "--seed", "3"});
  write_changed(receipt, [](json::value& r) { r.at("sampling").at("seed") = 4; });
  const json::value report = replay_json(1);
  EXPECT_TRUE(report.at("outputs").at(0).as_object().contains("first_difference"));
  EXPECT_THAT(std::string(report.at("why").as_string()), HasSubstr("settings"));
}

TEST_F(Replay, AHashThatDiffersIsSaidEvenIfTheBytesAreTheSame) {
  const json::value receipt = make_receipt("demo:native", {"--greedy"});
  for (const auto& [place, name, check] :
       {std::tuple("model", "weights_sha256", "weights"),
        std::tuple("model", "tokenizer_sha256", "tokenizer"),
        std::tuple("model", "template_sha256", "template"), std::tuple("engine", "sha256", "engine")}) {
    write_changed(receipt, [&](json::value& r) { r.at(place).at(name) = std::string(64, 'a'); });
    const json::value report = replay_json(0);
    EXPECT_EQ(report.at("same"), true);
    for (const auto& [key, value] : report.at("hashes").as_object()) {
      EXPECT_EQ(value.at("same"), std::string_view(key) != check) << name;
    }
  }
}

TEST_F(Replay, AnotherModelOrDtypeExplainsTheDifference) {
  make_receipt("demo:distilled", {"--seed", "5"});
  const ProcessResult other = replay({"--model", "demo:native"});
  EXPECT_EQ(other.exit_status, 1);
  EXPECT_THAT(other.out, HasSubstr("because: the weights are not those of the receipt"));
  const ProcessResult rounded = replay({"--dtype", "int4"});
  EXPECT_EQ(rounded.exit_status, 1);
  EXPECT_THAT(rounded.out, HasSubstr("because: the engine is not that of the receipt"));
}

TEST_F(Replay, ABadReceiptGivesOneClearLine) {
  const json::value receipt = make_receipt("demo:native", {"--greedy"});
  const auto expect_error = [&](const std::string& what) {
    const ProcessResult result = replay();
    EXPECT_EQ(result.exit_status, 1);
    EXPECT_EQ(result.out, "");
    EXPECT_THAT(result.err, StartsWith("touchstone: error: "));
    EXPECT_THAT(result.err, HasSubstr(what));
    EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 1) << result.err;
  };
  const auto expect_refused = [&](const std::string& what, const std::function<void(json::value&)>& change) {
    write_changed(receipt, change);
    expect_error(what);
  };
  for (const auto& [text, what] :
       {std::pair("", "not valid JSON"), std::pair("[]", "not a JSON object"),
        std::pair("{}", "receipt_version"), std::pair(R"({"receipt":7})", "not a JSON object")}) {
    write(text);
    expect_error(what);
  }
  write(std::string(1000, '[') + std::string(1000, ']'));
  expect_error("not valid JSON");
  for (const auto& [key, value] : receipt.as_object()) {
    expect_refused(std::string(key), [&](json::value& r) { r.as_object().erase(key); });
    if (key != "response_format") {
      expect_refused(std::string(key), [&](json::value& r) { r.as_object()[key] = "x"; });
    }
    if (!value.is_object()) continue;
    for (const auto& [inner, unused] : value.get_object()) {
      expect_refused(std::string(inner), [&](json::value& r) { r.at(key).as_object().erase(inner); });
      expect_refused("receipt", [&](json::value& r) { r.at(key).as_object()[inner] = json::array{{-1}}; });
    }
  }
  expect_refused("receipt_version is not 1", [](json::value& r) { r.at("receipt_version") = 2; });
  expect_refused("not a token id", [](json::value& r) { r.at("prompt").at("ids").at(0) = -1; });
  expect_refused("not among", [](json::value& r) { r.at("prompt").at("ids").at(0) = 2'000'000'000; });
  expect_refused("not among", [](json::value& r) { r.at("outputs").at(0).at("ids").at(0) = 2'000'000'000; });
  expect_refused("empty", [](json::value& r) { r.at("prompt").at("ids") = json::array(); });
  expect_refused("outputs are empty", [](json::value& r) { r.at("outputs") = json::array(); });
  expect_refused("ctx", [](json::value& r) { r.at("engine").at("ctx") = std::int64_t{1} << 40; });
  expect_refused("ctx", [](json::value& r) { r.at("engine").at("ctx") = 0; });
  expect_refused("room", [](json::value& r) { r.at("engine").at("ctx") = 2; });
  expect_refused("dtype", [](json::value& r) { r.at("engine").at("dtype") = "int3"; });
  expect_refused("temperature", [](json::value& r) { r.at("sampling").at("temperature") = 1e300; });
  expect_refused("sampling", [](json::value& r) { r.at("sampling").at("top_p") = -1; });
  expect_refused("not among", [](json::value& r) {
    r.at("sampling").at("logit_bias") = json::array{json::array{2'000'000'000, 1.0}};
  });
  expect_refused("response format", [](json::value& r) { r.at("response_format") = {{"type", "xml"}}; });
  expect_refused("--model", [](json::value& r) { r.at("model").at("name") = "no/such-model"; });
  expect_refused("outputs has more than", [](json::value& r) {
    json::array& outputs = r.at("outputs").as_array();
    const json::value one = outputs.front();
    outputs.resize(2000, one);
  });
  EXPECT_EQ(touchstone({"replay", "/no/such/receipt"}).exit_status, 1);
  EXPECT_EQ(touchstone({"replay"}).exit_status, 2);
}

}  // namespace
}  // namespace touchstone::testing
