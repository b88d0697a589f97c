#include "kernels/buffer.h"

#include <sys/mman.h>

#include <string>
#include <utility>

#include "base/error.h"

namespace touchstone {
namespace {

constexpr std::size_t kLargePageBytes = std::size_t{2} << 20;

}  // namespace

Buffer::Buffer(std::size_t bytes, const char* purpose) {
  if (bytes == 0) return;
  void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) {
    throw Error("no memory for " + std::string(purpose) + ": " + std::to_string(bytes >> 20) + " MiB refused",
                "use a smaller model, a shorter context or fewer sequences at once");
  }
  if (bytes >= kLargePageBytes) madvise(memory, bytes, MADV_HUGEPAGE);  // advice only: may be refused
  data_ = static_cast<std::byte*>(memory);
  bytes_ = bytes;
}

Buffer::~Buffer() {
  if (data_ != nullptr) munmap(data_, bytes_);
}

Buffer::Buffer(Buffer&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), bytes_(std::exchange(other.bytes_, 0)) {}

Buffer& Buffer::operator=(Buffer&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(bytes_, other.bytes_);
  return *this;
}

void Buffer::reserve(std::size_t bytes, const char* purpose) {
  if (bytes <= bytes_) return;
  *this = Buffer();  // gives the old memory back first
  *this = Buffer(bytes, purpose);
}

}  // namespace touchstone
