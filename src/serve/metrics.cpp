#include "serve/metrics.h"

#include <prometheus/counter.h>
#include <prometheus/family.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

#include "engine/model_hashes.h"

namespace touchstone::serve {
namespace {

using prometheus::Counter;
using prometheus::Family;
using prometheus::Gauge;
using prometheus::Histogram;

const Histogram::BucketBoundaries kFirstTokenSeconds = {0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5,
                                                        1,     2.5,  5,     10,   30,  60};
const Histogram::BucketBoundaries kTokenGapSeconds = {0.001, 0.0025, 0.005, 0.01, 0.025, 0.05,
                                                      0.1,   0.25,   0.5,   1,    2.5};
const Histogram::BucketBoundaries kRequestSeconds = {0.05, 0.1, 0.25, 0.5, 1,   2.5, 5,
                                                     10,   30,  60,   120, 300, 600};

}  // namespace

struct Metrics::Impl {
  prometheus::Registry registry;
  Family<Counter>& responses = counters("touchstone_http_responses_total", "Answers by path and status");
  Family<Counter>& rejections = counters("touchstone_rejections_total", "Requests refused, by cause");
  Counter& abandoned =
      counters("touchstone_abandoned_total", "Answers whose client left before they were complete").Add({});
  Family<Counter>& prompt_tokens = counters("touchstone_prompt_tokens_total", "Tokens of prompts");
  Family<Counter>& cached_tokens =
      counters("touchstone_cached_tokens_total", "Tokens of prompts that were in the prefix cache");
  Family<Counter>& generated_tokens = counters("touchstone_generated_tokens_total", "Tokens of answers");
  Family<Counter>& finished = counters("touchstone_finished_total", "Answers by the reason they ended");
  Family<Counter>& loops =
      counters("touchstone_loops_total", "Thinking that went round in circles and was taken back");
  Family<Histogram>& ttft =
      histograms("touchstone_time_to_first_token_seconds", "From a request's arrival to its first token");
  Family<Histogram>& itl =
      histograms("touchstone_inter_token_latency_seconds", "Between two tokens of an answer");
  Family<Histogram>& duration =
      histograms("touchstone_request_duration_seconds", "From a request's arrival to its last token");
  Family<Gauge>& running = gauges("touchstone_requests_running", "Requests in the engine");
  Family<Gauge>& waiting = gauges("touchstone_requests_waiting", "Requests in the queue");
  Family<Gauge>& kv_used = gauges("touchstone_kv_blocks_used", "KV blocks that sequences hold");
  Family<Gauge>& kv_all = gauges("touchstone_kv_blocks", "KV blocks that there are");
  Family<Gauge>& model_info = gauges("touchstone_model_info", "Always 1: a model that is served");
  Family<Gauge>& load_time = gauges("touchstone_model_load_seconds", "What loading the model took");
  Family<Counter>& engine_time = counters(
      "touchstone_engine_seconds_total",
      "What the engine's thread spends on requests: in the model, in choosing tokens, and in all the rest");
  Family<Counter>& idle_tokens =
      counters("touchstone_idle_prefill_tokens_total", "Computed ahead of the next turn of a conversation");
  Family<Counter>& evictions = counters("touchstone_kv_blocks_evicted_total",
                                        "KV blocks of the prefix cache that were given to others");
  Family<Gauge>& loaded = gauges("touchstone_model_loaded", "Whether the model is in memory: 1, or 0");
  Family<Counter>& loads = counters("touchstone_model_loads_total", "Times that the model was loaded");
  Family<Counter>& unloads =
      counters("touchstone_model_unloads_total", "Times that the model gave way to another one");
  Gauge& connections = gauges("touchstone_connections", "Open connections").Add({});

