// Rotary embedding, the store of keys and values, and attention, as work for launch(). Softmax goes block by
// block of keys with a running maximum, as attend() of body.h has it: what a block's step takes of the blocks
// before is reckoned anew by each item that needs it.
#pragma once

#include <cmath>
#include <cstdint>

#include "kernels/cuda/rows.h"

namespace touchstone::cuda {
namespace {

/// Where a row of activations stands: in its sequence, and where `blocks` of the pass has its sequence's
/// first.
struct Place {
  std::int32_t position, first_block;
};

/// Rotates heads by their positions. Items: [num_rows, num_heads, half].
struct Rotate {
  float* x;  // [num_rows, num_heads, 2 * half]
  std::int32_t num_heads, half;
  const Place* places;
  const float *cos, *sin;  // [num_positions, half]

  TOUCHSTONE_ON_DEVICE void operator()(std::int64_t item) const {
    const std::int64_t i = item % half;
    float* head = x + item / half * 2 * half;
    const std::int64_t angle = std::int64_t{places[item / half / num_heads].position} * half + i;
    const float a = head[i];
    const float b = head[half + i];
    head[i] = a * cos[angle] - b * sin[angle];
    head[half + i] = b * cos[angle] + a * sin[angle];
  }
};

/// One layer's keys, or values, as KvLayer and KvFormat have them.
template <KvFormat kFormat>
struct Stored {
  std::uint8_t* data;
  std::int64_t block_bytes, head_bytes;
  std::int32_t head_dim;
  // A matrix holds `numbers`; those of a token are `number_step` apart, those of the next one `token_step`
  // on.
  std::int32_t numbers, number_step, token_step;

  TOUCHSTONE_ON_DEVICE std::uint8_t* matrix(std::int32_t block, std::int32_t head) const {
    return data + block * block_bytes + head * head_bytes;
  }
  TOUCHSTONE_ON_DEVICE std::int32_t index(int slot, int d) const {
    return slot * token_step + d * number_step;
  }

  /// As stored: int8 without its scale.
  TOUCHSTONE_ON_DEVICE float number(const std::uint8_t* matrix, int slot, int d) const {
    const std::int32_t i = index(slot, d);
    if constexpr (kFormat == KvFormat::f32) return load<float>(matrix + 4 * i);
    if constexpr (kFormat == KvFormat::f16) return widen_half(load<std::uint16_t>(matrix + 2 * i));
    if constexpr (kFormat == KvFormat::bf16) return widen_bfloat16(load<std::uint16_t>(matrix + 2 * i));
    if constexpr (kFormat == KvFormat::int8) return static_cast<float>(static_cast<std::int8_t>(matrix[i]));
  }
  TOUCHSTONE_ON_DEVICE float scale(const std::uint8_t* matrix, int slot) const {
    return load<float>(matrix + numbers + 4 * slot);
  }
};

/// Items: [num_rows, num_kv_heads, head_dim].
template <KvFormat kFormat>
struct Store {
  const float* x;  // [num_rows, num_kv_heads, head_dim]
  Stored<kFormat> to;
  std::int32_t num_heads;
  const Place* places;
  const std::int32_t* blocks;
  const float* offsets;  // [block of positions, num_kv_heads, head_dim], taken from what is stored; or null

  TOUCHSTONE_ON_DEVICE void operator()(std::int64_t item) const {
    const auto d = static_cast<int>(item % to.head_dim);
    const std::int64_t head_row = item / to.head_dim;
    const auto head = static_cast<int>(head_row % num_heads);
    const Place place = places[head_row / num_heads];
    const int block = place.position / kKeysPerBlock;
    const int slot = place.position % kKeysPerBlock;
    std::uint8_t* matrix = to.matrix(blocks[place.first_block + block], head);
    const float* numbers = x + head_row * to.head_dim;
    const float* offset =
        offsets == nullptr ? nullptr : offsets + (std::int64_t{block} * num_heads + head) * to.head_dim;
    const std::int32_t i = to.index(slot, d);
    const float number = difference(numbers, offset, d);
    if constexpr (kFormat == KvFormat::f32) *reinterpret_cast<float*>(matrix + 4 * i) = number;
    if constexpr (kFormat == KvFormat::f16)
      *reinterpret_cast<std::uint16_t*>(matrix + 2 * i) = narrow_to_finite_half(number);
    if constexpr (kFormat == KvFormat::bf16)
      *reinterpret_cast<std::uint16_t*>(matrix + 2 * i) = narrow_to_bfloat16(number);
    if constexpr (kFormat == KvFormat::int8) {
      const float most = find_magnitude_of(numbers, offset);
      if (d == 0) *reinterpret_cast<float*>(matrix + to.numbers + 4 * slot) = most / 127.0F;
      const float inverse = finite_inverse(most);
      matrix[i] = static_cast<std::uint8_t>(
          static_cast<std::int8_t>(inverse > 0.0F ? nearbyintf(number * inverse) : 0.0F));
    }
  }

