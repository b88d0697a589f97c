#include "serve/dialect.h"

#include <fmt/format.h>

#include "base/error.h"
#include "base/parse_json.h"

namespace touchstone::serve {

namespace json = boost::json;

void send_part(Reply& reply, const Dialect& dialect, std::string bytes) {
  if (!reply.streams()) {
    reply.begin_stream(
        {.content_type = dialect.stream_type, .body = {}, .headers = {{"Cache-Control", "no-cache"}}});
  }
  reply.write(std::move(bytes));
}

void break_silence(Reply& reply, const Dialect& dialect, std::chrono::milliseconds most) {
  if (dialect.ping != nullptr && reply.silence() >= most) send_part(reply, dialect, dialect.ping);
}

void send_error(Reply& reply, const Dialect* dialect, HttpResponse error, std::int64_t num_events) {
  if (reply.streams()) {
    reply.write(dialect->write_stream_error(num_events, *error.error));
    return reply.end();
  }
  if (dialect != nullptr && error.error) error.body = dialect->write_error(*error.error);
  reply.send(std::move(error));
}

std::string format_event(const json::value& data, std::string_view type) {
  std::string event = type.empty() ? "" : "event: " + std::string(type) + "\n";
  return event + "data: " + json::serialize(data) + "\n\n";
}

void copy_field(FieldReader& fields, std::string_view name, ChatTranslation& to, std::string_view chat_name) {
  const json::value* value = fields.find(name);
  if (value == nullptr) return;
  to.chat[chat_name] = *value;
  to.names.emplace_back(chat_name, fields.path_of(name));
}

void copy_tools(FieldReader& fields, ChatTranslation& to, const ToolForm& form) {
  const json::array* tools = fields.array("tools");
  if (tools == nullptr) return;
  json::array functions;
  for (std::size_t i = 0; i < tools->size(); ++i) {
    const std::string path = fmt::format("tools[{}]", i);
    FieldReader tool(need_object((*tools)[i], path), path + ".");
    const std::string type =
        form.default_type ? tool.string("type").value_or(*form.default_type) : need_string(tool, "type");
    if (type != form.type) refuse_field(path + ".type", "the tool '" + type + "' is not there");
    json::object function = {{"name", need_string(tool, "name")}};
    if (const auto text = tool.string("description")) function["description"] = *text;
    if (const auto strict = tool.boolean("strict")) function["strict"] = *strict;
    const json::object* schema = tool.object(form.schema);
    if (schema != nullptr) function["parameters"] = *schema;
    const std::string schema_path = tool.path_of(form.schema);
    if (schema == nullptr && form.needs_schema) refuse_field(schema_path, schema_path + " is missing");
    functions.push_back({{"type", "function"}, {"function", std::move(function)}});
    to.names.emplace_back(path + ".function", path);
    to.ignored.add(tool);
  }
  to.chat["tools"] = std::move(functions);
}

RequestModel with_cut_limits(RequestModel model) {
  model.cuts_limits = true;
  return model;
}

void set_thinking(ChatTranslation& to, bool thinks) {
  to.chat["chat_template_kwargs"] = json::object{{"enable_thinking", thinks}};
  if (!thinks) to.chat["reasoning_budget"] = 0;
}

namespace {

/// A path in a chat as the request's own API calls it, where it does so otherwise.
std::optional<std::string> find_own_name(const ChatTranslation& translation, const std::string& path) {
  for (const auto& [chat_name, name] : translation.names) {
    if (path.starts_with(chat_name)) return name + path.substr(chat_name.size());
  }
  return std::nullopt;
}

}  // namespace

CompletionRequest read_translated(const ChatTranslation& translation, const RequestModel& model,
                                  CompletionRequest (*read)(const json::object&, const RequestModel&)) {
  try {
    CompletionRequest request = read(translation.chat, model);
    IgnoredFields ignored = translation.ignored;
    for (const std::string& path : request.ignored.paths()) {
      if (path.starts_with("chat_template_kwargs.")) continue;  // set_thinking()'s, not the client's
      ignored.add_path(find_own_name(translation, path).value_or(path));
    }
    request.ignored = std::move(ignored);
    return request;
  } catch (const RequestError& error) {
    const std::optional<std::string> name = find_own_name(translation, error.param);
    if (!name) throw;
    std::string message = error.what();
    if (message.starts_with(error.param)) message.replace(0, error.param.size(), *name);
    throw RequestError(error.status, message, *name, error.code);
  }
}

bool parse_arguments(const AnswerBlock& call, json::object& arguments) {
  try {
    json::value value = parse_json(call.text, "the arguments", "");
    if (!value.is_object()) return false;
    arguments = std::move(value.get_object());
    return true;
  } catch (const Error&) {
    return false;
  }
}

}  // namespace touchstone::serve
