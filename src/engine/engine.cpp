#include "engine/engine.h"

#include <algorithm>
#include <cassert>
#include <chrono>
#include <deque>
#include <limits>
#include <map>

#include "base/error.h"
#include "engine/answer_text.h"
#include "engine/block_pool.h"
#include "engine/check_logits.h"
#include "engine/logprobs.h"
#include "engine/lookup.h"
#include "engine/memory.h"
#include "engine/sampler.h"

namespace touchstone {
namespace {

using Clock = std::chrono::steady_clock;
using RequestId = Engine::RequestId;

// KV memory may take this share of what is free; the rest is for logits, text, and the user's other programs.
constexpr double kKvShareOfFreeMemory = 0.5;
// Without other wishes a sequence counts as this long when the pool is sized; longer ones still run, fewer at
// once.
constexpr std::int32_t kUsualSequenceTokens = 4096;
// Samples of one request: each holds its own copy of the prompt's ids.
constexpr std::int32_t kMostSamples = 1024;

double ms_since(Clock::time_point start) {
  return std::chrono::duration<double, std::milli>(Clock::now() - start).count();
}

std::int32_t blocks_for(std::size_t tokens) {
  return static_cast<std::int32_t>((tokens + kKvBlockTokens - 1) / kKvBlockTokens);
}

enum class Status {
  waiting,  // holds no blocks
  running,  // some or all of its ids are in the KV pool
  finished,
};

/// One sample of a request.
struct Sequence {
  RequestId request;
  std::uint32_t sample;
  Status status = Status::waiting;
  std::vector<std::int32_t> ids;  // prompt, then what was generated
  std::size_t prompt_size;
  std::size_t computed = 0;  // ids whose keys and values are in the pool
  std::size_t max_size;      // ids it may grow to
  std::vector<std::int32_t> blocks;
  TokenCounts counts;
  AnswerText text;
  std::size_t reasoning_tokens = 0;
  bool reasoning_cut = false;        // by the budget, or by wish
  std::vector<std::int32_t> forced;  // ids to append instead of sampled ones, last first
  Drafter drafter;
  std::vector<std::int32_t> draft;  // the last id and guesses at what follows; empty: no guesses
  GeneratedSample result;

  bool generating() const { return ids.size() > prompt_size; }
};

struct Request {
  GenerateRequest input;
  Clock::time_point submitted;
  std::vector<Sequence> sequences;
  std::int64_t drafted_tokens = 0, accepted_tokens = 0;
};

}  // namespace

struct Engine::Impl {
  std::shared_ptr<LoadedModel> model;
  EngineOptions options;
  std::int32_t max_sequence_tokens;
  BlockPool pool;
  std::shared_ptr<KvPool> kv;
  std::map<RequestId, Request> requests;
  std::deque<Sequence*> queue;     // waiting, oldest first
  std::vector<Sequence*> running;  // in the order of admission
  RequestId next_id = 1;
  std::vector<float> logits, raw_logits;
  SamplerBuffers sampler;
  std::int64_t prompt_tokens = 0, generated_tokens = 0;
  PassTimes pass_times;
  std::vector<std::int32_t> close_reasoning;  // ids of "\n</think>\n\n"

