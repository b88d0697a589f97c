#include <memory>

#include "base/error.h"
#include "base/parse_json.h"
#include "cli/cli.h"
#include "engine/load.h"

namespace touchstone::cli {
namespace {

struct TokenizeOptions {
  std::string model;
  bool no_special = false;
  bool add_special = false;
  bool jsonl = false;
  CommonOptions common;
};

boost::json::object encode_to_json(const Tokenizer& tokenizer, const std::string& text,
                                   const Tokenizer::EncodeOptions& options) {
  boost::json::array ids;
  boost::json::array tokens;
  for (const std::int32_t id : tokenizer.encode(text, options)) {
    ids.emplace_back(id);
    tokens.emplace_back(tokenizer.token(id));
  }
  return {{"ids", std::move(ids)}, {"tokens", std::move(tokens)}};
}

void print_table(const boost::json::object& encoded) {
  const auto& ids = encoded.at("ids").as_array();
  const auto& tokens = encoded.at("tokens").as_array();
  std::string text;
  for (std::size_t i = 0; i < ids.size(); ++i) {
    text += std::to_string(ids[i].as_int64()) + '\t' + std::string(tokens[i].as_string()) + '\n';
  }
  print_text(text);
}

int run_tokenize(const TokenizeOptions& options) {
  const Tokenizer tokenizer = load_tokenizer(open_without_weights(options.model));
  const auto print = [&](const std::string& text) {
    const boost::json::object encoded = encode_to_json(
        tokenizer, text, {.parse_special = !options.no_special, .add_special = options.add_special});
    options.common.json || options.jsonl ? print_json(encoded) : print_table(encoded);
  };
  if (!options.jsonl) {
    print(read_stdin());
    return kExitDone;
  }
  for_each_stdin_line([&](const std::string& line, std::size_t number) {
    const std::string source = "standard input, line " + std::to_string(number);
    const boost::json::value value = parse_json(line, source);
    if (!value.is_string()) throw Error(source + " is not a JSON string", "give one JSON string a line");
    print(std::string(value.as_string()));
  });
  return kExitDone;
}

}  // namespace

void add_tokenize(CLI::App& app, Command& command) {
  auto options = std::make_shared<TokenizeOptions>();
  CLI::App* sub = app.add_subcommand("tokenize", "Text on standard input -> token ids");
  sub->add_option("MODEL", options->model, "Folder, .gguf file, ORG/NAME in a local cache, or demo:native")
      ->required();
  sub->add_flag("--no-special", options->no_special, "Take special tokens in the text as ordinary text");
  sub->add_flag("--add-special", options->add_special, "Add what the tokenizer puts around a text (BOS)");
  sub->add_flag("--jsonl", options->jsonl, "One JSON string a line in, one JSON object a line out");
  accept_common_options(*sub, options->common);
  sub->footer(
      "Examples:\n"
      "  echo -n 'Hello' | touchstone tokenize demo:native --json\n"
      "  touchstone tokenize ./model.gguf --jsonl < texts.jsonl");
  sub->callback([options, &command] { command = [options] { return run_tokenize(*options); }; });
}

}  // namespace touchstone::cli
