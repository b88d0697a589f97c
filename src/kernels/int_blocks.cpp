#include "kernels/int_blocks.h"

#include <algorithm>
#include <bit>
#include <cassert>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <limits>

namespace touchstone {
namespace {

static_assert(std::endian::native == std::endian::little);

/// Calls use(block index, first value, number of values) for each block of a row.
template <class Use>
void for_each_block(std::size_t num_values, const Use& use) {
  for (std::size_t begin = 0, b = 0; begin < num_values; begin += kIntGroup, ++b) {
    use(b, begin, std::min<std::size_t>(kIntGroup, num_values - begin));
  }
}

template <class Block>
Block load_block(std::span<const std::byte> blocks, std::size_t index) {
  Block block;
  std::memcpy(&block, blocks.data() + index * sizeof block, sizeof block);
  return block;
}

template <class Block>
void store_block(const Block& block, std::span<std::byte> blocks, std::size_t index) {
  std::memcpy(blocks.data() + index * sizeof block, &block, sizeof block);
}

/// The largest weight becomes ±kMost.
template <class Block>
Block round_by_largest(std::span<const float> group) {
  constexpr auto kMost = static_cast<float>(Block::kMost);
  Block block{.scale = find_magnitude(group) / kMost};
  if (!(block.scale > 0)) return block;  // zeros; or not a number, as the products are to be, too
  for (std::size_t i = 0; i < group.size(); ++i) {
    block.set(i, static_cast<int>(std::clamp(std::nearbyint(group[i] / block.scale), -kMost, kMost)));
  }
  return block;
}

template <class Block>
void decode_scaled(const Block& block, std::span<float> group) {
  for (std::size_t i = 0; i < group.size(); ++i) group[i] = block.scale * static_cast<float>(block.get(i));
}

/// A part of a group in 4 bits: weight = factor * q, in units of the group's scale.
struct RoundedPart {
  int factor = 0;
  float error = std::numeric_limits<float>::infinity();  // sum of squares
  std::array<int, kIntPart> q{};
};

RoundedPart round_part(std::span<const float> part, int factor) {
  RoundedPart rounded{.factor = factor, .error = 0, .q = {}};
  const auto step = static_cast<float>(factor);
  for (std::size_t i = 0; i < part.size(); ++i) {
    const float q = std::clamp(std::nearbyint(part[i] / step), -8.0F, 7.0F);
    rounded.q[i] = static_cast<int>(q);
    rounded.error += (part[i] - q * step) * (part[i] - q * step);
  }
  return rounded;
}

/// The factor with the least error of those near what the part's largest weight asks for, of either sign: -8
/// has no counterpart.
RoundedPart choose_factor(std::span<const float> part) {
  const int wanted = static_cast<int>(std::nearbyint(find_magnitude(part) / 8.0F));
  RoundedPart best;
  for (int factor = -kMostInt4Factor; factor <= kMostInt4Factor; ++factor) {
    if (factor == 0 || std::abs(std::abs(factor) - wanted) > 2) continue;
    const RoundedPart rounded = round_part(part, factor);
    if (rounded.error < best.error) best = rounded;
  }
  return best;
}

/// The scale gives the part with the largest weight the largest factor.
Int4Block round_to_int4(std::span<const float> group) {
  Int4Block block{.scale = find_magnitude(group) / (8.0F * kMostInt4Factor)};
  if (!std::isnormal(block.scale)) return block;  // zeros; or not a number
  std::array<float, kIntGroup> scaled{};
  for (std::size_t i = 0; i < group.size(); ++i) scaled[i] = group[i] / block.scale;
  for (std::size_t begin = 0; begin < group.size(); begin += kIntPart) {
    const std::size_t count = std::min<std::size_t>(kIntPart, group.size() - begin);
    const RoundedPart rounded = choose_factor(std::span(scaled).subspan(begin, count));
    block.factors[begin / kIntPart] = static_cast<std::int8_t>(rounded.factor);
    for (std::size_t i = 0; i < count; ++i) block.set(begin + i, rounded.q[i]);
  }
  return block;
}

}  // namespace

float find_magnitude(std::span<const float> group) {
  float most = 0;
  bool finite = true;
  for (const float value : group) {
    most = std::max(most, std::fabs(value));
    finite = finite && std::isfinite(value);
  }
  return finite ? most : std::numeric_limits<float>::quiet_NaN();
}

void decode_int_blocks(DType dtype, std::span<const std::byte> blocks, std::span<float> values) {
  assert(pads_rows(dtype) && blocks.size() == dtype_bytes(dtype, values.size()));
  for_each_block(values.size(), [&](std::size_t b, std::size_t begin, std::size_t count) {
    const auto group = values.subspan(begin, count);
    if (dtype == DType::int8_128) {
      decode_scaled(load_block<Int8Block>(blocks, b), group);
    } else if (dtype == DType::int6_128) {
      decode_scaled(load_block<Int6Block>(blocks, b), group);
    } else {
      const auto block = load_block<Int4Block>(blocks, b);
      for (std::size_t i = 0; i < count; ++i) {
        group[i] = block.scale * static_cast<float>(block.factors[i / kIntPart] * block.get(i));
      }
    }
  });
}

bool are_int_blocks_valid(DType dtype, std::span<const std::byte> blocks) {
  if (dtype != DType::int4_128) return true;
  for (std::size_t b = 0; b < blocks.size() / sizeof(Int4Block); ++b) {
    for (const std::int8_t factor : load_block<Int4Block>(blocks, b).factors) {
      if (factor < -kMostInt4Factor || factor > kMostInt4Factor) return false;
    }
  }
  return true;
}

void round_to_int_blocks(DType dtype, std::span<const float> values, std::span<std::byte> blocks) {
  assert(pads_rows(dtype) && blocks.size() == dtype_bytes(dtype, values.size()));
  for_each_block(values.size(), [&](std::size_t b, std::size_t begin, std::size_t count) {
    const auto group = values.subspan(begin, count);
    if (dtype == DType::int8_128) {
      store_block(round_by_largest<Int8Block>(group), blocks, b);
    } else if (dtype == DType::int6_128) {
      store_block(round_by_largest<Int6Block>(group), blocks, b);
    } else {
      store_block(round_to_int4(group), blocks, b);
    }
  });
}

}  // namespace touchstone
