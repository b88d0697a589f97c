// The forms that docs and scripts rely on, through the binary.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <set>
#include <thread>
#include <utility>

#include "base/cores.h"
#include "cli/run_touchstone.h"
#include "support/golden.h"

namespace touchstone::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::MatchesRegex;
using ::testing::StartsWith;

const std::string kTiny = (source_dir() / "tests/golden/models/qwen2-tied").string();

boost::json::value parse_only_document(const ProcessResult& result) {
  EXPECT_EQ(result.exit_status, 0) << result.err;
  return boost::json::parse(result.out);  // throws when anything else stands there
}

void expect_one_error_line(const ProcessResult& result, const std::string& what, int exit_status = 1) {
  EXPECT_EQ(result.exit_status, exit_status) << result.err;
  EXPECT_EQ(result.out, "");
  EXPECT_THAT(result.err, StartsWith("touchstone: error: "));
  EXPECT_THAT(result.err, HasSubstr(what));
  EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 1) << result.err;
}

/// Decided before any work: one line that says where help is.
void expect_wrong_usage(const std::vector<std::string>& arguments, const std::string& what) {
  const ProcessResult result = touchstone(arguments);
  expect_one_error_line(result, what, 2);
  EXPECT_THAT(result.err, HasSubstr("; see touchstone " + arguments.front() + " --help\n"));
}

const std::vector<std::string> kSubcommands = {"tokenize", "detokenize", "render",  "score", "quantize",
                                               "generate", "chat",       "inspect", "list",  "bench",
                                               "grade",    "compare",    "replay",  "serve"};

TEST(CommandLine, EverySubcommandHasHelpWithAnExample) {
  for (const std::string& name : kSubcommands) {
    const ProcessResult result = touchstone({name, "--help"});
    EXPECT_EQ(result.exit_status, 0) << name;
    EXPECT_THAT(result.out, HasSubstr("touchstone " + name)) << name;
    EXPECT_THAT(result.out, HasSubstr("Example")) << name;
  }
}

TEST(CommandLine, LookupChangesNothingButTheCountsOfGuesses) {
  const auto generate = [](const char* lookup) {
    return parse_only_document(
        touchstone({"generate", "demo:native", "--prompt", "Tom has 3 boxes with 4 pens each.",
                    "--ignore-eos", "--max-new-tokens", "100", "--lookup", lookup, "--json"}));
  };
  const boost::json::value off = generate("off");
  const boost::json::value on = generate("on");
  EXPECT_EQ(on.at("choices"), off.at("choices"));
  EXPECT_EQ(generate("auto").at("choices"), off.at("choices"));
  EXPECT_EQ(off.at("timings").at("drafted_tokens").as_int64(), 0);
  EXPECT_GT(on.at("timings").at("accepted_tokens").as_int64(), 0);
  EXPECT_GE(on.at("timings").at("drafted_tokens").as_int64(),
            on.at("timings").at("accepted_tokens").as_int64());
  EXPECT_EQ(touchstone({"generate", kTiny, "--lookup", "maybe"}).exit_status, 2);
  expect_wrong_usage({"bench", "shape:qwen2-0.5b", "--lookup", "on"}, "--lookup");
}

TEST(CommandLine, GreedyAnswersAreTheReferencesWhateverTheModelsDefaults) {
  int with_penalty = 0;
  for (const auto& entry : std::filesystem::directory_iterator(golden_dir() / "models")) {
    const std::filesystem::path folder = entry.path();
    const boost::json::value golden = read_json(folder / "expected.json");
    const boost::json::value& ids = golden.at("greedy").at(0).at("ids");
    const boost::json::value answer =
        parse_only_document(touchstone({"generate", folder.string(), "--raw", "--greedy", "--ignore-eos",
                                        "--json", "--max-new-tokens", std::to_string(ids.as_array().size())},
                                       std::string(golden.at("prompts").at(0).at("text").as_string())));
    EXPECT_EQ(answer.at("choices").at(0).at("ids"), ids) << folder;
    const auto defaults = folder / "generation_config.json";
    if (!std::filesystem::exists(defaults)) continue;
    const boost::json::value config = read_json(defaults);
    const boost::json::value* penalty = config.as_object().if_contains("repetition_penalty");
    if (penalty != nullptr && penalty->to_number<double>() != 1.0) ++with_penalty;
  }
  EXPECT_GT(with_penalty, 0);
}

TEST(CommandLine, WrongUsageExitsWithTwo) {
  EXPECT_EQ(touchstone({}).exit_status, 2);
  EXPECT_EQ(touchstone({"no-such-command"}).exit_status, 2);
  EXPECT_EQ(touchstone({"tokenize"}).exit_status, 2);
  EXPECT_EQ(touchstone({"score", kTiny, "--threads", "-3"}, "{}").exit_status, 2);
}

TEST(CommandLine, AWordThatIsNoneOfThoseKnownIsWrongUsage) {
  for (const std::string& name : kSubcommands) {
    for (const auto& [option, word] :
         {std::pair("--dtype", "int3"), std::pair("--kv-dtype", "foo"), std::pair("--device", "gpu"),
          std::pair("--device", "cuda:x"), std::pair("--isa", "mmx"), std::pair("--log-level", "loud"),
          std::pair("--threads", "two"), std::pair("--ctx", "1e3"), std::pair("--dtype", "")}) {
      expect_wrong_usage({name, option, word}, option);
    }
  }
  const std::vector<std::string> compare = {"compare", "demo:native", "demo:distilled"};
  for (const auto& [option, word] : {std::pair("--suite", "math,nosuch"), std::pair("--scenario", "nosuch"),
                                     std::pair("--baseline", "nosuch")}) {
    std::vector<std::string> arguments = compare;
    arguments.insert(arguments.end(), {option, word});
    expect_wrong_usage(arguments, "'nosuch'");
  }
  expect_wrong_usage({"bench", "shape:nosuch"}, "qwen2-0.5b");
  expect_wrong_usage({"serve", "demo:native", "--host", "nosuch"}, "IP address");
}

