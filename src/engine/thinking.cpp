// What the engine does about a sample's thinking: its budget, "answer now", and loops.
#include <algorithm>
#include <cassert>

#include "engine/engine_impl.h"

namespace touchstone {

void Engine::Impl::close_thinking(Sequence& sequence) {
  if (sequence.reasoning_cut || !sequence.text.in_reasoning()) return;
  sequence.reasoning_cut = true;
  sequence.forced.assign(close_reasoning.rbegin(), close_reasoning.rend());
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
  sequence.taken_back += sequence.ids.size() - size;
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
/// token, then to close it.
void Engine::Impl::break_loop(Sequence& sequence) {
  if (!sequence.forced.empty()) return;  // it is being closed
  const auto loop = sequence.guard.find_loop();
  if (!loop) return;
  const std::size_t begin = sequence.ids.size() - sequence.guard.size();
  const std::size_t size = std::max(begin + *loop, sequence.prompt_size + 1);
  const std::int32_t banned = sequence.ids[size];
  rewind(sequence, size);
  ++sequence.result.loops;
  if (sequence.result.loops == 1) {
    sequence.banned = {size, banned};
  } else {
    close_thinking(sequence);
  }
}

}  // namespace touchstone
