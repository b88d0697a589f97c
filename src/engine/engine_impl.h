// What Engine is made of, for its own sources: engine.cpp (requests and tokens), schedule.cpp (which
// sequences run, and where their keys and values are), thinking.cpp, follow_grammar.cpp.
#pragma once

#include <chrono>
#include <deque>
#include <exception>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "engine/answer_text.h"
#include "engine/block_pool.h"
#include "engine/constraint.h"
#include "engine/engine.h"
#include "engine/logprobs.h"
#include "engine/lookup.h"
#include "engine/loop_guard.h"
#include "engine/prefix_cache.h"
#include "engine/sampler.h"
#include "kernels/buffer.h"

namespace touchstone {

using RequestId = Engine::RequestId;

inline std::int32_t blocks_for(std::size_t tokens) {
  return static_cast<std::int32_t>((tokens + kKvBlockTokens - 1) / kKvBlockTokens);
}

enum class Status {
  waiting,  // holds no blocks
  running,  // some or all of its ids are in the KV pool
  finished,
};

struct ChosenToken {
  std::int32_t id = 0;
  bool forced = false;  // not by the model
  TokenLogprobs logprobs;
  std::exception_ptr error;  // why there is none
};

/// What a TokenEvent is made of.
struct HeldToken {
  ChosenToken token;
  std::string text;
  bool reasoning;
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
  std::size_t kept = 0;  // ids whose blocks the prefix cache has
  TokenCounts counts;
  AnswerText text;
  std::size_t reasoning_tokens = 0;
  bool reasoning_cut = false;        // by the budget, or by wish
  std::vector<std::int32_t> forced;  // ids to append instead of sampled ones, last first
  LoopGuard guard;
  bool closed_by_guard = false;                                // its thinking
  std::deque<HeldToken> held;                                  // the last generated ones, not yet reported
  std::optional<std::pair<std::size_t, std::int32_t>> banned;  // at this place this id, which led into a loop
  std::shared_ptr<Constraint> constraint;                      // null: none
  std::int32_t grammar_state = Constraint::impossible;
  std::string constrained_text;  // so far
  Drafter drafter;
  std::vector<std::int32_t> draft;          // the last id and guesses at what follows; empty: no guesses
  std::vector<std::int32_t> sampled_ahead;  // what the rows behind the first bring: see sample_ahead()
  GeneratedSample result;

  bool generating() const { return ids.size() > prompt_size; }
};

struct Request {
  GenerateRequest input;
  Clock::time_point submitted;
  std::vector<Sequence> sequences;
  bool answers_now = false;          // thinking is to be closed
  std::size_t prefilled_tokens = 0;  // of the prompt, by the first sample
  std::int32_t cached_tokens = 0;
  std::int64_t drafted_tokens = 0, accepted_tokens = 0;
  std::vector<ScoredPosition> scores;  // of the prompt so far, where they are asked for
};

/// The logits that a slice brings: first those that score its prompt, then those that choose tokens.
struct SliceRows {
  std::size_t first = 0, num_scores = 0, num_tokens = 0;
};

/// Memory in which one thread chooses tokens.
struct ChoosingBuffers {
  SamplerBuffers sampler;
  std::vector<float> raw_logits;
};

struct Engine::Impl {
  std::shared_ptr<LoadedModel> model;
  EngineOptions options;
  std::int32_t max_sequence_tokens;
  BlockPool pool;
  PrefixCache cache{pool};
  std::shared_ptr<KvPool> kv;
  std::map<RequestId, Request> requests;
  std::deque<Sequence*> queue;     // waiting, oldest first
  std::vector<Sequence*> running;  // in the order of admission
  RequestId next_id = 1;
  Buffer logits;
  std::vector<ChoosingBuffers> choosing_buffers;  // one for each of the model's threads
  std::int64_t prompt_tokens = 0, cached_tokens = 0, generated_tokens = 0, evicted_blocks = 0;
  PassTimes pass_times;
  double step_s = 0, forward_s = 0, choosing_s = 0;
  std::vector<std::int32_t> close_reasoning;  // ids of "\n</think>\n\n"
  std::vector<std::int32_t> line_breaks;      // of "\n\n"
  std::optional<std::int32_t> opener_id;      // of "<think>", if that is a token
  std::shared_ptr<const TokenTree> token_tree;
  std::map<std::string, std::shared_ptr<Constraint>> constraints;  // by Grammar::key()
  std::mutex constraints_mutex;  // sequences with the same grammar share one, and choose at the same time

