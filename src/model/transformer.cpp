#include "model/transformer.h"

#include <algorithm>
#include <cassert>
#include <charconv>
#include <cstring>
#include <limits>
#include <optional>
#include <utility>

#include "base/cores.h"
#include "base/error.h"
#include "base/to_size.h"
#include "kernels/cpu_backend.h"
#include "kernels/cuda_backend.h"
#include "model/dtypes.h"
#include "model/forward.h"
#include "model/kv_pool.h"
#include "model/model_memory.h"
#include "model/profile.h"
#include "model/wanted_tensors.h"
#include "model/weights.h"

namespace touchstone {
namespace {

static_assert(kKvBlockTokens == kKeysPerBlock);

/// Longer inputs are run in several passes: activations stay small, and products are as fast as they get.
constexpr std::int32_t kMaxPassTokens = 512;

Arithmetic arithmetic_of(PanelFormat head) {
  if (head == PanelFormat::bf16_pairs) return Arithmetic::bfloat16;
  return is_integer(head) ? Arithmetic::int8 : Arithmetic::float32;
}

KvFormat choose_kv_format(const std::string& kv_dtype, Arithmetic arithmetic) {
  return parse_kv_dtype(kv_dtype).value_or(arithmetic == Arithmetic::float32 ? KvFormat::f32 : KvFormat::f16);
}

/// The packed matrices', and the vectors' as float32: of what is loaded, whatever else the files hold.
std::uint64_t plan_weight_bytes(const Checkpoint& checkpoint, const Config& config, PackAs as) {
  std::uint64_t bytes = 0;
  const std::string head = head_name(config);
  for (const auto& [name, shape, required] : list_wanted_tensors(config)) {
    const Tensor* found = checkpoint.find_tensor(name);
    // What loading refuses needs no plan, and an embedding that is not the head stays in its file.
    if (found == nullptr || found->shape != shape || (name == kEmbeddingName && name != head)) continue;
    if (shape.size() == 1) {
      bytes += static_cast<std::uint64_t>(shape.front()) * sizeof(float);
    } else {
      const StoredMatrix stored{found->dtype, static_cast<std::int32_t>(shape.front()),
                                static_cast<std::int32_t>(shape.back()), found->bytes};
      bytes += plan_packing(stored, name == head ? pack_head_as(as) : as).bytes();
    }
  }
  return bytes;
}

/// What stays of the stored file: the pages that one round of reading rows brings in; all of a file that lies
/// in the program, whose pages can't be given back.
std::uint64_t plan_stored_bytes(const Checkpoint& checkpoint) {
  constexpr std::uint64_t kReadAround = std::uint64_t{64} << 10;
  std::uint64_t bytes = 0;
  for (const Blob& blob : checkpoint.blobs) {
    if (!blob.mapped) bytes += blob.bytes.size();
  }
  const Tensor* embedding = checkpoint.find_tensor(kEmbeddingName);
  if (bytes > 0 || embedding == nullptr) return bytes;
  return std::min<std::uint64_t>(embedding->bytes.size(), kReadAround * kEmbeddedRows);
}

/// The activations as the products with the weights want them.
std::uint64_t plan_rounded_bytes(Arithmetic arithmetic, std::uint64_t values) {
  switch (arithmetic) {
    case Arithmetic::float32:
      return 0;
    case Arithmetic::bfloat16:
      return values * sizeof(std::uint16_t);
    case Arithmetic::int8:
      return values + values / kIntGroup * (sizeof(float) + kIntSums * sizeof(std::int32_t));
  }
  return 0;
}

}  // namespace

void check_dtypes(const ModelOptions& options) {
  parse_dtype(options.dtype);
  parse_kv_dtype(options.kv_dtype);
}

int choose_threads(int requested) {
  constexpr int kMaxThreads = 1024;
  return requested <= 0 ? usable_cores() : std::min(requested, kMaxThreads);
}

ModelMemory plan_model_memory(const Checkpoint& checkpoint, const ModelOptions& options,
                              const PassSize& size) {
  const Config config = parse_config(checkpoint);
  const PackAs as = parse_dtype(options.dtype);
  const Tensor* head = checkpoint.find_tensor(head_name(config));
  const DType head_dtype = head != nullptr ? head->dtype : DType::f32;
  const Arithmetic arithmetic = arithmetic_of(
      plan_packing({head_dtype, config.vocab_size, config.hidden_size, {}}, pack_head_as(as)).format);
  const std::int32_t tokens = std::min(size.tokens, kMaxPassTokens);
  std::int32_t widest = std::max(config.hidden_size, config.num_heads * config.head_dim);
  // Gated outputs in bfloat16 are written where they would stand as float32.
  if (arithmetic != Arithmetic::bfloat16 || config.intermediate_size % kSumBlock != 0)
    widest = std::max(widest, config.intermediate_size);
  const std::uint64_t scratch = to_size(choose_threads(options.num_threads)) *
                                (2 * kMaxTokens * kSumStride + attention_scratch_floats(config.head_dim));
  const std::uint64_t logits = to_size(size.logits) * to_size(config.vocab_size);
  const std::uint64_t rope = to_size(size.positions) * to_size(config.head_dim);
  const std::uint64_t rows =
      (count_activation_floats(config, tokens, size.logits) + logits + rope) * sizeof(float);
  const bool on_gpu = choose_gpu(options.device).has_value();
  const std::uint64_t work =
      on_gpu ? plan_gpu_scratch({.tokens = tokens,
                                 .logits = size.logits,
                                 .positions = size.positions,
                                 .attention = {config.num_heads, config.num_kv_heads, config.head_dim,
                                               config.rms_norm_eps},
                                 .hidden_size = config.hidden_size,
                                 .intermediate_size = config.intermediate_size,
                                 .vocab_size = config.vocab_size,
                                 .has_integers = arithmetic == Arithmetic::int8,
                                 .has_pairs = arithmetic == Arithmetic::bfloat16})
             : scratch * sizeof(float) + plan_rounded_bytes(arithmetic, to_size(tokens) * to_size(widest));
  return {.weights = plan_weight_bytes(checkpoint, config, as),
          .stored = on_gpu ? 0 : plan_stored_bytes(checkpoint),
          .kv_per_token =
              kv_token_bytes(config, config.num_layers, choose_kv_format(options.kv_dtype, arithmetic)),
          .pass = rows + work};
}

std::optional<int> choose_gpu(const std::string& device) {
  constexpr std::string_view kNumbered = "cuda:";
  if (device == "cpu") return std::nullopt;
  if (device == "auto") return count_cuda_devices() > 0 ? std::optional(0) : std::nullopt;
  if (device == "cuda") return 0;
  int gpu = 0;
  const std::string_view number = std::string_view(device).substr(std::min(device.size(), kNumbered.size()));
  const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), gpu);
  if (!device.starts_with(kNumbered) || error != std::errc() || end != number.data() + number.size() ||
      gpu < 0) {
    throw Error("device '" + device + "' is not known", "use auto, cpu, cuda or cuda:N");
  }
  return gpu;
}

