// The server as clients see it.
#include "serve/server.h"

#include <gtest/gtest.h>

#include <cmath>
#include <ctime>
#include <fstream>

#include "base/error.h"
#include "base/sha256.h"
#include "running_server.h"
#include "support/golden.h"

namespace touchstone::serve {
namespace {

/// A file's whole contents, or one line's number in /proc/self/status.
double process_status(const std::string& name) {
  std::ifstream file("/proc/self/status");
  std::string line;
  while (std::getline(file, line)) {
    if (line.starts_with(name + ":")) return std::stod(line.substr(name.size() + 1));
  }
  return -1;
}

TEST(Server, AnswersAChat) {
  const RunningServer server;
  const TestResponse response = server.ask(chat(R"(,"temperature":0,"seed":7)"));
  ASSERT_EQ(response.status, 200) << response.body;
  const boost::json::value answer = response.json();
  EXPECT_EQ(answer.at("object"), "chat.completion");
  EXPECT_EQ(answer.at("model"), "demo:distilled");
  EXPECT_EQ(answer.at("seed"), 7);
  const auto& choice = answer.at("choices").at(0);
  EXPECT_EQ(choice.at("finish_reason"), "stop");
  EXPECT_NE(choice.at("message").at("content").as_string().find("12"), std::string::npos);
  EXPECT_FALSE(choice.at("message").at("reasoning_content").as_string().empty());
  const auto& usage = answer.at("usage");
  EXPECT_GT(usage.at("prompt_tokens").as_int64(), 0);
  EXPECT_EQ(usage.at("total_tokens").as_int64(),
            usage.at("prompt_tokens").as_int64() + usage.at("completion_tokens").as_int64());
  EXPECT_GT(usage.at("completion_tokens_details").at("reasoning_tokens").as_int64(), 0);
}

TEST(Server, AStreamIsTheWholeAnswerInPieces) {
  const RunningServer server;
  for (const std::string members :
       {R"(,"seed":3,"temperature":1)", R"(,"seed":4,"stop":["e"])", R"(,"seed":5,"max_tokens":9)"}) {
    server.ask(chat(members));  // from now on the prompt's cached tokens are the same
    const boost::json::value whole = server.ask(chat(members)).json();
    const auto& message = whole.at("choices").at(0).at("message").as_object();
    const auto* reasoning = message.if_contains("reasoning_content");
    const std::string expected = std::string(message.at("content").as_string()) + "|" +
                                 (reasoning == nullptr ? "" : std::string(reasoning->as_string()));
    const TestResponse stream =
        server.ask(chat(members + R"(,"stream":true,"stream_options":{"include_usage":true})"));
    EXPECT_TRUE(stream.header("content-type").starts_with("text/event-stream"));
    EXPECT_EQ(join_stream(stream.body), expected);
    EXPECT_NE(stream.body.find("\"usage\":" + boost::json::serialize(whole.at("usage"))), std::string::npos);
  }
}

TEST(Server, TextCompletionsTakeStringsAndIds) {
  const RunningServer server;
  const auto ids =
      server.ask(post("/tokenize", R"({"text":"Tom has 3 boxes","model":"demo:native"})")).json().at("ids");
  const std::string common = R"("model":"demo:native","temperature":0,"max_tokens":8,"prompt":)";
  const auto ask = [&](const std::string& prompt) {
    return server.ask(post("/v1/completions", "{" + common + prompt + "}")).json().at("choices");
  };
  const boost::json::value by_text = ask("\"Tom has 3 boxes\"");
  EXPECT_EQ(ask(boost::json::serialize(ids)), by_text);
  const boost::json::value both = ask("[\"x\",\"Tom has 3 boxes\"]");
  ASSERT_EQ(both.as_array().size(), 2U);
  EXPECT_EQ(both.at(1).at("text"), by_text.at(0).at("text"));
  const auto echoed = ask(R"("Tom has 3 boxes","echo":true)");
  EXPECT_EQ(echoed.at(0).at("text").as_string(),
            "Tom has 3 boxes" + std::string(by_text.at(0).at("text").as_string()));
  EXPECT_EQ(
      server
          .ask(post("/detokenize", "{\"model\":\"demo:native\",\"ids\":" + boost::json::serialize(ids) + "}"))
          .json()
          .at("text"),
      "Tom has 3 boxes");
}

TEST(Server, TokensComeWithTheirLogProbabilities) {
  const RunningServer server;
  const auto choice =
      server.ask(chat(R"(,"temperature":0,"logprobs":true,"top_logprobs":2)")).json().at("choices").at(0);
  const auto& tokens = choice.at("logprobs").at("content").as_array();
  ASSERT_FALSE(tokens.empty());
  for (const auto& token : tokens) {
    EXPECT_LE(token.at("logprob").to_number<double>(), 0);
    ASSERT_EQ(token.at("top_logprobs").as_array().size(), 2U);
    EXPECT_EQ(token.at("top_logprobs").at(0).at("token"), token.at("token")) << "greedy takes the likeliest";
  }
}

TEST(Server, FieldsThatItDoesNotKnowAreNamedInAHeader) {
  const RunningServer server;
  const TestResponse response =
      server.ask(chat(R"(,"max_tokens":2,"user":"me","strange\n":1,"stream_options":{"other":1})"));
  EXPECT_EQ(response.status, 200);
  EXPECT_EQ(response.header("x-touchstone-ignored"), "stream_options.other, user, strange?");
  EXPECT_EQ(server.ask(chat(R"(,"max_tokens":2)")).header("x-touchstone-ignored"), "");
}

TEST(Server, FieldsWithinOthersAreNamedByTheirFirstPlace) {
  const RunningServer server;
  const auto ignored = [&](const std::string& path, const std::string& body) {
    const TestResponse response = server.ask(post(path, body));
    EXPECT_EQ(response.status, 200) << path << response.body;
    return response.header("x-touchstone-ignored");
  };
  EXPECT_EQ(
      ignored(
          "/v1/chat/completions",
          R"({"max_tokens":2,"messages":[{"role":"user","content":"a","name":"me","audio":null},)"
          R"({"role":"user","content":[{"type":"text","text":"b","cache_control":1}],"strange":1},)"
          R"({"role":"assistant","content":null,"tool_calls":[{"id":"1","type":"function","odd":1,)"
          R"("function":{"name":"f","arguments":"{}","more":2}}]},)"
          R"({"role":"user","content":"c","strange":2}],)"
          R"("tools":[{"type":"function","x":1,"function":{"name":"f","y":2}}],"tool_choice":"none",)"
          R"("response_format":{"type":"json_schema","z":1,"json_schema":{"name":"a","w":1,"schema":{"type":"object"}}}})"),
      "response_format.json_schema.w, response_format.z, messages[1].content[0].cache_control, "
      "messages[1].strange, messages[2].tool_calls[0].odd, messages[2].tool_calls[0].function.more, "
      "tools[0].x, tools[0].function.y");
  EXPECT_EQ(
      ignored("/v1/responses",
              R"({"input":[{"role":"user","content":"a","b":1}],"max_output_tokens":2,)"
              R"("text":{"format":{"type":"json_schema","name":"a","c":1,"schema":{"type":"object"}}}})"),
      "input[0].b, text.format.c");
  const std::string message = R"("messages":[{"role":"user","content":[{"type":"text","text":"a","d":1}]}])";
  EXPECT_EQ(ignored("/v1/messages", "{\"max_tokens\":2," + message + "}"), "messages[0].content[0].d");
  EXPECT_EQ(ignored("/v1/messages/count_tokens", "{" + message + "}"), "messages[0].content[0].d");
  EXPECT_EQ(ignored("/tokenize", R"({"text":"a","e":1})"), "e");
  EXPECT_EQ(ignored("/detokenize", R"({"ids":[1],"f":1})"), "f");
  EXPECT_EQ(ignored("/api/show", R"({"verbose":true})"), "verbose");

  std::string many = R"("max_tokens":2)";
  for (int i = 0; i < 100'000; ++i) many += ",\"field" + std::to_string(i) + "\":1";
  const std::string some = ignored("/v1/chat/completions", "{" + kQuestion + "," + many + "}");
  EXPECT_LT(some.size(), 4000U);
  EXPECT_TRUE(some.ends_with(", ...")) << some;
}

TEST(Server, ATargetMayNameItsHost) {
  const RunningServer server;
  const auto status = [&](const std::string& target, const std::string& host) {
    return server.ask("GET " + target + " HTTP/1.1\r\nHost: " + host + "\r\n\r\n").status;
  };
  EXPECT_EQ(status("http://127.0.0.1:7860/health", "localhost"), 200);
  EXPECT_EQ(status("HTTP://localhost/health?x=1", "localhost"), 200);
  EXPECT_EQ(status("http://localhost", "localhost"), 200) << "the page";
  EXPECT_EQ(status("http://localhost/nothing", "localhost"), 404);
  EXPECT_EQ(status("http://evil.example/v1/models", "localhost"), 403) << "its host counts, not the header's";
}

TEST(Server, AnAnswersLimitMustFitBehindItsPrompt) {
  const RunningServer server;
  const std::int64_t context =
      server.ask(get("/v1/models")).json().at("data").at(0).at("max_model_len").as_int64();
  const auto expect_refusal = [&](const std::string& path, const std::string& body,
                                  const std::string& field) {
    const TestResponse response = server.ask(post(path, body));
    ASSERT_EQ(response.status, 400) << path << response.body;
    const auto error = response.json().at("error");
    EXPECT_EQ(error.at("param"), boost::json::value(field));
    EXPECT_EQ(error.at("code"), "context_length_exceeded");
    EXPECT_NE(error.at("message").as_string().find(std::to_string(context)), std::string::npos) << error;
  };
  const std::string all = std::to_string(context);
  expect_refusal("/v1/chat/completions", "{" + kQuestion + ",\"max_tokens\":" + all + "}", "max_tokens");
  expect_refusal("/v1/chat/completions", "{" + kQuestion + ",\"max_completion_tokens\":" + all + "}",
                 "max_completion_tokens");
  expect_refusal("/v1/completions", R"({"prompt":"Tom","max_tokens":)" + all + "}", "max_tokens");
  expect_refusal("/v1/responses", R"({"input":"Tom","max_output_tokens":)" + all + "}", "max_output_tokens");
  const std::int64_t prompt =
      server.ask(post("/tokenize", R"({"text":"Tom"})")).json().at("count").as_int64();
  const std::string fits = std::to_string(context - prompt);
  EXPECT_EQ(server.ask(post("/v1/completions", R"({"prompt":"Tom","max_tokens":)" + fits + "}")).status, 200);
  const TestResponse message =
      server.ask(post("/v1/messages", "{" + kQuestion + ",\"max_tokens\":" + all + "}"));
  EXPECT_EQ(message.status, 200);
  const auto usage = message.json().at("usage");
  const std::int64_t room = context - usage.at("input_tokens").to_number<std::int64_t>() -
                            usage.at("cache_read_input_tokens").to_number<std::int64_t>();
  EXPECT_EQ(message.header("x-touchstone-max-tokens"), std::to_string(room));
  const auto ollama = [&](const std::string& body) {
    const TestResponse response = server.ask(post("/api/generate", body));
    EXPECT_EQ(response.status, 200) << response.body;
    return response.header("x-touchstone-max-tokens");
  };
  const std::string raw = R"({"prompt":"Tom","raw":true)";
  EXPECT_EQ(ollama(raw + ",\"options\":{\"num_predict\":" + all + "}}"), fits);
  EXPECT_EQ(ollama(raw + ",\"options\":{\"num_predict\":" + fits + "}}"), "");
  EXPECT_EQ(ollama(raw + "}"), "");
}

TEST(Server, ASaneRequestIdComesBack) {
  const RunningServer server;
  EXPECT_EQ(server.ask(get("/health", "x-request-id: my-id_1.2\r\n")).header("x-request-id"), "my-id_1.2");
  for (const std::string& id : {std::string("two words"), std::string(200, 'x'), std::string("<script>")}) {
    const std::string given =
        server.ask(get("/health", "x-request-id: " + id + "\r\n")).header("x-request-id");
    EXPECT_NE(given, id);
    EXPECT_TRUE(given.starts_with("req-"));
  }
}

TEST(Server, OneConnectionTakesManyRequestsEvenAtOnce) {
  const RunningServer server;
  TestClient client(server.port());
  client.send(get("/health") + chat(R"(,"max_tokens":3,"stream":true)") + get("/v1/models") +
              get("/ready", "Connection: close\r\n"));
  EXPECT_EQ(client.receive().status, 200);
  join_stream(client.receive().body);
  const TestResponse models = client.receive();
  EXPECT_EQ(models.json().at("data").at(0).at("id"), "demo:distilled");
  EXPECT_EQ(models.json().at("data").at(1).at("id"), "demo:native");
  EXPECT_EQ(client.receive().header("connection"), "close");
  EXPECT_TRUE(client.is_closed());
}

TEST(Server, HttpsOlderAndOddFormsAreUnderstood) {
  const RunningServer server;
  EXPECT_EQ(server.ask("GET /health HTTP/1.0\r\nHost: localhost\r\n\r\n").header("connection"), "close");
  const TestResponse head =
      server.ask("HEAD /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
  EXPECT_EQ(head.status, 200);
  EXPECT_EQ(server
                .ask("POST /tokenize HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
                     "4\r\n{\"te\r\n9\r\nxt\":\"a b\"\r\n1\r\n}\r\n0\r\n\r\n")
                .status,
            200);
  TestClient client(server.port());
  client.send(
      "POST /tokenize HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 12\r\n\r\n");
  EXPECT_EQ(client.receive().status, 100);
  client.send("{\"text\":\"a\"}");
  EXPECT_EQ(client.receive().status, 200);
  client.send("\r\n" + get("/health"));  // an empty line, as some send behind a body
  EXPECT_EQ(client.receive().status, 200);
  client.send(get("/health"));
  client.shut_down_sending();  // a client that says no more still wants its answer
  EXPECT_EQ(client.receive().status, 200);
}

TEST(Server, AStreamToAnOlderClientEndsWithItsConnectionAndHasNothingBehindIt) {
  const RunningServer server;
  std::string request = chat(R"(,"max_tokens":3,"stream":true)");
  request.replace(request.find("HTTP/1.1"), 8, "HTTP/1.0");
  const TestResponse response = server.ask(request);
  EXPECT_EQ(response.status, 200);
  EXPECT_EQ(response.header("transfer-encoding"), "");
  EXPECT_TRUE(response.body.starts_with("data: ")) << response.body;
  EXPECT_TRUE(response.body.ends_with("data: [DONE]\n\n")) << response.body;
}

TEST(Server, AClientThatLeavesFreesItsPlaceWhereverItsRequestIs) {
  ServerOptions options = test_options();
  options.runner.engine.max_batch = 1;
  const RunningServer server(options);
  for (const bool stream : {true, false}) {
    TestClient running(server.port());
    running.send(long_request(stream));
    ASSERT_TRUE(server.wait_for_load(1, 0));
    TestClient waiting(server.port());
    waiting.send(long_request(stream));
    ASSERT_TRUE(server.wait_for_load(1, 1));
    waiting.leave();
    ASSERT_TRUE(server.wait_for_load(1, 0));
    if (stream) {
      ASSERT_TRUE(running.wait_for("data: "));
    }
    running.leave();
    ASSERT_TRUE(server.wait_for_load(0, 0));
    EXPECT_EQ(server.metric("touchstone_kv_blocks_used{model=\"demo:distilled\"}"), 0);
  }
}

TEST(Server, AClientThatClosesItsSideIsNotToldThatTheServerEnds) {
  const RunningServer server;
  TestClient client(server.port());
  client.send(long_request(false));
  client.shut_down_sending();
  const TestResponse response = client.receive();
  EXPECT_EQ(response.status, 499);
  EXPECT_EQ(response.json().at("error").at("code"), "client_closed");
  EXPECT_TRUE(server.wait_for_load(0, 0));
  EXPECT_EQ(server.metric("touchstone_http_responses_total{path=\"/v1/chat/completions\",status=\"503\"}"),
            -1);
}

TEST(Server, AVeryLongBodyDoesNotHoldUpAShortOne) {
  const RunningServer server;
  std::string text;  // of words that are all different
  for (std::uint64_t word = 1; text.size() < 4'000'000; ++word) {
    text += std::to_string(word * 0x9E3779B97F4A7C15U) + " ";
  }
  const std::string body = R"({"messages":[{"role":"user","content":")" + text + R"("}]})";
  TestClient first(server.port()), second(server.port());
  for (TestClient* client : {&first, &second})
    ASSERT_TRUE(client->send(post("/v1/messages/count_tokens", body)));
  ASSERT_EQ(first.receive().status, 200);
  // From now on the second one is read.
  auto answer = std::async(std::launch::async, [&] { return second.receive(); });
  EXPECT_EQ(server.ask(chat(R"(,"max_tokens":1)")).status, 200);
  EXPECT_EQ(answer.wait_for(std::chrono::seconds(0)), std::future_status::timeout);
  EXPECT_EQ(answer.get().status, 200);
}

TEST(Server, AModelsNameMayStandInAPathWithEscapes) {
  const RunningServer server;
  for (const char* name : {"demo:native", "demo%3Anative", "d%65mo%3anative"}) {
    EXPECT_EQ(server.ask(get(std::string("/v1/models/") + name)).json().at("id"), "demo:native") << name;
  }
  for (const char* name : {"demo%3native", "demo%", "demo%3", "demo%3gnative", "%ff%00"}) {
    const TestResponse response = server.ask(get(std::string("/v1/models/") + name));
    EXPECT_EQ(response.status, 404) << name;
    EXPECT_EQ(response.json().at("error").at("code"), "model_not_found") << name;
  }
}

TEST(Server, APathThatNamesNoModelIsNotTheFirstModel) {
  const RunningServer server;
  const TestResponse response = server.ask(get("/v1/models/"));
  EXPECT_EQ(response.status, 404);
  EXPECT_EQ(response.json().at("error").at("code"), "not_found");
}

TEST(Server, APackedBodyIsRefusedByName) {
  const RunningServer server;
  const auto ask = [&](const std::string& path, const std::string& coding) {
    return server.ask("POST " + path + " HTTP/1.1\r\nHost: localhost\r\nContent-Encoding: " + coding +
                      "\r\nContent-Length: 12\r\n\r\n{\"text\":\"a\"}");
  };
  for (const char* coding : {"gzip", "GZIP", "deflate, gzip", "br"}) {
    const TestResponse response = ask("/tokenize", coding);
    EXPECT_EQ(response.status, 415) << coding;
    EXPECT_EQ(response.header("accept-encoding"), "identity") << coding;
    EXPECT_EQ(response.json().at("error").at("code"), "unsupported_encoding") << coding;
  }
  EXPECT_EQ(ask("/v1/messages", "gzip").json().at("type"), "error");
  EXPECT_EQ(ask("/tokenize", "identity").status, 200);
  EXPECT_EQ(ask("/tokenize", "UTF-8").status, 200);
  EXPECT_EQ(ask("/tokenize", "").status, 200);
}

TEST(Server, EveryResponseSaysWhenItWasMade) {
  const RunningServer server;
  for (const std::string& request : {get("/health"), get("/nosuch"), chat(R"(,"max_tokens":1,"stream":true)"),
                                     std::string("GET / HTTP/9\r\n\r\n")}) {
    const std::string date = server.ask(request).header("date");
    std::tm time{};
    const char* end = strptime(date.c_str(), "%a, %d %b %Y %H:%M:%S GMT", &time);
    ASSERT_TRUE(end != nullptr && *end == '\0') << date;
    EXPECT_LE(std::abs(std::difftime(timegm(&time), std::time(nullptr))), 60) << date;
  }
}

TEST(Server, ABodyMayBeginWithAByteOrderMark) {
  const RunningServer server;
  EXPECT_EQ(server
                .ask("POST /tokenize HTTP/1.1\r\nHost: localhost\r\nContent-Length: 15\r\n\r\n"
                     "\xEF\xBB\xBF{\"text\":\"a\"}")
                .status,
            200);
}

TEST(Server, UnloadsAreCountedFromZero) {
  const RunningServer server;
  const std::string metrics = server.ask(get("/metrics")).body;
  EXPECT_NE(metrics.find("touchstone_model_unloads_total{model=\"demo:native\"} 0\n"), std::string::npos);
}

TEST(Server, AFullQueueSaysWhenToComeBack) {
  ServerOptions options = test_options();
  options.runner.engine.max_batch = 1;
  options.runner.max_queue = 1;
  const RunningServer server(options);
  TestClient running(server.port());
  running.send(long_request(true));
  ASSERT_TRUE(server.wait_for_load(1, 0));
  TestClient waiting(server.port());
  waiting.send(long_request(true));
  ASSERT_TRUE(server.wait_for_load(1, 1));
  const TestResponse refused = server.ask(chat(""));
  EXPECT_EQ(refused.status, 429);
  EXPECT_GE(std::stoi(refused.header("retry-after")), 1);
  EXPECT_EQ(refused.json().at("error").at("code"), "queue_full");
  EXPECT_EQ(server.metric("touchstone_rejections_total{cause=\"queue_full\"}"), 1);
  running.leave();
  waiting.leave();
  ASSERT_TRUE(server.wait_for_load(0, 0));
  EXPECT_EQ(server.ask(chat(R"(,"max_tokens":2)")).status, 200);
}

TEST(Server, ARequestsTimeIsKept) {
  ServerOptions options = test_options();
  options.runner.engine.max_batch = 1;
  const RunningServer server(options);
  const TestResponse late = server.ask(chat(R"(,"n":128,"ignore_eos":true,"timeout":2)"));
  ASSERT_EQ(late.status, 200);
  EXPECT_EQ(late.json().at("choices").at(127).at("finish_reason"), "deadline");
  TestClient running(server.port());
  running.send(long_request(true));
  ASSERT_TRUE(running.wait_for("data: "));
  // In the body, in a header, and in both: the shorter one counts.
  for (const auto& [field, header] :
       {std::pair("", "0.05"), {R"(,"timeout":60)", "0.05"}, {R"(,"timeout":0.05)", "60"}}) {
    const TestResponse never = server.ask(post("/v1/chat/completions", "{" + kQuestion + field + "}",
                                               std::string("X-Request-Timeout: ") + header + "\r\n"));
    EXPECT_EQ(never.status, 504) << field << header;
  }
}

TEST(Server, AnAnswerWhoseTimeIsOverKeepsWhatWaitedForAStopString) {
  const RunningServer server;
  std::string stops;
  for (const char c : std::string_view(".?! 0123456789abcdehnorst:=,-`"))
    stops += (stops.empty() ? "\"" : ",\"") + std::string(1, c) + "\\u0001\"";
  const boost::json::value answer =
      server.ask(chat(R"(,"n":64,"ignore_eos":true,"receipt":true,"timeout":2,"stop":[)" + stops + "]"))
          .json();
  const auto text_of = [](const boost::json::value& message, const char* name) {
    const auto* text = message.as_object().if_contains(name);
    return text == nullptr ? std::string() : boost::json::value_to<std::string>(*text);
  };
  for (std::size_t i = 0; i < 64; ++i) {
    const boost::json::value& message = answer.at("choices").at(i).at("message");
    const boost::json::value& output = answer.at("receipt").at("outputs").at(i);
    EXPECT_EQ(output.at("text_sha256").as_string(), hash_text(text_of(message, "content"))) << message;
    EXPECT_EQ(output.at("reasoning_sha256").as_string(), hash_text(text_of(message, "reasoning_content")))
        << message;
  }
  EXPECT_EQ(answer.at("choices").at(63).at("finish_reason"), "deadline");
}

TEST(Server, AClientThatDoesNotReadIsCutOff) {
  ServerOptions options = test_options();
  options.limits.unread_bytes = 64 * 1024;
  const RunningServer server(options);
  TestClient client(server.port(), 4096);
  client.send(long_request(true));
  for (int i = 0;
       i < 6000 &&
       server.metric("touchstone_finished_total{model=\"demo:distilled\",reason=\"cancelled\"}") < 1;
       ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  EXPECT_TRUE(server.wait_for_load(0, 0));
  EXPECT_GT(server.metric("touchstone_finished_total{model=\"demo:distilled\",reason=\"cancelled\"}"), 0);
}

TEST(Server, DrainingLetsAnswersFinish) {
  ServerOptions options = test_options();
  options.drain_seconds = 600;
  RunningServer server(options);
  TestClient client(server.port());
  client.send(chat(R"(,"n":8,"ignore_eos":true,"stream":true,"max_tokens":1500)"));
  ASSERT_TRUE(client.wait_for("data: "));
  server->drain();
  join_stream(client.receive().body);
  server.stop();
}

TEST(Server, DrainingBeginsNothingNewAndSaysSoToWhoeverAsks) {
  ServerOptions options = test_options();
  options.drain_seconds = 600;
  RunningServer server(options);
  TestClient busy(server.port());
  TestClient open(server.port());
  open.send(get("/ready"));
  EXPECT_EQ(open.receive().status, 200);
  busy.send(long_request(true));
  ASSERT_TRUE(busy.wait_for("data: "));
  server->drain();
  while (server.ask(get("/ready")).status == 200) std::this_thread::sleep_for(std::chrono::milliseconds(1));

  const TestResponse ready = server.ask(get("/ready"));
  EXPECT_EQ(ready.status, 503);
  EXPECT_EQ(ready.json().at("status"), "draining");
  EXPECT_EQ(server.ask(get("/health")).status, 200);
  EXPECT_EQ(server.metric("touchstone_requests_running{model=\"demo:distilled\"}"), 1);
  EXPECT_EQ(server.ask(get("/v1/models")).status, 200);
  EXPECT_EQ(server.ask(post("/v1/messages", "{}")).json().at("type"), "error");
  EXPECT_TRUE(server.ask(post("/api/chat", "{}")).json().at("error").is_string());
  open.send(chat(""));
  const TestResponse refused = open.receive();
  EXPECT_EQ(refused.status, 503);
  EXPECT_EQ(refused.json().at("error").at("code"), "shutting_down");
  EXPECT_GE(std::stoi(refused.header("retry-after")), 1);
  EXPECT_EQ(refused.header("connection"), "close");
  EXPECT_TRUE(open.is_closed());
  busy.leave();
  server.stop();
}

TEST(Server, WhatIsOpenButAsksNothingDoesNotHoldUpTheEnd) {
  ServerOptions options = test_options();
  options.drain_seconds = 86400;
  RunningServer server(options);
  TestClient idle(server.port()), slow(server.port()), mute(server.port());
  idle.send(get("/health"));
  EXPECT_EQ(idle.receive().status, 200);
  slow.send("POST /v1/chat/completions HTTP/1.1\r\nContent-Le");
  server.stop();
  EXPECT_TRUE(idle.is_closed());
  EXPECT_TRUE(slow.is_closed());
  EXPECT_TRUE(mute.is_closed());
}

TEST(Server, DrainingCutsOffWhatTakesTooLong) {
  ServerOptions options = test_options();
  options.drain_seconds = 0.1;
  RunningServer server(options);
  TestClient streamed(server.port()), whole(server.port());
  streamed.send(long_request(true));
  whole.send(long_request(false));
  ASSERT_TRUE(streamed.wait_for("data: "));
  ASSERT_TRUE(server.wait_for_load(1, 1));
  server.stop();
  EXPECT_NE(streamed.receive().body.find("shutting_down"), std::string::npos);
  EXPECT_EQ(whole.receive().status, 503);
}

TEST(Server, AThousandIdleConnectionsCostNoThreadsAndLittleMemory) {
  const RunningServer server;
  EXPECT_EQ(server.ask(get("/health")).status, 200);
  const double threads = process_status("Threads");
  const double before_kb = process_status("VmRSS");
  std::vector<TestClient> clients;
  for (int i = 0; i < 1000; ++i) {
    clients.emplace_back(server.port());
    ASSERT_TRUE(clients.back().send(i % 2 == 0 ? "GET /health HTT" : get("/health")));
  }
  for (int i = 1; i < 1000; i += 2) ASSERT_EQ(clients[static_cast<std::size_t>(i)].receive().status, 200);
  EXPECT_EQ(process_status("Threads"), threads);
  const double grown_mb = (process_status("VmRSS") - before_kb) / 1024;
  RecordProperty("grown_mb", std::to_string(grown_mb));
#ifndef __SANITIZE_THREAD__  // its own records of each connection are larger
  EXPECT_LT(grown_mb, 50);
#endif
  EXPECT_EQ(server.ask(chat(R"(,"max_tokens":2)")).status, 200);
}

TEST(Server, KeysAreAskedForAndReadAgain) {
  const touchstone::testing::TemporaryFolder folder;
  ServerOptions options = test_options();
  options.api_key_file = folder.path() / "keys";
  std::ofstream(options.api_key_file) << "first\n";
  RunningServer server(options);
  const auto status = [&](const std::string& key) {
    return server.ask(get("/v1/models", "Authorization: Bearer " + key + "\r\n")).status;
  };
  EXPECT_EQ(status("first"), 200);
  EXPECT_EQ(status("second"), 401);
  EXPECT_EQ(server.ask(get("/metrics")).status, 401);
  EXPECT_EQ(server.ask(get("/health")).status, 200);
  std::ofstream(options.api_key_file) << "second\n";
  server->reload_keys();
  EXPECT_EQ(status("first"), 401);
  EXPECT_EQ(status("second"), 200);
  std::ofstream(options.api_key_file) << "\n";
  server->reload_keys();
  EXPECT_EQ(status("second"), 200) << "a file without keys must not replace the old ones";
}

TEST(Server, AWebPageOfAnAllowedOriginMayAsk) {
  ServerOptions options = test_options();
  options.allowed_origins = {"https://good.example"};
  const RunningServer server(options);
  const TestResponse preflight = server.ask(
      "OPTIONS /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nOrigin: https://good.example\r\n"
      "Access-Control-Request-Method: POST\r\n"
      "Access-Control-Request-Headers: authorization,x-stainless-os\r\n\r\n");
  EXPECT_EQ(preflight.status, 204);
  EXPECT_EQ(preflight.header("access-control-allow-headers"), "authorization,x-stainless-os");
  EXPECT_EQ(preflight.header("access-control-allow-origin"), "https://good.example");
  EXPECT_EQ(server.ask(get("/v1/models", "Origin: https://evil.example\r\n")).status, 403);
}

TEST(Server, MetricsCountWhatHappened) {
  const RunningServer server;
  const auto usage = server.ask(chat(R"(,"temperature":0)")).json().at("usage");
  server.ask(chat(R"(,"temperature":"x")"));
  const std::string model = "{model=\"demo:distilled\"}";
  EXPECT_EQ(server.metric("touchstone_prompt_tokens_total" + model),
            usage.at("prompt_tokens").to_number<double>());
  EXPECT_EQ(server.metric("touchstone_generated_tokens_total" + model),
            usage.at("completion_tokens").to_number<double>());
  EXPECT_EQ(server.metric("touchstone_time_to_first_token_seconds_count" + model), 1);
  EXPECT_EQ(server.metric("touchstone_inter_token_latency_seconds_count" + model),
            usage.at("completion_tokens").to_number<double>() - 1);
  EXPECT_EQ(server.metric("touchstone_request_duration_seconds_count" + model), 1);
  EXPECT_EQ(server.metric("touchstone_rejections_total{cause=\"invalid_value\"}"), 1);
  EXPECT_EQ(server.metric("touchstone_http_responses_total{path=\"/v1/chat/completions\",status=\"400\"}"),
            1);
  EXPECT_GT(server.metric("touchstone_kv_blocks" + model), 0);
  EXPECT_EQ(server.metric("touchstone_model_info{architecture=\"qwen2\",model=\"demo:native\"}"), 1);
}

TEST(Server, TwoModelsOfOneNameAreRefused) {
  EXPECT_THROW(Server({load_demo("native"), load_demo("native")}, test_options()), Error);
}

TEST(Server, ATakenPortIsAnError) {
  ServerOptions options = test_options();
  const RunningServer first;
  options.port = first.port();
  EXPECT_THROW(Server({load_demo("native")}, options), Error);
}

}  // namespace
}  // namespace touchstone::serve
