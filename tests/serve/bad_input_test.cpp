// Whatever comes in: a JSON error with the right status, or a closed connection, and the server goes on.
#include <gtest/gtest.h>

#include "running_server.h"

namespace touchstone::serve {
namespace {

std::string repeat(const std::string& text, std::size_t count) {
  std::string all;
  for (std::size_t i = 0; i < count; ++i) all += text;
  return all;
}

std::string chat_body(const std::string& members) {
  return R"({"messages":[{"role":"user","content":"hi"}],"max_tokens":4)" +
         (members.empty() ? "" : "," + members) + "}";
}

class BadInput : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    ServerOptions options = test_options();
    options.limits.request_time = std::chrono::milliseconds(2000);
    options.limits.idle_time = std::chrono::milliseconds(4000);
    options.limits.body_bytes = 1 << 20;
    server = std::make_unique<RunningServer>(options);
  }
  static void TearDownTestSuite() { server.reset(); }
  void TearDown() override {
    EXPECT_EQ(server->ask(post("/v1/chat/completions", chat_body(""))).status, 200) << "it no longer answers";
    EXPECT_TRUE(server->wait_for_load(0, 0));
  }

  static void expect_error(const std::string& request, int status, const std::string& param = {}) {
    const TestResponse response = server->ask(request);
    EXPECT_EQ(response.status, status) << request.substr(0, 300) << "\n" << response.body.substr(0, 300);
    if (response.status != status) return;
    const boost::json::value body = response.json();
    const boost::json::object& error = body.at("error").as_object();
    EXPECT_FALSE(error.at("message").as_string().empty());
    EXPECT_FALSE(error.at("type").as_string().empty());
    EXPECT_TRUE(error.contains("code"));
    EXPECT_FALSE(response.header("x-request-id").empty());
    if (!param.empty()) {
      EXPECT_EQ(error.at("param"), boost::json::value(param)) << request.substr(0, 300);
    }
  }
  static void expect_chat_error(const std::string& members, int status, const std::string& param) {
    expect_error(post("/v1/chat/completions", chat_body(members)), status, param);
  }

  static std::unique_ptr<RunningServer> server;
};
std::unique_ptr<RunningServer> BadInput::server;

