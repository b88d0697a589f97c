#include "serve/choice.h"

#include <fmt/format.h>

#include <algorithm>
#include <random>

#include "text/unicode.h"

namespace touchstone::serve {

namespace {

using Kind = AnswerBlock::Kind;

std::string random_call_id() {
  thread_local std::mt19937_64 random(std::random_device{}());
  return fmt::format("call_{:016x}", random());
}

}  // namespace

Choice::Choice(const CompletionRequest& request, const Prompt& prompt, std::size_t index)
    : is_chat_(request.is_chat),
      reads_tools_(request.reads_tools),
      wants_logprobs_(request.sampling.num_logprobs >= 0),
      lists_all_(request.scores_prompt()),
      index_(index),
      echo_(request.echo ? prompt.text : ""),
      stop_ids_(request.sampling.ignore_eos ? std::vector<std::int32_t>() : request.sampling.stop_ids),
      splitter_(prompt.reasoning_opened) {
  if (lists_all_) logprobs_.push_back({.id = prompt.ids.front(), .logprob = {}, .top = {}});
}

void Choice::add(Kind kind, std::string text, AnswerDelta& delta) {
  if (text.empty()) return;
  const bool opens = blocks_.empty() || blocks_.back().kind != kind;
  if (opens) blocks_.push_back({.kind = kind, .text = {}, .id = {}, .name = {}});
  blocks_.back().text += text;
  delta.pieces.push_back({blocks_.size() - 1, opens, std::move(text)});
}

void Choice::add_call(ToolCallDelta call, AnswerDelta& delta) {
  const bool opens = call.index == count_calls(blocks_.size());
  if (opens) {
    blocks_.push_back({.kind = Kind::call, .text = {}, .id = random_call_id(), .name = std::move(call.name)});
  }
  blocks_.back().text += call.arguments;
  delta.pieces.push_back({blocks_.size() - 1, opens, std::move(call.arguments)});
}

/// A call that goes on stands before the text, one that begins behind it.
void Choice::add_answer(ToolText text, AnswerDelta& delta) {
  auto call = text.calls.begin();
  if (call != text.calls.end() && call->index < count_calls(blocks_.size())) {
    add_call(std::move(*call++), delta);
  }
  add(Kind::text, std::move(text.content), delta);
  for (; call != text.calls.end(); ++call) add_call(std::move(*call), delta);
}

void Choice::read(std::string_view text, bool at_end, AnswerDelta& delta) {
  delta.is_first = !std::exchange(begun_, true);
  if (delta.is_first) {
    add(Kind::text, std::move(echo_), delta);
    delta.logprobs = logprobs_;  // the prompt's
  }
  if (!is_chat_) return add(Kind::text, std::string(text), delta);
  ReasoningText parts = splitter_.push(text);
  if (at_end) {
    const ReasoningText rest = splitter_.flush();
    parts.reasoning += rest.reasoning;
    parts.answer += rest.answer;
  }
  add(Kind::reasoning, std::move(parts.reasoning), delta);
  if (!reads_tools_) return add(Kind::text, std::move(parts.answer), delta);
  add_answer(tools_.push(parts.answer), delta);
  if (at_end) add_answer(tools_.finish(), delta);
}

void Choice::add_logprob(TokenLogprob logprob, const Tokenizer& tokenizer) {
  logprob.text_offset = text_offset_;
  text_offset_ += static_cast<std::int64_t>(count_codepoints(tokenizer.token_bytes(logprob.id)));
  logprobs_.push_back(std::move(logprob));
}

void Choice::take_prompt(std::span<const ScoredPosition> scores, const Tokenizer& tokenizer) {
  // What the tokenizer puts before a text is not in it.
  const std::string_view first = tokenizer.token_bytes(logprobs_.front().id);
  if (echo_.starts_with(first)) text_offset_ = static_cast<std::int64_t>(count_codepoints(first));
  for (const ScoredPosition& score : scores) {
    add_logprob({.id = score.id, .logprob = score.logprob, .top = score.top}, tokenizer);
  }
}

/// Whether the generated token is among those that log-probabilities are listed of.
bool Choice::lists(std::int32_t id) const {
  if (!wants_logprobs_ || lists_all_) return wants_logprobs_;
  return std::find(stop_ids_.begin(), stop_ids_.end(), id) == stop_ids_.end();
}

AnswerDelta Choice::push(const TokenEvent& event, const Tokenizer& tokenizer) {
  ++num_tokens_;
  AnswerDelta delta;
  read(event.text, false, delta);
  if (!lists(event.id)) return delta;
  add_logprob({.id = event.id, .logprob = event.logprob, .top = {event.top.begin(), event.top.end()}},
              tokenizer);
  delta.logprobs.push_back(logprobs_.back());
  return delta;
}

AnswerDelta Choice::finish(const GeneratedSample& sample) {
  AnswerDelta delta;
  read(sample.rest, true, delta);
  delta.is_last = true;
  finish_reason_ = finish_reason_name(sample.finish_reason);
  if (stopped() && tools_.num_calls() > 0 && !tools_.in_arguments()) finish_reason_ = "tool_calls";
  stop_string_ = sample.stop_string;
  loops_ = sample.loops;
  return delta;
}

std::string Choice::joined(Kind kind) const {
  std::string text;
  for (const AnswerBlock& block : blocks_) {
    if (block.kind == kind) text += block.text;
  }
  return text;
}

std::size_t Choice::count_calls(std::size_t block) const {
  return static_cast<std::size_t>(std::count_if(blocks_.begin(),
                                                blocks_.begin() + static_cast<std::ptrdiff_t>(block),
                                                [](const AnswerBlock& b) { return b.kind == Kind::call; }));
}

}  // namespace touchstone::serve
