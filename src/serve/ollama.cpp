#include "serve/ollama.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <cmath>
#include <limits>

#include "serve/dialect.h"

namespace touchstone::serve {

namespace json = boost::json;

namespace ollama {
namespace {

using Kind = AnswerBlock::Kind;

constexpr std::string_view kDefaultTag = ":latest";

// ---- a request ----

/// Models can be asked for much that is not there: what would change the answer is refused.
void refuse_if_given(FieldReader& fields, std::string_view name) {
  const json::value* value = fields.find(name);
  if (value == nullptr) return;
  const bool is_empty = (value->is_string() && value->get_string().empty()) ||
                        (value->is_array() && value->get_array().empty());
  const std::string path = fields.path_of(name);
  if (!is_empty) refuse_field(path, path + " cannot be had here");
}

/// With a keep_alive of 0: a number of seconds, or one with a unit.
bool unloads(FieldReader& fields) {
  const json::value* keep_alive = fields.find("keep_alive");
  if (keep_alive == nullptr) return false;
  if (keep_alive->is_number()) return keep_alive->to_number<double>() == 0;
  if (!keep_alive->is_string()) refuse_field("keep_alive", "keep_alive must be a number or a string");
  const std::string_view text = keep_alive->get_string();
  return text.starts_with('0') && text.find_first_of("123456789") == std::string_view::npos;
}

/// Models stay as long as there is room for them: only a keep_alive of 0 is understood.
void read_keep_alive(const json::object& body, FieldReader& fields) {
  FieldReader alone(body);
  if (unloads(alone)) fields.find("keep_alive");
}

void read_options(FieldReader& fields, ChatTranslation& to) {
  const json::object* object = fields.object("options");
  if (object == nullptr) return;
  FieldReader options(*object, "options.");
  for (const char* name :
       {"temperature", "top_p", "top_k", "min_p", "seed", "stop", "presence_penalty", "frequency_penalty"}) {
    copy_field(options, name, to);
  }
  copy_field(options, "repeat_penalty", to, "repetition_penalty");
  constexpr std::int64_t kMost = std::numeric_limits<std::int32_t>::max();
  const auto limit = options.integer("num_predict", -2, kMost);  // below 1: none
  if (limit.value_or(0) > 0) to.chat["max_tokens"] = *limit;
  to.ignored.add(options);
}

void read_format(FieldReader& fields, ChatTranslation& to) {
  const json::value* format = fields.find("format");
  if (format == nullptr || *format == json::value("")) return;
  to.names.emplace_back("response_format", "format");
  if (format->is_object()) {
    to.chat["response_format"] = {{"type", "json_schema"},
                                  {"json_schema", {{"name", "format"}, {"schema", *format}}}};
  } else if (*format == json::value("json")) {
    to.chat["response_format"] = {{"type", "json_object"}};
  } else {
    refuse_field("format", "format must be \"json\" or a JSON schema");
  }
}

void read_common(FieldReader& fields, ChatTranslation& to) {
  fields.find("model");
  to.chat["stream"] = fields.boolean("stream").value_or(true);
  if (const auto thinks = fields.boolean("think")) set_thinking(to, *thinks);
  read_options(fields, to);
  read_format(fields, to);
}

json::value read_message(const json::value& value, const std::string& path, ChatTranslation& to) {
  FieldReader fields(need_object(value, path), path + ".");
  refuse_if_given(fields, "images");
  json::object message;
  const std::pair<const char*, const char*> kNames[] = {{"role", "role"},
                                                        {"content", "content"},
                                                        {"thinking", "reasoning_content"},
                                                        {"tool_calls", "tool_calls"},
                                                        {"tool_name", "name"},
                                                        {"tool_call_id", "tool_call_id"}};
  for (const auto& [name, chat_name] : kNames) {
    if (const json::value* member = fields.find(name)) message[chat_name] = *member;
  }
  to.ignored.add(fields);
  return message;
}

CompletionRequest read_chat(const json::object& body, const RequestModel& model) {
  FieldReader fields(body);
  ChatTranslation to;
  read_common(fields, to);
  read_keep_alive(body, fields);
  copy_field(fields, "tools", to);
  const json::array* messages = fields.array("messages");
  json::array& read = to.chat["messages"].emplace_array();
  for (std::size_t i = 0; messages != nullptr && i < messages->size(); ++i) {
    read.push_back(read_message((*messages)[i], fmt::format("messages[{}]", i), to));
  }
  to.ignored.add(fields);
  return read_translated(to, with_cut_limits(model));
}

CompletionRequest read_generate(const json::object& body, const RequestModel& model) {
  FieldReader fields(body);
  ChatTranslation to;
  const bool is_raw = fields.boolean("raw").value_or(false);
  const std::string prompt = fields.string("prompt").value_or("");
  for (const char* name : {"suffix", "images", "template", "context"}) refuse_if_given(fields, name);
  if (is_raw) {
    refuse_if_given(fields, "system");
    refuse_if_given(fields, "format");
    to.chat["prompt"] = prompt;
    to.chat["max_tokens"] = std::numeric_limits<std::int32_t>::max();
  } else {
    json::array& messages = to.chat["messages"].emplace_array();
    const std::string system = fields.string("system").value_or("");
    if (!system.empty()) messages.push_back({{"role", "system"}, {"content", system}});
    messages.push_back({{"role", "user"}, {"content", prompt}});
    to.names.emplace_back("messages", "prompt");
  }
  read_common(fields, to);
  read_keep_alive(body, fields);
  to.ignored.add(fields);
  return read_translated(to, with_cut_limits(model), is_raw ? read_text_request : read_chat_request);
}

// ---- its answer ----

struct Parts {
  std::string content, thinking;
  json::array calls;
};

/// Calls come whole, when the answer is finished; one that was cut off is left out.
void add_calls(const Choice& choice, Parts& parts) {
  for (const AnswerBlock& block : choice.blocks()) {
    json::object arguments;
    if (block.kind != Kind::call || !parse_arguments(block, arguments)) continue;
    parts.calls.push_back(
        {{"id", block.id}, {"function", {{"name", block.name}, {"arguments", std::move(arguments)}}}});
  }
}

std::string format_time(std::chrono::system_clock::time_point time) {
  return fmt::format("{:%FT%TZ}", fmt::gmtime(std::chrono::system_clock::to_time_t(time)));
}

json::object make_line(const Response& response, bool is_chat, Parts parts) {
  json::object line = {{"model", response.model}, {"created_at", format_time(response.created)}};
  if (is_chat) {
    json::object message = {{"role", "assistant"}, {"content", parts.content}};
    if (!parts.thinking.empty()) message["thinking"] = parts.thinking;
    if (!parts.calls.empty()) message["tool_calls"] = std::move(parts.calls);
    line["message"] = std::move(message);
  } else {
    line["response"] = parts.content;
    if (!parts.thinking.empty()) line["thinking"] = parts.thinking;
  }
  line["done"] = false;
  return line;
}

void set_done(json::object& line, const Response& response) {
  const auto nanoseconds = [](double seconds) { return std::llround(seconds * 1e9); };
  const Usage& usage = response.usage;
  const Choice& choice = response.choices[0];
  line["done"] = true;
  const bool is_cut = !choice.stopped() && choice.finish_reason() != "tool_calls";
  line["done_reason"] = is_cut ? choice.finish_reason() : "stop";
  line["total_duration"] = nanoseconds(usage.total_s);
  line["load_duration"] = 0;  // it is loaded
  line["prompt_eval_count"] = usage.prompt_tokens;
  line["prompt_eval_duration"] = nanoseconds(usage.prompt_s);
  line["eval_count"] = usage.completion_tokens;
  line["eval_duration"] = nanoseconds(usage.decode_s);
}

std::string write_delta(const Response& response, const Choice& choice, const AnswerDelta& delta,
                        bool is_chat) {
  Parts parts;
  for (const AnswerPiece& piece : delta.pieces) {
    const Kind kind = choice.blocks()[piece.block].kind;
    if (kind == Kind::text) parts.content += piece.text;
    if (kind == Kind::reasoning) parts.thinking += piece.text;
  }
  if (delta.is_last) add_calls(choice, parts);
  const bool says_nothing =
      parts.content.empty() && parts.thinking.empty() && parts.calls.empty() && !delta.is_first;
  return says_nothing ? "" : json::serialize(make_line(response, is_chat, std::move(parts))) + "\n";
}

std::string write_end(const Response& response, bool is_chat) {
  json::object line = make_line(response, is_chat, {});
  set_done(line, response);
  return json::serialize(line) + "\n";
}

std::string write_whole(const Response& response, bool is_chat) {
  const Choice& choice = response.choices[0];
  Parts parts{.content = choice.joined(Kind::text), .thinking = choice.joined(Kind::reasoning), .calls = {}};
  add_calls(choice, parts);
  json::object line = make_line(response, is_chat, std::move(parts));
  set_done(line, response);
  return json::serialize(line);
}

std::string write_error(const HttpError& error) {
  return json::serialize(json::object{{"error", error.message}});
}

std::string write_stream_error(std::int64_t, const HttpError& error) { return write_error(error) + "\n"; }

/// An empty prompt, or no message: nothing is asked.
std::optional<std::string> answer_load(FieldReader& fields, const std::string& model, bool is_chat) {
  const json::array* messages = is_chat ? fields.array("messages") : nullptr;
  const bool asks =
      is_chat ? messages != nullptr && !messages->empty() : !fields.string("prompt").value_or("").empty();
  if (asks) return std::nullopt;
  Response response;
  response.model = model;
  response.created = std::chrono::system_clock::now();
  json::object line = make_line(response, is_chat, {});
  line["done"] = true;
  line["done_reason"] = unloads(fields) ? "unload" : "load";
  return json::serialize(line) + "\n";
}

// ---- models ----

std::int64_t count_parameters(const Config& config) {
  const std::int64_t hidden = config.hidden_size;
  const std::int64_t q = std::int64_t{config.num_heads} * config.head_dim;
  const std::int64_t kv = std::int64_t{config.num_kv_heads} * config.head_dim;
  const std::int64_t bias = config.attention_bias ? q + 2 * kv : 0;
  const std::int64_t norms = 2 * hidden + (config.qk_norm ? 2 * config.head_dim : 0);
  const std::int64_t layer = 2 * hidden * (q + kv) + bias + 3 * hidden * config.intermediate_size + norms;
  const std::int64_t embeddings = hidden * config.vocab_size * (config.tie_word_embeddings ? 1 : 2);
  return config.num_layers * layer + embeddings + hidden;
}

json::object describe_details(const LoadedModel& model) {
  const double count = static_cast<double>(count_parameters(model.transformer->config()));
  const std::string& type = model.transformer->config().model_type;
  const std::string& dtype = model.options.dtype;
  return {{"parent_model", ""},
          {"format", model.checkpoint.format},
          {"family", type},
          {"families", json::array{json::value(type)}},
          {"parameter_size", count >= 1e9   ? fmt::format("{:.1f}B", count / 1e9)
                             : count >= 1e6 ? fmt::format("{:.1f}M", count / 1e6)
                                            : fmt::format("{:.1f}K", count / 1e3)},
          {"quantization_level", dtype == "auto" ? model.stored_type : dtype}};
}

std::string format_start_time() {
  static const auto started = std::chrono::system_clock::now();
  return format_time(started);
}

}  // namespace
}  // namespace ollama

json::object describe_ollama_tag(const LoadedModel& model, const std::optional<ModelHashes>& hashes) {
  return {{"name", model.id},
          {"model", model.id},
          {"modified_at", ollama::format_start_time()},
          {"size", model.transformer->weight_bytes()},
          {"digest", hashes ? hashes->weights : ""},
          {"details", ollama::describe_details(model)}};
}

json::object describe_running_ollama_model(const LoadedModel& model, const std::optional<ModelHashes>& hashes,
                                           std::int32_t max_sequence_tokens) {
  return {{"name", model.id},
          {"model", model.id},
          {"size", model.transformer->weight_bytes()},
          {"digest", hashes ? hashes->weights : ""},
          {"details", ollama::describe_details(model)},
          // No time unloads a model, and clients take a missing one for a time that is over.
          {"expires_at", "9999-12-31T23:59:59Z"},
          {"size_vram", 0},
          {"context_length", max_sequence_tokens}};
}

json::object describe_ollama_model(const LoadedModel& model, std::int32_t max_sequence_tokens) {
  const Config& config = model.transformer->config();
  const std::string chat_template = model.checkpoint.chat_template.value_or("");
  json::array capabilities = {"completion"};
  if (chat_template.find("tools") != std::string::npos) capabilities.emplace_back("tools");
  if (chat_template.find("think") != std::string::npos) capabilities.emplace_back("thinking");
  return {{"details", ollama::describe_details(model)},
          {"template", chat_template},
          {"model_info",
           {{"general.architecture", config.model_type},
            {"general.parameter_count", ollama::count_parameters(config)},
            {config.model_type + ".context_length", max_sequence_tokens},
            {config.model_type + ".embedding_length", config.hidden_size},
            {config.model_type + ".block_count", config.num_layers}}},
          {"capabilities", std::move(capabilities)},
          {"modified_at", ollama::format_start_time()}};
}

const Dialect kOllamaChat = {
    .default_tag = ollama::kDefaultTag,
    .unloads = ollama::unloads,
    .answer_load = [](FieldReader& f, const std::string& m) { return ollama::answer_load(f, m, true); },
    .read = ollama::read_chat,
    .stream_type = "application/x-ndjson",
    .ping = nullptr,
    .write_delta = [](Response& r, const Choice& c,
                      const AnswerDelta& d) { return ollama::write_delta(r, c, d, true); },
    .write_end = [](Response& r) { return ollama::write_end(r, true); },
    .write_whole = [](const Response& r) { return ollama::write_whole(r, true); },
    .write_error = ollama::write_error,
    .write_stream_error = ollama::write_stream_error};

const Dialect kOllamaGenerate = {
    .default_tag = ollama::kDefaultTag,
    .unloads = ollama::unloads,
    .answer_load = [](FieldReader& f, const std::string& m) { return ollama::answer_load(f, m, false); },
    .read = ollama::read_generate,
    .stream_type = "application/x-ndjson",
    .ping = nullptr,
    .write_delta = [](Response& r, const Choice& c,
                      const AnswerDelta& d) { return ollama::write_delta(r, c, d, false); },
    .write_end = [](Response& r) { return ollama::write_end(r, false); },
    .write_whole = [](const Response& r) { return ollama::write_whole(r, false); },
    .write_error = ollama::write_error,
    .write_stream_error = ollama::write_stream_error};

}  // namespace touchstone::serve
