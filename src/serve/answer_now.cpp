#include "serve/answer_now.h"

#include <utility>

namespace touchstone::serve {

std::shared_ptr<AnswerNow> AnswersUnderWay::add(std::string id, std::uint64_t tenant) {
  auto wish = std::make_shared<AnswerNow>(false);
  const std::scoped_lock lock(mutex_);
  std::erase_if(entries_, [](const Entry& entry) { return entry.wish.expired(); });
  entries_.push_back({std::move(id), tenant, wish});
  return wish;
}

bool AnswersUnderWay::answer_now(std::string_view id, std::uint64_t tenant) {
  const std::scoped_lock lock(mutex_);
  bool found = false;
  for (const Entry& entry : entries_) {
    if (entry.id != id || entry.tenant != tenant) continue;
    if (const auto wish = entry.wish.lock()) found = *wish = true;
  }
  return found;
}

}  // namespace touchstone::serve
