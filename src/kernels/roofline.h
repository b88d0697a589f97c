// What this machine can do at most: the two numbers that every rate is compared with.
#pragma once

#include <string>

#include "base/thread_pool.h"

namespace touchstone {

struct Roofline {
  double read_bytes_per_s = 0;  // sequential reads of memory that no cache holds, all threads together
  double fma_flops =
      0;            // float32 fused multiply-adds from registers, two operations each, all threads together
  std::string isa;  // instruction set of the FMA figure
};

/// Takes about a second. The best of several rounds counts: interference only ever slows a round down.
/// Throws Error where there is no memory for the read buffer.
Roofline measure_roofline(ThreadPool& pool, const std::string& isa);

}  // namespace touchstone
