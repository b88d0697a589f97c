#include "model/quantize.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <initializer_list>
#include <numeric>
#include <utility>

#include "base/error.h"
#include "base/to_size.h"
#include "formats/quantized_file.h"
#include "kernels/int_blocks.h"
#include "kernels/parallel.h"
#include "model/forward.h"
#include "model/gptq.h"
#include "model/kv_pool.h"
#include "model/weights.h"

namespace touchstone {
namespace {

/// A matrix of the layer at hand.
struct Target {
  std::string name;
  StoredMatrix stored;
  std::vector<std::int32_t> row_order;
  DType to = DType::int4_128;
  Linear* linear = nullptr;
  std::vector<std::byte> blocks;  // once it is rounded
};

void check_finite(const Target& target, const std::string& model) {
  std::vector<float> row(to_size(target.stored.columns));
  for (std::int32_t r = 0; r < target.stored.rows; ++r) {
    read_row(target.stored, r, row);
    if (!std::all_of(row.begin(), row.end(), [](float x) { return std::isfinite(x); })) {
      throw Error(model + ": tensor '" + target.name + "' has weights that are not finite",
                  "the model is damaged: download it again");
    }
  }
}

/// The CPU, and before each product the product's weights are rounded for the x that they meet. So a layer's
/// later matrices see what the rounding of its earlier ones did.
class RoundingBackend : public CpuBackend {
 public:
  using CpuBackend::CpuBackend;

  std::vector<Target> targets;
  std::function<void()> before_each;

  void project(Rows x, std::initializer_list<Projection> projections) {
    std::vector<const Linear*> linears;
    for (const Projection& projection : projections) linears.push_back(projection.linear);
    round(x, linears);
    CpuBackend::project(x, projections);
  }
  void add_projection(Rows x, const Linear& linear, Rows y) {
    round(x, {&linear});
    CpuBackend::add_projection(x, linear, y);
  }
  void gated_projection(Rows x, const Linear& gate, const Linear& up, Rows y) {
    round(x, {&gate, &up});
    CpuBackend::gated_projection(x, gate, up, y);
  }

