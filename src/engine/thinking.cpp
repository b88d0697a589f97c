// What the engine does about a sample's thinking: its budget, "answer now", and loops.
#include <algorithm>
#include <cassert>

#include "engine/engine_impl.h"

namespace touchstone {

/// Whether it was open, and had not been closed before.
bool Engine::Impl::close_thinking(Sequence& sequence) {
  if (sequence.reasoning_cut || !sequence.text.in_reasoning()) return false;
  sequence.reasoning_cut = true;
  sequence.forced.assign(close_reasoning.rbegin(), close_reasoning.rend());
  return true;
}

/// Takes back all ids from place `size` on.
void Engine::Impl::rewind(Sequence& sequence, std::size_t size) {
  assert(size > sequence.prompt_size && size < sequence.ids.size());
  const GenerateRequest& input = request_of(sequence).input;
  const auto first = sequence.ids.begin() + static_cast<std::ptrdiff_t>(size);
  if (needs_counts(input.sampling)) {
    for (auto id = first; id != sequence.ids.end(); ++id) {
      const auto count = sequence.counts.generated.find(*id);
      if (--count->second == 0) sequence.counts.generated.erase(count);
    }
  }
  sequence.held.resize(sequence.held.size() - (sequence.ids.size() - size));
  sequence.ids.erase(first, sequence.ids.end());
  sequence.result.ids.resize(size - sequence.prompt_size);

  // Whole blocks stay, for the last one may be others' too; its tokens are computed again, to the same bits.
  const std::size_t whole = std::min(sequence.computed, size - 1) / kKvBlockTokens;
  for (; sequence.blocks.size() > whole; sequence.blocks.pop_back()) pool.release(sequence.blocks.back());
  sequence.computed = whole * kKvBlockTokens;
  sequence.kept = std::min(sequence.kept, sequence.computed);

  sequence.text = AnswerText(model->tokenizer, input.sampling.stop, input.reasoning_opened);
  sequence.guard = {};
  sequence.reasoning_tokens = 0;
  for (const std::int32_t id : sequence.result.ids) {
    const bool reasoned = sequence.text.in_reasoning();
    if (reasoned) ++sequence.reasoning_tokens;
    sequence.text.push(id);
    if (reasoned || sequence.text.in_reasoning()) sequence.guard.push(id);
  }
  sequence.drafter = {};
  if (options.lookup != Lookup::off) sequence.drafter.follow(sequence.ids);
}

/// Where the thinking goes round in circles: back to where that began, the first time to go on with another
/// token, then to close it. Whether it did.
bool Engine::Impl::break_loop(Sequence& sequence) {
  if (!sequence.forced.empty()) return false;  // it is being closed
  if (!sequence.guard.in_loop()) return false;
  const std::size_t begin = sequence.ids.size() - sequence.guard.size();
  // What was reported stays, and so does the first token.
  const std::size_t size = std::max({begin + sequence.guard.num_certain(),
                                     sequence.ids.size() - sequence.held.size(), sequence.prompt_size + 1});
  const std::int32_t banned = sequence.ids[size];
  rewind(sequence, size);
  ++sequence.result.loops;
  if (sequence.result.loops == 1) {
    sequence.banned = {size, banned};
  } else {
    sequence.closed_by_guard |= close_thinking(sequence);
  }
  return true;
}

/// Reports all generated ids that are held but the last `num_held`. False when the sample has been told to
/// end.
bool Engine::Impl::report(Sequence& sequence, std::size_t num_held) {
  const auto& on_token = request_of(sequence).input.on_token;
  while (sequence.held.size() > num_held) {
    const HeldToken held = std::move(sequence.held.front());
    sequence.held.pop_front();
    if (!on_token) continue;
    const TokenEvent event{.sample = static_cast<int>(sequence.sample),
                           .id = held.token.id,
                           .text = held.text,
                           .reasoning = held.reasoning,
                           .logprob = held.token.logprobs.chosen,
                           .top = held.token.logprobs.top};
    if (!on_token(event)) return false;
    if (sequence.status == Status::finished) return false;  // the callback cancelled it
  }
  return true;
}

}  // namespace touchstone
