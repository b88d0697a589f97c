#include "kernels/cuda_backend.h"

#include <algorithm>
#include <atomic>
#include <cassert>
#include <cmath>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/to_size.h"
#include "kernels/cuda/attention.h"
#include "kernels/cuda/device.h"
#include "kernels/cuda/products.h"
#include "kernels/cuda/rows.h"

namespace touchstone {
namespace {

/// Tokens that a thread computes an output for.
constexpr int kTileTokens = 8;

/// With fewer items than this, and few tokens, the blocks of inputs are summed up side by side.
constexpr std::int64_t kEnoughItems = 65'536;
constexpr std::int32_t kFewTokens = 64;

/// Softmax of more queries than this takes goes in several rounds.
constexpr std::int64_t kMostSoftmaxFloats = std::int64_t{1} << 25;

constexpr std::int64_t kSoftmaxFloatsPerBlock = kKeysPerBlock + 3;  // see cuda::Softmax

std::int64_t count_queries_at_once(std::int64_t all, std::int64_t most_blocks) {
  return std::clamp<std::int64_t>(kMostSoftmaxFloats / (most_blocks * kSoftmaxFloatsPerBlock), 1, all);
}

/// Room for some more blocks, so that not each new one asks for other memory.
std::int64_t count_softmax_floats(std::int64_t queries, std::int64_t most_blocks) {
  constexpr std::int64_t kBlocksAtATime = 16;
  const std::int64_t blocks = (most_blocks + kBlocksAtATime - 1) / kBlocksAtATime * kBlocksAtATime;
  return count_queries_at_once(queries, most_blocks) * blocks * kSoftmaxFloatsPerBlock;
}

std::int64_t count_tiles(std::int32_t num_tokens) {
  return num_tokens == 1 ? 1 : (num_tokens + kTileTokens - 1) / kTileTokens;
}

/// Whether outputs are too few to be each the work of one thread.
bool sums_blocks_apart(std::int32_t num_outputs, std::int64_t num_blocks, std::int32_t num_tokens) {
  return count_tiles(num_tokens) * num_outputs < kEnoughItems && num_tokens <= kFewTokens && num_blocks > 1;
}

std::int64_t count_numbers(Rows x) { return std::int64_t{x.count} * x.width; }

cuda::FloatRows as_inputs(Rows x) { return {x.data, x.width}; }

/// Of the GPU's memory. Whoever has some gives it back on a thread of his own.
struct HeldBytes {
  std::atomic<std::uint64_t> now = 0, most = 0;
};

/// Memory that grows as needed.
struct Scratch {
  std::shared_ptr<std::byte> memory;
  std::size_t bytes = 0;
};

}  // namespace

struct CudaBackend::Impl {
  int device = 0;
  std::string name;
  std::shared_ptr<HeldBytes> held = std::make_shared<HeldBytes>();
  std::unordered_map<const float*, std::shared_ptr<std::byte>> kept;  // by where they lie on the host

  // The pass.
  Scratch places, blocks;
  std::int32_t most_blocks = 0;  // of a sequence
  Scratch cos, sin;
  std::int32_t rope_positions = 0;

  Scratch lanes, row_numbers, sums, more_sums, block_sums, key_offsets, softmax;
  // The activations that are being multiplied, as the weights' formats want them.
  Scratch rounded, int_values, int_scales, int_inverses, int_sums;

