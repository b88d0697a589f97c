// model/: config, weights, and the transformer's forward pass: token ids -> logits.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/thread_pool.h"
#include "formats/checkpoint.h"

namespace touchstone {

/// The numbers of config.json, under its names.
struct Config {
  std::string model_type;  // "qwen2", "llama", "qwen3"
  std::int32_t hidden_size = 0, intermediate_size = 0, num_layers = 0, num_heads = 0, num_kv_heads = 0,
               head_dim = 0;
  std::int32_t vocab_size = 0, max_position_embeddings = 0;
  double rope_theta = 10000.0;
  float rms_norm_eps = 1e-6F;
  bool tie_word_embeddings = false, attention_bias = false, mlp_bias = false, qk_norm = false,
       rope_interleaved = false;
  std::vector<double>
      rope_frequencies;  // [head_dim / 2] inverse frequencies, llama3 scaling or rope_freqs.weight applied
};

/// Reads either form of config.json. Throws Error for an unknown architecture (naming it and what is
/// supported), a missing or impossible number, or a feature that is not implemented (sliding window in use,
/// another rope_type, …): never a silent fallback.
Config parse_config(const Checkpoint& checkpoint);

inline constexpr std::int32_t kKvBlockTokens = 32;

/// The pool of key/value blocks of all sequences; which block belongs to whom is the engine's business.
/// Keys (after RoPE) and values; the layout is the kernels' (kv_pool.h).
struct KvPool;

/// Tokens of one sequence to run: `ids` stand at positions first_position…; `blocks` lists the sequence's
/// blocks in order and covers first_position + ids.size() tokens. Logits are wanted for the last `num_logits`
/// of them.
struct ForwardSlice {
  std::span<const std::int32_t> ids;
  std::int32_t first_position;
  std::span<const std::int32_t> blocks;
  std::int32_t num_logits;
};

struct ModelOptions {
  int num_threads = 0;          // 0: usable_cores()
  std::string device = "auto";  // cpu, cuda, cuda:N; auto: a GPU if this build can use one
  std::string isa = "auto";     // auto, scalar, avx2, avx512, avx512vnni, avx512bf16, amx
  // auto: as stored; f32: widened; f16: rounded; bf16: rounded, activations, too; int8, int4: rounded,
  // activations to int8.
  std::string dtype = "auto";
  // Of keys and values: f32, f16, bf16, int8; auto: f32, and f16 where activations are rounded.
  std::string kv_dtype = "auto";
  bool packed_cache = true;                       // keep packed weights on disk for the next start
  std::uint64_t least_cached_bytes = 32'000'000;  // fewer are packed faster than one notices
};

/// Throws Error for a dtype, or kv_dtype, that ModelOptions does not name.
void check_dtypes(const ModelOptions& options);

enum class Arithmetic : std::uint8_t { float32, bfloat16, int8 };

/// The time that a stage of forward() has taken, all layers together.
struct StageTime {
  std::string_view name;
  double seconds = 0;
  double weight_bytes = 0;  // read
  double operations = 0;    // of products with weights: two for each product and its sum
};

/// Whether weights came from the disk packed (hit) or were packed (miss); off: the cache was not to be used,
/// or weights are too few, or no files.
enum class PackedCacheUse : std::uint8_t { off, miss, hit };

/// What ModelOptions::num_threads comes to.
int choose_threads(int requested);

/// The GPU that ModelOptions::device comes to; none: the CPU. Throws Error for another name.
std::optional<int> choose_gpu(const std::string& device);

/// What a GPU has left. Throws Error when there is no such one.
std::uint64_t free_gpu_bytes(int gpu);

/// A model ready to run on one device.
class Transformer {
 public:
  /// Packs the weights, or takes them packed from the disk. The checkpoint is not needed afterwards (its
  /// mapped files stay open for the embedding). Throws Error for missing or misshapen tensors.
  Transformer(const Checkpoint& checkpoint, const ModelOptions& options);
  ~Transformer();

  const Config& config() const;
  const std::string& isa() const;     // of the kernels; on a GPU "cuda"
  const std::string& device() const;  // "cpu", or the GPU's name
  int num_threads() const;
  /// The threads that run forward(): between two passes the same caller may use them.
  ThreadPool& threads();
  Arithmetic arithmetic() const;  // of products with weights
  /// Products are summed in an order of the instruction set's own: its bits are not those of others.
  bool sums_in_tiles() const;
  PackedCacheUse packed_cache_use() const;
  std::size_t weight_bytes() const;  // packed: what one decode step reads
  std::size_t kv_bytes_per_token() const;
  std::uint64_t peak_gpu_bytes() const;  // the most that it has held of a GPU's memory at once

  /// Allocates a pool of `num_blocks` blocks. Throws Error when the memory cannot be had.
  std::shared_ptr<KvPool> make_kv_pool(std::int32_t num_blocks) const;

  /// Takes a fresh pool's pages from the system, which otherwise gives each when it is first written to.
  void take_pages(KvPool& pool) const;

  /// Runs the slices in one pass; logits: [sum of num_logits, vocab_size], in the order of the slices. The
  /// same sequence gives the same bits however it is cut into slices and whatever runs beside it. One caller
  /// at a time.
  void forward(KvPool& pool, std::span<const ForwardSlice> slices, std::span<float> logits);

  /// From now on adds up in `stages` what each stage of forward() takes; no longer when null. Not on a GPU,
  /// which is given a stage before it is done with the one before.
  void profile(std::vector<StageTime>* stages);

  /// Copies a block's contents (when sequences that share it part).
  void copy_block(KvPool& pool, std::int32_t from, std::int32_t to) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace touchstone
