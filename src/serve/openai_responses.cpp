// OpenAI's /v1/responses: its requests -> chats, and answers -> its output items. Nothing is stored.
#include <fmt/format.h>

#include "serve/dialect.h"

namespace touchstone::serve {

namespace json = boost::json;

namespace responses {
namespace {

using Kind = AnswerBlock::Kind;

// ---- a request ----

/// A string, or parts of the types that are given, joined by line breaks.
std::string read_parts(const json::value& value, const std::string& path, ChatTranslation& to) {
  if (value.is_string()) return std::string(value.get_string());
  if (!value.is_array()) refuse_field(path, path + " must be a string or an array of parts");
  std::string text;
  for (std::size_t i = 0; i < value.get_array().size(); ++i) {
    const std::string part_path = fmt::format("{}[{}]", path, i);
    FieldReader part(need_object(value.get_array()[i], part_path), part_path + ".");
    const std::string type = need_string(part, "type");
    if (type != "input_text" && type != "output_text" && type != "reasoning_text") {
      refuse_field(part_path + ".type", "only text can be read, not '" + type + "'");
    }
    text += (i > 0 ? "\n" : "") + need_string(part, "text");
    for (const char* name : {"annotations", "logprobs"}) part.find(name);  // of an answer that is sent back
    to.ignored.add(part);
  }
  return text;
}

/// The assistant's message that an item is a part of: thinking, text and calls follow each other in one turn.
/// `before`: the member that may not be there yet, nor what comes behind it.
json::object& assistant_message(json::array& messages, std::initializer_list<const char*> before) {
  if (!messages.empty()) {
    json::object& last = messages.back().as_object();
    bool fits = last.at("role") == "assistant";
    for (const char* member : before) fits = fits && !last.contains(member);
    if (fits) return last;
  }
  messages.push_back(json::object{{"role", "assistant"}});
  return messages.back().as_object();
}

void read_message(FieldReader& item, json::array& messages, ChatTranslation& to) {
  const std::string role = need_string(item, "role");
  const json::value* content = item.find("content");
  const std::string path = item.path_of("content");
  if (content == nullptr) refuse_field(path, path + " is missing");
  std::string text = read_parts(*content, path, to);
  if (role == "assistant") {
    assistant_message(messages, {"content", "tool_calls"})["content"] = text;
  } else if (role == "user" || role == "system" || role == "developer") {
    messages.push_back({{"role", role}, {"content", text}});
  } else {
    refuse_field(item.path_of("role"),
                 item.path_of("role") + " must be user, assistant, system or developer");
  }
}

void read_call(FieldReader& item, json::array& messages) {
  json::object& message = assistant_message(messages, {});
  if (!message.contains("tool_calls")) message["tool_calls"].emplace_array();
  message["tool_calls"].as_array().push_back(
      {{"id", need_string(item, "call_id")},
       {"type", "function"},
       {"function", {{"name", need_string(item, "name")}, {"arguments", need_string(item, "arguments")}}}});
}

void read_call_output(FieldReader& item, json::array& messages, ChatTranslation& to) {
  const json::value* output = item.find("output");
  const std::string path = item.path_of("output");
  if (output == nullptr) refuse_field(path, path + " is missing");
  messages.push_back({{"role", "tool"},
                      {"tool_call_id", need_string(item, "call_id")},
                      {"content", read_parts(*output, path, to)}});
}

void read_reasoning(FieldReader& item, json::array& messages, ChatTranslation& to) {
  item.find("summary");  // says what the thinking says itself
  const json::value* content = item.find("content");
  if (content == nullptr) return;
  const std::string text = read_parts(*content, item.path_of("content"), to);
  json::object& message = assistant_message(messages, {"reasoning_content", "content", "tool_calls"});
  message["reasoning_content"] = text;
}

void read_item(const json::value& value, const std::string& path, json::array& messages,
               ChatTranslation& to) {
  FieldReader item(need_object(value, path), path + ".");
  const std::string type = item.string("type").value_or("message");
  for (const char* name : {"id", "status"}) item.find(name);  // of an answer that is sent back
  if (type == "message") {
    read_message(item, messages, to);
  } else if (type == "function_call") {
    read_call(item, messages);
  } else if (type == "function_call_output") {
    read_call_output(item, messages, to);
  } else if (type == "reasoning") {
    read_reasoning(item, messages, to);
  } else {
    refuse_field(path + ".type", path + ": items of type '" + type + "' cannot be read here");
  }
  to.ignored.add(item);
}

void read_input(FieldReader& fields, ChatTranslation& to) {
  json::array messages;
  if (const auto text = fields.string("instructions")) {
    messages.push_back({{"role", "system"}, {"content", *text}});
  }
  const json::value* input = fields.find("input");
  if (input == nullptr) refuse_field("input", "input is missing");
  if (input->is_string()) {
    messages.push_back({{"role", "user"}, {"content", *input}});
  } else if (input->is_array() && !input->get_array().empty()) {
    const json::array& items = input->get_array();
    for (std::size_t i = 0; i < items.size(); ++i) {
      read_item(items[i], fmt::format("input[{}]", i), messages, to);
    }
  } else {
    refuse_field("input", "input must be a string or an array that holds at least one item");
  }
  if (messages.empty()) refuse_field("input", "input holds no message");
  to.chat["messages"] = std::move(messages);
  to.names.emplace_back("messages", "input");
}

void read_tool_choice(FieldReader& fields, ChatTranslation& to) {
  const json::value* choice = fields.find("tool_choice");
  if (choice == nullptr) return;
  if (!choice->is_object()) return copy_field(fields, "tool_choice", to);
  FieldReader reader(choice->get_object(), "tool_choice.");
  const std::string type = need_string(reader, "type");
  if (type != "function") refuse_field("tool_choice.type", "tool_choice.type must be function");
  to.chat["tool_choice"] = {{"type", "function"}, {"function", {{"name", need_string(reader, "name")}}}};
  to.ignored.add(reader);
}

void read_text_format(FieldReader& fields, ChatTranslation& to) {
  const json::object* text = fields.object("text");
  if (text == nullptr) return;
  FieldReader reader(*text, "text.");
  if (const json::object* format = reader.object("format")) {
    FieldReader parts(*format, "text.format.");
    const std::string type = need_string(parts, "type");
    to.names.emplace_back("response_format", "text.format");
    to.chat["response_format"] = {{"type", type}};
    if (type == "json_schema") {
      json::object schema = *format;
      schema.erase("type");
      to.chat["response_format"].as_object()["json_schema"] = std::move(schema);
      to.names.emplace(to.names.begin(), "response_format.json_schema", "text.format");
    } else {
      to.ignored.add(parts);
    }
  }
  to.ignored.add(reader);
}

void read_reasoning_wishes(FieldReader& fields, ChatTranslation& to) {
  const json::object* reasoning = fields.object("reasoning");
  if (reasoning == nullptr) return;
  FieldReader reader(*reasoning, "reasoning.");
  const json::value* effort = reasoning->if_contains("effort");
  if (effort != nullptr && *effort == json::value("none")) {
    reader.find("effort");
    set_thinking(to, false);
  }
  to.ignored.add(reader);
}

void refuse_what_needs_a_store(FieldReader& fields) {
  for (const char* name : {"previous_response_id", "conversation", "prompt"}) {
    if (fields.find(name) != nullptr) {
      refuse_field(name, std::string(name) + " cannot be had: nothing is stored here; send the whole input");
    }
  }
  if (fields.boolean("background").value_or(false)) {
    refuse_field("background", "background cannot be had: nothing is stored here");
  }
}

/// What the response says again, in the request's own words.
json::object repeat_members(const json::object& body) {
  json::object members = {{"instructions", nullptr},    {"max_output_tokens", nullptr},
                          {"temperature", nullptr},     {"top_p", nullptr},
                          {"tools", json::array()},     {"tool_choice", "auto"},
                          {"metadata", json::object()}, {"text", {{"format", {{"type", "text"}}}}},
                          {"parallel_tool_calls", true}};
  for (auto& [name, value] : members) {
    const json::value* given = body.if_contains(name);
    if (given != nullptr && !given->is_null()) value = *given;
  }
  return members;
}

CompletionRequest read(const json::object& body, const RequestModel& model) {
  FieldReader fields(body);
  ChatTranslation to;
  fields.find("model");
  refuse_what_needs_a_store(fields);
  for (const char* name : {"temperature", "top_p", "stream", "parallel_tool_calls"}) {
    copy_field(fields, name, to);
  }
  copy_field(fields, "max_output_tokens", to, "max_tokens");
  read_input(fields, to);
  copy_tools(fields, to,
             {.type = "function", .default_type = {}, .schema = "parameters", .needs_schema = false});
  read_tool_choice(fields, to);
  read_text_format(fields, to);
  read_reasoning_wishes(fields, to);
  to.ignored.add(fields);
  CompletionRequest request = read_translated(to, model);
  request.repeated = repeat_members(body);
  return request;
}

// ---- its answer ----

bool is_cut(const Choice& choice) {
  return choice.finish_reason() == "length" || choice.finish_reason() == "deadline";
}

std::string make_item_id(const Response& response, const Choice& choice, std::size_t index) {
  constexpr const char* kPrefixes[] = {"rs", "msg", "fc"};  // by kind
  const auto kind = static_cast<std::size_t>(choice.blocks()[index].kind);
  return fmt::format("{}_{}_{}", kPrefixes[kind], response.request_id, index);
}

json::object make_part(Kind kind, const std::string& text) {
  if (kind == Kind::reasoning) return {{"type", "reasoning_text"}, {"text", text}};
  return {
      {"type", "output_text"}, {"text", text}, {"annotations", json::array()}, {"logprobs", json::array()}};
}

/// The block as an output item; one that begins is empty yet.
json::object make_item(const Response& response, const Choice& choice, std::size_t index, bool begins) {
  const AnswerBlock& block = choice.blocks()[index];
  const bool cut = is_cut(choice) && index + 1 == choice.blocks().size();
  json::object item = {{"id", make_item_id(response, choice, index)},
                       {"status", begins ? "in_progress"
                                  : cut  ? "incomplete"
                                         : "completed"}};
  if (block.kind == Kind::call) {
    item["type"] = "function_call";
    item["call_id"] = block.id;
    item["name"] = block.name;
    item["arguments"] = begins ? "" : block.text;
    return item;
  }
  json::array content;
  if (!begins) content.push_back(make_part(block.kind, block.text));
  item["content"] = std::move(content);
  if (block.kind == Kind::reasoning) {
    item["type"] = "reasoning";
    item["summary"] = json::array();
  } else {
    item["type"] = "message";
    item["role"] = "assistant";
  }
  return item;
}

json::object describe(const Usage& usage) {
  return {{"input_tokens", usage.prompt_tokens},
          {"input_tokens_details", {{"cached_tokens", usage.cached_tokens}}},
          {"output_tokens", usage.completion_tokens},
          {"output_tokens_details", {{"reasoning_tokens", usage.reasoning_tokens}}},
          {"total_tokens", usage.prompt_tokens + usage.completion_tokens}};
}

json::object make_response(const Response& response, bool is_done) {
  const Choice& choice = response.choices[0];
  json::object object = response.repeated;
  object["id"] = "resp_" + response.request_id;
  object["object"] = "response";
  object["created_at"] = std::chrono::system_clock::to_time_t(response.created);
  object["model"] = response.model;
  object["status"] = !is_done ? "in_progress" : is_cut(choice) ? "incomplete" : "completed";
  object["error"] = nullptr;
  object["incomplete_details"] = nullptr;
  if (is_done && is_cut(choice)) {
    const bool by_length = choice.finish_reason() == "length";
    object["incomplete_details"] = {{"reason", by_length ? "max_output_tokens" : "deadline"}};
  }
  json::array output;
  for (std::size_t i = 0; is_done && i < choice.blocks().size(); ++i) {
    output.push_back(make_item(response, choice, i, false));
  }
  object["output"] = std::move(output);
  object["previous_response_id"] = nullptr;
  object["store"] = false;
  object["truncation"] = "disabled";
  object["usage"] = is_done ? json::value(describe(response.usage)) : json::value();
  return object;
}

std::string numbered_event(std::int64_t number, std::string_view type, json::object members) {
  members["type"] = type;
  members["sequence_number"] = number;
  return format_event(members, type);
}

std::string event(Response& response, std::string_view type, json::object members) {
  return numbered_event(response.num_events++, type, std::move(members));
}

/// Events about one block.
struct ItemEvents {
  Response& response;
  const Choice& choice;
  std::size_t index;