TEST(CommandLine, AMissingFileIsWorkThatFailed) {
  expect_one_error_line(touchstone({"compare", "demo:native", "demo:distilled", "--suite", "./nosuch.jsonl"}),
                        "./nosuch.jsonl");
  expect_one_error_line(touchstone({"render", "-", "--template", "/no/such"}, "{}"), "/no/such");
  expect_one_error_line(touchstone({"serve", "demo:native", "--port", "0", "--api-key-file", "/no/such"}),
                        "/no/such");
}

TEST(CommandLine, ANumberOutOfItsRangeIsWrongUsageThatNamesTheRange) {
  for (const char* port : {"99999", "-1", "x", "", "1.5", "99999999999999999999", "80 "}) {
    expect_wrong_usage({"serve", "demo:native", "--port", port}, "from 0 to 65535");
  }
  for (const char* temperature : {"nan", "inf", "-0.1", "101", "1e999", "", "1x"}) {
    expect_wrong_usage({"generate", kTiny, "--temperature", temperature}, "number from 0 to 100");
  }
  for (const char* seed : {"-1", "18446744073709551616", "", "1.5"}) {
    expect_wrong_usage({"generate", kTiny, "--seed", seed}, "from 0 to 18446744073709551615");
    expect_wrong_usage({"compare", "a", "b", "--seed", seed}, "from 0 to 18446744073709551615");
  }
  for (const char* budget : {"0", "-5", "-5GB", "x", "", "99999999999GB"}) {
    expect_wrong_usage({"serve", "demo:native", "--memory-budget", budget}, "--memory-budget");
  }
  expect_wrong_usage({"serve", "demo:native", "--drain-seconds", "nan"}, "number from 0 to 86400");
  expect_wrong_usage({"bench", "demo:native", "--batch", "1,0"}, "number from 1 to 1024");
  for (const char* list : {"1,,2", ",1", "1,", ""}) {
    expect_wrong_usage({"bench", "demo:native", "--batch", list}, "'' is not a whole number from 1 to 1024");
  }
  const auto compare = [](const std::string& option, const std::string& list) -> std::vector<std::string> {
    return {"compare", kTiny, kTiny + "/", option, list};
  };
  expect_wrong_usage(compare("--suite", "math,,code"), "'' is not one of");
  expect_wrong_usage(compare("--scenario", "tutor,"), "'' is not one of");
}

TEST(CommandLine, AnOriginThatNoBrowserSendsIsWrongUsage) {
  for (const char* origin : {"example.org", "https://example.org/", "https://", "://a", "", "a b"}) {
    expect_wrong_usage({"serve", "demo:native", "--preflight", "--allow-origin", origin}, "is not an origin");
  }
  for (const char* origin :
       {"https://example.org", "http://localhost:8080", "http://[::1]:80", "null", "*"}) {
    EXPECT_EQ(touchstone({"serve", "demo:native", "--preflight", "--allow-origin", origin}).exit_status, 0);
  }
}

TEST(CommandLine, TheHelpSaysWhereJsonIsNotToBeHad) {
  EXPECT_THAT(touchstone({"chat", "--help"}).out, MatchesRegex("(.|\n)*--json +Without effect(.|\n)*"));
  EXPECT_THAT(touchstone({"serve", "--help"}).out, MatchesRegex("(.|\n)*--json +With --preflight(.|\n)*"));
}

TEST(CommandLine, OptionsThatContradictEachOtherAreWrongUsage) {
  expect_wrong_usage({"generate", kTiny, "--greedy", "--temperature", "1"}, "excludes");
  expect_wrong_usage({"chat", kTiny, "--greedy", "--temperature", "1"}, "excludes");
  expect_wrong_usage({"compare", "a", "b", "--greedy", "--temperature", "1"}, "excludes");
  expect_wrong_usage({"generate", kTiny, "--raw", "--messages", "m.json"}, "excludes");
  expect_wrong_usage({"generate", kTiny, "--prompt", "a", "--messages", "m.json"}, "excludes");
  expect_wrong_usage({"serve", kTiny, "--tls-cert", "c.pem"}, "--tls-key");
  expect_wrong_usage({"serve", kTiny, "--tls-key", "k.pem"}, "--tls-cert");
  expect_wrong_usage({"generate", kTiny, "--stop", ""}, "--stop");
}

TEST(CommandLine, TheCommonOptionsAreTakenByEveryCommand) {
  const std::vector<std::string> common = {"--threads", "1",    "--device", "cpu", "--isa",       "auto",
                                           "--dtype",   "auto", "--ctx",    "64",  "--log-level", "error"};
  for (const auto& [command, input] :
       {std::pair(std::vector<std::string>{"tokenize", kTiny}, "a"),
        {{"detokenize", kTiny}, "[1]"},
        {{"render", "demo:native"}, R"({"messages":[{"role":"user","content":"Hi"}]})"},
        {{"grade", "--task", "math"}, ""},
        {{"list"}, ""},
        {{"inspect", kTiny}, ""},
        {{"score", kTiny}, R"({"ids":[1,2]})"}}) {
    std::vector<std::string> arguments = command;
    arguments.insert(arguments.end(), common.begin(), common.end());
    const ProcessResult result = touchstone(arguments, input);
    EXPECT_EQ(result.exit_status, 0) << command.front() << ": " << result.err;
    EXPECT_EQ(result.err, "") << command.front();
  }
  EXPECT_EQ(touchstone({"--log-level", "error", "tokenize", kTiny}, "a").exit_status, 0);
}

TEST(CommandLine, AContextBeyondTheModelsIsSaidAndTheModelsOwnCounts) {
  for (const std::vector<std::string>& command :
       {std::vector<std::string>{"generate", "demo:native", "--prompt", "a", "--max-new-tokens", "1"},
        {"score", "demo:native"},
        {"inspect", "demo:native"},
        {"serve", "demo:native", "--preflight"}}) {
    std::vector<std::string> arguments = command;
    arguments.insert(arguments.end(), {"--ctx", "2049"});
    const ProcessResult result = touchstone(arguments, R"({"ids":[1,2]})");
    EXPECT_EQ(result.exit_status, 0) << command.front();
    EXPECT_THAT(result.err, StartsWith("touchstone: warning: a context of 2049 tokens is more than the 2048 "
                                       "that demo:native has; 2048 are used\n"));
  }
  EXPECT_EQ(touchstone({"inspect", "demo:native", "--ctx", "2048"}).err, "");
}

