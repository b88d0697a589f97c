// Loops over a ThreadPool.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "base/thread_pool.h"

namespace touchstone {

/// Runs work(first_item, num_items, thread_index) for runs of neighbouring items that together are
/// [0, num_items), in any order, on any thread: what work writes must not depend on either. Each thread goes
/// through a range of neighbouring items, which read neighbouring memory, and then helps with the others'
/// ranges, so a slow one holds nobody up. A run has up to `longest` items, and fewer towards the end of a
/// range, so that all threads end at about the same time.
template <class Work>
void for_each_run(ThreadPool& pool, std::int32_t num_items, std::int32_t longest, const Work& work) {
  if (num_items <= 1) {
    if (num_items == 1) work(0, 1, 0);
    return;
  }
  struct alignas(64) Range {  // a cache line each
    std::atomic<std::int32_t> next = 0;
    std::int32_t end = 0;
  };
  constexpr int kMaxRanges = 64;
  std::array<Range, kMaxRanges> ranges;
  const int num_ranges = std::min(pool.size(), kMaxRanges);
  const auto bound = [&](int i) {
    return static_cast<std::int32_t>(std::int64_t{num_items} * i / num_ranges);
  };
  for (int i = 0; i < num_ranges; ++i) {
    Range& range = ranges[static_cast<std::size_t>(i)];
    range.next.store(bound(i), std::memory_order_relaxed);
    range.end = bound(i + 1);
  }
  const auto draw = [&](int thread) {
    for (int i = 0; i < num_ranges; ++i) {
      Range& range = ranges[static_cast<std::size_t>((thread + i) % num_ranges)];
      for (std::int32_t first = range.next.load(std::memory_order_relaxed); first < range.end;) {
        const std::int32_t count = std::clamp((range.end - first) / 2, 1, longest);
        if (range.next.compare_exchange_weak(first, first + count, std::memory_order_relaxed)) {
          work(first, count, thread);
          first = range.next.load(std::memory_order_relaxed);
        }
      }
    }
  };
  pool.run([&draw](int thread) { draw(thread); });  // captures one pointer: std::function allocates nothing
}

/// As for_each_run, item by item: runs work(item, thread_index).
template <class Work>
void for_each(ThreadPool& pool, std::int32_t num_items, const Work& work) {
  for_each_run(pool, num_items, 1, [&](std::int32_t item, std::int32_t, int thread) { work(item, thread); });
}

}  // namespace touchstone