  const AnswerBlock& block() const { return choice.blocks()[index]; }
  /// What the events about the kind's text are called: "response.output_text" + ".delta".
  const char* text_events() const {
    switch (block().kind) {
      case Kind::reasoning:
        return "response.reasoning_text";
      case Kind::text:
        return "response.output_text";
      case Kind::call:
        return "response.function_call_arguments";
    }
    return "";
  }
  json::object place() const {
    json::object members = {{"item_id", make_item_id(response, choice, index)}, {"output_index", index}};
    if (block().kind != Kind::call) members["content_index"] = 0;
    return members;
  }
  std::string part_event(const char* type, const std::string& text) const {
    if (block().kind == Kind::call) return {};
    json::object members = place();
    members["part"] = make_part(block().kind, text);
    return event(response, type, std::move(members));
  }
  std::string begin() const {
    const std::string added =
        event(response, "response.output_item.added",
              {{"output_index", index}, {"item", make_item(response, choice, index, true)}});
    return added + part_event("response.content_part.added", "");
  }
  std::string text_event(const char* what, const char* member, const std::string& text) const {
    json::object members = place();
    members[member] = text;
    if (block().kind == Kind::text) members["logprobs"] = json::array();
    return event(response, std::string(text_events()) + what, std::move(members));
  }
  std::string end() const {
    const char* member = block().kind == Kind::call ? "arguments" : "text";
    std::string events = text_event(".done", member, block().text);
    events += part_event("response.content_part.done", block().text);
    return events + event(response, "response.output_item.done",
                          {{"output_index", index}, {"item", make_item(response, choice, index, false)}});
  }
};

std::string write_delta(Response& response, const Choice& choice, const AnswerDelta& delta) {
  std::string events;
  if (delta.is_first) {
    for (const char* type : {"response.created", "response.in_progress"}) {
      events += event(response, type, {{"response", make_response(response, false)}});
    }
  }
  for (const AnswerPiece& piece : delta.pieces) {
    if (piece.opens && piece.block > 0) events += ItemEvents{response, choice, piece.block - 1}.end();
    const ItemEvents item{response, choice, piece.block};
    if (piece.opens) events += item.begin();
    if (!piece.text.empty()) events += item.text_event(".delta", "delta", piece.text);
  }
  if (delta.is_last && !choice.blocks().empty()) {
    events += ItemEvents{response, choice, choice.blocks().size() - 1}.end();
  }
  return events;
}

std::string write_end(Response& response) {
  const char* type = is_cut(response.choices[0]) ? "response.incomplete" : "response.completed";
  return event(response, type, {{"response", make_response(response, true)}});
}

std::string write_whole(const Response& response) { return json::serialize(make_response(response, true)); }

std::string write_stream_error(std::int64_t num_events, const HttpError& error) {
  const auto text_or_null = [](const std::string& text) {
    return text.empty() ? json::value() : json::value(text);
  };
  return numbered_event(
      num_events, "error",
      {{"message", error.message}, {"code", text_or_null(error.code)}, {"param", text_or_null(error.param)}});
}

}  // namespace
}  // namespace responses

const Dialect kOpenAiResponses = {.read = responses::read,
                                  .stream_type = "text/event-stream",
                                  .ping = kPingComment,
                                  .write_delta = responses::write_delta,
                                  .write_end = responses::write_end,
                                  .write_whole = responses::write_whole,
                                  .write_error = format_error,
                                  .write_stream_error = responses::write_stream_error};

}  // namespace touchstone::serve