TEST(CommandLine, WrongUsageIsOneLineThatNamesWhatIsWrongAndWhereHelpIs) {
  const auto error_of = [](const std::vector<std::string>& arguments) { return touchstone(arguments).err; };
  EXPECT_EQ(error_of({}), "touchstone: error: A subcommand is required; see touchstone --help\n");
  EXPECT_EQ(error_of({"bogus"}), "touchstone: error: there is no command 'bogus'; see touchstone --help\n");
  EXPECT_EQ(error_of({"tokenize"}), "touchstone: error: MODEL is required; see touchstone tokenize --help\n");
  EXPECT_THAT(error_of({"score", kTiny, "--top", "x"}),
              MatchesRegex("touchstone: error: --top: [^\n]*; see touchstone score --help\n"));
  EXPECT_THAT(error_of({"list", "--no\nsuch\x1B[31m"}), MatchesRegex("[^\n\x1B]*\n"));
}

TEST(CommandLine, AMistypedNameIsToldWhatWasProbablyMeant) {
  const auto error_of = [](const std::vector<std::string>& arguments) { return touchstone(arguments).err; };
  EXPECT_EQ(error_of({"tokenise", kTiny}),
            "touchstone: error: there is no command 'tokenise' (did you mean tokenize?); see touchstone "
            "--help\n");
  EXPECT_EQ(error_of({"generate", kTiny, "--promt", "x"}),
            "touchstone: error: there is no option '--promt' (did you mean --prompt?); see touchstone "
            "generate --help\n");
  expect_wrong_usage({"generate", kTiny, "--temp=1"}, "no option '--temp' (did you mean --temperature?)");
  expect_wrong_usage({"generate", kTiny, "--max-tokens", "5"}, "(did you mean --max-new-tokens?)");
  expect_wrong_usage({"compare", "a", "b", "--out-dir", "x"}, "(did you mean --out?)");
  expect_wrong_usage({"list", "--zzzzzz"}, "there is no option '--zzzzzz';");
  EXPECT_EQ(error_of({"--jsonn"}),
            "touchstone: error: there is no option '--jsonn'; see touchstone --help\n");
}

TEST(CommandLine, AnOptionWithoutItsValueIsNamed) {
  expect_wrong_usage({"generate", kTiny, "--prompt"}, "error: --prompt needs a value;");
  expect_wrong_usage({"generate", kTiny, "--stop"}, "error: --stop needs a value;");
  expect_wrong_usage({"quantize", kTiny, "--to", "int8", "-o"}, "error: --out needs a value;");
}

TEST(CommandLine, AnOptionGivenTwiceOrAWordTooManyIsNamed) {
  expect_wrong_usage({"generate", kTiny, "--prompt", "a", "--prompt", "b"},
                     "--prompt is given 2 times and taken once");
  expect_wrong_usage({"generate", kTiny, "--seed", "1", "--seed", "2", "--seed", "3"},
                     "--seed is given 3 times and taken once");
  expect_wrong_usage({"generate", kTiny, "extra", "words"}, "'extra' is one argument too many");
  expect_one_error_line(touchstone({"--json", "generate", kTiny}),
                        "'--json' stands before the command; put it behind 'generate'; see", 2);
  EXPECT_EQ(touchstone({"generate", kTiny, "--raw", "--prompt", "a", "--max-new-tokens", "2", "--stop", "x",
                        "--stop", "y", "--json", "--json"})
                .exit_status,
            0);
}

TEST(CommandLine, ErrorsNeverReachTheTerminalWithControlCharacters) {
  expect_wrong_usage({"score", kTiny, "--dtype", "\x1B[31m\xFF\n"}, "--dtype: ?[31m\uFFFD  not in {auto,");
}

TEST(CommandLine, AnErrorThatNamesSomethingLongIsShortenedInItsMiddle) {
  const TemporaryFolder folder;
  const auto path = folder.path() / "t.jinja";
  std::ofstream(path) << "{{ raise_exception('a' * 100000) }}";
  const ProcessResult result = touchstone({"render", "-", "--template", path.string()}, R"({"messages":[]})");
  EXPECT_EQ(result.exit_status, 1);
  EXPECT_LT(result.err.size(), 2100U);
  EXPECT_TRUE(result.err.starts_with("touchstone: error: "));
  EXPECT_NE(result.err.find(" … "), std::string::npos);
  EXPECT_NE(result.err.find("; "), std::string::npos);
}

TEST(CommandLine, InspectPrintsATensorsNameWithoutItsControlCharacters) {
  const TemporaryFolder folder;
  std::filesystem::copy(kTiny, folder.path(), std::filesystem::copy_options::recursive);
  const auto weights = folder.path() / "model.safetensors";
  std::string bytes = read_file(weights);
  const std::string name = "model.norm.weight";
  bytes.replace(bytes.find(name), name.size(), "model.nor\\u001Bht");
  std::filesystem::remove(weights);
  std::ofstream(weights, std::ios::binary) << bytes;
  const ProcessResult result = touchstone({"inspect", folder.path().string()});
  EXPECT_EQ(result.exit_status, 0) << result.err;
  EXPECT_THAT(result.out, HasSubstr("model.nor?ht"));
  EXPECT_EQ(result.out.find('\x1B'), std::string::npos);
}

TEST(CommandLine, ALineWithoutEndIsRefused) {
  const std::string endless(std::size_t{70} << 20U, 'x');
  expect_one_error_line(touchstone({"grade", "--task", "math"}, endless), "64 MiB");
  expect_one_error_line(touchstone({"detokenize", kTiny}, endless), "64 MiB");
}

TEST(CommandLine, AFullOutputIsAnError) {
  const auto into_full = [](const std::string& command) {
    return run_process({"/bin/bash", "-c", std::string(TOUCHSTONE_BINARY) + " " + command + " >/dev/full"},
                       "[1]");
  };
  for (const std::string& command :
       {std::string("--help"), std::string("--version"), std::string("bench --help"),
        std::string("list --json"), "detokenize " + kTiny, "tokenize --jsonl " + kTiny + " <<<'\"a\"'",
        "score " + kTiny + " <<<'{\"ids\":[1,2]}'", "inspect " + kTiny,
        "generate " + kTiny + " --raw --prompt a --max-new-tokens 4",
        std::string("render demo:native <<<'{\"messages\":[{\"role\":\"user\",\"content\":\"a\"}]}'"),
        std::string(
            "grade --task math <<<'{\"item\":{\"question\":\"?\",\"answer\":\"4\"},\"output\":\"4\"}'"),
        std::string("serve demo:native --preflight"), std::string("chat demo:native")}) {
    expect_one_error_line(into_full(command), "cannot write standard output");
  }
}

