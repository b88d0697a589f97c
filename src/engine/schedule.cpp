#include <algorithm>

#include "engine/engine_impl.h"
#include "engine/share_chunk.h"

namespace touchstone {

void Engine::Impl::release(Sequence& sequence) {
  keep_prefix(sequence, sequence.computed);
  for (const std::int32_t block : sequence.blocks) pool.release(block);
  sequence.blocks.clear();
  sequence.computed = 0;
  sequence.kept = 0;
}

/// A free block, if need be at the cost of the prefix cache.
std::optional<std::int32_t> Engine::Impl::take_block() {
  if (pool.num_free() == 0 && cache.evict()) ++evicted_blocks;
  return pool.take();
}

/// What is there of the sequence's ids, all but those that it runs itself for their logits: the last, and
/// those that are still to be scored.
PrefixCache::Match Engine::Impl::find_prefix(const Sequence& sequence) {
  const Request& request = request_of(sequence);
  const std::size_t most = scores_prompt(sequence) ? request.scores.size() : sequence.ids.size() - 1;
  if (!options.prefix_cache || most == 0) return {};
  return cache.find(request.input.cache_salt, std::span(sequence.ids).first(most));
}

void Engine::Impl::let_go(const PrefixCache::Match& match) {
  for (const std::int32_t block : match.blocks) pool.release(block);
  if (match.partial_block) pool.release(*match.partial_block);
}

/// Exchanges what the sequence has for what was found.
void Engine::Impl::adopt(Sequence& sequence, PrefixCache::Match&& match) {
  release(sequence);
  sequence.blocks = std::move(match.blocks);
  sequence.computed = sequence.blocks.size() * kKvBlockTokens;
  sequence.kept = sequence.computed;
  if (!match.partial_block) return;
  if (const auto copy = take_block()) {
    model->transformer->copy_block(*kv, *match.partial_block, *copy);
    sequence.blocks.push_back(*copy);
    sequence.computed += match.partial_tokens;
  }
  pool.release(*match.partial_block);
}

/// Gives the prefix cache what the sequence has computed of its first `tokens` ids.
void Engine::Impl::keep_prefix(Sequence& sequence, std::size_t tokens) {
  if (!options.prefix_cache || tokens <= sequence.kept) return;
  cache.insert(request_of(sequence).input.cache_salt, std::span(sequence.ids).first(tokens), sequence.blocks);
  sequence.kept = tokens;
}

/// Back to the head of the queue; its tokens are computed again later, to the same bits.
void Engine::Impl::preempt(Sequence& sequence) {
  release(sequence);
  sequence.status = Status::waiting;
  std::erase(running, &sequence);
  queue.push_front(&sequence);
}

/// Makes sure that the sequence has blocks for its first `tokens` ids, at the cost of the youngest others.
/// False when it had to give way itself.
bool Engine::Impl::reserve(Sequence& sequence, std::size_t tokens) {
  while (static_cast<std::int32_t>(sequence.blocks.size()) < blocks_for(tokens)) {
    if (const auto block = take_block()) {
      sequence.blocks.push_back(*block);
      continue;
    }
    Sequence& youngest = *running.back();
    preempt(youngest);
    if (&youngest == &sequence) return false;
  }
  return true;
}

void Engine::Impl::admit() {
  while (!queue.empty() && static_cast<std::int32_t>(running.size()) < options.max_batch) {
    Sequence& next = *queue.front();
    // One block to spare for each that runs, so that admission is not undone in the next step.
    const auto spare = static_cast<std::int32_t>(running.size());
    PrefixCache::Match match = find_prefix(next);
    const auto found = static_cast<std::int32_t>(match.blocks.size());
    if (!running.empty() && num_available() + found < blocks_for(next.ids.size() + 1) + spare) {
      return let_go(match);
    }
    queue.pop_front();
    adopt(next, std::move(match));
    next.status = Status::running;
    running.push_back(&next);
  }
}

/// Of each prompt as much as a step takes.
std::vector<std::pair<Sequence*, std::size_t>> Engine::Impl::choose_prompts(
    std::span<Sequence* const> prompts) {
  std::vector<std::size_t> left;
  for (Sequence* sequence : prompts) {
    // Another sequence may have come further with the same text meanwhile.
    PrefixCache::Match match = find_prefix(*sequence);
    if (match.tokens() > sequence->computed) {
      adopt(*sequence, std::move(match));
    } else {
      let_go(match);
    }
    left.push_back(sequence->ids.size() - sequence->computed);
  }
  const auto counts = share_chunk(left, static_cast<std::size_t>(options.prefill_chunk));
  std::vector<std::pair<Sequence*, std::size_t>> chosen;
  std::size_t room = kMostScoredRows;
  for (std::size_t i = 0; i < prompts.size(); ++i) {
    std::size_t count = counts[i];
    if (scores_prompt(*prompts[i])) {
      count = std::min(count, room);
      room -= count;
    }
    if (count > 0) chosen.emplace_back(prompts[i], count);
  }
  return chosen;
}

/// One slice for each sequence that decodes, then as much of the others' prompts as a step takes.
std::vector<Sequence*> Engine::Impl::schedule(std::vector<ForwardSlice>& slices) {
  std::vector<std::pair<Sequence*, std::size_t>> wanted;  // and how many tokens
  std::vector<Sequence*> prompts;
  for (Sequence* sequence : running) {
    const bool decodes = sequence->computed > 0 && sequence->ids.size() - sequence->computed == 1;
    if (decodes) wanted.emplace_back(sequence, 1);
    if (!decodes) prompts.push_back(sequence);
  }
  const auto pieces = choose_prompts(prompts);
  wanted.insert(wanted.end(), pieces.begin(), pieces.end());
  std::vector<std::pair<Sequence*, std::size_t>> chosen;
  for (const auto& [sequence, count] : wanted) {
    if (sequence->status != Status::running || !reserve(*sequence, sequence->computed + count)) continue;
    chosen.emplace_back(sequence, count);
  }
  // Some gave way to others that came after them in the list.
  std::erase_if(chosen, [](const auto& choice) { return choice.first->status != Status::running; });
  std::vector<Sequence*> scheduled;
  for (const auto& [sequence, count] : chosen) {
    sequence->draft.clear();  // an error may have left one behind
    scheduled.push_back(sequence);
  }
  draft(scheduled);
  for (const auto& [sequence, count] : chosen) {
    const auto first = static_cast<std::int32_t>(sequence->computed);
    if (!sequence->draft.empty()) {
      const auto num_logits = static_cast<std::int32_t>(sequence->draft.size());
      slices.push_back({sequence->draft, first, sequence->blocks, num_logits});
      continue;
    }
    const auto ids = std::span<const std::int32_t>(sequence->ids).subspan(sequence->computed, count);
    const std::size_t num_tokens = sequence->computed + count == sequence->ids.size() ? 1 : 0;
    const auto num_logits = static_cast<std::int32_t>(count_scores(*sequence, count) + num_tokens);
    slices.push_back({ids, first, sequence->blocks, num_logits});
  }
  return scheduled;
}

/// The prompt is computed now: what of it was there already?
void Engine::Impl::count_cached(const Sequence& first_sample) {
  Request& request = request_of(first_sample);
  const std::size_t computed = std::min(request.prefilled_tokens, first_sample.prompt_size);
  request.cached_tokens = static_cast<std::int32_t>(first_sample.prompt_size - computed);
  cached_tokens += request.cached_tokens;
}

/// The other samples of a request start from the first one's keys and values, all but those of the last
/// token, which each runs itself for its own logits: whole blocks are shared, the one that it will write to
/// is copied.
void Engine::Impl::share_prompt(Sequence& from) {
  const std::size_t computed = from.prompt_size - 1;
  const std::size_t whole = computed / kKvBlockTokens;
  for (Sequence& other : request_of(from).sequences) {
    if (&other == &from) continue;
    const bool full = static_cast<std::int32_t>(running.size()) >= options.max_batch;
    const auto copy = full || computed == 0 ? std::nullopt : take_block();
    if (!copy) {
      queue.push_back(&other);  // it computes its prompt itself when there is room
      continue;
    }
    model->transformer->copy_block(*kv, from.blocks[whole], *copy);
    other.blocks.assign(from.blocks.begin(), from.blocks.begin() + static_cast<std::ptrdiff_t>(whole));
    for (const std::int32_t block : other.blocks) pool.share(block);
    other.blocks.push_back(*copy);
    other.computed = computed;
    other.kept = whole * kKvBlockTokens;
    other.status = Status::running;
    running.push_back(&other);
  }
}

}  // namespace touchstone
