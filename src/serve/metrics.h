// What Prometheus is told. Thread-safe.
#pragma once

#include <memory>
#include <string>
#include <string_view>

namespace touchstone::serve {

/// What /metrics shows of a model at the moment it is asked.
struct ModelGauges {
  double running = 0, waiting = 0;  // requests
  double kv_blocks_used = 0, kv_blocks = 0;
  double busy_s = 0, forward_s = 0, choosing_s = 0, idle_tokens = 0, evicted_blocks = 0;  // RunnerLoad's
};

/// Durations of one finished request.
struct RequestTimes {
  double ttft_s = 0;  // from the request's arrival to its first token; negative: there was none
  double total_s = 0;
};

class Metrics {
 public:
  Metrics();
  ~Metrics();

  void count_response(std::string_view path, unsigned status);
  void count_rejection(std::string_view cause);  // "queue_full", "invalid_request", "unauthorized", …
  void count_abandoned();                        // the client left before its answer was complete
  void count_tokens(const std::string& model, double prompt, double cached, double generated);
  void count_finish(const std::string& model, const std::string& reason);
  void count_loops(const std::string& model, double count);
  void observe_token_gap(const std::string& model, double seconds);
  void observe_request(const std::string& model, const RequestTimes& times);

  void describe_model(const std::string& model, const std::string& architecture, double load_s);
  void set_loaded(const std::string& model, bool loaded);
  void count_load(const std::string& model);
  void count_unload(const std::string& model);
  void set_model(const std::string& model, const ModelGauges& gauges);
  void set_connections(double count);

  /// The text format 0.0.4.
  std::string serialize() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace touchstone::serve
