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

}  // namespace
}  // namespace touchstone
