// A model's hashes, computed beside its engine when somebody first asks for them.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "engine/model_hashes.h"

namespace touchstone::serve {

/// Thread-safe.
class BackgroundHashes {
 public:
  explicit BackgroundHashes(std::shared_ptr<const LoadedModel> model) : model_(std::move(model)) {}
  BackgroundHashes(const BackgroundHashes&) = delete;
  BackgroundHashes& operator=(const BackgroundHashes&) = delete;
  /// Drops those that wait.
  ~BackgroundHashes() = default;

  using Then = std::function<void(const ModelHashes*)>;  // null: they cannot be had
  /// Calls `then` once: now where the hashes are known or cannot be had, else later, on a thread of its own.
  /// It must not throw.
  void when_known(Then then);
  /// Has them computed if they are not known.
  std::optional<ModelHashes> look();
  /// From now on hashes that are not known yet cannot be had: those that wait are told so.
  void stop();

 private:
  bool start();
  void run(const std::stop_token& stop);

  std::shared_ptr<const LoadedModel> model_;
  std::mutex mutex_;
  std::optional<ModelHashes> known_;
  std::vector<Then> waiting_;
  bool ended_ = false;   // they are known, or cannot be had
  std::jthread thread_;  // last: it uses the others until it has ended
};

}  // namespace touchstone::serve
