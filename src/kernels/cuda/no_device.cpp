// A build without CUDA: no devices, and so nothing that the other functions could be asked for.
#include "base/error.h"
#include "kernels/cuda/device.h"

namespace touchstone::cuda {

namespace {

[[noreturn]] void fail() {
  throw Error("device cuda is not available: this build has no CUDA",
              "use --device cpu, or build it with -DTOUCHSTONE_CUDA=ON");
}

}  // namespace

int count_devices() { return 0; }
void use_device(int) { fail(); }
std::string device_name(int) { fail(); }
std::uint64_t free_bytes() { fail(); }
void* allocate(std::size_t) { fail(); }
void release(int, void*) noexcept {}
void write(void*, const void*, std::size_t) { fail(); }
void read(void*, const void*, std::size_t) { fail(); }
void copy(void*, const void*, std::size_t) { fail(); }
void check_launch() { fail(); }

}  // namespace touchstone::cuda
