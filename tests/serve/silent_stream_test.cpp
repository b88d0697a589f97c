// Streams that have nothing to say yet, and the proxies before them.
#include <gtest/gtest.h>

#include <array>
#include <atomic>

#include "base/error.h"
#include "running_server.h"

namespace touchstone::serve {
namespace {

struct Form {
  std::string path, body, ping, end, error;
};

const std::array<Form, 4> kForms = {
    {{"/v1/chat/completions", R"({"messages":[{"role":"user","content":"hi"}],"stream":true})",
      "\r\n: ping\n\n", "data: [DONE]\n\n", R"(data: {"error":{"message":")"},
     {"/v1/completions", R"({"prompt":"hi","stream":true})", "\r\n: ping\n\n", "data: [DONE]\n\n",
      R"(data: {"error":{"message":")"},
     {"/v1/responses", R"({"input":"hi","stream":true})", "\r\n: ping\n\n", "}\n\n",
      "event: error\ndata: {\"message\":\""},
     {"/v1/messages", R"({"max_tokens":9,"messages":[{"role":"user","content":"hi"}],"stream":true})",
      "\r\nevent: ping\ndata: {\"type\":\"ping\"}\n\n", "}\n\n",
      "event: error\ndata: {\"type\":\"error\",\"error\":{"}}};

ServerOptions make_options(std::chrono::milliseconds ping_interval) {
  ServerOptions options = test_options();
  options.runner.engine.max_batch = 1;
  options.ping_interval = ping_interval;
  return options;
}

TEST(SilentStream, SaysInTheQueueThatItIsAliveAndIsGivenUpWhenItsClientLeaves) {
  const RunningServer server(make_options(std::chrono::milliseconds(1)));
  TestClient running(server.port());
  running.send(long_request(true));
  ASSERT_TRUE(server.wait_for_load(1, 0));
  for (const Form& form : kForms) {
    SCOPED_TRACE(form.path);
    TestClient waiting(server.port());
    waiting.send(post(form.path, form.body));
    EXPECT_TRUE(waiting.wait_for(form.ping));
    EXPECT_TRUE(server.wait_for_load(1, 1));
    waiting.leave();
    EXPECT_TRUE(server.wait_for_load(1, 0));
  }
}

TEST(SilentStream, IsOneOnlyAfterTheInterval) {
  const RunningServer server(make_options(std::chrono::hours(1)));
  EXPECT_EQ(server.ask(chat(R"(,"max_tokens":20,"stream":true)")).body.find(": ping"), std::string::npos);
}

TEST(SilentStream, EndsWithAnErrorInTheStream) {
  ServerOptions options = make_options(std::chrono::milliseconds(1));
  options.drain_seconds = 0;
  RunningServer server(options);
  TestClient running(server.port());
  running.send(long_request(true));
  ASSERT_TRUE(server.wait_for_load(1, 0));
  TestClient waiting(server.port());
  waiting.send(post(kForms[0].path, kForms[0].body));
  ASSERT_TRUE(waiting.wait_for(kForms[0].ping));
  server.stop();
  const TestResponse cut = waiting.receive();
  EXPECT_EQ(cut.status, 200);
  EXPECT_NE(cut.body.find(R"("code":"shutting_down")"), std::string::npos) << cut.body;
}

TEST(SilentStream, ChangesNoAnswer) {
  const RunningServer quiet(make_options(std::chrono::hours(1)));
  const RunningServer chatty(make_options(std::chrono::milliseconds(0)));
  const std::string streamed = chat(R"(,"max_tokens":40,"stream":true,"seed":3)");
  const TestResponse with_pings = chatty.ask(streamed);
  EXPECT_NE(with_pings.body.find(": ping\n\n"), std::string::npos);
  EXPECT_EQ(join_stream(with_pings.body), join_stream(quiet.ask(streamed).body));

  const TestResponse whole = chatty.ask(chat(R"(,"max_tokens":40,"seed":3)"));
  EXPECT_EQ(whole.json().at("choices"), quiet.ask(chat(R"(,"max_tokens":40,"seed":3)")).json().at("choices"));

  const std::string lines = chatty.ask(post("/api/chat", "{" + kQuestion + "}")).body;  // has no comments
  for (std::size_t at = 0; at < lines.size(); at = lines.find('\n', at) + 1) {
    EXPECT_TRUE(boost::json::parse(lines.substr(at, lines.find('\n', at) - at)).is_object());
  }
}

// ---- while the model is loaded ----

/// Three models of which the memory holds one: demo:distilled is there; the others are loaded, or fail to be,
/// when the gate is open.
class LoadingStream : public ::testing::Test {
 protected:
  explicit LoadingStream(std::chrono::milliseconds ping_interval = std::chrono::milliseconds(1))
      : server_(make_models(), make_loading_options(ping_interval)) {}
  ~LoadingStream() override { open_gate(); }

