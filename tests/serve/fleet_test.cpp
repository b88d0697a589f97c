// Several models in one server, within a memory budget that does not hold them all.
#include <gmock/gmock.h>

#include <atomic>
#include <chrono>
#include <thread>

#include "base/error.h"
#include "running_server.h"

namespace touchstone::serve {
namespace {

using ::testing::HasSubstr;

constexpr const char* kFirst = "demo:distilled";
constexpr const char* kSecond = "demo:native";

/// The built-in pair, each of which takes `bytes`; loading takes `pause` longer than it needs.
std::vector<FleetModel> pair_of(std::uint64_t bytes, std::chrono::milliseconds pause = {}) {
  std::vector<FleetModel> models;
  for (const std::string name : {"distilled", "native"}) {
    models.push_back({.id = "demo:" + name,
                      .other_ids = {},
                      .load =
                          [name, pause] {
                            std::this_thread::sleep_for(pause);
                            return load_demo(name);
                          },
                      .engine = test_options().runner.engine,
                      .bytes = bytes,
                      .max_sequence_tokens = 512});
  }
  return models;
}

class FleetServer {
 public:
  FleetServer(std::vector<FleetModel> models, std::uint64_t budget)
      : server_(std::move(models), with_budget(budget)), thread_(run_in_background(server_)) {}
  ~FleetServer() {
    server_.drain();
    thread_.join();
  }
  std::uint16_t port() const { return server_.port(); }
  TestResponse ask(std::string_view request) const { return serve::ask(port(), request); }
  double metric(const std::string& sample) const {
    const std::string text = "\n" + ask(get("/metrics")).body;
    const std::size_t at = text.find("\n" + sample + " ");
    return at == std::string::npos ? -1 : std::stod(text.substr(at + sample.size() + 2));
  }
  double metric_of(const std::string& name, const std::string& model) const {
    return metric(name + "{model=\"" + model + "\"}");
  }
  bool is_loaded(const std::string& model) const {
    return ask(get("/v1/models/" + model)).json().at("touchstone").at("loaded").as_bool();
  }

 private:
  static ServerOptions with_budget(std::uint64_t budget) {
    ServerOptions options = test_options();
    options.drain_seconds = 0.1;
    options.memory_budget = budget;
    return options;
  }
  Server server_;
  std::thread thread_;
};

std::string chat_with(const std::string& model, const std::string& more = R"(,"max_tokens":3)") {
  return post("/v1/chat/completions", R"({"model":")" + model +
                                          R"(","messages":[{"role":"user","content":"What is 3 times 4?"}])" +
                                          more + "}");
}

TEST(Fleet, ModelsThatFitTogetherAreLoadedAtTheStart) {
  const FleetServer server(pair_of(1), 2);
  EXPECT_TRUE(server.is_loaded(kFirst));
  EXPECT_TRUE(server.is_loaded(kSecond));
  EXPECT_EQ(server.ask(chat_with(kSecond)).status, 200);
  EXPECT_EQ(server.metric_of("touchstone_model_loads_total", kSecond), 1);
}

TEST(Fleet, AModelIsLoadedWhenItIsAskedForInPlaceOfTheOneThatNobodyUses) {
  const FleetServer server(pair_of(1), 1);
  EXPECT_TRUE(server.is_loaded(kFirst));
  EXPECT_FALSE(server.is_loaded(kSecond));
  const TestResponse first = server.ask(chat_with(kFirst, R"(,"max_tokens":8,"seed":1)"));
  ASSERT_EQ(first.status, 200);
  ASSERT_EQ(server.ask(chat_with(kSecond)).status, 200);
  EXPECT_FALSE(server.is_loaded(kFirst));
  EXPECT_TRUE(server.is_loaded(kSecond));
  EXPECT_EQ(server.metric_of("touchstone_model_unloads_total", kFirst), 1);
  EXPECT_EQ(server.metric_of("touchstone_model_loaded", kFirst), 0);
  EXPECT_EQ(server.metric_of("touchstone_model_loaded", kSecond), 1);
  const TestResponse again = server.ask(chat_with(kFirst, R"(,"max_tokens":8,"seed":1)"));
  ASSERT_EQ(again.status, 200);
  EXPECT_EQ(again.json().at("choices"), first.json().at("choices"));
  EXPECT_EQ(server.metric_of("touchstone_model_loads_total", kFirst), 2);
}

TEST(Fleet, OllamasListOfRunningModelsHoldsThoseThatAreLoaded) {
  const FleetServer server(pair_of(1), 1);
  const auto running = [&] { return server.ask(get("/api/ps")).json().at("models").as_array(); };
  ASSERT_EQ(running().size(), 1U);
  const boost::json::value first = running().at(0);
  EXPECT_EQ(first.at("name").as_string(), kFirst);
  EXPECT_EQ(first.at("model").as_string(), kFirst);
  EXPECT_GT(first.at("size").to_number<double>(), 0);
  EXPECT_GT(first.at("context_length").as_int64(), 0);
  EXPECT_EQ(first.at("details").at("family"), "qwen2");
  ASSERT_EQ(server.ask(chat_with(kSecond)).status, 200);
  ASSERT_EQ(running().size(), 1U);
  EXPECT_EQ(running().at(0).at("name").as_string(), kSecond);
}

