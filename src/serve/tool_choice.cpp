#include "serve/tool_choice.h"

#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <string_view>

#include "engine/constraint.h"
#include "text/tool_call_grammar.h"

namespace touchstone::serve {

namespace json = boost::json;

namespace {

constexpr std::size_t kMaxTools = 128;      // far more than a context holds; keeps a request's cost in bounds
constexpr std::size_t kMaxNameBytes = 128;  // as Anthropic's; OpenAI's are at most 64

/// OpenAI's and Anthropic's rule, and dots: what stands between the tags of a call, and in its JSON as it is.
bool is_function_name(std::string_view name) {
  return !name.empty() && name.size() <= kMaxNameBytes && std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-' || c == '.';
  });
}

/// A tool, or the choice of one, as {"name"}, with the "parameters" that its arguments are held to, if any.
json::object read_function(const json::value& value, const std::string& path,
                           std::string_view template_source, IgnoredFields& ignored) {
  FieldReader fields(need_object(value, path), path + ".");
  if (fields.string("type").value_or("function") != "function") {
    refuse_field(path + ".type", path + ".type must be function");
  }
  const json::object* function = fields.object("function");
  if (function == nullptr) refuse_field(path + ".function", path + ".function is missing");
  FieldReader parts(*function, path + ".function.");
  const std::string name = need_string(parts, "name");
  if (!is_function_name(name)) {
    refuse_field(parts.path_of("name"), fmt::format("{} must have 1 to {} letters, digits, '_', '-' and '.'",
                                                    parts.path_of("name"), kMaxNameBytes));
  }
  const json::object* parameters = parts.object("parameters");
  json::object read = {{"name", name}};
  if (parts.boolean("strict").value_or(false)) {
    const json::object none = {{"type", "object"}, {"additionalProperties", false}};
    read["parameters"] = parameters != nullptr ? *parameters : none;
  }
  parts.find("description");
  ignored.add_unless_named(fields, template_source);
  ignored.add_unless_named(parts, template_source);
  return read;
}

enum class Calls : std::uint8_t { none, allowed, required, of_one_function };

Calls read_choice(FieldReader& fields) {
  const json::value* choice = fields.find("tool_choice");
  if (choice == nullptr || *choice == json::value("auto")) return Calls::allowed;
  if (*choice == json::value("none")) return Calls::none;
  if (*choice == json::value("required")) return Calls::required;
  if (!choice->is_object()) {
    refuse_field("tool_choice", "tool_choice must be none, auto, required or a function");
  }
  return Calls::of_one_function;
}

const json::value* find_function(const json::array& functions, const json::value& name) {
  const auto* found = std::find_if(functions.begin(), functions.end(),
                                   [&](const json::value& function) { return function.at("name") == name; });
  return found == functions.end() ? nullptr : found;
}

/// Throws where a schema accepts arguments that are no object, or none at all.
void check_arguments(const AnswerForm& form, const json::array& functions) {
  Constraint constraint(form.grammar, nullptr);
  for (const json::value& function : functions) {
    if (!function.as_object().contains("parameters")) continue;
    const std::string name(function.at("name").as_string());
    const std::int32_t begun =
        constraint.advance(constraint.start(), std::string(kToolCallOpens) + tool_call_head(name));
    if (begun == Constraint::impossible) {
      refuse_field("tools",
                   "tools: function '" + name + "': the schema has too many alternatives, or no end");
    }
    for (int byte = 0; byte < 256; ++byte) {
      const char c = static_cast<char>(byte);
      if (c == '{' || constraint.advance(begun, {&c, 1}) == Constraint::impossible) continue;
      refuse_field("tools", "tools: function '" + name + "': the schema must have the type object");
    }
  }
}

}  // namespace

ToolWishes read_tools(FieldReader& fields, std::string_view template_source, IgnoredFields& ignored) {
  const json::array* tools = fields.array("tools");
  const Calls calls = read_choice(fields);
  bool parallel = fields.boolean("parallel_tool_calls").value_or(true);
  ToolWishes wishes;
  json::array functions;
  if (tools != nullptr && tools->size() > kMaxTools) {
    refuse_field("tools", fmt::format("tools holds more than {}", kMaxTools));
  }
  for (std::size_t i = 0; tools != nullptr && i < tools->size(); ++i) {
    const std::string path = fmt::format("tools[{}]", i);
    json::object function = read_function((*tools)[i], path, template_source, ignored);
    if (find_function(functions, function["name"]) != nullptr) {
      refuse_field(path + ".function.name", path + ".function.name is that of an earlier tool");
    }
    functions.push_back(std::move(function));
    wishes.tools.push_back((*tools)[i]);
    // What the server promises is not the model's business.
    wishes.tools.back().as_object()["function"].as_object().stable_erase("strict");
  }
  if (calls == Calls::none) wishes.tools.clear();
  const bool required = calls == Calls::required || calls == Calls::of_one_function;
  if (required && wishes.tools.empty()) {
    refuse_field("tool_choice", "tool_choice demands a call, but there are no tools");
  }
  if (wishes.tools.empty()) return wishes;
  if (calls == Calls::of_one_function) {
    const json::value& choice = *fields.find("tool_choice");
    const json::value name = read_function(choice, "tool_choice", {}, ignored).at("name");
    const json::value* function = find_function(functions, name);
    if (function == nullptr) {
      refuse_field("tool_choice",
                   "tool_choice names '" + std::string(name.as_string()) + "', which is not among the tools");
    }
    functions = json::array{*function};
    parallel = false;
  }
  wishes.form = make_answer_form(
      {{"type", "tool_calls"}, {"functions", functions}, {"required", required}, {"parallel", parallel}},
      "tools");
  check_arguments(wishes.form, functions);
  return wishes;
}

}  // namespace touchstone::serve
