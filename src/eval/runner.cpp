#include "eval/runner.h"

#include <fmt/core.h>

#include <algorithm>
#include <boost/json.hpp>
#include <condition_variable>
#include <deque>
#include <exception>
#include <map>
#include <mutex>
#include <thread>
#include <utility>

#include "base/clock.h"
#include "base/cores.h"
#include "base/error.h"
#include "engine/loops.h"
#include "engine/memory.h"

namespace touchstone {
namespace {

/// An item that waits for its answers.
struct Pending {
  const Suite* suite;
  const Item* item;
  Prompt prompt;
};

GenerateRequest make_request(const RunnerCandidate& candidate, const Pending& pending,
                             const RunSettings& settings) {
  const auto prompt_tokens = static_cast<int>(pending.prompt.ids.size());
  const int limit = context_limit(*candidate.model, settings);
  if (prompt_tokens >= limit) {
    throw Error(fmt::format("item '{}' of suite {} needs {} tokens for {}, whose context is {}",
                            pending.item->id, pending.suite->name, prompt_tokens, candidate.label, limit),
                "use a smaller --limit or another suite, or a larger --ctx");
  }
  GenerateRequest request;
  request.prompt_ids = pending.prompt.ids;
  request.sampling = candidate.sampling;
  request.sampling.seed = item_seed(settings.seed, pending.suite->name, pending.item->id);
  request.sampling.max_new_tokens = std::min(settings.max_new_tokens, limit - prompt_tokens);
  request.n = settings.samples;
  request.reasoning_opened = pending.prompt.reasoning_opened;
  return request;
}

/// KV memory for the longest prompt with its answer, not for the model's whole context.
EngineOptions make_engine_options(const RunnerCandidate& candidate, std::span<const Pending> pending,
                                  const RunSettings& settings) {
  std::size_t longest = 0;
  for (const Pending& item : pending) longest = std::max(longest, item.prompt.ids.size());
  const std::int64_t wanted = static_cast<std::int64_t>(longest) + settings.max_new_tokens;
  const std::int64_t limit = context_limit(*candidate.model, settings);
  // Without a prefix cache, so that memory and times are those of the answers alone.
  return {.max_batch = kRunnerBatch,
          .max_sequence_tokens = static_cast<std::int32_t>(std::min(wanted, limit)),
          .prefix_cache = false};
}

std::vector<StoredAnswer> make_answers(int candidate, const Pending& pending, GenerateResult&& result) {
  std::vector<StoredAnswer> answers;
  for (std::size_t sample = 0; sample < result.samples.size(); ++sample) {
    GeneratedSample& generated = result.samples[sample];
    StoredAnswer answer;
    answer.candidate = candidate;
    answer.suite = pending.suite->name;
    answer.item = pending.item->id;
    answer.sample = static_cast<int>(sample);
    answer.prompt = pending.prompt.text;
    answer.prompt_tokens = static_cast<int>(pending.prompt.ids.size());
    answer.text = std::move(generated.text);
    answer.reasoning = std::move(generated.reasoning);
    answer.reasoning_closed = generated.reasoning_closed;
    answer.tokens = static_cast<int>(generated.ids.size());
    answer.hit_length = generated.finish_reason == FinishReason::length;
    answer.loops = answer.hit_length && ends_in_loop(generated.ids);
    answer.ttft_ms = generated.ttft_ms;
    answer.total_ms = generated.total_ms;
    answers.push_back(std::move(answer));
  }
  return answers;
}

/// What earlier sittings of a resumed run cost.
CandidateCost load_cost(const Store& store, int candidate) {
  const auto document = store.find_document("cost/" + std::to_string(candidate));
  return document ? cost_from_json(boost::json::parse(*document).as_object()) : CandidateCost{};
}

/// `earlier` and what this sitting has added.
CandidateCost add_sitting(const CandidateCost& earlier, double seconds, int answers,
                          std::uint64_t rss_before_bytes, std::uint64_t gpu_bytes) {
  CandidateCost cost = earlier;
  cost.generation_seconds += seconds;
  cost.answers += answers;
  cost.batch = kRunnerBatch;
  const std::uint64_t peak = peak_rss_bytes() + gpu_bytes;
  const std::uint64_t added = peak > rss_before_bytes ? peak - rss_before_bytes : 0;
  if (added > cost.peak_rss_bytes - cost.rss_before_bytes) {
    cost.rss_before_bytes = rss_before_bytes;
    cost.peak_rss_bytes = peak;
  }
  return cost;
}

std::vector<Pending> find_pending(const Store& store, const RunnerCandidate& candidate,
                                  std::span<const Suite> suites, int samples) {
  const std::set<Store::AnswerKey> answered = store.answered(candidate.index);
  std::vector<Pending> pending;
  for (const Suite& suite : suites) {
    for (const Item& item : suite.items) {
      if (answered.contains({suite.name, item.id, samples - 1}))
        continue;  // an item's samples are committed together
      pending.push_back({&suite, &item, make_prompt(candidate.prompter, user_turn(suite, item))});
    }
  }
  return pending;
}

int count_answers(std::span<const Suite> suites, int samples) {
  std::size_t items = 0;
  for (const Suite& suite : suites) items += suite.items.size();
  return static_cast<int>(items) * samples;
}

/// Time left if the answers to come are as long as those that are done.
double estimate_seconds_left(double elapsed, int done, int total, std::int64_t tokens_done,
                             std::int64_t tokens_made) {
  if (done == 0 || tokens_made == 0) return -1;
  const double expected = static_cast<double>(tokens_done) / done * total;
  const double left = std::max(0.0, expected - static_cast<double>(tokens_made));
  return left * elapsed / static_cast<double>(tokens_made);
}

/// Answers and their items, handed from the caller to grading threads and back.
class GradingQueue {
 public:
  GradingQueue(std::span<const StoredAnswer> answers, std::span<const Item* const> items)
      : answers_(answers), items_(items) {}

