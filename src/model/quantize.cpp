#include "model/quantize.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
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
#include "model/least_squares.h"
#include "model/wanted_tensors.h"
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

/// Of all rows the first half belongs to the model as it was, and the second to the model as rounded so far.
TwinRows split(Rows rows) {
  const std::int32_t half = rows.count / 2;
  return {{rows.data, half, rows.width}, {rows.row(half), half, rows.width}};
}

/// What an error of each row weighs: the norm that follows divides it by the row's size.
std::vector<float> weigh_rows(Rows y, float eps) {
  std::vector<float> weights;
  for (std::int32_t i = 0; i < y.count; ++i) {
    const float* row = y.row(i);
    const float squares = std::inner_product(row, row + y.width, row, 0.0F);
    weights.push_back(1.0F / (squares / static_cast<float>(y.width) + eps));
  }
  return weights;
}

/// The CPU, running two models side by side, and before each product its weights are fitted and rounded for
/// the x that they meet. So a layer's later matrices see what the rounding of all earlier ones did, and make
/// up for it.
class RoundingBackend : public CpuBackend {
 public:
  using CpuBackend::CpuBackend;

  std::vector<Target> targets;
  float norm_eps = 0;
  std::function<void()> before_each;

  void project(Rows x, std::initializer_list<Projection> projections) {
    const TwinRows twins = split(x);
    for (const auto& [linear, y] : projections) {
      const Linear original = pack_original(*linear);
      CpuBackend::project(twins.wanted, {{&original, split(y).wanted}});
    }
    std::vector<const Linear*> linears;
    for (const Projection& projection : projections) linears.push_back(projection.linear);
    round(twins, linears);
    for (const auto& [linear, y] : projections) CpuBackend::project(twins.got, {{linear, split(y).got}});
  }
  void add_projection(Rows x, const Linear& linear, Rows y) {
    const TwinRows twins = split(x), sums = split(y);
    std::vector<float> missing(to_size(sums.got.count) * to_size(y.width));
    std::transform(sums.wanted.data, sums.got.data, sums.got.data, missing.begin(), std::minus<>());
    CpuBackend::add_projection(twins.wanted, pack_original(linear), sums.wanted);
    round(twins, {&linear}, weigh_rows(sums.wanted, norm_eps), {missing.data(), sums.got.count, y.width});
    CpuBackend::add_projection(twins.got, linear, sums.got);
  }
  void gated_projection(Rows x, const Linear& gate, const Linear& up, Rows y) {
    const TwinRows twins = split(x);
    CpuBackend::gated_projection(twins.wanted, pack_original(gate), pack_original(up), split(y).wanted);
    round(twins, {&gate, &up});
    CpuBackend::gated_projection(twins.got, gate, up, split(y).got);
  }

