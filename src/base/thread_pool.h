// A fixed team of threads for kernels: work is handed out and collected within microseconds.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <thread>
#include <vector>

namespace touchstone {

/// Threads spin for a short while after each task and then sleep, so that back-to-back tasks cost no system
/// call.
class ThreadPool {
 public:
  /// `num_threads` >= 1 counts the calling thread.
  explicit ThreadPool(int num_threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int size() const { return static_cast<int>(workers_.size()) + 1; }

  /// Runs task(thread_index) once on each thread, index 0 on the caller; returns when all have finished. One
  /// caller at a time. `task` must not throw.
  void run(const std::function<void(int)>& task);

 private:
  void work(int index);

  alignas(64) std::atomic<std::uint32_t> epoch_ = 0;    // bumped for each task
  alignas(64) std::atomic<std::uint32_t> running_ = 0;  // workers that have not finished it
  alignas(64) const std::function<void(int)>* task_ = nullptr;
  std::atomic<bool> stopping_ = false;
  std::vector<std::thread> workers_;
};

}  // namespace touchstone
