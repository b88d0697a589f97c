// How work is given to the GPU: a structure of numbers and pointers whose call operator does one item. Items
// share nothing while they run, so that a loop over them does the same: that is what a compiler without CUDA
// makes of it.
#pragma once

#include <cstdint>

#include "kernels/cuda/device.h"

#if defined(__CUDACC__)
#define TOUCHSTONE_ON_DEVICE __host__ __device__
#else
#define TOUCHSTONE_ON_DEVICE
#endif

namespace touchstone::cuda {
namespace {

#if defined(__CUDACC__)

template <class Work>
__global__ void run_item(std::int64_t count, Work work) {
  const std::int64_t item = std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (item < count) work(item);
}

template <class Work>
void launch(std::int64_t count, const Work& work) {
  constexpr std::int64_t kThreads = 256;
  if (count <= 0) return;
  run_item<<<static_cast<unsigned>((count + kThreads - 1) / kThreads), kThreads>>>(count, work);
  check_launch();
}

#else

template <class Work>
void launch(std::int64_t count, const Work& work) {
  for (std::int64_t item = 0; item < count; ++item) work(item);
}

#endif

}  // namespace
}  // namespace touchstone::cuda