TEST(Fleet, WhatIsCountedOfAModelStaysAndGoesOnGrowingWhenItIsUnloadedAndLoadedAgain) {
  const FleetServer server(pair_of(1), 1);
  const auto model_seconds = [&] {
    return server.metric("touchstone_engine_seconds_total{model=\"demo:distilled\",part=\"model\"}");
  };
  ASSERT_EQ(server.ask(chat_with(kFirst, R"(,"max_tokens":64,"ignore_eos":true)")).status, 200);
  ASSERT_EQ(server.ask(chat_with(kSecond)).status, 200);
  ASSERT_FALSE(server.is_loaded(kFirst));
  const double unloaded = model_seconds();
  EXPECT_GT(unloaded, 0);
  ASSERT_EQ(server.ask(chat_with(kFirst, R"(,"max_tokens":1)")).status, 200);
  ASSERT_EQ(server.ask(chat_with(kSecond)).status, 200);  // now it has counted all that it did
  EXPECT_GT(model_seconds(), unloaded);
}

TEST(Fleet, WhoHasReadAnAnswersEndIsNotToldThatItsModelIsBusy) {
  const FleetServer server(pair_of(1), 1);
  for (int i = 0; i < 10; ++i) {
    EXPECT_EQ(server.ask(chat_with(kSecond)).status, 200);
    EXPECT_EQ(server.ask(chat_with(kFirst)).status, 200);
  }
  EXPECT_EQ(server.metric("touchstone_rejections_total{cause=\"models_busy\"}"), -1);
}

