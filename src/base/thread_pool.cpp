#include "base/thread_pool.h"

#include <string>
#include <system_error>

#include "base/error.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace touchstone {
namespace {

// About 50 us at 3 GHz: longer than the serial gap between two stages of a step, shorter than anyone notices.
constexpr int kSpins = 2000;
// And then half a millisecond in which others may have the processor: most waits for another thread's last
// piece are shorter, and to wake a thread that sleeps takes a virtual machine up to as long.
constexpr int kYields = 500;

void pause_briefly() {
#if defined(__x86_64__)
  _mm_pause();
#endif
}

/// Waits until `value` differs from `old`: spins, then yields, then sleeps.
std::uint32_t wait_for_change(const std::atomic<std::uint32_t>& value, std::uint32_t old) {
  for (int i = 0; i < kSpins; ++i) {
    const std::uint32_t now = value.load(std::memory_order_acquire);
    if (now != old) return now;
    pause_briefly();
  }
  for (int i = 0; i < kYields; ++i) {
    const std::uint32_t now = value.load(std::memory_order_acquire);
    if (now != old) return now;
    std::this_thread::yield();
  }
  value.wait(old, std::memory_order_acquire);
  return value.load(std::memory_order_acquire);
}

void end_workers(std::atomic<bool>& stopping, std::atomic<std::uint32_t>& epoch,
                 std::vector<std::thread>& workers) {
  stopping = true;
  epoch.fetch_add(1, std::memory_order_release);
  epoch.notify_all();
  for (std::thread& worker : workers) worker.join();
}

}  // namespace

ThreadPool::ThreadPool(int num_threads) {
  try {
    for (int i = 1; i < num_threads; ++i) workers_.emplace_back([this, i] { work(i); });
  } catch (const std::system_error& error) {
    end_workers(stopping_, epoch_, workers_);
    throw Error(std::string("cannot start ") + std::to_string(num_threads) + " threads: " + error.what(),
                "use fewer with --threads, or raise the limits of memory and processes");
  }
}

ThreadPool::~ThreadPool() { end_workers(stopping_, epoch_, workers_); }

void ThreadPool::run(const std::function<void(int)>& task) {
  if (workers_.empty()) return task(0);
  task_ = &task;
  running_.store(static_cast<std::uint32_t>(workers_.size()), std::memory_order_relaxed);
  epoch_.fetch_add(1, std::memory_order_release);
  epoch_.notify_all();
  task(0);
  std::uint32_t left = running_.load(std::memory_order_acquire);
  while (left != 0) left = wait_for_change(running_, left);
}

void ThreadPool::work(int index) {
  std::uint32_t seen = 0;
  while (true) {
    seen = wait_for_change(epoch_, seen);
    if (stopping_) return;
    (*task_)(index);
    if (running_.fetch_sub(1, std::memory_order_acq_rel) == 1) running_.notify_one();
  }
}

}  // namespace touchstone
