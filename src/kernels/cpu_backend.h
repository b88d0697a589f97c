// The operations of a transformer on the CPU. The forward pass (model/forward.h) is written against this
// interface; another device provides the same functions over its own memory.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <span>
#include <string_view>
#include <vector>

#include "base/thread_pool.h"
#include "kernels/buffer.h"
#include "kernels/kernels.h"

namespace touchstone {

/// Activations: [count, width], one token a row.
struct Rows {
  float* data = nullptr;
  std::int32_t count = 0, width = 0;
  // Instead of rows, data holds bfloat16, [width / kSumBlock, count, kSumBlock].
  bool in_bf16_blocks = false;

  float* row(std::int32_t i) const {
    return data + static_cast<std::size_t>(i) * static_cast<std::size_t>(width);
  }
};

/// y = x W^T + bias.
struct Linear {
  PackedMatrix weight;
  std::vector<float> bias;  // [rows] or empty
};

struct Projection {
  const Linear* linear;
  Rows y;
};

/// x in the form in which the product with `linear` reads it, where gated_projection() can write that.
Rows as_input_of(const Linear& linear, Rows x);

/// Tokens of one sequence in a pass: rows first_row… of all activations stand at positions first_position….
struct PassSlice {
  std::int32_t first_row, num_rows, first_position;
  std::span<const std::int32_t> blocks;  // the sequence's KV blocks in order
};

/// One layer's keys and values, in `format`. Block b, head h: keys + b * block_bytes + h * head_bytes, as
/// AttentionTile has them; values likewise.
struct KvLayer {
  KvFormat format;
  std::byte* keys;
  std::byte* values;
  std::size_t block_bytes, head_bytes;
  const float*
      key_offsets;  // [block of positions, num_kv_heads * head_dim]; see extend_key_offsets(); or null
};

/// Bytes of one head's keys, or values, in a block.
std::size_t kv_head_bytes(KvFormat format, std::int32_t head_dim);

struct AttentionShape {
  std::int32_t num_heads, num_kv_heads, head_dim;
  float eps;  // of the norms of q and k
};

/// Rotary embedding: cos and sin of every position's angles, [num_positions, head_dim / 2] each.
struct RopeTable {
  std::vector<float> cos, sin;
  std::int32_t num_positions = 0;
};

/// Makes the table reach to `num_positions` at least. Angles are float32 products of position and inverse
/// frequency, as in Hugging Face Transformers: what models were trained with.
void extend_rope_table(std::span<const double> inverse_frequencies, std::int32_t num_positions,
                       RopeTable& table);

/// Keys of Qwen2 carry a bias that dwarfs what tells them apart, and it turns with the position: too much for
/// 8 bits. So they are stored less that bias as it stands in the middle of their block of positions. What
/// is left of it is small, as large biases are found where rotation is slow. Makes `offsets`, [block of
/// positions, num_kv_heads * head_dim], reach to `num_positions`, which `rope` covers with a block more.
void extend_key_offsets(std::span<const float> key_bias, const RopeTable& rope, std::int32_t head_dim,
                        std::int32_t num_positions, std::vector<float>& offsets);

class CpuBackend {
 public:
  /// Throws Error for an instruction set that is not there. With may_sum_in_tiles, products of bfloat16 are
  /// those of KernelTable::multiply_pairs_in_tiles where the instruction set has them.
  CpuBackend(int num_threads, std::string_view isa, bool may_sum_in_tiles = false);

  ThreadPool& pool() { return pool_; }
  const KernelTable& kernels() const { return kernels_; }
  bool sums_in_tiles() const { return sums_in_tiles_; }

  /// x = rows `ids` of the table.
  void embed(const StoredMatrix& table, std::span<const std::int32_t> ids, Rows x);

  /// y = the given rows of x.
  void gather(Rows x, std::span<const std::int32_t> rows, Rows y);

  /// y = x / rms(x) * weight, row by row.
  void rms_norm(Rows x, std::span<const float> weight, float eps, Rows y);

  /// Several products of the same x.
  void project(Rows x, std::initializer_list<Projection> projections);

  /// y += x W^T + bias. Rows of y may be wider than the output, and those of x than the input.
  void add_projection(Rows x, const Linear& linear, Rows y);

  /// y = silu(x G^T) * (x U^T).
  void gated_projection(Rows x, const Linear& gate, const Linear& up, Rows y);

  /// Norms q's and k's heads (where weights are given), rotates them by their positions, and stores keys and
  /// values in their slots.
  void rotate_and_store(std::span<const PassSlice> slices, const AttentionShape& shape, const RopeTable& rope,
                        std::span<const float> q_norm, std::span<const float> k_norm, Rows q, Rows k, Rows v,
                        const KvLayer& cache);

  /// y = causal attention of q over the sequences' keys and values so far.
  void attend(std::span<const PassSlice> slices, const AttentionShape& shape, Rows q, const KvLayer& cache,
              Rows y);

 private:
  struct ThreadScratch {
    Buffer tile;       // multiply's widened weights
    Buffer sums;       // [2, kMaxTokens, kSumStride]: the second half for `up` beside `gate`, or more panels
    Buffer attention;  // grows with head_dim
  };
  /// Rows of one KV head's queries: token by token, in each the heads that share the KV head.
  struct AttentionItem {
    std::int32_t slice, kv_head, first_row, num_rows;
  };
  /// Rows of a slice whose keys and values go into one block.
  struct StoreItem {
    std::int32_t slice, begin, end;
  };
  /// Outputs and tokens that a thread works on at a time.
  struct Piece {
    std::int32_t first_panel, num_panels, first_token, num_tokens;
  };
  /// Panels and tokens of the pieces that a product is cut into, and how many of them a thread takes as one.
  struct Cut {
    std::int32_t panels_each, tokens_each, longest_run;
  };

  void quantize(Rows x);
  void round_to_bf16(Rows x);
  IntRows int_rows(Rows x, std::int32_t first_row) const;
  const std::uint16_t* bf16_rows(Rows x, std::int32_t first_row) const;
  void plan_stores(std::span<const PassSlice> slices);
  void plan_attention(std::span<const PassSlice> slices, const AttentionShape& shape);
  void attend_rows(const AttentionItem& item, const PassSlice& slice, const AttentionShape& shape, Rows q,
                   const KvLayer& cache, Rows y, float* scratch) const;
  template <class Visit>
  static void for_each_half(const Linear& linear, const Piece& piece, float* sums, const Visit& visit);
  void multiply_piece(const Linear& linear, Rows x, const Piece& piece, const Buffer& tile, float* sums);
  Cut choose_cut(Rows x, std::int32_t all_panels, bool pairs, std::int32_t max_panels) const;
  template <class Finish>
  void for_each_piece(Rows x, std::span<const Linear* const> linears, std::int32_t max_panels,
                      const Finish& finish);

  ThreadPool pool_;
  const KernelTable& kernels_;
  const bool sums_in_tiles_;
  std::vector<ThreadScratch> scratch_;
  std::vector<StoreItem> store_items_;
  std::vector<AttentionItem> attention_items_;
  // The activations that are being multiplied, where weights are integers, or (the first) bfloat16.
  Buffer int_values_, int_scales_, int_sums_;
};

}  // namespace touchstone
