#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>

#include "base/blob.h"
#include "base/count_of.h"
#include "base/error.h"
#include "base/interrupt.h"
#include "cli/cli.h"
#include "cli/sampling_options.h"
#include "engine/context_length.h"
#include "engine/load.h"
#include "engine/prompt.h"

namespace touchstone::cli {
namespace {

struct ChatOptions {
  std::string model;
  std::string system;
  SamplingOptions sampling;
  Lookup lookup = Lookup::automatic;
  CommonOptions common;
};

constexpr const char* kHelp =
    "/help            this list\n"
    "/system TEXT     set the system message and start afresh; without TEXT, remove it\n"
    "/regen           answer the last question again, with another seed\n"
    "/save FILE       write the conversation as JSON\n"
    "/clear           start afresh\n"
    "/quit            leave (or end of input)\n"
    "Ctrl-C stops an answer; at the prompt it leaves.\n";

/// The conversation as the template sees it, and what answers it.
struct Chat {
  std::shared_ptr<LoadedModel> model;
  Prompter prompter;
  Engine engine;
  SamplingParams sampling;
  bool loop_guard;
  boost::json::array messages;

  Chat(std::shared_ptr<LoadedModel> loaded, const ChatOptions& options)
      : model(std::move(loaded)),
        prompter(make_prompter(*model, false)),
        engine(
            model,
            {.max_batch = 1, .max_sequence_tokens = options.common.context_tokens, .lookup = options.lookup}),
        sampling(apply(options.sampling, model->defaults)),
        loop_guard(!options.sampling.no_loop_guard) {
    warn_of_short_context(model->id, model->transformer->config(), options.common.context_tokens);
    if (!prompter.chat_template) {
      throw Error(model->id + " has no chat template, so it can't chat", "use generate --raw");
    }
  }
};

void start_afresh(Chat& chat, const std::string& system) {
  chat.messages.clear();
  if (!system.empty()) chat.messages.push_back({{"role", "system"}, {"content", system}});
}

/// Answers the messages so far, streaming; appends the answer, thinking included (the template drops what it
/// wants to).
void answer(Chat& chat) {
  clear_interrupt();
  Prompt prompt =
      make_chat_prompt(chat.prompter, {{"messages", chat.messages}, {"add_generation_prompt", true}});
  const bool opened = prompt.reasoning_opened;
  if (opened) print_text("<think>\n");
  std::string text;
  GenerateRequest request{.prompt_ids = std::move(prompt.ids),
                          .sampling = chat.sampling,
                          .n = 1,
                          .reasoning_opened = opened,
                          .on_token =
                              [&](const TokenEvent& event) {
                                print_text(event.text);
                                text += event.text;
                                return true;
                              },
                          .loop_guard = chat.loop_guard};
  const GenerateResult result = chat.engine.generate(std::move(request), interrupted);
  print_text(result.samples.front().rest + "\n");
  text += result.samples.front().rest;
  if (result.samples.front().finish_reason == FinishReason::length) {
    std::fprintf(stderr, "touchstone: the answer was cut off at %s; raise --max-new-tokens\n",
                 count_of(std::ssize(result.samples.front().ids), "token").c_str());
  }
  chat.messages.push_back({{"role", "assistant"}, {"content", (opened ? "<think>\n" : "") + text}});
  clear_interrupt();
}

/// A line of input, or nothing at its end or on Ctrl-C.
std::optional<std::string> read_question(bool is_terminal) {
  if (is_terminal) print_text("> ");
  std::string line;
  return read_line(line, "question") ? std::optional(line) : std::nullopt;
}

void regenerate(Chat& chat) {
  if (chat.messages.empty() || chat.messages.back().at("role").as_string() != "assistant") {
    print_text("there is no answer to make again\n");
    return;
  }
  chat.messages.pop_back();
  ++chat.sampling.seed;
  answer(chat);
}

/// Runs a line that begins with '/'. False to leave.
bool run_command(Chat& chat, const std::string& line) {
  const std::size_t space = line.find(' ');
  const std::string name = line.substr(0, space);
  const std::string argument = space == std::string::npos ? "" : line.substr(space + 1);
  if (name == "/quit" || name == "/exit") return false;
  if (name == "/system" || name == "/clear") {
    start_afresh(chat, argument);
  } else if (name == "/regen") {
    regenerate(chat);
  } else if (name == "/save" && !argument.empty()) {
    write_file_atomically(argument,
                          boost::json::serialize(boost::json::object{{"messages", chat.messages}}) + "\n");
  } else {
    print_text(kHelp);
  }
  return true;
}

int run_chat(const ChatOptions& options) {
  Chat chat(std::make_shared<LoadedModel>(load_model(options.model, {model_options(options.common)})),
            options);
  catch_interrupts();
  start_afresh(chat, options.system);
  const bool is_terminal = isatty(STDIN_FILENO) != 0;
  if (is_terminal) print_text(chat.model->id + " — /help lists the commands\n");
  while (const auto line = read_question(is_terminal)) {
    if (line->empty()) continue;
    try {
      if (line->front() == '/') {
        if (!run_command(chat, *line)) return kExitDone;
        continue;
      }
      chat.messages.push_back({{"role", "user"}, {"content", *line}});
      answer(chat);
    } catch (const Error& error) {
      if (std::ferror(stdout) != 0) throw;  // nobody reads the conversation
      // The conversation goes on: say what went wrong and take the question back.
      print_error(error.what(), error.hint());
      if (!chat.messages.empty() && chat.messages.back().at("role").as_string() == "user")
        chat.messages.pop_back();
    }
  }
  return interrupted() ? kExitInterrupted : kExitDone;
}

}  // namespace

void add_chat(CLI::App& app, Command& command) {
  auto options = std::make_shared<ChatOptions>();
  CLI::App* sub = app.add_subcommand("chat", "Talk with a model in the terminal");
  sub->add_option("MODEL", options->model, "Folder, .gguf file, ORG/NAME in a local cache, or demo:native")
      ->required();
  sub->add_option("--system", options->system, "System message");
  add_sampling_options(*sub, options->sampling);
  add_lookup_option(*sub, options->lookup, kLookupHelp);
  add_common_options(*sub, options->common);
  sub->get_option("--json")->description("Without effect: /save writes the conversation as JSON");
  sub->footer(
      std::string(
          "Example:\n  touchstone chat ./model.gguf --system 'Be brief.'\nIn the chat, /help lists its "
          "commands.\n") +
      kSamplingDefaults);
  sub->callback([options, &command] { command = [options] { return run_chat(*options); }; });
}

}  // namespace touchstone::cli
