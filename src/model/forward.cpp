#include "model/forward.h"

#include <utility>

#include "base/to_size.h"

namespace touchstone {

Activations make_activations(const Config& config, std::int32_t num_tokens, std::int32_t num_logits,
                             Buffer& workspace) {
  const std::int32_t q_size = config.num_heads * config.head_dim;
  const std::int32_t kv_size = config.num_kv_heads * config.head_dim;
  Activations a;
  const std::pair<Rows*, Rows> parts[] = {{&a.x, {nullptr, num_tokens, config.hidden_size}},
                                          {&a.normed, {nullptr, num_tokens, config.hidden_size}},
                                          {&a.q, {nullptr, num_tokens, q_size}},
                                          {&a.attended, {nullptr, num_tokens, q_size}},
                                          {&a.k, {nullptr, num_tokens, kv_size}},
                                          {&a.v, {nullptr, num_tokens, kv_size}},
                                          {&a.gated, {nullptr, num_tokens, config.intermediate_size}},
                                          {&a.last, {nullptr, num_logits, config.hidden_size}}};
  constexpr std::size_t kLine = 64 / sizeof(float);
  const auto floats_of = [](const Rows& rows) {
    return (to_size(rows.count) * to_size(rows.width) + kLine - 1) / kLine * kLine;
  };
  std::size_t floats = 0;
  for (const auto& [rows, shape] : parts) floats += floats_of(shape);
  workspace.reserve(floats * sizeof(float), "activations");
  float* next = workspace.floats();
  for (const auto& [rows, shape] : parts) {
    *rows = {next, shape.count, shape.width};
    next += floats_of(shape);
  }
  return a;
}

}  // namespace touchstone