  Impl(std::shared_ptr<LoadedModel> loaded, const EngineOptions& wanted);
  void admit();
  std::vector<Sequence*> schedule(std::vector<ForwardSlice>& slices);
  bool reserve(Sequence& sequence, std::size_t tokens);
  void draft(std::span<Sequence* const> decoding);
  void drop_draft(Sequence& sequence);
  void preempt(Sequence& sequence);
  void release(Sequence& sequence);
  void share_prompt(Sequence& from);
  std::int32_t choose_token(Sequence& sequence, std::span<float> row);
  void append(Sequence& sequence, std::int32_t id, const TokenLogprobs& logprobs);
  void take_rows(Sequence& sequence, std::span<float> rows);
  std::optional<FinishReason> take_text(Sequence& sequence, std::int32_t id, std::string& text);
  void finish(Sequence& sequence, FinishReason reason);
  void end(Request& request, FinishReason reason);
  void end_late_requests();
  void cancel(RequestId id);
  void close_thinking(Sequence& sequence);
  std::vector<std::pair<RequestId, GenerateResult>> collect();
  Request& request_of(const Sequence& sequence) { return requests.at(sequence.request); }
};

namespace {

std::int32_t choose_num_blocks(const Transformer& transformer, const EngineOptions& options,
                               std::int32_t max_sequence_tokens) {
  if (options.context_tokens > 0) return blocks_for(static_cast<std::size_t>(options.context_tokens));
  const double block_bytes = static_cast<double>(transformer.kv_bytes_per_token()) * kKvBlockTokens;
  const double affordable =
      kKvShareOfFreeMemory * static_cast<double>(available_memory_bytes()) / block_bytes;
  const auto usual = static_cast<std::size_t>(std::min(max_sequence_tokens, kUsualSequenceTokens));
  const double wanted =
      std::max(static_cast<double>(blocks_for(usual)) * options.max_batch,
               static_cast<double>(blocks_for(static_cast<std::size_t>(max_sequence_tokens))));
  constexpr double kMostBlocks = 1 << 24;
  return static_cast<std::int32_t>(std::clamp(std::min(wanted, affordable), 1.0, kMostBlocks));
}

}  // namespace

Engine::Impl::Impl(std::shared_ptr<LoadedModel> loaded, const EngineOptions& wanted)
    : model(std::move(loaded)),
      options{.max_batch = std::max(wanted.max_batch, 1),
              .context_tokens = wanted.context_tokens,
              .max_sequence_tokens = wanted.max_sequence_tokens,
              .prefill_chunk = std::max(wanted.prefill_chunk, 1),
              .lookup = wanted.lookup},
      max_sequence_tokens(
          wanted.max_sequence_tokens > 0
              ? std::min(wanted.max_sequence_tokens, model->transformer->config().max_position_embeddings)
              : model->transformer->config().max_position_embeddings),
      pool(choose_num_blocks(*model->transformer, options, max_sequence_tokens)),
      kv(model->transformer->make_kv_pool(pool.size())),
      close_reasoning(
          model->tokenizer.encode("\n</think>\n\n", {.parse_special = true, .add_special = false})) {
  const std::int64_t pool_tokens = std::int64_t{pool.size()} * kKvBlockTokens;
  max_sequence_tokens = static_cast<std::int32_t>(std::min<std::int64_t>(max_sequence_tokens, pool_tokens));
}

void Engine::Impl::release(Sequence& sequence) {
  for (const std::int32_t block : sequence.blocks) pool.release(block);
  sequence.blocks.clear();
  sequence.computed = 0;
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
    if (const auto block = pool.take()) {
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
    if (!running.empty() && pool.num_free() < blocks_for(next.ids.size() + 1) + spare) return;
    queue.pop_front();
    next.status = Status::running;
    running.push_back(&next);
  }
}

/// One slice for each sequence that decodes, then as much of the others' prompts as a step takes.
std::vector<Sequence*> Engine::Impl::schedule(std::vector<ForwardSlice>& slices) {
  std::vector<std::pair<Sequence*, std::size_t>> chosen;  // and how many tokens
  auto budget = static_cast<std::size_t>(options.prefill_chunk);
  const std::vector<Sequence*> candidates = running;
  for (const bool decoding : {true, false}) {
    for (Sequence* sequence : candidates) {
      const std::size_t left = sequence->ids.size() - sequence->computed;
      if (sequence->status != Status::running || (sequence->computed > 0 && left == 1) != decoding) continue;
      const std::size_t count = decoding ? 1 : std::min(left, budget);
      if (count == 0 || !reserve(*sequence, sequence->computed + count)) continue;
      if (!decoding) budget -= count;
      chosen.emplace_back(sequence, count);
    }
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
    const bool whole = sequence->computed + count == sequence->ids.size();
    slices.push_back({ids, first, sequence->blocks, whole ? 1 : 0});
  }
  return scheduled;
}

/// Gives drafts to the sequences of a pass, unless it has prompts to compute: those fill it. Takes blocks
/// that are free, and nobody's.
void Engine::Impl::draft(std::span<Sequence* const> scheduled) {
  if (options.lookup == Lookup::off) return;
  const bool all_decode = std::all_of(scheduled.begin(), scheduled.end(), [](const Sequence* sequence) {
    return sequence->generating() && sequence->computed + 1 == sequence->ids.size();
  });
  if (!all_decode) return;
  std::vector<Draft> drafts;
  std::vector<std::vector<double>> chances;
  for (const Sequence* sequence : scheduled) {
    const std::size_t left = sequence->max_size - sequence->ids.size();  // one of them needs no guess
    drafts.push_back(sequence->drafter.draft(sequence->ids, std::min(kMostDrafted, left - 1)));
    chances.push_back(drafts.back().chances);
  }
  std::vector<std::size_t> lengths;
  if (options.lookup == Lookup::automatic) {
    lengths = choose_drafts(chances, pass_times);
  } else {
    for (const std::vector<double>& guesses : chances) lengths.push_back(guesses.size());
  }
  for (std::size_t i = 0; i < scheduled.size(); ++i) {
    Sequence& sequence = *scheduled[i];
    const std::size_t size = sequence.ids.size();
    while (lengths[i] > 0 && blocks_for(size + lengths[i]) >
                                 static_cast<std::int32_t>(sequence.blocks.size()) + pool.num_free()) {
      --lengths[i];
    }
    if (lengths[i] == 0) continue;
    reserve(sequence, size + lengths[i]);
    sequence.draft.push_back(sequence.ids.back());
    const auto first = drafts[i].ids.begin();
    sequence.draft.insert(sequence.draft.end(), first, first + static_cast<std::ptrdiff_t>(lengths[i]));
  }
}

/// Gives back the blocks that only rejected guesses needed.
void Engine::Impl::drop_draft(Sequence& sequence) {
  sequence.draft.clear();
  while (static_cast<std::int32_t>(sequence.blocks.size()) > blocks_for(sequence.ids.size())) {
    pool.release(sequence.blocks.back());
    sequence.blocks.pop_back();
  }
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
    const auto copy = full || computed == 0 ? std::nullopt : pool.take();
    if (!copy) {
      queue.push_back(&other);  // it computes its prompt itself when there is room
      continue;
    }
    model->transformer->copy_block(*kv, from.blocks[whole], *copy);
    other.blocks.assign(from.blocks.begin(), from.blocks.begin() + static_cast<std::ptrdiff_t>(whole));
    for (const std::int32_t block : other.blocks) pool.share(block);
    other.blocks.push_back(*copy);
    other.computed = computed;
    other.status = Status::running;
    running.push_back(&other);
  }
}

