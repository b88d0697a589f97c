#include <fmt/core.h>

#include <memory>

#include "base/blob.h"
#include "base/error.h"
#include "base/parse_json.h"
#include "cli/cli.h"
#include "engine/load.h"

namespace touchstone::cli {
namespace {

struct RenderOptions {
  std::string model;
  std::string template_file;
  CommonOptions common;
};

int run_render(const RenderOptions& options) {
  const bool has_model = options.model != "-";
  const boost::json::value input = parse_json(read_stdin(), "standard input");
  if (!input.is_object()) throw Error("standard input is not a JSON object", R"(give {"messages":[…]})");
  boost::json::object context = input.as_object();

  std::optional<Checkpoint> checkpoint;
  std::optional<Tokenizer> tokenizer;
  if (has_model) {
    checkpoint = open_without_weights(options.model);
    tokenizer = load_tokenizer(*checkpoint);
    add_special_token_strings(context, *checkpoint, *tokenizer);
  }
  const ChatTemplate chat_template = options.template_file.empty()
                                         ? load_chat_template(*checkpoint)
                                         : ChatTemplate::parse(map_file(options.template_file).text());
  const std::string text = chat_template.render(context);
  if (!options.common.json) {
    print_text(text);
    return kExitDone;
  }
  boost::json::object output{{"text", text}};
  if (tokenizer) {
    output["ids"] =
        boost::json::value_from(tokenizer->encode(text, {.parse_special = true, .add_special = false}));
  }
  print_json(output);
  return kExitDone;
}

}  // namespace

void add_render(CLI::App& app, Command& command) {
  auto options = std::make_shared<RenderOptions>();
  CLI::App* sub =
      app.add_subcommand("render", "Messages on standard input -> the prompt that the chat template makes");
  sub->add_option("MODEL", options->model, "Folder, .gguf file, ORG/NAME, demo:native; '-' with --template")
      ->required();
  sub->add_option("--template", options->template_file, "A Jinja file instead of the model's own template");
  accept_common_options(*sub, options->common);
  sub->footer(
      "Example:\n"
      R"(  echo '{"messages":[{"role":"user","content":"Hi"}],"add_generation_prompt":true}' | touchstone render demo:native)");
  sub->callback([options, &command] {
    if (options->model == "-" && options->template_file.empty()) {
      throw CLI::ValidationError("MODEL", "'-' needs --template FILE");
    }
    command = [options] { return run_render(*options); };
  });
}

}  // namespace touchstone::cli
