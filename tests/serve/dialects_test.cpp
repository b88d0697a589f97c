// The other APIs on the server's port: the same answers as a chat's, in their own forms.
#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "running_server.h"
#include "serve/dialect.h"
#include "support/golden.h"

namespace touchstone::serve {
namespace {

namespace json = boost::json;

const std::string kPens = "Tom has 3 boxes with 4 pens each. How many pens?";

/// An answer, whatever the API: its thinking and its text.
struct Said {
  std::string reasoning, text;
  bool operator==(const Said&) const = default;
};

std::string text_of(const json::value& value) { return std::string(value.as_string()); }

/// The data of a stream's events, each of which names its type twice.
std::vector<json::object> read_events(const std::string& body) {
  std::vector<json::object> events;
  for (std::size_t at = 0; at < body.size();) {
    const std::size_t end = body.find("\n\n", at);
    const std::string event = body.substr(at, end - at);
    at = end == std::string::npos ? body.size() : end + 2;
    const std::size_t data = event.find("\ndata: ");
    EXPECT_TRUE(event.starts_with("event: ") && data != std::string::npos) << event;
    if (data == std::string::npos) return events;
    events.push_back(json::parse(event.substr(data + 7)).as_object());
    EXPECT_EQ(text_of(events.back().at("type")), event.substr(7, data - 7));
  }
  return events;
}

Said chat_answer(const RunningServer& server, const std::string& content = kPens) {
  const auto answer = server.ask(
      post("/v1/chat/completions",
           json::serialize(json::object{
               {"temperature", 0}, {"messages", json::array{{{"role", "user"}, {"content", content}}}}})));
  const json::value body = answer.json();
  const json::object& message = body.at("choices").at(0).at("message").as_object();
  return {text_of(message.at("reasoning_content")), text_of(message.at("content"))};
}

/// The members of `body` behind those that each request to the API has.
std::string with(const std::string& common, const std::string& members) {
  return "{" + common + (members.empty() ? "" : "," + members) + "}";
}

std::string ollama_chat(const std::string& members, const std::string& options = {}) {
  return post("/api/chat", with(R"("messages":[{"role":"user","content":")" + kPens +
                                    R"("}],"options":{"temperature":0)" + options + "}",
                                members));
}

std::string ollama_generate(const std::string& members) {
  return post("/api/generate", with(R"("prompt":")" + kPens + R"(","options":{"temperature":0})", members));
}

std::string messages(const std::string& members) {
  return post(
      "/v1/messages",
      with(R"("max_tokens":500,"temperature":0,"messages":[{"role":"user","content":")" + kPens + "\"}]",
           members));
}

std::string responses(const std::string& members) {
  return post("/v1/responses", with(R"("temperature":0,"input":")" + kPens + "\"", members));
}

// ---- Ollama ----

TEST(Ollama, ChatsAndPromptsAreAnsweredAsAChat) {
  const RunningServer server;
  const Said expected = chat_answer(server);
  for (const bool is_chat : {true, false}) {
    const TestResponse response =
        server.ask(is_chat ? ollama_chat("\"stream\":false") : ollama_generate("\"stream\":false"));
    ASSERT_EQ(response.status, 200) << response.body;
    const json::value whole = response.json();
    const json::value& message = is_chat ? whole.at("message") : whole;
    EXPECT_EQ((Said{text_of(message.at("thinking")), text_of(message.at(is_chat ? "content" : "response"))}),
              expected);
    EXPECT_EQ(whole.at("model"), "demo:distilled");
    EXPECT_EQ(whole.at("done"), true);
    EXPECT_EQ(whole.at("done_reason"), "stop");
    EXPECT_GT(whole.at("eval_count").as_int64(), 0);
    EXPECT_GT(whole.at("prompt_eval_count").as_int64(), 0);
    EXPECT_GT(whole.at("prompt_eval_duration").as_int64(), 0);
    EXPECT_GT(whole.at("eval_duration").as_int64(), 0);
    EXPECT_GE(whole.at("total_duration").as_int64(),
              whole.at("prompt_eval_duration").as_int64() + whole.at("eval_duration").as_int64());
  }
}

