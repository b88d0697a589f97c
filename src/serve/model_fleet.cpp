#include "serve/model_fleet.h"

#include <malloc.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>
#include <utility>

#include "base/error.h"

namespace touchstone::serve {
namespace {

// An answer holds its model for a moment after its last byte, and whoever has read that byte may ask for
// another model at once.
constexpr std::chrono::milliseconds kMostHeldOn{1000};
constexpr std::chrono::milliseconds kBetweenLooks{5};

/// Adds what only grows.
void add_counts(RunnerLoad& to, const RunnerLoad& from) {
  to.busy_s += from.busy_s;
  to.forward_s += from.forward_s;
  to.choosing_s += from.choosing_s;
  to.idle_tokens += from.idle_tokens;
  to.evicted_blocks += from.evicted_blocks;
}

void forget_gone(std::vector<ModelFleet::Waiter>& waiters) {
  std::erase_if(waiters, [](const ModelFleet::Waiter& waiter) { return waiter.is_gone(); });
}

}  // namespace

struct ModelFleet::Impl {
  struct Entry {
    Lease runner;     // null: not loaded
    RunnerLoad past;  // counts of the runners that it had before
    std::uint64_t last_use = 0;
    bool unwanted = false;  // to be unloaded when nobody uses it
    std::vector<Waiter> waiters;
  };

  std::vector<FleetModel> models;
  RunnerOptions options;
  std::uint64_t budget;
  Metrics& metrics;

  mutable std::mutex mutex;
  std::condition_variable wake;
  std::vector<Entry> entries;      // one for each model
  std::deque<std::size_t> wanted;  // models with waiters, the longest waiting first
  std::uint64_t uses = 0, used_bytes = 0;
  bool stopped = false;
  std::thread thread;

  Impl(std::vector<FleetModel> known, const RunnerOptions& wanted_options, std::uint64_t bytes,
       Metrics& counts)
      : models(std::move(known)),
        options(wanted_options),
        budget(bytes),
        metrics(counts),
        entries(models.size()) {
    for (const FleetModel& model : models) metrics.set_loaded(model.id, false);
  }

