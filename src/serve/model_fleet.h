// The models that a server knows, of which as many are loaded as the memory holds. Thread-safe.
#pragma once

#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "serve/metrics.h"
#include "serve/model_runner.h"

namespace touchstone::serve {

/// A model as it is known before it is loaded.
struct FleetModel {
  std::string id;                      // what clients call it
  std::vector<std::string> other_ids;  // further names of the same file: they share its weights
  std::function<std::shared_ptr<LoadedModel>()> load;  // may take seconds, and throw
  EngineOptions engine;
  std::uint64_t bytes = 0;  // that it takes while it is loaded
  std::int32_t max_sequence_tokens = 0;
};

/// Loads models on a thread of its own. At the start those that fit, in their order, so that their first
/// answers are as fast as all others; the rest when they are first asked for, in place of the least recently
/// used ones that nobody uses.
class ModelFleet {
 public:
  /// Holds a model in memory; the last one may go on any thread.
  using Lease = std::shared_ptr<ModelRunner>;
  /// Why a model cannot be had.
  enum class Refusal {
    busy,    // it would fit if others were not in use
    full,    // too many wait for it already
    ending,  // the server ends
    failed,  // its files cannot be loaded; the log says why
  };
  struct Waiter {
    std::function<bool()> is_gone;             // nobody waits for the answer any more
    std::function<void(Lease, Refusal)> take;  // the refusal counts where the lease is null
  };

  /// Loads nothing yet. `budget`: bytes of all models that are loaded at one time. `metrics` must outlive the
  /// fleet.
  ModelFleet(std::vector<FleetModel> models, const RunnerOptions& options, std::uint64_t budget,
             Metrics& metrics);
  ~ModelFleet();
  ModelFleet(const ModelFleet&) = delete;
  ModelFleet& operator=(const ModelFleet&) = delete;

  /// Begins to load, once. When the first models are there, or one of them failed, calls `on_loaded` with
  /// null or what that one threw, on the loading thread.
  void start_loading(std::function<void(std::exception_ptr)> on_loaded);

  const std::vector<FleetModel>& models() const;
  /// The place among models() of the one of this name, or of the first for an empty name; -1: there is none.
  int find(const std::string& name) const;
  /// Whether it fits into the budget when it is alone.
  bool can_fit(int model) const;
  /// Null while it is not loaded. Counts as a use.
  Lease lease(int model);
  /// Calls `view` with the runner, if the model is loaded; is no use of it.
  void look(int model, const std::function<void(const ModelRunner&)>& view) const;
  /// What there is now, and what has been counted since the start, however often the model was unloaded.
  RunnerLoad load(int model) const;
  /// Has the model loaded if it is not, and has `waiter` take it once, on the loading thread or this one. One
  /// that is gone may be forgotten instead, and where all are, the model is not loaded.
  void wait_for(int model, Waiter waiter);

  /// Has the model unloaded as soon as nobody uses it, unless somebody comes for it before.
  void unload(int model);

  /// Ends all jobs of the loaded models as cancelled, and refuses all who wait.
  void cancel_all();
  /// Ends the loading thread when the model that it is loading is there; those who wait are refused.
  void stop_loading();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace touchstone::serve
