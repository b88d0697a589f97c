// From the open port to the loaded models.
#include <gmock/gmock.h>

#include <atomic>
#include <chrono>
#include <thread>

#include "base/error.h"
#include "running_server.h"

namespace touchstone::serve {
namespace {

using ::testing::HasSubstr;

/// A model whose loading goes on until `gate` is open.
FleetModel slow_model(const std::atomic<bool>& gate) {
  return {.id = "demo:native",
          .other_ids = {},
          .load =
              [&gate] {
                gate.wait(false);
                return load_demo("native");
              },
          .engine = test_options().runner.engine,
          .bytes = 0,
          .max_sequence_tokens = 512};
}

class Loading : public ::testing::Test {
 protected:
  ~Loading() override {
    open_gate();
    server_.drain();
    if (thread_.joinable()) thread_.join();
  }
  void open_gate() {
    gate_ = true;
    gate_.notify_all();
  }
  TestResponse ask(std::string_view request) const { return serve::ask(server_.port(), request); }

  std::atomic<bool> gate_ = false;
  std::promise<void> ready_;
  Server server_{{slow_model(gate_)}, test_options()};
  std::thread thread_{[this] { server_.run([this] { ready_.set_value(); }); }};
};

TEST_F(Loading, TheProcessLivesAndIsNotReady) {
  const TestResponse health = ask(get("/health"));
  EXPECT_EQ(health.status, 503);
  EXPECT_EQ(health.json().at("status"), "loading");
  const TestResponse ready = ask(get("/ready"));
  EXPECT_EQ(ready.status, 503);
  EXPECT_EQ(ready.json().at("status"), "loading");
  EXPECT_THAT(ask(get("/metrics")).body, HasSubstr("touchstone_model_loaded{model=\"demo:native\"} 0"));
  EXPECT_EQ(ask(get("/")).status, 200);
}

TEST_F(Loading, WhatNeedsAModelIsToldToComeBackInItsOwnForm) {
  for (const char* path : {"/v1/models", "/v1/models/demo:native", "/api/tags", "/api/version"}) {
    const TestResponse refused = ask(get(path));
    EXPECT_EQ(refused.status, 503) << path;
    EXPECT_GE(std::stoi(refused.header("retry-after")), 1) << path;
  }
  for (const char* path : {"/v1/chat/completions", "/v1/completions", "/v1/responses", "/tokenize",
                           "/detokenize", "/v1/chat/completions/chatcmpl-x/answer_now"}) {
    const TestResponse refused = ask(post(path, "{}"));
    EXPECT_EQ(refused.status, 503) << path;
    EXPECT_EQ(refused.json().at("error").at("code"), "loading") << path;
  }
  for (const char* path : {"/v1/messages", "/v1/messages/count_tokens"}) {
    const TestResponse refused = ask(post(path, "{}"));
    EXPECT_EQ(refused.status, 503) << path;
    EXPECT_EQ(refused.json().at("type"), "error") << path;
  }
  for (const char* path : {"/api/chat", "/api/generate", "/api/show"}) {
    const TestResponse refused = ask(post(path, "{}"));
    EXPECT_EQ(refused.status, 503) << path;
    EXPECT_TRUE(refused.json().at("error").is_string()) << path;
  }
}

TEST_F(Loading, AConnectionThatWasToldToWaitIsServedWhenTheModelsAreThere) {
  TestClient client(server_.port());
  client.send(chat(R"(,"max_tokens":2)"));
  EXPECT_EQ(client.receive().status, 503);
  open_gate();
  ready_.get_future().wait();
  client.send(get("/ready"));
  EXPECT_EQ(client.receive().status, 200);
  client.send(chat(R"(,"max_tokens":2)"));
  EXPECT_EQ(client.receive().status, 200);
}

TEST_F(Loading, IsNotWaitedForWhenTheServerIsToldToEnd) {
  TestClient idle(server_.port());
  idle.send(get("/ready"));
  EXPECT_EQ(idle.receive().status, 503);
  server_.drain();
  thread_.join();  // though nobody opens the gate
  EXPECT_EQ(ready_.get_future().wait_for(std::chrono::seconds(0)), std::future_status::timeout);
  EXPECT_TRUE(idle.is_closed());
}

TEST(LoadingFailure, EndsTheServerWithItsReason) {
  const std::atomic<bool> gate = true;
  FleetModel broken = slow_model(gate);
  broken.id = "broken";
  broken.load = []() -> std::shared_ptr<LoadedModel> { throw Error("the file is gone"); };
  Server server({slow_model(gate), broken}, test_options());
  bool was_ready = false;
  try {
    server.run([&] { was_ready = true; });
    FAIL() << "it ended as if nothing had happened";
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(), "the file is gone");
  }
  EXPECT_FALSE(was_ready);
}

}  // namespace
}  // namespace touchstone::serve