TEST_F(BadInput, MalformedHttpGets400) {
  for (const char* request :
       {"\r\n\r\n\r\n", "nonsense\r\n\r\n", "GET\r\n\r\n", "GET / HTTP/9.9\r\n\r\n",
        "GET / HTTP/1.1\r\nno colon\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n",
        "POST /tokenize HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "\x16\x03\x01\x02 tls\r\n\r\n"}) {
    expect_error(request, 400);
  }
}

TEST_F(BadInput, ARequestNeedsOneHost) {
  expect_error("GET /health HTTP/1.1\r\n\r\n", 400);
  expect_error("GET /health HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n", 400);
  expect_error("GET http://localhost/health HTTP/1.1\r\n\r\n", 400);
}

TEST_F(BadInput, ABodyWhoseEndIsNotKnownIsNotTakenForTheNextRequest) {
  for (const char* coding :
       {"gzip", "gzip, chunked", "chunked, chunked", "chunked\r\nTransfer-Encoding: x"}) {
    TestClient client(server->port());
    client.send(std::string("POST /tokenize HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: ") + coding +
                "\r\n\r\n" + get("/health"));
    EXPECT_GE(client.receive().status, 400) << coding;
    EXPECT_TRUE(client.is_closed()) << coding;
  }
  expect_error("POST /tokenize HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: gzip\r\n\r\n", 501);
}

TEST_F(BadInput, APathThatIsNotUtf8IsNamedInOneThatIs) {
  expect_error(get("/v1/\xff"), 404);
  expect_error(get("/v1/models/\xff"), 404);
}

TEST_F(BadInput, SizesAreLimited) {
  expect_error(get("/health", "X-Long: " + std::string(20'000, 'x') + "\r\n"), 431);
  expect_error("POST /tokenize HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999\r\n\r\n", 413);
  expect_error(post("/tokenize", std::string((1 << 20) + 1, ' ')), 413);
  const std::string chunked =
      "POST /tokenize HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n2";
  expect_error(chunked + ";" + std::string(100'000, 'x'), 431);
  expect_error(chunked + "\r\n{}\r\n0\r\n" + repeat("a: b\r\n", 20'000), 431);
}

TEST_F(BadInput, PathsAndMethodsAreChecked) {
  expect_error(get("/nothing"), 404);
  expect_error(get("/../etc/passwd"), 404);
  expect_error(get("/v1/chat/completions"), 405);
  expect_error(post("/v1/models", ""), 405);
  expect_error(post("/nothing", ""), 404);
  expect_error(get("/v1/models/none"), 404);
}

TEST_F(BadInput, ASlowClientGets408) {
  TestClient client(server->port());
  client.send("POST /tokenize HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\n{");
  EXPECT_EQ(client.receive().status, 408);
  TestClient dripping(server->port());
  for (int i = 0; i < 100 && dripping.send("G"); ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  EXPECT_EQ(dripping.receive().status, 408);
}

TEST_F(BadInput, AnIdleConnectionIsClosed) {
  TestClient client(server->port());
  EXPECT_TRUE(client.is_closed());
}

TEST_F(BadInput, BodiesThatAreNotAJsonObjectGet400) {
  for (const std::string& body :
       {std::string(), std::string("{"), std::string("[]"), std::string("null"), std::string("\"x\""),
        std::string("{\"messages\":NaN}"), std::string("{\"temperature\":Infinity}"), std::string("{} {}"),
        std::string("{\"a\":\"\xff\xfe\"}"), std::string("{\"a\":\"\xed\xa0\x80\"}"), std::string("\0", 1),
        repeat("[", 10'000), repeat("{\"a\":", 10'000),
        "{\"messages\":" + repeat("[", 10'000) + repeat("]", 10'000) + "}"}) {
    for (const char* path : {"/v1/chat/completions", "/v1/completions", "/tokenize", "/detokenize"}) {
      expect_error(post(path, body), 400);
    }
  }
}

TEST_F(BadInput, WrongTypesAndRangesGet400WithTheFieldsName) {
  const std::vector<std::pair<const char*, const char*>> fields = {
      {"temperature", "\"hot\""},
      {"temperature", "-1"},
      {"temperature", "2.1"},
      {"temperature", "1e400"},
      {"temperature", "[]"},
      {"top_p", "1.5"},
      {"top_p", "-0.1"},
      {"top_k", "1.5"},
      {"top_k", "-2"},
      {"top_k", "1e300"},
      {"min_p", "2"},
      {"max_tokens", "0"},
      {"max_tokens", "-5"},
      {"max_tokens", "1e18"},
      {"max_tokens", "99999999999999999999"},
      {"max_tokens", "\"10\""},
      {"max_completion_tokens", "0.5"},
      {"n", "0"},
      {"n", "100000"},
      {"n", "true"},
      {"seed", "\"x\""},
      {"seed", "1.5"},
      {"stream", "1"},
      {"stream", "\"true\""},
      {"stop", "5"},
      {"stop", "[1]"},
      {"stop", "\"\""},
      {"presence_penalty", "3"},
      {"frequency_penalty", "-3"},
      {"repetition_penalty", "0"},
      {"logprobs", "1"},
      {"top_logprobs", "3"},
      {"stream_options", "[]"},
      {"logit_bias", "[]"},
      {"logit_bias", "{\"x\":1}"},
      {"logit_bias", "{\"99999999\":1}"},
      {"tools", "{}"},
      {"tool_choice", "\"required\""},
      {"tool_choice", "\"foo\""},
      {"tool_choice", "1"},
      {"tool_choice", "{\"function\":{\"name\":\"f\"}}"},
      {"parallel_tool_calls", "0"},
      {"chat_template_kwargs", "1"},
      {"chat_template_kwargs", "{\"messages\":[]}"},
      {"timeout", "-1"},
      {"ignore_eos", "0"},
      {"reasoning_budget", "-1"},
      {"response_format", "\"json\""},
      {"model", "5"}};
  for (const auto& [name, value] : fields) {
    expect_chat_error("\"" + std::string(name) + "\":" + value, 400, name);
  }
  expect_chat_error(R"("stream_options":{"include_usage":1})", 400, "stream_options.include_usage");
  expect_chat_error(R"("logit_bias":{"5":101})", 400, "logit_bias.5");
  expect_chat_error(R"("response_format":{"type":"xml"})", 400, "response_format.type");
  expect_chat_error(R"("tools":[{"type":"function"}])", 400, "tools[0].function");
  for (const std::string& name : {std::string(), std::string("a b"), std::string("</tool_call>"),
                                  std::string("a\\n"), std::string("\xC3\xA9"), std::string(129, 'a')}) {
    expect_chat_error(R"("tools":[{"function":{"name":")" + name + "\"}}]", 400, "tools[0].function.name");
  }
  expect_chat_error(R"("tools":[{"function":{"name":"mcp.a-b_2"}}],"tool_choice":"foo")", 400, "tool_choice");
  expect_chat_error(R"("tools":[{"function":{"name":"f"}}],"tool_choice":{"function":{"name":"g"}})", 400,
                    "tool_choice");
}

TEST_F(BadInput, MessagesAreChecked) {
  const std::vector<std::pair<const char*, const char*>> bodies = {
      {"{}", "messages"},
      {R"({"messages":[]})", "messages"},
      {R"({"messages":{}})", "messages"},
      {R"({"messages":[1]})", "messages[0]"},
      {R"({"messages":[{}]})", "messages[0].role"},
      {R"({"messages":[{"role":"king","content":"x"}]})", "messages[0].role"},
      {R"({"messages":[{"role":"user"}]})", "messages[0].content"},
      {R"({"messages":[{"role":"user","content":5}]})", "messages[0].content"},
      {R"({"messages":[{"role":"user","content":[{"type":"image_url"}]}]})", "messages[0].content[0].type"},
      {R"({"messages":[{"role":"user","content":[{"type":"text"}]}]})", "messages[0].content[0].text"},
      {R"({"messages":[{"role":"assistant","tool_calls":[{}]}]})", "messages[0].tool_calls[0].function"}};
  for (const auto& [body, param] : bodies) expect_error(post("/v1/chat/completions", body), 400, param);
}

TEST_F(BadInput, UnknownModelsGet404) {
  expect_chat_error(R"("model":"gpt-5")", 404, "model");
  expect_error(post("/tokenize", R"({"model":"x","text":"y"})"), 404, "model");
}

TEST_F(BadInput, PromptsLongerThanTheContextGet400) {
  const std::string text = repeat("seven words that are hardly a story ", 2000);
  expect_error(post("/v1/chat/completions", R"({"messages":[{"role":"user","content":")" + text + "\"}]}"),
               400, "messages");
  expect_error(post("/v1/completions", R"({"prompt":")" + text + "\"}"), 400, "prompt");
}

TEST_F(BadInput, TextPromptsAreChecked) {
  for (const char* prompt :
       {"null", "5", "{}", "[]", "[[]]", "\"\"", "[-1]", "[99999999]", "[1.5]", "[\"a\",1]", "[1,\"a\"]"}) {
    expect_error(post("/v1/completions", std::string("{\"prompt\":") + prompt + "}"), 400, "prompt");
  }
}

TEST_F(BadInput, ManyStopStringsGet400) {
  std::string stops = "\"a\"";
  for (int i = 1; i < 100'000; ++i) stops += ",\"b\"";
  expect_chat_error("\"stop\":[" + stops + "]", 400, "stop");
  expect_chat_error("\"stop\":\"" + std::string(100'000, 'x') + "\"", 400, "stop");
}

TEST_F(BadInput, IdsAreChecked) {
  for (const char* ids : {"5", "[\"a\"]", "[-1]", "[1e30]", "[999999]", "{}"}) {
    expect_error(post("/detokenize", std::string("{\"ids\":") + ids + "}"), 400, "ids");
  }
  expect_error(post("/tokenize", R"({"text":5})"), 400, "text");
}

TEST_F(BadInput, AbruptDisconnectsAtEachStageLeaveNothingBehind) {
  const std::string request = long_request(true);
  for (const std::size_t size :
       {std::size_t{1}, request.find("\r\n"), request.find("\r\n\r\n") + 10, request.size()}) {
    TestClient client(server->port());
    client.send(std::string_view(request).substr(0, size));
  }
  EXPECT_TRUE(server->wait_for_load(0, 0));
}

}  // namespace
}  // namespace touchstone::serve
