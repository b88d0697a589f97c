// Memory that lies nearer to some processors than to others.
#pragma once

#include <cstdint>
#include <filesystem>
#include <vector>

namespace touchstone {

/// The NUMA nodes, one bit each, that the CPUs belong to; 0 where the system names none. `root` is "/" but
/// in tests.
std::uint64_t nodes_of(const std::vector<int>& cpus, const std::filesystem::path& root = "/");

/// Where this process may run on several nodes, has the pages it takes from now on, and those of files that
/// it is the first to read, laid over them in turns: each thread reads all weights, and all nodes' memory is
/// read at once. A policy that the user has chosen (numactl) stays, and where it is not allowed to choose
/// (some containers) the system's. Call it before threads begin: they inherit it.
void interleave_memory();

}  // namespace touchstone
