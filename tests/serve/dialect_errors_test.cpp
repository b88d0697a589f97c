// What the other APIs on the server's port refuse: their own error body, the right status, the field's name.
#include <gtest/gtest.h>

#include "running_server.h"

namespace touchstone::serve {
namespace {

class DialectErrors : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { server = std::make_unique<RunningServer>(); }
  static void TearDownTestSuite() { server.reset(); }

  static void expect_error(const std::string& path, const std::string& body, int status,
                           const std::string& part) {
    const TestResponse response = server->ask(post(path, body));
    ASSERT_EQ(response.status, status) << path << body.substr(0, 200) << response.body.substr(0, 300);
    const boost::json::value parsed = response.json();
    std::string message;
    if (path.starts_with("/api/")) {
      message = std::string(parsed.at("error").as_string());
    } else {
      message = std::string(parsed.at("error").at("message").as_string());
      EXPECT_FALSE(parsed.at("error").at("type").as_string().empty());
      EXPECT_EQ(parsed.as_object().contains("type"), path.starts_with("/v1/messages")) << response.body;
    }
    EXPECT_NE(message.find(part), std::string::npos) << path << body.substr(0, 200) << ": " << message;
    EXPECT_FALSE(response.header("x-request-id").empty());
  }

  static std::unique_ptr<RunningServer> server;
};
std::unique_ptr<RunningServer> DialectErrors::server;

TEST_F(DialectErrors, WhatIsNoJsonObjectGets400) {
  std::string deep = R"({"messages":)";
  for (int i = 0; i < 10'000; ++i) deep += '[';
  for (const char* path : {"/v1/messages", "/v1/messages/count_tokens", "/v1/responses", "/api/chat",
                           "/api/generate", "/api/show"}) {
    for (const std::string& body :
         {std::string(), std::string("{"), std::string("[]"), std::string("null"),
          std::string("{\"temperature\":NaN}"), std::string("{\"a\":\"\xff\"}"), deep}) {
      expect_error(path, body, 400, "");
    }
    expect_error(path, R"({"model":"gpt-5"})", 404, "gpt-5");
    expect_error(path, R"({"model":5})", 400, "model");
    EXPECT_EQ(server->ask(get(path)).status, 405);
  }
}

TEST_F(DialectErrors, WhatIsNotThereOrTooLargeIsSaidInTheApisForm) {
  const std::string large = R"({"model":")" + std::string(9U << 20U, 'x') + "\"}";
  for (const char* path : {"/v1/messages", "/v1/messages/count_tokens", "/v1/responses", "/api/chat"}) {
    expect_error(path, large, 413, "larger than");
  }
  for (const char* path : {"/v1/messages/batches", "/api/pull", "/v1/nothing"}) {
    expect_error(path, "{}", 404, "nothing at");
  }
  EXPECT_EQ(server->ask(get("/v1/messages/batches")).json().at("type"), "error");
  EXPECT_TRUE(server->ask(get("/api/nothing")).json().at("error").is_string());
  EXPECT_TRUE(server->ask(get("/api/chat")).json().at("error").is_string());
  const std::string late =
      "POST /v1/messages HTTP/1.1\r\nHost: localhost\r\nX: " + std::string(20'000, 'x') + "\r\n\r\n";
  const TestResponse headers = server->ask(late);
  EXPECT_EQ(headers.status, 431);
  EXPECT_EQ(headers.json().at("type"), "error");
}

TEST_F(DialectErrors, OllamasFieldsAreChecked) {
  for (const auto& [members, part] : std::vector<std::pair<std::string, std::string>>{
           {R"("stream":1)", "stream"},
           {R"("think":"high")", "think"},
           {R"("format":5)", "format"},
           {R"("options":[])", "options"},
           {R"("options":{"temperature":"x"})", "options.temperature"},
           {R"("options":{"num_predict":1.5})", "options.num_predict"},
           {R"("options":{"repeat_penalty":0})", "options.repeat_penalty"},
           {R"("options":{"stop":[1]})", "options.stop"},
           {R"("messages":{})", "messages"},
           {R"("messages":[5])", "messages[0]"},
           {R"("messages":[{"role":"king","content":"a"}])", "messages[0].role"},
           {R"("messages":[{"role":"user","content":5}])", "messages[0].content"},
           {R"("messages":[{"role":"user","content":"a","images":["x"]}])", "messages[0].images"},
           {R"("tools":{})", "tools"}}) {
    const bool has_messages = members.starts_with("\"messages\"");
    expect_error("/api/chat",
                 "{" + (has_messages ? "" : std::string(R"("messages":[{"role":"user","content":"a"}],)")) +
                     members + "}",
                 400, part);
  }
  expect_error("/api/chat", R"({"keep_alive":[0]})", 400, "keep_alive");
  expect_error("/api/generate", R"({"prompt":5})", 400, "prompt");
  expect_error("/api/generate", R"({"prompt":"a","suffix":"b"})", 400, "suffix");
  expect_error("/api/generate", R"({"prompt":"a","raw":true,"options":{"top_p":2}})", 400, "options.top_p");
}

TEST_F(DialectErrors, AnthropicsFieldsAreChecked) {
  const std::string asked = R"("messages":[{"role":"user","content":"a"}])";
  expect_error("/v1/messages", "{" + asked + "}", 400, "max_tokens");
  for (
      const auto& [members, part] : std::vector<std::pair<std::string, std::string>>{
          {"\"x\":1", "messages"},
          {R"("messages":{})", "messages"},
          {R"("messages":[1])", "messages[0]"},
          {R"("messages":[{"role":"system","content":"a"}])", "messages[0].role"},
          {R"("messages":[{"role":"user"}])", "messages[0].content"},
          {R"("messages":[{"role":"user","content":[{}]}])", "messages[0].content[0].type"},
          {R"("messages":[{"role":"user","content":[{"type":"image"}]}])", "messages[0].content[0]"},
          {R"("messages":[{"role":"user","content":[{"type":"tool_result"}]}])",
           "messages[0].content[0].tool_use_id"},
          {R"("messages":[{"role":"assistant","content":[{"type":"tool_use","id":"1","name":"f","input":{}}]}])",
           "calls tools"},
          {asked + R"(,"system":5)", "system"},
          {asked + R"(,"temperature":3)", "temperature"},
          {asked + R"(,"stop_sequences":"a")", "stop_sequences"},
          {asked + R"(,"stop_sequences":[5])", "stop_sequences"},
          {asked + R"(,"thinking":{"type":"enabled"})", "thinking.budget_tokens"},
          {asked + R"(,"thinking":{"type":"enabled","budget_tokens":-1})", "thinking.budget_tokens"},
          {asked + R"(,"tools":[{"type":"bash_20250124","name":"bash"}])", "bash_20250124"},
          {asked + R"(,"tools":[{"name":"f"}])", "tools[0].input_schema"},
          {asked + R"(,"tools":[{"name":"a b","input_schema":{}}])", "tools[0].name"},
          {asked + R"(,"output_config":{"format":{"type":"json_schema"}})", "output_config.format.schema"},
          {asked + R"(,"tool_choice":{"type":"tool"})", "tool_choice.name"}}) {
    expect_error("/v1/messages", R"({"max_tokens":5,)" + members + "}", 400, part);
  }
}

TEST_F(DialectErrors, ResponsesFieldsAreChecked) {
  for (const auto& [members, part] : std::vector<std::pair<std::string, std::string>>{
           {"\"x\":1", "input"},
           {R"("input":[])", "input"},
           {R"("input":[1])", "input[0]"},
           {R"("input":[{"type":"item_reference","id":"x"}])", "item_reference"},
           {R"("input":[{"role":"king","content":"a"}])", "input[0].role"},
           {R"("input":[{"role":"user","content":[{"type":"input_image"}]}])", "input_image"},
           {R"("input":[{"type":"function_call","call_id":"1"}])", "input[0].name"},
           {R"("input":[{"type":"reasoning","summary":[]}])", "input"},
           {R"("input":"a","max_output_tokens":0)", "max_output_tokens"},
           {R"("input":"a","temperature":[])", "temperature"},
           {R"("input":"a","previous_response_id":"resp_1")", "nothing is stored"},
           {R"("input":"a","background":true)", "background"},
           {R"("input":"a","tools":[{"type":"web_search"}])", "web_search"},
           {R"("input":"a","tool_choice":"x")", "tool_choice"},
           {R"("input":"a","text":{"format":{"type":"xml"}})", "text.format"}}) {
    expect_error("/v1/responses", "{" + members + "}", 400, part);
  }
}

}  // namespace
}  // namespace touchstone::serve
