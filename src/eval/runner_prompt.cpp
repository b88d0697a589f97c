#include "eval/runner_prompt.h"

#include "engine/doctor.h"
#include "engine/load.h"
#include "text/reasoning.h"

namespace touchstone {
namespace {

constexpr std::string_view kUserMark = "usermarkqx";  // words that no template contains

bool publishes_sampling(const Checkpoint& checkpoint) {
  for (const char* key : {"do_sample", "temperature", "top_p", "top_k"}) {
    if (checkpoint.generation_config.contains(key)) return true;
  }
  return false;
}

}  // namespace

SamplingParams make_sampling(const Checkpoint& checkpoint, const Prompter& prompter,
                             const RunSettings& settings) {
  SamplingParams sampling = load_defaults(checkpoint, prompter.tokenizer);
  if (settings.temperature) sampling.temperature = static_cast<float>(*settings.temperature);
  sampling.max_new_tokens = settings.max_new_tokens;
  sampling.seed = settings.seed;
  return sampling;
}

CandidateInfo describe_candidate(const Checkpoint& checkpoint, const Prompter& prompter,
                                 const RunSettings& settings) {
  CandidateInfo info;
  info.format = checkpoint.format;
  if (const auto* type = checkpoint.config.if_contains("model_type"); type != nullptr && type->is_string()) {
    info.architecture = std::string(type->get_string());
  }
  info.chat_template = prompter.chat_template.has_value();
  const Prompt prompt = make_prompt(prompter, kUserMark);
  if (const std::size_t at = prompt.text.find(kUserMark); at != std::string::npos) {
    info.text_before_user = prompt.text.substr(0, at);
  }
  info.thinking_opened = prompt.reasoning_opened;
  if (prompter.chat_template) {
    info.hidden_system_prompt =
        find_hidden_system_prompt(*prompter.chat_template, prompter.context).value_or(std::string());
  }
  const SamplingParams sampling = make_sampling(checkpoint, prompter, settings);
  info.sampling_source = publishes_sampling(checkpoint) ? "the model's published defaults"
                                                        : "touchstone's defaults; the model publishes none";
  if (settings.temperature)
    info.sampling_source = "temperature from the command line; else " + info.sampling_source;
  info.temperature = sampling.temperature;
  info.top_p = sampling.top_p;
  info.top_k = sampling.top_k;
  info.min_p = sampling.min_p;
  info.repetition_penalty = sampling.repetition_penalty;
  info.presence_penalty = sampling.presence_penalty;
  info.frequency_penalty = sampling.frequency_penalty;
  for (const std::int32_t id : sampling.stop_ids) {
    info.stop_tokens += (info.stop_tokens.empty() ? "" : " ") + prompter.tokenizer.token(id);
  }
  return info;
}

}  // namespace touchstone
