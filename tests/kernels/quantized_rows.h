// What products in integers are made of, for the tests of kernels.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <vector>

#include "kernels/kernels.h"

namespace touchstone {

inline PanelMatrix view(const PackedMatrix& packed) {
  return {packed.format, packed.columns, packed.panel_bytes,
          reinterpret_cast<const std::uint8_t*>(packed.panels.data())};
}

inline auto integer_types() { return ::testing::Values(PackAs::int8, PackAs::int6, PackAs::int4); }
inline std::string name_integer_type(const ::testing::TestParamInfo<PackAs>& info) {
  if (info.param == PackAs::int8) return "int8";
  return info.param == PackAs::int6 ? "int6" : "int4";
}

/// Rows of activations as integers.
struct Quantized {
  Quantized(const KernelTable& kernels, const std::vector<float>& x, int columns)
      : num_groups((columns + kIntGroup - 1) / kIntGroup), num_rows(static_cast<int>(x.size()) / columns) {
    const auto groups = static_cast<std::size_t>(num_groups * num_rows);
    q.resize(groups * kIntGroup);
    scales.resize(groups);
    sums.resize(groups * kIntSums);
    for (int row = 0; row < num_rows; ++row) {
      kernels.quantize(x.data() + row * columns, columns, static_cast<std::size_t>(num_rows),
                       q.data() + row * kIntGroup, scales.data() + row, sums.data() + row * kIntSums);
    }
  }
  IntRows from(int row) const {
    return {q.data() + row * kIntGroup, scales.data() + row, sums.data() + row * kIntSums, num_groups,
            static_cast<std::size_t>(num_rows)};
  }

  int num_groups, num_rows;
  std::vector<std::int8_t> q;
  std::vector<float> scales;
  std::vector<std::int32_t> sums;
};

}  // namespace touchstone