TEST(CommandLine, AModelThatBecomesShorterWhileItIsReadIsOneErrorLine) {
  const TemporaryFolder folder;
  std::filesystem::copy(kTiny, folder.path(), std::filesystem::copy_options::recursive);
  const std::string weights = (folder.path() / "model.safetensors").string();
  const std::string pipe = (folder.path() / "input").string();
  const std::string script =
      "mkfifo " + pipe + "; " TOUCHSTONE_BINARY " score " + folder.path().string() + " --no-cache < " + pipe +
      " & pid=$!; exec 3> " + pipe +
      "; while kill -0 $pid && ! grep -q model.safetensors /proc/$pid/maps; do sleep 0.05; done; "
      "truncate -s 16384 " +
      weights + "; echo '{\"ids\":[1,2]}' >&3; exec 3>&-; wait $pid";
  const ProcessResult result = testing::run_process({"/bin/sh", "-c", script}, "");
  EXPECT_EQ(result.exit_status, 1);
  EXPECT_THAT(result.err, MatchesRegex("touchstone: error: a file in use became shorter[^\n]*; [^\n]*\n"));
}

TEST(CommandLine, CtrlCEndsACommandThatWaitsForItsInputWith130) {
  for (const std::vector<std::string>& command :
       {std::vector<std::string>{"score", kTiny}, {"tokenize", kTiny}, {"grade", "--task", "math"}}) {
    int input[2];
    ASSERT_EQ(pipe2(input, O_CLOEXEC), 0);
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      dup2(input[0], STDIN_FILENO);
      std::vector<const char*> arguments = {TOUCHSTONE_BINARY};
      for (const std::string& argument : command) arguments.push_back(argument.c_str());
      arguments.push_back(nullptr);
      execv(TOUCHSTONE_BINARY, const_cast<char* const*>(arguments.data()));
      _exit(127);
    }
    while (!catches_interrupts(child) && waitpid(child, nullptr, WNOHANG) == 0) std::this_thread::yield();
    EXPECT_EQ(kill(child, SIGINT), 0);
    int status = 0;
    EXPECT_EQ(waitpid(child, &status, 0), child);
    EXPECT_TRUE(WIFEXITED(status)) << command.front();
    EXPECT_EQ(WEXITSTATUS(status), 130) << command.front();
    close(input[0]);
    close(input[1]);
  }
}

TEST(CommandLine, AReaderThatLeavesIsNoError) {
  const std::string program = TOUCHSTONE_BINARY;
  const std::string command = "for i in $(seq 20000); do echo '\"a\"'; done | " + program + " tokenize " +
                              kTiny + " --jsonl | head -1; echo \"${PIPESTATUS[1]}\"";
  const ProcessResult result = run_process({"/bin/bash", "-c", command});
  EXPECT_EQ(result.err, "");
  EXPECT_THAT(result.out, MatchesRegex("\\{\"ids\"[^\n]*\n141\n"));
}

TEST(CommandLine, AFileSizeLimitIsAnErrorAndLeavesNothingHalfWritten) {
  const TemporaryFolder folder;
  const std::string logits = (folder.path() / "l.npy").string();
  const std::string command =
      "ulimit -f 8; exec " + std::string(TOUCHSTONE_BINARY) + " score " + kTiny + " --logits " + logits;
  expect_one_error_line(run_process({"/bin/sh", "-c", command}, R"({"ids":[1,2,3,4,5,6,7,8]})"), logits);
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
}

TEST(CommandLine, ABenchmarkThatTheMemoryCannotHoldIsRefused) {
  const ProcessResult result = touchstone({"bench", kTiny, "--prompt-tokens", "1048576", "--batch", "1024"});
  EXPECT_EQ(result.exit_status, 1);
  EXPECT_THAT(result.err, HasSubstr("touchstone: error: a batch of 1024 with 1048704 tokens each takes "));
}

TEST(CommandLine, AnOutputTakesNoPipesAndNoFoldersPlace) {
  const TemporaryFolder folder;
  const auto pipe = folder.path() / "pipe";
  ASSERT_EQ(mkfifo(pipe.c_str(), 0600), 0);
  for (const std::string& target : {pipe.string(), folder.path().string()}) {
    expect_one_error_line(touchstone({"score", kTiny, "--logits", target}, R"({"ids":[1,2]})"), target);
    expect_one_error_line(touchstone({"generate", kTiny, "--raw", "--prompt", "a", "--receipt", target}),
                          target);
  }
  EXPECT_TRUE(std::filesystem::is_fifo(pipe));
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder.path()), {}), 1);
}

TEST(CommandLine, AnOutputThatCannotBeCreatedEndsACommandBeforeItsWork) {
  // Nothing was generated: expect_one_error_line() wants standard output empty.
  expect_one_error_line(touchstone({"generate", kTiny, "--raw", "--prompt", "a", "--receipt", "/no/such/r"}),
                        "/no/such/r");
  // Before standard input is read, which is no JSON here.
  expect_one_error_line(touchstone({"score", kTiny, "--logits", "/no/such/l.npy"}, "["), "/no/such/l.npy");
}

TEST(CommandLine, AnOutputNeverReplacesTheModelThatIsRead) {
  const TemporaryFolder folder;
  std::filesystem::copy(kTiny, folder.path(), std::filesystem::copy_options::recursive);
  const std::string model = folder.path().string();
  const std::string weights = (folder.path() / "model.safetensors").string();
  const std::string before = read_file(weights);
  expect_one_error_line(touchstone({"generate", model, "--raw", "--prompt", "a", "--receipt", weights}),
                        "is the model itself");
  expect_one_error_line(touchstone({"score", model, "--logits", weights}, R"({"ids":[1,2]})"),
                        "is the model itself");
  EXPECT_EQ(read_file(weights), before);
}

