#include "serve/anthropic.h"

#include <fmt/format.h>

#include <limits>

#include "serve/dialect.h"

namespace touchstone::serve {

namespace json = boost::json;

namespace anthropic {
namespace {

using Kind = AnswerBlock::Kind;

// ---- a request ----

[[noreturn]] void refuse_block(const std::string& path, const std::string& type) {
  refuse_field(path + ".type", path + ": blocks of type '" + type + "' cannot be read here");
}

/// A string, or text blocks joined by line breaks.
std::string read_text(const json::value& value, const std::string& path, ChatTranslation& to) {
  if (value.is_string()) return std::string(value.get_string());
  if (!value.is_array()) refuse_field(path, path + " must be a string or an array of blocks");
  std::string text;
  for (std::size_t i = 0; i < value.get_array().size(); ++i) {
    const std::string block_path = fmt::format("{}[{}]", path, i);
    FieldReader block(need_object(value.get_array()[i], block_path), block_path + ".");
    const std::string type = need_string(block, "type");
    if (type != "text") refuse_block(block_path, type);
    text += (i > 0 ? "\n" : "") + need_string(block, "text");
    to.ignored.add(block);
  }
  return text;
}

/// The messages of a chat that one message becomes: its blocks' text and thinking together, each tool result
/// one of its own.
class MessageReader {
 public:
  MessageReader(std::string role, json::array& messages, ChatTranslation& to)
      : role_(std::move(role)), messages_(messages), to_(to) {}

  void read(const json::value& content, const std::string& path) {
    if (content.is_string()) {
      add_text(std::string(content.get_string()));
    } else if (content.is_array()) {
      const json::array& blocks = content.get_array();
      for (std::size_t i = 0; i < blocks.size(); ++i) read_block(blocks[i], fmt::format("{}[{}]", path, i));
    } else {
      refuse_field(path, path + " must be a string or an array of blocks");
    }
    if (message_.empty() && !has_results_) add_text("");
    end_message();
  }

 private:
  void read_block(const json::value& value, const std::string& path) {
    FieldReader block(need_object(value, path), path + ".");
    const std::string type = need_string(block, "type");
    const bool is_assistant = role_ == "assistant";
    if (type == "text") {
      add_text(need_string(block, "text"));
    } else if (type == "thinking" && is_assistant) {
      message_["reasoning_content"] = need_string(block, "thinking");
      block.find("signature");  // nothing here is signed
    } else if (type == "tool_use" && is_assistant) {
      add_call(block);
    } else if (type == "tool_result" && !is_assistant) {
      end_message();
      add_result(block);
    } else {
      refuse_block(path, type);
    }
    to_.ignored.add(block);
  }

  void add_text(const std::string& text) {
    json::value& content = message_["content"];
    if (content.is_string()) {
      content.get_string().append("\n").append(text);
    } else {
      content = text;
    }
  }

  void add_call(FieldReader& block) {
    const json::object* input = block.object("input");
    json::object call = {
        {"id", need_string(block, "id")},
        {"type", "function"},
        {"function",
         {{"name", need_string(block, "name")}, {"arguments", input == nullptr ? json::object() : *input}}}};
    if (!message_.contains("tool_calls")) message_["tool_calls"].emplace_array();
    message_["tool_calls"].as_array().push_back(std::move(call));
  }

  void add_result(FieldReader& block) {
    const json::value* content = block.find("content");
    const std::string text = content == nullptr ? "" : read_text(*content, block.path_of("content"), to_);
    const bool failed = block.boolean("is_error").value_or(false);
    messages_.push_back({{"role", "tool"},
                         {"tool_call_id", need_string(block, "tool_use_id")},
                         {"content", (failed ? "Error: " : "") + text}});
    has_results_ = true;
  }

  void end_message() {
    if (message_.empty()) return;
    message_["role"] = role_;
    messages_.push_back(std::move(message_));
    message_ = {};
  }

