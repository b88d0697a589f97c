#include "engine/share_chunk.h"

#include <algorithm>
#include <numeric>

namespace touchstone {

std::vector<std::size_t> share_chunk(std::span<const std::size_t> left, std::size_t budget) {
  std::vector<std::size_t> counts(left.size(), 0);
  if (left.empty()) return counts;
  const auto give = [&](std::size_t prompt, std::size_t most) {
    const std::size_t count = std::min({left[prompt] - counts[prompt], most, budget});
    counts[prompt] += count;
    budget -= count;
  };
  give(0, budget - budget / 2);
  std::vector<std::size_t> order(left.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return left[a] < left[b]; });
  for (const std::size_t prompt : order) give(prompt, budget);
  return counts;
}

}  // namespace touchstone