TEST(CommandLine, ThreadsThatTheSystemDoesNotGiveAreOneErrorLine) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "sanitizers take more address space than the limit leaves";
#endif
  const std::string command = "ulimit -v 1000000; exec " + std::string(TOUCHSTONE_BINARY) + " generate " +
                              kTiny + " --raw --prompt a --threads 512 --log-level error";
  expect_one_error_line(run_process({"/bin/sh", "-c", command}), "cannot start 512 threads");
}

TEST(CommandLine, AChatReadsNoLineWithoutEndAndNoInputThatCannotBeRead) {
  const auto chat = [](const std::string& input) {
    return run_process({"/bin/sh", "-c", std::string(TOUCHSTONE_BINARY) + " chat demo:native <" + input});
  };
  expect_one_error_line(chat("/dev/zero"), "64 MiB");
  expect_one_error_line(chat("/"), "cannot read standard input");
  expect_one_error_line(chat("&-"), "cannot read standard input");
}

TEST(CommandLine, AMissingModelIsOneErrorLine) {
  expect_one_error_line(touchstone({"tokenize", "/no/such/model"}, "x"), "/no/such/model");
  expect_one_error_line(touchstone({"inspect", "nobody/no-such-model"}), "nobody/no-such-model");
}

TEST(CommandLine, TokenizeAndDetokenizeAreInverse) {
  const std::string text = "How many pens does Tom have? 你好\n";
  const auto encoded = parse_only_document(touchstone({"tokenize", kTiny, "--json"}, text));
  EXPECT_EQ(encoded.at("ids").as_array().size(), encoded.at("tokens").as_array().size());
  const auto decoded = parse_only_document(
      touchstone({"detokenize", kTiny, "--json"}, boost::json::serialize(encoded.at("ids"))));
  EXPECT_EQ(decoded.at("text").as_string(), text);
}

TEST(CommandLine, JsonlGivesOneObjectForEachLine) {
  const ProcessResult result = touchstone({"tokenize", kTiny, "--jsonl"}, "\"one\"\n\n\"\"\n\"three\\n\"\n");
  ASSERT_EQ(result.exit_status, 0) << result.err;
  std::istringstream lines(result.out);
  std::vector<boost::json::value> values;
  for (std::string line; std::getline(lines, line);) values.push_back(boost::json::parse(line));
  ASSERT_EQ(values.size(), 3U);
  EXPECT_TRUE(values[1].at("ids").as_array().empty());
  expect_one_error_line(touchstone({"tokenize", kTiny, "--jsonl"}, "{\n"), "line 1");
}

TEST(CommandLine, BadTokenIdsAreNamed) {
  expect_one_error_line(touchstone({"detokenize", kTiny}, "[1, -7]"), "-7");
  expect_one_error_line(touchstone({"detokenize", kTiny}, "[1, 99999999999]"), "99999999999");
  expect_one_error_line(touchstone({"detokenize", kTiny}, "[1, \"x\"]"), "standard input");
  expect_one_error_line(touchstone({"detokenize", kTiny}, "not json"), "standard input");
}

TEST(CommandLine, RenderTakesATemplateWithoutAModel) {
  const TemporaryFolder folder;
  const auto path = folder.path() / "t.jinja";
  std::ofstream(path) << "{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}";
  const auto rendered = parse_only_document(touchstone({"render", "-", "--template", path.string(), "--json"},
                                                       R"({"messages":[{"role":"user","content":"Hi"}]})"));
  EXPECT_EQ(rendered.at("text").as_string(), "[user]Hi");
  expect_wrong_usage({"render", "-"}, "'-' needs --template FILE");
}

TEST(CommandLine, RenderKeepsEachNumberOfItsInput) {
  const TemporaryFolder folder;
  const auto path = folder.path() / "t.jinja";
  std::ofstream(path) << "{{ numbers }}";
  const std::string numbers =
      "[0.9452706955539223, -195.77213038928562, 1e-27, 5e-324, 12, -7, 18446744073709551615, 2.0]";
  EXPECT_EQ(touchstone({"render", "-", "--template", path.string()}, R"({"numbers":)" + numbers + "}").out,
            numbers);
}

TEST(CommandLine, ATemplateThatNeverEndsIsStopped) {
  const TemporaryFolder folder;
  const auto path = folder.path() / "t.jinja";
  std::ofstream(path) << "{% for a in range(100000) %}{% for b in range(100000) %}{% set c = a * b %}{% "
                         "endfor %}{% endfor %}";
  expect_one_error_line(touchstone({"render", "-", "--template", path.string()}, "{}"), "LimitError");
}

TEST(CommandLine, ScoreGivesALogProbabilityForEachPosition) {
  const auto scored =
      parse_only_document(touchstone({"score", kTiny, "--top", "3", "--json"}, R"({"ids":[5,6,7,8]})"));
  const auto& positions = scored.at("positions").as_array();
  ASSERT_EQ(positions.size(), 3U);
  double sum = 0;
  for (const auto& position : positions) {
    EXPECT_EQ(position.at("top").as_array().size(), 3U);
    sum -= position.at("logprob").to_number<double>();
  }
  EXPECT_NEAR(scored.at("nll_mean").to_number<double>(), sum / 3, 1e-5);
}

TEST(CommandLine, ScoreSaysOfATextThatIsNoneThatItIsNoString) {
  expect_one_error_line(touchstone({"score", kTiny}, R"({"text":5})"), "'text' is not a string");
  expect_one_error_line(touchstone({"score", kTiny}, R"({})"), "neither 'ids' nor 'text'");
}

TEST(CommandLine, AByteOrderMarkInFrontOfJsonIsNoPartOfIt) {
  const std::string mark = "\xEF\xBB\xBF";
  EXPECT_EQ(touchstone({"score", kTiny}, mark + R"({"ids":[1,2]})").exit_status, 0);
  EXPECT_EQ(touchstone({"detokenize", kTiny, "--jsonl"}, mark + "[1]\n[2]\n").exit_status, 0);
}