TEST(Ollama, StreamsLinesUnlessToldNotTo) {
  const RunningServer server;
  const Said expected = chat_answer(server);
  for (const bool is_chat : {true, false}) {
    const TestResponse response = server.ask(is_chat ? ollama_chat("") : ollama_generate(""));
    EXPECT_EQ(response.header("content-type"), "application/x-ndjson");
    std::istringstream lines(response.body);
    Said said;
    json::value line;
    int count = 0;
    for (std::string text; std::getline(lines, text); ++count) {
      if (count > 0) {
        EXPECT_EQ(line.at("done"), false);
      }
      line = json::parse(text);
      const json::object& message = (is_chat ? line.at("message") : line).as_object();
      said.text += text_of(message.at(is_chat ? "content" : "response"));
      if (const json::value* thinking = message.if_contains("thinking")) said.reasoning += text_of(*thinking);
    }
    EXPECT_EQ(said, expected);
    EXPECT_GT(count, 2);
    EXPECT_EQ(line.at("done_reason"), "stop");
    EXPECT_GT(line.at("eval_count").as_int64(), 0);
  }
}

TEST(Ollama, OptionsCountAndOthersAreListed) {
  const RunningServer server;
  const TestResponse response = server.ask(ollama_chat(
      R"("stream":false,"keep_alive":"5m")", R"(,"num_predict":3,"num_ctx":4096,"repeat_penalty":1.1)"));
  EXPECT_EQ(response.json().at("eval_count"), 3);
  EXPECT_EQ(response.json().at("done_reason"), "length");
  EXPECT_EQ(response.header("x-touchstone-ignored"), "options.num_ctx, keep_alive");
  EXPECT_EQ(server.ask(ollama_chat(R"("stream":false,"think":true)")).header("x-touchstone-ignored"), "")
      << "it thinks, though its template cannot be told";
  EXPECT_GT(
      server.ask(ollama_chat("\"stream\":false", ",\"num_predict\":-1")).json().at("eval_count").as_int64(),
      3);
}

TEST(Ollama, ARequestThatAsksNothingLoadsItsModel) {
  const RunningServer server;
  for (const char* body :
       {R"({"model":"demo:native"})", R"({"model":"demo:native","prompt":"","stream":false})",
        R"({"model":"demo:native","messages":[],"keep_alive":"5m"})"}) {
    for (const char* path : {"/api/generate", "/api/chat"}) {
      const TestResponse response = server.ask(post(path, body));
      ASSERT_EQ(response.status, 200) << path << body << response.body;
      const json::value line = response.json();
      EXPECT_EQ(line.at("model"), "demo:native");
      EXPECT_EQ(line.at("done"), true);
      EXPECT_EQ(line.at("done_reason"), "load");
    }
  }
}

TEST(Ollama, ThinkingCanBeTurnedOff) {
  const RunningServer server;
  const json::value answer = server.ask(ollama_chat(R"("stream":false,"think":false)")).json();
  EXPECT_FALSE(answer.at("message").as_object().contains("thinking")) << answer;
  EXPECT_FALSE(text_of(answer.at("message").at("content")).empty());
}

TEST(Ollama, ARawPromptIsTheBareText) {
  const RunningServer server;
  const json::value text =
      server
          .ask(post("/v1/completions",
                    R"({"model":"demo:native","prompt":"Tom has","max_tokens":7,"temperature":0})"))
          .json();
  const json::value raw =
      server
          .ask(post("/api/generate", R"({"model":"demo:native","prompt":"Tom has","raw":true,"stream":false,)"
                                     R"("options":{"temperature":0,"num_predict":7}})"))
          .json();
  EXPECT_EQ(raw.at("response"), text.at("choices").at(0).at("text"));
}