  static ServerOptions make_loading_options(std::chrono::milliseconds ping_interval) {
    ServerOptions options = make_options(ping_interval);
    options.memory_budget = 1;
    options.runner.max_queue = 3;
    return options;
  }
  std::vector<FleetModel> make_models() {
    std::vector<FleetModel> models;
    for (const std::string name : {"distilled", "native", "third"}) {
      models.push_back({.id = "demo:" + name,
                        .other_ids = {},
                        .load =
                            [this, name] {
                              if (name == "distilled") return load_demo(name);
                              gate_.wait(false);
                              if (fails_) throw Error("the file is gone");
                              return load_demo("native");
                            },
                        .engine = make_options({}).runner.engine,
                        .bytes = 1,
                        .max_sequence_tokens = 512});
    }
    return models;
  }
  void open_gate() {
    gate_ = true;
    gate_.notify_all();
  }
  std::unique_ptr<TestClient> ask(const std::string& path, const std::string& body,
                                  const std::string& model = "demo:native") const {
    auto client = std::make_unique<TestClient>(server_.port());
    client->send(post(path, R"({"model":")" + model + "\"," + body.substr(1)));
    return client;
  }
  /// Asks in each form.
  std::vector<std::unique_ptr<TestClient>> ask_in_all() const {
    std::vector<std::unique_ptr<TestClient>> clients;
    for (const Form& form : kForms) clients.push_back(ask(form.path, form.body));
    return clients;
  }
  double loads_of(const std::string& model) const {
    return server_.metric("touchstone_model_loads_total{model=\"" + model + "\"}");
  }
  bool has_left(int clients) const {
    for (int i = 0; i < 3000; ++i) {
      if (server_.metric("touchstone_abandoned_total") >= clients) return true;
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    return false;
  }

  std::atomic<bool> gate_ = false;
  std::atomic<bool> fails_ = false;  // what is loaded from now on
  RunningServer server_;
};

/// Without a sign of life.
class QuietLoadingStream : public LoadingStream {
 protected:
  QuietLoadingStream() : LoadingStream(std::chrono::hours(1)) {}
};

TEST_F(LoadingStream, SaysThatItIsAliveAndThenItsAnswer) {
  const auto clients = ask_in_all();
  for (std::size_t i = 0; i < kForms.size(); ++i) EXPECT_TRUE(clients[i]->wait_for(kForms[i].ping));
  open_gate();
  for (std::size_t i = 0; i < kForms.size(); ++i) {
    SCOPED_TRACE(kForms[i].path);
    const TestResponse answer = clients[i]->receive();
    EXPECT_EQ(answer.status, 200);
    EXPECT_TRUE(answer.body.ends_with(kForms[i].end)) << answer.body;
    EXPECT_EQ(answer.body.find(kForms[i].error), std::string::npos) << answer.body;
    EXPECT_EQ(answer.header("cache-control"), "no-cache");
  }
}

TEST_F(LoadingStream, EndsWithAnErrorOfItsApiWhenTheModelCannotBeLoaded) {
  fails_ = true;
  const auto clients = ask_in_all();
  for (std::size_t i = 0; i < kForms.size(); ++i) ASSERT_TRUE(clients[i]->wait_for(kForms[i].ping));
  open_gate();
  for (std::size_t i = 0; i < kForms.size(); ++i) {
    SCOPED_TRACE(kForms[i].path);
    const TestResponse answer = clients[i]->receive();
    EXPECT_EQ(answer.status, 200);
    EXPECT_NE(answer.body.find("the model cannot be loaded"), std::string::npos) << answer.body;
    EXPECT_NE(answer.body.find(kForms[i].error), std::string::npos) << answer.body;
    EXPECT_TRUE(answer.body.ends_with(kForms[i].end)) << answer.body;
    clients[i]->send(get("/health"));  // the stream is over, the connection is not
    EXPECT_EQ(clients[i]->receive().status, 200);
  }
}

TEST_F(LoadingStream, IsRefusedInTheStreamWhenItsPromptIsTooLong) {
  std::string text;
  for (int i = 0; i < 20'000; ++i) text += "word ";
  const auto client = ask(kForms[1].path, R"({"prompt":")" + text + R"(","stream":true})");
  ASSERT_TRUE(client->wait_for(kForms[1].ping));
  open_gate();
  const TestResponse answer = client->receive();
  EXPECT_EQ(answer.status, 200);
  EXPECT_NE(answer.body.find(R"("code":"context_length_exceeded")"), std::string::npos) << answer.body;
  EXPECT_TRUE(answer.body.ends_with("data: [DONE]\n\n")) << answer.body;
}

TEST_F(QuietLoadingStream, KeepsTheStatusOfAFailureThatComesBeforeItsFirstPing) {
  fails_ = true;
  const auto clients = ask_in_all();
  open_gate();
  for (const auto& client : clients) {
    const TestResponse answer = client->receive();
    EXPECT_EQ(answer.status, 500);
    EXPECT_TRUE(answer.json().is_object());
  }
}

TEST_F(LoadingStream, OfOllamasSaysNothingAndNeitherDoesAnAnswerThatIsNoStream) {
  const auto streams = ask(kForms[0].path, kForms[0].body);
  const auto whole = ask(kForms[0].path, "{" + kQuestion + "}");
  const auto lines = ask("/api/chat", "{" + kQuestion + "}");
  ASSERT_TRUE(streams->wait_for(kForms[0].ping));
  open_gate();
  EXPECT_TRUE(whole->receive().json().is_object());
  const TestResponse answer = lines->receive();
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.body.front(), '{');
  EXPECT_EQ(answer.body.find("ping"), std::string::npos);
}

TEST_F(LoadingStream, IsGivenUpWhileItWaitsWhenItsClientLeaves) {
  const auto stays = ask(kForms[0].path, kForms[0].body);
  ASSERT_TRUE(stays->wait_for(kForms[0].ping));
  const auto leaves = ask(kForms[0].path, kForms[0].body, "demo:third");
  ASSERT_TRUE(leaves->wait_for(kForms[0].ping));
  leaves->leave();
  EXPECT_TRUE(has_left(1));  // though the gate is closed
  open_gate();
  EXPECT_EQ(stays->receive().status, 200);
  EXPECT_EQ(ask(kForms[0].path, kForms[0].body, "demo:distilled")->receive().status, 200);
  EXPECT_EQ(loads_of("demo:native"), 1);
  EXPECT_LE(loads_of("demo:third"), 0);  // nobody waited for it any more
}

TEST_F(LoadingStream, IsToldAtItsDeadlineThatItsTimeIsOverThoughTheModelIsStillBeingLoaded) {
  const auto streams = ask(kForms[0].path, R"({"timeout":0.3,)" + kForms[0].body.substr(1));
  const auto whole = ask(kForms[0].path, R"({"timeout":0.3,)" + kQuestion + "}");
  const TestResponse refused = whole->receive();  // though the gate is closed
  EXPECT_EQ(refused.status, 504);
  EXPECT_EQ(refused.json().at("error").at("code"), "deadline_exceeded");
  const TestResponse cut = streams->receive();
  EXPECT_EQ(cut.status, 200);
  EXPECT_NE(cut.body.find(R"("code":"deadline_exceeded")"), std::string::npos) << cut.body;
  EXPECT_TRUE(cut.body.ends_with(kForms[0].end)) << cut.body;
  open_gate();
}

TEST_F(QuietLoadingStream, GivesItsPlaceAmongThoseWhoWaitToOthersWhenItsClientLeaves) {
  std::vector<std::unique_ptr<TestClient>> clients;
  for (int i = 0; i < 4; ++i) clients.push_back(ask(kForms[0].path, kForms[0].body));  // as many as may wait
  for (const auto& client : clients) client->leave();
  ASSERT_TRUE(has_left(4));
  const auto next = ask(kForms[0].path, kForms[0].body);
  open_gate();
  EXPECT_EQ(next->receive().status, 200);
}

}  // namespace
}  // namespace touchstone::serve
