// How many threads this machine, and what shares it out, leave to this process.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace touchstone {

/// CPUs that this process may run on.
std::vector<int> allowed_cpus();

/// What the processor calls itself; "unknown" where the system does not say.
std::string cpu_name();

/// Physical cores that this process may run on (SMT siblings counted once), at least 1.
int physical_cores();

/// The CPUs' worth of time that control groups leave to this process: the least of its group's and of those
/// above (v2: cpu.max; v1: cpu.cfs_quota_us); nothing where none is limited. `root` is "/" but in tests.
std::optional<double> cpu_quota(const std::filesystem::path& root = "/");

/// Threads that run side by side without waiting for each other: one for each physical core, but no more than
/// whole CPUs of `quota`, at least 1. A thread for the fraction would have all of them stopped for the rest
/// of each period.
int count_threads(int cores, std::optional<double> quota);

/// The two together: the default number of threads.
int usable_cores();

}  // namespace touchstone