  Impl() {
    gauges("touchstone_build_info", "Always 1: the program").Add({{"version", engine_version()}}).Set(1);
  }
  Family<Counter>& counters(const char* name, const char* help) {
    return prometheus::BuildCounter().Name(name).Help(help).Register(registry);
  }
  Family<Gauge>& gauges(const char* name, const char* help) {
    return prometheus::BuildGauge().Name(name).Help(help).Register(registry);
  }
  Family<Histogram>& histograms(const char* name, const char* help) {
    return prometheus::BuildHistogram().Name(name).Help(help).Register(registry);
  }
};

Metrics::Metrics() : impl_(std::make_unique<Impl>()) {}
Metrics::~Metrics() = default;

void Metrics::count_response(std::string_view path, unsigned status) {
  impl_->responses.Add({{"path", std::string(path)}, {"status", std::to_string(status)}}).Increment();
}
void Metrics::count_rejection(std::string_view cause) {
  impl_->rejections.Add({{"cause", std::string(cause)}}).Increment();
}
void Metrics::count_abandoned() { impl_->abandoned.Increment(); }
void Metrics::count_tokens(const std::string& model, double prompt, double cached, double generated) {
  impl_->prompt_tokens.Add({{"model", model}}).Increment(prompt);
  impl_->cached_tokens.Add({{"model", model}}).Increment(cached);
  impl_->generated_tokens.Add({{"model", model}}).Increment(generated);
}
void Metrics::count_finish(const std::string& model, const std::string& reason) {
  impl_->finished.Add({{"model", model}, {"reason", reason}}).Increment();
}
void Metrics::count_loops(const std::string& model, double count) {
  impl_->loops.Add({{"model", model}}).Increment(count);
}
void Metrics::observe_token_gap(const std::string& model, double seconds) {
  impl_->itl.Add({{"model", model}}, kTokenGapSeconds).Observe(seconds);
}
void Metrics::observe_request(const std::string& model, const RequestTimes& times) {
  if (times.ttft_s >= 0) impl_->ttft.Add({{"model", model}}, kFirstTokenSeconds).Observe(times.ttft_s);
  impl_->duration.Add({{"model", model}}, kRequestSeconds).Observe(times.total_s);
}
void Metrics::describe_model(const std::string& model, const std::string& architecture, double load_s) {
  impl_->model_info.Add({{"model", model}, {"architecture", architecture}}).Set(1);
  impl_->load_time.Add({{"model", model}}).Set(load_s);
  // Shows the series before the first request.
  count_tokens(model, 0, 0, 0);
  count_loops(model, 0);
  impl_->unloads.Add({{"model", model}});
}
void Metrics::set_loaded(const std::string& model, bool loaded) {
  impl_->loaded.Add({{"model", model}}).Set(loaded ? 1 : 0);
}
void Metrics::count_load(const std::string& model) { impl_->loads.Add({{"model", model}}).Increment(); }
void Metrics::count_unload(const std::string& model) { impl_->unloads.Add({{"model", model}}).Increment(); }
void Metrics::set_model(const std::string& model, const ModelGauges& gauges) {
  impl_->running.Add({{"model", model}}).Set(gauges.running);
  impl_->waiting.Add({{"model", model}}).Set(gauges.waiting);
  impl_->kv_used.Add({{"model", model}}).Set(gauges.kv_blocks_used);
  impl_->kv_all.Add({{"model", model}}).Set(gauges.kv_blocks);
  const auto raise = [](Counter& counter, double value) { counter.Increment(value - counter.Value()); };
  const auto raise_time = [&](const char* part, double seconds) {
    raise(impl_->engine_time.Add({{"model", model}, {"part", part}}), seconds);
  };
  raise_time("model", gauges.forward_s);
  raise_time("choosing", gauges.choosing_s);
  raise_time("rest", gauges.busy_s - gauges.forward_s - gauges.choosing_s);
  raise(impl_->idle_tokens.Add({{"model", model}}), gauges.idle_tokens);
  raise(impl_->evictions.Add({{"model", model}}), gauges.evicted_blocks);
}
void Metrics::set_connections(double count) { impl_->connections.Set(count); }

std::string Metrics::serialize() const {
  return prometheus::TextSerializer().Serialize(impl_->registry.Collect());
}

}  // namespace touchstone::serve