  std::shared_ptr<std::byte> allocate(std::size_t bytes, const char* purpose);
  template <class T>
  T* reserve(Scratch& scratch, std::int64_t count);
  template <class T>
  const T* upload(Scratch& scratch, std::span<const T> numbers);
  const float* find_kept(std::span<const float> numbers) const;
  void norm_rows(const float* x, std::int64_t num_rows, std::int32_t width, std::span<const float> weight,
                 float eps, float* y);
  cuda::QuantizedRows quantized(Rows x);
  float* rounded_rows(Rows x);
  void prepare(Rows x, std::span<const Linear* const> linears);
  template <class Product>
  void run_product(const Product& product, const cuda::ProductShape& shape, float* to, std::int64_t stride);
  void multiply(const PackedMatrix& weight, Rows x, float* to, std::int64_t stride);
  void finish_heads(Rows x, std::int32_t head_dim, std::span<const float> norm, float eps);
  const float* upload_key_offsets(const KvLayer& cache, const AttentionShape& shape);
};

std::uint64_t plan_gpu_scratch(const GpuPassSize& size) {
  const AttentionShape& heads = size.attention;
  const std::uint64_t tokens = to_size(size.tokens);
  const std::int32_t q_size = heads.num_heads * heads.head_dim;
  const std::int32_t widest = std::max({size.hidden_size, size.intermediate_size, q_size});
  const std::int64_t blocks = (size.positions - 1) / kKeysPerBlock + 1;

  const std::uint64_t sums = 2 * tokens * to_size(size.intermediate_size) * sizeof(float);
  std::uint64_t block_sums = 0;
  for (const auto& [outputs, inputs] : {std::pair(q_size, size.hidden_size),
                                        {size.hidden_size, q_size},
                                        {size.intermediate_size, size.hidden_size},
                                        {size.hidden_size, size.intermediate_size},
                                        {size.vocab_size, size.hidden_size}}) {
    const std::int64_t num_blocks = cuda::count_blocks(inputs);
    const std::int32_t most_rows = outputs == size.vocab_size ? size.logits : size.tokens;
    for (std::int32_t n = 1; n <= std::min(most_rows, kFewTokens); ++n) {
      if (!sums_blocks_apart(outputs, num_blocks, n)) continue;
      block_sums = std::max<std::uint64_t>(block_sums, static_cast<std::uint64_t>(num_blocks * outputs * n));
    }
  }
  const std::int64_t queries = std::int64_t{size.tokens} * heads.num_heads;
  const std::int64_t softmax = count_softmax_floats(queries, blocks);
  std::uint64_t integers = 0;
  if (size.has_integers) {
    constexpr std::uint64_t kGroupBytes =
        kIntGroup + 2 * sizeof(float) + cuda::kGroupParts * sizeof(std::int32_t);
    integers = tokens * to_size(cuda::count_blocks(widest)) * kGroupBytes;
  }
  const std::uint64_t rounded = size.has_pairs ? tokens * to_size(widest) * sizeof(float) : 0;
  const std::uint64_t lanes = tokens * kLanes * sizeof(float);
  const std::uint64_t places = tokens * (sizeof(cuda::Place) + sizeof(std::int32_t));
  return sums + block_sums * sizeof(cuda::BlockSum) + static_cast<std::uint64_t>(softmax) * sizeof(float) +
         integers + rounded + lanes + places;
}

int count_cuda_devices() { return cuda::count_devices(); }

CudaBackend::CudaBackend(int device) : impl_(std::make_unique<Impl>()) {
  if (const int count = cuda::count_devices(); device >= count && count > 0) {
    throw Error("there is no GPU " + std::to_string(device),
                "the last one is cuda:" + std::to_string(count - 1));
  }
  cuda::use_device(device);  // says why where there is none
  impl_->device = device;
  impl_->name = cuda::device_name(device);
}

CudaBackend::~CudaBackend() = default;

const std::string& CudaBackend::name() const { return impl_->name; }

std::uint64_t CudaBackend::free_bytes() const {
  cuda::use_device(impl_->device);
  return cuda::free_bytes();
}

std::uint64_t CudaBackend::peak_bytes() const { return impl_->held->most; }

// ---- Memory ----

std::shared_ptr<std::byte> CudaBackend::Impl::allocate(std::size_t bytes, const char* purpose) {
  cuda::use_device(device);
  void* memory = cuda::allocate(std::max<std::size_t>(bytes, 1));
  if (memory == nullptr) {
    throw Error("the GPU has no " + std::to_string(bytes / 1'000'000) + " MB left for " + purpose,
                "use fewer bits (--dtype int8), a shorter --ctx, or --device cpu");
  }
  held->now += bytes;
  held->most = std::max<std::uint64_t>(held->most, held->now);
  return {static_cast<std::byte*>(memory), [device = device, counts = held, bytes](std::byte* p) {
            cuda::release(device, p);
            counts->now -= bytes;
          }};
}

template <class T>
T* CudaBackend::Impl::reserve(Scratch& scratch, std::int64_t count) {
  const std::size_t bytes = static_cast<std::size_t>(count) * sizeof(T);
  if (bytes > scratch.bytes) {
    scratch = {};  // given back before more is taken
    scratch = {allocate(bytes, "activations"), bytes};
  }
  return reinterpret_cast<T*>(scratch.memory.get());
}

template <class T>
const T* CudaBackend::Impl::upload(Scratch& scratch, std::span<const T> numbers) {
  T* to = reserve<T>(scratch, static_cast<std::int64_t>(numbers.size()));
  cuda::write(to, numbers.data(), numbers.size_bytes());
  return to;
}

std::shared_ptr<std::byte> CudaBackend::allocate(std::size_t bytes, const char* purpose) {
  return impl_->allocate(bytes, purpose);
}

void CudaBackend::write(std::byte* to, std::span<const std::byte> from) {
  cuda::use_device(impl_->device);
  cuda::write(to, from.data(), from.size());
}

void CudaBackend::read(const std::byte* from, std::span<std::byte> to) {
  cuda::use_device(impl_->device);
  cuda::read(to.data(), from, to.size());
}

void CudaBackend::copy(std::byte* to, const std::byte* from, std::size_t bytes) {
  cuda::use_device(impl_->device);
  cuda::copy(to, from, bytes);
}

void CudaBackend::keep(std::span<const float> numbers) {
  if (numbers.empty()) return;
  std::shared_ptr<std::byte> memory = allocate(numbers.size_bytes(), "weights");
  write(memory.get(), std::as_bytes(numbers));
  impl_->kept[numbers.data()] = std::move(memory);
}

/// Null for none.
const float* CudaBackend::Impl::find_kept(std::span<const float> numbers) const {
  if (numbers.empty()) return nullptr;
  const auto found = kept.find(numbers.data());
  assert(found != kept.end());
  return reinterpret_cast<const float*>(found->second.get());
}

void CudaBackend::move_here(PackedMatrix& matrix, const char* purpose) {
  std::shared_ptr<std::byte> memory = allocate(matrix.bytes(), purpose);
  write(memory.get(), matrix.panels.first(matrix.bytes()));
  matrix.panels = {memory.get(), matrix.bytes()};
  matrix.owner = std::move(memory);
}

void CudaBackend::begin_pass(std::span<const PassSlice> slices, const RopeTable& rope) {
  cuda::use_device(impl_->device);
  std::vector<cuda::Place> places;
  std::vector<std::int32_t> blocks;
  impl_->most_blocks = 0;
  for (const PassSlice& slice : slices) {
    assert(to_size(slice.first_row) == places.size());
    const auto first_block = static_cast<std::int32_t>(blocks.size());
    for (std::int32_t i = 0; i < slice.num_rows; ++i)
      places.push_back({slice.first_position + i, first_block});
    const std::int32_t num_blocks = (slice.first_position + slice.num_rows - 1) / kKeysPerBlock + 1;
    const auto used = slice.blocks.first(to_size(num_blocks));
    blocks.insert(blocks.end(), used.begin(), used.end());
    impl_->most_blocks = std::max(impl_->most_blocks, num_blocks);
  }
  impl_->upload<cuda::Place>(impl_->places, places);
  impl_->upload<std::int32_t>(impl_->blocks, blocks);
  if (impl_->rope_positions < rope.num_positions) {
    impl_->upload<float>(impl_->cos, rope.cos);
    impl_->upload<float>(impl_->sin, rope.sin);
    impl_->rope_positions = rope.num_positions;
  }
}

// ---- Rows ----

void CudaBackend::embed(const StoredMatrix& table, std::span<const std::int32_t> ids, Rows x) {
  const std::size_t width = to_size(x.width);
  std::vector<float> rows(to_size(x.count) * width);
  for (std::size_t i = 0; i < to_size(x.count); ++i)
    read_row(table, ids[i], std::span(rows).subspan(i * width, width));
  write(reinterpret_cast<std::byte*>(x.data), std::as_bytes(std::span(rows)));
}

void CudaBackend::gather(Rows x, std::span<const std::int32_t> rows, Rows y) {
  const std::int32_t* numbers = impl_->upload<std::int32_t>(impl_->row_numbers, rows);
  cuda::launch(count_numbers(y), cuda::Gather{x.data, numbers, x.width, y.data});
}

void CudaBackend::Impl::norm_rows(const float* x, std::int64_t num_rows, std::int32_t width,
                                  std::span<const float> weight, float eps, float* y) {
  auto* squares = reserve<float>(lanes, num_rows * kLanes);
  cuda::launch(num_rows * kLanes, cuda::SumSquares{x, width, squares});
  cuda::launch(num_rows * width, cuda::Normalize{x, squares, find_kept(weight), width, eps, y});
}

void CudaBackend::rms_norm(Rows x, std::span<const float> weight, float eps, Rows y) {
  impl_->norm_rows(x.data, x.count, x.width, weight, eps, y.data);
}

// ---- Products ----

/// Where prepare() puts x in integers.
cuda::QuantizedRows CudaBackend::Impl::quantized(Rows x) {
  const std::int64_t groups_each = cuda::count_blocks(x.width);
  const std::int64_t groups = x.count * groups_each;
  return {.q = reserve<std::int8_t>(int_values, groups * kIntGroup),
          .scales = reserve<float>(int_scales, groups),
          .inverses = reserve<float>(int_inverses, groups),
          .sums = reserve<std::int32_t>(int_sums, groups * cuda::kGroupParts),
          .num_groups = groups_each};
}

/// Likewise, rounded to bfloat16.
float* CudaBackend::Impl::rounded_rows(Rows x) { return reserve<float>(rounded, count_numbers(x)); }

/// Brings x into the forms in which the linears' products read it.
void CudaBackend::Impl::prepare(Rows x, std::span<const Linear* const> linears) {
  bool integers = false, pairs = false;
  for (const Linear* linear : linears) {
    integers = integers || is_integer(linear->weight.format);
    pairs = pairs || linear->weight.format == PanelFormat::bf16_pairs;
  }
  if (integers) {
    const cuda::QuantizedRows to = quantized(x);
    const std::int64_t groups = x.count * to.num_groups;
    cuda::launch(groups, cuda::FindScales{as_inputs(x), x.width, to});
    cuda::launch(groups * cuda::kGroupParts, cuda::RoundToInts{as_inputs(x), x.width, to});
  }
  if (pairs) cuda::launch(count_numbers(x), cuda::RoundToBfloat16{x.data, rounded_rows(x)});
}

template <class Product>
void CudaBackend::Impl::run_product(const Product& product, const cuda::ProductShape& shape, float* to,
                                    std::int64_t stride) {
  const auto run = [&]<int kTokens>(std::integral_constant<int, kTokens>) {
    const auto num_tiles = static_cast<std::int32_t>(count_tiles(shape.num_tokens));
    const std::int64_t items = std::int64_t{num_tiles} * shape.num_outputs;
    const std::int32_t num_blocks = cuda::count_blocks(shape.num_inputs);
    if (!sums_blocks_apart(shape.num_outputs, num_blocks, shape.num_tokens)) {
      cuda::launch(items, cuda::Multiply<Product, kTokens>{product, shape, to, stride});
      return;
    }
    const std::int64_t outputs = std::int64_t{shape.num_tokens} * shape.num_outputs;
    auto* of_blocks = reserve<cuda::BlockSum>(block_sums, num_blocks * outputs);
    cuda::launch(num_blocks * items,
                 cuda::MultiplyBlocks<Product, kTokens>{product, shape, num_tiles, of_blocks});
    cuda::launch(outputs,
                 cuda::AddBlocks{of_blocks, num_blocks, shape.num_tokens, shape.num_outputs, to, stride});
  };
  if (shape.num_tokens == 1) {
    run(std::integral_constant<int, 1>{});
  } else {
    run(std::integral_constant<int, kTileTokens>{});
  }
}

/// Writes x W^T, without bias; for which prepare() has been called.
void CudaBackend::Impl::multiply(const PackedMatrix& weight, Rows x, float* to, std::int64_t stride) {
  const cuda::ProductShape shape{.panels = reinterpret_cast<const std::uint8_t*>(weight.panels.data()),
                                 .panel_bytes = static_cast<std::int64_t>(weight.panel_bytes),
                                 .num_outputs = weight.rows,
                                 .num_inputs = weight.columns,
                                 .num_tokens = x.count};
  const auto with_floats = [&]<class Panel>(Panel) {
    run_product(cuda::FloatProduct<Panel>{as_inputs(x)}, shape, to, stride);
  };
  const auto with_ints = [&]<class Panel>(Panel) {
    run_product(cuda::IntProduct<Panel>{quantized(x)}, shape, to, stride);
  };
  switch (weight.format) {
    case PanelFormat::f32:
      return with_floats(cuda::FloatPanel<PanelFormat::f32>{});
    case PanelFormat::bf16:
      return with_floats(cuda::FloatPanel<PanelFormat::bf16>{});
    case PanelFormat::f16:
      return with_floats(cuda::FloatPanel<PanelFormat::f16>{});
    case PanelFormat::q8_half:
      return with_floats(cuda::BytePanel<32, true, false>{});
    case PanelFormat::q8_half_with_mins:
      return with_floats(cuda::BytePanel<32, true, true>{});
    case PanelFormat::q8_with_mins:
      return with_floats(cuda::BytePanel<32, false, true>{});
    case PanelFormat::q8_group16:
      return with_floats(cuda::BytePanel<16, false, false>{});
    case PanelFormat::bf16_pairs:
      return run_product(cuda::PairProduct{{rounded_rows(x), x.width}}, shape, to, stride);
    case PanelFormat::int8:
      return with_ints(cuda::Int8Panel{});
    case PanelFormat::int6:
      return with_ints(cuda::Int6Panel{});
    case PanelFormat::int4:
      return with_ints(cuda::Int4Panel{});
  }
}

void CudaBackend::project(Rows x, std::initializer_list<Projection> projections) {
  std::vector<const Linear*> linears;
  for (const Projection& projection : projections) linears.push_back(projection.linear);
  impl_->prepare(x, linears);
  for (const auto& [linear, y] : projections) {
    impl_->multiply(linear->weight, x, y.data, y.width);
    const float* bias = impl_->find_kept(linear->bias);
    if (bias == nullptr) continue;
    const std::int32_t outputs = linear->weight.rows;
    cuda::launch(std::int64_t{y.count} * outputs, cuda::AddBias{bias, outputs, y.data, y.width});
  }
}

void CudaBackend::add_projection(Rows x, const Linear& linear, Rows y) {
  const Linear* linears[] = {&linear};
  impl_->prepare(x, linears);
  const std::int32_t outputs = linear.weight.rows;
  const std::int64_t count = std::int64_t{y.count} * outputs;
  auto* sums = impl_->reserve<float>(impl_->sums, count);
  impl_->multiply(linear.weight, x, sums, outputs);
  cuda::launch(count, cuda::AddSums{sums, impl_->find_kept(linear.bias), outputs, y.data, y.width});
}

void CudaBackend::gated_projection(Rows x, const Linear& gate, const Linear& up, Rows y) {
  const Linear* linears[] = {&gate, &up};
  impl_->prepare(x, linears);
  const std::int32_t outputs = gate.weight.rows;
  const std::int64_t count = std::int64_t{y.count} * outputs;
  auto* gates = impl_->reserve<float>(impl_->sums, count);
  auto* ups = impl_->reserve<float>(impl_->more_sums, count);
  impl_->multiply(gate.weight, x, gates, outputs);
  impl_->multiply(up.weight, x, ups, outputs);
  cuda::launch(count, cuda::Gate{gates, impl_->find_kept(gate.bias), ups, impl_->find_kept(up.bias), outputs,
                                 y.data, y.width});
}

// ---- Attention ----

namespace {

template <KvFormat kFormat>
cuda::Stored<kFormat> stored_keys(const KvLayer& cache, std::int32_t head_dim) {
  return {.data = reinterpret_cast<std::uint8_t*>(cache.keys),
          .block_bytes = static_cast<std::int64_t>(cache.block_bytes),
          .head_bytes = static_cast<std::int64_t>(cache.head_bytes),
          .head_dim = head_dim,
          .numbers = head_dim * kKeysPerBlock,
          .number_step = kKeysPerBlock,
          .token_step = 1};
}

template <KvFormat kFormat>
cuda::Stored<kFormat> stored_values(const KvLayer& cache, std::int32_t head_dim) {
  const std::int32_t padded_dim = (head_dim + kLanes - 1) / kLanes * kLanes;
  cuda::Stored<kFormat> values = stored_keys<kFormat>(cache, head_dim);
  values.data = reinterpret_cast<std::uint8_t*>(cache.values);
  values.numbers = padded_dim * kKeysPerBlock;
  values.number_step = 1;
  values.token_step = padded_dim;
  return values;
}

/// Calls run<kFormat>().
template <class Run>
void with_format(KvFormat format, const Run& run) {
  switch (format) {
    case KvFormat::f32:
      return run.template operator()<KvFormat::f32>();
    case KvFormat::f16:
      return run.template operator()<KvFormat::f16>();
    case KvFormat::bf16:
      return run.template operator()<KvFormat::bf16>();
    case KvFormat::int8:
      return run.template operator()<KvFormat::int8>();
  }
}

}  // namespace

/// Null for none.
const float* CudaBackend::Impl::upload_key_offsets(const KvLayer& cache, const AttentionShape& shape) {
  if (cache.key_offsets == nullptr) return nullptr;
  const std::size_t count = to_size(most_blocks) * to_size(shape.num_kv_heads * shape.head_dim);
  return upload<float>(key_offsets, {cache.key_offsets, count});
}

/// Norms, if there is a weight, and rotates the heads of x.
void CudaBackend::Impl::finish_heads(Rows x, std::int32_t head_dim, std::span<const float> norm, float eps) {
  const std::int32_t num_heads = x.width / head_dim;
  const std::int64_t heads = std::int64_t{x.count} * num_heads;
  if (!norm.empty()) norm_rows(x.data, heads, head_dim, norm, eps, x.data);
  cuda::launch(heads * (head_dim / 2),
               cuda::Rotate{.x = x.data,
                            .num_heads = num_heads,
                            .half = head_dim / 2,
                            .places = reinterpret_cast<const cuda::Place*>(places.memory.get()),
                            .cos = reinterpret_cast<const float*>(cos.memory.get()),
                            .sin = reinterpret_cast<const float*>(sin.memory.get())});
}

void CudaBackend::rotate_and_store(std::span<const PassSlice>, const AttentionShape& shape, const RopeTable&,
                                   std::span<const float> q_norm, std::span<const float> k_norm, Rows q,
                                   Rows k, Rows v, const KvLayer& cache) {
  impl_->finish_heads(q, shape.head_dim, q_norm, shape.eps);
  impl_->finish_heads(k, shape.head_dim, k_norm, shape.eps);
  const float* offsets = impl_->upload_key_offsets(cache, shape);
  const auto* places = reinterpret_cast<const cuda::Place*>(impl_->places.memory.get());
  const auto* blocks = reinterpret_cast<const std::int32_t*>(impl_->blocks.memory.get());
  with_format(cache.format, [&]<KvFormat kFormat>() {
    cuda::launch(count_numbers(k), cuda::Store<kFormat>{k.data, stored_keys<kFormat>(cache, shape.head_dim),
                                                        shape.num_kv_heads, places, blocks, offsets});
    cuda::launch(count_numbers(v), cuda::Store<kFormat>{v.data, stored_values<kFormat>(cache, shape.head_dim),
                                                        shape.num_kv_heads, places, blocks, nullptr});
  });
}

void CudaBackend::attend(std::span<const PassSlice>, const AttentionShape& shape, Rows q,
                         const KvLayer& cache, Rows y) {
  const std::int64_t blocks = impl_->most_blocks;
  const std::int64_t all = std::int64_t{q.count} * shape.num_heads;
  const std::int64_t at_once = count_queries_at_once(all, blocks);
  auto* floats = impl_->reserve<float>(impl_->softmax, count_softmax_floats(all, blocks));
  const cuda::Softmax softmax{.scores = floats,
                              .maxima = floats + at_once * blocks * kKeysPerBlock,
                              .totals = floats + at_once * blocks * (kKeysPerBlock + 1),
                              .factors = floats + at_once * blocks * (kKeysPerBlock + 2)};
  const auto* offsets = cache.key_offsets == nullptr
                            ? nullptr
                            : reinterpret_cast<const float*>(impl_->key_offsets.memory.get());
  cuda::Queries queries{.q = q.data,
                        .first = 0,
                        .num_heads = shape.num_heads,
                        .group = shape.num_heads / shape.num_kv_heads,
                        .most_blocks = impl_->most_blocks,
                        .places = reinterpret_cast<const cuda::Place*>(impl_->places.memory.get()),
                        .blocks = reinterpret_cast<const std::int32_t*>(impl_->blocks.memory.get())};
  const float scale = 1.0F / std::sqrt(static_cast<float>(shape.head_dim));
  for (; queries.first < all; queries.first += at_once) {
    const std::int64_t count = std::min(at_once, all - queries.first);
    with_format(cache.format, [&]<KvFormat kFormat>() {
      const cuda::Stored<kFormat> keys = stored_keys<kFormat>(cache, shape.head_dim);
      const cuda::Stored<kFormat> values = stored_values<kFormat>(cache, shape.head_dim);
      cuda::launch(count * blocks * kKeysPerBlock,
                   cuda::Score<kFormat>{queries, keys, offsets, scale, softmax});
      cuda::launch(count * blocks, cuda::FindMaxima{queries, softmax});
      cuda::launch(count * blocks, cuda::Soften{queries, softmax});
      cuda::launch(count * shape.head_dim, cuda::Weigh<kFormat>{queries, values, softmax, y.data});
    });
  }
}

}  // namespace touchstone
