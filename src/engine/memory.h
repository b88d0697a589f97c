// What the process holds of the machine's memory.
#pragma once

#include <cstdint>

namespace touchstone {

/// The largest resident size since the start or the last reset_peak_rss(); 0 where the system does not tell.
std::uint64_t peak_rss_bytes();

/// Starts peak_rss_bytes() afresh from the present size, where the system allows it (Linux,
/// /proc/self/clear_refs).
void reset_peak_rss();

/// Memory that a program could still take without swapping.
std::uint64_t available_memory_bytes();

}  // namespace touchstone
