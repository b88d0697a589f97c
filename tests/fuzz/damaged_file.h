// What the fuzz targets of model files share.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/blob.h"
#include "base/error.h"
#include "formats/checkpoint.h"

namespace touchstone::testing {

inline Blob view_as_file(const std::uint8_t* data, std::size_t size) {
  return {"test.bin", {reinterpret_cast<const std::byte*>(data), size}, nullptr};
}

/// Reads every byte that a reader vouched for, so that a wrong range is noticed.
inline unsigned touch(const std::vector<Tensor>& tensors) {
  unsigned sum = 0;
  for (const Tensor& tensor : tensors) {
    for (const std::byte byte : tensor.bytes) sum += std::to_integer<unsigned>(byte);
  }
  return sum;
}

}  // namespace touchstone::testing
