#include <algorithm>
#include <cassert>
#include <cstring>

#include "base/error.h"
#include "base/to_size.h"
#include "engine/check_logits.h"
#include "engine/engine_impl.h"
#include "engine/memory.h"
#include "kernels/parallel.h"
#include "model/kv_pool.h"

namespace touchstone {
namespace {

double ms_since(Clock::time_point start) { return seconds_since(start) * 1e3; }

// KV memory may take this share of what is free; the rest is for logits, text, and the user's other programs.
constexpr double kKvShareOfFreeMemory = 0.5;
// Samples of one request: each holds its own copy of the prompt's ids.
constexpr std::int32_t kMostSamples = 1024;

std::int32_t choose_num_blocks(const Transformer& transformer, std::optional<int> gpu,
                               const EngineOptions& options, std::int32_t max_sequence_tokens) {
  if (options.context_tokens > 0) return blocks_for(static_cast<std::size_t>(options.context_tokens));
  const double block_bytes = static_cast<double>(transformer.kv_bytes_per_token()) * kKvBlockTokens;
  const double affordable = kKvShareOfFreeMemory * static_cast<double>(free_memory_bytes(gpu)) / block_bytes;
  const auto wanted = static_cast<double>(
      blocks_for(static_cast<std::size_t>(wanted_kv_tokens(options.max_batch, max_sequence_tokens))));
  constexpr double kMostBlocks = 1 << 24;
  return static_cast<std::int32_t>(std::clamp(std::min(wanted, affordable), 1.0, kMostBlocks));
}

}  // namespace

std::int32_t most_logit_rows(const EngineOptions& options) {
  const std::int32_t sequences = std::max(options.max_batch, 1);
  const auto drafted =
      options.lookup == Lookup::off ? 0 : std::min(to_size(sequences) * kMostDrafted, kMostDraftedInPass);
  return sequences + static_cast<std::int32_t>(drafted);
}

Engine::Impl::Impl(std::shared_ptr<LoadedModel> loaded, const EngineOptions& wanted)
    : model(std::move(loaded)),
      options{.max_batch = std::max(wanted.max_batch, 1),
              .context_tokens = wanted.context_tokens,
              .max_sequence_tokens = wanted.max_sequence_tokens,
              .prefill_chunk = std::max(wanted.prefill_chunk, 1),
              .lookup = wanted.lookup,
              .prefix_cache = wanted.prefix_cache},
      max_sequence_tokens(
          wanted.max_sequence_tokens > 0
              ? std::min(wanted.max_sequence_tokens, model->transformer->config().max_position_embeddings)
              : model->transformer->config().max_position_embeddings),
      pool(choose_num_blocks(*model->transformer, choose_gpu(model->options.device), options,
                             max_sequence_tokens)),
      kv(model->transformer->make_kv_pool(pool.size())),
      choosing_buffers(static_cast<std::size_t>(model->transformer->num_threads())),
      close_reasoning(
          model->tokenizer.encode("\n</think>\n\n", {.parse_special = true, .add_special = false})),
      line_breaks(model->tokenizer.encode("\n\n", {.parse_special = false, .add_special = false})),
      opener_id(model->tokenizer.find_token("<think>")) {
  // Where it is special, it leaves no trace in the text.
  if (opener_id && model->tokenizer.is_special(*opener_id)) opener_id.reset();
  const std::int64_t pool_tokens = std::int64_t{pool.size()} * kKvBlockTokens;
  max_sequence_tokens = static_cast<std::int32_t>(std::min<std::int64_t>(max_sequence_tokens, pool_tokens));
  const std::size_t num_logits =
      to_size(most_logit_rows(options)) * to_size(model->transformer->config().vocab_size);
  logits = Buffer(num_logits * sizeof(float), "logits");
  // Who says how much is promised it: pages that are not there yet may be somebody else's when they are
  // needed.
  if (options.context_tokens > 0) {
    model->transformer->take_pages(*kv);
    std::memset(logits.data(), 0, logits.size());
  }
}

/// Gives drafts to the sequences of a pass, unless it has prompts to compute: those fill it. Takes blocks
/// that no sequence holds.
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
    std::size_t room = kMostDraftedInPass;
    for (const std::vector<double>& guesses : chances) {
      lengths.push_back(std::min(guesses.size(), room));
      room -= lengths.back();
    }
  }
  for (std::size_t i = 0; i < scheduled.size(); ++i) {
    Sequence& sequence = *scheduled[i];
    const std::size_t size = sequence.ids.size();
    while (lengths[i] > 0 && blocks_for(size + lengths[i]) >
                                 static_cast<std::int32_t>(sequence.blocks.size()) + num_available()) {
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

/// Samples the `ahead`-th token behind the sequence's last one.
std::int32_t Engine::Impl::sample(const Sequence& sequence, std::size_t ahead, std::span<float> row,
                                  SamplerBuffers& buffers) {
  const GenerateRequest& input = request_of(sequence).input;
  return sample_token(row, sequence.counts, input.sampling, input.first_sample + sequence.sample,
                      sequence.ids.size() + ahead, buffers);
}

/// Samples the tokens behind `first`, the first row's, as far as the draft's guesses are right, where only
/// the logits and the place decide on them. What the text does meanwhile is seen when they are taken.
void Engine::Impl::sample_ahead(Sequence& sequence, std::int32_t first, std::span<float> rows,
                                SamplerBuffers& buffers) {
  const SamplingParams& params = request_of(sequence).input.sampling;
  if (sequence.constraint || sequence.banned || needs_counts(params) || params.num_logprobs >= 0) return;
  const auto vocab_size = static_cast<std::size_t>(model->transformer->config().vocab_size);
  std::int32_t id = first;
  for (std::size_t row = 1; row < sequence.draft.size() && id == sequence.draft[row]; ++row) {
    const std::span<float> logits = rows.subspan(row * vocab_size, vocab_size);
    check_logits(logits, "model " + model->id);
    id = sample(sequence, row, logits, buffers);
    sequence.sampled_ahead.push_back(id);
  }
}

/// `known`: what sample() gives, if that has been asked.
ChosenToken Engine::Impl::choose_token(Sequence& sequence, std::span<float> row, ChoosingBuffers& buffers,
                                       std::optional<std::int32_t> known) {
  if (!known) check_logits(row, "model " + model->id);
  const Request& request = request_of(sequence);
  const SamplingParams& params = request.input.sampling;
  if (sequence.text.in_reasoning()) {
    const bool spent = params.reasoning_budget &&
                       sequence.reasoning_tokens >= static_cast<std::size_t>(*params.reasoning_budget);
    if (spent) {
      close_thinking(sequence);
    } else if (request.answers_now && close_thinking(sequence)) {
      sequence.result.answered_after = static_cast<std::int32_t>(sequence.reasoning_tokens);
    }
    ++sequence.reasoning_tokens;
  }
  const std::int32_t num_logprobs = params.num_logprobs;
  if (num_logprobs >= 0) buffers.raw_logits.assign(row.begin(), row.end());  // choosing changes them
  ChosenToken token{.forced = !sequence.forced.empty(), .logprobs = {}, .error = {}};
  if (token.forced) {
    token.id = sequence.forced.back();
    sequence.forced.pop_back();
  } else if (known) {
    token.id = *known;
  } else {
    restrict_logits(sequence, row);
    token.id = sample(sequence, 0, row, buffers.sampler);
  }
  if (num_logprobs >= 0) token.logprobs = find_logprobs(buffers.raw_logits, token.id, num_logprobs);
  return token;
}

/// The token of each sequence's first row for one, where it has any, and samples those behind it. No sequence
/// looks at another, so each thread chooses for those that it draws.
std::vector<ChosenToken> Engine::Impl::choose_tokens(std::span<Sequence* const> scheduled,
                                                     std::span<const SliceRows> slice_rows,
                                                     std::span<float> rows) {
  const auto start = Clock::now();
  const auto vocab_size = static_cast<std::size_t>(model->transformer->config().vocab_size);
  std::vector<std::size_t> choosing;  // their places among the scheduled
  for (std::size_t i = 0; i < scheduled.size(); ++i) {
    if (slice_rows[i].num_tokens > 0 && !request_of(*scheduled[i]).input.prompt_only) choosing.push_back(i);
  }
  std::vector<ChosenToken> tokens(scheduled.size());
  for_each(model->transformer->threads(), static_cast<std::int32_t>(choosing.size()),
           [&](int item, int thread) {
             const std::size_t place = choosing[static_cast<std::size_t>(item)];
             Sequence& sequence = *scheduled[place];
             ChoosingBuffers& buffers = choosing_buffers[static_cast<std::size_t>(thread)];
             try {
               const SliceRows& slice = slice_rows[place];
               const std::span<float> own = rows.subspan((slice.first + slice.num_scores) * vocab_size);
               tokens[place] = choose_token(sequence, own.first(vocab_size), buffers, std::nullopt);
               sample_ahead(sequence, tokens[place].id, own, buffers.sampler);
             } catch (...) {
               tokens[place].error = std::current_exception();
             }
           });
  choosing_s += seconds_since(start);
  return tokens;
}

/// Whether the prompt that the sequence computes is to be scored.
bool Engine::Impl::scores_prompt(const Sequence& sequence) {
  return sequence.sample == 0 && !sequence.generating() && request_of(sequence).input.on_prompt;
}

/// Of the sequence's next `num_ids` positions those that are still to be scored. They end where the ids do,
/// or before the last, behind which nothing stands yet.
std::size_t Engine::Impl::count_scores(const Sequence& sequence, std::size_t num_ids) {
  if (!scores_prompt(sequence)) return 0;
  const std::size_t begin = std::max(sequence.computed, request_of(sequence).scores.size());
  const std::size_t end = std::min(sequence.computed + num_ids, sequence.prompt_size - 1);
  return end > begin ? end - begin : 0;
}

std::vector<SliceRows> Engine::Impl::list_rows(std::span<Sequence* const> scheduled,
                                               std::span<const ForwardSlice> slices) {
  std::vector<SliceRows> list;
  std::size_t first = 0;
  for (std::size_t i = 0; i < scheduled.size(); ++i) {
    const std::size_t num_scores = count_scores(*scheduled[i], slices[i].ids.size());
    list.push_back({first, num_scores, to_size(slices[i].num_logits) - num_scores});
    first += to_size(slices[i].num_logits);
  }
  return list;
}

/// Adds to the scores of the scheduled prompts what the rows say.
void Engine::Impl::score_prompts(std::span<Sequence* const> scheduled, std::span<const SliceRows> slice_rows,
                                 std::span<const float> rows) {
  const auto start = Clock::now();
  const std::size_t vocab_size = to_size(model->transformer->config().vocab_size);
  for (std::size_t i = 0; i < scheduled.size(); ++i) {
    const SliceRows& slice = slice_rows[i];
    if (slice.num_scores == 0) continue;
    Request& request = request_of(*scheduled[i]);
    const std::size_t begin = request.scores.size();
    std::vector<std::exception_ptr> errors(slice.num_scores);
    request.scores.resize(begin + slice.num_scores);
    for_each(model->transformer->threads(), static_cast<std::int32_t>(slice.num_scores), [&](int item, int) {
      const std::size_t n = to_size(item);
      try {
        const std::span<const float> row = rows.subspan((slice.first + n) * vocab_size, vocab_size);
        check_logits(row, "model " + model->id);
        request.scores[begin + n] = score_row(row, request.input.prompt_ids[begin + n + 1],
                                              std::max(request.input.sampling.num_logprobs, 0));
      } catch (...) {
        errors[n] = std::current_exception();
      }
    });
    const auto failed =
        std::find_if(errors.begin(), errors.end(), [](const auto& e) { return e != nullptr; });
    if (failed != errors.end()) {
      request.scores.resize(begin);
      std::rethrow_exception(*failed);
    }
  }
  choosing_s += seconds_since(start);
}

/// What the token, already appended, adds to the text, and why the answer ends with it, if it does.
std::optional<FinishReason> Engine::Impl::take_text(Sequence& sequence, const ChosenToken& token,
                                                    std::string& text) {
  const SamplingParams& params = request_of(sequence).input.sampling;
  const bool is_end = !params.ignore_eos && std::find(params.stop_ids.begin(), params.stop_ids.end(),
                                                      token.id) != params.stop_ids.end();
  std::optional<FinishReason> reason;
  if (is_end) {
    reason = FinishReason::stop;
  } else {
    const bool reasoned = sequence.text.in_reasoning();
    text = sequence.text.push(token.id);
    if (sequence.text.stopped()) reason = FinishReason::stop;
    if (!reason && sequence.constraint && (reasoned || !token.forced)) {
      follow_grammar(sequence, token.id, reasoned);
      reason = find_grammar_end(sequence);
    }
  }
  if (!reason && sequence.ids.size() >= sequence.max_size) reason = FinishReason::length;
  if (!reason) return std::nullopt;
  text += sequence.text.finish();
  return sequence.text.stopped() ? FinishReason::stop : reason;
}

void Engine::Impl::append(Sequence& sequence, const ChosenToken& token) {
  const GenerateRequest& input = request_of(sequence).input;
  const bool reasoned = sequence.text.in_reasoning();
  if (!sequence.generating()) sequence.result.ttft_ms = ms_since(request_of(sequence).submitted);
  sequence.ids.push_back(token.id);
  sequence.result.ids.push_back(token.id);
  ++generated_tokens;
  if (needs_counts(input.sampling)) ++sequence.counts.generated[token.id];
  if (options.lookup != Lookup::off) sequence.drafter.follow(sequence.ids);
  std::string text;
  const auto reason = take_text(sequence, token, text);
  const bool guarded = input.loop_guard && !reason && sequence.text.in_reasoning();
  if (input.loop_guard && (reasoned || guarded)) sequence.guard.push(token.id);
  sequence.held.push_back({token, std::move(text), reasoned});
  if (guarded && break_loop(sequence)) return;
  const std::size_t num_held = guarded ? sequence.guard.size() - sequence.guard.num_certain() : 0;
  const bool goes_on = report(sequence, num_held);
  if (sequence.status == Status::finished) return;  // the callback cancelled it
  if (reason) finish(sequence, *reason);
  const bool others_go_on =
      !reason || !input.on_sample || input.on_sample(static_cast<int>(sequence.sample), sequence.result);
  if (!goes_on || !others_go_on) cancel(sequence.request);
}

/// Appends the first row's token, and that of each row behind it as long as the draft's guess before that row
/// was right: the rows of a sequence's last ids, one for each of the draft.
void Engine::Impl::take_rows(Sequence& sequence, std::span<float> rows, const ChosenToken& first) {
  if (first.error) std::rethrow_exception(first.error);
  const auto vocab_size = static_cast<std::size_t>(model->transformer->config().vocab_size);
  const std::vector<std::int32_t> draft = std::move(sequence.draft);
  const std::vector<std::int32_t> ahead = std::exchange(sequence.sampled_ahead, {});
  Request& request = request_of(sequence);
  if (!draft.empty()) request.drafted_tokens += std::ssize(draft) - 1;
  for (std::size_t row = 0; row * vocab_size < rows.size(); ++row) {
    if (row > 0) {
      if (sequence.status != Status::running || sequence.ids.back() != draft[row]) break;
      ++sequence.computed;
      ++request.accepted_tokens;
    }
    const std::span<float> logits = rows.subspan(row * vocab_size, vocab_size);
    const std::size_t size = sequence.ids.size();
    const std::optional<std::int32_t> known =
        row > 0 && row <= ahead.size() ? std::optional(ahead[row - 1]) : std::nullopt;
    append(sequence, row == 0 ? first : choose_token(sequence, logits, choosing_buffers.front(), known));
    if (sequence.ids.size() <= size) break;  // a loop was taken back
  }
  if (sequence.status == Status::running) drop_draft(sequence);
}

void Engine::Impl::finish(Sequence& sequence, FinishReason reason) {
  const bool cut = reason == FinishReason::cancelled || reason == FinishReason::deadline;
  if (cut) sequence.result.rest = sequence.text.finish();
  const ReasoningText& parts = sequence.text.parts();
  GeneratedSample& result = sequence.result;
  result.text = parts.answer;
  result.reasoning = parts.reasoning;
  result.reasoning_closed = parts.closed;
  const bool was_closed = reason == FinishReason::stop && sequence.closed_by_guard;
  result.finish_reason = was_closed ? FinishReason::loop : reason;
  result.stop_string = sequence.text.stop_string();
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
    if (!request.input.deadline || *request.input.deadline > now) continue;
    for (Sequence& sequence : request.sequences) {
      if (!report(sequence, 0)) break;
    }
    end(request, FinishReason::deadline);
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
    result.cached_tokens = it->second.cached_tokens;
    result.drafted_tokens = it->second.drafted_tokens;
    result.accepted_tokens = it->second.accepted_tokens;
    for (Sequence& sequence : sequences) result.samples.push_back(std::move(sequence.result));
    done.emplace_back(it->first, std::move(result));
    it = requests.erase(it);
  }
  return done;
}

const char* finish_reason_name(FinishReason reason) {
  switch (reason) {
    case FinishReason::stop:
      return "stop";
    case FinishReason::loop:
      return "loop";
    case FinishReason::length:
      return "length";
    case FinishReason::cancelled:
      return "cancelled";
    case FinishReason::deadline:
      return "deadline";
  }
  return "";
}

Engine::Engine(std::shared_ptr<LoadedModel> model, const EngineOptions& options)
    : impl_(std::make_unique<Impl>(std::move(model), options)) {}
Engine::~Engine() = default;

std::int32_t Engine::max_sequence_tokens() const { return impl_->max_sequence_tokens; }
std::int32_t Engine::free_blocks() const { return impl_->num_available(); }
std::int32_t Engine::num_blocks() const { return impl_->pool.size(); }
EngineLoad Engine::load() const {
  EngineLoad load{.used_blocks = num_blocks() - free_blocks(),
                  .cached_blocks = impl_->pool.num_only_kept(),
                  .num_blocks = num_blocks(),
                  .prompt_tokens = impl_->prompt_tokens,
                  .cached_tokens = impl_->cached_tokens,
                  .generated_tokens = impl_->generated_tokens,
                  .evicted_blocks = impl_->evicted_blocks,
                  .step_s = impl_->step_s,
                  .forward_s = impl_->forward_s,
                  .choosing_s = impl_->choosing_s};
  for (const auto& [id, request] : impl_->requests) {
    for (const Sequence& sequence : request.sequences) {
      load.waiting += sequence.status == Status::waiting ? 1 : 0;
      load.running += sequence.status == Status::running ? 1 : 0;
    }
  }
  return load;
}
void Engine::clear_prefix_cache() { impl_->cache.clear(); }
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
  if (prompt_size + (input.prompt_only ? 0 : 1) > most) {
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
  const std::shared_ptr<Constraint> constraint =
      input.constraint ? impl_->find_constraint(input.constraint) : nullptr;
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
                                 .guard = {},
                                 .held = {},
                                 .banned = {},
                                 .constraint = constraint,
                                 .grammar_state = constraint ? constraint->start() : Constraint::impossible,
                                 .constrained_text = {},
                                 .drafter = {},
                                 .draft = {},
                                 .sampled_ahead = {},
                                 .result = {}});
  }
  impl_->queue.push_back(&request.sequences.front());  // the others follow when its prompt is computed
  return id;
}

