#include "engine/memory.h"

#include <fstream>
#include <string>

namespace touchstone {
namespace {

/// A line "NAME:   123 kB" of a /proc file, in bytes; 0 when it is not there.
std::uint64_t read_kilobytes(const char* file, const std::string& name) {
  std::ifstream lines(file);
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with(name + ":")) return std::stoull(line.substr(name.size() + 1)) * 1024;
  }
  return 0;
}

}  // namespace

std::uint64_t peak_rss_bytes() { return read_kilobytes("/proc/self/status", "VmHWM"); }

void reset_peak_rss() { std::ofstream("/proc/self/clear_refs") << "5"; }

std::uint64_t available_memory_bytes() { return read_kilobytes("/proc/meminfo", "MemAvailable"); }

}  // namespace touchstone
