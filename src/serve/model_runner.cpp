#include "serve/model_runner.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <condition_variable>
#include <deque>
#include <map>
#include <mutex>
#include <thread>
#include <vector>

#include "base/clock.h"

namespace touchstone::serve {
namespace {

using std::chrono_literals::operator""ms;

// Clients that ask one thing after another shall not wait for a chunk of something else in between.
constexpr auto kQuietBeforeIdleWork = 200ms;
constexpr std::size_t kMostExpected = 8;  // a conversation may be megabytes

struct Waiting {
  ModelRunner::Place place;  // none: idle work
  Job job;
};

}  // namespace

struct ModelRunner::Impl {
  std::shared_ptr<LoadedModel> model;
  RunnerOptions options;
  Prompter prompter;
  BackgroundHashes hashes;
  Engine engine;  // the thread's alone, once it runs
  std::int32_t max_sequence_tokens;

  mutable std::mutex mutex;
  std::condition_variable wake;
  std::map<std::uint64_t, std::deque<Waiting>> waiting;  // by tenant; none is empty
  std::uint64_t last_tenant = 0;
  std::deque<ExpectedPrompt> expected;  // newest last
  bool cancelled = false, stopped = false;
  RunnerLoad load;
  double mean_job_s = 1;

  std::shared_ptr<std::atomic<std::int32_t>> places_taken = std::make_shared<std::atomic<std::int32_t>>(0);

  // The thread's alone.
  struct Running {
    Waiting item;
    Clock::time_point begun;
  };
  std::map<Engine::RequestId, Running> running;
  std::int32_t running_samples = 0;
  bool requests_wait = false;  // for idle work to go
  double busy_s = 0;
  std::thread thread;

