#include "serve/chat_messages.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <functional>

#include "base/error.h"
#include "base/parse_json.h"

namespace touchstone::serve {

namespace json = boost::json;

namespace {

// Far more than a context holds; it keeps a request's cost in bounds.
constexpr std::size_t kMaxMessages = 10'000;

/// For fields that the chat template is given, too.
using NoteIgnored = std::function<void(const FieldReader&)>;

/// A string, or text parts joined by line breaks.
json::value read_content(FieldReader& message, IgnoredFields& ignored) {
  const json::value* content = message.find("content");
  if (content == nullptr) return nullptr;
  if (content->is_string()) return *content;
  const std::string path = message.path_of("content");
  if (!content->is_array()) refuse_field(path, path + " must be a string or an array of parts");
  std::string text;
  for (std::size_t i = 0; i < content->get_array().size(); ++i) {
    const json::value& part = content->get_array()[i];
    const std::string part_path = fmt::format("{}[{}]", path, i);
    if (!part.is_object()) refuse_field(part_path, part_path + " must be an object");
    FieldReader fields(part.get_object(), part_path + ".");
    const std::string type = fields.string("type").value_or("");
    if (type != "text") refuse_field(part_path + ".type", "only text can be read, not '" + type + "'");
    const auto piece = fields.string("text");
    if (!piece) refuse_field(part_path + ".text", part_path + ".text is missing");
    text += (i > 0 ? "\n" : "") + *piece;
    ignored.add(fields);
  }
  return json::value(text);
}

json::value read_tool_call(const json::value& value, const std::string& path, const NoteIgnored& note) {
  if (!value.is_object()) refuse_field(path, path + " must be an object");
  FieldReader fields(value.get_object(), path + ".");
  const json::object* function = fields.object("function");
  if (function == nullptr) refuse_field(path + ".function", path + ".function is missing");
  FieldReader parts(*function, path + ".function.");
  if (!parts.string("name")) refuse_field(path + ".function.name", path + ".function.name is missing");
  json::object call = value.get_object();
  const json::value* arguments = parts.find("arguments");
  if (arguments != nullptr && arguments->is_string()) {
    try {
      json::value parsed = parse_json(std::string(arguments->get_string()), "the arguments");
      if (parsed.is_object()) call["function"].as_object()["arguments"] = std::move(parsed);
    } catch (const Error&) {  // templates are given it as it is
    }
  }
  for (const char* name : {"id", "type", "index"}) fields.find(name);
  note(fields);
  note(parts);
  return call;
}

/// Anthropic's blocks as LiteLLM has them, as the thinking that templates know.
void read_thinking_blocks(FieldReader& fields, json::object& message, IgnoredFields& ignored) {
  const json::array* blocks = fields.array("thinking_blocks");
  message.erase("thinking_blocks");
  if (blocks == nullptr || blocks->empty() || message.contains("reasoning_content")) return;
  std::string thinking;
  for (std::size_t i = 0; i < blocks->size(); ++i) {
    const std::string path = fmt::format("{}[{}]", fields.path_of("thinking_blocks"), i);
    FieldReader block(need_object((*blocks)[i], path), path + ".");
    thinking += block.string("thinking").value_or("");  // redacted ones have none
    for (const char* name : {"type", "signature", "data"}) block.find(name);
    ignored.add(block);
  }
  message["reasoning_content"] = thinking;
}

json::object read_message(const json::value& value, const std::string& path, const NoteIgnored& note,
                          IgnoredFields& ignored) {
  if (!value.is_object()) refuse_field(path, path + " must be an object");
  FieldReader fields(value.get_object(), path + ".");
  json::object message = value.get_object();
  const auto role = fields.string("role");
  constexpr std::array<std::string_view, 5> kRoles = {"system", "developer", "user", "assistant", "tool"};
  if (!role || std::find(kRoles.begin(), kRoles.end(), *role) == kRoles.end()) {
    refuse_field(path + ".role", path + ".role must be system, developer, user, assistant or tool");
  }
  message["role"] = *role == "developer" ? "system" : *role;
  message["content"] = read_content(fields, ignored);
  for (const char* name : {"reasoning_content", "reasoning", "name", "tool_call_id"}) fields.string(name);
  fields.find("thinking");  // a third name that ChatTemplate knows
  read_thinking_blocks(fields, message, ignored);
  const json::array* calls = fields.array("tool_calls");
  if (calls != nullptr && !calls->empty()) {
    json::array& read = message["tool_calls"].emplace_array();
    for (std::size_t i = 0; i < calls->size(); ++i) {
      read.push_back(read_tool_call((*calls)[i], fmt::format("{}.tool_calls[{}]", path, i), note));
    }
  } else {
    message.erase("tool_calls");
  }
  if (message["content"].is_null()) {
    if (*role != "assistant") refuse_field(path + ".content", path + ".content is missing");
    // Templates are given no nulls, and some (Qwen3's, DeepSeek's) join the content to a text unasked.
    message["content"] = "";
  }
  note(fields);
  return message;
}

}  // namespace

json::array read_messages(FieldReader& fields, std::string_view template_source, IgnoredFields& ignored) {
  const json::array* messages = fields.array("messages");
  if (messages == nullptr || messages->empty())
    refuse_field("messages", "messages must hold at least one message");
  if (messages->size() > kMaxMessages) {
    refuse_field("messages", fmt::format("messages holds more than {} messages", kMaxMessages));
  }
  const NoteIgnored note = [&](const FieldReader& reader) {
    ignored.add_unless_named(reader, template_source);
  };
  json::array read;
  for (std::size_t i = 0; i < messages->size(); ++i) {
    read.push_back(read_message((*messages)[i], fmt::format("messages[{}]", i), note, ignored));
  }
  return read;
}

json::array with_argument_strings(json::array messages) {
  for (json::value& message : messages) {
    json::value* calls = message.as_object().if_contains("tool_calls");
    if (calls == nullptr) continue;
    for (json::value& call : calls->as_array()) {
      json::value* arguments = call.as_object()["function"].as_object().if_contains("arguments");
      if (arguments != nullptr && !arguments->is_string()) *arguments = json::serialize(*arguments);
    }
  }
  return messages;
}

}  // namespace touchstone::serve
