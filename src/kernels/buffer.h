// Large zeroed memory for weights, caches and scratch.
#pragma once

#include <cstddef>
#include <memory>
#include <utility>

namespace touchstone {

/// Zeroed bytes, aligned to a page, given back at the end. Pages are taken from the system when first
/// touched; large ones where it offers them, because weights are read once a step from end to end: such
/// buffers begin with one.
class Buffer {
 public:
  Buffer() = default;
  /// Throws Error when the memory cannot be had; `purpose` is named in it.
  Buffer(std::size_t bytes, const char* purpose);
  ~Buffer();
  Buffer(Buffer&& other) noexcept;
  Buffer& operator=(Buffer&& other) noexcept;
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;

  std::byte* data() const { return data_; }
  float* floats() const { return reinterpret_cast<float*>(data_); }
  std::size_t size() const { return bytes_; }

  /// Makes room for `bytes`; the contents are lost when it grows.
  void reserve(std::size_t bytes, const char* purpose);

 private:
  std::byte* data_ = nullptr;
  std::size_t bytes_ = 0;
};

/// A buffer's bytes, which live as long as they are held. Throws as Buffer.
std::shared_ptr<std::byte> allocate_shared(std::size_t bytes, const char* purpose);

/// Hands out parts of large buffers, side by side: each in a buffer of its own would end in small pages, a
/// fifth of a model's weights.
class Arena {
 public:
  /// Zeroed bytes, aligned to a cache line; valid as long as a copy of the returned owner lives. Throws as
  /// Buffer.
  std::pair<std::byte*, std::shared_ptr<const void>> take(std::size_t bytes, const char* purpose);

 private:
  std::shared_ptr<const Buffer> buffer_;
  std::size_t used_bytes_ = 0;
};

}  // namespace touchstone
