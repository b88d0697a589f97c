// kernels/: what runs on the silicon. One table of functions per instruction set, chosen once at load; cpu/
// holds the bodies. Above the tables stands a back end (cpu_backend.h) with the operations of a transformer.
//
// Law (tested): every output element is summed in one fixed order that depends on shapes alone. So a result
// has the same bits for any number of tokens in the call, any number of threads, and any instruction set: the
// scalar table is the specification of the others.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "base/dtype.h"
#include "base/thread_pool.h"
#include "kernels/buffer.h"
#include "kernels/cpu/table.h"

namespace touchstone {

/// The kernels for `isa`: "scalar", "avx2", "avx512", or "auto" for the widest that this CPU has. Throws
/// Error for another name, or an instruction set that this CPU lacks. Of two that give the same bits, "auto"
/// takes the one whose products of bfloat16 are the faster ones here, measured when first asked.
const KernelTable& choose_kernels(std::string_view isa);

/// A matrix as a checkpoint stores it: row-major, [rows, columns]. The bytes must outlive the use.
struct StoredMatrix {
  DType dtype = DType::f32;
  std::int32_t rows = 0, columns = 0;
  std::span<const std::byte> bytes;
};

/// values = one row, [columns].
void read_row(const StoredMatrix& matrix, std::int32_t row, std::span<float> values);

/// A weight matrix [rows, columns] as the kernels read it: panels of 16 rows (outputs), the last one filled
/// up with zeros.
struct PackedMatrix {
  std::int32_t rows = 0, columns = 0;
  PanelFormat format = PanelFormat::f32;
  std::size_t panel_bytes = 0;
  std::span<const std::byte> panels;
  std::shared_ptr<const void> owner;  // of the panels' memory

  std::int32_t num_panels() const { return rows / kLanes + (rows % kLanes != 0 ? 1 : 0); }
  std::size_t bytes() const { return panel_bytes * static_cast<std::size_t>(num_panels()); }
};

/// To be raised when the same weights come to be packed into other bytes, or PackAs or PanelFormat are
/// renumbered: packed weights outlive the program.
inline constexpr std::uint32_t kPackedVersion = 3;

/// What packed weights are: the stored values, exactly, in their own type or as float32; or rounded to the
/// nearest, to half precision, to bfloat16 (activations, too), or to integers of 8, 6 or 4 bits with a scale
/// for each kIntGroup of a row (activations to 8 bits).
enum class PackAs : std::uint8_t { stored, float32, float16, bfloat16, int8, int6, int4 };

/// What pack_matrix() gives, without the panels.
PackedMatrix plan_packing(const StoredMatrix& stored, PackAs as);

/// Packs on all threads, into a part of `arena` or, without one, memory of its own. `row_order`, if not
/// empty, names for each packed row the stored row that it is.
PackedMatrix pack_matrix(const StoredMatrix& stored, PackAs as, std::span<const std::int32_t> row_order,
                         ThreadPool& pool, Arena* arena = nullptr);

}  // namespace touchstone
