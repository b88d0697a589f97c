#include "engine/answer_text.h"

#include <algorithm>
#include <utility>

namespace touchstone {
namespace {

/// How many bytes at the end of `text` begin one of the stop strings.
std::size_t possible_stop(const std::string& text, const std::vector<std::string>& stops) {
  std::size_t longest = 0;
  for (const std::string& stop : stops) {
    for (std::size_t size = std::min(stop.size() - 1, text.size()); size > longest; --size) {
      if (text.compare(text.size() - size, size, stop, 0, size) == 0) longest = size;
    }
  }
  return longest;
}

}  // namespace

AnswerText::AnswerText(const Tokenizer& tokenizer, std::vector<std::string> stops, bool reasoning_opened)
    : decoder_(tokenizer, true), stops_(std::move(stops)), splitter_(reasoning_opened) {
  std::erase(stops_, std::string());
}

std::string AnswerText::push(std::int32_t id) {
  if (stopped_) return {};
  held_ += decoder_.push(id);
  return release(false);
}

std::string AnswerText::finish() {
  if (!stopped_) held_ += decoder_.flush();
  std::string text = release(true);
  const ReasoningText rest = splitter_.flush();
  parts_.reasoning += rest.reasoning;
  parts_.answer += rest.answer;
  parts_.closed = rest.closed;
  return text;
}

std::string AnswerText::release(bool all) {
  if (stopped_) return {};
  // The stop string that is complete first counts, the longest of several that end together: so the cut does
  // not depend on where tokens part.
  std::size_t cut = std::string::npos;
  std::size_t cut_end = std::string::npos;
  for (const std::string& stop : stops_) {
    const std::size_t at = held_.find(stop);
    if (at == std::string::npos) continue;
    const std::size_t end = at + stop.size();
    if (end > cut_end || (end == cut_end && at > cut)) continue;
    cut = at;
    cut_end = end;
    stop_string_ = stop;
  }
  stopped_ = cut != std::string::npos;
  if (!stopped_) cut = held_.size() - (all ? 0 : possible_stop(held_, stops_));
  std::string text = held_.substr(0, cut);
  held_.erase(0, stopped_ ? held_.size() : cut);
  const ReasoningText piece = splitter_.push(text);
  parts_.reasoning += piece.reasoning;
  parts_.answer += piece.answer;
  return text;
}

}  // namespace touchstone