TEST(Ollama, ModelsAreListedAndShown) {
  const RunningServer server;
  const json::value tags = server.ask(get("/api/tags")).json();
  ASSERT_EQ(tags.at("models").as_array().size(), 2U);
  EXPECT_EQ(tags.at("models").at(1).at("model"), "demo:native");
  EXPECT_GT(tags.at("models").at(1).at("size").to_number<double>(), 0);
  const auto digest = [&] {
    return text_of(server.ask(get("/api/tags")).json().at("models").at(1).at("digest"));
  };
  for (int i = 0; i < 3000 && digest().empty(); ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  EXPECT_EQ(digest(), hash_model(*load_demo("native")).weights);
  EXPECT_FALSE(text_of(server.ask(get("/api/version")).json().at("version")).empty());
  const json::value shown = server.ask(post("/api/show", R"({"model":"demo:native"})")).json();
  EXPECT_EQ(shown.at("model_info").at("general.architecture"), "qwen2");
  EXPECT_GT(shown.at("model_info").at("qwen2.context_length").as_int64(), 0);
}

TEST(Ollama, TheQuantizationLevelIsTheTypeThatWeightsAreStoredIn) {
  const RunningServer server;
  const std::string stored = load_demo("native")->stored_type;
  EXPECT_EQ(stored, "BF16");
  const json::value tags = server.ask(get("/api/tags")).json();
  EXPECT_EQ(text_of(tags.at("models").at(1).at("details").at("quantization_level")), stored);
  const json::value shown = server.ask(post("/api/show", R"({"model":"demo:native"})")).json();
  EXPECT_EQ(text_of(shown.at("details").at("quantization_level")), stored);
}

TEST(Ollama, AModelIsShownByTheNameThatOlderClientsGive) {
  const RunningServer server;
  const TestResponse missing = server.ask(post("/api/show", R"({"name":"nothing"})"));
  EXPECT_EQ(missing.status, 404) << missing.body;
  const TestResponse shown = server.ask(post("/api/show", R"({"name":"demo:native"})"));
  EXPECT_EQ(shown.status, 200) << shown.body;
  EXPECT_EQ(shown.header("x-touchstone-ignored"), "");
}

TEST(Ollama, AModelIsFoundByItsNameWithTheTagThatClientsAppend) {
  const RunningServer server;
  const auto status = [&](const std::string& path, const std::string& model) {
    const std::string body =
        R"(,"stream":false,"prompt":"hi",)" + kQuestion + R"(,"max_tokens":1,"options":{"num_predict":1}})";
    return server.ask(post(path, R"({"model":")" + model + '"' + body)).status;
  };
  for (const char* path : {"/api/chat", "/api/generate", "/api/show"}) {
    EXPECT_EQ(status(path, "demo:native:latest"), 200) << path;
    for (const char* other : {"nothing:latest", ":latest", "demo:native:8b", "demo:native:latest:latest"})
      EXPECT_EQ(status(path, other), 404) << path << ' ' << other;
  }
  for (const char* path : {"/v1/chat/completions", "/v1/completions", "/v1/messages", "/tokenize"})
    EXPECT_EQ(status(path, "demo:native:latest"), 404) << path;
  EXPECT_EQ(server.ask(get("/v1/models/demo:native:latest")).status, 404);
}

TEST(Ollama, AModelWhoseNameHasTheTagIsMeantBeforeTheOneWithout) {
  std::vector<FleetModel> models(2);
  models[0].id = "small";
  models[1].id = "small:latest";
  for (FleetModel& model : models) {
    model.load = [] { return load_demo("native"); };
    model.engine = test_options().runner.engine;
  }
  const RunningServer server(std::move(models), test_options());
  for (const char* name : {"small", "small:latest"}) {
    const TestResponse loaded = server.ask(post("/api/chat", std::string(R"({"model":")") + name + "\"}"));
    EXPECT_EQ(loaded.json().at("model"), name);
  }
}

// ---- Anthropic ----

TEST(Anthropic, AMessageIsAnsweredAsAChat) {
  const RunningServer server;
  const Said expected = chat_answer(server);
  const TestResponse response = server.ask(messages(""));
  ASSERT_EQ(response.status, 200) << response.body;
  const json::value message = response.json();
  ASSERT_EQ(message.at("content").as_array().size(), 2U);
  EXPECT_EQ(message.at("content").at(0).at("type"), "thinking");
  EXPECT_EQ((Said{text_of(message.at("content").at(0).at("thinking")),
                  text_of(message.at("content").at(1).at("text"))}),
            expected);
  EXPECT_EQ(message.at("type"), "message");
  EXPECT_EQ(message.at("stop_reason"), "end_turn");
  const json::value& usage = message.at("usage");
  EXPECT_GT(usage.at("output_tokens").as_int64(), 0);
  const json::value count = server
                                .ask(post("/v1/messages/count_tokens",
                                          R"({"messages":[{"role":"user","content":")" + kPens + "\"}]}"))
                                .json();
  EXPECT_EQ(count.at("input_tokens").as_int64(),
            usage.at("input_tokens").as_int64() + usage.at("cache_read_input_tokens").as_int64());
}

TEST(Anthropic, AStreamOpensAndClosesEachBlock) {
  const RunningServer server;
  const Said expected = chat_answer(server);
  const std::vector<json::object> events = read_events(server.ask(messages("\"stream\":true")).body);
  ASSERT_GT(events.size(), 8U);
  EXPECT_EQ(events[0].at("type"), "message_start");
  Said said;
  std::string shape;
  for (const json::object& event : events) {
    const std::string type = text_of(event.at("type"));
    if (type == "content_block_start") shape += "<" + text_of(event.at("content_block").at("type"));
    if (type == "content_block_stop") shape += ">";
    if (type != "content_block_delta") continue;
    const json::object& delta = event.at("delta").as_object();
    if (const json::value* piece = delta.if_contains("thinking")) said.reasoning += text_of(*piece);
    if (const json::value* piece = delta.if_contains("text")) said.text += text_of(*piece);
  }
  EXPECT_EQ(said, expected);
  EXPECT_EQ(shape, "<thinking><text>");
  const json::object& last = events[events.size() - 2];
  EXPECT_EQ(last.at("type"), "message_delta");
  EXPECT_EQ(last.at("delta").at("stop_reason"), "end_turn");
  EXPECT_GT(last.at("usage").at("output_tokens").as_int64(), 0);
  EXPECT_EQ(events.back().at("type"), "message_stop");
}

TEST(Anthropic, BlocksAreReadAsTheChatTheyMean) {
  const RunningServer server;
  const auto count = [&](const std::string& members) {
    const TestResponse response = server.ask(post("/v1/messages/count_tokens", "{" + members + "}"));
    EXPECT_EQ(response.status, 200) << response.body;
    return response.json().at("input_tokens").as_int64();
  };
  EXPECT_EQ(count(R"("system":[{"type":"text","text":"Be kind."}],"messages":[{"role":"user","content":[)"
                  R"({"type":"text","text":"a"},{"type":"text","text":"b"}]}])"),
            count(R"("system":"Be kind.","messages":[{"role":"user","content":"a\nb"}])"));
  EXPECT_GT(count(R"("messages":[{"role":"user","content":"a"},{"role":"assistant","content":[)"
                  R"({"type":"thinking","thinking":"t","signature":""},)"
                  R"({"type":"tool_use","id":"1","name":"f","input":{"x":1}}]},)"
                  R"({"role":"user","content":[{"type":"tool_result","tool_use_id":"1","content":"r"},)"
                  R"({"type":"text","text":"so?"}]}])"),
            count(R"("messages":[{"role":"user","content":"a"}])"));
}

TEST(Anthropic, AnAnswersBeginningIsContinued) {
  const RunningServer server;
  const json::value answer =
      server
          .ask(post("/v1/messages",
                    R"({"max_tokens":40,"temperature":0,"messages":[{"role":"user","content":")" + kPens +
                        R"("},{"role":"assistant","content":"3 times 4 is"}]})"))
          .json();
  EXPECT_EQ(answer.at("content").at(0).at("type"), "text") << answer;
}