 private:
  TOUCHSTONE_ON_DEVICE static float difference(const float* numbers, const float* offset, int d) {
    return offset == nullptr ? numbers[d] : numbers[d] - offset[d];
  }
  /// As find_magnitude() of int_blocks.h.
  TOUCHSTONE_ON_DEVICE float find_magnitude_of(const float* numbers, const float* offset) const {
    float most = 0.0F;
    float zero = 0.0F;
    for (int d = 0; d < to.head_dim; ++d) {
      const float number = difference(numbers, offset, d);
      most = OneLane::max(most, fabsf(number));
      zero = fmaf(number, 0.0F, zero);
    }
    return most + zero;
  }
};

/// The queries of some rows of a pass, and what they see. A query is a row's head.
struct Queries {
  const float* q;                 // [num_rows, num_heads, head_dim]
  std::int64_t first;             // the first of these
  std::int32_t num_heads, group;  // heads that share a KV head
  std::int32_t most_blocks;       // of any row
  const Place* places;
  const std::int32_t* blocks;

  TOUCHSTONE_ON_DEVICE const float* query(std::int64_t i, int head_dim) const {
    return q + (first + i) * head_dim;
  }
  TOUCHSTONE_ON_DEVICE Place place(std::int64_t i) const { return places[(first + i) / num_heads]; }
  TOUCHSTONE_ON_DEVICE int kv_head(std::int64_t i) const {
    return static_cast<int>((first + i) % num_heads) / group;
  }
  /// How many keys of a block a row sees.
  TOUCHSTONE_ON_DEVICE static int count_keys(Place place, int block) {
    const int left = place.position + 1 - block * kKeysPerBlock;
    return left > kKeysPerBlock ? kKeysPerBlock : left;
  }
};

/// What softmax keeps of the queries' blocks.
struct Softmax {
  float* scores;   // [number of queries, most_blocks, kKeysPerBlock]; later exp(score - maximum)
  float* maxima;   // [number of queries, most_blocks]: each block's own
  float* totals;   // likewise: of exp(score - maximum)
  float* factors;  // what the blocks before are to be multiplied with
};

/// scores = query · (key + offset) * scale. Items: [number of queries, most_blocks * kKeysPerBlock].
template <KvFormat kFormat>
struct Score {
  Queries queries;
  Stored<kFormat> keys;
  const float* offsets;
  float scale;
  Softmax softmax;

  TOUCHSTONE_ON_DEVICE void operator()(std::int64_t item) const {
    const std::int64_t keys_each = std::int64_t{queries.most_blocks} * kKeysPerBlock;
    const std::int64_t i = item / keys_each;
    const auto key = static_cast<int>(item % keys_each);
    const Place place = queries.place(i);
    if (key > place.position) return;
    const int block = key / kKeysPerBlock;
    const int slot = key % kKeysPerBlock;
    const int kv_head = queries.kv_head(i);
    const std::uint8_t* matrix = keys.matrix(queries.blocks[place.first_block + block], kv_head);
    const float* query = queries.query(i, keys.head_dim);
    float sum = 0.0F;
    for (int d = 0; d < keys.head_dim; ++d) sum = fmaf(query[d], keys.number(matrix, slot, d), sum);
    if constexpr (kFormat == KvFormat::int8) sum *= keys.scale(matrix, slot);
    if (offsets != nullptr) {
      const std::int64_t num_kv_heads = queries.num_heads / queries.group;
      sum += dot_lanes(query, offsets + (block * num_kv_heads + kv_head) * keys.head_dim);
    }
    softmax.scores[item] = sum * scale;
  }