 private:
  Target& find_target(const Linear& linear) {
    return *std::find_if(targets.begin(), targets.end(),
                         [&linear](const Target& target) { return target.linear == &linear; });
  }
  /// The weights as they were, but for 8 bits, which are near enough.
  Linear pack_original(const Linear& linear) {
    const Target& target = find_target(linear);
    return {pack_matrix(target.stored, PackAs::int8, target.row_order, pool()), linear.bias};
  }
  /// Inputs that a norm has made weigh the same.
  void round(TwinRows x, const std::vector<const Linear*>& linears) {
    round(x, linears, std::vector<float>(to_size(x.got.count), 1.0F), {});
  }
  /// `missing`: what the sums that outputs are added to fall short of.
  void round(TwinRows x, const std::vector<const Linear*>& linears, const std::vector<float>& token_weights,
             Rows missing) {
    SquareMatrix gram(x.got.width);
    add_gram(*this, x.got, token_weights, gram);
    const InputFactors factors = factorize(*this, std::move(gram));
    for (const Linear* linear : linears) {
      before_each();
      Target& target = find_target(*linear);
      const auto [dtype, rows, columns, bytes] = target.stored;
      const std::vector<float> fitted = fit_weights(*this, target.stored, x, missing, token_weights, factors);
      const StoredMatrix wanted{DType::f32, rows, columns, std::as_bytes(std::span(fitted))};
      target.blocks = round_with_feedback(*this, wanted, factors, target.to);
      const StoredMatrix rounded{target.to, rows, columns, target.blocks};
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

/// Embedding and head are rounded to the nearest, and the head's rounding is felt the most.
DType choose_table_type(DType to) { return to == DType::int4_128 ? DType::int6_128 : to; }

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
  plan.push_back({kEmbeddingName, choose_table_type(to), table});
  if (!config.tie_word_embeddings) plan.push_back({head_name(config), choose_table_type(to), table});
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

/// All texts in one pass through one layer after the other, twice (see split()).
struct Calibration {
  std::vector<std::int32_t> ids;                  // of all texts, once
  std::vector<std::vector<std::int32_t>> blocks;  // of keys and values
  std::vector<PassSlice> slices;
  RopeTable rope;
  KvPool kv;  // of one layer
  Buffer workspace;
  Activations activations;
};

Calibration prepare(const Config& config, const std::vector<std::vector<std::int32_t>>& texts) {
  Calibration c;
  for (const auto& text : texts) c.ids.insert(c.ids.end(), text.begin(), text.end());
  std::int32_t num_rows = 0, num_blocks = 0;
  for (std::size_t i = 0; i < 2 * texts.size(); ++i) {
    const auto& text = texts[i % texts.size()];
    const auto count = static_cast<std::int32_t>(text.size());
    c.blocks.emplace_back((text.size() + kKvBlockTokens - 1) / kKvBlockTokens);
    std::iota(c.blocks.back().begin(), c.blocks.back().end(), num_blocks);
    num_blocks += static_cast<std::int32_t>(c.blocks.back().size());
    c.slices.push_back({num_rows, count, 0, {}});
    num_rows += count;
    extend_rope_table(config.rope_frequencies, count, c.rope);
  }
  for (std::size_t i = 0; i < c.slices.size(); ++i) c.slices[i].blocks = c.blocks[i];
  c.kv = plan_kv_pool(config, 1, KvFormat::f32, num_blocks);
  c.kv.memory = allocate_shared(c.kv.bytes(), "keys and values");
  c.workspace = Buffer(count_activation_floats(config, num_rows, 0) * sizeof(float), "activations");
  c.activations = cut_activations(config, num_rows, 0, c.workspace.floats());
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
  check_tensors(checkpoint, config);
  const std::vector<PlannedTensor> plan = plan_file(checkpoint, config, options.to);
  AtomicFile file(path);
  const std::string header = make_quantized_header(checkpoint, plan);
  file.write(std::as_bytes(std::span(header)));

  RoundingBackend on(choose_threads(options.num_threads), options.isa);
  constexpr int kMatricesInLayer = 7;
  int done = 0;
  const int total = kMatricesInLayer * config.num_layers;
  on.norm_eps = config.rms_norm_eps;
  on.before_each = [&] {
    if (options.on_progress) options.on_progress(done, total);
    ++done;
  };

  Calibration c = prepare(config, texts);
  const TwinRows x = split(c.activations.x);
  StoredMatrix table = find_matrix(checkpoint, kEmbeddingName);
  on.embed(table, c.ids, x.wanted);
  const DType table_type = choose_table_type(options.to);
  const std::vector<std::byte> embedding = round_matrix(on.pool(), table, table_type);
  file.write(embedding);
  if (!config.tie_word_embeddings) {
    const StoredMatrix head = find_matrix(checkpoint, head_name(config));
    file.write(round_matrix(on.pool(), head, table_type));
  }
  table = {table_type, config.vocab_size, config.hidden_size, embedding};
  on.embed(table, c.ids, x.got);
  for (std::int32_t layer = 0; layer < config.num_layers; ++layer) {
    LayerWeights w = load_targets(checkpoint, config, layer, options.to, on.targets);
    const std::array<Linear*, kMatricesInLayer> linears = linears_of(w);
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
