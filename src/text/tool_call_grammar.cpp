#include "text/tool_call_grammar.h"

#include <cstdint>

#include "base/error.h"
#include "text/json_grammar.h"
#include "text/json_schema.h"

namespace touchstone {
namespace {

namespace json = boost::json;

[[noreturn]] void refuse_form() {
  throw Error("the form of tool calls has not its members: functions with names, required, parallel",
              "give it as a receipt has it");
}

bool get_bool(const json::object& form, std::string_view name) {
  const json::value* value = form.if_contains(name);
  if (value == nullptr || !value->is_bool()) refuse_form();
  return value->get_bool();
}

/// Any text to the end of the next opening tag; it may end before. Where the tag has begun and does not go
/// on, only its first byte begins it anew: it has no other of its kind.
std::uint32_t add_text_and_tag(Grammar& grammar, std::uint32_t start) {
  const auto first = static_cast<std::uint8_t>(kToolCallOpens.front());
  std::uint32_t begun = start;
  std::uint32_t at = start;
  for (const char c : kToolCallOpens) {
    const auto expected = static_cast<std::uint8_t>(c);
    const std::uint32_t next = grammar.add_state();
    if (at == start) {
      begun = next;
    } else {
      grammar.add_bytes_to(at, first, first, begun);
    }
    add_bytes_but(
        grammar, at, 0x00, 0xFF, [&](std::uint8_t byte) { return byte == first || byte == expected; }, start);
    grammar.add_bytes_to(at, expected, expected, next);
    grammar.end_rule(at);
    at = next;
  }
  return at;
}

/// From the opening tag to the end of the closing one.
std::int32_t add_call(Grammar& grammar, const JsonRules& rules, const json::array& functions) {
  const std::int32_t rule = grammar.add_rule(false);
  const std::uint32_t arguments_end = grammar.add_state();
  for (const json::value& value : functions) {
    const json::object* function = value.if_object();
    const json::value* name = function == nullptr ? nullptr : function->if_contains("name");
    if (name == nullptr || !name->is_string()) refuse_form();
    const json::value* schema = function->if_contains("parameters");
    try {
      const std::int32_t arguments =
          schema == nullptr ? rules.object : add_json_schema(grammar, rules, *schema);
      const std::uint32_t head =
          grammar.add_literal(grammar.rule(rule).start, tool_call_head(name->get_string()));
      grammar.add_skip(grammar.add_call(head, arguments), arguments_end);
    } catch (const Error& error) {
      throw Error("function '" + std::string(name->get_string()) + "': " + error.what(), error.hint());
    }
  }
  grammar.end_rule(grammar.add_literal(arguments_end, "}\n" + std::string(kToolCallCloses)));
  return rule;
}

}  // namespace

std::string tool_call_head(std::string_view name) {
  return "\n{\"name\": " + json::serialize(json::value(name)) + ", \"arguments\": ";
}

Grammar compile_tool_calls(const json::object& form) {
  const json::value* functions = form.if_contains("functions");
  if (functions == nullptr || !functions->is_array() || functions->get_array().empty()) refuse_form();
  const bool required = get_bool(form, "required");
  const bool parallel = get_bool(form, "parallel");
  Grammar grammar;
  const JsonRules rules = add_json_rules(grammar);
  const std::int32_t call = add_call(grammar, rules, functions->get_array());
  const std::int32_t root = grammar.add_rule(false);
  const std::uint32_t start = grammar.rule(root).start;
  const std::uint32_t opened =
      required ? grammar.add_literal(start, kToolCallOpens) : add_text_and_tag(grammar, start);
  const std::uint32_t behind = grammar.add_call(opened, call);
  grammar.end_rule(behind);
  if (parallel) grammar.add_skip(required ? grammar.add_literal(behind, "\n") : behind, start);
  grammar.finish(root, json::serialize(form));
  return grammar;
}

}  // namespace touchstone
