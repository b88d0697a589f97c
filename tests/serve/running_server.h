// A server over the built-in pair in this process.
#pragma once

#include <gtest/gtest.h>
#include <spdlog/spdlog.h>

#include <chrono>
#include <future>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "http_client.h"
#include "serve/server.h"

namespace touchstone::serve {

/// Makes the logger before there are threads: the thread sanitizer does not see the guard of its first use,
/// which is in a library that it has not compiled.
inline const bool kLoggerIsMade = spdlog::default_logger_raw() != nullptr;

inline std::shared_ptr<LoadedModel> load_demo(const std::string& name) {
  LoadOptions options;
  options.num_threads = 1;
  return std::make_shared<LoadedModel>(load_model("demo:" + name, options));
}

/// Small enough for a test.
inline ServerOptions test_options() {
  ServerOptions options;
  options.port = 0;
  options.runner.engine.max_batch = 8;
  options.runner.engine.context_tokens = 16384;
  options.drain_seconds = 20;
  return options;
}

/// Runs the server on a thread of its own, and waits until it is ready.
inline std::thread run_in_background(Server& server) {
  const auto ready = std::make_shared<std::promise<void>>();
  std::thread thread([&server, ready] { server.run([ready] { ready->set_value(); }); });
  ready->get_future().wait();
  return thread;
}

class RunningServer {
 public:
  explicit RunningServer(const ServerOptions& options = test_options())
      : server_({load_demo("distilled"), load_demo("native")}, options),
        thread_(run_in_background(server_)) {}
  RunningServer(std::vector<FleetModel> models, const ServerOptions& options)
      : server_(std::move(models), options), thread_(run_in_background(server_)) {}
  ~RunningServer() {
    if (thread_.joinable()) stop();
  }
  Server* operator->() { return &server_; }
  std::uint16_t port() const { return server_.port(); }
  /// Drains and waits for the end.
  void stop() {
    server_.drain();
    thread_.join();
  }
  TestResponse ask(std::string_view request) const { return serve::ask(port(), request); }

  /// A sample of /metrics; -1 when it is not there.
  double metric(const std::string& sample, const std::string& headers = {}) const {
    const std::string text = "\n" + ask(get("/metrics", headers)).body;
    const std::size_t at = text.find("\n" + sample + " ");
    return at == std::string::npos ? -1 : std::stod(text.substr(at + sample.size() + 2));
  }
  /// Waits until the first model's engine and queue hold so many requests.
  ::testing::AssertionResult wait_for_load(double running, double waiting) const {
    double now_running = -1, now_waiting = -1;
    for (int i = 0; i < 3000; ++i) {
      now_running = metric("touchstone_requests_running{model=\"demo:distilled\"}");
      now_waiting = metric("touchstone_requests_waiting{model=\"demo:distilled\"}");
      if (now_running == running && now_waiting == waiting) return ::testing::AssertionSuccess();
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    return ::testing::AssertionFailure() << now_running << " run and " << now_waiting << " wait";
  }

 private:
  Server server_;
  std::thread thread_;
};

inline TestResponse ask_chat(const RunningServer& server, const boost::json::object& body) {
  return server.ask(post("/v1/chat/completions", boost::json::serialize(body)));
}

/// Small models wander in strings and lists: with this logit_bias they come to an end.
inline boost::json::object favour_ends(const RunningServer& server) {
  boost::json::object bias;
  for (const char* text : {"\"", "}", "]"}) {
    const boost::json::object body = {{"text", text}};
    const auto ids = server.ask(post("/tokenize", boost::json::serialize(body))).json().at("ids").as_array();
    if (ids.size() == 1) bias[std::to_string(ids[0].as_int64())] = 9;
  }
  return bias;
}

/// A request that goes on for as long as its client stays, for all that a test can tell.
inline std::string long_request(bool stream) {
  return post(
      "/v1/chat/completions",
      std::string(R"({"messages":[{"role":"user","content":"hi"}],"n":128,"ignore_eos":true,"stream":)") +
          (stream ? "true}" : "false}"));
}

}  // namespace touchstone::serve