 private:
  /// As dot() of body.h.
  TOUCHSTONE_ON_DEVICE float dot_lanes(const float* a, const float* b) const {
    float lane[kLanes] = {};
    for (int i = 0; i < kLanes; ++i) {
      for (int d = i; d < keys.head_dim; d += kLanes) lane[i] = fmaf(a[d], b[d], lane[i]);
    }
    return sum_lanes(lane);
  }
};

/// Items: [number of queries, most_blocks].
struct FindMaxima {
  Queries queries;
  Softmax softmax;

  TOUCHSTONE_ON_DEVICE void operator()(std::int64_t item) const {
    const auto block = static_cast<int>(item % queries.most_blocks);
    const int count = Queries::count_keys(queries.place(item / queries.most_blocks), block);
    if (count <= 0) return;
    const float* scores = softmax.scores + item * kKeysPerBlock;
    const auto score = [&](int key) { return key < count ? scores[key] : -INFINITY; };
    float lane[kLanes];
    for (int i = 0; i < kLanes; ++i) lane[i] = OneLane::max(score(i), score(i + kLanes));
    for (int half = kLanes / 2; half > 0; half /= 2) {
      for (int i = 0; i < half; ++i) lane[i] = OneLane::max(lane[i], lane[i + half]);
    }
    softmax.maxima[item] = lane[0];
  }
};

/// Turns a block's scores into exp(score - maximum), the maximum that of all blocks so far: see soften_row()
/// of body.h. Items: [number of queries, most_blocks].
struct Soften {
  Queries queries;
  Softmax softmax;

  TOUCHSTONE_ON_DEVICE void operator()(std::int64_t item) const {
    const auto block = static_cast<int>(item % queries.most_blocks);
    const std::int64_t first = item - block;  // the query's first block
    const int count = Queries::count_keys(queries.place(item / queries.most_blocks), block);
    if (count <= 0) return;
    float before = -INFINITY;
    for (int b = 0; b < block; ++b) before = OneLane::max(softmax.maxima[first + b], before);
    const float maximum = OneLane::max(softmax.maxima[item], before);
    float* scores = softmax.scores + item * kKeysPerBlock;
    for (int key = 0; key < kKeysPerBlock; ++key)
      scores[key] = key < count ? exponential_or_nan<OneLane>(scores[key] - maximum) : 0.0F;
    float lane[kLanes];
    for (int i = 0; i < kLanes; ++i) lane[i] = scores[i] + scores[i + kLanes];
    softmax.totals[item] = sum_lanes(lane);
    softmax.factors[item] = maximum == before ? 1.0F : exponential<OneLane>(before - maximum);
  }
};

/// y = the mean of the values. Items: [number of queries, head_dim].
template <KvFormat kFormat>
struct Weigh {
  Queries queries;
  Stored<kFormat> values;
  Softmax softmax;
  float* y;  // [num_rows, num_heads, head_dim]

  TOUCHSTONE_ON_DEVICE void operator()(std::int64_t item) const {
    const std::int64_t i = item / values.head_dim;
    const auto d = static_cast<int>(item % values.head_dim);
    const Place place = queries.place(i);
    float total = 0.0F;
    float sum = 0.0F;
    for (int block = 0, count = 0; (count = Queries::count_keys(place, block)) > 0; ++block) {
      const std::int64_t at = i * queries.most_blocks + block;
      total = total * softmax.factors[at] + softmax.totals[at];
      sum *= softmax.factors[at];
      const std::uint8_t* matrix =
          values.matrix(queries.blocks[place.first_block + block], queries.kv_head(i));
      // All of a block's loads are under way before the first of them is waited for.
      float weight[kKeysPerBlock], value[kKeysPerBlock];
      for (int key = 0; key < kKeysPerBlock; ++key) {
        weight[key] = key < count ? softmax.scores[at * kKeysPerBlock + key] : 0.0F;
        value[key] = key < count ? values.number(matrix, key, d) : 0.0F;
        if constexpr (kFormat == KvFormat::int8)
          weight[key] *= key < count ? values.scale(matrix, key) : 0.0F;
      }
      for (int key = 0; key < kKeysPerBlock; ++key) {
        if (key < count) sum = fmaf(weight[key], value[key], sum);
      }
    }
    y[(queries.first + i) * values.head_dim + d] = sum * (1.0F / total);
  }
};

}  // namespace
}  // namespace touchstone::cuda