TEST(CommandLine, MessagesMayEndWithTheBeginningOfTheAnswer) {
  const TemporaryFolder folder;
  const std::string file = (folder.path() / "messages.json").string();
  const auto prompt_tokens = [&](const std::string& rest) {
    std::ofstream(file) << R"({"messages":[{"role":"user","content":"Hi"},)"
                        << R"({"role":"assistant","content":"The answ"}])" << rest << "}";
    const ProcessResult result = touchstone(
        {"generate", "demo:native", "--messages", file, "--greedy", "--max-new-tokens", "2", "--json"});
    return parse_only_document(result).at("usage").at("prompt_tokens").as_int64();
  };
  const std::int64_t continued = prompt_tokens(R"(,"continue_final_message":true)");
  EXPECT_EQ(continued, prompt_tokens(R"(,"continue_final_message":true,"add_generation_prompt":false)"));
  EXPECT_LT(continued, prompt_tokens(""));
  EXPECT_EQ(prompt_tokens(""), prompt_tokens(R"(,"continue_final_message":false)"));
}

TEST(CommandLine, AShareOfARooflineThatWasNotMeasuredIsNotGivenAsNothing) {
  const std::vector<std::string> bench = {"bench",    kTiny, "--prompt-tokens", "4", "--new-tokens", "2",
                                          "--repeat", "1",   "--batch",         "1"};
  EXPECT_EQ(touchstone(bench).out.find('%'), std::string::npos);
  std::vector<std::string> as_json = bench;
  as_json.emplace_back("--json");
  const boost::json::value document = parse_only_document(touchstone(as_json));
  for (const char* share : {"bandwidth_share", "peak_share", "decode_peak_share"})
    EXPECT_TRUE(document.at("rows").at(0).at(share).is_null()) << share;
}

TEST(CommandLine, SharesAreOfTheRooflineThatIsMeasured) {
  const boost::json::value document =
      parse_only_document(touchstone({"bench", kTiny, "--prompt-tokens", "4", "--new-tokens", "2", "--repeat",
                                      "3", "--batch", "1", "--roofline", "--json"}));
  const auto number = [](const boost::json::value& value) { return value.to_number<double>(); };
  const boost::json::value& roofline = document.at("roofline");
  for (const char* limit : {"read_gb_s", "fma_gflop_s", "bf16_gflop_s", "int8_gop_s"})
    EXPECT_GT(number(roofline.at(limit)), 0) << limit;
  const boost::json::value& row = document.at("rows").at(0);
  const boost::json::value& range = row.at("bandwidth_share_range");
  EXPECT_GT(number(range.at("min")), 0);
  EXPECT_LE(number(range.at("min")), number(row.at("bandwidth_share")));
  EXPECT_LE(number(row.at("bandwidth_share")), number(range.at("max")));
  EXPECT_GT(number(row.at("peak_share")), 0);
  EXPECT_LT(number(row.at("peak_share")), 1);
}

TEST(CommandLine, GenerateReportsChoicesUsageAndTimings) {
  const auto result =
      parse_only_document(touchstone({"generate", kTiny, "--raw", "--prompt", "Tom has 3", "--greedy",
                                      "--max-new-tokens", "8", "--n", "2", "--ignore-eos", "--json"}));
  const auto& choices = result.at("choices").as_array();
  ASSERT_EQ(choices.size(), 2U);
  EXPECT_EQ(choices[0].at("ids").as_array().size(), 8U);
  EXPECT_EQ(choices[0].at("ids"), choices[1].at("ids"));
  EXPECT_EQ(choices[0].at("finish_reason").as_string(), "length");
  EXPECT_GT(result.at("usage").at("prompt_tokens").to_number<int>(), 0);
  for (const char* key : {"load_ms", "ttft_ms", "prefill_tok_s", "decode_tok_s", "peak_rss_bytes"}) {
    EXPECT_GT(result.at("timings").at(key).to_number<double>(), 0) << key;
  }
}

TEST(CommandLine, MoreThreadsThanCoresWorkAndAreWarnedOfInOneLine) {
  const auto generate = [](std::vector<std::string> options) {
    options.insert(options.begin(), {"generate", kTiny, "--raw", "--greedy", "--ignore-eos", "--prompt", "ab",
                                     "--max-new-tokens", "20", "--json"});
    return touchstone(options);
  };
  const ProcessResult usual = generate({});
  EXPECT_EQ(usual.err, "");
  const ProcessResult many = generate({"--threads", std::to_string(usable_cores() + 30)});
  EXPECT_EQ(parse_only_document(many).at("choices"), parse_only_document(usual).at("choices"));
  EXPECT_THAT(many.err, StartsWith("touchstone: warning: "));
  EXPECT_THAT(many.err, HasSubstr(std::to_string(usable_cores() + 30) + " threads"));
  EXPECT_EQ(std::count(many.err.begin(), many.err.end(), '\n'), 1) << many.err;
  EXPECT_EQ(generate({"--threads", "1"}).err, "");
}

TEST(CommandLine, TheSameSeedGivesTheSameBytesForAnyThreads) {
  const auto generate = [](const char* threads, const char* isa) {
    return parse_only_document(
               touchstone({"generate", kTiny, "--raw", "--prompt", "Tom has", "--seed", "7", "--temperature",
                           "1.5", "--max-new-tokens", "24", "--threads", threads, "--isa", isa, "--json"}))
        .at("choices");
  };
  const auto alone = generate("1", "auto");
  EXPECT_EQ(alone, generate("2", "auto"));
  EXPECT_EQ(alone, generate("3", "scalar"));
}

TEST(CommandLine, AContextTooLongIsAnErrorWithTheNumbers) {
  std::string prompt;
  for (int i = 0; i < 6000; ++i) prompt += "pens ";
  expect_one_error_line(touchstone({"generate", kTiny, "--raw"}, prompt), "2048");
  const std::string ids = R"({"ids":[1,2,3,4]})";
  expect_one_error_line(touchstone({"score", kTiny, "--ctx", "3"}, ids), "4 tokens, the context 3");
  EXPECT_EQ(touchstone({"score", kTiny, "--ctx", "4"}, ids).exit_status, 0);
}

