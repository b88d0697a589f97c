#include "engine/loops.h"

#include <algorithm>

namespace touchstone {

bool ends_in_loop(std::span<const std::int32_t> ids) {
  constexpr std::size_t kMaxPeriod = 200;
  constexpr std::size_t kMinRepeats = 3;
  constexpr std::size_t kMinTokens = 60;
  for (std::size_t period = 1; period <= kMaxPeriod; ++period) {
    const std::size_t needed = std::max(kMinTokens, kMinRepeats * period);
    if (needed > ids.size()) continue;
    const auto tail = ids.last(needed);
    if (std::equal(tail.begin() + static_cast<std::ptrdiff_t>(period), tail.end(), tail.begin())) return true;
  }
  return false;
}

}  // namespace touchstone
