// Thinking under control, over HTTP: loops are cut, and clients may want an answer now.
#include <gtest/gtest.h>

#include <fstream>

#include "running_server.h"
#include "support/golden.h"

namespace touchstone::serve {
namespace {

namespace json = boost::json;

/// Thinking that goes round in circles, for this model.
json::object make_looping_body() {
  const json::array messages = {
      {{"role", "user"}, {"content", "Tom has 3 boxes with 4 pens each. How many pens?"}},
      {{"role", "assistant"}, {"content", ""}, {"reasoning_content", "3"}}};
  return {{"model", "demo:native"}, {"messages", messages}, {"continue_final_message", true},
          {"temperature", 0},       {"max_tokens", 900},    {"ignore_eos", true}};
}

std::string join(const json::value& choice) {
  const json::object& message = choice.at("message").as_object();
  const auto* reasoning = message.if_contains("reasoning_content");
  return std::string(message.at("content").as_string()) + "|" +
         (reasoning == nullptr ? "" : std::string(reasoning->as_string()));
}

TEST(LoopsOverHttp, AreCutAndCountedAndAStreamNeverTakesBackWhatItSent) {
  const RunningServer server;
  json::object body = make_looping_body();
  body["loop_guard"] = false;
  const json::value looping = ask_chat(server, body).json().at("choices").at(0);
  EXPECT_EQ(looping.at("finish_reason"), "length");
  EXPECT_FALSE(looping.as_object().contains("touchstone"));
  const std::string counter = "touchstone_loops_total{model=\"demo:native\"}";
  EXPECT_EQ(server.metric(counter), 0);

  body.erase("loop_guard");
  const TestResponse response = ask_chat(server, body);
  const json::value guarded = response.json().at("choices").at(0);
  const std::int64_t loops = guarded.at("touchstone").at("loops").as_int64();
  EXPECT_GE(loops, 1);
  EXPECT_EQ(guarded.at("finish_reason"), "length");
  EXPECT_EQ(server.metric(counter), static_cast<double>(loops));
  EXPECT_NE(join(guarded), join(looping));

  body["stream"] = true;
  const TestResponse stream = ask_chat(server, body);
  EXPECT_EQ(join_stream(stream.body), join(guarded));
  EXPECT_NE(stream.body.find(R"("touchstone":{"loops":)"), std::string::npos);
}

TEST(LoopsOverHttp, AnAnswerBehindThinkingThatHadToBeClosedSaysSo) {
  const RunningServer server;
  json::object body = make_looping_body();
  body["response_format"] = {// it comes to its end by itself
                             {"type", "json_schema"},
                             {"json_schema", {{"schema", {{"const", "12 pens"}}}}}};
  const json::value closed = ask_chat(server, body).json().at("choices").at(0);
  ASSERT_TRUE(closed.as_object().contains("touchstone")) << closed;
  EXPECT_EQ(closed.at("touchstone").at("loops"), 2);
  EXPECT_EQ(closed.at("finish_reason"), "loop");
  EXPECT_EQ(server.metric(R"(touchstone_finished_total{model="demo:native",reason="loop"})"), 1);

  json::object receipt = body;
  receipt["receipt"] = true;
  EXPECT_EQ(ask_chat(server, receipt).json().at("receipt").at("outputs").at(0).at("finish_reason"), "loop");
}

TEST(LoopsOverHttp, TheGuardChangesNoAnswerWithoutThem) {
  const RunningServer server;
  json::object body = {
      {"messages", {{{"role", "user"}, {"content", "Tom has 3 boxes with 4 pens each. How many?"}}}},
      {"seed", 5}};
  const std::string with = join(ask_chat(server, body).json().at("choices").at(0));
  body["loop_guard"] = false;
  EXPECT_EQ(join(ask_chat(server, body).json().at("choices").at(0)), with);
}

/// The message of an answer, streamed or not; a stream's deltas put together.
json::object read_message(const TestResponse& response, bool streamed) {
  if (!streamed) return response.json().at("choices").at(0).at("message").as_object();
  json::object message;
  for (const json::value& chunk : stream_events(response.body)) {
    for (const auto& [name, value] : chunk.at("choices").at(0).at("delta").as_object()) {
      json::value& member = message[name];
      if (member.is_null()) member = "";
      member.as_string() += value.as_string();
    }
  }
  return message;
}

TEST(ReasoningForms, TheSameThinkingComesAsTheRequestOrTheKeyWantsIt) {
  const touchstone::testing::TemporaryFolder folder;
  std::ofstream(folder.path() / "keys")
      << "plain\ntagged reasoning=inline\nblocks reasoning=thinking_blocks\n";
  ServerOptions options = test_options();
  options.api_key_file = folder.path() / "keys";
  const RunningServer server(options);
  json::object body = {
      {"model", "demo:distilled"},
      {"messages", {{{"role", "user"}, {"content", "Tom has 3 boxes with 4 pens each. How many?"}}}},
      {"seed", 5}};
  const auto ask = [&](const std::string& key) {
    const bool streamed = body.contains("stream");
    return read_message(server.ask(post("/v1/chat/completions", json::serialize(body),
                                        "Authorization: Bearer " + key + "\r\n")),
                        streamed);
  };
  for (const bool streamed : {false, true}) {
    if (streamed) body["stream"] = true;
    body.erase("reasoning_format");
    const json::object usual = ask("plain");
    const std::string thinking(usual.at("reasoning_content").as_string());
    const std::string content(usual.at("content").as_string());
    ASSERT_FALSE(thinking.empty() || content.empty());
    const std::string tagged = "<think>\n" + thinking + "\n</think>\n\n" + content;
    EXPECT_EQ(ask("tagged"), (json::object{{"role", "assistant"}, {"content", tagged}}));
    body["reasoning_format"] = "reasoning";
    const json::object renamed = {{"role", "assistant"}, {"content", content}, {"reasoning", thinking}};
    EXPECT_EQ(ask("plain"), renamed);
    EXPECT_EQ(ask("tagged"), renamed);
    body["reasoning_format"] = "inline";
    EXPECT_EQ(ask("plain").at("content").as_string(), tagged);
  }
  body["reasoning_format"] = "reasoning_content";
  body.erase("stream");
  const std::string thinking(ask("blocks").at("reasoning_content").as_string());
  body.erase("reasoning_format");
  const json::array blocks = {{{"type", "thinking"}, {"thinking", thinking}, {"signature", ""}}};
  const json::object in_blocks = ask("blocks");
  EXPECT_EQ(in_blocks.at("thinking_blocks"), blocks);
  EXPECT_FALSE(in_blocks.contains("reasoning_content"));
  body["stream"] = true;
  std::string streamed;
  const TestResponse stream =
      server.ask(post("/v1/chat/completions", json::serialize(body), "Authorization: Bearer blocks\r\n"));
  for (const json::value& chunk : stream_events(stream.body)) {
    const json::object& delta = chunk.at("choices").at(0).at("delta").as_object();
    if (!delta.contains("thinking_blocks")) continue;
    ASSERT_EQ(delta.at("thinking_blocks").as_array().size(), 1U);
    streamed += delta.at("thinking_blocks").at(0).at("thinking").as_string();
  }
  EXPECT_EQ(streamed, thinking);
  body["reasoning_format"] = "loud";
  const TestResponse refused =
      server.ask(post("/v1/chat/completions", json::serialize(body), "Authorization: Bearer plain\r\n"));
  EXPECT_EQ(refused.status, 400);
  EXPECT_EQ(refused.json().at("error").at("param"), "reasoning_format");
}

TEST(IdlePrefill, ComputesAThinkersHistoryAsTheNextTurnWillHaveIt) {
  const RunningServer server;
  json::array messages = {
      {{"role", "user"}, {"content", "Tom has 3 boxes with 4 pens each. How many pens?"}}};
  const auto ask = [&] {
    return ask_chat(server, {{"model", "demo:distilled"}, {"messages", messages}, {"seed", 5}}).json();
  };
  const json::value first = ask();
  ASSERT_EQ(first.at("choices").at(0).at("finish_reason"), "stop");
  const json::object& answer = first.at("choices").at(0).at("message").as_object();
  ASSERT_TRUE(answer.contains("reasoning_content"));
  const std::string metric = "touchstone_idle_prefill_tokens_total{model=\"demo:distilled\"}";
  for (int i = 0; i < 3000 && server.metric(metric) < 1; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  EXPECT_GE(server.metric(metric), 1);

  messages.push_back({{"role", "assistant"}, {"content", answer.at("content")}});
  messages.push_back({{"role", "user"}, {"content", "And how many are 5 boxes?"}});
  const json::value second = ask();
  // What is left of the prompt is the new message, between the template's own tokens.
  const std::int64_t prompt = second.at("usage").at("prompt_tokens").as_int64();
  const std::int64_t cached = second.at("usage").at("prompt_tokens_details").at("cached_tokens").as_int64();
  const std::int64_t message =
      server.ask(post("/tokenize", R"({"text":"And how many are 5 boxes?"})")).json().at("count").as_int64();
  EXPECT_LE(prompt - cached, message + 8);

  // A server that could not do so has to compute the answer, too, and gives the same bytes.
  const RunningServer other;
  const json::value again =
      ask_chat(other, {{"model", "demo:distilled"}, {"messages", messages}, {"seed", 5}}).json();
  EXPECT_EQ(again.at("choices"), second.at("choices"));
  EXPECT_EQ(again.at("usage").at("prompt_tokens_details").at("cached_tokens"), 0);
}

TEST(AnswerNow, EndsTheThinkingOfAnAnswerUnderWayAndOfThisKeyOnly) {
  const touchstone::testing::TemporaryFolder folder;
  ServerOptions options = test_options();
  options.api_key_file = folder.path() / "keys";
  std::ofstream(options.api_key_file) << "mine\nother\n";
  const RunningServer server(options);
  const std::string mine = "Authorization: Bearer mine\r\n";
  const std::string other = "Authorization: Bearer other\r\n";
  const std::string path = "/v1/chat/completions/chatcmpl-think-1/answer_now";
  EXPECT_EQ(server.ask(post(path, "", mine)).status, 404);

  json::object body = make_looping_body();
  body["loop_guard"] = false;
  body["max_tokens"] = 900;
  body["n"] = 16;  // some of them wait
  body["stream"] = true;
  TestClient client(server.port());
  client.send(post("/v1/chat/completions", json::serialize(body), mine + "x-request-id: think-1\r\n"));
  ASSERT_TRUE(client.wait_for("reasoning_content"));
  EXPECT_EQ(server.ask(post(path, "", other)).status, 404);
  EXPECT_EQ(server.ask(post("/v1/chat/completions/chatcmpl-none/answer_now", "", mine)).status, 404);
  EXPECT_EQ(server.ask(get(path, mine)).status, 405);
  const TestResponse wish = server.ask(post(path, "", mine));
  EXPECT_EQ(wish.status, 200) << wish.body;

  const std::string stream = client.receive().body;
  std::vector<bool> answered(16);
  for (const json::value& chunk : stream_events(stream)) {
    for (const json::value& choice : chunk.at("choices").as_array()) {
      if (choice.at("delta").as_object().contains("content")) {
        answered[static_cast<std::size_t>(choice.at("index").as_int64())] = true;
      }
    }
  }
  EXPECT_EQ(std::count(answered.begin(), answered.end(), true), 16);
  EXPECT_EQ(server.ask(post(path, "", mine)).status, 404) << "it is over";
}

}  // namespace
}  // namespace touchstone::serve
