// A device for the GPU's back end where there is no GPU: two of them, with this machine's memory. It is
// linked in place of no_device.cpp. Each piece of memory is one of its own, so that AddressSanitizer sees
// what lies beyond.

#include <cstdlib>
#include <cstring>

#include "kernels/cuda/device.h"

namespace touchstone::cuda {
namespace {

constexpr std::uint64_t kMostBytes = std::uint64_t{1} << 34;

}

int count_devices() { return 2; }
void use_device(int) {}
std::string device_name(int device) { return "host " + std::to_string(device); }
std::uint64_t free_bytes() { return kMostBytes; }

void* allocate(std::size_t bytes) { return bytes > kMostBytes ? nullptr : std::calloc(bytes, 1); }
void release(int, void* memory) noexcept { std::free(memory); }

void copy(void* to, const void* from, std::size_t bytes) {
  if (bytes > 0) std::memcpy(to, from, bytes);
}
void write(void* to, const void* from, std::size_t bytes) { copy(to, from, bytes); }
void read(void* to, const void* from, std::size_t bytes) { copy(to, from, bytes); }

void check_launch() {}

}  // namespace touchstone::cuda
