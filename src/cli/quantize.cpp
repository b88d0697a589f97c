#include "model/quantize.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <filesystem>
#include <memory>
#include <optional>

#include "base/blob.h"
#include "base/error.h"
#include "base/resources.h"
#include "cli/cli.h"
#include "cli/output_file.h"
#include "cli/progress.h"
#include "engine/context_length.h"
#include "engine/prompt.h"
#include "engine/score.h"

namespace touchstone::cli {
namespace {

namespace fs = std::filesystem;

struct QuantizeArguments {
  std::string model, to, out, eval;
  CommonOptions common;
};

/// `text` in sequences of at most `length` tokens, each with the token that begins a text, if the model has
/// one.
std::vector<std::vector<std::int32_t>> cut_text(const Checkpoint& checkpoint, std::string_view text,
                                                std::int32_t length) {
  const Prompter prompter = make_prompter(checkpoint, true);
  const std::vector<std::int32_t> start = make_raw_prompt(prompter, "").ids;
  const std::vector<std::int32_t> ids = make_raw_prompt(prompter, text).ids;
  if (static_cast<std::size_t>(length) <= start.size()) {
    throw Error(
        "a context of " + std::to_string(length) + " leaves no room behind the token that begins a text",
        "take a model with a longer one, or raise --ctx");
  }
  const std::size_t each = static_cast<std::size_t>(length) - start.size();
  std::vector<std::vector<std::int32_t>> sequences;
  for (std::size_t begin = start.size(); begin < ids.size(); begin += each) {
    sequences.push_back(start);
    const auto first = ids.begin() + static_cast<std::ptrdiff_t>(begin);
    sequences.back().insert(sequences.back().end(), first,
                            first + static_cast<std::ptrdiff_t>(std::min(each, ids.size() - begin)));
  }
  return sequences;
}

/// Mean over all tokens but the first of each part; parts are as long as the context, and not so long that
/// attention takes the time.
double measure_nll(const std::string& model, const std::string& text, const ModelOptions& options,
                   int context_tokens, ProgressPrinter& printer) {
  constexpr std::int32_t kMostTokens = 8192;
  const Checkpoint checkpoint = open_checkpoint(model);
  Transformer transformer(checkpoint, options);
  std::int32_t length = std::min(kMostTokens, transformer.config().max_position_embeddings);
  if (context_tokens > 0) length = std::min(length, context_tokens);
  if (length < 2) throw Error("a context of one token holds none to predict", "raise --ctx");
  double nll = 0;
  std::size_t count = 0;
  const std::vector<std::vector<std::int32_t>> sequences = cut_text(checkpoint, text, length);
  const int total = static_cast<int>(sequences.size());
  for (int done = 0; done < total; ++done) {
    printer.show("NLL of " + model, fmt::format("mean NLL of {}: part {} of {}", model, done + 1, total),
                 done, total);
    const auto on_position = [&](const ScoredPosition& position) {
      nll -= position.logprob;
      ++count;
    };
    score_ids(transformer, sequences[static_cast<std::size_t>(done)], 0, on_position, {});
  }
  if (count == 0) throw Error("the text of --eval has less than two tokens", "give a longer one");
  return nll / static_cast<double>(count);
}

void write_quantized(const Checkpoint& checkpoint, const QuantizeArguments& arguments,
                     const ModelOptions& options, ProgressPrinter& printer) {
  // As long as what small models are asked; a sequence's first tokens see little before them.
  constexpr std::int32_t kTokens = 512;
  const std::optional<Blob> text = find_embedded("demo/calibration.txt");
  if (!text) throw Error("this build lacks the calibration text", "build touchstone again");
  const std::int32_t length = std::min(kTokens, parse_config(checkpoint).max_position_embeddings);
  QuantizeOptions quantize;
  quantize.to = arguments.to == "int8" ? DType::int8_128 : DType::int4_128;
  quantize.num_threads = options.num_threads;
  quantize.isa = options.isa;
  quantize.on_progress = [&](int done, int total) {
    printer.show("matrices", fmt::format("{} of {} matrices in {}", done, total, arguments.to), done, total);
  };
  quantize_model(checkpoint, cut_text(checkpoint, text->text(), length), quantize, arguments.out);
}

int run(const QuantizeArguments& arguments) {
  const ModelOptions options = model_options(arguments.common);
  const Checkpoint checkpoint = open_checkpoint(arguments.model);
  warn_of_short_context(checkpoint.id, parse_config(checkpoint), arguments.common.context_tokens);
  check_output_file(arguments.out, checkpoint);
  std::optional<std::string> eval_text;
  if (!arguments.eval.empty()) eval_text = std::string(map_file(arguments.eval).text());
  ProgressPrinter printer("quantize");
  const auto measure = [&](const std::string& model, const ModelOptions& how) -> std::optional<double> {
    if (!eval_text) return std::nullopt;
    return measure_nll(model, *eval_text, how, arguments.common.context_tokens, printer);
  };

  std::optional<double> before, after;
  try {
    before = measure(arguments.model, options);
    write_quantized(checkpoint, arguments, options, printer);
    ModelOptions as_stored = options;
    as_stored.dtype = "auto";
    after = measure(arguments.out, as_stored);
  } catch (...) {
    printer.clear();
    throw;
  }
  printer.clear();

  std::uint64_t bytes_in = 0;
  for (const Blob& blob : checkpoint.blobs) bytes_in += blob.bytes.size();
  const std::uint64_t bytes_out = fs::file_size(arguments.out);
  if (arguments.common.json) {
    const auto or_null = [](std::optional<double> x) {
      return x ? boost::json::value(*x) : boost::json::value();
    };
    print_json({{"bytes_in", bytes_in},
                {"bytes_out", bytes_out},
                {"nll_before", or_null(before)},
                {"nll_after", or_null(after)}});
    return kExitDone;
  }
  std::string text = fmt::format("{}: {:.1f} MB, from {:.1f} MB\n", arguments.out,
                                 static_cast<double>(bytes_out) / 1e6, static_cast<double>(bytes_in) / 1e6);
  if (before && after) {
    text += fmt::format("mean NLL {:.5f}, before {:.5f} ({:+.2f} %)\n", *after, *before,
                        100 * (*after / *before - 1));
  }
  print_text(text);
  return kExitDone;
}

}  // namespace

void add_quantize(CLI::App& app, Command& command) {
  auto arguments = std::make_shared<QuantizeArguments>();
  CLI::App* sub = app.add_subcommand("quantize", "Write a model in 8-bit or 4-bit integers, as one file");
  sub->add_option("MODEL", arguments->model, "Folder, .gguf file, ORG/NAME in a local cache, or demo:native")
      ->required();
  sub->add_option("--to", arguments->to, "int8, or int4 (embedding and head in 6 bits)")
      ->required()
      ->check(CLI::IsMember({"int8", "int4"}));
  sub->add_option("-o,--out", arguments->out, "The file to write, .safetensors; a MODEL for all commands")
      ->required()
      ->check([](const std::string& path) {
        return path.ends_with(".safetensors") ? std::string() : path + " does not end in .safetensors";
      });
  sub->add_option("--eval", arguments->eval, "Also score this text with the model before and after");
  add_common_options(*sub, arguments->common);
  sub->footer(
      "Examples:\n"
      "  touchstone quantize ./model.gguf --to int4 -o model-int4.safetensors\n"
      "  touchstone quantize ORG/NAME --to int8 -o model-int8.safetensors --eval text.txt --json");
  sub->callback([arguments, &command] { command = [arguments] { return run(*arguments); }; });
}

}  // namespace touchstone::cli
