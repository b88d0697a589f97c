#include "model/forward.h"

#include <array>
#include <utility>

#include "base/to_size.h"

namespace touchstone {

namespace {

using Parts = std::array<std::pair<Rows*, Rows>, 8>;

Parts list_parts(const Config& config, std::int32_t num_tokens, std::int32_t num_logits, Activations& a) {
  const std::int32_t q_size = config.num_heads * config.head_dim;
  const std::int32_t kv_size = config.num_kv_heads * config.head_dim;
  return {{{&a.x, {nullptr, num_tokens, config.hidden_size}},
           {&a.normed, {nullptr, num_tokens, config.hidden_size}},
           {&a.q, {nullptr, num_tokens, q_size}},
           {&a.attended, {nullptr, num_tokens, q_size}},
           {&a.k, {nullptr, num_tokens, kv_size}},
           {&a.v, {nullptr, num_tokens, kv_size}},
           {&a.gated, {nullptr, num_tokens, config.intermediate_size}},
           {&a.last, {nullptr, num_logits, config.hidden_size}}}};
}

std::size_t count_floats(const Rows& rows) {
  constexpr std::size_t kLine = 64 / sizeof(float);
  return (to_size(rows.count) * to_size(rows.width) + kLine - 1) / kLine * kLine;
}

std::size_t count_floats(const Parts& parts) {
  std::size_t floats = 0;
  for (const auto& [rows, shape] : parts) floats += count_floats(shape);
  return floats;
}

}  // namespace

std::size_t count_activation_floats(const Config& config, std::int32_t num_tokens, std::int32_t num_logits) {
  Activations a;
  return count_floats(list_parts(config, num_tokens, num_logits, a));
}

Activations cut_activations(const Config& config, std::int32_t num_tokens, std::int32_t num_logits,
                            float* floats) {
  Activations a;
  const Parts parts = list_parts(config, num_tokens, num_logits, a);
  for (const auto& [rows, shape] : parts) {
    *rows = {floats, shape.count, shape.width};
    floats += count_floats(shape);
  }
  return a;
}

}  // namespace touchstone
