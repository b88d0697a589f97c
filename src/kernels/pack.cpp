#include <bit>
#include <cassert>
#include <cstddef>
#include <cstring>
#include <tuple>

#include "kernels/int_blocks.h"
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
    case DType::int8_128:
      return PanelFormat::int8;
    case DType::int6_128:
      return PanelFormat::int6;
    case DType::int4_128:
      return PanelFormat::int4;
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
    case PackAs::int6:
      return PanelFormat::int6;
    case PackAs::int4:
      return PanelFormat::int4;
  }
  return PanelFormat::f32;
}

static_assert(sizeof(Int8Block) * kLanes == kInt8GroupBytes &&
              sizeof(Int6Block) * kLanes == kInt6GroupBytes && sizeof(Int4Block) * kLanes == kInt4GroupBytes);

/// The type of the blocks whose numbers a panel of integers holds.
DType block_type_of(PanelFormat format) {
  if (format == PanelFormat::int8) return DType::int8_128;
  return format == PanelFormat::int6 ? DType::int6_128 : DType::int4_128;
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
  if (is_integer(format)) return dtype_bytes(block_type_of(format), columns) * kLanes;
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
  std::vector<std::byte> blocks;
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

/// Writes a row of blocks of integers; see PanelMatrix.
void write_int_blocks(PanelFormat format, std::span<const std::byte> blocks, std::size_t lane,
                      std::byte* panel) {
  const std::size_t block_bytes = dtype_info(block_type_of(format)).block_bytes;
  for (; !blocks.empty(); blocks = blocks.subspan(block_bytes), panel += block_bytes * kLanes) {
    const std::byte* from = blocks.data();
    std::memcpy(panel + lane * sizeof(float), from, sizeof(float));
    std::byte* to = panel + kIntScaleBytes;
    if (format == PanelFormat::int8) {
      for (std::size_t i = 0; i < kIntGroup; ++i) {
        to[(i / kIntDepth * kLanes + lane) * kIntDepth + i % kIntDepth] =
            from[offsetof(Int8Block, q) + i] ^ std::byte{128};  // plus 128
      }
    } else if (format == PanelFormat::int6) {
      scatter<kIntDepth>(from + offsetof(Int6Block, bytes), sizeof(Int6Block::bytes) / kIntDepth, lane, to);
    } else {
      scatter<1>(from + offsetof(Int4Block, factors), kPartsInBlock, lane, to);
      scatter<kIntDepth>(from + offsetof(Int4Block, n), kIntGroup / (2 * kIntDepth), lane,
                         to + kInt4FactorBytes);
    }
  }
}

void pack_int_row(const StoredMatrix& stored, std::int32_t row, PanelFormat format, std::size_t lane,
                  std::byte* panel, RowScratch& scratch) {
  if (format == format_of(stored.dtype)) return write_int_blocks(format, row_bytes(stored, row), lane, panel);
  const DType dtype = block_type_of(format);
  scratch.values.resize(static_cast<std::size_t>(stored.columns));
  read_row(stored, row, scratch.values);
  scratch.blocks.resize(dtype_bytes(dtype, scratch.values.size()));
  round_to_int_blocks(dtype, scratch.values, scratch.blocks);
  write_int_blocks(format, scratch.blocks, lane, panel);
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
                         ThreadPool& pool, Arena* arena) {
  PackedMatrix packed = plan_packing(stored, as);
  std::byte* panels = nullptr;
  if (arena != nullptr) {
    std::tie(panels, packed.owner) = arena->take(packed.bytes(), "the weights");
  } else {
    const auto memory = std::make_shared<const Buffer>(packed.bytes(), "the weights");
    panels = memory->data();
    packed.owner = memory;
  }
  packed.panels = {panels, packed.bytes()};
  std::vector<RowScratch> scratch(static_cast<std::size_t>(pool.size()));
  const auto pack_row = is_plain(packed.format)     ? pack_plain_row
                        : is_integer(packed.format) ? pack_int_row
                                                    : pack_block_row;
  for_each(pool, packed.num_panels(), [&](std::int32_t p, int thread) {
    std::byte* panel = panels + static_cast<std::size_t>(p) * packed.panel_bytes;
    // The weight 0, for the rows that are not there. Elsewhere zero bytes are one: scales and factors, too.
    if (packed.format == PanelFormat::int8) std::memset(panel, 128, packed.panel_bytes);
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