  /// A grading thread's whole life.
  void work() {
    for (std::optional<std::size_t> index; (index = take());) {
      Grade result;
      try {
        result = grade(*items_[*index], answers_[*index].text);
      } catch (...) {
        const std::lock_guard lock(mutex_);
        failure_ = std::current_exception();
        done_.notify_all();
        return;
      }
      const std::lock_guard lock(mutex_);
      graded_.emplace_back(*index, std::move(result));
      done_.notify_all();
    }
  }

  /// What has been graded since the last call; waits a little for it. Throws what a grading thread threw.
  std::vector<std::pair<std::size_t, Grade>> collect() {
    constexpr auto kPollInterval = std::chrono::milliseconds(100);  // an interrupt is noticed this soon
    std::unique_lock lock(mutex_);
    done_.wait_for(lock, kPollInterval, [&] { return !graded_.empty() || failure_ != nullptr; });
    if (failure_ != nullptr) std::rethrow_exception(failure_);
    return std::exchange(graded_, {});
  }

  void stop() {
    const std::lock_guard lock(mutex_);
    next_ = answers_.size();
  }

 private:
  std::optional<std::size_t> take() {
    const std::lock_guard lock(mutex_);
    if (next_ >= answers_.size() || failure_ != nullptr) return std::nullopt;
    return next_++;
  }

