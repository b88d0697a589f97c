#include "kernels/buffer.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <string>
#include <utility>

#include "base/error.h"

namespace touchstone {
namespace {

constexpr std::size_t kLargePageBytes = std::size_t{2} << 20;
constexpr std::size_t kArenaBytes = std::size_t{256} << 20;
constexpr std::size_t kPartAlignment = 64;

std::size_t round_up(std::size_t n, std::size_t step) { return (n + step - 1) / step * step; }

/// Gives back what a mapping has before the first large page in it, and behind `bytes` from there on.
std::byte* begin_at_large_page(std::byte* mapped, std::size_t mapped_bytes, std::size_t bytes) {
  const auto address = reinterpret_cast<std::uintptr_t>(mapped);
  const std::size_t before = round_up(address, kLargePageBytes) - address;
  if (before > 0) munmap(mapped, before);
  const std::size_t end = round_up(before + bytes, static_cast<std::size_t>(sysconf(_SC_PAGESIZE)));
  if (end < mapped_bytes) munmap(mapped + end, mapped_bytes - end);
  return mapped + before;
}

}  // namespace

Buffer::Buffer(std::size_t bytes, const char* purpose) {
  if (bytes == 0) return;
  const bool is_large = bytes >= kLargePageBytes;
  std::size_t mapped_bytes = 0;
  const bool is_too_large = __builtin_add_overflow(bytes, is_large ? kLargePageBytes : 0, &mapped_bytes);
  void* memory =
      is_too_large ? MAP_FAILED
                   : mmap(nullptr, mapped_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) {
    throw Error("no memory for " + std::string(purpose) + ": " + std::to_string(bytes >> 20) + " MiB refused",
                "use a smaller model, a shorter context or fewer sequences at once");
  }
  data_ = static_cast<std::byte*>(memory);
  if (is_large) {
    data_ = begin_at_large_page(data_, mapped_bytes, bytes);
    madvise(data_, bytes, MADV_HUGEPAGE);  // advice only: may be refused
  }
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

std::shared_ptr<std::byte> allocate_shared(std::size_t bytes, const char* purpose) {
  const auto buffer = std::make_shared<Buffer>(bytes, purpose);
  return {buffer, buffer->data()};
}

std::pair<std::byte*, std::shared_ptr<const void>> Arena::take(std::size_t bytes, const char* purpose) {
  if (buffer_ == nullptr || bytes > buffer_->size() - used_bytes_) {
    buffer_ = std::make_shared<const Buffer>(std::max(bytes, kArenaBytes), purpose);
    used_bytes_ = 0;
  }
  std::byte* part = buffer_->data() + used_bytes_;
  used_bytes_ = std::min(buffer_->size(), used_bytes_ + round_up(bytes, kPartAlignment));
  return {part, buffer_};
}

}  // namespace touchstone