  std::string role_;
  json::array& messages_;
  ChatTranslation& to_;
  json::object message_;
  bool has_results_ = false;
};

void read_chat(FieldReader& fields, ChatTranslation& to) {
  json::array messages;
  if (const json::value* system = fields.find("system")) {
    messages.push_back({{"role", "system"}, {"content", read_text(*system, "system", to)}});
  }
  const json::array* given = fields.array("messages");
  if (given == nullptr || given->empty()) refuse_field("messages", "messages must hold at least one message");
  std::string role;
  for (std::size_t i = 0; i < given->size(); ++i) {
    const std::string path = fmt::format("messages[{}]", i);
    FieldReader message(need_object((*given)[i], path), path + ".");
    role = need_string(message, "role");
    if (role != "user" && role != "assistant") {
      refuse_field(path + ".role", path + ".role must be user or assistant");
    }
    const json::value* content = message.find("content");
    if (content == nullptr) refuse_field(path + ".content", path + ".content is missing");
    MessageReader(role, messages, to).read(*content, path + ".content");
    to.ignored.add(message);
  }
  if (role == "assistant") {  // the answer's beginning
    if (messages.back().as_object().contains("tool_calls")) {
      refuse_field("messages", "the last message calls tools, but their results are missing");
    }
    to.chat["continue_final_message"] = true;
  }
  to.chat["messages"] = std::move(messages);
}

void read_thinking(FieldReader& fields, ChatTranslation& to) {
  const json::object* thinking = fields.object("thinking");
  if (thinking == nullptr) return;
  FieldReader reader(*thinking, "thinking.");
  const std::string type = need_string(reader, "type");
  if (type == "enabled") {
    set_thinking(to, true);
    if (reader.find("budget_tokens") == nullptr) {
      refuse_field("thinking.budget_tokens", "thinking.budget_tokens is missing");
    }
    copy_field(reader, "budget_tokens", to, "reasoning_budget");
  } else if (type == "adaptive" || type == "disabled") {
    set_thinking(to, type == "adaptive");
  } else {
    refuse_field("thinking.type", "thinking.type must be enabled, adaptive or disabled");
  }
  to.ignored.add(reader);
}

void read_tool_choice(FieldReader& fields, ChatTranslation& to) {
  const json::object* choice = fields.object("tool_choice");
  if (choice == nullptr) return;
  FieldReader reader(*choice, "tool_choice.");
  const std::string type = need_string(reader, "type");
  if (type == "auto" || type == "none") {
    to.chat["tool_choice"] = type;
  } else if (type == "any") {
    to.chat["tool_choice"] = "required";
  } else if (type == "tool") {
    to.chat["tool_choice"] = {{"type", "function"}, {"function", {{"name", need_string(reader, "name")}}}};
  } else {
    refuse_field("tool_choice.type", "tool_choice.type must be auto, any, tool or none");
  }
  if (const auto single = reader.boolean("disable_parallel_tool_use")) {
    to.chat["parallel_tool_calls"] = !*single;
  }
  to.ignored.add(reader);
}

void read_output_config(FieldReader& fields, ChatTranslation& to) {
  const json::object* config = fields.object("output_config");
  if (config == nullptr) return;
  FieldReader reader(*config, "output_config.");
  if (const json::object* format = reader.object("format")) {
    FieldReader parts(*format, "output_config.format.");
    if (need_string(parts, "type") != "json_schema") {
      refuse_field("output_config.format.type", "output_config.format.type must be json_schema");
    }
    const json::object* schema = parts.object("schema");
    if (schema == nullptr) {
      refuse_field("output_config.format.schema", "output_config.format.schema is missing");
    }
    to.chat["response_format"] = {{"type", "json_schema"},
                                  {"json_schema", {{"name", "format"}, {"schema", *schema}}}};
    to.names.emplace_back("response_format", "output_config.format");
    to.ignored.add(parts);
  }
  to.ignored.add(reader);
}

CompletionRequest read_request(const json::object& body, const RequestModel& model, bool needs_limit) {
  FieldReader fields(body);
  ChatTranslation to;
  fields.find("model");
  if (needs_limit && fields.find("max_tokens") == nullptr) {
    refuse_field("max_tokens", "max_tokens is missing");
  }
  for (const char* name : {"max_tokens", "temperature", "top_p", "top_k", "stream"}) {
    copy_field(fields, name, to);
  }
  if (fields.array("stop_sequences") != nullptr) copy_field(fields, "stop_sequences", to, "stop");
  read_chat(fields, to);
  read_thinking(fields, to);
  copy_tools(fields, to,
             {.type = "custom", .default_type = "custom", .schema = "input_schema", .needs_schema = true});
  read_tool_choice(fields, to);
  read_output_config(fields, to);
  to.ignored.add(fields);
  return read_translated(to, model);
}

CompletionRequest read(const json::object& body, const RequestModel& model) {
  return read_request(body, with_cut_limits(model), true);
}

// ---- its answer ----

std::string event(std::string_view type, json::object members) {
  members["type"] = type;
  return format_event(members, type);
}

json::object describe(const Usage& usage) {
  return {{"input_tokens", usage.prompt_tokens - usage.cached_tokens},
          {"cache_creation_input_tokens", 0},
          {"cache_read_input_tokens", usage.cached_tokens},
          {"output_tokens", usage.completion_tokens}};
}

void set_stop(json::object& object, const Choice& choice) {
  const std::string& reason = choice.finish_reason();
  const bool by_string = choice.stopped() && !choice.stop_string().empty();
  object["stop_reason"] = reason == "tool_calls" ? "tool_use"
                          : by_string            ? "stop_sequence"
                          : choice.stopped()     ? "end_turn"
                                                 : "max_tokens";
  object["stop_sequence"] = by_string ? json::value(choice.stop_string()) : json::value();
}

json::object make_message(const Response& response, json::array content) {
  return {{"id", "msg_" + response.request_id},
          {"type", "message"},
          {"role", "assistant"},
          {"model", response.model},
          {"content", std::move(content)},
          {"stop_reason", nullptr},
          {"stop_sequence", nullptr},
          {"usage", describe(response.usage)}};
}

json::object make_block(const AnswerBlock& block, const std::string& text, json::object input) {
  if (block.kind == Kind::reasoning) return {{"type", "thinking"}, {"thinking", text}, {"signature", ""}};
  if (block.kind == Kind::text) return {{"type", "text"}, {"text", text}};
  return {{"type", "tool_use"}, {"id", block.id}, {"name", block.name}, {"input", std::move(input)}};
}

json::object make_block_delta(Kind kind, const std::string& text) {
  if (kind == Kind::reasoning) return {{"type", "thinking_delta"}, {"thinking", text}};
  if (kind == Kind::text) return {{"type", "text_delta"}, {"text", text}};
  return {{"type", "input_json_delta"}, {"partial_json", text}};
}

std::string write_delta(Response& response, const Choice& choice, const AnswerDelta& delta) {
  std::string events;
  if (delta.is_first) {
    events += event("message_start", {{"message", make_message(response, {})}});
    events += event("ping", {});
  }
  const auto end_block = [&](std::size_t index) {
    events += event("content_block_stop", {{"index", index}});
  };
  for (const AnswerPiece& piece : delta.pieces) {
    const AnswerBlock& block = choice.blocks()[piece.block];
    if (piece.opens) {
      if (piece.block > 0) end_block(piece.block - 1);
      events += event("content_block_start",
                      {{"index", piece.block}, {"content_block", make_block(block, "", {})}});
    }
    if (piece.text.empty()) continue;
    events += event("content_block_delta",
                    {{"index", piece.block}, {"delta", make_block_delta(block.kind, piece.text)}});
  }
  if (delta.is_last && !choice.blocks().empty()) end_block(choice.blocks().size() - 1);
  return events;
}

std::string write_end(Response& response) {
  json::object stop;
  set_stop(stop, response.choices[0]);
  return event("message_delta", {{"delta", std::move(stop)}, {"usage", describe(response.usage)}}) +
         event("message_stop", {});
}

std::string write_whole(const Response& response) {
  const Choice& choice = response.choices[0];
  json::array content;
  for (const AnswerBlock& block : choice.blocks()) {
    json::object input;
    if (block.kind == Kind::call && !parse_arguments(block, input)) continue;
    content.push_back(make_block(block, block.text, std::move(input)));
  }
  json::object message = make_message(response, std::move(content));
  set_stop(message, choice);
  return json::serialize(message);
}

const char* error_type(unsigned status) {
  switch (status) {
    case 401:
      return "authentication_error";
    case 403:
      return "permission_error";
    case 404:
      return "not_found_error";
    case 413:
      return "request_too_large";
    case 429:
      return "rate_limit_error";
    case 503:
      return "overloaded_error";
    case 504:
      return "timeout_error";
    default:
      return status >= 500 ? "api_error" : "invalid_request_error";
  }
}

json::object make_error_body(const HttpError& error) {
  return {{"type", "error"}, {"error", {{"type", error_type(error.status)}, {"message", error.message}}}};
}

std::string write_error(const HttpError& error) { return json::serialize(make_error_body(error)); }

std::string write_stream_error(std::int64_t, const HttpError& error) {
  return format_event(make_error_body(error), "error");
}

}  // namespace
}  // namespace anthropic

CompletionRequest read_message_count(const json::object& body, RequestModel model) {
  model.max_sequence_tokens = std::numeric_limits<std::int32_t>::max();
  return anthropic::read_request(body, with_cut_limits(model), false);
}

const Dialect kAnthropic = {.read = anthropic::read,
                            .stream_type = "text/event-stream",
                            .ping = "event: ping\ndata: {\"type\":\"ping\"}\n\n",
                            .write_delta = anthropic::write_delta,
                            .write_end = anthropic::write_end,
                            .write_whole = anthropic::write_whole,
                            .write_error = anthropic::write_error,
                            .write_stream_error = anthropic::write_stream_error};

}  // namespace touchstone::serve
