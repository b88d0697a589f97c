// serve/: an OpenAI-compatible HTTP server over one or several models. Enter here.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "engine/engine.h"
#include "serve/http_server.h"
#include "serve/model_fleet.h"

namespace touchstone::serve {

struct ServerOptions {
  std::string host = "127.0.0.1";
  std::uint16_t port = 7860;                 // 0: any that is free
  std::filesystem::path api_key_file;        // empty: everybody may use it
  std::filesystem::path tls_cert, tls_key;   // PEM; both or none
  std::vector<std::string> allowed_origins;  // of web pages, besides the server's own
  RunnerOptions runner;                      // for each model
  std::uint64_t memory_budget = 0;           // bytes of the models that are loaded at one time
  HttpLimits limits;
  std::chrono::milliseconds ping_interval{15'000};  // of silence in a stream, after which it says something
  double drain_seconds = 30;                        // what is under way may take so long after drain()
};

/// From now on SIGINT, SIGTERM and SIGHUP wait for a server's handle_signals(): none ends a process that has
/// only begun. To be called before threads are started.
void hold_signals();

/// Connections are served on run()'s thread; two more read requests, one loads models, and each loaded model
/// has its own, with one that hashes its files when somebody asks for that.
class Server {
 public:
  /// Listens already; what comes is answered while run() runs. Throws Error: names that are not unique, files
  /// that cannot be read, a port that is taken.
  Server(std::vector<FleetModel> models, const ServerOptions& options);
  /// Models that are loaded, and stay so.
  Server(const std::vector<std::shared_ptr<LoadedModel>>& models, const ServerOptions& options);
  /// Waits for the end of what is being loaded.
  ~Server();

  std::uint16_t port() const;
  bool is_loopback() const;
  /// Loads the models that fit on a thread, and serves on this one until all is drained. Until `on_ready`,
  /// which is called when they are there, requests that need models get 503. Throws what loading throws.
  void run(std::function<void()> on_ready = {});
  /// The first SIGINT or SIGTERM drains, the second ends the process with status 130; SIGHUP reads the keys
  /// again. Those that hold_signals() has held back count, too.
  void handle_signals();

  // These from any thread.
  /// /ready turns 503, nothing new is begun, and run() returns when the last answer has been sent, or has
  /// been cut off after drain_seconds.
  void drain();
  /// Reads the key file again. If that fails the old keys stay, and the log says why.
  void reload_keys();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace touchstone::serve
