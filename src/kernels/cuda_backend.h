// The operations of a transformer on an NVIDIA GPU: those of CpuBackend, over the GPU's memory, and with the
// same bits. A build without CUDA has this interface, too, and no device.
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <span>
#include <string>

#include "kernels/cpu_backend.h"

namespace touchstone {

/// The GPUs that this build can use; 0 without CUDA, or without a driver.
int count_cuda_devices();

/// The largest pass that a GPU will be asked for.
struct GpuPassSize {
  std::int32_t tokens = 0, logits = 0, positions = 0;
  AttentionShape attention{};
  std::int32_t hidden_size = 0, intermediate_size = 0, vocab_size = 0;
  bool has_integers = false, has_pairs = false;  // among the formats of weights
};

/// What the operations of such passes take of a GPU's memory, activations and the rotary table not counted.
std::uint64_t plan_gpu_scratch(const GpuPassSize& size);

class CudaBackend {
 public:
  /// Throws Error when there is no such device, saying why.
  explicit CudaBackend(int device);
  ~CudaBackend();
  CudaBackend(const CudaBackend&) = delete;
  CudaBackend& operator=(const CudaBackend&) = delete;

  const std::string& name() const;  // the GPU's
  std::uint64_t free_bytes() const;
  std::uint64_t peak_bytes() const;  // the most that allocate() and the operations have held at once

  // ---- The GPU's memory. Pointers to it are not to be followed here. ----

  /// Zeroed bytes. Throws Error when the memory cannot be had; `purpose` is named in it.
  std::shared_ptr<std::byte> allocate(std::size_t bytes, const char* purpose);
  void write(std::byte* to, std::span<const std::byte> from);
  /// Waits for all operations before. Throws Error if one of them has failed.
  void read(const std::byte* from, std::span<std::byte> to);
  void copy(std::byte* to, const std::byte* from, std::size_t bytes);

  /// Copies numbers that operations read besides activations: norms' weights and biases. They must stay where
  /// they are as long as this is used.
  void keep(std::span<const float> numbers);

  /// Moves a packed matrix into the GPU's memory.
  void move_here(PackedMatrix& matrix, const char* purpose);

  /// To be called before each pass.
  void begin_pass(std::span<const PassSlice> slices, const RopeTable& rope);

  // ---- As CpuBackend has them, Rows and KvLayer in the GPU's memory (Rows::in_bf16_blocks has no meaning
  // here, and neither KvLayer::key_offsets nor a StoredMatrix is there) ----

  void embed(const StoredMatrix& table, std::span<const std::int32_t> ids, Rows x);
  void gather(Rows x, std::span<const std::int32_t> rows, Rows y);
  void rms_norm(Rows x, std::span<const float> weight, float eps, Rows y);
  void project(Rows x, std::initializer_list<Projection> projections);
  void add_projection(Rows x, const Linear& linear, Rows y);
  void gated_projection(Rows x, const Linear& gate, const Linear& up, Rows y);
  /// `slices` and `rope` are those of begin_pass(). To be called for a layer before attend().
  void rotate_and_store(std::span<const PassSlice> slices, const AttentionShape& shape, const RopeTable& rope,
                        std::span<const float> q_norm, std::span<const float> k_norm, Rows q, Rows k, Rows v,
                        const KvLayer& cache);
  void attend(std::span<const PassSlice> slices, const AttentionShape& shape, Rows q, const KvLayer& cache,
              Rows y);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace touchstone