  Lease make_runner(std::size_t model);
  void load_first();
  void run(const std::function<void(std::exception_ptr)>& on_loaded);
  void serve_next(std::unique_lock<std::mutex>& lock);
  bool make_room(std::uint64_t bytes, std::unique_lock<std::mutex>& lock);
  bool wait_for_room(std::uint64_t bytes, std::unique_lock<std::mutex>& lock);
  void unload(std::size_t model, std::unique_lock<std::mutex>& lock);
  bool has_unwanted() const;
  void unload_unwanted(std::unique_lock<std::mutex>& lock);
  void answer(std::size_t model, const Lease& lease, Refusal refusal, std::unique_lock<std::mutex>& lock);
};

ModelFleet::Lease ModelFleet::Impl::make_runner(std::size_t model) {
  const FleetModel& known = models[model];
  std::shared_ptr<LoadedModel> loaded = known.load();
  loaded->id = known.id;
  RunnerOptions runner_options = options;
  runner_options.engine = known.engine;
  metrics.describe_model(known.id, loaded->transformer->config().model_type, loaded->load_ms / 1e3);
  metrics.count_load(known.id);
  spdlog::info("loaded {} in {:.0f} ms", known.id, loaded->load_ms);
  return std::make_shared<ModelRunner>(std::move(loaded), runner_options);
}

void ModelFleet::Impl::load_first() {
  for (std::size_t i = 0; i < models.size(); ++i) {
    if (models[i].bytes > budget - used_bytes) continue;
    Lease runner = make_runner(i);
    const std::scoped_lock lock(mutex);
    if (stopped) return;
    entries[i].runner = std::move(runner);
    used_bytes += models[i].bytes;
    metrics.set_loaded(models[i].id, true);
  }
}

void ModelFleet::Impl::run(const std::function<void(std::exception_ptr)>& on_loaded) {
  std::exception_ptr failure;
  try {
    load_first();
  } catch (...) {
    failure = std::current_exception();
  }
  on_loaded(failure);
  std::unique_lock lock(mutex);
  while (true) {
    wake.wait(lock, [&] { return stopped || !wanted.empty() || has_unwanted(); });
    if (stopped) break;
    if (wanted.empty()) {
      unload_unwanted(lock);
    } else {
      serve_next(lock);
    }
  }
  for (std::size_t i = 0; i < entries.size(); ++i) answer(i, nullptr, Refusal::ending, lock);
}

/// Loads the model that has been waited for the longest, if somebody still waits.
void ModelFleet::Impl::serve_next(std::unique_lock<std::mutex>& lock) {
  const std::size_t model = wanted.front();
  wanted.pop_front();
  Entry& entry = entries[model];
  forget_gone(entry.waiters);
  if (entry.waiters.empty()) return;
  if (entry.runner) return answer(model, entry.runner, {}, lock);
  if (!wait_for_room(models[model].bytes, lock)) {
    return answer(model, nullptr, stopped ? Refusal::ending : Refusal::busy, lock);
  }
  used_bytes += models[model].bytes;
  lock.unlock();
  Lease runner;
  try {
    runner = make_runner(model);
  } catch (const std::exception& error) {
    spdlog::error("cannot load {}: {}", models[model].id, error.what());
  }
  lock.lock();
  if (!runner) {
    used_bytes -= models[model].bytes;
    return answer(model, nullptr, Refusal::failed, lock);
  }
  entry.runner = runner;
  entry.last_use = ++uses;
  metrics.set_loaded(models[model].id, true);
  answer(model, runner, {}, lock);
}

/// Unloads the least recently used models that nobody uses, until there is room; leaves all as they are when
/// even that would not make it.
bool ModelFleet::Impl::make_room(std::uint64_t bytes, std::unique_lock<std::mutex>& lock) {
  std::vector<std::size_t> idle;
  std::uint64_t idle_bytes = 0;
  for (std::size_t i = 0; i < entries.size(); ++i) {
    // New leases are given under the lock alone, so one that is the only one stays so.
    if (entries[i].runner.use_count() != 1) continue;
    idle.push_back(i);
    idle_bytes += models[i].bytes;
  }
  if (bytes > budget - used_bytes + idle_bytes) return false;
  std::sort(idle.begin(), idle.end(),
            [&](std::size_t a, std::size_t b) { return entries[a].last_use < entries[b].last_use; });
  std::vector<std::size_t> chosen;
  for (std::uint64_t room = budget - used_bytes; room < bytes;) {
    chosen.push_back(idle[chosen.size()]);
    room += models[chosen.back()].bytes;
  }
  for (const std::size_t model : chosen) {
    if (entries[model].runner.use_count() == 1) unload(model, lock);
  }
  return bytes <= budget - used_bytes;  // somebody may have come while another one was unloaded
}

/// make_room(), again and again for as long as a model may still be held by an answer that has ended.
bool ModelFleet::Impl::wait_for_room(std::uint64_t bytes, std::unique_lock<std::mutex>& lock) {
  const auto end = std::chrono::steady_clock::now() + kMostHeldOn;
  while (!make_room(bytes, lock)) {
    if (std::chrono::steady_clock::now() >= end) return false;
    if (wake.wait_for(lock, kBetweenLooks, [&] { return stopped; })) return false;
  }
  return true;
}

void ModelFleet::Impl::unload(std::size_t model, std::unique_lock<std::mutex>& lock) {
  Lease runner = std::move(entries[model].runner);
  entries[model].runner = nullptr;
  add_counts(entries[model].past, runner->load());
  lock.unlock();
  runner.reset();
  malloc_trim(0);  // the tokenizer's small pieces
  metrics.set_loaded(models[model].id, false);
  metrics.count_unload(models[model].id);
  spdlog::info("unloaded {}", models[model].id);
  lock.lock();
  used_bytes -= models[model].bytes;
}

bool ModelFleet::Impl::has_unwanted() const {
  return std::any_of(entries.begin(), entries.end(), [](const Entry& entry) { return entry.unwanted; });
}

/// Those that nobody uses; waits a little where others are still in use.
void ModelFleet::Impl::unload_unwanted(std::unique_lock<std::mutex>& lock) {
  for (std::size_t i = 0; i < entries.size(); ++i) {
    if (!entries[i].unwanted || entries[i].runner.use_count() > 1) continue;
    entries[i].unwanted = false;
    if (entries[i].runner) unload(i, lock);
  }
  if (has_unwanted()) wake.wait_for(lock, kBetweenLooks, [&] { return stopped || !wanted.empty(); });
}

void ModelFleet::Impl::answer(std::size_t model, const Lease& lease, Refusal refusal,
                              std::unique_lock<std::mutex>& lock) {
  const std::vector<Waiter> waiters = std::exchange(entries[model].waiters, {});
  lock.unlock();
  for (const Waiter& waiter : waiters) waiter.take(lease, refusal);
  lock.lock();
}

ModelFleet::ModelFleet(std::vector<FleetModel> models, const RunnerOptions& options, std::uint64_t budget,
                       Metrics& metrics)
    : impl_(std::make_unique<Impl>(std::move(models), options, budget, metrics)) {}

ModelFleet::~ModelFleet() {
  stop_loading();
  for (Impl::Entry& entry : impl_->entries) {
    if (!entry.runner) continue;
    entry.runner->cancel_all();
    // Its jobs hold it, too, and go on its own thread: the last holder must not, it waits for that thread.
    while (entry.runner.use_count() > 1) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
}

void ModelFleet::start_loading(std::function<void(std::exception_ptr)> on_loaded) {
  impl_->thread =
      std::thread([impl = impl_.get(), on_loaded = std::move(on_loaded)] { impl->run(on_loaded); });
}

const std::vector<FleetModel>& ModelFleet::models() const { return impl_->models; }

int ModelFleet::find(const std::string& name) const {
  if (name.empty()) return 0;
  for (std::size_t i = 0; i < impl_->models.size(); ++i) {
    const FleetModel& model = impl_->models[i];
    const auto& others = model.other_ids;
    if (model.id == name || std::find(others.begin(), others.end(), name) != others.end())
      return static_cast<int>(i);
  }
  return -1;
}

bool ModelFleet::can_fit(int model) const {
  return impl_->models[static_cast<std::size_t>(model)].bytes <= impl_->budget;
}

ModelFleet::Lease ModelFleet::lease(int model) {
  const std::scoped_lock lock(impl_->mutex);
  Impl::Entry& entry = impl_->entries[static_cast<std::size_t>(model)];
  entry.last_use = ++impl_->uses;
  entry.unwanted = false;
  return entry.runner;
}

void ModelFleet::unload(int model) {
  {
    const std::scoped_lock lock(impl_->mutex);
    impl_->entries[static_cast<std::size_t>(model)].unwanted = true;
  }
  impl_->wake.notify_one();
}

void ModelFleet::look(int model, const std::function<void(const ModelRunner&)>& view) const {
  const std::scoped_lock lock(impl_->mutex);
  if (const Lease& runner = impl_->entries[static_cast<std::size_t>(model)].runner) view(*runner);
}

RunnerLoad ModelFleet::load(int model) const {
  const std::scoped_lock lock(impl_->mutex);
  const Impl::Entry& entry = impl_->entries[static_cast<std::size_t>(model)];
  RunnerLoad load = entry.runner ? entry.runner->load() : RunnerLoad();
  add_counts(load, entry.past);
  return load;
}

void ModelFleet::wait_for(int model_index, Waiter waiter) {
  const auto model = static_cast<std::size_t>(model_index);
  const auto most = static_cast<std::size_t>(impl_->options.engine.max_batch) +
                    static_cast<std::size_t>(impl_->options.max_queue);
  Refusal refusal = Refusal::ending;
  {
    const std::scoped_lock lock(impl_->mutex);
    auto& waiters = impl_->entries[model].waiters;
    forget_gone(waiters);
    if (waiters.size() >= most) refusal = Refusal::full;
    if (!impl_->stopped && waiters.size() < most) {
      waiters.push_back(std::move(waiter));
      auto& wanted = impl_->wanted;
      if (std::find(wanted.begin(), wanted.end(), model) == wanted.end()) wanted.push_back(model);
      impl_->wake.notify_one();
      return;
    }
  }
  waiter.take(nullptr, refusal);
}

void ModelFleet::cancel_all() {
  std::unique_lock lock(impl_->mutex);
  for (std::size_t i = 0; i < impl_->entries.size(); ++i) {
    if (impl_->entries[i].runner) impl_->entries[i].runner->cancel_all();
    impl_->answer(i, nullptr, Refusal::ending, lock);
  }
}

void ModelFleet::stop_loading() {
  {
    const std::scoped_lock lock(impl_->mutex);
    impl_->stopped = true;
  }
  impl_->wake.notify_one();
  if (impl_->thread.joinable()) impl_->thread.join();
}

}  // namespace touchstone::serve
