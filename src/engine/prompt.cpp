#include "engine/prompt.h"

#include <algorithm>
#include <cassert>

#include "engine/load.h"
#include "text/reasoning.h"

namespace touchstone {

Prompter make_prompter(const Checkpoint& checkpoint, bool raw) {
  Prompter prompter{.tokenizer = load_tokenizer(checkpoint), .chat_template = std::nullopt, .context = {}};
  if (!raw && checkpoint.chat_template) {
    prompter.chat_template = load_chat_template(checkpoint);
    add_special_token_strings(prompter.context, checkpoint, prompter.tokenizer);
  }
  return prompter;
}

Prompter make_prompter(const LoadedModel& model, bool raw) {
  Prompter prompter{.tokenizer = model.tokenizer, .chat_template = std::nullopt, .context = {}};
  if (!raw && model.chat_template) {
    prompter.chat_template = model.chat_template;
    add_special_token_strings(prompter.context, model.checkpoint, prompter.tokenizer);
  }
  return prompter;
}

Prompt make_raw_prompt(const Prompter& prompter, std::string_view text) {
  Prompt prompt{.text = std::string(text),
                .ids = prompter.tokenizer.encode(text, {.parse_special = true, .add_special = true}),
                .reasoning_opened = prompt_opens_reasoning(text)};
  const auto bos = prompter.tokenizer.bos_id();
  const bool doubled = prompt.ids.size() > 1 && bos && prompter.tokenizer.adds_bos() &&
                       prompt.ids[0] == *bos && prompt.ids[1] == *bos;
  if (doubled) prompt.ids.erase(prompt.ids.begin());
  return prompt;
}

Prompt make_chat_prompt(const Prompter& prompter, const boost::json::object& request) {
  assert(prompter.chat_template);
  boost::json::object context = prompter.context;
  for (const auto& entry : request) context[entry.key()] = entry.value();
  Prompt prompt;
  prompt.text = prompter.chat_template->render(context);
  // The template has written the special tokens itself: adding them again would double BOS.
  prompt.ids = prompter.tokenizer.encode(prompt.text, {.parse_special = true, .add_special = false});
  prompt.reasoning_opened = prompt_opens_reasoning(prompt.text);
  return prompt;
}

std::vector<std::int32_t> make_history(const Prompter& prompter, boost::json::object request,
                                       std::string_view answer) {
  boost::json::array& messages = request.at("messages").as_array();
  messages.push_back({{"role", "assistant"}, {"content", answer}});
  // Where the next message's own text begins is where two of them differ.
  const auto render_with = [&](const char* user) {
    messages.push_back({{"role", "user"}, {"content", user}});
    Prompt prompt = make_chat_prompt(prompter, request);
    messages.pop_back();
    return std::move(prompt.text);
  };
  const std::string one = render_with("1"), other = render_with("2");
  const auto same = std::mismatch(one.begin(), one.end(), other.begin(), other.end()).first;
  return prompter.tokenizer.encode(std::string_view(one.begin(), same),
                                   {.parse_special = true, .add_special = false});
}

Prompt make_prompt(const Prompter& prompter, std::string_view user) {
  if (!prompter.chat_template) return make_raw_prompt(prompter, user);
  return make_chat_prompt(prompter, {{"messages", boost::json::array{{{"role", "user"}, {"content", user}}}},
                                     {"add_generation_prompt", true}});
}

}  // namespace touchstone
