// Paths -> what they do.
#pragma once

#include <atomic>
#include <boost/asio/thread_pool.hpp>
#include <chrono>
#include <memory>
#include <string>
#include <string_view>

#include "serve/access.h"
#include "serve/answer_now.h"
#include "serve/http_server.h"
#include "serve/metrics.h"
#include "serve/model_fleet.h"

namespace touchstone::serve {

/// From the open port to the end; only forwards, though loading may be followed by draining.
enum class ServerState { loading, ready, draining };

/// What the routes work on. Used on the I/O thread; bodies are read on threads of their own, so that a long
/// prompt holds up no stream, nor a very long one the others.
struct Api {
  Metrics metrics;
  AccessRules rules;
  std::unique_ptr<ModelFleet> fleet;  // its first model answers requests that name none
  AnswersUnderWay answers;
  ServerState state = ServerState::loading;
  double num_connections = 0;
  std::chrono::milliseconds ping_interval{0};  // ServerOptions'
  boost::asio::thread_pool worker{1}, long_worker{1};
};

void handle_request(Api& api, HttpRequest request, Reply reply);

/// An error's body in the form of the API that the path belongs to.
std::string format_error_for(std::string_view path, const HttpError& error);

/// The path as a metric's label: one of ours, or "other".
std::string_view path_label(std::string_view path);

}  // namespace touchstone::serve