/// Whether the model is unloaded within a while.
::testing::AssertionResult goes(const FleetServer& server, const std::string& model) {
  for (int i = 0; i < 3000 && server.is_loaded(model); ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return server.is_loaded(model) ? ::testing::AssertionFailure() << model << " stays"
                                 : ::testing::AssertionSuccess();
}

TEST(Fleet, OllamasKeepAliveOfZeroUnloadsTheModelBehindTheAnswer) {
  const FleetServer server(pair_of(1), 2);
  const std::string begin = R"({"model":"demo:native","options":{"num_predict":3},)";
  const std::string asked = R"("prompt":"hi","messages":[{"role":"user","content":"hi"}],)";
  int loads = 0;
  for (const std::string keep_alive : {"0", "\"0\"", "\"0s\"", "0.0"}) {
    for (const std::string path : {"/api/generate", "/api/chat"}) {
      SCOPED_TRACE(path + keep_alive);
      const TestResponse answer =
          server.ask(post(path, begin + asked + R"("stream":false,"keep_alive":)" + keep_alive + "}"));
      EXPECT_EQ(answer.status, 200);
      EXPECT_EQ(answer.json().at("eval_count"), 3);
      EXPECT_EQ(answer.header("x-touchstone-ignored").find("keep_alive"), std::string::npos);
      EXPECT_TRUE(goes(server, kSecond));
      EXPECT_EQ(server.metric_of("touchstone_model_loads_total", kSecond), ++loads);
    }
  }
  EXPECT_TRUE(server.is_loaded(kFirst));
}

TEST(Fleet, OllamasKeepAliveOfZeroThatAsksNothingUnloadsTheModelAndLoadsNone) {
  const FleetServer server(pair_of(1), 2);
  for (const std::string path : {"/api/generate", "/api/chat"}) {
    const std::string body = R"({"model":"demo:native","keep_alive":)";
    for (int again = 0; again < 2; ++again) {
      const TestResponse answer = server.ask(post(path, body + "0}"));
      EXPECT_EQ(answer.status, 200);
      EXPECT_EQ(answer.json().at("done_reason"), "unload");
      EXPECT_TRUE(goes(server, kSecond));
    }
    EXPECT_EQ(server.ask(post(path, body + "\"5m\"}")).json().at("done_reason"), "load");
    EXPECT_TRUE(server.is_loaded(kSecond));
  }
  EXPECT_EQ(server.metric_of("touchstone_model_loads_total", kSecond), 3);
}

TEST(Fleet, AModelInUseIsUnloadedByWishOnlyWhenItsAnswersAreThere) {
  const FleetServer server(pair_of(1), 2);
  TestClient busy(server.port());
  busy.send(long_request(true));
  ASSERT_TRUE(busy.wait_for("data: "));
  const std::string unload = post("/api/chat", R"({"model":"demo:distilled","keep_alive":0})");
  ASSERT_EQ(server.ask(unload).status, 200);
  EXPECT_EQ(server.ask(chat_with(kSecond)).status, 200);
  EXPECT_TRUE(server.is_loaded(kFirst));
  busy.leave();
  EXPECT_TRUE(goes(server, kFirst));
}

TEST(Fleet, TextIsTokenizedByAModelThatHasToBeLoadedFirst) {
  const FleetServer server(pair_of(1), 1);
  const TestResponse ids =
      server.ask(post("/tokenize", R"({"model":"demo:native","text":"Tom has 3 pens"})"));
  ASSERT_EQ(ids.status, 200);
  EXPECT_GT(ids.json().at("count").as_int64(), 0);
}

TEST(Fleet, AModelInUseIsNotUnloadedAndTheOtherOneIsRefused) {
  const FleetServer server(pair_of(1), 1);
  TestClient busy(server.port());
  busy.send(long_request(true));
  ASSERT_TRUE(busy.wait_for("data: "));
  const TestResponse refused = server.ask(chat_with(kSecond));
  EXPECT_EQ(refused.status, 503);
  EXPECT_GE(std::stoi(refused.header("retry-after")), 1);
  EXPECT_EQ(refused.json().at("error").at("code"), "models_busy");
  EXPECT_EQ(server.metric("touchstone_rejections_total{cause=\"models_busy\"}"), 1);
  EXPECT_TRUE(server.is_loaded(kFirst));
  busy.leave();
  TestResponse served = server.ask(chat_with(kSecond));
  for (int i = 0; i < 3000 && served.status == 503; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
    served = server.ask(chat_with(kSecond));
  }
  EXPECT_EQ(served.status, 200);
}

TEST(Fleet, AModelThatCanNeverFitIsRefusedAtOnce) {
  std::vector<FleetModel> models = pair_of(1);
  models.back().bytes = 5;
  const FleetServer server(std::move(models), 2);
  const TestResponse refused = server.ask(chat_with(kSecond));
  EXPECT_EQ(refused.status, 400);
  EXPECT_EQ(refused.json().at("error").at("code"), "model_too_large");
  EXPECT_TRUE(server.is_loaded(kFirst));
}

TEST(Fleet, RequestsForAModelThatIsBeingLoadedWaitForItAndItIsLoadedOnce) {
  const FleetServer server(pair_of(1, std::chrono::milliseconds(300)), 1);
  std::vector<TestClient> clients;
  for (int i = 0; i < 4; ++i) {
    clients.emplace_back(server.port());
    ASSERT_TRUE(clients.back().send(chat_with(kSecond)));
  }
  for (TestClient& client : clients) EXPECT_EQ(client.receive().status, 200);
  EXPECT_EQ(server.metric_of("touchstone_model_loads_total", kSecond), 1);
}

TEST(Fleet, ARequestWhoseTimeEndsWhileItsModelIsBeingLoadedGets504) {
  const FleetServer server(pair_of(1, std::chrono::milliseconds(300)), 1);
  EXPECT_EQ(server.ask(chat_with(kSecond, R"(,"timeout":0.05)")).status, 504);
}

TEST(Fleet, AModelThatCannotBeLoadedLeavesTheOthersServed) {
  std::vector<FleetModel> models = pair_of(1);
  models.back().load = []() -> std::shared_ptr<LoadedModel> { throw Error("the file is gone"); };
  const FleetServer server(std::move(models), 1);
  EXPECT_EQ(server.ask(chat_with(kSecond)).status, 500);
  EXPECT_EQ(server.ask(chat_with(kSecond)).status, 500);  // the room that it was given is free again
  EXPECT_EQ(server.ask(chat_with(kFirst)).status, 200);
}

TEST(Fleet, AFurtherNameOfTheSameFileSharesItsWeights) {
  std::vector<FleetModel> models = pair_of(1);
  models.pop_back();
  models.front().other_ids = {"alias"};
  const FleetServer server(std::move(models), 1);
  EXPECT_EQ(server.ask(chat_with("alias")).status, 200);
  EXPECT_EQ(server.metric_of("touchstone_model_loads_total", kFirst), 1);
  EXPECT_THAT(server.ask(get("/v1/models")).body, HasSubstr("alias"));
}

TEST(Fleet, TheServerEndsWhileAModelIsBeingLoaded) {
  TestClient* waiting = nullptr;
  std::unique_ptr<TestClient> client;
  {
    const FleetServer server(pair_of(1, std::chrono::milliseconds(300)), 1);
    client = std::make_unique<TestClient>(server.port());
    waiting = client.get();
    waiting->send(chat_with(kSecond));
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
  const int status = waiting->receive().status;
  EXPECT_TRUE(status == 200 || status == 503 || status == 0) << status;
}

}  // namespace
}  // namespace touchstone::serve
