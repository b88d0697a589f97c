#include "eval/compare.h"

#include <fmt/core.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <memory>

#include "base/interrupt.h"
#include "cli/cli.h"

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

/// A bar that redraws itself on a terminal; elsewhere a line when a phase begins and ends.
class ProgressPrinter {
 public:
  void show(const Progress& progress) {
    if (!terminal_) {
      show_line(progress);
      return;
    }
    using Clock = std::chrono::steady_clock;
    constexpr auto kRedraw = std::chrono::milliseconds(200);
    const auto now = Clock::now();
    if (progress.done < progress.total && now - drawn_ < kRedraw) return;
    drawn_ = now;
    constexpr int kWidth = 24;
    const int filled = progress.total > 0 ? kWidth * progress.done / progress.total : 0;
    std::string bar = "[";
    for (int i = 0; i < kWidth; ++i) bar += i < filled ? '#' : '.';
    std::fprintf(stderr, "\r\033[K%s] %s", bar.c_str(), describe(progress).c_str());
    std::fflush(stderr);
    open_ = true;
  }

  /// Leaves the terminal's line free for what comes next.
  void clear() {
    if (open_) std::fprintf(stderr, "\r\033[K");
    open_ = false;
  }

 private:
  void show_line(const Progress& progress) {
    const std::string phase = progress.candidate + progress.phase;
    const bool begins = phase != phase_;
    if (!begins && progress.done < progress.total) return;
    if (!begins && ended_) return;
    phase_ = phase;
    ended_ = progress.done >= progress.total;
    std::fprintf(stderr, "touchstone: compare: %s\n", describe(progress).c_str());
  }

  bool terminal_ = isatty(STDERR_FILENO) != 0;
  bool open_ = false;
  bool ended_ = false;
  std::string phase_;
  std::chrono::steady_clock::time_point drawn_;
};

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

int run(const CLI::App& sub, const CompareArguments& arguments, const std::string& version) {
  const CompareOptions options = make_options(sub, arguments, version);
  if (options.suites.empty() && options.resume.empty()) {
    std::string names;
    for (const std::string& name : default_suites(options.models))
      names += (names.empty() ? "" : ", ") + name;
    std::fprintf(stderr, "touchstone: compare: suites %s (choose others with --suite)\n", names.c_str());
  }
  catch_interrupts();
  ProgressPrinter printer;
  RunHooks hooks;
  hooks.stop = interrupted;
  hooks.progress = [&printer](const Progress& progress) { printer.show(progress); };
  CompareResult result;
  try {
    result = run_compare(options, hooks);
  } catch (...) {
    printer.clear();
    throw;
  }
  printer.clear();
  if (result.interrupted) {
    std::fprintf(
        stderr,
        "touchstone: compare: stopped; %d answers are kept; continue with: touchstone compare --resume %s\n",
        result.answers_kept, result.folder.c_str());
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
  CLI::App* sub = app.add_subcommand(
      "compare", "Run models over task suites and say which is better, and how sure that is");
  sub->add_option("MODEL", options.models, "Two or more models: folders, .gguf files, ORG/NAME, demo:native");
  sub->add_option("--suite", options.suites,
                  "math, code, logic or .jsonl files, as a,b,c (default: those three)")
      ->delimiter(',');
  sub->add_option("--limit", options.limit, "Items of each suite (default 50)")
      ->check(CLI::Range(1, 1'000'000));
  sub->add_option("--samples", options.samples, "Answers to each item (default 1)")
      ->check(CLI::Range(1, 1024));
  sub->add_option("--max-new-tokens", options.max_new_tokens, "Tokens of an answer at most (default 2048)")
      ->check(CLI::Range(1, 1 << 20));
  sub->add_option("--seed", options.seed, "Of the sampling (default 0)");
  auto* temperature = sub->add_option("--temperature", options.temperature,
                                      "For all models (default: each model's published sampling)")
                          ->check(CLI::Range(0.0, 100.0));
  sub->add_flag("--greedy", arguments->greedy, "Temperature 0 for all models")->excludes(temperature);
  sub->add_flag("--raw", arguments->raw, "Without chat template; a known trigger of endless loops");
  auto* out =
      sub->add_option("--out", options.out, "Folder of the run (default touchstone-runs/DATE-A-vs-B)");
  sub->add_option("--resume", options.resume,
                  "Continue the run in this folder; models and settings are its own")
      ->excludes(out);
  sub->add_option("--scenario", options.scenarios,
                  "tutor, completion, ide, embedded or a .json file (default: all four)")
      ->delimiter(',');
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
    if (arguments->compare.resume.empty() && arguments->compare.models.size() < 2) {
      throw CLI::ValidationError("MODEL", "compare needs at least two models, or --resume DIR");
    }
    command = [&app, sub, arguments] {
      const std::string version = app.version();  // "touchstone 1.2.3"
      return run(*sub, *arguments, version.substr(version.rfind(' ') + 1));
    };
  });
}

}  // namespace touchstone::cli
