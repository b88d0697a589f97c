// Loops over a ThreadPool.
#pragma once

#include <atomic>
#include <cstdint>

#include "base/thread_pool.h"

namespace touchstone {

/// Runs work(item, thread_index) for each item of [0, num_items), in any order, on any thread: what a work
/// item writes must not depend on either. Threads draw items one by one, so a slow one holds nobody up.
template <class Work>
void for_each(ThreadPool& pool, std::int32_t num_items, const Work& work) {
  if (num_items <= 1) {
    if (num_items == 1) work(0, 0);
    return;
  }
  std::atomic<std::int32_t> next = 0;
  const auto draw = [&](int thread) {
    for (std::int32_t i = next.fetch_add(1, std::memory_order_relaxed); i < num_items;
         i = next.fetch_add(1, std::memory_order_relaxed)) {
      work(i, thread);
    }
  };
  pool.run([&draw](int thread) { draw(thread); });  // captures one pointer: std::function allocates nothing
}

}  // namespace touchstone
