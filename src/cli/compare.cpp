#include "eval/compare.h"

#include <fmt/core.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <memory>

#include "base/count_of.h"
#include "base/interrupt.h"
#include "cli/checks.h"
#include "cli/cli.h"
#include "cli/progress.h"
#include "eval/scenario.h"
#include "eval/suite.h"

namespace touchstone::cli {
namespace {

struct CompareArguments {
  CompareOptions compare;
  CommonOptions common;
  bool greedy = false;
  bool raw = false;
  bool no_perf = false;
};

std::string format_left(double seconds) {
  if (seconds < 0) return "";
  const long whole = std::lround(seconds);
  if (whole >= 3600) return fmt::format(", {} h {:02} min left", whole / 3600, whole / 60 % 60);
  return fmt::format(", {}:{:02} left", whole / 60, whole % 60);
}

std::string describe(const Progress& progress) {
  std::string text = progress.phase;
  if (!progress.candidate.empty()) text = progress.candidate + " " + text;
  text += fmt::format(" {}/{}", progress.done, progress.total);
  if (progress.tokens_per_second > 0) text += fmt::format(", {:.0f} tokens/s", progress.tokens_per_second);
  return text + format_left(progress.seconds_left);
}

/// Options that the user did not give stay unset, so that a resumed run keeps its own.
CompareOptions make_options(const CLI::App& sub, const CompareArguments& arguments,
                            const std::string& version) {
  const ModelOptions model = model_options(arguments.common);
  CompareOptions options = arguments.compare;
  options.version = version;
  options.threads = model.num_threads;
  options.packed_cache = model.packed_cache;
  if (sub.count("--isa") > 0) options.isa = model.isa;
  if (sub.count("--dtype") > 0) options.dtype = model.dtype;
  if (sub.count("--kv-dtype") > 0) options.kv_dtype = model.kv_dtype;
  if (sub.count("--ctx") > 0) options.context_tokens = arguments.common.context_tokens;
  if (arguments.raw) options.raw = true;
  if (arguments.no_perf) options.perf = false;
  if (arguments.greedy) options.temperature = 0;
  return options;
}

/// What a new run compares; a resumed one has its own.
void check_candidates(const CompareOptions& options) {
  if (!options.resume.empty()) return;
  if (options.models.size() < 2) {
    throw CLI::ValidationError("MODEL", "compare needs at least two models, or --resume DIR");
  }
  std::vector<std::string> names = make_labels(options.models);
  names.insert(names.end(), options.models.begin(), options.models.end());
  if (!options.baseline.empty() && std::find(names.begin(), names.end(), options.baseline) == names.end()) {
    throw CLI::ValidationError("--baseline", "'" + options.baseline + "' is not one of the models");
  }
}

std::string say_stopped(const std::string& kept, const std::filesystem::path& folder) {
  return "touchstone: compare: stopped; " + kept + "; continue with: touchstone compare --resume " +
         folder.string() + "\n";
}

int run(const CLI::App& sub, const CompareArguments& arguments, const std::string& version) {
  const CompareOptions options = make_options(sub, arguments, version);
  if (options.suites.empty() && options.resume.empty()) {
    std::string names;
    for (const std::string& name : default_suites(options.models))
      names += (names.empty() ? "" : ", ") + name;
    std::fprintf(stderr, "touchstone: compare: suites %s (choose others with --suite)\n", names.c_str());
  }
  ProgressPrinter printer("compare");
  RunHooks hooks;
  hooks.begun = [](const std::filesystem::path& folder) {
    const std::string erased = isatty(STDERR_FILENO) != 0 ? "\r\033[K" : "";  // the progress
    catch_interrupts(kInterruptGrace, erased + say_stopped("all answers are kept", folder));
  };
  hooks.stop = interrupted;
  hooks.progress = [&printer](const Progress& progress) {
    printer.show(progress.candidate + progress.phase, describe(progress), progress.done, progress.total);
  };
  CompareResult result;
  try {
    result = run_compare(options, hooks);
  } catch (...) {
    printer.clear();
    throw;
  }
  printer.clear();
  if (result.interrupted) {
    const std::string kept =
        count_of(result.answers_kept, "answer") + (result.answers_kept == 1 ? " is kept" : " are kept");
    std::fputs(say_stopped(kept, result.folder).c_str(), stderr);
    return kExitInterrupted;
  }
  std::fprintf(stderr, "touchstone: compare: wrote report.html, report.md, report.json to %s\n",
               result.folder.c_str());
  if (arguments.common.json) {
    print_json(report_to_json(*result.report));
  } else {
    print_text(report_to_text(*result.report));
  }
  return kExitDone;
}

}  // namespace

void add_compare(CLI::App& app, Command& command) {
  auto arguments = std::make_shared<CompareArguments>();
  CompareOptions& options = arguments->compare;
  std::vector<std::string> scenario_names;
  for (const Scenario& scenario : built_in_scenarios()) scenario_names.push_back(scenario.name);
  CLI::App* sub = app.add_subcommand(
      "compare", "Run models over task suites and say which is better, and how sure that is");
  sub->add_option("MODEL", options.models, "Two or more models: folders, .gguf files, ORG/NAME, demo:native");
  add_list_option(*sub, "--suite", options.suites, name_or_path(embedded_suite_names()),
                  "math, code, logic or .jsonl files, as a,b,c (default: those three)");
  sub->add_option("--limit", options.limit, "Items of each suite (default 50)")
      ->check(number_from(1, 1'000'000));
  sub->add_option("--samples", options.samples, "Answers to each item (default 1)")
      ->check(number_from(1, 1024));
  sub->add_option("--max-new-tokens", options.max_new_tokens, "Tokens of an answer at most (default 2048)")
      ->check(number_from(1, 1 << 20));
  sub->add_option("--seed", options.seed, "Of the sampling (default 0)")->check(any_seed());
  auto* temperature = sub->add_option("--temperature", options.temperature,
                                      "For all models (default: each model's published sampling)")
                          ->check(number_from(0.0, 100.0));
  sub->add_flag("--greedy", arguments->greedy, "Temperature 0 for all models")->excludes(temperature);
  sub->add_flag("--raw", arguments->raw, "Without chat template; a known trigger of endless loops");
  auto* out =
      sub->add_option("--out", options.out, "Folder of the run (default touchstone-runs/DATE-A-vs-B)");
  sub->add_option("--resume", options.resume,
                  "Continue the run in this folder; models and settings are its own")
      ->excludes(out);
  add_list_option(*sub, "--scenario", options.scenarios, name_or_path(scenario_names),
                  "tutor, completion, ide, embedded or a .json file (default: all four)");
  sub->add_option("--baseline", options.baseline,
                  "Compare all others with this one (default: each with each)");
  sub->add_flag("--no-perf", arguments->no_perf,
                "Skip the latency pass (which runs without lookup: one token, one pass)");
  add_common_options(*sub, arguments->common);
  sub->footer(
      "Examples:\n"
      "  touchstone compare demo:distilled demo:native\n"
      "  touchstone compare ./a.gguf ORG/NAME --suite math,code --limit 20 --out runs/first\n"
      "  touchstone compare --resume runs/first");
  sub->callback([&app, sub, arguments, &command] {
    check_candidates(arguments->compare);
    command = [&app, sub, arguments] {
      const std::string version = app.version();  // "touchstone 1.2.3"
      return run(*sub, *arguments, version.substr(version.rfind(' ') + 1));
    };
  });
}

}  // namespace touchstone::cli
