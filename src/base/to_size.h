#pragma once

#include <cassert>
#include <cstddef>
#include <cstdint>

namespace touchstone {

/// Rows, tokens and widths are counted in int32; memory is addressed with std::size_t. `count` is not
/// negative.
inline std::size_t to_size(std::int32_t count) {
  assert(count >= 0);
  return static_cast<std::size_t>(count);
}

}  // namespace touchstone
