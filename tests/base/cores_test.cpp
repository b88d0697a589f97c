#include "base/cores.h"

#include <gtest/gtest.h>
#include <sched.h>
#include <unistd.h>

#include <fstream>
#include <thread>

#include "base/cgroups.h"

namespace touchstone {
namespace {

namespace fs = std::filesystem;

/// A file system's root with nothing in it but what a test writes.
class CpuQuota : public ::testing::Test {
 protected:
  CpuQuota() { fs::remove_all(root_); }
  ~CpuQuota() override { fs::remove_all(root_); }

  void write(const std::string& path, const std::string& text) const {
    fs::create_directories((root_ / path).parent_path());
    std::ofstream(root_ / path) << text << "\n";
  }
  std::optional<double> quota() const { return cpu_quota(root_); }
  /// Relative to the root.
  std::vector<std::string> folders(const char* controller) const {
    std::vector<std::string> folders;
    for (const fs::path& folder : find_cgroup_folders(controller, root_))
      folders.push_back(folder.lexically_relative(root_));
    return folders;
  }

 private:
  const fs::path root_ =
      fs::path(::testing::TempDir()) /
      ("cores_" + std::to_string(getpid()) + ::testing::UnitTest::GetInstance()->current_test_info()->name());
};

TEST_F(CpuQuota, IsUnlimitedWhereNothingSaysOtherwise) {
  EXPECT_EQ(quota(), std::nullopt);
  write("proc/self/cgroup", "0::/user.slice");
  EXPECT_EQ(quota(), std::nullopt);
  write("sys/fs/cgroup/user.slice/cpu.max", "max 100000");
  EXPECT_EQ(quota(), std::nullopt);
}

TEST_F(CpuQuota, IsTheLeastOfTheGroupAndThoseAboveIt) {
  write("proc/self/cgroup", "0::/a/b/c");
  write("sys/fs/cgroup/a/cpu.max", "150000 100000");
  write("sys/fs/cgroup/a/b/c/cpu.max", "400000 100000");
  EXPECT_EQ(quota(), 1.5);
  write("sys/fs/cgroup/a/b/cpu.max", "20000 40000");
  EXPECT_EQ(quota(), 0.5);
}

TEST_F(CpuQuota, OfAContainerStandsAtTheMountWhateverPathTheHostCallsIt) {
  write("proc/self/cgroup", "0::/../../docker/0123");
  write("sys/fs/cgroup/cpu.max", "200000 100000");
  EXPECT_EQ(quota(), 2.0);
}

TEST_F(CpuQuota, IsReadFromVersion1Too) {
  write("proc/self/cgroup", "5:memory:/m\n4:cpu,cpuacct:/docker/0123\n1:cpuset:/s");
  write("sys/fs/cgroup/cpu/docker/0123/cpu.cfs_quota_us", "300000");
  write("sys/fs/cgroup/cpu/docker/0123/cpu.cfs_period_us", "100000");
  EXPECT_EQ(quota(), 3.0);
  write("sys/fs/cgroup/cpu/docker/0123/cpu.cfs_quota_us", "-1");
  EXPECT_EQ(quota(), std::nullopt);
}

TEST_F(CpuQuota, GroupsAreFoundAmongControllersThatShareAHierarchy) {
  write("proc/self/cgroup", "5:cpuset,memory:/m/n\n4:cpu,cpuacct:/c\n0::/u");
  using Folders = std::vector<std::string>;
  EXPECT_EQ(folders("memory"), (Folders{"sys/fs/cgroup/memory/m/n", "sys/fs/cgroup/memory/m",
                                        "sys/fs/cgroup/memory", "sys/fs/cgroup/u", "sys/fs/cgroup"}));
  EXPECT_EQ(folders("cpu"),
            (Folders{"sys/fs/cgroup/cpu/c", "sys/fs/cgroup/cpu", "sys/fs/cgroup/u", "sys/fs/cgroup"}));
}

TEST_F(CpuQuota, IsUnlimitedWhereTheFilesMakeNoSense) {
  for (const char* line : {"", ":", "::", "0:", "0::", "x:cpu:/y:z", "0::////"}) {
    write("proc/self/cgroup", line);
    for (const char* text : {"", "0 100000", "100000", "100000 0", "-5 100000", "nan nan", "a b"}) {
      write("sys/fs/cgroup/cpu.max", text);
      EXPECT_EQ(quota(), std::nullopt) << line << ", " << text;
    }
  }
}

TEST(CountThreads, GivesEachCoreOneAndNoneToAFractionOfTheQuota) {
  EXPECT_EQ(count_threads(8, std::nullopt), 8);
  EXPECT_EQ(count_threads(8, 100), 8);
  EXPECT_EQ(count_threads(8, 3.5), 3);
  EXPECT_EQ(count_threads(8, 8), 8);
  EXPECT_EQ(count_threads(8, 0.5), 1);
  EXPECT_EQ(count_threads(1, 4), 1);
}

TEST(UsableCores, AreNoMoreThanThoseThatTheProcessMayRunOn) {
  EXPECT_GE(usable_cores(), 1);
  EXPECT_LE(usable_cores(), physical_cores());
  int bound_to_one = 0;
  std::thread([&] {
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(sched_getcpu(), &one);
    if (sched_setaffinity(0, sizeof one, &one) == 0) bound_to_one = usable_cores();
  }).join();
  EXPECT_EQ(bound_to_one, 1);
}

}  // namespace
}  // namespace touchstone
