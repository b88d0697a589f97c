#include "text/reasoning.h"

#include <algorithm>

namespace touchstone {
namespace {

constexpr std::string_view kOpener = "<think>";
constexpr std::string_view kCloser = "</think>";
constexpr std::string_view kLineBreaks = "\r\n";
constexpr std::string_view kBlanks = " \t\r\n";

/// The length of the longest end of `text` that begins `tag`, the whole tag aside.
std::size_t partial_tag(std::string_view text, std::string_view tag) {
  for (std::size_t size = std::min(text.size(), tag.size() - 1); size > 0; --size) {
    if (text.substr(text.size() - size) == tag.substr(0, size)) return size;
  }
  return 0;
}

std::string_view drop_breaks_before(std::string_view text) {
  return text.substr(std::min(text.find_first_not_of(kLineBreaks), text.size()));
}

std::string_view drop_breaks_behind(std::string_view text) {
  const std::size_t last = text.find_last_not_of(kLineBreaks);
  return text.substr(0, last == std::string_view::npos ? 0 : last + 1);
}

}  // namespace

ReasoningSplitter::ReasoningSplitter(bool opened) : opened_(opened) {}

bool ReasoningSplitter::in_reasoning() const {
  return state_ == State::thinking || (state_ == State::before && opened_);
}

void ReasoningSplitter::read_beginning(bool at_end) {
  const std::size_t first = std::min(pending_.find_first_not_of(kBlanks), pending_.size());
  const std::string_view text = std::string_view(pending_).substr(first);
  if (text.substr(0, kOpener.size()) == kOpener) {
    pending_.erase(0, first + kOpener.size());
    state_ = State::thinking;
    trims_ = true;
  } else if (at_end || kOpener.substr(0, text.size()) != text) {
    state_ = opened_ ? State::thinking : State::answer;
    trims_ = opened_;
  }
}

void ReasoningSplitter::read_thinking(bool at_end, std::string& reasoning) {
  const std::size_t closer = pending_.find(kCloser);
  const bool closes = closer != std::string::npos;
  const std::size_t held = closes || at_end ? 0 : partial_tag(pending_, kCloser);
  std::string_view text = std::string_view(pending_).substr(0, closes ? closer : pending_.size() - held);
  if (trims_) text = drop_breaks_before(text);
  const std::string_view written = drop_breaks_behind(text);
  if (!written.empty()) trims_ = false;
  reasoning += written;
  if (closes) {
    pending_.erase(0, closer + kCloser.size());
    state_ = State::answer;
    trims_ = true;
  } else {
    // The line breaks behind what was written, and what may be the closer's beginning, wait for what follows.
    const auto* rest = written.data() + written.size();
    pending_.erase(0, static_cast<std::size_t>(rest - pending_.data()));
    if (at_end) pending_.clear();
  }
}

void ReasoningSplitter::read_answer(std::string& answer) {
  const std::string_view text = trims_ ? drop_breaks_before(pending_) : std::string_view(pending_);
  if (!text.empty()) trims_ = false;
  answer += text;
  pending_.clear();
}

ReasoningText ReasoningSplitter::read(bool at_end) {
  ReasoningText added;
  if (state_ == State::before) read_beginning(at_end);
  if (state_ == State::thinking) read_thinking(at_end, added.reasoning);
  if (state_ == State::answer) read_answer(added.answer);
  added.closed = !in_reasoning();
  return added;
}

ReasoningText ReasoningSplitter::push(std::string_view piece) {
  pending_ += piece;
  return read(false);
}

ReasoningText ReasoningSplitter::flush() { return read(true); }

ReasoningText split_reasoning(std::string_view text, bool opened) {
  ReasoningSplitter splitter(opened);
  ReasoningText whole = splitter.push(text);
  const ReasoningText rest = splitter.flush();
  whole.reasoning += rest.reasoning;
  whole.answer += rest.answer;
  whole.closed = rest.closed;
  return whole;
}

bool prompt_opens_reasoning(std::string_view prompt) {
  const std::size_t last = prompt.find_last_not_of(kBlanks);
  if (last == std::string_view::npos) return false;
  return prompt.substr(0, last + 1).ends_with(kOpener);
}

}  // namespace touchstone
