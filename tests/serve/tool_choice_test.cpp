// Tool calls that are held to their functions, over HTTP.
#include "serve/tool_choice.h"

#include <gtest/gtest.h>

#include "engine/replay.h"
#include "running_server.h"
#include "support/json_schema_check.h"

namespace touchstone::serve {
namespace {

namespace json = boost::json;
using touchstone::testing::accepts;
using touchstone::testing::parameter_schemas;

json::object make_tool(std::string_view name, const json::value& parameters, bool strict = true) {
  return {{"type", "function"},
          {"function", {{"name", name}, {"parameters", parameters}, {"strict", strict}}}};
}

json::object make_calling_body(const json::array& tools, const json::value& choice) {
  return {{"messages", {{{"role", "user"}, {"content", "What is the weather in Oslo?"}}}},
          {"tools", tools},
          {"tool_choice", choice},
          {"max_tokens", 400},
          {"temperature", 1},
          {"reasoning_budget", 12},
          {"seed", 3}};
}

/// A stream's calls as "name(arguments)".
std::vector<std::string> read_streamed_calls(const std::string& body) {
  std::vector<std::string> calls;
  for (const json::value& chunk : stream_events(body)) {
    const json::value& choice = chunk.at("choices").at(0);
    const json::value* deltas = choice.at("delta").as_object().if_contains("tool_calls");
    for (const json::value& delta : deltas == nullptr ? json::array() : deltas->as_array()) {
      const json::object& function = delta.at("function").as_object();
      if (const json::value* name = function.if_contains("name")) {
        calls.push_back(std::string(name->as_string()) + "(");
      }
      calls.back() += function.at("arguments").as_string();
    }
  }
  for (std::string& call : calls) call += ")";
  return calls;
}

TEST(ToolChoice, ArgumentsOfAStrictFunctionParseAndValidateStreamedOrNot) {
  const RunningServer server;
  const json::object bias = favour_ends(server);
  std::size_t followed = 0;
  const std::vector<json::value> schemas = parameter_schemas();
  ASSERT_GE(schemas.size(), 30U);
  for (std::size_t i = 0; i < schemas.size(); ++i) {
    SCOPED_TRACE(json::serialize(schemas[i]));
    const json::object named = {{"type", "function"}, {"function", {{"name", "held"}}}};
    json::object body =
        make_calling_body({make_tool("held", schemas[i]), make_tool("free", schemas[i], false)},
                          i % 2 == 0 ? json::value("required") : json::value(named));
    body["logit_bias"] = bias;
    body["parallel_tool_calls"] = i % 4 == 0;
    const TestResponse response = ask_chat(server, body);
    ASSERT_EQ(response.status, 200) << response.body;
    const json::value choice = response.json().at("choices").at(0);
    const json::object& message = choice.at("message").as_object();
    EXPECT_FALSE(message.at("reasoning_content").as_string().empty());
    std::vector<std::string> calls;
    const json::value* made = message.if_contains("tool_calls");
    ASSERT_NE(made, nullptr) << choice;
    for (const json::value& call : made->as_array()) {
      const json::value& function = call.at("function");
      const std::string arguments(function.at("arguments").as_string());
      calls.push_back(std::string(function.at("name").as_string()) + "(" + arguments + ")");
      if (choice.at("finish_reason") != "tool_calls") continue;
      json::error_code error;
      const json::value value = json::parse(arguments, error);
      ASSERT_TRUE(!error && value.is_object()) << arguments;
      if (function.at("name") == "held") {
        EXPECT_TRUE(accepts(schemas[i], schemas[i], value)) << arguments;
      }
      EXPECT_TRUE(i % 2 == 0 || function.at("name") == "held") << function;
    }
    EXPECT_TRUE(i % 4 == 0 || calls.size() == 1) << choice;
    followed += choice.at("finish_reason") == "tool_calls" ? 1 : 0;
    body["stream"] = true;
    EXPECT_EQ(read_streamed_calls(ask_chat(server, body).body), calls);
  }
  EXPECT_GE(followed, 30U) << "of " << schemas.size();
}

TEST(ToolChoice, ACallThatIsCutOffDoesNotCountAsOne) {
  const RunningServer server;
  const json::value held = {
      {"type", "object"}, {"properties", {{"a", {{"const", "one two"}}}}}, {"required", {"a"}}};
  json::object body = make_calling_body({make_tool("f", held)}, "required");
  const auto reason = [&] {
    return std::string(ask_chat(server, body).json().at("choices").at(0).at("finish_reason").as_string());
  };
  body["parallel_tool_calls"] = false;
  EXPECT_EQ(reason(), "tool_calls");
  body["stop"] = "e t";
  EXPECT_EQ(reason(), "stop");
  body.erase("stop");
  body["max_tokens"] = 30;
  EXPECT_EQ(reason(), "length");
}

TEST(ToolChoice, AReceiptGivesTheSameCallsAgain) {
  const RunningServer server;
  const json::value held = {{"type", "object"},
                            {"properties", {{"a", {{"type", "integer"}}}, {"b", {{"type", "boolean"}}}}},
                            {"required", {"a", "b"}}};
  json::object body = make_calling_body({make_tool("f", held), make_tool("g", held, false)}, "required");
  body["receipt"] = true;
  body["n"] = 2;
  for (const char* choice : {"required", "auto"}) {
    body["tool_choice"] = choice;
    json::value receipt = ask_chat(server, body).json().at("receipt");
    EXPECT_EQ(receipt.at("response_format").at("type"), "tool_calls");
    const auto again = [&] { return replay(load_demo("distilled"), parse_receipt(receipt)); };
    EXPECT_TRUE(again().same());
    receipt.as_object()["response_format"] = nullptr;
    EXPECT_EQ(again().same(), std::string_view(choice) == "auto") << "the demo model calls nobody unasked";
  }
}

TEST(ToolChoice, WhatCannotBeFollowedIsRefusedByNameInEachApi) {
  const RunningServer server;
  const auto expect_refusal = [&](const std::string& path, json::object body, const std::string& part) {
    body["messages"] = {{{"role", "user"}, {"content", "hi"}}};
    body["input"] = "hi";
    body["max_tokens"] = 5;
    const TestResponse response = server.ask(post(path, json::serialize(body)));
    EXPECT_EQ(response.status, 400) << path << response.body;
    EXPECT_NE(response.body.find(part), std::string::npos) << path << response.body;
  };
  const json::value pattern = {{"type", "object"},
                               {"properties", {{"a", {{"type", "string"}, {"pattern", "x"}}}}}};
  const std::string reason = "function 'f': the schema's keyword 'pattern' is not supported";
  for (const char* path : {"/v1/chat/completions", "/api/chat"}) {
    expect_refusal(path, {{"tools", {make_tool("f", pattern)}}}, reason);
  }
  const json::object flat = {{"type", "function"}, {"name", "f"}, {"parameters", pattern}, {"strict", true}};
  expect_refusal("/v1/responses", {{"tools", {flat}}}, reason);
  const json::object anthropic = {{"name", "f"}, {"input_schema", pattern}, {"strict", true}};
  expect_refusal("/v1/messages", {{"tools", {anthropic}}}, reason);
  expect_refusal("/v1/messages", {{"tools", {{{"name", "f"}, {"input_schema", pattern}, {"strict", 1}}}}},
                 "tools[0].strict");
  const json::object loose = {{"name", "f"}, {"input_schema", pattern}};
  expect_refusal("/v1/messages", {{"tools", {loose, loose}}}, "tools[1].name");

  const std::string chat = "/v1/chat/completions";
  expect_refusal(chat, {{"tools", {make_tool("f", {{"type", "string"}})}}},
                 "function 'f': the schema must have the type object");
  expect_refusal(chat, {{"tools", {make_tool("f", json::object())}}}, "must have the type object");
  const json::value endless = {
      {"type", "object"}, {"properties", {{"a", {{"$ref", "#"}}}}}, {"required", {"a"}}};
  expect_refusal(chat, {{"tools", {make_tool("g", pattern, false), make_tool("f", endless)}}},
                 "function 'f'");
  json::array alike;
  for (int i = 0; i < 3000; ++i) alike.push_back({{"type", "object"}, {"required", {std::to_string(i)}}});
  expect_refusal(chat, {{"tools", {make_tool("f", {{"anyOf", alike}})}}}, "too many alternatives");
  expect_refusal(chat, {{"tools", {make_tool("f", pattern, false), make_tool("f", pattern, false)}}},
                 "tools[1].function.name");
  expect_refusal(chat, {{"tools", {{{"function", {{"name", "f"}, {"strict", "yes"}}}}}}},
                 "tools[0].function.strict");
  expect_refusal(chat, {{"tools", {{{"function", {{"name", "f"}, {"parameters", 1}}}}}}},
                 "tools[0].function.parameters");
  expect_refusal(chat, {{"parallel_tool_calls", 1}}, "parallel_tool_calls");
}

TEST(ToolChoice, OtherApisHoldTheirCallsToTheSame) {
  const RunningServer server;
  const json::object held = {{"type", "object"},
                             {"properties", {{"a", {{"type", "integer"}, {"minimum", 3}, {"maximum", 42}}}}},
                             {"required", {"a"}}};
  const json::object message = {{"max_tokens", 400},
                                {"messages", {{{"role", "user"}, {"content", "hi"}}}},
                                {"thinking", {{"type", "disabled"}}},
                                {"tools", {{{"name", "f"}, {"input_schema", held}, {"strict", true}}}},
                                {"tool_choice", {{"type", "any"}, {"disable_parallel_tool_use", true}}}};
  const json::value said = server.ask(post("/v1/messages", json::serialize(message))).json();
  EXPECT_EQ(said.at("stop_reason"), "tool_use") << said;
  ASSERT_EQ(said.at("content").as_array().size(), 1U) << said;
  EXPECT_TRUE(accepts(held, held, said.at("content").at(0).at("input"))) << said;

  const json::object asked = {
      {"input", "hi"},
      {"reasoning", {{"effort", "none"}}},
      {"parallel_tool_calls", false},
      {"tools", {{{"type", "function"}, {"name", "f"}, {"parameters", held}, {"strict", true}}}},
      {"tool_choice", "required"}};
  const json::value response = server.ask(post("/v1/responses", json::serialize(asked))).json();
  EXPECT_EQ(response.at("status"), "completed") << response;
  EXPECT_EQ(response.at("parallel_tool_calls"), false);
  ASSERT_EQ(response.at("output").as_array().size(), 1U) << response;
  EXPECT_TRUE(accepts(held, held, json::parse(response.at("output").at(0).at("arguments").as_string())));
}

}  // namespace
}  // namespace touchstone::serve
