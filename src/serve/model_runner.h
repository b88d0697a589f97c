// One model's engine on a thread of its own, and the queue before it. Thread-safe.
#pragma once

#include <chrono>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/engine.h"
#include "engine/prompt.h"
#include "serve/answer_now.h"
#include "serve/background_hashes.h"

namespace touchstone::serve {

struct RunnerOptions {
  EngineOptions engine;          // max_batch: the samples that are answered at once
  std::int32_t max_queue = 128;  // requests that wait; more are refused
};

struct RunnerLoad {
  std::int32_t running = 0, waiting = 0;  // requests: in the engine, and admitted but not yet there
  std::int32_t used_blocks = 0, num_blocks = 0;
  // What the engine's thread has spent on requests, in the model's passes, and in choosing tokens.
  double busy_s = 0, forward_s = 0, choosing_s = 0;
  std::int64_t idle_tokens = 0;     // of texts that prefill_when_idle() has computed
  std::int64_t evicted_blocks = 0;  // from the prefix cache, for others
};

/// A text that a later request will begin with.
struct ExpectedPrompt {
  std::function<std::vector<std::int32_t>(const Prompter&)> make_ids;  // on the engine's thread; may throw
  std::string cache_salt;                                              // the later request's
};

/// What an answer is asked for. The callbacks run on the engine's thread; exactly one of on_done and on_error
/// ends the job. They must not throw.
struct Job {
  GenerateRequest request;
  std::uint64_t tenant = 0;                     // requests of different tenants take turns
  std::function<bool()> abandoned;              // asked before each step, also in the queue: nobody waits
  std::shared_ptr<const AnswerNow> answer_now;  // looked at before each step; null: never
  std::function<void(GenerateResult)> on_done;
  std::function<void(std::exception_ptr)> on_error;
};

class ModelRunner {
 public:
  ModelRunner(std::shared_ptr<LoadedModel> model, const RunnerOptions& options);
  /// Cancels what is under way.
  ~ModelRunner();
  ModelRunner(const ModelRunner&) = delete;
  ModelRunner& operator=(const ModelRunner&) = delete;

  const LoadedModel& model() const;
  const Prompter& prompter() const;
  std::int32_t max_sequence_tokens() const;
  BackgroundHashes& hashes() const;

  /// A place among those that run or wait, given back when the last copy goes; nothing when all are taken.
  using Place = std::shared_ptr<void>;
  Place take_place();
  /// Seconds after which a refused client may find a place.
  int seconds_to_retry() const;

  void submit(Place place, Job job);
  /// Computes the text's keys and values when no request has been there for a moment; the first one that
  /// comes interrupts it, until it is quiet again. Of many texts the newest are kept.
  void prefill_when_idle(ExpectedPrompt prompt);
  /// Ends all jobs as cancelled, now and from now on; hashes that are not known yet cannot be had any more.
  void cancel_all();
  RunnerLoad load() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace touchstone::serve
