// The engine's small parts: block pool, loops, memory.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <random>
#include <set>
#include <vector>

#include "engine/block_pool.h"
#include "engine/loops.h"
#include "engine/memory.h"
#include "support/golden.h"

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

void write_file(const std::filesystem::path& path, const std::string& text) { std::ofstream(path) << text; }

TEST(Memory, AControlGroupsLimitCountsWithoutThePagesOfFilesThatNobodyUses) {
  const testing::TemporaryFolder folder;
  EXPECT_EQ(find_cgroup_room(folder.path()), UINT64_MAX);
  write_file(folder.path() / "memory.max", "max\n");
  write_file(folder.path() / "memory.current", "700\n");
  EXPECT_EQ(find_cgroup_room(folder.path()), UINT64_MAX);
  write_file(folder.path() / "memory.max", "1000\n");
  EXPECT_EQ(find_cgroup_room(folder.path()), 300U);
  write_file(folder.path() / "memory.stat", "anon 500\ninactive_file 150\nactive_file 50\n");
  EXPECT_EQ(find_cgroup_room(folder.path()), 450U);
  write_file(folder.path() / "memory.current", "1700\n");
  EXPECT_EQ(find_cgroup_room(folder.path()), 0U);
}

TEST(Memory, AControlGroupOfVersion1Counts) {
  const testing::TemporaryFolder folder;
  write_file(folder.path() / "memory.limit_in_bytes", "1000\n");
  write_file(folder.path() / "memory.usage_in_bytes", "600\n");
  write_file(folder.path() / "memory.stat", "cache 300\ntotal_inactive_file 100\n");
  EXPECT_EQ(find_cgroup_room(folder.path()), 500U);
}

MemoryPlan make_plan(std::uint64_t weights, std::uint64_t kv_per_token, std::int64_t kv_tokens) {
  MemoryPlan plan;
  plan.needs.weights = weights;
  plan.needs.kv_per_token = kv_per_token;
  plan.kv_tokens = kv_tokens;
  return plan;
}

TEST(Memory, AnEngineWantsRoomForABatchOfUsualSequencesAndForOneOfTheLongest) {
  EXPECT_EQ(wanted_kv_tokens(4, 100'000), 100'000);
  EXPECT_EQ(wanted_kv_tokens(64, 100'000), 64 * wanted_kv_tokens(1, 2048));
  EXPECT_GE(wanted_kv_tokens(3, 100), 300);
  EXPECT_LT(wanted_kv_tokens(3, 100), 3 * (100 + kKvBlockTokens));
}

TEST(Memory, TwoModelsSizeTheirKvMemorySoThatBothFit) {
  const std::vector<std::int64_t> least = {32, 32};
  std::vector<MemoryPlan> plans = {make_plan(1000, 1, 3232), make_plan(2000, 10, 352)};
  const std::vector<MemoryPlan> wanted = plans;
  ASSERT_TRUE(share_kv_memory(plans, least, 100'000));
  EXPECT_EQ(plans[0].kv_tokens, 3232);  // what it would like
  EXPECT_EQ(plans[1].kv_tokens, 352);

  plans = wanted;
  const std::uint64_t budget =
      3000 + 352 + 3200;  // the weights, the least of both, half of what they want more
  ASSERT_TRUE(share_kv_memory(plans, least, budget));
  EXPECT_LE(plans[0].total() + plans[1].total(), budget);
  EXPECT_EQ(plans[0].kv_tokens, 32 + 1600);
  EXPECT_EQ(plans[1].kv_tokens, 32 + 160);

  plans = wanted;
  EXPECT_TRUE(share_kv_memory(plans, least, 3352));
  EXPECT_EQ(plans[0].kv_tokens, 32);
  EXPECT_FALSE(share_kv_memory(plans, least, 3351));
}

TEST(Memory, SettingsThatWouldFitChangeAsLittleAsPossible) {
  // Bytes: weights by dtype, keys and values by kv_dtype.
  const auto fits_into = [](int budget) {
    return [budget](const MemorySettings& s) {
      const int weights = s.dtype == "int4" ? 250 : s.dtype == "int8" ? 500 : 1000;
      const int kv = s.kv_dtype == "int8" ? 1 : s.kv_dtype == "f16" ? 2 : 4;
      const int context = s.context_tokens > 0 ? s.context_tokens : 4096;
      return weights + kv * context * s.parallel / 64 <= budget;
    };
  };
  const MemorySettings wanted{.dtype = "auto", .kv_dtype = "auto", .context_tokens = 0, .parallel = 8};
  auto found = find_nearest_settings(wanted, 4096, fits_into(2100));  // 1000 + 2048 are too many
  ASSERT_EQ(found.size(), 3U);
  EXPECT_EQ(found[0].kv_dtype, "f16");
  EXPECT_EQ(found[1].kv_dtype, "int8");
  EXPECT_EQ(found[2].context_tokens, 2048);

  found = find_nearest_settings(wanted, 4096, fits_into(520));  // the weights alone are too many
  ASSERT_FALSE(found.empty());
  for (const MemorySettings& settings : found) {
    EXPECT_NE(settings.dtype, "auto");
    EXPECT_TRUE(fits_into(520)(settings));
  }
  EXPECT_TRUE(find_nearest_settings(wanted, 4096, fits_into(200)).empty());
}

}  // namespace
}  // namespace touchstone