TEST(Anthropic, WhatEndedTheAnswerIsTold) {
  const RunningServer server;
  const std::string text = chat_answer(server).text;
  const std::string stop = text.substr(text.find("12"), 2);
  const json::value stopped = server.ask(messages(R"("stop_sequences":["zzz",")" + stop + "\"]")).json();
  EXPECT_EQ(stopped.at("stop_reason"), "stop_sequence");
  EXPECT_EQ(stopped.at("stop_sequence"), json::value(stop));
  const json::value cut =
      server.ask(post("/v1/messages", R"({"max_tokens":2,"messages":[{"role":"user","content":"a"}]})"))
          .json();
  EXPECT_EQ(cut.at("stop_reason"), "max_tokens");
  EXPECT_EQ(cut.at("usage").at("output_tokens"), 2);
}

TEST(Anthropic, AThinkingBudgetIsKept) {
  const RunningServer server;
  const auto thinking = [&](const std::string& wish) {
    const json::value answer = server.ask(messages("\"thinking\":" + wish)).json();
    const json::value& first = answer.at("content").at(0);
    return first.at("type") == "thinking" ? text_of(first.at("thinking")).size() : 0;
  };
  const std::size_t free = thinking(R"({"type":"adaptive"})");
  const std::size_t bounded = thinking(R"({"type":"enabled","budget_tokens":5})");
  EXPECT_GT(bounded, 0U);
  EXPECT_LT(bounded, free);
  EXPECT_EQ(thinking(R"({"type":"disabled"})"), 0U);
}