std::int32_t Engine::Impl::choose_token(Sequence& sequence, std::span<float> row) {
  const SamplingParams& params = request_of(sequence).input.sampling;
  if (sequence.text.in_reasoning()) {
    if (params.reasoning_budget &&
        sequence.reasoning_tokens >= static_cast<std::size_t>(*params.reasoning_budget)) {
      close_thinking(sequence);
    }
    ++sequence.reasoning_tokens;
  }
  if (!sequence.forced.empty()) {
    const std::int32_t id = sequence.forced.back();
    sequence.forced.pop_back();
    return id;
  }
  return sample_token(row, sequence.counts, params, sequence.sample, sequence.ids.size(), sampler);
}

void Engine::Impl::close_thinking(Sequence& sequence) {
  if (sequence.reasoning_cut || !sequence.text.in_reasoning()) return;
  sequence.reasoning_cut = true;
  sequence.forced.assign(close_reasoning.rbegin(), close_reasoning.rend());
}

/// What the id, already appended, adds to the text, and why the answer ends with it, if it does.
std::optional<FinishReason> Engine::Impl::take_text(Sequence& sequence, std::int32_t id, std::string& text) {
  const SamplingParams& params = request_of(sequence).input.sampling;
  const bool is_end = !params.ignore_eos &&
                      std::find(params.stop_ids.begin(), params.stop_ids.end(), id) != params.stop_ids.end();
  if (!is_end) text = sequence.text.push(id);
  const bool is_long = sequence.ids.size() >= sequence.max_size;
  if (!is_end && !is_long && !sequence.text.stopped()) return std::nullopt;
  text += sequence.text.finish();
  return is_end || sequence.text.stopped() ? FinishReason::stop : FinishReason::length;
}

