// Answers that must follow a schema, over HTTP.
#include <gtest/gtest.h>

#include "running_server.h"
#include "support/json_schema_check.h"

namespace touchstone::serve {
namespace {

namespace json = boost::json;
using touchstone::testing::accepts;
using touchstone::testing::schemas;

json::object make_body(const json::value& response_format) {
  return {{"messages", {{{"role", "user"}, {"content", "Tom has 3 boxes with 4 pens each. How many pens?"}}}},
          {"response_format", response_format},
          {"max_tokens", 250},
          {"temperature", 1},
          {"reasoning_budget", 12},
          {"seed", 1}};
}

json::object ask_for(const json::value& schema) {
  return {{"type", "json_schema"}, {"json_schema", {{"name", "test"}, {"schema", schema}, {"strict", true}}}};
}

TEST(ResponseFormat, EveryAnswerParsesAndValidatesStreamedOrNot) {
  const RunningServer server;
  const json::object bias = favour_ends(server);
  std::size_t followed = 0;  // to an answer's end
  for (const std::string& text : schemas()) {
    SCOPED_TRACE(text);
    const json::value schema = json::parse(text);
    json::object body = make_body(ask_for(schema));
    body["logit_bias"] = bias;
    body["n"] = 3;
    const TestResponse response = ask_chat(server, body);
    ASSERT_EQ(response.status, 200) << response.body;
    const json::value whole = response.json();
    bool ended = false;
    for (const json::value& choice : whole.at("choices").as_array()) {
      if (choice.at("finish_reason") != "stop") continue;
      ended = true;
      json::error_code error;
      const json::value value = json::parse(choice.at("message").at("content").as_string(), error);
      ASSERT_FALSE(error) << choice;
      EXPECT_TRUE(accepts(schema, schema, value)) << choice;
      EXPECT_FALSE(choice.at("message").at("reasoning_content").as_string().empty());
    }
    followed += ended ? 1 : 0;

    body["n"] = 1;
    body["stream"] = true;
    const std::string streamed = join_stream(ask_chat(server, body).body);
    const json::value& first = whole.at("choices").at(0).at("message").at("content");
    EXPECT_EQ(streamed.substr(0, streamed.find('|')), first.as_string());
  }
  EXPECT_EQ(followed, schemas().size());
}

TEST(ResponseFormat, AJsonObjectIsAnObjectAndTextIsAnything) {
  const RunningServer server;
  json::object body = make_body({{"type", "json_object"}});
  body["logit_bias"] = favour_ends(server);
  const json::value whole = ask_chat(server, body).json();
  const json::value& choice = whole.at("choices").at(0);
  ASSERT_EQ(choice.at("finish_reason"), "stop");
  EXPECT_TRUE(json::parse(choice.at("message").at("content").as_string()).is_object());

  body = make_body({{"type", "text"}});
  const json::value plain = ask_chat(server, body).json().at("choices");
  body.erase("response_format");
  EXPECT_EQ(ask_chat(server, body).json().at("choices"), plain);
}

TEST(ResponseFormat, ATextCompletionFollowsItToo) {
  const RunningServer server;
  const json::object body = {
      {"prompt", {"Tom has", "How"}},
      {"response_format", ask_for({{"type", "integer"}, {"minimum", 3}, {"maximum", 42}})},
      {"model", "demo:native"}};
  const json::value answer = server.ask(post("/v1/completions", json::serialize(body))).json();
  for (const json::value& choice : answer.at("choices").as_array()) {
    const int number = std::stoi(std::string(choice.at("text").as_string()));
    EXPECT_TRUE(3 <= number && number <= 42) << number;
  }
}

TEST(ResponseFormat, WhatCannotBeFollowedIsRefusedByName) {
  const RunningServer server;
  const auto refusal = [&](const json::object& body) -> std::string {
    const TestResponse response = ask_chat(server, body);
    EXPECT_EQ(response.status, 400) << response.body;
    const json::object error = response.json().at("error").as_object();
    return std::string(error.at("param").as_string()) + ": " + std::string(error.at("message").as_string());
  };
  const auto refuses = [&](const json::value& format) { return refusal(make_body(format)); };
  EXPECT_TRUE(refuses({{"type", "xml"}}).starts_with("response_format.type: "));
  EXPECT_TRUE(refuses({{"type", "json_schema"}}).starts_with("response_format.json_schema: "));
  EXPECT_TRUE(refuses({{"type", "json_schema"}, {"json_schema", json::object()}})
                  .starts_with("response_format.json_schema.schema: "));
  EXPECT_NE(refuses(ask_for({{"type", "string"}, {"pattern", "a"}})).find("keyword 'pattern'"),
            std::string::npos);
  EXPECT_NE(refuses(ask_for({{"type", "string"}, {"minLength", 4'000'000}})).find("too large"),
            std::string::npos);
  json::array alike;
  for (int i = 0; i < 3000; ++i) alike.push_back({{"type", "array"}, {"items", {{"const", i}}}});
  EXPECT_NE(refuses(ask_for({{"anyOf", alike}})).find("too many alternatives"), std::string::npos);

  json::object with_tools = make_body({{"type", "json_object"}});
  with_tools["tools"] = {{{"type", "function"}, {"function", {{"name", "f"}}}}};
  EXPECT_TRUE(refusal(with_tools).starts_with("response_format: "));
  json::object continued = make_body({{"type", "json_object"}});
  continued["messages"].as_array().push_back({{"role", "assistant"}, {"content", "{"}});
  continued["continue_final_message"] = true;
  EXPECT_TRUE(refusal(continued).starts_with("response_format: "));
}

}  // namespace
}  // namespace touchstone::serve
