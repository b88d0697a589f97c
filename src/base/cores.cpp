#include "base/cores.h"

#include <sched.h>

#include <algorithm>
#include <fstream>
#include <set>
#include <string>

namespace touchstone {
namespace {

namespace fs = std::filesystem;

/// The first number of a file; nothing for another text ("max") and where there is no such file.
std::optional<double> read_number(const fs::path& path) {
  std::ifstream file(path);
  double number = 0;
  if (file >> number) return number;
  return std::nullopt;
}

/// What one group allows; nothing where it sets no limit.
std::optional<double> quota_of(const fs::path& group) {
  std::optional<double> quota, period;
  if (std::ifstream file(group / "cpu.max"); file) {  // "50000 100000" or "max 100000"
    double numbers[2];
    if (file >> numbers[0] >> numbers[1]) {
      quota = numbers[0];
      period = numbers[1];
    }
  } else {
    quota = read_number(group / "cpu.cfs_quota_us");  // -1: no limit
    period = read_number(group / "cpu.cfs_period_us");
  }
  if (!quota || !period || *quota <= 0 || *period <= 0) return std::nullopt;
  return *quota / *period;
}

/// The folder of the hierarchy that a line of /proc/self/cgroup speaks of ("0::/user" of version 2,
/// "4:cpu,cpuacct:/user" of version 1) and the group's path in it; an empty path for other controllers.
std::pair<fs::path, fs::path> parse_group(const std::string& line, const fs::path& root) {
  const std::size_t first = line.find(':');
  const std::size_t second = line.find(':', first == std::string::npos ? first : first + 1);
  if (second == std::string::npos) return {};
  const std::string controllers = "," + line.substr(first + 1, second - first - 1) + ",";
  const fs::path path = fs::path(line.substr(second + 1)).relative_path();
  const fs::path mount = root / "sys/fs/cgroup";
  if (controllers == ",,") return {mount, path};
  if (controllers.find(",cpu,") != std::string::npos) return {mount / "cpu", path};
  return {};
}

}  // namespace

std::vector<int> allowed_cpus() {
  std::vector<int> cpus;
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  if (sched_getaffinity(0, sizeof allowed, &allowed) != 0) return cpus;
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (CPU_ISSET(cpu, &allowed)) cpus.push_back(cpu);
  }
  return cpus;
}

int physical_cores() {
  std::set<std::string> cores;
  for (const int cpu : allowed_cpus()) {
    std::ifstream file("/sys/devices/system/cpu/cpu" + std::to_string(cpu) +
                       "/topology/thread_siblings_list");
    std::string siblings;
    if (!std::getline(file, siblings)) siblings = std::to_string(cpu);
    cores.insert(siblings);
  }
  return cores.empty() ? 1 : static_cast<int>(cores.size());
}

std::optional<double> cpu_quota(const fs::path& root) {
  std::optional<double> least;
  std::ifstream groups(root / "proc/self/cgroup");
  for (std::string line; std::getline(groups, line);) {
    auto [mount, path] = parse_group(line, root);
    if (mount.empty()) continue;
    // A container may see its own group at the mount and the host's path in the line: folders that are not
    // there set no limit.
    while (true) {
      const std::optional<double> quota = quota_of(mount / path);
      if (quota) least = std::min(least.value_or(*quota), *quota);
      if (path.empty()) break;
      path = path.parent_path();
    }
  }
  return least;
}

int count_threads(int cores, std::optional<double> quota) {
  if (!quota || *quota >= cores) return cores;
  return std::max(1, static_cast<int>(*quota));
}

int usable_cores() { return count_threads(physical_cores(), cpu_quota()); }

}  // namespace touchstone
