#include "serve/background_hashes.h"

#include <spdlog/spdlog.h>

#include <exception>
#include <utility>

namespace touchstone::serve {

void BackgroundHashes::when_known(Then then) {
  {
    const std::scoped_lock lock(mutex_);
    if (start()) {
      waiting_.push_back(std::move(then));
      return;
    }
  }
  then(known_ ? &*known_ : nullptr);  // never changes again
}

std::optional<ModelHashes> BackgroundHashes::look() {
  const std::scoped_lock lock(mutex_);
  start();
  return known_;
}

void BackgroundHashes::stop() {
  std::vector<Then> waiting;
  {
    const std::scoped_lock lock(mutex_);
    if (ended_) return;
    ended_ = true;
    thread_.request_stop();
    waiting = std::exchange(waiting_, {});
  }
  for (const Then& then : waiting) then(nullptr);
}

/// Whether they are being computed. Locked by the caller.
bool BackgroundHashes::start() {
  if (ended_ || thread_.joinable()) return !ended_;
  try {
    thread_ = std::jthread([this](const std::stop_token& stop) { run(stop); });
  } catch (const std::exception& error) {
    spdlog::error("cannot hash {}: {}", model_->id, error.what());
    ended_ = true;
  }
  return !ended_;
}

void BackgroundHashes::run(const std::stop_token& stop) {
  std::optional<ModelHashes> hashes;
  try {
    hashes = hash_model(*model_, stop);
  } catch (const std::exception& error) {
    spdlog::error("cannot hash {}: {}", model_->id, error.what());
  }
  std::vector<Then> waiting;
  {
    const std::scoped_lock lock(mutex_);
    if (ended_) return;
    ended_ = true;
    known_ = std::move(hashes);
    waiting = std::exchange(waiting_, {});
  }
  for (const Then& then : waiting) then(known_ ? &*known_ : nullptr);
}

}  // namespace touchstone::serve