// ---- OpenAI's responses ----

TEST(Responses, AnInputIsAnsweredAsAChat) {
  const RunningServer server;
  const Said expected = chat_answer(server);
  for (const std::string& input :
       {"\"" + kPens + "\"", R"([{"role":"user","content":")" + kPens + "\"}]",
        R"([{"type":"message","role":"user","content":[{"type":"input_text","text":")" + kPens + "\"}]}]"}) {
    const TestResponse answer =
        server.ask(post("/v1/responses", R"({"temperature":0,"input":)" + input + "}"));
    ASSERT_EQ(answer.status, 200) << answer.body;
    const json::value response = answer.json();
    EXPECT_EQ(response.at("status"), "completed");
    ASSERT_EQ(response.at("output").as_array().size(), 2U);
    EXPECT_EQ((Said{text_of(response.at("output").at(0).at("content").at(0).at("text")),
                    text_of(response.at("output").at(1).at("content").at(0).at("text"))}),
              expected);
    EXPECT_GT(response.at("usage").at("output_tokens_details").at("reasoning_tokens").as_int64(), 0);
  }
}

TEST(Responses, AStreamsEventsAreNumberedAndEndInTheWhole) {
  const RunningServer server;
  const json::value whole = server.ask(responses("")).json();
  const std::vector<json::object> events = read_events(server.ask(responses("\"stream\":true")).body);
  ASSERT_GT(events.size(), 10U);
  Said said;
  std::string items;
  for (std::size_t i = 0; i < events.size(); ++i) {
    const json::object& event = events[i];
    EXPECT_EQ(event.at("sequence_number").to_number<std::size_t>(), i);
    const std::string type = text_of(event.at("type"));
    if (type == "response.output_item.added") items += "<" + text_of(event.at("item").at("type"));
    if (type == "response.output_item.done") items += ">";
    if (type == "response.reasoning_text.delta") said.reasoning += text_of(event.at("delta"));
    if (type == "response.output_text.delta") said.text += text_of(event.at("delta"));
    if (type == "response.output_text.done") {
      EXPECT_EQ(text_of(event.at("text")), said.text);
    }
  }
  EXPECT_EQ(said, chat_answer(server));
  EXPECT_EQ(items, "<reasoning><message>");
  EXPECT_EQ(events[0].at("type"), "response.created");
  EXPECT_EQ(events.back().at("type"), "response.completed");
  const json::value& last = events.back().at("response").at("output");
  ASSERT_EQ(last.as_array().size(), whole.at("output").as_array().size());
  for (std::size_t i = 0; i < last.as_array().size(); ++i) {
    EXPECT_EQ(last.at(i).at("content"), whole.at("output").at(i).at("content"));
  }
}