void Engine::Impl::append(Sequence& sequence, std::int32_t id, const TokenLogprobs& logprobs) {
  const Request& request = request_of(sequence);
  const bool reasoning = sequence.text.in_reasoning();
  if (!sequence.generating()) sequence.result.ttft_ms = ms_since(request.submitted);
  sequence.ids.push_back(id);
  sequence.result.ids.push_back(id);
  ++generated_tokens;
  if (needs_counts(request.input.sampling)) ++sequence.counts.generated[id];
  if (options.lookup != Lookup::off) sequence.drafter.follow(sequence.ids);
  std::string text;
  const auto reason = take_text(sequence, id, text);
  const bool goes_on =
      !request.input.on_token || request.input.on_token({.sample = static_cast<int>(sequence.sample),
                                                         .id = id,
                                                         .text = text,
                                                         .reasoning = reasoning,
                                                         .logprob = logprobs.chosen,
                                                         .top = logprobs.top});
  if (sequence.status == Status::finished) return;  // the callback cancelled it
  if (reason) finish(sequence, *reason);
  if (!goes_on) cancel(sequence.request);
}

/// Appends the token of the first row, and of each row behind it as long as the draft's guess before that row
/// was right: the rows of a sequence's last ids, one for each of the draft.
void Engine::Impl::take_rows(Sequence& sequence, std::span<float> rows) {
  const auto vocab_size = static_cast<std::size_t>(model->transformer->config().vocab_size);
  const std::vector<std::int32_t> draft = std::move(sequence.draft);
  Request& request = request_of(sequence);
  if (!draft.empty()) request.drafted_tokens += std::ssize(draft) - 1;
  for (std::size_t row = 0; row * vocab_size < rows.size(); ++row) {
    if (row > 0) {
      if (sequence.status != Status::running || sequence.ids.back() != draft[row]) break;
      ++sequence.computed;
      ++request.accepted_tokens;
    }
    const std::span<float> logits = rows.subspan(row * vocab_size, vocab_size);
    check_logits(logits, "model " + model->id);
    const std::int32_t num_logprobs = request.input.sampling.num_logprobs;
    TokenLogprobs logprobs;
    if (num_logprobs >= 0) raw_logits.assign(logits.begin(), logits.end());  // choosing changes them
    const std::int32_t id = choose_token(sequence, logits);
    if (num_logprobs >= 0) logprobs = find_logprobs(raw_logits, id, num_logprobs);
    append(sequence, id, logprobs);
  }
  if (sequence.status == Status::running) drop_draft(sequence);
}

void Engine::Impl::finish(Sequence& sequence, FinishReason reason) {
  const bool cut = reason == FinishReason::cancelled || reason == FinishReason::deadline;
  if (cut) sequence.text.finish();
  const ReasoningText& parts = sequence.text.parts();
  GeneratedSample& result = sequence.result;
  result.text = parts.answer;
  result.reasoning = parts.reasoning;
  result.reasoning_closed = parts.closed;
  result.finish_reason = reason;
  result.total_ms = ms_since(request_of(sequence).submitted);
  release(sequence);
  sequence.drafter = {};
  std::erase(running, &sequence);
  std::erase(queue, &sequence);
  sequence.status = Status::finished;
}