 private:
  void round(Rows x, const std::vector<const Linear*>& linears) {
    SquareMatrix gram(x.width);
    add_gram(*this, x, gram);
    const InputFactors factors = factorize(*this, std::move(gram));
    for (const Linear* linear : linears) {
      before_each();
      Target& target = *std::find_if(targets.begin(), targets.end(),
                                     [linear](const Target& t) { return t.linear == linear; });
      target.blocks = round_with_feedback(*this, target.stored, factors, target.to);
      const StoredMatrix rounded{target.to, target.stored.rows, target.stored.columns, target.blocks};
      target.linear->weight = pack_matrix(rounded, PackAs::stored, target.row_order, pool());
    }
  }
};

/// Keys and values are few where queries share them, and all queries feel them: 8 bits cost next to nothing.
/// The outer layers' down, which recipes for quantization keep finer, is two matrices of a whole model.
DType choose_type(const std::string& name, std::int32_t layer, const Config& config, DType to) {
  const bool is_key_or_value = name.ends_with("k_proj.weight") || name.ends_with("v_proj.weight");
  const bool ends_outer_layer =
      name.ends_with("down_proj.weight") && (layer == 0 || layer == config.num_layers - 1);
  return is_key_or_value || ends_outer_layer ? DType::int8_128 : to;
}

LayerWeights load_targets(const Checkpoint& checkpoint, const Config& config, std::int32_t layer, DType to,
                          std::vector<Target>& targets) {
  targets.clear();
  return load_layer(
      checkpoint, config, layer,
      [&](const std::string& name, const StoredMatrix& stored, std::span<const std::int32_t> row_order) {
        targets.push_back({.name = name,
                           .stored = stored,
                           .row_order = {row_order.begin(), row_order.end()},
                           .to = choose_type(name, layer, config, to),
                           .linear = nullptr,
                           .blocks = {}});
        return PackedMatrix{};
      });
}

/// The tensors of the file in their order: embedding, head, the layers' matrices, and then all vectors.
std::vector<PlannedTensor> plan_file(const Checkpoint& checkpoint, const Config& config, DType to) {
  std::vector<PlannedTensor> plan;
  const std::vector<std::int64_t> table{config.vocab_size, config.hidden_size};
  plan.push_back({kEmbeddingName, DType::int8_128, table});
  if (!config.tie_word_embeddings) plan.push_back({head_name(config), DType::int8_128, table});
  std::vector<Target> targets;
  for (std::int32_t layer = 0; layer < config.num_layers; ++layer) {
    load_targets(checkpoint, config, layer, to, targets);
    for (const Target& target : targets) {
      plan.push_back({target.name, target.to, {target.stored.rows, target.stored.columns}});
    }
  }
  std::vector<PlannedTensor> vectors;
  for (const auto& [name, tensor] : checkpoint.tensors) {
    if (tensor.shape.size() == 1) vectors.push_back({name, DType::f32, tensor.shape});
  }
  std::sort(vectors.begin(), vectors.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
  plan.insert(plan.end(), vectors.begin(), vectors.end());
  return plan;
}

/// A matrix rounded to the nearest.
std::vector<std::byte> round_matrix(ThreadPool& pool, const StoredMatrix& stored, DType to) {
  const std::size_t row_bytes = dtype_bytes(to, to_size(stored.columns));
  std::vector<std::byte> blocks(to_size(stored.rows) * row_bytes);
  for_each(pool, stored.rows, [&](std::int32_t r, int) {
    std::vector<float> row(to_size(stored.columns));
    read_row(stored, r, row);
    round_to_int_blocks(to, row, std::span(blocks).subspan(to_size(r) * row_bytes, row_bytes));
  });
  return blocks;
}

/// All texts in one pass through one layer after the other.
struct Calibration {
  std::vector<std::int32_t> ids;
  std::vector<std::vector<std::int32_t>> blocks;  // of keys and values
  std::vector<PassSlice> slices;
  RopeTable rope;
  KvPool kv;  // of one layer
  Buffer workspace;
  Activations activations;
};

Calibration prepare(const Config& config, const std::vector<std::vector<std::int32_t>>& texts) {
  Calibration c;
  std::int32_t num_blocks = 0;
  for (const auto& text : texts) {
    const auto count = static_cast<std::int32_t>(text.size());
    c.blocks.emplace_back((text.size() + kKvBlockTokens - 1) / kKvBlockTokens);
    std::iota(c.blocks.back().begin(), c.blocks.back().end(), num_blocks);
    num_blocks += static_cast<std::int32_t>(c.blocks.back().size());
    c.slices.push_back({static_cast<std::int32_t>(c.ids.size()), count, 0, {}});
    c.ids.insert(c.ids.end(), text.begin(), text.end());
    extend_rope_table(config.rope_frequencies, count, c.rope);
  }
  for (std::size_t i = 0; i < c.slices.size(); ++i) c.slices[i].blocks = c.blocks[i];
  c.kv = allocate_kv_pool(config, 1, KvFormat::f32, num_blocks);
  c.activations = make_activations(config, static_cast<std::int32_t>(c.ids.size()), 0, c.workspace);
  return c;
}

void write_vector(const Tensor& tensor, AtomicFile& file) {
  std::vector<float> values(static_cast<std::size_t>(tensor.shape.front()));
  read_row({tensor.dtype, 1, static_cast<std::int32_t>(values.size()), tensor.bytes}, 0, values);
  file.write(std::as_bytes(std::span(values)));
}

}  // namespace

void quantize_model(const Checkpoint& checkpoint, const std::vector<std::vector<std::int32_t>>& texts,
                    const QuantizeOptions& options, const std::filesystem::path& path) {
  const Config config = parse_config(checkpoint);
  const std::vector<PlannedTensor> plan = plan_file(checkpoint, config, options.to);
  AtomicFile file(path);
  const std::string header = make_quantized_header(checkpoint, plan);
  file.write(std::as_bytes(std::span(header)));

  RoundingBackend on(choose_threads(options.num_threads), options.isa);
  constexpr int kMatricesInLayer = 7;
  int done = 0;
  const int total = kMatricesInLayer * config.num_layers;
  on.before_each = [&] {
    if (options.on_progress) options.on_progress(done, total);
    ++done;
  };

  Calibration c = prepare(config, texts);
  StoredMatrix table = find_matrix(checkpoint, kEmbeddingName, config.vocab_size, config.hidden_size);
  const std::vector<std::byte> embedding = round_matrix(on.pool(), table, DType::int8_128);
  file.write(embedding);
  if (!config.tie_word_embeddings) {
    const StoredMatrix head =
        find_matrix(checkpoint, head_name(config), config.vocab_size, config.hidden_size);
    file.write(round_matrix(on.pool(), head, DType::int8_128));
  }
  table = {DType::int8_128, config.vocab_size, config.hidden_size, embedding};
  on.embed(table, c.ids, c.activations.x);
  for (std::int32_t layer = 0; layer < config.num_layers; ++layer) {
    LayerWeights w = load_targets(checkpoint, config, layer, options.to, on.targets);
    const std::array<Linear*, kMatricesInLayer> linears = {&w.q, &w.k, &w.v, &w.o, &w.gate, &w.up, &w.down};
    for (std::size_t i = 0; i < linears.size(); ++i) {
      on.targets[i].linear = linears[i];
      check_finite(on.targets[i], checkpoint.id);
    }
    run_layer(on, config, w, c.rope, c.slices, c.kv.layer(0), c.activations);
    for (const Target& target : on.targets) file.write(target.blocks);
  }
  for (const PlannedTensor& tensor : plan) {
    if (tensor.dtype == DType::f32) write_vector(checkpoint.tensor(tensor.name), file);
  }
  file.finish();
}

}  // namespace touchstone
