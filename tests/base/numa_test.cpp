#include "base/numa.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>

#include "base/cores.h"

namespace touchstone {
namespace {

namespace fs = std::filesystem;

TEST(Numa, NodesAreThoseOfTheCpusThatAreAllowed) {
  const fs::path root = fs::path(::testing::TempDir()) / ("numa_" + std::to_string(getpid()));
  const fs::path nodes = root / "sys/devices/system/node";
  for (const char* cpu : {"node0/cpu0", "node0/cpu1", "node1/cpu2", "node3/cpu30"}) {
    fs::create_directories(nodes / cpu);
  }
  fs::create_directories(nodes / "node2");  // memory without CPUs
  EXPECT_EQ(nodes_of({0, 1}, root), 0b0001U);
  EXPECT_EQ(nodes_of({1, 2}, root), 0b0011U);
  EXPECT_EQ(nodes_of({0, 1, 2, 30}, root), 0b1011U);
  EXPECT_EQ(nodes_of({3}, root), 0U);  // not cpu30
  EXPECT_EQ(nodes_of({0, 1}, root / "nowhere"), 0U);
  fs::remove_all(root);
}

TEST(Numa, OneNodeKeepsTheSystemsPolicy) {
  if ((nodes_of(allowed_cpus()) & (nodes_of(allowed_cpus()) - 1)) != 0) GTEST_SKIP() << "several nodes";
  interleave_memory();
  std::ifstream file("/proc/self/numa_maps");
  std::string line;
  std::getline(file, line);
  EXPECT_EQ(line.find("interleave"), std::string::npos) << line;
}

}  // namespace
}  // namespace touchstone