void Engine::Impl::end(Request& request, FinishReason reason) {
  for (Sequence& sequence : request.sequences) {
    if (sequence.status != Status::finished) finish(sequence, reason);
  }
}

void Engine::Impl::end_late_requests() {
  const auto now = Clock::now();
  for (auto& [id, request] : requests) {
    if (request.input.deadline && *request.input.deadline <= now) end(request, FinishReason::deadline);
  }
}

void Engine::Impl::cancel(RequestId id) {
  const auto found = requests.find(id);
  if (found != requests.end()) end(found->second, FinishReason::cancelled);
}

/// Requests whose samples have all finished.
std::vector<std::pair<RequestId, GenerateResult>> Engine::Impl::collect() {
  std::vector<std::pair<RequestId, GenerateResult>> done;
  for (auto it = requests.begin(); it != requests.end();) {
    std::vector<Sequence>& sequences = it->second.sequences;
    const bool finished = std::all_of(sequences.begin(), sequences.end(),
                                      [](const Sequence& s) { return s.status == Status::finished; });
    if (!finished) {
      ++it;
      continue;
    }
    GenerateResult result;
    result.prompt_tokens = static_cast<std::int32_t>(it->second.input.prompt_ids.size());
    result.drafted_tokens = it->second.drafted_tokens;
    result.accepted_tokens = it->second.accepted_tokens;
    for (Sequence& sequence : sequences) result.samples.push_back(std::move(sequence.result));
    done.emplace_back(it->first, std::move(result));
    it = requests.erase(it);
  }
  return done;
}

Engine::Engine(std::shared_ptr<LoadedModel> model, const EngineOptions& options)
    : impl_(std::make_unique<Impl>(std::move(model), options)) {}
Engine::~Engine() = default;

std::int32_t Engine::max_sequence_tokens() const { return impl_->max_sequence_tokens; }
std::int32_t Engine::free_blocks() const { return impl_->pool.num_free(); }
std::int32_t Engine::num_blocks() const { return impl_->pool.size(); }
EngineLoad Engine::load() const {
  EngineLoad load{.used_blocks = num_blocks() - free_blocks(),
                  .num_blocks = num_blocks(),
                  .prompt_tokens = impl_->prompt_tokens,
                  .generated_tokens = impl_->generated_tokens};
  for (const auto& [id, request] : impl_->requests) {
    for (const Sequence& sequence : request.sequences) {
      load.waiting += sequence.status == Status::waiting ? 1 : 0;
      load.running += sequence.status == Status::running ? 1 : 0;
    }
  }
  return load;
}
bool Engine::idle() const { return impl_->requests.empty(); }

