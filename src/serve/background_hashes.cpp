#include "serve/background_hashes.h"

#include <utility>

namespace touchstone::serve {

void BackgroundHashes::when_known(Then then) {
  {
    const std::scoped_lock lock(mutex_);
    if (!known_) {
      waiting_.push_back(std::move(then));
      if (!thread_.joinable()) thread_ = std::jthread([this](const std::stop_token& stop) { run(stop); });
      return;
    }
  }
  then(*known_);  // never changes again
}

void BackgroundHashes::run(const std::stop_token& stop) {
  ModelHashes hashes = hash_model(*model_, stop);
  if (stop.stop_requested()) return;
  std::vector<Then> waiting;
  {
    const std::scoped_lock lock(mutex_);
    known_ = std::move(hashes);
    waiting = std::exchange(waiting_, {});
  }
  for (const Then& then : waiting) then(*known_);
}

}  // namespace touchstone::serve
