#include <limits>
#include <memory>

#include "base/error.h"
#include "base/parse_json.h"
#include "cli/cli.h"
#include "engine/load.h"

namespace touchstone::cli {
namespace {

struct DetokenizeOptions {
  std::string model;
  bool skip_special = false;
  bool jsonl = false;
  CommonOptions common;
};

int run_detokenize(const DetokenizeOptions& options) {
  const Tokenizer tokenizer = load_tokenizer(open_without_weights(options.model));
  const auto print = [&](const std::string& text, const std::string& source) {
    const std::vector<std::int32_t> ids = parse_ids(parse_json(text, source), source);
    const std::string decoded = tokenizer.decode(ids, options.skip_special);
    options.common.json || options.jsonl ? print_json({{"text", decoded}}) : print_text(decoded);
  };
  if (!options.jsonl) {
    print(read_stdin(), "standard input");
    return kExitDone;
  }
  for_each_stdin_line([&](const std::string& line, std::size_t number) {
    print(line, "standard input, line " + std::to_string(number));
  });
  return kExitDone;
}

}  // namespace

void add_detokenize(CLI::App& app, Command& command) {
  auto options = std::make_shared<DetokenizeOptions>();
  CLI::App* sub = app.add_subcommand("detokenize", "JSON array of token ids on standard input -> text");
  sub->add_option("MODEL", options->model, "Folder, .gguf file, ORG/NAME in a local cache, or demo:native")
      ->required();
  sub->add_flag("--skip-special", options->skip_special, "Leave special tokens out");
  sub->add_flag("--jsonl", options->jsonl, "One array a line in, one JSON object a line out");
  accept_common_options(*sub, options->common);
  sub->footer("Example:\n  echo '[9707, 11, 1879]' | touchstone detokenize ./model.gguf --json");
  sub->callback([options, &command] { command = [options] { return run_detokenize(*options); }; });
}

}  // namespace touchstone::cli
