// What this machine can do at most: the numbers that every rate is compared with.
#pragma once

#include <string>

#include "base/thread_pool.h"
#include "kernels/buffer.h"

namespace touchstone {

struct Roofline {
  double read_bytes_per_s = 0;  // sequential reads of memory that no cache holds, all threads together
  // From registers, all threads together; a product and its sum are two operations.
  double fma_flops = 0;   // float32 fused multiply-adds
  double bf16_flops = 0;  // products of bfloat16, summed in float32; as fma_flops without instructions for it
  double int8_ops = 0;    // products of 8-bit integers, summed in 32 bits
  std::string isa;        // whose instructions these are
};

/// Memory for measure_reads(), more than caches hold. Throws Error where there is none.
Buffer allocate_read_buffer(ThreadPool& pool);

/// Bytes of `memory` that all threads together read a second, one stream a thread or several; the best of
/// so many rounds of each.
double measure_reads(ThreadPool& pool, const Buffer& memory, int rounds);

/// Takes about a second. The best of several rounds counts: interference only ever slows a round down.
/// Throws Error where there is no memory for the read buffer.
Roofline measure_roofline(ThreadPool& pool, const std::string& isa);

}  // namespace touchstone
