#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <memory>

#include "base/count_of.h"
#include "base/error.h"
#include "cli/checks.h"
#include "cli/cli.h"
#include "cli/sampling_options.h"
#include "engine/benchmark.h"
#include "engine/lookup_benchmark.h"

namespace touchstone::cli {
namespace {

struct BenchOptions {
  std::string model;
  CommonOptions common;
  BenchmarkOptions benchmark;
  Lookup lookup = Lookup::off;  // off: not measured
};

std::string format_profile(const boost::json::object& profile) {
  std::string text;
  for (const char* phase : {"prefill", "decode"}) {
    text += fmt::format(
        "\n{:<20} {:>9} {:>7} {:>13} {:>8}   (batch {}, {} before)\n", phase, "ms", "share", "weights GB/s",
        "GOP/s", profile.at("batch").as_int64(),
        count_of(phase == std::string_view("decode") ? profile.at("context_tokens").as_int64() : 0, "token"));
    for (const boost::json::value& stage : profile.at(phase).as_array()) {
      text +=
          fmt::format("{:<20} {:>9.1f} {:>6.1f}% {:>13.1f} {:>8.0f}\n", stage.at("stage").as_string().c_str(),
                      stage.at("ms").to_number<double>(), 100 * stage.at("share").to_number<double>(),
                      stage.at("weight_gb_s").to_number<double>(), stage.at("gop_s").to_number<double>());
    }
  }
  return text;
}

std::string format_lookup(const boost::json::object& lookup) {
  const auto number = [](const boost::json::value& value) { return value.to_number<double>(); };
  std::string text = "\ntokens of a pass:";
  for (const boost::json::value& pass : lookup.at("passes").as_array()) {
    text += fmt::format("  {}: {:.1f} ms", pass.at("tokens").as_int64(), number(pass.at("ms").at("median")));
  }
  text += "\nanswer that            tokens   tok/s  with lookup   ratio  guesses right/made\n";
  for (const boost::json::value& row : lookup.at("rows").as_array()) {
    text += fmt::format("{:<22} {:>6} {:>7.1f} {:>12.1f} {:>7.2f} {:>13}/{}\n",
                        row.at("text").as_string().c_str(), row.at("new_tokens").to_number<int>(),
                        number(row.at("decode_tok_s_without").at("median")),
                        number(row.at("decode_tok_s").at("median")), number(row.at("ratio").at("median")),
                        row.at("accepted_tokens").as_int64(), row.at("drafted_tokens").as_int64());
  }
  return text;
}

/// "82%", or "-" where there is no roofline to compare with.
std::string format_share(const boost::json::value& share) {
  return share.is_null() ? "-" : fmt::format("{:.0f}%", 100 * share.to_number<double>());
}

std::string format_table(const boost::json::object& document) {
  const auto number = [](const boost::json::value& value) { return value.to_number<double>(); };
  const boost::json::object& machine = document.at("machine").as_object();
  std::string text = fmt::format("{} — {}, {}\n", document.at("model").as_string().c_str(),
                                 machine.at("isa").as_string().c_str(),
                                 count_of(machine.at("threads").as_int64(), "thread"));
  if (const auto* roofline = document.if_contains("roofline")) {
    text += fmt::format(
        "roofline: reads {:.1f} GB/s, float32 FMA {:.0f} GFLOP/s, bfloat16 {:.0f}, 8-bit products {:.0f} "
        "GOP/s\n",
        number(roofline->at("read_gb_s")), number(roofline->at("fma_gflop_s")),
        number(roofline->at("bf16_gflop_s")), number(roofline->at("int8_gop_s")));
  }
  const auto& load = document.at("load").as_object();
  text += fmt::format("load {:.0f} ms, weights {:.1f} MB\n", number(load.at("load_ms")),
                      number(load.at("weight_bytes")) / 1e6);
  if (const auto* tokenizer = document.if_contains("tokenizer")) {
    text += fmt::format("tokenizer {:.1f} MB/s of English on one thread\n",
                        number(tokenizer->at("encode_mb_s").at("median")));
  }
  text +=
      "\nbatch   prefill tok/s  of peak   decode tok/s  of peak  weights GB/s  of reads   TTFT ms  peak RSS "
      "MB\n";
  for (const boost::json::value& row : document.at("rows").as_array()) {
    text += fmt::format("{:>5} {:>15.1f} {:>8} {:>14.1f} {:>8} {:>13.1f} {:>9} {:>9.1f} {:>12.0f}\n",
                        row.at("batch").as_int64(), number(row.at("prefill_tok_s")),
                        format_share(row.at("peak_share")), number(row.at("decode_tok_s")),
                        format_share(row.at("decode_peak_share")), number(row.at("weight_gb_s")),
                        format_share(row.at("bandwidth_share")), number(row.at("ttft_ms")),
                        number(row.at("peak_rss_bytes")) / 1e6);
  }
  if (const auto* profiles = document.if_contains("profile")) {
    for (const boost::json::value& profile : profiles->as_array())
      text += format_profile(profile.as_object());
  }
  if (const auto* lookup = document.if_contains("lookup")) text += format_lookup(lookup->as_object());
  return text;
}

/// A shape is one of those known, and its random weights answer nothing.
void check_shape(const BenchOptions& options) {
  constexpr std::string_view kPrefix = "shape:";
  if (!options.model.starts_with(kPrefix)) return;
  const std::vector<std::string> shapes = benchmark_shapes();
  if (std::find(shapes.begin(), shapes.end(), options.model.substr(kPrefix.size())) == shapes.end()) {
    throw CLI::ValidationError(
        "MODEL", fmt::format("'{}' is not one of the shapes {}", options.model, fmt::join(shapes, ", ")));
  }
  if (options.lookup != Lookup::off) {
    throw CLI::ValidationError("--lookup", "needs a model that answers, and random weights do not");
  }
}

int run_bench(const BenchOptions& options) {
  const auto progress = [](const std::string& stage) {
    std::fprintf(stderr, "touchstone: bench: %s\n", stage.c_str());
  };
  boost::json::object document =
      run_benchmark(options.model, model_options(options.common), options.benchmark, progress);
  if (options.lookup != Lookup::off) {
    const auto model =
        std::make_shared<LoadedModel>(load_model(options.model, {model_options(options.common)}));
    document["lookup"] = run_lookup_benchmark(model,
                                              {.lookup = options.lookup,
                                               .new_tokens = options.benchmark.new_tokens,
                                               .repeats = options.benchmark.repeats},
                                              progress);
  }
  options.common.json ? print_json(document) : print_text(format_table(document));
  return kExitDone;
}

}  // namespace

void add_bench(CLI::App& app, Command& command) {
  auto options = std::make_shared<BenchOptions>();
  CLI::App* sub = app.add_subcommand(
      "bench", "Prefill, decode, TTFT, load time and memory, against this machine's roofline");
  sub->add_option("MODEL", options->model, "A model, or shape:NAME for random weights of a shape")
      ->required();
  sub->add_option("--prompt-tokens", options->benchmark.prompt_tokens, "Tokens of each prompt")
      ->check(number_from(1, 1 << 20))
      ->capture_default_str();
  sub->add_option("--new-tokens", options->benchmark.new_tokens, "Tokens decoded after it")
      ->check(number_from(1, 1 << 20))
      ->capture_default_str();
  add_list_option(*sub, "--batch", options->benchmark.batches, number_from(1, 1024),
                  "Numbers of sequences that decode at once, as 1,4,16 (the default)")
      ->type_name("INT");
  sub->add_option("--repeat", options->benchmark.repeats, "Counted repetitions, after one that is not")
      ->check(number_from(1, 1000))
      ->capture_default_str();
  sub->add_flag("--roofline", options->benchmark.roofline,
                "Also measure this machine's read bandwidth and arithmetic peaks, around each row");
  sub->add_flag("--profile", options->benchmark.profile, "Also take the time of each stage of a pass");
  add_lookup_option(*sub, options->lookup,
                    "Also answer built-in prompts, by turns with and without guesses from the text so far: "
                    "auto, on; off leaves it out");
  add_common_options(*sub, options->common);
  sub->get_option("--ctx")->description("Without effect: the context is as long as prompt and answer");
  sub->footer(
      "Examples:\n"
      "  touchstone bench demo:native --roofline\n"
      "  touchstone bench shape:qwen2-1.5b --batch 1,32 --json\n"
      "  touchstone bench ./model.gguf --dtype int8 --lookup auto --new-tokens 256\n"
      "Shapes: " +
      fmt::format("{}", fmt::join(benchmark_shapes(), ", ")));
  sub->callback([options, &command] {
    check_shape(*options);
    command = [options] { return run_bench(*options); };
  });
}

}  // namespace touchstone::cli
