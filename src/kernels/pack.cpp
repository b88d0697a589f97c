#include <algorithm>
#include <array>
#include <bit>
#include <cassert>
#include <cmath>
#include <cstring>
#include <limits>

#include "kernels/kernels.h"
#include "kernels/parallel.h"
#include "kernels/quant_blocks.h"

namespace touchstone {
namespace {

PanelFormat format_of(DType dtype) {
  switch (dtype) {
    case DType::f32:
      return PanelFormat::f32;
    case DType::f16:
      return PanelFormat::f16;
    case DType::bf16:
      return PanelFormat::bf16;
    case DType::q8_0:
    case DType::q4_0:
    case DType::q5_0:
      return PanelFormat::q8_half;
    case DType::q4_1:
    case DType::q5_1:
      return PanelFormat::q8_half_with_mins;
    case DType::q4_k:
    case DType::q5_k:
      return PanelFormat::q8_with_mins;
    case DType::q6_k:
      return PanelFormat::q8_group16;
  }
  return PanelFormat::f32;
}

PanelFormat choose_format(PackAs as, DType stored) {
  switch (as) {
    case PackAs::stored:
      return format_of(stored);
    case PackAs::float32:
      return PanelFormat::f32;
    case PackAs::float16:
      return PanelFormat::f16;
    case PackAs::bfloat16:
      return PanelFormat::bf16_pairs;
    case PackAs::int8:
      return PanelFormat::int8;
    case PackAs::int4:
      return PanelFormat::int4;
  }
  return PanelFormat::f32;
}

/// How a group of a block format lies in a panel; see PanelMatrix.
struct GroupLayout {
  std::size_t values;
  bool half_scales, mins;

