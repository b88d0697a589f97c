// Large zeroed memory for weights, caches and scratch.
#pragma once

#include <cstddef>
#include <span>

namespace touchstone {

/// Zeroed bytes, aligned to a page, given back at the end. Pages are taken from the system when first
/// touched; large ones where it offers them, because weights are read once a step from end to end.
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

}  // namespace touchstone