std::uint64_t free_gpu_bytes(int gpu) { return CudaBackend(gpu).free_bytes(); }

namespace {

std::unique_ptr<CudaBackend> open_gpu(const std::string& device) {
  const std::optional<int> gpu = choose_gpu(device);
  if (!gpu) return nullptr;
  return std::make_unique<CudaBackend>(*gpu);
}

void move_weights(Weights& weights, CudaBackend& gpu) {
  const auto move = [&](Linear& linear) {
    gpu.move_here(linear.weight, "weights");
    gpu.keep(linear.bias);
  };
  for (LayerWeights& w : weights.layers) {
    for (Linear* linear : linears_of(w)) move(*linear);
    for (const auto* norm : norms_of(w)) gpu.keep(*norm);
  }
  gpu.keep(weights.norm);
  move(weights.lm_head);
}

}  // namespace

struct Transformer::Impl {
  Impl(const Checkpoint& checkpoint, const ModelOptions& options)
      : config(parse_config(checkpoint)),
        backend(choose_threads(options.num_threads), options.isa, true),
        gpu(open_gpu(options.device)),
        isa(gpu ? "cuda" : backend.kernels().isa),
        device(gpu ? gpu->name() : "cpu"),
        weights(load_weights(checkpoint, config, parse_dtype(options.dtype), options, backend.pool())),
        kv_format(choose_kv_format(options.kv_dtype, arithmetic_of(weights.lm_head.weight.format))) {
    if (gpu) move_weights(weights, *gpu);
  }

