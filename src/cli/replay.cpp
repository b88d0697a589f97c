#include "engine/replay.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <memory>

#include "base/blob.h"
#include "base/count_of.h"
#include "base/error.h"
#include "base/parse_json.h"
#include "cli/cli.h"
#include "formats/checked.h"

namespace touchstone::cli {
namespace {

constexpr std::size_t kMaxReceiptBytes = std::size_t{256} << 20;  // 2^24 ids and as many again
constexpr std::size_t kMaxReceiptDepth = 64;                      // of a schema, as the server's

struct ReplayOptions {
  std::string receipt;
  std::string model;  // empty: the receipt's
  CommonOptions common;
};

/// A receipt, or a server's answer that holds one.
Receipt read_receipt(const std::string& path) {
  const Blob file = map_file(path);
  if (file.bytes.size() > kMaxReceiptBytes) throw Error(path + " is larger than 256 MiB", "give a receipt");
  const boost::json::value value = parse_json(
      std::string(file.text()), path, "give what `generate --receipt` or the server wrote", kMaxReceiptDepth);
  const boost::json::object* answer = value.if_object();
  const boost::json::value* inside = answer == nullptr ? nullptr : answer->if_contains("receipt");
  return parse_receipt(inside == nullptr ? value : *inside);
}

std::string format_choice(const std::optional<TokenChoice>& choice) {
  if (!choice) return "ends";
  return fmt::format("has {} {} (log-probability {:.4f})", choice->id, quote(choice->text), choice->logprob);
}

std::string format_text(const ReplayReport& report) {
  std::string text;
  for (const HashCheck& check : report.hashes) {
    const auto name = [](const std::string& hash) { return hash.empty() ? std::string("none") : hash; };
    text += check.same() ? fmt::format("{:<10} same\n", check.name)
                         : fmt::format("{:<10} differs: {} in the receipt, {} here\n", check.name,
                                       name(check.expected), name(check.got));
  }
  for (const OutputCheck& check : report.outputs) {
    text += fmt::format("sample {}: ", check.sample);
    if (check.token) {
      text += fmt::format("token {} of {} differs: the receipt {}, this run {}\n", check.token->position,
                          check.num_tokens, format_choice(check.token->expected),
                          format_choice(check.token->got));
    } else {
      text += check.same() ? fmt::format("the same {} and bytes\n",
                                         count_of(static_cast<std::int64_t>(check.num_tokens), "token"))
                           : check.other_difference + "\n";
    }
  }
  return report.same() ? text : text + "because: " + report.why + "\n";
}

int run_replay(const CLI::App& sub, const ReplayOptions& options) {
  const Receipt receipt = read_receipt(options.receipt);
  CommonOptions common = options.common;
  if (sub.count("--dtype") == 0) common.dtype = receipt.dtype;
  if (sub.count("--kv-dtype") == 0) common.kv_dtype = receipt.kv_dtype;
  const std::string name = options.model.empty() ? receipt.model : options.model;
  std::shared_ptr<LoadedModel> model;
  try {
    model = std::make_shared<LoadedModel>(load_model(name, {model_options(common), true}));
  } catch (const Error& error) {
    if (!options.model.empty()) throw;
    throw Error(std::string("the receipt's model cannot be loaded: ") + error.what(),
                "say where it lies with --model");
  }
  const ReplayReport report = replay(model, receipt);
  if (options.common.json) {
    print_json(to_json(report));
  } else {
    print_text(format_text(report));
  }
  return report.same() ? kExitDone : kExitFailed;
}

}  // namespace

void add_replay(CLI::App& app, Command& command) {
  auto options = std::make_shared<ReplayOptions>();
  CLI::App* sub =
      app.add_subcommand("replay", "Make a receipt's answer again, and say whether it is the same");
  sub->add_option("RECEIPT", options->receipt,
                  "What `generate --receipt` wrote, or the answer of a server that was asked for a receipt")
      ->required();
  sub->add_option("--model", options->model, "Where the model lies (default: as the receipt names it)");
  add_common_options(*sub, options->common);
  sub->get_option("--ctx")->description("Without effect: the context is the receipt's");
  sub->footer(
      "Examples:\n"
      "  touchstone generate demo:distilled --prompt 'What is 3 times 4?' --receipt receipt.json\n"
      "  touchstone replay receipt.json\n"
      "  touchstone replay receipt.json --model ./model.gguf --json\n"
      "Exit status 0: the same bytes; 1: not, and the first token that differs is named.");
  sub->callback(
      [sub, options, &command] { command = [sub, options] { return run_replay(*sub, *options); }; });
}

}  // namespace touchstone::cli
