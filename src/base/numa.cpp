#include "base/numa.h"

#include <linux/mempolicy.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <string>

#include "base/cores.h"

namespace touchstone {
namespace {

constexpr int kMaxNodes = 64;

}  // namespace

std::uint64_t nodes_of(const std::vector<int>& cpus, const std::filesystem::path& root) {
  std::uint64_t nodes = 0;
  for (int node = 0; node < kMaxNodes; ++node) {
    const std::filesystem::path folder = root / "sys/devices/system/node" / ("node" + std::to_string(node));
    const auto is_here = [&](int cpu) { return exists(folder / ("cpu" + std::to_string(cpu))); };
    if (exists(folder) && std::any_of(cpus.begin(), cpus.end(), is_here)) nodes |= std::uint64_t{1} << node;
  }
  return nodes;
}

void interleave_memory() {
  const std::uint64_t nodes = nodes_of(allowed_cpus());
  if (std::popcount(nodes) < 2) return;
  int policy = MPOL_DEFAULT;
  if (syscall(SYS_get_mempolicy, &policy, nullptr, 0, nullptr, 0) != 0 || policy != MPOL_DEFAULT) return;
  syscall(SYS_set_mempolicy, MPOL_INTERLEAVE, &nodes, kMaxNodes + 1);  // the kernel takes one bit off
}

}  // namespace touchstone