  Impl(std::shared_ptr<LoadedModel> loaded, const EngineOptions& wanted);
  void admit();
  std::vector<Sequence*> schedule(std::vector<ForwardSlice>& slices);
  std::vector<std::pair<Sequence*, std::size_t>> choose_prompts(std::span<Sequence* const> candidates);
  std::int32_t num_available() const { return pool.num_free() + pool.num_only_kept(); }
  std::optional<std::int32_t> take_block();
  bool reserve(Sequence& sequence, std::size_t tokens);
  PrefixCache::Match find_prefix(const Sequence& sequence);
  void adopt(Sequence& sequence, PrefixCache::Match&& match);
  void let_go(const PrefixCache::Match& match);
  void keep_prefix(Sequence& sequence, std::size_t tokens);
  bool scores_prompt(const Sequence& sequence);
  std::size_t count_scores(const Sequence& sequence, std::size_t num_ids);
  std::vector<SliceRows> list_rows(std::span<Sequence* const> scheduled,
                                   std::span<const ForwardSlice> slices);
  void score_prompts(std::span<Sequence* const> scheduled, std::span<const SliceRows> slice_rows,
                     std::span<const float> rows);
  void draft(std::span<Sequence* const> decoding);
  void drop_draft(Sequence& sequence);
  void preempt(Sequence& sequence);
  void release(Sequence& sequence);
  void share_prompt(Sequence& from);
  void count_cached(const Sequence& first_sample);
  std::int32_t sample(const Sequence& sequence, std::size_t ahead, std::span<float> row,
                      SamplerBuffers& buffers);
  void sample_ahead(Sequence& sequence, std::int32_t first, std::span<float> rows, SamplerBuffers& buffers);
  ChosenToken choose_token(Sequence& sequence, std::span<float> row, ChoosingBuffers& buffers,
                           std::optional<std::int32_t> known);
  std::vector<ChosenToken> choose_tokens(std::span<Sequence* const> scheduled,
                                         std::span<const SliceRows> slice_rows, std::span<float> rows);
  void run(std::span<Sequence* const> scheduled, std::span<const ForwardSlice> slices);
  void append(Sequence& sequence, const ChosenToken& token);
  void take_rows(Sequence& sequence, std::span<float> rows, const ChosenToken& first);
  std::optional<FinishReason> take_text(Sequence& sequence, const ChosenToken& token, std::string& text);
  std::shared_ptr<Constraint> find_constraint(const std::shared_ptr<const Grammar>& grammar);
  void restrict_logits(Sequence& sequence, std::span<float> logits);
  void follow_grammar(Sequence& sequence, std::int32_t id, bool reasoned);
  std::optional<FinishReason> find_grammar_end(const Sequence& sequence) const;
  void finish(Sequence& sequence, FinishReason reason);
  void end(Request& request, FinishReason reason);
  void end_late_requests();
  void cancel(RequestId id);
  bool close_thinking(Sequence& sequence);
  void rewind(Sequence& sequence, std::size_t size);
  bool break_loop(Sequence& sequence);
  bool report(Sequence& sequence, std::size_t num_held);
  std::vector<std::pair<RequestId, GenerateResult>> collect();
  Request& request_of(const Sequence& sequence) { return requests.at(sequence.request); }
};

}  // namespace touchstone
