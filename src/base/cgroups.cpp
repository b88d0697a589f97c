#include "base/cgroups.h"

#include <fstream>
#include <string>

namespace touchstone {

namespace fs = std::filesystem;

std::vector<fs::path> find_cgroup_folders(std::string_view controller, const fs::path& root) {
  std::vector<fs::path> folders;
  std::ifstream lines(root / "proc/self/cgroup");
  // "0::/user" of version 2, "4:cpu,cpuacct:/user" of version 1.
  for (std::string line; std::getline(lines, line);) {
    const std::size_t first = line.find(':');
    const std::size_t second = line.find(':', first == std::string::npos ? first : first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = "," + line.substr(first + 1, second - first - 1) + ",";
    fs::path mount = root / "sys/fs/cgroup";
    if (controllers != ",,") {
      if (controllers.find("," + std::string(controller) + ",") == std::string::npos) continue;
      mount /= controller;
    }
    for (fs::path group = fs::path(line.substr(second + 1)).relative_path(); !group.empty();
         group = group.parent_path()) {
      folders.push_back(mount / group);
    }
    folders.push_back(mount);
  }
  return folders;
}

}  // namespace touchstone
