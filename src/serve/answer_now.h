// "Answer now": a client's wish that the thinking of an answer under way ends.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

namespace touchstone::serve {

/// Set: whoever makes the answer is to close its thinking.
using AnswerNow = std::atomic<bool>;

/// The answers under way, by their ids. Thread-safe.
class AnswersUnderWay {
 public:
  /// Of the user of one key; under way for as long as somebody holds what this returns.
  std::shared_ptr<AnswerNow> add(std::string id, std::uint64_t tenant);
  /// False when the tenant has no such answer.
  bool answer_now(std::string_view id, std::uint64_t tenant);

 private:
  struct Entry {
    std::string id;  // clients may choose theirs: not always unique
    std::uint64_t tenant;
    std::weak_ptr<AnswerNow> wish;
  };
  std::mutex mutex_;
  std::vector<Entry> entries_;
};

}  // namespace touchstone::serve
