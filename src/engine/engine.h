// engine/: many sequences at once over one model. Enter here: load_model(), then Engine.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/score.h"
#include "formats/checkpoint.h"
#include "model/transformer.h"
#include "text/chat_template.h"
#include "text/tokenizer.h"

namespace touchstone {

class Grammar;

struct SamplingParams {
  float temperature = 0.6F;  // 0: greedy
  float top_p = 0.95F;
  std::int32_t top_k = 0;  // 0: off
  float min_p = 0.0F;
  float repetition_penalty = 1.0F;
  float presence_penalty = 0.0F;
  float frequency_penalty = 0.0F;
  std::uint64_t seed = 0;
  std::int32_t max_new_tokens = 1024;
  std::vector<std::string> stop;       // stop strings; not part of the text
  std::vector<std::int32_t> stop_ids;  // end-of-generation ids
  bool ignore_eos = false;
  std::optional<std::int32_t> reasoning_budget;            // tokens of thinking, then it is closed
  std::vector<std::pair<std::int32_t, float>> logit_bias;  // added to the ids' logits before all else
  std::int32_t num_logprobs = -1;  // likeliest ids that each TokenEvent lists; 0: its own alone; -1: off
};

/// A loaded candidate: weights, tokenizer, template and defaults, all its own.
struct LoadedModel {
  std::string id;
  ModelOptions options;  // as it was loaded
  Checkpoint checkpoint;
  std::string stored_type;  // what most of its weights are stored as, in the files' words: "Q4_K", "BF16"
  std::shared_ptr<Transformer> transformer;
  Tokenizer tokenizer;
  std::optional<ChatTemplate> chat_template;
  SamplingParams defaults;  // from generation_config.json, else CONTRACT's
  double load_ms = 0;
};

struct LoadOptions : ModelOptions {
  bool raw = false;  // the chat template is not wanted, nor looked at
};
LoadedModel load_model(const std::string& model, const LoadOptions& options);

enum class FinishReason {
  stop,
  loop,  // it stopped, too, but the loop guard had closed its thinking
  length,
  cancelled,
  deadline,
};
const char* finish_reason_name(FinishReason reason);  // "stop", …

/// A generated id, as soon as it is certain to stay: with loop_guard, thinking that repeats itself waits.
struct TokenEvent {
  int sample;
  std::int32_t id;
  std::string_view text;  // what became certain with the id, thinking and its tags included
  bool reasoning;         // chosen inside the thinking, whose closing tag belongs to it
  // Log-probabilities under the model's own distribution, before bias, penalties and temperature; only where
  // num_logprobs asks for them. `top`: likeliest first.
  float logprob = 0;
  std::span<const std::pair<std::int32_t, float>> top = {};
};

struct GeneratedSample;

struct GenerateRequest {
  std::vector<std::int32_t> prompt_ids;
  SamplingParams sampling;
  std::int32_t n = 1;                                    // samples
  std::uint32_t first_sample = 0;                        // its number among those that the seed can give
  bool reasoning_opened = false;                         // the prompt ends inside <think>
  std::function<bool(const TokenEvent&)> on_token = {};  // false cancels the request
  // A sample has ended by itself; false cancels the others.
  std::function<bool(int sample, const GeneratedSample&)> on_sample = {};
  // What the model expected at each place of the prompt but its last, with num_logprobs likeliest ids: called
  // once, when the prompt is computed. Of such a prompt nothing is taken from the prefix cache.
  std::function<void(std::span<const ScoredPosition>)> on_prompt = {};
  bool prompt_only = false;     // each sample ends, empty, when the prompt is computed
  std::string cache_salt = {};  // prompts share cached keys and values only with those of the same salt
  std::optional<std::chrono::steady_clock::time_point> deadline = {};  // what is not done by then is cut off
  // What the answer must follow (text/json_schema.h), behind the thinking where there is any. An answer that
  // max_new_tokens cuts is only the beginning of such a text.
  std::shared_ptr<const Grammar> constraint = nullptr;
  // Thinking that goes round in circles is taken back to where that began and goes on with another token;
  // when it does so again, it is closed there. Changes no byte of answers that do not.
  bool loop_guard = false;
};

struct GeneratedSample {
  std::string text;  // the answer, thinking removed
  std::string reasoning;
  bool reasoning_closed = true;
  std::string rest;  // of what was cut off: its end, which waited for what would follow and is in no event
  std::int32_t loops = 0;                      // found in the thinking and taken back; the second closed it
  std::optional<std::int32_t> answered_after;  // tokens of thinking, when Engine::close_thinking() closed it
  std::vector<std::int32_t> ids;  // all generated ids, the end id included; without those taken back
  FinishReason finish_reason = FinishReason::stop;
  std::string stop_string;  // the one that ended it; empty: none did
  double ttft_ms = 0, total_ms = 0;
};

struct GenerateResult {
  std::vector<GeneratedSample> samples;
  std::int32_t prompt_tokens = 0;
  std::int32_t cached_tokens = 0;    // of the prompt: their keys and values were there already
  std::int64_t drafted_tokens = 0;   // guesses that were verified, over all samples
  std::int64_t accepted_tokens = 0;  // those that were right
};

/// Whether the next tokens are guessed from the text so far (lookup.h). Changes no byte of any answer.
enum class Lookup {
  automatic,  // where it measures faster
  on,         // whenever the end of the text stood in it before
  off,
};

struct EngineOptions {
  std::int32_t max_batch = 64;  // sequences that decode at once
  std::int32_t context_tokens =
      0;  // KV memory in tokens over all sequences; 0: as max_batch needs, within free memory
  std::int32_t max_sequence_tokens = 0;  // prompt and answer of one sequence; 0: the model's own limit
  std::int32_t prefill_chunk = 256;
  Lookup lookup = Lookup::automatic;
  // Keep what was computed until its memory is needed, so that a prompt that begins like an earlier text is
  // computed from where it differs. Changes no byte of any answer.
  bool prefix_cache = true;
};

/// Positions whose logits one pass computes at most.
std::int32_t most_logit_rows(const EngineOptions& options);

/// What an engine does now, and has done since it was made.
struct EngineLoad {
  std::int32_t waiting = 0, running = 0;  // samples
  std::int32_t used_blocks = 0;           // KV blocks that samples hold
  std::int32_t cached_blocks = 0;         // and those that only the prefix cache holds
  std::int32_t num_blocks = 0;
  std::int64_t prompt_tokens = 0, cached_tokens = 0, generated_tokens = 0;
  std::int64_t evicted_blocks = 0;  // from the prefix cache, because they were needed
  // In step(), in the model's passes of it, and in choosing tokens from their logits.
  double step_s = 0, forward_s = 0, choosing_s = 0;
};

/// Continuous batching over one model. Not thread-safe: one thread submits and steps.
class Engine {
 public:
  Engine(std::shared_ptr<LoadedModel> model, const EngineOptions& options);
  ~Engine();

  using RequestId = std::uint64_t;
  /// Throws Error for a prompt that can never fit.
  RequestId submit(GenerateRequest request);
  void cancel(RequestId id);
  /// "Answer now": closes the thinking of each sample that thinks, with its next token.
  void close_thinking(RequestId id);
  /// Runs one step; returns requests that finished in it.
  std::vector<std::pair<RequestId, GenerateResult>> step();
  bool idle() const;
  /// The most tokens that one sequence may have, prompt and answer together.
  std::int32_t max_sequence_tokens() const;
  /// KV blocks that no sequence holds, and all there are.
  std::int32_t free_blocks() const;
  std::int32_t num_blocks() const;
  EngineLoad load() const;
  void clear_prefix_cache();

  /// submit + step until done, for one request; no other may be under way. `stop`, if there is one, is asked
  /// before each step: when it says so the request is cancelled.
  GenerateResult generate(GenerateRequest request, const std::function<bool()>& stop = {});

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace touchstone