  std::span<const StoredAnswer> answers_;
  std::span<const Item* const> items_;
  std::mutex mutex_;
  std::condition_variable done_;
  std::size_t next_ = 0;
  std::vector<std::pair<std::size_t, Grade>> graded_;
  std::exception_ptr failure_;
};

/// Joins its threads; they end when the queue is stopped or empty.
struct GradingThreads {
  GradingQueue& queue;
  std::vector<std::thread> threads;
  explicit GradingThreads(GradingQueue& shared) : queue(shared) {}
  // Delegates, so that those which started are joined when one cannot.
  GradingThreads(GradingQueue& shared, std::size_t count) : GradingThreads(shared) {
    for (std::size_t i = 0; i < count; ++i) threads.emplace_back([this] { queue.work(); });
  }
  GradingThreads(const GradingThreads&) = delete;
  GradingThreads& operator=(const GradingThreads&) = delete;
  ~GradingThreads() {
    queue.stop();
    for (std::thread& thread : threads) thread.join();
  }
};

const Item& find_item(std::span<const Suite> suites, const StoredAnswer& answer) {
  for (const Suite& suite : suites) {
    if (suite.name != answer.suite) continue;
    for (const Item& item : suite.items) {
      if (item.id == answer.item) return item;
    }
  }
  throw Error("the run holds an answer to item '" + answer.item + "' of suite " + answer.suite +
                  ", which the suite does not have",
              "the suite has changed; start a new run");
}

}  // namespace

bool has_all_answers(const Store& store, int candidate, std::span<const Suite> suites, int samples) {
  return std::cmp_equal(store.answered(candidate).size(), count_answers(suites, samples));
}

bool answer_items(Store& store, const RunnerCandidate& candidate, std::span<const Suite> suites,
                  const RunSettings& settings, std::uint64_t rss_before_bytes, const RunHooks& hooks) {
  const std::vector<Pending> pending = find_pending(store, candidate, suites, settings.samples);
  const CandidateCost earlier = load_cost(store, candidate.index);
  Engine engine(candidate.model, make_engine_options(candidate, pending, settings));
  std::int64_t tokens_made = 0;
  std::int64_t tokens_done = 0;
  std::map<Engine::RequestId, const Pending*> running;
  for (const Pending& item : pending) {
    GenerateRequest request = make_request(candidate, item, settings);
    request.on_token = [&tokens_made](const TokenEvent&) {
      ++tokens_made;
      return true;
    };
    running[engine.submit(std::move(request))] = &item;
  }

  const auto start = Clock::now();
  const int waiting = static_cast<int>(pending.size()) * settings.samples;
  const int kept = count_answers(suites, settings.samples) - waiting;  // by an earlier sitting
  int done = 0;
  while (!engine.idle()) {
    if (hooks.stop && hooks.stop()) return false;
    std::vector<StoredAnswer> answers;
    for (auto& [id, result] : engine.step()) {
      for (StoredAnswer& answer : make_answers(candidate.index, *running.at(id), std::move(result))) {
        tokens_done += answer.tokens;
        answers.push_back(std::move(answer));
      }
    }
    const double elapsed = seconds_since(start);
    if (!answers.empty()) {
      store.put_answers(answers);
      done += static_cast<int>(answers.size());
      const CandidateCost cost = add_sitting(earlier, elapsed, done, rss_before_bytes,
                                             candidate.model->transformer->peak_gpu_bytes());
      store.put_document("cost/" + std::to_string(candidate.index),
                         boost::json::serialize(cost_to_json(cost)));
    }
    if (hooks.progress) {
      hooks.progress(
          {.phase = "answers",
           .candidate = candidate.label,
           .done = kept + done,
           .total = kept + waiting,
           .tokens_per_second = static_cast<double>(tokens_made) / std::max(elapsed, 1e-3),
           .seconds_left = estimate_seconds_left(elapsed, done, waiting, tokens_done, tokens_made)});
    }
  }
  return true;
}

bool grade_answers(Store& store, int candidate, const std::string& label, std::span<const Suite> suites,
                   const RunHooks& hooks) {
  const std::vector<StoredAnswer> answers = store.ungraded_answers(candidate);
  if (answers.empty()) return true;
  std::vector<const Item*> items;
  items.reserve(answers.size());
  for (const StoredAnswer& answer : answers) items.push_back(&find_item(suites, answer));
  GradingQueue queue(answers, items);
  const GradingThreads threads(queue, std::min(answers.size(), static_cast<std::size_t>(usable_cores())));
  std::size_t done = 0;
  while (done < answers.size()) {
    if (hooks.stop && hooks.stop()) return false;
    for (const auto& [index, result] : queue.collect()) {
      const StoredAnswer& answer = answers[index];
      const Outcome outcome = classify_answer(items[index]->kind, result, answer.hit_length, answer.loops);
      store.put_grade(answer, {outcome, result.extracted, result.why});
      ++done;
    }
    if (hooks.progress) {
      hooks.progress({.phase = "grading",
                      .candidate = label,
                      .done = static_cast<int>(done),
                      .total = static_cast<int>(answers.size())});
    }
  }
  return true;
}

Outcome classify_answer(TaskKind kind, const Grade& grade, bool hit_length, bool loops) {
  if (grade.verdict == Verdict::correct) return Outcome::correct;
  if (grade.verdict == Verdict::error) return Outcome::error;
  // A program that was still being written is not an answer, nor the last number of a computation that was
  // not finished, though there is always text to take for one.
  const bool unfinished =
      hit_length && (grade.verdict == Verdict::unanswered || kind == TaskKind::code || grade.guessed);
  if (hit_length && loops) return Outcome::looped;
  if (unfinished) return Outcome::cut_off;
  if (grade.timed_out) return Outcome::timed_out;
  return grade.verdict == Verdict::unanswered ? Outcome::unparsable : Outcome::wrong;
}

std::string describe_expected(const Item& item) {
  switch (item.kind) {
    case TaskKind::math:
      return item.answer;
    case TaskKind::code:
      return "a function " + item.entry_point + " that passes:\n" + item.test;
    case TaskKind::logic:
      break;
  }
  if (item.answer_index >= item.options.size()) return "";
  return std::string(1, static_cast<char>('A' + item.answer_index)) + ": " + item.options[item.answer_index];
}

std::uint64_t item_seed(std::uint64_t run_seed, std::string_view suite, std::string_view item) {
  std::uint64_t hash = 0xcbf29ce484222325U ^ run_seed;  // FNV-1a
  const auto add = [&](std::string_view text) {
    for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3U;
    hash = (hash ^ 0xffU) * 0x100000001b3U;  // "ab" + "c" is not "a" + "bc"
  };
  add(suite);
  add(item);
  return hash;
}

int context_limit(const LoadedModel& model, const RunSettings& settings) {
  const int own = model.transformer->config().max_position_embeddings;
  return settings.context_tokens > 0 ? std::min(settings.context_tokens, own) : own;
}

}  // namespace touchstone
