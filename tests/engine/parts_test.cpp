// The engine's small parts: block pool, loops, memory.
#include <gtest/gtest.h>

#include <random>
#include <set>
#include <vector>

#include "engine/block_pool.h"
#include "engine/loops.h"
#include "engine/memory.h"

namespace touchstone {
namespace {

TEST(BlockPool, GivesEachBlockToOneHolderUntilTheLastReleasesIt) {
  BlockPool pool(3);
  EXPECT_EQ(pool.num_free(), 3);
  const std::int32_t first = pool.take().value();
  const std::int32_t second = pool.take().value();
  const std::int32_t third = pool.take().value();
  EXPECT_EQ((std::set<std::int32_t>{first, second, third}), (std::set<std::int32_t>{0, 1, 2}));
  EXPECT_FALSE(pool.take().has_value());
  pool.share(second);
  pool.release(second);
  EXPECT_EQ(pool.num_free(), 0);
  pool.release(second);
  EXPECT_EQ(pool.num_free(), 1);
  EXPECT_EQ(pool.take(), second);
}

TEST(BlockPool, CountsStayRightInAnyOrderOfUse) {
  std::mt19937 random(1);
  BlockPool pool(20);
  std::vector<std::int32_t> held;  // a block once for each holder
  for (int i = 0; i < 5000; ++i) {
    const std::size_t at = held.empty() ? 0 : random() % held.size();
    if (random() % 3 == 0 && !held.empty()) {
      pool.share(held[at]);
      held.push_back(held[at]);
    } else if (random() % 2 == 0 && !held.empty()) {
      pool.release(held[at]);
      held.erase(held.begin() + static_cast<std::ptrdiff_t>(at));
    } else if (const auto block = pool.take()) {
      ASSERT_EQ(std::count(held.begin(), held.end(), *block), 0);
      held.push_back(*block);
    }
    const std::set<std::int32_t> blocks(held.begin(), held.end());
    ASSERT_EQ(pool.num_free(), 20 - static_cast<std::int32_t>(blocks.size()));
  }
}

std::vector<std::int32_t> repeat(std::size_t period, std::size_t size) {
  std::vector<std::int32_t> ids(size);
  for (std::size_t i = 0; i < size; ++i) ids[i] = static_cast<std::int32_t>(i % period);
  return ids;
}

TEST(Loops, AreFoundAtTheEndOnly) {
  EXPECT_TRUE(ends_in_loop(repeat(1, 60)));
  EXPECT_FALSE(ends_in_loop(repeat(1, 59)));
  EXPECT_TRUE(ends_in_loop(repeat(7, 63)));
  EXPECT_TRUE(ends_in_loop(repeat(200, 600)));
  EXPECT_FALSE(ends_in_loop(repeat(200, 599)));
  EXPECT_FALSE(ends_in_loop(repeat(201, 2000)));
  EXPECT_FALSE(ends_in_loop({}));

  std::vector<std::int32_t> late = repeat(50, 1000);
  late.insert(late.begin(), {900, 901, 902});
  EXPECT_TRUE(ends_in_loop(late));
  late.push_back(903);
  EXPECT_FALSE(ends_in_loop(late));
  std::vector<std::int32_t> broken = repeat(30, 90);
  broken[10] = 999;
  EXPECT_FALSE(ends_in_loop(broken));
}

TEST(Memory, PeakFollowsWhatIsHeld) {
  reset_peak_rss();
  const std::uint64_t before = peak_rss_bytes();
  if (before == 0) GTEST_SKIP() << "this system does not tell";
  constexpr std::size_t kBytes = std::size_t{64} << 20;
  std::vector<char> held(kBytes, 1);
  EXPECT_GT(peak_rss_bytes(), before + kBytes / 2);
  EXPECT_EQ(held.back(), 1);
  EXPECT_GT(available_memory_bytes(), 0U);
}

}  // namespace
}  // namespace touchstone
