#include "serve/openai_request.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <limits>
#include <random>

#include "serve/chat_messages.h"
#include "serve/tool_choice.h"
#include "text/chat_template.h"

namespace touchstone::serve {

namespace json = boost::json;

namespace {

constexpr std::int64_t kMost32 = std::numeric_limits<std::int32_t>::max();
constexpr std::size_t kMaxStops = 32;  // each is looked for at each token
constexpr std::size_t kMaxStopBytes = 1024;
constexpr std::size_t kMaxBiases = 4096;
constexpr std::size_t kMaxPrompts = 128;
constexpr std::int32_t kTextTokens = 16;  // of /v1/completions without max_tokens, as OpenAI's

/// Short enough for JavaScript's numbers and for people.
std::uint64_t random_seed() {
  thread_local std::mt19937 random(std::random_device{}());
  return random();
}

void set(float& target, std::optional<double> value) {
  if (value) target = static_cast<float>(*value);
}

std::vector<std::string> read_stops(FieldReader& fields) {
  const json::value* stop = fields.find("stop");
  if (stop == nullptr) return {};
  const json::array list = stop->is_array() ? stop->get_array() : json::array{*stop};
  if (list.size() > kMaxStops)
    refuse_field("stop", fmt::format("stop holds more than {} strings", kMaxStops));
  std::vector<std::string> stops;
  for (const json::value& entry : list) {
    if (!entry.is_string()) refuse_field("stop", "stop must be a string or an array of strings");
    stops.emplace_back(entry.get_string());
    if (stops.back().empty() || stops.back().size() > kMaxStopBytes) {
      refuse_field("stop", fmt::format("a stop string must have 1 to {} bytes", kMaxStopBytes));
    }
  }
  return stops;
}

std::vector<std::pair<std::int32_t, float>> read_biases(FieldReader& fields, std::int32_t vocab_size) {
  const json::object* object = fields.object("logit_bias");
  if (object == nullptr) return {};
  if (object->size() > kMaxBiases) {
    refuse_field("logit_bias", fmt::format("logit_bias holds more than {} tokens", kMaxBiases));
  }
  FieldReader biases(*object, "logit_bias.");
  std::vector<std::pair<std::int32_t, float>> read;
  for (const auto& [key, value] : *object) {
    std::int32_t id = 0;
    const auto [end, error] = std::from_chars(key.data(), key.data() + key.size(), id);
    if (error != std::errc() || end != key.data() + key.size() || id < 0 || id >= vocab_size) {
      refuse_field("logit_bias",
                   fmt::format("logit_bias: '{}' is not a token id below {}", std::string(key), vocab_size));
    }
    const auto bias = biases.number(key, -100, 100);
    if (bias) read.emplace_back(id, static_cast<float>(*bias));
  }
  return read;
}

/// A negative one counts from 2^64 down, which is what the response then says.
std::optional<std::uint64_t> read_seed(FieldReader& fields) {
  if (const json::value* seed = fields.find("seed"); seed != nullptr && seed->is_uint64())
    return seed->get_uint64();
  constexpr std::int64_t kMost = std::numeric_limits<std::int64_t>::max();
  const auto seed = fields.integer("seed", -kMost, kMost);
  return seed ? std::optional(static_cast<std::uint64_t>(*seed)) : std::nullopt;
}

void read_sampling(FieldReader& fields, const RequestModel& model, CompletionRequest& request) {
  SamplingParams& params = request.sampling;
  params = model.defaults;
  set(params.temperature, fields.number("temperature", 0, 2));
  set(params.top_p, fields.number("top_p", 0, 1));
  set(params.min_p, fields.number("min_p", 0, 1));
  set(params.repetition_penalty, fields.number("repetition_penalty", 0.01, 100));
  set(params.presence_penalty, fields.number("presence_penalty", -2, 2));
  set(params.frequency_penalty, fields.number("frequency_penalty", -2, 2));
  if (const auto top_k = fields.integer("top_k", -1, kMost32)) {
    params.top_k = static_cast<std::int32_t>(std::max<std::int64_t>(*top_k, 0));  // -1: off, too
  }
  params.seed = read_seed(fields).value_or(random_seed());
  params.stop = read_stops(fields);
  params.logit_bias = read_biases(fields, model.vocab_size);
  params.ignore_eos = fields.boolean("ignore_eos").value_or(false);
  if (const auto budget = fields.integer("reasoning_budget", 0, kMost32)) {
    params.reasoning_budget = static_cast<std::int32_t>(*budget);
  }
  const std::int64_t least = request.is_chat ? 1 : 0;
  const auto old_limit = fields.integer("max_tokens", least, kMost32);
  const auto limit = fields.integer("max_completion_tokens", least, kMost32);
  // A chat goes on as far as the context reaches: an answer is never cut off by a number that nobody chose.
  const std::int64_t otherwise = request.is_chat ? kMost32 : kTextTokens;
  const std::int64_t wanted = limit.value_or(old_limit.value_or(otherwise));
  request.prompt_only = wanted == 0;
  params.max_new_tokens = static_cast<std::int32_t>(std::max<std::int64_t>(wanted, 1));
}

void read_common(FieldReader& fields, const RequestModel& model, CompletionRequest& request) {
  for (const char* name : {"model", "timeout"}) fields.find(name);  // which whoever calls has read
  read_sampling(fields, model, request);
  request.n = static_cast<std::int32_t>(fields.integer("n", 1, kMaxSamples).value_or(1));
  request.stream = fields.boolean("stream").value_or(false);
  request.wants_receipt = fields.boolean("receipt").value_or(false);
  request.loop_guard = fields.boolean("loop_guard").value_or(true);
  request.form = read_response_format(fields, request.ignored);
  if (const json::object* options = fields.object("stream_options")) {
    FieldReader reader(*options, "stream_options.");
    request.include_usage = reader.boolean("include_usage").value_or(false);
    request.ignored.add(reader);
  }
}

void check_length(const Prompt& prompt, const char* field, const RequestModel& model, bool prompt_only) {
  if (prompt.ids.empty()) refuse_field(field, std::string(field) + " is empty");
  const std::int64_t room = std::int64_t{model.max_sequence_tokens} - (prompt_only ? 0 : 1);
  if (std::ssize(prompt.ids) <= room) return;
  throw RequestError(400,
                     fmt::format("the prompt has {} tokens, but there is room for {} with the answer",
                                 prompt.ids.size(), model.max_sequence_tokens),
                     field, "context_length_exceeded");
}

/// An answer's limit must fit behind the prompt, or what the client counts on cannot be. Where it is cut
/// instead, the request says so.
void check_limit(FieldReader& fields, const Prompt& prompt, const RequestModel& model,
                 CompletionRequest& request) {
  const bool is_new = fields.find("max_completion_tokens") != nullptr;
  const char* field = is_new ? "max_completion_tokens" : "max_tokens";
  const std::int64_t room = model.max_sequence_tokens - std::ssize(prompt.ids);
  const std::int64_t limit = fields.integer(field, 0, kMost32).value_or(1);
  if (limit <= room) return;
  if (model.cuts_limits) {
    if (limit < kMost32) request.limit_cut_to = static_cast<std::int32_t>(room);  // kMost32 is no limit
    return;
  }
  throw RequestError(400,
                     fmt::format("{} is {}, but the context of {} tokens leaves {} behind the prompt's {}",
                                 field, limit, model.max_sequence_tokens, room, prompt.ids.size()),
                     field, "context_length_exceeded");
}

/// Everything that the template is given besides what the model itself gives it.
json::object read_template_input(FieldReader& fields, const ChatTemplate& chat_template,
                                 const ToolWishes& wishes, IgnoredFields& ignored) {
  json::object input{{"add_generation_prompt", true}};
  if (const json::object* extra = fields.object("chat_template_kwargs")) {
    FieldReader variables(*extra, "chat_template_kwargs.");
    variables.find("continue_final_message");  // ChatTemplate reads it itself
    for (const auto& [key, value] : *extra) {
      if (key == "messages" || key == "tools") {
        refuse_field("chat_template_kwargs", "chat_template_kwargs cannot set " + std::string(key));
      }
      if (chat_template.mentions(key)) variables.find(key);
      input[key] = value;
    }
    ignored.add(variables);
  }
  if (const auto adds = fields.boolean("add_generation_prompt")) input["add_generation_prompt"] = *adds;
  if (!wishes.tools.empty()) input["tools"] = wishes.tools;
  return input;
}

/// Changes `input` where the template wants it otherwise.
Prompt render(const RequestModel& model, json::object& input) {
  try {
    return make_chat_prompt(model.prompter, input);
  } catch (const TemplateError& error) {
    if (error.type() == "TypeError") {
      // Templates of one kind write the arguments of calls as JSON, those of the other join them as strings.
      json::array messages = with_argument_strings(input.at("messages").as_array());
      if (messages != input.at("messages").as_array()) {
        input["messages"] = std::move(messages);
        return render(model, input);
      }
    }
    throw RequestError(400, error.what(), "messages", "template_error");
  }
}

/// An answer's beginning, which is put behind the prompt.
struct AnswerBegun {
  std::string reasoning;  // thinking that goes on, unless there is content
  std::string content;
};

/// With `continue_final_message` the last message is taken off, to be continued. Templates leave thinking out
/// of the messages they write, so they are not asked to write this one.
AnswerBegun take_final_message(FieldReader& fields, json::array& messages) {
  if (!fields.boolean("continue_final_message").value_or(false)) return {};
  const json::object last = messages.back().as_object();
  if (last.at("role") != "assistant") {
    refuse_field("continue_final_message", "continue_final_message needs a last message of the assistant's");
  }
  messages.erase(messages.end() - 1);
  AnswerBegun begun;
  for (const char* name : {"reasoning", "reasoning_content"}) {
    const json::value* reasoning = last.if_contains(name);
    if (reasoning != nullptr && reasoning->is_string()) begun.reasoning = reasoning->get_string();
  }
  if (last.at("content").is_string()) begun.content = last.at("content").get_string();
  return begun;
}

void begin_answer(Prompt& prompt, const AnswerBegun& begun, const Tokenizer& tokenizer) {
  if (begun.reasoning.empty() && begun.content.empty()) return;
  const bool thinks = prompt.reasoning_opened || !begun.reasoning.empty();
  if (!prompt.reasoning_opened && thinks) prompt.text += "<think>\n";
  prompt.text += begun.reasoning;
  prompt.reasoning_opened = begun.content.empty();
  if (!begun.content.empty()) prompt.text += (thinks ? "\n</think>\n\n" : "") + begun.content;
  prompt.ids = tokenizer.encode(prompt.text, {.parse_special = true, .add_special = false});
}

Prompt read_ids(const json::array& array, const RequestModel& model) {
  Prompt prompt;
  for (const json::value& entry : array) {
    const std::int64_t* id = entry.if_int64();
    if (id == nullptr || *id < 0 || *id >= model.vocab_size) {
      refuse_field("prompt", fmt::format("prompt holds what is not a token id below {}", model.vocab_size));
    }
    prompt.ids.push_back(static_cast<std::int32_t>(*id));
  }
  prompt.text = model.prompter.tokenizer.decode(prompt.ids);
  return prompt;
}

/// A string, an array of them, an array of token ids, or an array of such arrays.
std::vector<Prompt> read_prompts(FieldReader& fields, const RequestModel& model) {
  const json::value* value = fields.find("prompt");
  if (value == nullptr) refuse_field("prompt", "prompt is missing");
  const auto read_one = [&](const json::value& one) {
    if (one.is_string()) return make_raw_prompt(model.prompter, one.get_string());
    if (one.is_array()) return read_ids(one.get_array(), model);
    refuse_field("prompt", "prompt must be a string, token ids, or an array of either");
  };
  const bool several = value->is_array() && !value->get_array().empty() && !value->get_array()[0].is_number();
  if (!several) return {read_one(*value)};
  if (value->get_array().size() > kMaxPrompts) {
    refuse_field("prompt", fmt::format("prompt holds more than {} prompts", kMaxPrompts));
  }
  std::vector<Prompt> prompts;
  for (const json::value& one : value->get_array()) prompts.push_back(read_one(one));
  return prompts;
}

}  // namespace

std::optional<double> read_timeout(FieldReader& fields) { return fields.number("timeout", 0.001, 86400); }

CompletionRequest read_chat_request(const json::object& body, const RequestModel& model) {
  FieldReader fields(body);
  CompletionRequest request;
  read_common(fields, model, request);
  const auto top = fields.integer("top_logprobs", 0, 20);
  const bool wants_logprobs = fields.boolean("logprobs").value_or(false);
  if (top && !wants_logprobs) refuse_field("top_logprobs", "top_logprobs needs logprobs to be true");
  if (wants_logprobs) request.sampling.num_logprobs = static_cast<std::int32_t>(top.value_or(0));
  if (const auto form = fields.string("reasoning_format")) {
    request.reasoning_form = find_reasoning_form(*form);
    if (!request.reasoning_form) {
      refuse_field("reasoning_format", std::string("reasoning_format must be ") + kReasoningForms);
    }
  }
  request.vote = read_vote_wish(fields, request.ignored);
  if (request.vote) request.n = request.vote->k;

  const auto& chat_template = model.prompter.chat_template;
  const std::string_view template_source = chat_template ? chat_template->source() : std::string_view();
  json::array messages = read_messages(fields, template_source, request.ignored);
  const AnswerBegun begun = take_final_message(fields, messages);
  const ToolWishes wishes = read_tools(fields, template_source, request.ignored);
  if (request.form.grammar && !wishes.tools.empty()) {
    refuse_field("response_format", "response_format must be text where there are tools to call");
  }
  if (request.form.grammar && !begun.content.empty()) {
    refuse_field("response_format", "response_format must be text where an answer is continued");
  }
  if (!chat_template) {
    throw RequestError(400, "the model has no chat template; use /v1/completions", "messages",
                       "no_chat_template");
  }
  json::object input = read_template_input(fields, *chat_template, wishes, request.ignored);
  input["messages"] = std::move(messages);
  Prompt prompt = render(model, input);
  request.reads_tools = !wishes.tools.empty();
  if (request.reads_tools) request.form = wishes.form;
  begin_answer(prompt, begun, model.prompter.tokenizer);
  if (begun.content.empty()) request.template_input = std::move(input);
  check_length(prompt, "messages", model, false);
  check_limit(fields, prompt, model, request);
  request.prompts.push_back(std::move(prompt));
  request.ignored.add(fields);
  return request;
}

CompletionRequest read_text_request(const json::object& body, const RequestModel& model) {
  FieldReader fields(body);
  CompletionRequest request;
  request.is_chat = false;
  read_common(fields, model, request);
  if (const auto logprobs = fields.integer("logprobs", 0, 20)) {
    request.sampling.num_logprobs = static_cast<std::int32_t>(*logprobs);
  }
  request.echo = fields.boolean("echo").value_or(false);
  request.prompts = read_prompts(fields, model);
  for (const Prompt& prompt : request.prompts) {
    check_length(prompt, "prompt", model, request.prompt_only);
    check_limit(fields, prompt, model, request);
  }
  if (request.wants_receipt && request.prompts.size() > 1) {
    refuse_field("receipt", "receipt needs a single prompt");
  }
  if (request.wants_receipt && request.prompt_only) {
    refuse_field("receipt", "receipt needs an answer of at least one token");
  }
  request.ignored.add(fields);
  return request;
}

}  // namespace touchstone::serve