  Config config;
  CpuBackend backend;
  std::unique_ptr<CudaBackend> gpu;  // where the model runs, if anywhere but on the CPU
  std::string isa, device;
  Weights weights;
  KvFormat kv_format;
  RopeTable rope;
  std::shared_ptr<std::byte> workspace;  // of the activations and, on a GPU, the logits
  std::size_t workspace_bytes = 0;
  std::vector<StageTime>* profile = nullptr;

  // The pass that is being put together.
  std::vector<std::int32_t> ids, logit_rows;
  std::vector<PassSlice> slices;

  void add_to_pass(const ForwardSlice& slice, std::int32_t begin, std::int32_t end);
  void clear_pass();
  void extend_tables(KvPool& pool);
  std::shared_ptr<std::byte> allocate(std::size_t bytes, const char* purpose);
  float* reserve_workspace(std::size_t floats);
  void run_on_gpu(const Pass& pass, const KvPool& pool, Rows logits);
  void flush_pass(KvPool& pool, float*& logits);
};

Transformer::Transformer(const Checkpoint& checkpoint, const ModelOptions& options)
    : impl_(std::make_unique<Impl>(checkpoint, options)) {}
Transformer::~Transformer() = default;

const Config& Transformer::config() const { return impl_->config; }
const std::string& Transformer::isa() const { return impl_->isa; }
const std::string& Transformer::device() const { return impl_->device; }
int Transformer::num_threads() const { return impl_->backend.pool().size(); }
ThreadPool& Transformer::threads() { return impl_->backend.pool(); }
Arithmetic Transformer::arithmetic() const { return arithmetic_of(impl_->weights.lm_head.weight.format); }
bool Transformer::sums_in_tiles() const {
  return !impl_->gpu && arithmetic() == Arithmetic::bfloat16 && impl_->backend.sums_in_tiles();
}
PackedCacheUse Transformer::packed_cache_use() const { return impl_->weights.cache_use; }
std::size_t Transformer::weight_bytes() const { return count_weight_bytes(impl_->weights); }

std::uint64_t Transformer::peak_gpu_bytes() const { return impl_->gpu ? impl_->gpu->peak_bytes() : 0; }

std::size_t Transformer::kv_bytes_per_token() const {
  return kv_token_bytes(impl_->config, impl_->config.num_layers, impl_->kv_format);
}

std::shared_ptr<KvPool> Transformer::make_kv_pool(std::int32_t num_blocks) const {
  const Config& c = impl_->config;
  auto pool = std::make_shared<KvPool>(plan_kv_pool(c, c.num_layers, impl_->kv_format, num_blocks));
  pool->memory = impl_->allocate(pool->bytes(), "keys and values");
  return pool;
}

void Transformer::take_pages(KvPool& pool) const {
  if (!impl_->gpu) std::memset(pool.memory.get(), 0, pool.bytes());
}

void Transformer::profile(std::vector<StageTime>* stages) { impl_->profile = stages; }

void Transformer::copy_block(KvPool& pool, std::int32_t from, std::int32_t to) const {
  assert(from >= 0 && from < pool.num_blocks && to >= 0 && to < pool.num_blocks);
  if (impl_->gpu) {
    impl_->gpu->copy(pool.block(to), pool.block(from), pool.block_bytes());
  } else {
    std::memcpy(pool.block(to), pool.block(from), pool.block_bytes());
  }
}

void Transformer::forward(KvPool& pool, std::span<const ForwardSlice> slices, std::span<float> logits) {
  impl_->clear_pass();  // an error may have left one behind
  float* next_logits = logits.data();
  for (const ForwardSlice& slice : slices) {
    const auto num_tokens = static_cast<std::int32_t>(slice.ids.size());
    assert(slice.num_logits >= 0 && slice.num_logits <= num_tokens);
    for (std::int32_t begin = 0; begin < num_tokens;) {
      const std::int32_t room = kMaxPassTokens - static_cast<std::int32_t>(impl_->ids.size());
      const std::int32_t end = std::min(num_tokens, begin + room);
      impl_->add_to_pass(slice, begin, end);
      if (impl_->ids.size() == to_size(kMaxPassTokens)) impl_->flush_pass(pool, next_logits);
      begin = end;
    }
  }
  impl_->flush_pass(pool, next_logits);
  assert(next_logits <= logits.data() + logits.size());
}

