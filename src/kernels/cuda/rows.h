// What is done to rows of activations between products, as work for launch().
#pragma once

#include <cmath>
#include <cstdint>

#include "kernels/cpu/body.h"
#include "kernels/cuda/products.h"

namespace touchstone::cuda {
namespace {

/// One lane of what vec_scalar.h has sixteen of, for the functions of body.h.
struct OneLane {
  using Vec = float;
  TOUCHSTONE_ON_DEVICE static float set1(float x) { return x; }
  TOUCHSTONE_ON_DEVICE static float fma(float a, float b, float c) { return fmaf(a, b, c); }
  TOUCHSTONE_ON_DEVICE static float add(float a, float b) { return a + b; }
  TOUCHSTONE_ON_DEVICE static float sub(float a, float b) { return a - b; }
  TOUCHSTONE_ON_DEVICE static float mul(float a, float b) { return a * b; }
  TOUCHSTONE_ON_DEVICE static float max(float a, float b) { return a > b ? a : b; }
  TOUCHSTONE_ON_DEVICE static float min(float a, float b) { return a < b ? a : b; }
  TOUCHSTONE_ON_DEVICE static float power_of_two(float x) {
    return float_of_bits((bits_of_float(x) << 23) + 0x3F800000U);
  }
};

/// What numbers of at most this magnitude are to be multiplied with to become integers; 0 where there is no
/// such finite number.
TOUCHSTONE_ON_DEVICE inline float finite_inverse(float most) {
  const float quotient = most > 0.0F ? 127.0F / most : 0.0F;
  return quotient - quotient == 0.0F ? quotient : 0.0F;
}

/// The sum of 16 lanes, as V::sum() of vec_scalar.h has it. The lanes are lost.
TOUCHSTONE_ON_DEVICE inline float sum_lanes(float (&lane)[kLanes]) {
  for (int half = kLanes / 2; half > 0; half /= 2) {
    for (int i = 0; i < half; ++i) lane[i] += lane[i + half];
  }
  return lane[0];
}

/// The lanes of a row's sum of squares. Items: [num_rows, kLanes].
struct SumSquares {
  const float* x;  // [num_rows, width]
  std::int32_t width;
  float* lanes;  // [num_rows, kLanes]

  TOUCHSTONE_ON_DEVICE void operator()(std::int64_t item) const {
    const float* row = x + item / kLanes * width;
    float sum = 0.0F;
    for (auto i = static_cast<int>(item % kLanes); i < width; i += kLanes) sum = fmaf(row[i], row[i], sum);
    lanes[item] = sum;
  }
};

/// y = x / rms(x) * weight. Items: [num_rows, width].
struct Normalize {
  const float *x, *lanes, *weight;
  std::int32_t width;
  float eps;
  float* y;

  TOUCHSTONE_ON_DEVICE void operator()(std::int64_t item) const {
    float lane[kLanes];
    for (int i = 0; i < kLanes; ++i) lane[i] = lanes[item / width * kLanes + i];
    const float mean = sum_lanes(lane) / static_cast<float>(width);
    const float scale = 1.0F / sqrtf(mean + eps);
    y[item] = x[item] * scale * weight[item % width];
  }
};

/// y = the first `width` floats of row rows[i] of x. Items: [number of rows, width].
struct Gather {
  const float* x;
  const std::int32_t* rows;
  std::int32_t width;
  float* y;

  TOUCHSTONE_ON_DEVICE void operator()(std::int64_t item) const {
    y[item] = x[std::int64_t{rows[item / width]} * width + item % width];
  }
};

/// Items: [num_rows, num_outputs], of all three.
struct AddBias {
  const float* bias;
  std::int32_t num_outputs;
  float* y;
  std::int64_t stride;

  TOUCHSTONE_ON_DEVICE void operator()(std::int64_t item) const {
    y[item / num_outputs * stride + item % num_outputs] += bias[item % num_outputs];
  }
};

/// With an output's bias, if there are any.
TOUCHSTONE_ON_DEVICE inline float add_bias(float sum, const float* bias, std::int64_t output) {
  return bias == nullptr ? sum : sum + bias[output];
}

/// y += sums + bias, if any.
struct AddSums {
  const float *sums, *bias;
  std::int32_t num_outputs;
  float* y;
  std::int64_t stride;

  TOUCHSTONE_ON_DEVICE void operator()(std::int64_t item) const {
    const std::int64_t output = item % num_outputs;
    y[item / num_outputs * stride + output] += add_bias(sums[item], bias, output);
  }
};

/// y = silu(gates + gate_bias) * (ups + up_bias).
struct Gate {
  const float *gates, *gate_bias, *ups, *up_bias;
  std::int32_t num_outputs;
  float* y;
  std::int64_t stride;

  TOUCHSTONE_ON_DEVICE void operator()(std::int64_t item) const {
    const std::int64_t output = item % num_outputs;
    const float gate = add_bias(gates[item], gate_bias, output);
    const float up = add_bias(ups[item], up_bias, output);
    const float silu = gate / (1.0F + exponential<OneLane>(0.0F - gate));
    y[item / num_outputs * stride + output] = silu * up;
  }
};

/// y = x to the nearest bfloat16. Items: [num_rows, width] of both.
struct RoundToBfloat16 {
  const float* x;
  float* y;

  TOUCHSTONE_ON_DEVICE void operator()(std::int64_t item) const {
    y[item] = widen_bfloat16(narrow_to_bfloat16(x[item]));
  }
};

/// The scale of a group's integers, and its inverse. Items: [num_rows, num_groups].
struct FindScales {
  FloatRows x;
  std::int32_t width;
  QuantizedRows to;

  TOUCHSTONE_ON_DEVICE void operator()(std::int64_t item) const {
    const auto begin = static_cast<int>(item % to.num_groups) * kIntGroup;
    const float* row = x.data + item / to.num_groups * x.stride;
    const int end = end_of_block(static_cast<int>(item % to.num_groups), width);
    float most = 0.0F;
    float zero = 0.0F;  // or not a number, if one of them is not finite
    for (int i = begin; i < end; ++i) {
      most = OneLane::max(OneLane::max(row[i], 0.0F - row[i]), most);
      zero = fmaf(row[i], 0.0F, zero);
    }
    to.scales[item] = most / 127.0F + zero;
    to.inverses[item] = finite_inverse(most);  // an infinite one makes 0 of all numbers, too
  }
};

/// The integers of a part of a group, and their sum. Items: [num_rows, num_groups, kGroupParts].
struct RoundToInts {
  FloatRows x;
  std::int32_t width;
  QuantizedRows to;

  TOUCHSTONE_ON_DEVICE void operator()(std::int64_t item) const {
    const std::int64_t group = item / kGroupParts;
    const auto begin = static_cast<int>(item % (to.num_groups * kGroupParts)) * kIntPart;
    const float* row = x.data + group / to.num_groups * x.stride;
    std::int32_t sum = 0;
    for (int i = 0; i < kIntPart; ++i) {
      const float number = begin + i < width ? row[begin + i] : 0.0F;
      const float rounded = fmaf(number, to.inverses[group], 12582912.0F);  // see round_to_bits()
      const auto q = static_cast<std::int8_t>(bits_of_float(rounded));
      to.q[item * kIntPart + i] = q;
      sum += q;
    }
    to.sums[item] = sum;
  }
};

}  // namespace
}  // namespace touchstone::cuda