Engine::RequestId Engine::submit(GenerateRequest input) {
  const std::size_t prompt_size = input.prompt_ids.size();
  const auto most = static_cast<std::size_t>(impl_->max_sequence_tokens);
  if (prompt_size == 0) throw Error("the prompt is empty", "give at least one token");
  if (input.n < 1 || input.n > kMostSamples) {
    throw Error("n is " + std::to_string(input.n),
                "ask for 1 to " + std::to_string(kMostSamples) + " samples");
  }
  check_sampling(input.sampling);
  if (prompt_size >= most) {
    throw Error("the prompt has " + std::to_string(prompt_size) + " tokens, but there is room for " +
                    std::to_string(most) + " with the answer",
                "shorten it, or raise --ctx where the model and the memory allow");
  }
  const std::int32_t vocab_size = impl_->model->transformer->config().vocab_size;
  TokenCounts counts;
  for (const std::int32_t id : input.prompt_ids) {
    if (id < 0 || id >= vocab_size) {
      throw Error(
          "token id " + std::to_string(id) + " is not among the model's " + std::to_string(vocab_size),
          "the ids may be another model's");
    }
    if (needs_counts(input.sampling)) ++counts.prompt[id];
  }
  for (const auto& [id, bias] : input.sampling.logit_bias) {
    if (id < 0 || id >= vocab_size) {
      throw Error("logit_bias names token id " + std::to_string(id) + ", which is not among the model's " +
                      std::to_string(vocab_size),
                  "the ids may be another model's");
    }
  }
  impl_->prompt_tokens += std::ssize(input.prompt_ids);
  const auto wanted = static_cast<std::size_t>(input.sampling.max_new_tokens);
  const std::size_t max_size = std::min(most, prompt_size + wanted);
  const RequestId id = impl_->next_id++;
  Request& request = impl_->requests[id];
  request.input = std::move(input);
  request.submitted = Clock::now();
  for (std::int32_t sample = 0; sample < request.input.n; ++sample) {
    request.sequences.push_back({.request = id,
                                 .sample = static_cast<std::uint32_t>(sample),
                                 .ids = request.input.prompt_ids,
                                 .prompt_size = prompt_size,
                                 .max_size = max_size,
                                 .blocks = {},
                                 .counts = counts,
                                 .text = AnswerText(impl_->model->tokenizer, request.input.sampling.stop,
                                                    request.input.reasoning_opened),
                                 .forced = {},
                                 .drafter = {},
                                 .draft = {},
                                 .result = {}});
  }
  impl_->queue.push_back(&request.sequences.front());  // the others follow when its prompt is computed
  return id;
}

void Engine::cancel(RequestId id) { impl_->cancel(id); }

void Engine::close_thinking(RequestId id) {
  const auto found = impl_->requests.find(id);
  if (found == impl_->requests.end()) return;
  for (Sequence& sequence : found->second.sequences) {
    if (sequence.status != Status::finished) impl_->close_thinking(sequence);
  }
}

std::vector<std::pair<Engine::RequestId, GenerateResult>> Engine::step() {
  Impl& e = *impl_;
  e.end_late_requests();
  e.admit();
  std::vector<ForwardSlice> slices;
  const std::vector<Sequence*> scheduled = e.schedule(slices);
  if (!scheduled.empty()) {
    const auto vocab_size = static_cast<std::size_t>(e.model->transformer->config().vocab_size);
    std::size_t rows = 0;
    std::size_t tokens = 0;
    for (const ForwardSlice& slice : slices) {
      rows += static_cast<std::size_t>(slice.num_logits);
      tokens += slice.ids.size();
    }
    if (e.logits.size() < rows * vocab_size) e.logits.resize(rows * vocab_size);
    const std::span<float> logits = std::span(e.logits).first(rows * vocab_size);
    const auto start = Clock::now();
    e.model->transformer->forward(*e.kv, slices, logits);
    e.pass_times.record(tokens, ms_since(start) / 1e3);

    std::size_t row = 0;
    for (std::size_t i = 0; i < scheduled.size(); ++i) {
      Sequence& sequence = *scheduled[i];
      const std::size_t first_row = row;
      const auto own_rows = static_cast<std::size_t>(slices[i].num_logits);
      row += own_rows;
      if (sequence.status != Status::running) continue;  // cancelled by another sample's callback
      sequence.computed += sequence.draft.empty() ? slices[i].ids.size() : 1;
      if (own_rows == 0) continue;
      if (sequence.sample == 0 && !sequence.generating()) e.share_prompt(sequence);
      e.take_rows(sequence, logits.subspan(first_row * vocab_size, own_rows * vocab_size));
    }
  }
  return e.collect();
}

GenerateResult Engine::generate(GenerateRequest request) {
  assert(idle());  // another request's result would be lost here
  const RequestId id = submit(std::move(request));
  try {
    while (true) {
      for (auto& [done, result] : step()) {
        if (done == id) return std::move(result);
      }
    }
  } catch (...) {  // leave nothing of it behind
    impl_->cancel(id);
    impl_->collect();
    throw;
  }
}

}  // namespace touchstone