/// Adds tokens [begin, end) of a slice.
void Transformer::Impl::add_to_pass(const ForwardSlice& slice, std::int32_t begin, std::int32_t end) {
  const auto first_row = static_cast<std::int32_t>(ids.size());
  const std::int32_t first_position = slice.first_position + begin;
  assert((to_size(slice.first_position + end) + kKvBlockTokens - 1) / kKvBlockTokens <= slice.blocks.size());
  const auto num_tokens = static_cast<std::int32_t>(slice.ids.size());
  for (std::int32_t i = begin; i < end; ++i) {
    const std::int32_t id = slice.ids[to_size(i)];
    assert(id >= 0 && id < config.vocab_size);
    if (i >= num_tokens - slice.num_logits) logit_rows.push_back(static_cast<std::int32_t>(ids.size()));
    ids.push_back(id);
  }
  slices.push_back({first_row, end - begin, first_position, slice.blocks});
}

/// Makes the tables reach to the last position of the pass.
void Transformer::Impl::extend_tables(KvPool& pool) {
  std::int32_t end = 0;
  for (const PassSlice& slice : slices) end = std::max(end, slice.first_position + slice.num_rows);
  extend_rope_table(config.rope_frequencies, end + kKvBlockTokens, rope);
  if (pool.format != KvFormat::int8) return;
  for (std::size_t l = 0; l < weights.layers.size(); ++l) {
    const std::vector<float>& bias = weights.layers[l].k.bias;
    if (!bias.empty()) extend_key_offsets(bias, rope, config.head_dim, end, pool.key_offsets[l]);
  }
}

/// Where the model runs.
std::shared_ptr<std::byte> Transformer::Impl::allocate(std::size_t bytes, const char* purpose) {
  return gpu ? gpu->allocate(bytes, purpose) : allocate_shared(bytes, purpose);
}

float* Transformer::Impl::reserve_workspace(std::size_t floats) {
  const std::size_t bytes = floats * sizeof(float);
  if (bytes > workspace_bytes) {
    workspace_bytes = 0;
    workspace = nullptr;  // given back before more is taken
    workspace = allocate(bytes, "activations");
    workspace_bytes = bytes;
  }
  return reinterpret_cast<float*>(workspace.get());
}

void Transformer::Impl::run_on_gpu(const Pass& pass, const KvPool& pool, Rows logits) {
  const auto num_tokens = static_cast<std::int32_t>(pass.ids.size());
  const std::size_t num_logits = to_size(logits.count) * to_size(logits.width);
  float* floats = reserve_workspace(count_activation_floats(config, num_tokens, logits.count) + num_logits);
  const Rows there{floats, logits.count, logits.width};
  const Activations activations = cut_activations(config, num_tokens, logits.count, floats + num_logits);
  gpu->begin_pass(pass.slices, rope);
  run_pass(*gpu, config, weights, rope, pass, pool, activations, there);
  gpu->read(reinterpret_cast<const std::byte*>(there.data),
            std::as_writable_bytes(std::span(logits.data, num_logits)));
}

/// Runs what has been added, and moves `logits` past those written.
void Transformer::Impl::flush_pass(KvPool& pool, float*& logits) {
  if (ids.empty()) return;
  extend_tables(pool);
  const Rows wanted{logits, static_cast<std::int32_t>(logit_rows.size()), config.vocab_size};
  const Pass pass{ids, slices, logit_rows};
  if (gpu) {
    run_on_gpu(pass, pool, wanted);
  } else {
    const auto num_tokens = static_cast<std::int32_t>(ids.size());
    const Activations activations =
        cut_activations(config, num_tokens, wanted.count,
                        reserve_workspace(count_activation_floats(config, num_tokens, wanted.count)));
    if (profile == nullptr) {
      run_pass(backend, config, weights, rope, pass, pool, activations, wanted);
    } else {
      ProfiledBackend profiled(backend, *profile);
      run_pass(profiled, config, weights, rope, pass, pool, activations, wanted);
    }
  }
  logits += to_size(wanted.count) * to_size(wanted.width);
  clear_pass();
}

void Transformer::Impl::clear_pass() {
  ids.clear();
  slices.clear();
  logit_rows.clear();
}

}  // namespace touchstone