TEST(Responses, ItemsOfOneTurnBecomeOneMessage) {
  const RunningServer server;
  const auto tokens = [&](const std::string& input) {
    const TestResponse response =
        server.ask(post("/v1/responses", R"({"max_output_tokens":1,"input":)" + input + "}"));
    EXPECT_EQ(response.status, 200) << response.body;
    return response.json().at("usage").at("input_tokens").as_int64();
  };
  const std::string asked = R"([{"role":"user","content":"a"},)";
  EXPECT_EQ(
      tokens(
          asked +
          R"({"type":"reasoning","id":"rs_1","summary":[],"content":[{"type":"reasoning_text","text":"t"}]},)"
          R"({"type":"message","role":"assistant","content":[{"type":"output_text","text":"b"}]},)"
          R"({"type":"function_call","call_id":"1","name":"f","arguments":"{}"},)"
          R"({"type":"function_call_output","call_id":"1","output":"r"}])"),
      tokens(
          asked +
          R"({"role":"assistant","content":"b"},{"type":"function_call_output","call_id":"1","output":"r"}])"));
}

TEST(Responses, WhatIsCutOffIsIncomplete) {
  const RunningServer server;
  const TestResponse answer =
      server.ask(responses(R"("max_output_tokens":2,"store":true,"reasoning":{"effort":"low"})"));
  const json::value response = answer.json();
  EXPECT_EQ(response.at("status"), "incomplete");
  EXPECT_EQ(response.at("incomplete_details").at("reason"), "max_output_tokens");
  EXPECT_EQ(response.at("output").at(0).at("status"), "incomplete");
  EXPECT_EQ(response.at("store"), false);
  EXPECT_EQ(answer.header("x-touchstone-ignored"), "reasoning.effort, store");
  EXPECT_EQ(
      read_events(server.ask(responses(R"("max_output_tokens":2,"stream":true)")).body).back().at("type"),
      "response.incomplete");
}

GeneratedSample ended(FinishReason reason) {
  GeneratedSample sample;
  sample.finish_reason = reason;
  return sample;
}

TEST(Dialects, ALoopIsAStopInWordsThatDoNotKnowIt) {
  const CompletionRequest request;
  Response response;
  response.request_id = "1";
  response.choices.emplace_back(request, Prompt(), std::size_t{0});
  response.choices[0].finish(ended(FinishReason::loop));
  const auto read = [&](const Dialect& dialect) { return json::parse(dialect.write_whole(response)); };
  EXPECT_EQ(read(kOpenAiChat).at("choices").at(0).at("finish_reason"), "loop");
  EXPECT_EQ(read(kOpenAiText).at("choices").at(0).at("finish_reason"), "loop");
  EXPECT_EQ(read(kAnthropic).at("stop_reason"), "end_turn");
  EXPECT_EQ(read(kOpenAiResponses).at("status"), "completed");
  EXPECT_EQ(read(kOllamaChat).at("done_reason"), "stop");
}

// ---- tool calls ----

