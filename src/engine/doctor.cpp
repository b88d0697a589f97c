#include "engine/doctor.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <set>
#include <span>

#include "base/error.h"
#include "engine/load.h"
#include "model/wanted_tensors.h"
#include "text/reasoning.h"

namespace touchstone {
namespace {

// Words that no template contains, so that their places in a rendering can be found.
constexpr std::string_view kSystemMark = "systemmarkqx";
constexpr std::string_view kUserMark = "usermarkqx";
constexpr std::string_view kAnswerMark = "answermarkqx";
constexpr std::string_view kSecondUserMark = "secondmarkqx";

boost::json::object message(std::string_view role, std::string_view content) {
  return {{"role", role}, {"content", content}};
}

std::string render(const ChatTemplate& chat_template, boost::json::object context,
                   boost::json::array messages, bool add_generation_prompt) {
  context["messages"] = std::move(messages);
  context["add_generation_prompt"] = add_generation_prompt;
  return chat_template.render(context);
}

/// The publisher's recommended sampling (model cards and generation_config.json of the families), by what the
/// template or the vocabulary gives away. Sources: DeepSeek-R1 README, "Usage Recommendations"; the Qwen
/// model cards.
struct PublishedSampling {
  std::string_view family;
  double temperature;
  double top_p;
  std::int64_t top_k;  // 0: none
};

std::optional<PublishedSampling> published_sampling(const Checkpoint& checkpoint,
                                                    const Tokenizer& tokenizer) {
  if (tokenizer.find_token("<｜User｜>")) return PublishedSampling{"DeepSeek-R1-Distill", 0.6, 0.95, 0};
  const auto* type = checkpoint.config.if_contains("model_type");
  if (type == nullptr || !type->is_string() || !tokenizer.find_token("<|im_start|>") ||
      !checkpoint.chat_template)
    return {};
  if (type->as_string() == "qwen3") return PublishedSampling{"Qwen3 (thinking)", 0.6, 0.95, 20};
  if (type->as_string() == "qwen2" && checkpoint.chat_template->find("You are Qwen") != std::string::npos) {
    return PublishedSampling{"Qwen2.5-Instruct", 0.7, 0.8, 20};
  }
  return {};
}

std::set<std::int64_t> ids_of(const boost::json::object& object, std::string_view key) {
  std::set<std::int64_t> ids;
  const boost::json::value* value = object.if_contains(key);
  if (value == nullptr) return ids;
  if (const auto* id = value->if_int64()) ids.insert(*id);
  if (const auto* list = value->if_array()) {
    for (const boost::json::value& entry : *list) {
      if (const auto* id = entry.if_int64()) ids.insert(*id);
    }
  }
  return ids;
}

void check_stop_ids(const Checkpoint& checkpoint, const Tokenizer& tokenizer,
                    std::vector<Finding>& findings) {
  const auto from_config = ids_of(checkpoint.config, "eos_token_id");
  const auto from_generation = ids_of(checkpoint.generation_config, "eos_token_id");
  if (!from_config.empty() && !from_generation.empty() && from_config != from_generation) {
    findings.push_back({"stop_ids_disagree",
                        fmt::format("config.json ends generation at {{{}}}, generation_config.json at {{{}}}",
                                    fmt::join(from_config, ", "), fmt::join(from_generation, ", ")),
                        "touchstone stops at all of them"});
  }
  std::set<std::int64_t> all = from_config;
  all.insert(from_generation.begin(), from_generation.end());
  for (const std::int64_t id : all) {
    if (id < 0 || id >= tokenizer.vocab_size()) {
      findings.push_back({"stop_id_unknown", fmt::format("stop id {} is not in the vocabulary", id),
                          "correct eos_token_id; a stop id borrowed from another family never fires"});
    } else if (!tokenizer.is_special(static_cast<std::int32_t>(id))) {
      findings.push_back({"stop_id_not_special",
                          fmt::format("stop id {} is '{}', which is not a special token", id,
                                      tokenizer.token(static_cast<std::int32_t>(id))),
                          "check that eos_token_id was not copied from a model with another vocabulary"});
    }
  }
}

/// The first special token after an assistant's turn must end generation, or answers run on into the next
/// turn.
void check_turn_end(const ChatTemplate& chat_template, const boost::json::object& context,
                    const Checkpoint& checkpoint, const Tokenizer& tokenizer,
                    std::vector<Finding>& findings) {
  const std::string text = render(
      chat_template, context,
      {message("user", kUserMark), message("assistant", kAnswerMark), message("user", kSecondUserMark)},
      false);
  const std::size_t answer = text.find(kAnswerMark);
  const std::size_t next = text.find(kSecondUserMark);
  if (answer == std::string::npos || next == std::string::npos || next < answer) return;
  const std::size_t begin = answer + kAnswerMark.size();
  const auto ids = tokenizer.encode(std::string_view(text).substr(begin, next - begin),
                                    {.parse_special = true, .add_special = false});
  const std::vector<std::int32_t> stops = load_defaults(checkpoint, tokenizer).stop_ids;
  for (const std::int32_t id : ids) {
    if (!tokenizer.is_special(id)) continue;
    if (std::find(stops.begin(), stops.end(), id) == stops.end()) {
      findings.push_back(
          {"turn_end_not_a_stop",
           fmt::format("the template ends a turn with '{}' ({}), but generation stops at {{{}}}",
                       tokenizer.token(id), id, fmt::join(stops, ", ")),
           "add it to eos_token_id, or answers run on into the next turn"});
    }
    return;
  }
}

void check_template(const ChatTemplate& chat_template, const boost::json::object& context,
                    const Checkpoint& checkpoint, const Tokenizer& tokenizer,
                    std::vector<Finding>& findings) {
  const std::string prompt = render(chat_template, context, {message("user", kUserMark)}, true);
  if (const auto hidden = find_hidden_system_prompt(chat_template, context)) {
    findings.push_back(
        {"hidden_system_prompt",
         fmt::format("without a system message the template writes its own: '{}'", *hidden),
         "compare records it; send a system message (empty too) to both models for equal terms"});
  }
  const auto bos = tokenizer.bos_id();
  if (tokenizer.adds_bos() && bos && prompt.starts_with(tokenizer.token(*bos))) {
    findings.push_back(
        {"double_bos",
         fmt::format("the template writes '{}' and the tokenizer adds it again", tokenizer.token(*bos)),
         "touchstone encodes rendered prompts without adding it; other programs may send two"});
  }
  const std::string& source = chat_template.source();
  const bool writes_thinking =
      source.find("</think>") != std::string::npos || tokenizer.find_token("<｜User｜>").has_value();
  const bool switches_thinking = source.find("enable_thinking") != std::string::npos;
  if (writes_thinking && !switches_thinking && !prompt_opens_reasoning(prompt)) {
    findings.push_back({"missing_think_opener",
                        "the model thinks in <think>…</think>, but the generation prompt does not open it",
                        "use the publisher's newer template (it ends with '<think>\\n'); without it such "
                        "models skip thinking"});
  }
  check_turn_end(chat_template, context, checkpoint, tokenizer, findings);
}

void check_sampling(const Checkpoint& checkpoint, const Tokenizer& tokenizer,
                    std::vector<Finding>& findings) {
  const auto published = published_sampling(checkpoint, tokenizer);
  const boost::json::object& config = checkpoint.generation_config;
  const bool has_sampling =
      config.contains("temperature") || config.contains("do_sample") || config.contains("top_p");
  if (!has_sampling) {
    std::string advice = "touchstone samples with temperature 0.6, top-p 0.95 unless told otherwise";
    if (published) {
      advice += fmt::format("; {} publishes temperature {}, top-p {}{}", published->family,
                            published->temperature, published->top_p,
                            published->top_k > 0 ? fmt::format(", top-k {}", published->top_k) : "");
    }
    findings.push_back({"no_published_sampling", "the files name no sampling parameters", advice});
    return;
  }
  if (!published) return;
  const SamplingParams defaults = load_defaults(checkpoint, tokenizer);
  constexpr double kTolerance = 1e-3;
  if (std::abs(static_cast<double>(defaults.temperature) - published->temperature) > kTolerance ||
      std::abs(static_cast<double>(defaults.top_p) - published->top_p) > kTolerance) {
    findings.push_back(
        {"sampling_deviates",
         fmt::format("the files ask for temperature {}, top-p {}; {} publishes {}, {}", defaults.temperature,
                     defaults.top_p, published->family, published->temperature, published->top_p),
         fmt::format("pass --temperature {} --top-p {} for the publisher's setting", published->temperature,
                     published->top_p)});
  }
}

}  // namespace

std::optional<std::string> find_hidden_system_prompt(const ChatTemplate& chat_template,
                                                     const boost::json::object& context) {
  std::string with_system;
  try {
    with_system =
        render(chat_template, context, {message("system", kSystemMark), message("user", kUserMark)}, true);
  } catch (const Error&) {
    return std::nullopt;  // a template that takes no system message writes none of its own
  }
  const std::string without = render(chat_template, context, {message("user", kUserMark)}, true);
  const std::size_t system = with_system.find(kSystemMark);
  const std::size_t user = with_system.find(kUserMark);
  if (system == std::string::npos || user == std::string::npos || user < system) return std::nullopt;
  const std::string before = with_system.substr(0, system);
  const std::size_t after_system = system + kSystemMark.size();
  const std::string after = with_system.substr(after_system, user - after_system) + std::string(kUserMark);
  const std::size_t end = without.find(after);
  if (!without.starts_with(before) || end == std::string::npos || end <= before.size()) return std::nullopt;
  return without.substr(before.size(), end - before.size());
}

std::vector<Finding> examine(const Checkpoint& checkpoint) {
  std::vector<Finding> findings;
  const Tokenizer tokenizer = load_tokenizer(checkpoint);
  check_stop_ids(checkpoint, tokenizer, findings);
  if (!checkpoint.chat_template) {
    findings.push_back(
        {"no_chat_template", "the model has no chat template", "it is a base model: use --raw prompts"});
  } else {
    try {
      boost::json::object context;
      add_special_token_strings(context, checkpoint, tokenizer);
      check_template(load_chat_template(checkpoint), context, checkpoint, tokenizer, findings);
    } catch (const Error& error) {
      findings.push_back(
          {"template_fails", error.what(), "correct chat_template.jinja, or use --raw prompts"});
    }
  }
  check_sampling(checkpoint, tokenizer, findings);
  return findings;
}

std::vector<Finding> examine_tensors(const Checkpoint& checkpoint, const Config& config) {
  constexpr std::size_t kMostListed = 20;  // files of another model lack hundreds
  const std::vector<Error> errors = find_tensor_errors(checkpoint, config);
  std::vector<Finding> findings;
  for (const Error& error : std::span(errors).first(std::min(errors.size(), kMostListed))) {
    findings.push_back({"tensor_amiss", error.what(), error.hint()});
  }
  if (errors.size() > kMostListed) {
    findings.push_back(
        {"more_tensors_amiss",
         fmt::format("{} tensors are amiss; the first {} are listed", errors.size(), kMostListed),
         "fetch the model again"});
  }
  return findings;
}

}  // namespace touchstone