  Impl(std::shared_ptr<LoadedModel> loaded, const RunnerOptions& wanted)
      : model(std::move(loaded)),
        options(wanted),
        prompter(make_prompter(*model, false)),
        hashes(model),
        engine(model, options.engine),
        max_sequence_tokens(engine.max_sequence_tokens()) {
    load.num_blocks = engine.num_blocks();
  }
  void run();
  std::vector<Waiting> take_ready(bool& all_cancelled);
  bool take_next(std::vector<Waiting>& ready, std::int32_t& samples);
  bool wait_for_work(std::unique_lock<std::mutex>& lock);
  void expect(ExpectedPrompt prompt);
  Waiting make_idle_work(ExpectedPrompt prompt);
  void start(Waiting item);
  void heed_clients(bool all_cancelled);
  void step();
  void fail_all(const std::exception_ptr& error);
  void finish(Engine::RequestId id, GenerateResult result);
  void publish();
};

/// The next tenant's oldest job, if the engine has room for its samples.
bool ModelRunner::Impl::take_next(std::vector<Waiting>& ready, std::int32_t& samples) {
  if (waiting.empty()) return false;
  auto next = waiting.upper_bound(last_tenant);
  if (next == waiting.end()) next = waiting.begin();
  const std::int32_t wanted = next->second.front().job.request.n;
  if (samples > 0 && samples + wanted > options.engine.max_batch) return false;
  samples += wanted;
  last_tenant = next->first;
  ready.push_back(std::move(next->second.front()));
  next->second.pop_front();
  if (next->second.empty()) waiting.erase(next);
  return true;
}

/// False when it has been quiet for so long that there is time for what is expected.
bool ModelRunner::Impl::wait_for_work(std::unique_lock<std::mutex>& lock) {
  const auto has_work = [&] { return stopped || !waiting.empty() || !running.empty(); };
  wake.wait(lock, [&] { return has_work() || !expected.empty(); });
  return wake.wait_for(lock, kQuietBeforeIdleWork, has_work);
}

/// Locked by the caller.
void ModelRunner::Impl::expect(ExpectedPrompt prompt) {
  if (expected.size() == kMostExpected) expected.pop_front();
  expected.push_back(std::move(prompt));
}

Waiting ModelRunner::Impl::make_idle_work(ExpectedPrompt prompt) {
  Job job;
  job.request.prompt_ids = prompt.make_ids(prompter);
  job.request.cache_salt = prompt.cache_salt;
  job.request.prompt_only = true;
  job.abandoned = [this] { return requests_wait; };
  job.on_done = [this, prompt = std::move(prompt)](const GenerateResult& result) {
    const std::scoped_lock lock(mutex);
    const bool interrupted = result.samples.front().finish_reason == FinishReason::cancelled;
    if (interrupted && !cancelled) return expect(prompt);
    if (!interrupted) load.idle_tokens += result.prompt_tokens - result.cached_tokens;
  };
  job.on_error = [](const std::exception_ptr&) {};  // the request, should it come, will tell
  return {nullptr, std::move(job)};
}

/// Waits until there is something to do. Jobs that nobody waits for any more are among those that it gives.
std::vector<Waiting> ModelRunner::Impl::take_ready(bool& all_cancelled) {
  std::unique_lock lock(mutex);
  std::vector<Waiting> ready;
  if (!wait_for_work(lock)) {
    const ExpectedPrompt prompt = std::move(expected.back());
    expected.pop_back();
    lock.unlock();
    try {
      ready.push_back(make_idle_work(prompt));
    } catch (const std::exception&) {  // its template refuses what it wrote itself
    }
    lock.lock();
  }
  all_cancelled = cancelled;
  const auto now = Clock::now();
  for (auto tenant = waiting.begin(); tenant != waiting.end();) {
    std::deque<Waiting>& queue = tenant->second;
    for (auto it = queue.begin(); it != queue.end();) {
      const auto& deadline = it->job.request.deadline;
      const bool is_over = cancelled || it->job.abandoned() || (deadline && *deadline <= now);
      if (is_over) ready.push_back(std::move(*it));
      it = is_over ? queue.erase(it) : it + 1;
    }
    tenant = queue.empty() ? waiting.erase(tenant) : std::next(tenant);
  }
  std::int32_t samples = running_samples;
  while (take_next(ready, samples)) {
  }
  requests_wait = !waiting.empty() || std::any_of(ready.begin(), ready.end(),
                                                  [](const Waiting& item) { return item.place != nullptr; });
  return ready;
}

void ModelRunner::Impl::start(Waiting item) {
  const auto end_unanswered = [&](FinishReason reason) {
    GenerateResult result;
    result.prompt_tokens = static_cast<std::int32_t>(item.job.request.prompt_ids.size());
    result.samples.resize(static_cast<std::size_t>(item.job.request.n));
    for (GeneratedSample& sample : result.samples) sample.finish_reason = reason;
    item.job.on_done(std::move(result));
  };
  const auto& deadline = item.job.request.deadline;
  if (item.job.abandoned()) return end_unanswered(FinishReason::cancelled);
  if (deadline && *deadline <= Clock::now()) return end_unanswered(FinishReason::deadline);
  try {
    const std::int32_t samples = item.job.request.n;
    const auto id = engine.submit(std::move(item.job.request));
    item.job.request.n = samples;
    running_samples += samples;
    running.emplace(id, Running{std::move(item), Clock::now()});
  } catch (...) {
    item.job.on_error(std::current_exception());
  }
}

/// What has happened since the last step: clients left, or want an answer now.
void ModelRunner::Impl::heed_clients(bool all_cancelled) {
  for (const auto& [id, job] : running) {
    if (all_cancelled || job.item.job.abandoned()) engine.cancel(id);
    if (job.item.job.answer_now && *job.item.job.answer_now) engine.close_thinking(id);
  }
}

void ModelRunner::Impl::finish(Engine::RequestId id, GenerateResult result) {
  const auto found = running.find(id);
  Running job = std::move(found->second);
  running.erase(found);
  running_samples -= job.item.job.request.n;
  job.item.job.on_done(std::move(result));
  if (job.item.place == nullptr) return;  // how long idle work takes tells nobody when to come again
  constexpr double kWeight = 0.2;         // of the newest, in the mean
  const double seconds = seconds_since(job.begun);
  const std::scoped_lock lock(mutex);
  mean_job_s += kWeight * (seconds - mean_job_s);
}

/// An error in a step is everybody's: nobody knows whose tokens are right.
void ModelRunner::Impl::fail_all(const std::exception_ptr& error) {
  for (const auto& [id, job] : running) engine.cancel(id);
  engine.step();  // nothing is left to compute; gives the cancelled ones back
  for (auto& [id, job] : std::exchange(running, {})) job.item.job.on_error(error);
  running_samples = 0;
}

void ModelRunner::Impl::step() {
  try {
    for (auto& [id, result] : engine.step()) finish(id, std::move(result));
  } catch (...) {
    fail_all(std::current_exception());
  }
}

void ModelRunner::Impl::publish() {
  const std::scoped_lock lock(mutex);
  load.running = static_cast<std::int32_t>(std::count_if(
      running.begin(), running.end(), [](const auto& entry) { return entry.second.item.place != nullptr; }));
  const EngineLoad now = engine.load();
  load.used_blocks = now.used_blocks;
  load.busy_s = busy_s;
  load.forward_s = now.forward_s;
  load.choosing_s = now.choosing_s;
  load.evicted_blocks = now.evicted_blocks;
}

void ModelRunner::Impl::run() {
  while (true) {
    bool all_cancelled = false;
    std::vector<Waiting> ready = take_ready(all_cancelled);
    const auto begun = Clock::now();
    for (Waiting& item : ready) {
      if (all_cancelled) item.job.abandoned = [] { return true; };
      start(std::move(item));
    }
    ready.clear();
    publish();
    heed_clients(all_cancelled);
    if (!running.empty()) step();
    busy_s += seconds_since(begun);
    publish();
    const std::scoped_lock lock(mutex);
    if (stopped && running.empty() && waiting.empty()) return;
  }
}

ModelRunner::ModelRunner(std::shared_ptr<LoadedModel> model, const RunnerOptions& options)
    : impl_(std::make_unique<Impl>(std::move(model), options)) {
  impl_->thread = std::thread([impl = impl_.get()] { impl->run(); });
}

ModelRunner::~ModelRunner() {
  {
    const std::scoped_lock lock(impl_->mutex);
    impl_->cancelled = impl_->stopped = true;
  }
  impl_->wake.notify_one();
  impl_->thread.join();
}

const LoadedModel& ModelRunner::model() const { return *impl_->model; }
const Prompter& ModelRunner::prompter() const { return impl_->prompter; }
std::int32_t ModelRunner::max_sequence_tokens() const { return impl_->max_sequence_tokens; }

BackgroundHashes& ModelRunner::hashes() const { return impl_->hashes; }

ModelRunner::Place ModelRunner::take_place() {
  const std::int32_t most = impl_->options.engine.max_batch + impl_->options.max_queue;
  const auto taken = impl_->places_taken;
  if (taken->fetch_add(1) >= most) {
    taken->fetch_sub(1);
    return nullptr;
  }
  return {taken.get(), [taken](void*) { taken->fetch_sub(1); }};
}

int ModelRunner::seconds_to_retry() const {
  constexpr double kMost = 60;
  const std::scoped_lock lock(impl_->mutex);
  return static_cast<int>(std::clamp(std::ceil(impl_->mean_job_s), 1.0, kMost));
}

void ModelRunner::submit(Place place, Job job) {
  {
    const std::scoped_lock lock(impl_->mutex);
    auto& waiting = impl_->waiting[job.tenant];
    waiting.push_back({std::move(place), std::move(job)});
  }
  impl_->wake.notify_one();
}

void ModelRunner::prefill_when_idle(ExpectedPrompt prompt) {
  {
    const std::scoped_lock lock(impl_->mutex);
    impl_->expect(std::move(prompt));
  }
  impl_->wake.notify_one();
}

void ModelRunner::cancel_all() {
  {
    const std::scoped_lock lock(impl_->mutex);
    impl_->cancelled = true;
  }
  impl_->hashes.stop();
}

RunnerLoad ModelRunner::load() const {
  const std::scoped_lock lock(impl_->mutex);
  RunnerLoad load = impl_->load;
  for (const auto& [tenant, queue] : impl_->waiting) load.waiting += static_cast<std::int32_t>(queue.size());
  return load;
}

}  // namespace touchstone::serve
