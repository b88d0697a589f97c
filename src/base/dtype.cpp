#include "base/dtype.h"

#include <array>
#include <cassert>

namespace touchstone {

const DTypeInfo& dtype_info(DType dtype) {
  static constexpr std::array<DTypeInfo, 14> table = {{
      {"F32", 1, 4},
      {"F16", 1, 2},
      {"BF16", 1, 2},
      {"Q8_0", 32, 34},
      {"Q4_0", 32, 18},
      {"Q4_1", 32, 20},
      {"Q5_0", 32, 22},
      {"Q5_1", 32, 24},
      {"Q4_K", 256, 144},
      {"Q5_K", 256, 176},
      {"Q6_K", 256, 210},
      {"I8_128", 128, 132},
      {"I6_128", 128, 100},
      {"I4_128", 128, 72},
  }};
  return table.at(static_cast<std::size_t>(dtype));
}

std::size_t dtype_bytes(DType dtype, std::size_t num_values) {
  const DTypeInfo& info = dtype_info(dtype);
  assert(pads_rows(dtype) || num_values % info.block_values == 0);
  return (num_values + info.block_values - 1) / info.block_values * info.block_bytes;
}

}  // namespace touchstone
