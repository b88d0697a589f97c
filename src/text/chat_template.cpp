#include "text/chat_template.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "text/jinja_interpreter.h"
#include "text/jinja_parser.h"
#include "text/jinja_unicode.h"

namespace touchstone {

struct ChatTemplate::Impl {
  std::string source;
  jinja::ParsedTemplate parsed;
};

namespace {

std::string describe_failure(const std::string& type, const std::string& message, int line) {
  std::string text =
      line > 0 ? fmt::format("chat template, line {}: {}: {}", line, type, message) : type + ": " + message;
  std::replace(text.begin(), text.end(), '\n', ' ');
  return text;
}

std::string find_hint(const std::string& type) {
  if (type == "LimitError") return "the template or the messages are too large, or the template is broken";
  if (type == "TemplateSyntaxError" || type == "TemplateAssertionError") return "correct the template";
  return "check the messages against what the model's template expects";
}

[[noreturn]] void rethrow(const jinja::Raised& raised) {
  throw TemplateError(raised.type, raised.message, raised.line);
}

}  // namespace

TemplateError::TemplateError(std::string type, std::string message, int line)
    : Error(describe_failure(type, message, line), find_hint(type)),
      type_(std::move(type)),
      message_(std::move(message)),
      line_(line) {}

ChatTemplate ChatTemplate::parse(std::string_view source) {
  try {
    auto impl = std::make_shared<Impl>();
    impl->parsed = jinja::parse_template(source);
    impl->source = source;
    ChatTemplate chat_template;
    chat_template.impl_ = std::move(impl);
    return chat_template;
  } catch (const jinja::Raised& raised) {
    rethrow(raised);
  }
}

const std::string& ChatTemplate::source() const { return impl_->source; }

bool ChatTemplate::mentions(std::string_view variable) const {
  return impl_->parsed.names.contains(variable);
}

RenderedText ChatTemplate::render_plain(const boost::json::object& variables, const TemplateLimits& limits,
                                        const RenderOptions& options) const {
  try {
    return jinja::Interpreter(impl_->parsed.block, limits, options).run(variables);
  } catch (const jinja::Raised& raised) {
    rethrow(raised);
  }
}

// ---- apply_chat_template's conventions (transformers 5.23, utils/chat_template_utils.py) ----

namespace {

// What marks the end of the message that is to be continued; the template may trim its trailing space.
constexpr std::string_view kContinueTag = "CONTINUE_FINAL_MESSAGE_TAG ";
constexpr std::array<std::string_view, 3> kReasoningNames = {"reasoning_content", "thinking", "reasoning"};

[[noreturn]] void refuse(std::string message) { throw TemplateError("ValueError", std::move(message), 0); }

bool is_true(const boost::json::object& context, std::string_view key) {
  const boost::json::value* value = context.if_contains(key);
  if (value == nullptr) return false;
  return value->is_string() ? !value->get_string().empty() : value->is_bool() && value->get_bool();
}

boost::json::object without_nulls(const boost::json::object& message) {
  boost::json::object kept;
  for (const auto& [key, value] : message) {
    if (!value.is_null()) kept.emplace(key, value);
  }
  return kept;
}

/// A message's reasoning under each of the names that templates read it by.
boost::json::object alias_reasoning(boost::json::object message) {
  const auto* name = std::find_if(kReasoningNames.begin(), kReasoningNames.end(),
                                  [&](std::string_view candidate) { return message.contains(candidate); });
  if (name == kReasoningNames.end()) return message;
  const boost::json::value reasoning = message.at(*name);
  boost::json::object aliased;
  if (!message.contains("thinking")) aliased.emplace("thinking", reasoning);
  for (const auto& [key, value] : message) aliased.emplace(key, value);
  aliased.insert_or_assign("reasoning_content", reasoning);
  return aliased;
}

std::string strip_text(std::string_view text) { return std::string(jinja::strip(text)); }

void append_tag(boost::json::value& text) {
  text = std::string(text.as_string()) + std::string(kContinueTag);
}

/// The names under which the message has what this field says: reasoning has several.
std::vector<std::string_view> names_of(const boost::json::object& message, std::string_view field) {
  if (std::find(kReasoningNames.begin(), kReasoningNames.end(), field) == kReasoningNames.end())
    return {field};
  std::vector<std::string_view> names;
  for (const std::string_view name : kReasoningNames) {
    const boost::json::value* copy = message.if_contains(name);
    if (copy != nullptr && *copy == message.at(field)) names.push_back(name);
  }
  return names;
}

/// Marks the end of the field (of its last text part, when it is made of parts); gives the text as it was.
std::string mark_final_message(boost::json::object& message, std::string_view field,
                               std::string_view source) {
  boost::json::value* content = message.if_contains(field);
  if (content == nullptr) {
    refuse(
        fmt::format("continue_final_message is set but the final message has no \"{}\" to continue!", field));
  }
  const std::vector<std::string_view> names = names_of(message, field);
  if (std::none_of(names.begin(), names.end(),
                   [&](std::string_view name) { return source.find(name) != std::string_view::npos; })) {
    refuse(fmt::format(
        "continue_final_message is set to \"{}\" but this is not an accepted field in the chat_template",
        field));
  }
  if (content->is_string()) {
    std::string original(content->get_string());
    // Whichever of the names the template reads is marked.
    for (const std::string_view name : names) append_tag(message.at(name));
    return original;
  }
  if (content->is_array()) {
    for (std::size_t i = content->get_array().size(); i-- > 0;) {
      boost::json::value& part = content->get_array()[i];
      boost::json::value* text = part.is_object() ? part.get_object().if_contains("text") : nullptr;
      if (text == nullptr || !text->is_string()) continue;
      std::string original(text->get_string());
      append_tag(*text);
      return original;
    }
  }
  refuse("continue_final_message is set but we could not find any text to continue in the final message!");
}

std::string cut_behind_final_message(const std::string& text, const std::string& final_message) {
  const std::string tag = strip_text(kContinueTag);
  const std::size_t at = text.rfind(tag);
  if (at == std::string::npos || text.find(strip_text(final_message)) == std::string::npos) {
    refuse(
        "continue_final_message is set but the final message does not appear in the chat after applying the "
        "chat "
        "template!");
  }
  if (text.compare(at, kContinueTag.size(), kContinueTag) == 0) return text.substr(0, at);
  return std::string(jinja::strip(std::string_view(text).substr(0, at), false, true));
}

}  // namespace

bool continues_final_message(const boost::json::object& context) {
  return is_true(context, "continue_final_message");
}

std::string ChatTemplate::render(const boost::json::object& context, const TemplateLimits& limits,
                                 const RenderOptions& options) const {
  const boost::json::value* messages = context.if_contains("messages");
  if (messages == nullptr || !messages->is_array()) return render_plain(context, limits, options).text;
  const bool continues = continues_final_message(context);
  if (continues && is_true(context, "add_generation_prompt")) {
    refuse("continue_final_message and add_generation_prompt are not compatible");
  }

  boost::json::object variables = context;
  variables.erase("continue_final_message");
  for (const char* name : {"tools", "documents"}) variables.emplace(name, nullptr);
  variables.emplace("add_generation_prompt", false);
  for (boost::json::value& message : variables["messages"].as_array()) {
    if (message.is_object()) message = alias_reasoning(without_nulls(message.get_object()));
  }
  if (!continues) return render_plain(variables, limits, options).text;

  boost::json::array& chat = variables["messages"].as_array();
  if (chat.empty() || !chat.back().is_object()) {
    refuse("continue_final_message is set but the conversation is empty!");
  }
  const boost::json::value& field = context.at("continue_final_message");
  const std::string final_message = mark_final_message(
      chat.back().as_object(),
      field.is_string() ? std::string_view(field.get_string()) : std::string_view("content"), source());
  return cut_behind_final_message(render_plain(variables, limits, options).text, final_message);
}

}  // namespace touchstone
