#include "engine/score.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <bit>
#include <memory>
#include <optional>
#include <span>
#include <utility>

#include "base/blob.h"
#include "base/count_of.h"
#include "base/error.h"
#include "base/parse_json.h"
#include "cli/checks.h"
#include "cli/cli.h"
#include "cli/output_file.h"
#include "engine/context_length.h"
#include "engine/prompt.h"

namespace touchstone::cli {
namespace {

struct ScoreOptions {
  std::string model;
  int top = 10;
  std::string logits_file;
  CommonOptions common;
};

/// What NumPy's .npy format 1.0 has before the numbers: float32, C order, [rows, columns].
std::string make_npy_header(std::size_t rows, std::size_t columns) {
  static_assert(std::endian::native == std::endian::little);
  std::string text =
      fmt::format("{{'descr': '<f4', 'fortran_order': False, 'shape': ({}, {}), }}", rows, columns);
  constexpr std::size_t kAlignment = 64;
  constexpr std::size_t kPreamble = 10;  // magic, version, header length
  while ((kPreamble + text.size() + 1) % kAlignment != 0) text += ' ';
  text += '\n';
  const auto size = static_cast<std::uint16_t>(text.size());
  std::string header("\x93NUMPY\x01\x00", 8);
  header.append(reinterpret_cast<const char*>(&size), sizeof size);
  return header + text;
}

std::vector<std::int32_t> read_ids(const Checkpoint& checkpoint) {
  const std::string source = "standard input";
  const boost::json::value input = parse_json(read_stdin(), source);
  if (!input.is_object())
    throw Error(source + " is not a JSON object", R"(give {"ids":[…]} or {"text":"…"})");
  if (const auto* ids = input.as_object().if_contains("ids")) return parse_ids(*ids, source + ", 'ids'");
  const auto* text = input.as_object().if_contains("text");
  if (text == nullptr || !text->is_string()) {
    throw Error(source + (text == nullptr ? " has neither 'ids' nor 'text'" : ", 'text' is not a string"),
                R"(give {"ids":[…]} or {"text":"…"})");
  }
  return make_raw_prompt(make_prompter(checkpoint, true), text->as_string()).ids;
}

int run_score(const ScoreOptions& options) {
  const Checkpoint checkpoint = open_checkpoint(options.model);
  warn_of_short_context(checkpoint.id, parse_config(checkpoint), options.common.context_tokens);
  if (!options.logits_file.empty()) check_output_file(options.logits_file, checkpoint);
  const std::vector<std::int32_t> ids = read_ids(checkpoint);
  if (const int most = options.common.context_tokens; most > 0 && std::cmp_greater(ids.size(), most)) {
    throw Error(fmt::format("the text has {} tokens, the context {}", ids.size(), most), "raise --ctx");
  }
  Transformer transformer(checkpoint, model_options(options.common));
  std::optional<AtomicFile> npy;
  if (!options.logits_file.empty()) {
    npy.emplace(options.logits_file);
    const std::string header =
        make_npy_header(ids.size(), static_cast<std::size_t>(transformer.config().vocab_size));
    npy->write(std::as_bytes(std::span(header)));
  }
  boost::json::array positions;
  double nll = 0;
  std::string table;
  const auto on_position = [&](const ScoredPosition& position) {
    nll -= position.logprob;
    boost::json::array top;
    for (const auto& [id, logprob] : position.top) top.push_back(boost::json::array{id, logprob});
    if (!options.common.json) table += fmt::format("{:>8} {:>10.4f}\n", position.id, position.logprob);
    positions.push_back({{"id", position.id}, {"logprob", position.logprob}, {"top", std::move(top)}});
  };
  std::function<void(std::span<const float>)> on_logits;
  if (npy) {
    on_logits = [&](std::span<const float> row) { npy->write(std::as_bytes(row)); };
  }
  score_ids(transformer, ids, options.top, on_position, on_logits);
  if (npy) npy->finish();

  const double nll_mean = positions.empty() ? 0.0 : nll / static_cast<double>(positions.size());
  if (options.common.json) {
    print_json({{"n", ids.size()}, {"nll_mean", nll_mean}, {"positions", std::move(positions)}});
  } else {
    print_text(table + fmt::format("{}, mean NLL {:.5f}\n", count_of(std::ssize(ids), "token"), nll_mean));
  }
  return kExitDone;
}

}  // namespace

void add_score(CLI::App& app, Command& command) {
  auto options = std::make_shared<ScoreOptions>();
  CLI::App* sub =
      app.add_subcommand("score", "How likely a model finds a text: log-probability of each token");
  sub->add_option("MODEL", options->model, "Folder, .gguf file, ORG/NAME in a local cache, or demo:native")
      ->required();
  sub->add_option("--top", options->top, "Most likely tokens listed at each position")
      ->check(number_from(0, 1000))
      ->capture_default_str();
  sub->add_option("--logits", options->logits_file,
                  "Also write all logits to this .npy file (float32 [n, vocab_size])");
  add_common_options(*sub, options->common);
  sub->footer(
      "Examples:\n"
      "  echo '{\"text\":\"The sky is blue\"}' | touchstone score demo:native\n"
      "  echo '{\"ids\":[9707,11,1879]}' | touchstone score ./model.gguf --json --top 5 --logits logits.npy");
  sub->callback([options, &command] { command = [options] { return run_score(*options); }; });
}

}  // namespace touchstone::cli
