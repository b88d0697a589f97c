// Where the system keeps what the control groups around this process allow it.
#pragma once

#include <filesystem>
#include <string_view>
#include <vector>

namespace touchstone {

/// The folder of the group that this process is in, and those of the groups around it, for `controller`
/// ("cpu", "memory"): of version 2, of version 1, or of both where both are in use. Some may not be there: in
/// a container the path may be the host's. `root` is "/" but in tests.
std::vector<std::filesystem::path> find_cgroup_folders(std::string_view controller,
                                                       const std::filesystem::path& root = "/");

}  // namespace touchstone