TEST(CommandLine, GenerateContinuesTheFinalMessageWhereTheTemplateDoes) {
  const TemporaryFolder folder;
  const auto prompt_tokens_with = [&](const std::string& field) {
    const std::string file = (folder.path() / "messages.json").string();
    std::ofstream(file) << R"({"messages":[{"role":"user","content":"What is 3 times 4?"}])" + field + "}";
    const auto document = parse_only_document(touchstone(
        {"generate", "demo:native", "--messages", file, "--greedy", "--max-new-tokens", "8", "--json"}));
    return document.at("usage").at("prompt_tokens").as_int64();
  };
  const auto begun = prompt_tokens_with("");
  for (const char* value : {"null", "false", "\"\"", "0"}) {
    EXPECT_EQ(prompt_tokens_with(std::string(R"(,"continue_final_message":)") + value), begun) << value;
  }
  EXPECT_LT(prompt_tokens_with(R"(,"continue_final_message":true)"), begun);
}

TEST(CommandLine, InspectNamesTensorsAndMemory) {
  const auto document = parse_only_document(touchstone({"inspect", kTiny, "--doctor", "--json"}));
  EXPECT_EQ(document.at("format").as_string(), "safetensors");
  EXPECT_EQ(document.at("architecture").as_string(), "qwen2");
  EXPECT_FALSE(document.at("tensors").as_array().empty());
  EXPECT_EQ(document.at("sha256").as_string().size(), 64U);
  EXPECT_TRUE(document.at("doctor").is_array());
  const auto& memory = document.at("memory");
  EXPECT_EQ(
      memory.at("total_at_ctx").to_number<std::uint64_t>(),
      memory.at("weights").to_number<std::uint64_t>() +
          memory.at("ctx").to_number<std::uint64_t>() * memory.at("kv_per_token").to_number<std::uint64_t>());
}

TEST(CommandLine, TheDoctorListsTensorsThatAModelLacks) {
  const TemporaryFolder folder;
  std::filesystem::copy(kTiny, folder.path());
  std::ifstream stored(std::filesystem::path(kTiny) / "config.json");
  auto config = boost::json::parse(stored).as_object();
  config["num_hidden_layers"] = config.at("num_hidden_layers").as_int64() + 1;
  config["tie_word_embeddings"] = false;
  std::ofstream(folder.path() / "config.json") << boost::json::serialize(config);
  const std::string model = folder.path().string();
  const auto document = parse_only_document(touchstone({"inspect", model, "--doctor", "--json"}));
  std::set<std::string> lacking;
  for (const auto& finding : document.at("doctor").as_array()) {
    if (finding.at("code").as_string() == "tensor_amiss") lacking.emplace(finding.at("what").as_string());
  }
  EXPECT_TRUE(lacking.contains("model " + model + " has no tensor 'lm_head.weight'"));
  const ProcessResult result = touchstone({"inspect", model, "--doctor"});
  EXPECT_EQ(result.exit_status, 0) << result.err;
  EXPECT_THAT(result.out, HasSubstr("input_layernorm.weight'; download the model again"));
}

TEST(CommandLine, InspectReadsTheWeightsOnceToTellTheirHash) {
  const TemporaryFolder cache;
  const auto inspect = [&] {
    const ProcessResult result =
        run_process({TOUCHSTONE_BINARY, "inspect", kTiny, "--json"}, {},
                    {"XDG_CACHE_HOME=" + cache.path().string(), "TOUCHSTONE_CACHE_BYTES=1000000"});
    return parse_only_document(result).at("sha256").as_string();
  };
  const boost::json::string first = inspect();
  const std::filesystem::path kept =
      std::filesystem::directory_iterator(cache.path() / "touchstone/sha256")->path();
  EXPECT_EQ(read_file(kept), first);
  const std::string other(64, 'a');
  std::ofstream(kept) << other;
  EXPECT_EQ(inspect(), other);
}

struct Memory {
  double peak_mb, planned_mb;
};

/// Of an answer to a prompt of several chunks; planned before loading.
Memory measure_memory(const std::string& model, std::vector<std::string> more) {
  std::string prompt;
  for (int i = 0; i < 200; ++i) prompt += (i % 7 == 0 ? "How many pens" : " does Tom have");
  std::vector<std::string> arguments = {"generate",  model, "--raw",    "--prompt",     prompt,
                                        "--threads", "1",   "--greedy", "--ignore-eos", "--json"};
  arguments.insert(arguments.end(), more.begin(), more.end());
  const boost::json::value timings = parse_only_document(touchstone(std::move(arguments))).at("timings");
  return {timings.at("peak_rss_bytes").to_number<double>() / 1e6,
          timings.at("planned_rss_bytes").to_number<double>() / 1e6};
}

/// How much of its libraries a program maps at once depends on what of them is in memory already.
TEST(CommandLine, MemoryOfASmallModelIsPlannedToWhatTheLibrariesMayTake) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "the sanitizer has memory of its own";
#endif
  for (const char* model : {"demo:native", "demo:distilled"}) {
    const Memory memory = measure_memory(model, {"--max-new-tokens", "16"});
    EXPECT_NEAR(memory.peak_mb, memory.planned_mb, 2.5) << model;
  }
}

TEST(CommandLine, MemoryOfARealModelIsPlannedWithinTwoPercentOfWhatIsMeasured) {
  const char* folder = std::getenv("TOUCHSTONE_REAL_MODELS");
  if (folder == nullptr) GTEST_SKIP() << "TOUCHSTONE_REAL_MODELS is not set";
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "the sanitizer has memory of its own";
#endif
  const auto model = std::filesystem::path(folder) / "smollm2-135m-instruct-q4_1.gguf";
  if (!std::filesystem::exists(model)) GTEST_SKIP() << model << " is not there";
  for (const char* dtype : {"auto", "bf16", "int8"}) {
    const Memory memory = measure_memory(model.string(), {"--max-new-tokens", "4", "--dtype", dtype});
    EXPECT_NEAR(memory.peak_mb, memory.planned_mb, 0.02 * memory.peak_mb) << dtype;
  }
}

TEST(CommandLine, ThePreflightNamesEachPartAndLoadsNothing) {
  const auto document = parse_only_document(
      touchstone({"serve", "demo:native", "demo:distilled", "--parallel", "4", "--preflight", "--json"}));
  EXPECT_TRUE(document.at("fits").as_bool());
  const auto number = [](const boost::json::value& value) { return value.to_number<std::uint64_t>(); };
  std::uint64_t sum = number(document.at("program"));
  for (const boost::json::value& model : document.at("models").as_array()) {
    EXPECT_EQ(number(model.at("total")), number(model.at("weights")) + number(model.at("kv")) +
                                             number(model.at("activations")) + number(model.at("stored")) +
                                             number(model.at("text")));
    sum += number(model.at("total"));
  }
  EXPECT_NEAR(static_cast<double>(number(document.at("peak"))), static_cast<double>(sum), 1e6);
  EXPECT_THAT(touchstone({"serve", "demo:native", "--preflight"}).out, HasSubstr("keys and values"));
}

