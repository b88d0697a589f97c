// A request's way from its body to its answer: read, queued, generated, written.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "serve/access.h"
#include "serve/answer_now.h"
#include "serve/dialect.h"
#include "serve/http_server.h"
#include "serve/metrics.h"
#include "serve/model_runner.h"

namespace touchstone::serve {

struct CompletionCall {
  const Dialect* dialect = &kOpenAiChat;
  Caller caller;
  std::string request_id;
  Clock::time_point received;
  std::optional<Clock::time_point> deadline;
  std::chrono::milliseconds ping_interval{0};    // of silence in a stream
  AnswersUnderWay* answers = nullptr;            // where "answer now" finds this one; null: nowhere
  std::shared_ptr<ModelRunner> lease = nullptr;  // keeps the model loaded until the answer is complete
};

/// What the requests to a model are read against.
RequestModel describe_for_requests(const ModelRunner& runner);

/// Has the response's header say what of the request was not understood, if anything.
void name_ignored(const IgnoredFields& ignored, Reply& reply);

/// Reads the body, asks the runner, and has the reply written as the answer grows. Throws RequestError when
/// the body is refused; the reply is then still unanswered. `metrics` must outlive the runner.
void start_completion(const boost::json::object& body, const CompletionCall& call, ModelRunner& runner,
                      Metrics& metrics, Reply& reply);

}  // namespace touchstone::serve
