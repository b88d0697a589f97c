#include "base/thread_pool.h"

#include <gtest/gtest.h>

#include <numeric>
#include <vector>

namespace touchstone {
namespace {

TEST(ThreadPool, EveryThreadRunsEachTaskExactlyOnce) {
  for (const int threads : {1, 2, 5}) {
    ThreadPool pool(threads);
    std::vector<int> runs(static_cast<std::size_t>(threads), 0);
    for (int i = 0; i < 2000; ++i) pool.run([&](int index) { ++runs[static_cast<std::size_t>(index)]; });
    EXPECT_EQ(runs, std::vector<int>(static_cast<std::size_t>(threads), 2000));
  }
}

TEST(ThreadPool, WhatATaskWroteIsSeenByTheNext) {
  ThreadPool pool(3);
  std::vector<int> values(3, 0);
  int sum = 0;
  for (int i = 0; i < 500; ++i) {
    pool.run([&](int index) { values[static_cast<std::size_t>(index)] = i; });
    pool.run([&](int index) {
      if (index == 1) sum = std::accumulate(values.begin(), values.end(), 0);
    });
    ASSERT_EQ(sum, 3 * i);
  }
}

TEST(ThreadPool, WorkersThatSleptWakeUpAgain) {
  ThreadPool pool(2);
  int runs = 0;
  for (int i = 0; i < 3; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    pool.run([&](int index) {
      if (index == 1) ++runs;
    });
  }
  EXPECT_EQ(runs, 3);
}

}  // namespace
}  // namespace touchstone
