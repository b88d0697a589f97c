// The CUDA runtime behind device.h.
#include <cuda_runtime.h>

#include "base/error.h"
#include "kernels/cuda/device.h"

namespace touchstone::cuda {
namespace {

/// Throws for an error, which then no later launch reports as its own.
void check(cudaError_t status, const char* what = "the GPU failed") {
  if (status == cudaSuccess) return;
  cudaGetLastError();
  throw Error(
      std::string(what) + ": " + cudaGetErrorString(status),
      "start again; if that does not help, see whether nvidia-smi finds it well, or use --device cpu");
}

}  // namespace

int count_devices() {
  int count = 0;
  if (cudaGetDeviceCount(&count) == cudaSuccess) return count;
  cudaGetLastError();
  return 0;
}

void use_device(int device) {
  int driver_version = 0;
  if (cudaDriverGetVersion(&driver_version) == cudaSuccess && driver_version == 0) {
    throw Error("device cuda is not available: there is no NVIDIA driver",
                "install it (a container has it with --gpus all), or use --device cpu");
  }
  check(cudaSetDevice(device), "device cuda is not available");
}

std::string device_name(int device) {
  cudaDeviceProp properties{};
  check(cudaGetDeviceProperties(&properties, device));
  return properties.name;
}

std::uint64_t free_bytes() {
  std::size_t free = 0;
  std::size_t all = 0;
  check(cudaMemGetInfo(&free, &all));
  return free;
}

void* allocate(std::size_t bytes) {
  void* memory = nullptr;
  const cudaError_t status = cudaMalloc(&memory, bytes);
  if (status == cudaErrorMemoryAllocation) {
    cudaGetLastError();
    return nullptr;
  }
  check(status);
  check(cudaMemset(memory, 0, bytes));
  return memory;
}

void release(int device, void* memory) noexcept {
  int current = device;
  cudaGetDevice(&current);
  cudaSetDevice(device);
  cudaFree(memory);  // waits for work that uses it
  cudaSetDevice(current);
  cudaGetLastError();
}

void write(void* to, const void* from, std::size_t bytes) {
  check(cudaMemcpy(to, from, bytes, cudaMemcpyHostToDevice));
}

void read(void* to, const void* from, std::size_t bytes) {
  check(cudaStreamSynchronize(nullptr));  // also where there is nothing to read
  check(cudaMemcpy(to, from, bytes, cudaMemcpyDeviceToHost));
}

void copy(void* to, const void* from, std::size_t bytes) {
  check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToDevice));
}

void check_launch() { check(cudaGetLastError()); }

}  // namespace touchstone::cuda
