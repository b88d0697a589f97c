// Loops over a ThreadPool.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "base/thread_pool.h"

namespace touchstone {

/// Runs work(item, thread_index) for each item of [0, num_items), in any order, on any thread: what a work
/// item writes must not depend on either. Each thread goes through a range of neighbouring items, which read
/// neighbouring memory, and then helps with the others' ranges, so a slow one holds nobody up.
template <class Work>
void for_each(ThreadPool& pool, std::int32_t num_items, const Work& work) {
  if (num_items <= 1) {
    if (num_items == 1) work(0, 0);
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
      for (std::int32_t item = range.next.fetch_add(1, std::memory_order_relaxed); item < range.end;
           item = range.next.fetch_add(1, std::memory_order_relaxed)) {
        work(item, thread);
      }
    }
  };
  pool.run([&draw](int thread) { draw(thread); });  // captures one pointer: std::function allocates nothing
}

}  // namespace touchstone
