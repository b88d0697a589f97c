// What is asked of a GPU's driver. One file with these functions is linked: device.cpp with CUDA,
// no_device.cpp without. All throw Error where the driver reports one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace touchstone::cuda {

/// 0 without a GPU, a driver, or CUDA.
int count_devices();

/// Makes a device this thread's. The operations below are those of this thread's device.
void use_device(int device);

std::string device_name(int device);
std::uint64_t free_bytes();

/// Null when there is not so much memory. Zeroed.
void* allocate(std::size_t bytes);
/// Memory of `device`, whichever this thread's is.
void release(int device, void* memory) noexcept;

// One after the other, launched work included; read() returns when all before it is done, even of no bytes.
void write(void* to, const void* from, std::size_t bytes);
void read(void* to, const void* from, std::size_t bytes);
void copy(void* to, const void* from, std::size_t bytes);

/// Whether the last launch() went well.
void check_launch();

}  // namespace touchstone::cuda