TEST(CommandLine, ThePreflightListsAModelOnceHoweverOftenItIsNamed) {
  for (const std::string& model : {std::string("demo:native"), kTiny}) {
    SCOPED_TRACE(model);
    const auto document = parse_only_document(
        touchstone({"serve", model, "demo:distilled", model, model, "--preflight", "--json"}));
    ASSERT_EQ(document.at("models").as_array().size(), 2U);
  }
}

TEST(CommandLine, WhatCannotFitIsRefusedWithCommandsThatWould) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "the sanitizer's own memory differs by more than a sequence takes";
#endif
  const std::vector<std::string> serve = {"serve", "demo:native", "--parallel", "64",
                                          "--ctx", "2048",        "--preflight"};
  std::vector<std::string> command = serve;
  command.push_back("--json");
  const boost::json::value plan = parse_only_document(touchstone(command));
  const auto number = [](const boost::json::value& value) { return value.to_number<std::uint64_t>(); };
  const boost::json::value& model = plan.at("models").at(0);
  // Half of what one sequence takes, which is more than two runs of the program differ by.
  const std::uint64_t budget =
      number(plan.at("peak")) - number(model.at("kv")) + number(model.at("kv_per_token")) * 1024;
  command = serve;
  command.insert(command.end(), {"--memory-budget", std::to_string(budget)});
  const ProcessResult refused = touchstone(command);
  EXPECT_EQ(refused.exit_status, 1);
  EXPECT_THAT(refused.err, HasSubstr("touchstone serve demo:native"));
  EXPECT_THAT(refused.err, HasSubstr("--parallel"));
  expect_one_error_line(touchstone({"serve", "demo:native", "--memory-budget", "1MB"}), "smaller model");
}

TEST(CommandLine, AFullDiskIsAnErrorAndNotASilence) {
  const std::string command = std::string(TOUCHSTONE_BINARY) + " inspect '" + kTiny + "' --json > /dev/full";
  const ProcessResult result = run_process({"sh", "-c", command});
  EXPECT_EQ(result.exit_status, 1);
  EXPECT_THAT(result.err, HasSubstr("standard output"));
}

TEST(CommandLine, ADeviceThatThisBuildLacksIsRefused) {
  expect_one_error_line(touchstone({"score", kTiny, "--device", "cuda"}, R"({"ids":[1,2]})"), "cuda");
}

/// A model of 40 MB, all weights zero, of which the disk holds the header alone.
void write_hollow_model(const std::filesystem::path& folder) {
  std::filesystem::create_directories(folder);
  std::ofstream(folder / "config.json")
      << R"({"model_type":"llama","architectures":["LlamaForCausalLM"],"hidden_size":256,"vocab_size":40000,)"
      << R"("num_hidden_layers":1,"intermediate_size":16,"num_attention_heads":4,"num_key_value_heads":4,)"
      << R"("max_position_embeddings":64,"rms_norm_eps":1e-6,"hidden_act":"silu","tie_word_embeddings":true})";
  const std::string layer = "model.layers.0.";
  boost::json::object tensors;
  std::int64_t end = 0;
  const auto add = [&](const std::string& name, std::int64_t rows, std::int64_t columns) {
    const std::int64_t begin = std::exchange(end, end + rows * columns * 4);
    boost::json::array shape = {rows, columns};
    if (rows == 1) shape = {columns};
    tensors[name + ".weight"] = {{"dtype", "F32"}, {"shape", shape}, {"data_offsets", {begin, end}}};
  };
  add("model.embed_tokens", 40000, 256);
  for (const char* name : {"q", "k", "v", "o"}) add(layer + "self_attn." + name + "_proj", 256, 256);
  add(layer + "mlp.gate_proj", 16, 256);
  add(layer + "mlp.up_proj", 16, 256);
  add(layer + "mlp.down_proj", 256, 16);
  add(layer + "input_layernorm", 1, 256);
  add(layer + "post_attention_layernorm", 1, 256);
  add("model.norm", 1, 256);
  const std::string header = boost::json::serialize(tensors);
  const std::uint64_t length = header.size();
  std::ofstream(folder / "model.safetensors", std::ios::binary)
          .write(reinterpret_cast<const char*>(&length), sizeof length)
      << header;
  std::filesystem::resize_file(folder / "model.safetensors",
                               sizeof length + length + static_cast<std::uint64_t>(end));
}

TEST(CommandLine, PackedWeightsAreKeptForTheNextStartUnlessNoCacheIsGiven) {
  const TemporaryFolder folder;
  write_hollow_model(folder.path() / "model");
  std::this_thread::sleep_for(std::chrono::milliseconds(150));  // what has just been written is not cached
  const auto use = [&](std::vector<std::string> options) {
    std::vector<std::string> arguments = {TOUCHSTONE_BINARY,
                                          "bench",
                                          (folder.path() / "model").string(),
                                          "--json",
                                          "--batch",
                                          "1",
                                          "--repeat",
                                          "1",
                                          "--prompt-tokens",
                                          "1",
                                          "--new-tokens",
                                          "1"};
    arguments.insert(arguments.end(), options.begin(), options.end());
    const ProcessResult result = run_process(
        arguments, {}, {"XDG_CACHE_HOME=" + folder.path().string(), "TOUCHSTONE_CACHE_BYTES=1000000000"});
    return parse_only_document(result).at("load").at("packed_cache");
  };
  EXPECT_EQ(use({"--no-cache"}), "off");
  EXPECT_FALSE(std::filesystem::exists(folder.path() / "touchstone"));
  EXPECT_EQ(use({}), "miss");
  EXPECT_EQ(use({}), "hit");
  EXPECT_EQ(use({"--dtype", "int8"}), "off");  // 10 MB: soon packed
  EXPECT_EQ(use({"--no-cache"}), "off");
}

}  // namespace
}  // namespace touchstone::testing