/// An answer in which the model calls a tool, as the parts of a response.
struct ToolAnswer {
  ToolAnswer() {
    request.reads_tools = true;
    response.request_id = "1";
    response.choices.emplace_back(request, Prompt(), std::size_t{0});
    Choice& choice = response.choices[0];
    const auto model = load_demo("native");
    for (const char* piece : {"Let me", " see.\n<tool_call>\n{\"name\": \"f\", ", "\"arguments\": {\"x\"",
                              ": 1}}\n</tool_call>"}) {
      deltas.push_back(choice.push({.sample = 0, .id = 0, .text = piece, .reasoning = false, .top = {}},
                                   model->tokenizer));
    }
  }
  /// The stream of it in an API.
  std::string stream(const Dialect& dialect) {
    std::string bytes;
    Choice& choice = response.choices[0];
    for (const AnswerDelta& delta : deltas) bytes += dialect.write_delta(response, choice, delta);
    bytes += dialect.write_delta(response, choice, choice.finish(ended(FinishReason::stop)));
    return bytes + dialect.write_end(response);
  }
  CompletionRequest request;
  Response response;
  std::vector<AnswerDelta> deltas;
};

TEST(DialectTools, OllamaGivesTheCallWhole) {
  ToolAnswer answer;
  const std::string stream = answer.stream(kOllamaChat);
  const json::value whole = json::parse(kOllamaChat.write_whole(answer.response));
  const json::value& call = whole.at("message").at("tool_calls").at(0).at("function");
  EXPECT_EQ(call.at("name"), "f");
  EXPECT_EQ(call.at("arguments"), json::parse("{\"x\":1}"));
  EXPECT_EQ(whole.at("message").at("content"), "Let me see.");
  EXPECT_EQ(whole.at("done_reason"), "stop");
  EXPECT_NE(stream.find(json::serialize(whole.at("message").at("tool_calls"))), std::string::npos);
}

TEST(DialectTools, AnthropicGivesABlock) {
  ToolAnswer answer;
  std::string arguments;
  std::string shape;
  for (const json::object& event : read_events(answer.stream(kAnthropic))) {
    if (event.at("type") == "content_block_start")
      shape += text_of(event.at("content_block").at("type")) + " ";
    if (event.at("type") != "content_block_delta") continue;
    if (const json::value* piece = event.at("delta").as_object().if_contains("partial_json")) {
      arguments += text_of(*piece);
    }
  }
  EXPECT_EQ(shape, "text tool_use ");
  const json::value whole = json::parse(kAnthropic.write_whole(answer.response));
  EXPECT_EQ(whole.at("content").at(1).at("input"), json::parse(arguments));
  EXPECT_EQ(whole.at("content").at(1).at("name"), "f");
  EXPECT_EQ(whole.at("stop_reason"), "tool_use");
}

TEST(DialectTools, ResponsesGiveAnItem) {
  ToolAnswer answer;
  std::string arguments;
  json::object done;
  for (const json::object& event : read_events(answer.stream(kOpenAiResponses))) {
    if (event.at("type") == "response.function_call_arguments.delta") arguments += text_of(event.at("delta"));
    if (event.at("type") == "response.function_call_arguments.done") done = event;
  }
  EXPECT_EQ(done.at("arguments"), json::value(arguments));
  const json::value item = json::parse(kOpenAiResponses.write_whole(answer.response)).at("output").at(1);
  EXPECT_EQ(item.at("type"), "function_call");
  EXPECT_EQ(item.at("arguments"), json::value(arguments));
  EXPECT_EQ(json::parse(arguments), json::parse("{\"x\":1}"));
}

