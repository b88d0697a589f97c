#include "kernels/parallel.h"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

namespace touchstone {
namespace {

TEST(ForEach, EveryItemIsWorkedOnOnceByAnyNumberOfThreads) {
  for (const int num_threads : {1, 2, 3, 7, 70}) {
    ThreadPool pool(num_threads);
    for (const std::int32_t num_items : {0, 1, 2, 3, 64, 65, 1000}) {
      std::vector<std::atomic<int>> times(static_cast<std::size_t>(num_items));
      for_each(pool, num_items, [&](std::int32_t item, int thread) {
        EXPECT_GE(thread, 0);
        EXPECT_LT(thread, num_threads);
        ++times[static_cast<std::size_t>(item)];
      });
      for (const auto& count : times) EXPECT_EQ(count, 1) << num_threads << " threads, " << num_items;
    }
  }
}

TEST(ForEach, ASlowThreadsItemsAreTakenByTheOthers) {
  ThreadPool pool(2);
  constexpr std::int32_t kItems = 100;
  std::atomic<int> done = 0;
  for_each(pool, kItems, [&](std::int32_t item, int) {
    // The first item of the first range ends when all others have.
    while (item == 0 && done < kItems - 1) std::this_thread::yield();
    ++done;
  });
  EXPECT_EQ(done, kItems);
}

TEST(ForEachRun, RunsHoldEveryItemOnceAndAreShortAtTheEnd) {
  for (const int num_threads : {1, 2, 3, 70}) {
    ThreadPool pool(num_threads);
    for (const std::int32_t num_items : {0, 1, 2, 7, 65, 1000}) {
      for (const std::int32_t longest : {1, 4, 1000}) {
        std::vector<std::atomic<int>> length_of_run(static_cast<std::size_t>(num_items));
        for_each_run(pool, num_items, longest, [&](std::int32_t first, std::int32_t count, int) {
          for (std::int32_t i = first; i < first + count; ++i)
            length_of_run[static_cast<std::size_t>(i)] += count;
        });
        for (std::int32_t i = 0; i < num_items;) {
          const std::int32_t count = length_of_run[static_cast<std::size_t>(i)];
          ASSERT_GE(count, 1);
          ASSERT_LE(count, longest);
          ASSERT_LE(i + count, num_items);
          for (const std::int32_t end = i + count; i < end; ++i) {
            ASSERT_EQ(length_of_run[static_cast<std::size_t>(i)], count)
                << "item " << i << " of " << num_items;
          }
        }
        if (num_items > 0) {
          EXPECT_EQ(length_of_run.back(), 1) << num_threads << " threads, " << num_items;
        }
      }
    }
  }
}

}  // namespace
}  // namespace touchstone