void Engine::cancel(RequestId id) { impl_->cancel(id); }

void Engine::close_thinking(RequestId id) {
  const auto found = impl_->requests.find(id);
  if (found != impl_->requests.end()) found->second.answers_now = true;
}

/// Runs the slices, and gives each sequence what its own brings.
void Engine::Impl::run(std::span<Sequence* const> scheduled, std::span<const ForwardSlice> slices) {
  const auto vocab_size = static_cast<std::size_t>(model->transformer->config().vocab_size);
  std::size_t num_rows = 0;
  std::size_t num_tokens = 0;
  for (const ForwardSlice& slice : slices) {
    num_rows += static_cast<std::size_t>(slice.num_logits);
    num_tokens += slice.ids.size();
  }
  const std::size_t num_bytes = num_rows * vocab_size * sizeof(float);
  if (num_bytes > logits.size()) logits = Buffer(num_bytes, "logits");  // for prompts to be scored
  const std::span<float> rows{logits.floats(), num_rows * vocab_size};
  const auto start = Clock::now();
  model->transformer->forward(*kv, slices, rows);
  const double seconds = seconds_since(start);
  forward_s += seconds;
  pass_times.record(num_tokens, seconds);
  const std::vector<SliceRows> slice_rows = list_rows(scheduled, slices);
  score_prompts(scheduled, slice_rows, rows);
  const std::vector<ChosenToken> tokens = choose_tokens(scheduled, slice_rows, rows);

  for (std::size_t i = 0; i < scheduled.size(); ++i) {
    Sequence& sequence = *scheduled[i];
    const SliceRows& own = slice_rows[i];
    if (sequence.status != Status::running) continue;  // cancelled by another sample's callback
    sequence.computed += sequence.draft.empty() ? slices[i].ids.size() : 1;
    keep_prefix(sequence, sequence.computed / kKvBlockTokens * kKvBlockTokens);
    const bool first_prompt = sequence.sample == 0 && !sequence.generating();
    if (first_prompt) request_of(sequence).prefilled_tokens += slices[i].ids.size();
    if (own.num_tokens == 0) continue;
    Request& request = request_of(sequence);
    if (first_prompt) count_cached(sequence);
    if (first_prompt && request.input.on_prompt) {
      std::exchange(request.input.on_prompt, {})(std::exchange(request.scores, {}));
    }
    if (request.input.prompt_only) {
      end(request, FinishReason::length);
      continue;
    }
    if (first_prompt) share_prompt(sequence);
    const std::size_t first_row = own.first + own.num_scores;
    take_rows(sequence, rows.subspan(first_row * vocab_size, own.num_tokens * vocab_size), tokens[i]);
  }
}

std::vector<std::pair<Engine::RequestId, GenerateResult>> Engine::step() {
  Impl& e = *impl_;
  const auto start = Clock::now();
  e.end_late_requests();
  e.admit();
  std::vector<ForwardSlice> slices;
  const std::vector<Sequence*> scheduled = e.schedule(slices);
  if (!scheduled.empty()) e.run(scheduled, slices);
  auto done = e.collect();
  e.step_s += seconds_since(start);
  return done;
}

GenerateResult Engine::generate(GenerateRequest request, const std::function<bool()>& stop) {
  assert(idle());  // another request's result would be lost here
  const RequestId id = submit(std::move(request));
  try {
    while (true) {
      if (stop && stop()) cancel(id);
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