  std::size_t scale_bytes() const { return half_scales ? 2 : 4; }
  std::size_t header_bytes() const { return scale_bytes() * kLanes * (mins ? 2 : 1); }
  std::size_t bytes() const { return header_bytes() + values * kLanes; }
};

GroupLayout layout_of(PanelFormat format) {
  switch (format) {
    case PanelFormat::q8_half:
      return {32, true, false};
    case PanelFormat::q8_half_with_mins:
      return {32, true, true};
    case PanelFormat::q8_with_mins:
      return {32, false, true};
    default:
      return {16, false, false};
  }
}

bool is_plain(PanelFormat format) {
  return format == PanelFormat::f32 || format == PanelFormat::f16 || format == PanelFormat::bf16 ||
         format == PanelFormat::bf16_pairs;
}

std::size_t find_panel_bytes(PanelFormat format, std::size_t columns) {
  const std::size_t num_groups = (columns + kIntGroup - 1) / kIntGroup;
  if (format == PanelFormat::int8) return num_groups * kInt8GroupBytes;
  if (format == PanelFormat::int4) return num_groups * kInt4GroupBytes;
  if (format == PanelFormat::bf16_pairs) columns += columns % 2;
  std::size_t bytes = columns * kLanes * (format == PanelFormat::f32 ? 4 : 2);
  if (!is_plain(format)) bytes = columns / layout_of(format).values * layout_of(format).bytes();
  return (bytes + 63) / 64 * 64;
}

void write_scale(float scale, bool half, std::byte* to) {
  if (half) {
    const std::uint16_t bits = float_to_half(scale);
    std::memcpy(to, &bits, sizeof bits);
  } else {
    std::memcpy(to, &scale, sizeof scale);
  }
}

std::span<const std::byte> row_bytes(const StoredMatrix& matrix, std::int32_t row) {
  const std::size_t bytes = dtype_bytes(matrix.dtype, static_cast<std::size_t>(matrix.columns));
  return matrix.bytes.subspan(static_cast<std::size_t>(row) * bytes, bytes);
}

/// Room for one row on its way into a panel.
struct RowScratch {
  std::vector<float> values;
  std::vector<std::int8_t> q;
  std::vector<float> scales, mins;
};

/// Writes elements of `kBytes` bytes into every 16th place, from `lane` on.
template <std::size_t kBytes>
void scatter(const std::byte* from, std::size_t n, std::size_t lane, std::byte* panel) {
  std::byte* to = panel + lane * kBytes;
  for (std::size_t k = 0; k < n; ++k, from += kBytes, to += kLanes * kBytes) std::memcpy(to, from, kBytes);
}

/// A weight's bits in a plain format.
std::uint32_t plain_bits(float value, PanelFormat format) {
  if (format == PanelFormat::f32) return std::bit_cast<std::uint32_t>(value);
  return format == PanelFormat::f16 ? float_to_half(value) : float_to_bfloat16(value);
}

void pack_plain_row(const StoredMatrix& stored, std::int32_t row, PanelFormat format, std::size_t lane,
                    std::byte* panel, RowScratch& scratch) {
  scratch.values.resize(static_cast<std::size_t>(stored.columns));
  read_row(stored, row, scratch.values);
  const std::size_t bytes = format == PanelFormat::f32 ? 4 : 2;
  const std::size_t depth = format == PanelFormat::bf16_pairs ? 2 : 1;  // a lane's weights side by side
  for (std::size_t k = 0; k < scratch.values.size(); ++k) {
    const std::uint32_t bits = plain_bits(scratch.values[k], format);
    std::memcpy(panel + ((k / depth * kLanes + lane) * depth + k % depth) * bytes, &bits, bytes);
  }
}

void pack_block_row(const StoredMatrix& stored, std::int32_t row, PanelFormat format, std::size_t lane,
                    std::byte* panel, RowScratch& scratch) {
  const GroupLayout layout = layout_of(format);
  const std::size_t num_groups = static_cast<std::size_t>(stored.columns) / layout.values;
  assert(group_values(stored.dtype) == layout.values);
  scratch.q.resize(static_cast<std::size_t>(stored.columns));
  scratch.scales.resize(num_groups);
  scratch.mins.resize(num_groups);
  split_blocks(stored.dtype, row_bytes(stored, row), scratch.q, scratch.scales, scratch.mins);
  for (std::size_t g = 0; g < num_groups; ++g) {
    std::byte* group = panel + g * layout.bytes();
    const std::size_t place = lane * layout.scale_bytes();
    write_scale(scratch.scales[g], layout.half_scales, group + place);
    if (layout.mins) {
      write_scale(scratch.mins[g], layout.half_scales, group + layout.scale_bytes() * kLanes + place);
    }
    scatter<1>(reinterpret_cast<const std::byte*>(scratch.q.data()) + g * layout.values, layout.values, lane,
               group + layout.header_bytes());
  }
}

constexpr int kMostInt4Factor = 15;  // 15 * 8 fits into the 8 bits that the products take

/// The largest magnitude of a group; not a number where the group holds one that isn't finite.
float find_magnitude(std::span<const float> group) {
  float most = 0;
  bool finite = true;
  for (const float value : group) {
    most = std::max(most, std::fabs(value));
    finite = finite && std::isfinite(value);
  }
  return finite ? most : std::numeric_limits<float>::quiet_NaN();
}

/// Where the weight of input i of a group lies among its [steps][16][4].
std::size_t line_place(std::size_t i, std::size_t lane) {
  return (i / kIntDepth * kLanes + lane) * kIntDepth + i % kIntDepth;
}

/// Rounds a group to 8-bit integers; see PanelMatrix.
void pack_int8_group(std::span<float> group, std::size_t lane, std::byte* panel) {
  const float scale = find_magnitude(group) / 127.0F;
  std::memcpy(panel + lane * sizeof scale, &scale, sizeof scale);
  std::byte* lines = panel + kIntScaleBytes;
  for (std::size_t i = 0; i < group.size(); ++i) {
    const float q = scale > 0 ? std::nearbyint(group[i] / scale) : 0.0F;  // a NaN is not > 0
    lines[line_place(i, lane)] =
        static_cast<std::byte>(static_cast<std::int32_t>(std::clamp(q, -127.0F, 127.0F)) + 128);
  }
}

/// A part of a group in 4 bits: weight = factor * (n - 8), in units of the group's scale.
struct RoundedPart {
  int factor = 0;
  float error = std::numeric_limits<float>::infinity();  // sum of squares
  std::array<std::uint8_t, kIntPart> n{};
};

RoundedPart round_part(std::span<const float> part, int factor) {
  RoundedPart rounded{.factor = factor, .error = 0, .n = {}};
  const auto step = static_cast<float>(factor);
  for (std::size_t i = 0; i < part.size(); ++i) {
    const float q = std::clamp(std::nearbyint(part[i] / step), -8.0F, 7.0F);
    rounded.n[i] = static_cast<std::uint8_t>(static_cast<std::int32_t>(q) + 8);
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

/// Rounds a group to 4-bit integers. The scale gives the part with the largest weight the largest factor.
void pack_int4_group(std::span<float> group, std::size_t lane, std::byte* panel) {
  const float scale = find_magnitude(group) / (8.0F * kMostInt4Factor);
  std::memcpy(panel + lane * sizeof scale, &scale, sizeof scale);
  if (!std::isnormal(scale)) return;  // zeros; or not a number, as the products are to be, too
  for (float& value : group) value /= scale;
  std::byte* factors = panel + kIntScaleBytes;
  std::byte* lines = factors + kInt4FactorBytes;
  for (std::size_t begin = 0, p = 0; begin < group.size(); begin += kIntPart, ++p) {
    const auto part = group.subspan(begin, std::min<std::size_t>(kIntPart, group.size() - begin));
    const RoundedPart rounded = choose_factor(part);
    factors[p * kLanes + lane] = static_cast<std::byte>(static_cast<std::int8_t>(rounded.factor));
    for (std::size_t i = 0; i < part.size(); ++i) {
      const std::size_t at = begin + i;
      // A byte has the weights of inputs i and i + kIntDepth.
      std::byte& byte = lines[line_place(at / (2 * kIntDepth) * kIntDepth + at % kIntDepth, lane)];
      const auto n = static_cast<std::byte>(rounded.n[i]);
      byte = at / kIntDepth % 2 == 0 ? (byte & std::byte{0xF0}) | n : (byte & std::byte{0x0F}) | (n << 4);
    }
  }
}

void pack_int_row(const StoredMatrix& stored, std::int32_t row, PanelFormat format, std::size_t lane,
                  std::byte* panel, RowScratch& scratch) {
  const auto columns = static_cast<std::size_t>(stored.columns);
  scratch.values.resize(columns);
  read_row(stored, row, scratch.values);
  const bool is_int8 = format == PanelFormat::int8;
  for (std::size_t begin = 0; begin < columns; begin += kIntGroup) {
    const auto group =
        std::span(scratch.values).subspan(begin, std::min<std::size_t>(kIntGroup, columns - begin));
    (is_int8 ? pack_int8_group : pack_int4_group)(group, lane, panel);
    panel += is_int8 ? kInt8GroupBytes : kInt4GroupBytes;
  }
}

}  // namespace

void read_row(const StoredMatrix& matrix, std::int32_t row, std::span<float> values) {
  decode_blocks(matrix.dtype, row_bytes(matrix, row), values);
}

PackedMatrix plan_packing(const StoredMatrix& stored, PackAs as) {
  PackedMatrix packed;
  packed.rows = stored.rows;
  packed.columns = stored.columns;
  packed.format = choose_format(as, stored.dtype);
  packed.panel_bytes = find_panel_bytes(packed.format, static_cast<std::size_t>(stored.columns));
  return packed;
}

PackedMatrix pack_matrix(const StoredMatrix& stored, PackAs as, std::span<const std::int32_t> row_order,
                         ThreadPool& pool) {
  PackedMatrix packed = plan_packing(stored, as);
  const auto memory = std::make_shared<const Buffer>(packed.bytes(), "the weights");
  packed.panels = {memory->data(), memory->size()};
  packed.owner = memory;
  std::vector<RowScratch> scratch(static_cast<std::size_t>(pool.size()));
  const auto pack_row = is_plain(packed.format)     ? pack_plain_row
                        : is_integer(packed.format) ? pack_int_row
                                                    : pack_block_row;
  for_each(pool, packed.num_panels(), [&](std::int32_t p, int thread) {
    std::byte* panel = memory->data() + static_cast<std::size_t>(p) * packed.panel_bytes;
    // The weight 0, for the rows and columns that are not there.
    if (packed.format == PanelFormat::int8) std::memset(panel, 128, packed.panel_bytes);
    if (packed.format == PanelFormat::int4) std::memset(panel, 0x88, packed.panel_bytes);
    for (std::int32_t lane = 0; lane < kLanes && p * kLanes + lane < stored.rows; ++lane) {
      std::int32_t row = p * kLanes + lane;
      if (!row_order.empty()) row = row_order[static_cast<std::size_t>(row)];
      pack_row(stored, row, packed.format, static_cast<std::size_t>(lane), panel,
               scratch[static_cast<std::size_t>(thread)]);
    }
  });
  return packed;
}

}  // namespace touchstone