TEST(DialectTools, ACallThatIsCutOffIsNotGivenAsOne) {
  ToolAnswer answer;
  answer.response.choices[0] = Choice(answer.request, Prompt(), 0);
  const auto model = load_demo("native");
  answer.response.choices[0].push({.sample = 0,
                                   .id = 0,
                                   .text = "<tool_call>\n{\"name\": \"f\", \"arguments\": {\"x",
                                   .reasoning = false,
                                   .top = {}},
                                  model->tokenizer);
  answer.response.choices[0].finish(ended(FinishReason::length));
  EXPECT_TRUE(json::parse(kAnthropic.write_whole(answer.response)).at("content").as_array().empty());
  const json::value message = json::parse(kOllamaChat.write_whole(answer.response)).at("message");
  EXPECT_FALSE(message.as_object().contains("tool_calls"));
  EXPECT_EQ(json::parse(kOpenAiResponses.write_whole(answer.response)).at("output").at(0).at("status"),
            "incomplete");
}

// ---- what holds for all ----

TEST(Dialects, ForcedCallsBegin) {
  const RunningServer server;
  const std::string message =
      server
          .ask(post(
              "/v1/messages",
              R"({"max_tokens":80,"thinking":{"type":"disabled"},"messages":[{"role":"user","content":"hi"}],)"
              R"("tools":[{"name":"f","input_schema":{}}],"tool_choice":{"type":"tool","name":"f"},"stream":true})"))
          .body;
  EXPECT_NE(message.find(R"("type":"tool_use")"), std::string::npos) << message;
  const json::value response =
      server
          .ask(responses(
              R"("max_output_tokens":80,"reasoning":{"effort":"none"},"tools":[{"type":"function","name":"f"}],"tool_choice":{"type":"function","name":"f"})"))
          .json();
  EXPECT_EQ(response.at("output").at(0).at("name"), "f");
}

const std::vector<std::string> kPaths = {"/v1/messages", "/v1/responses", "/api/chat", "/api/generate"};
const std::string kAnybodysBody =
    R"({"messages":[{"role":"user","content":"hi"}],"prompt":"hi","input":"hi","max_tokens":9})";

TEST(Dialects, KeysIdsAndMetricsHoldForEach) {
  const touchstone::testing::TemporaryFolder folder;
  ServerOptions options = test_options();
  options.api_key_file = folder.path() / "keys";
  std::ofstream(options.api_key_file) << "first\n";
  const RunningServer server(options);
  const std::string key = "x-api-key: first\r\n";
  for (const std::string& path : kPaths) {
    // Responses has a store of its own for what `prompt` names.
    const std::string body =
        path == "/v1/responses" ? R"({"input":"hi","max_output_tokens":9})" : kAnybodysBody;
    EXPECT_EQ(server.ask(post(path, body)).status, 401) << path;
    const TestResponse answer = server.ask(post(path, body, key + "x-request-id: mine\r\n"));
    EXPECT_EQ(answer.status, 200) << path << answer.body;
    EXPECT_EQ(answer.header("x-request-id"), "mine");
    EXPECT_EQ(server.metric("touchstone_http_responses_total{path=\"" + path + "\",status=\"200\"}", key), 1);
  }
}

TEST(Dialects, ALateAnswerIsAnErrorOfEach) {
  ServerOptions options = test_options();
  options.runner.engine.max_batch = 1;
  const RunningServer server(options);
  TestClient running(server.port());
  running.send(long_request(true));
  ASSERT_TRUE(server.wait_for_load(1, 0));
  const TestResponse late = server.ask(post("/v1/messages", kAnybodysBody, "X-Request-Timeout: 0.05\r\n"));
  EXPECT_EQ(late.status, 504);
  EXPECT_EQ(late.json().at("error").at("type"), "timeout_error");
}

TEST(Dialects, AFullQueueIsAnErrorOfEach) {
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
  for (const std::string& path : kPaths) EXPECT_EQ(server.ask(post(path, kAnybodysBody)).status, 429) << path;
  EXPECT_EQ(server.ask(post("/v1/messages", kAnybodysBody)).json().at("error").at("type"),
            "rate_limit_error");
  EXPECT_FALSE(text_of(server.ask(post("/api/chat", kAnybodysBody)).json().at("error")).empty());
}

}  // namespace
}  // namespace touchstone::serve
