// Where a pass's time goes: a back end that passes everything on to another one, and takes the time.
#pragma once

#include <chrono>
#include <initializer_list>
#include <span>
#include <string_view>
#include <vector>

#include "kernels/cpu_backend.h"
#include "model/transformer.h"

namespace touchstone {

class ProfiledBackend {
 public:
  ProfiledBackend(CpuBackend& backend, std::vector<StageTime>& stages) : on_(backend), stages_(stages) {}

  void embed(const StoredMatrix& table, std::span<const std::int32_t> ids, Rows x) {
    time("embedding", {}, x.count, [&] { on_.embed(table, ids, x); });
  }
  void gather(Rows x, std::span<const std::int32_t> rows, Rows y) {
    time("embedding", {}, y.count, [&] { on_.gather(x, rows, y); });
  }
  void rms_norm(Rows x, std::span<const float> weight, float eps, Rows y) {
    time("norms", {}, x.count, [&] { on_.rms_norm(x, weight, eps, y); });
  }
  void project(Rows x, std::initializer_list<Projection> projections) {
    std::vector<const Linear*> linears;
    for (const Projection& projection : projections) linears.push_back(projection.linear);
    time(projections.size() == 1 ? "head" : "q, k, v", linears, x.count,
         [&] { on_.project(x, projections); });
  }
  void add_projection(Rows x, const Linear& linear, Rows y) {
    const Linear* linears[] = {&linear};
    time(last_ == "attention" ? "o" : "down", linears, x.count, [&] { on_.add_projection(x, linear, y); });
  }
  void gated_projection(Rows x, const Linear& gate, const Linear& up, Rows y) {
    const Linear* linears[] = {&gate, &up};
    time("gate, up", linears, x.count, [&] { on_.gated_projection(x, gate, up, y); });
  }
  void rotate_and_store(std::span<const PassSlice> slices, const AttentionShape& shape, const RopeTable& rope,
                        std::span<const float> q_norm, std::span<const float> k_norm, Rows q, Rows k, Rows v,
                        const KvLayer& cache) {
    time("rotary, KV store", {}, q.count,
         [&] { on_.rotate_and_store(slices, shape, rope, q_norm, k_norm, q, k, v, cache); });
  }
  void attend(std::span<const PassSlice> slices, const AttentionShape& shape, Rows q, const KvLayer& cache,
              Rows y) {
    time("attention", {}, q.count, [&] { on_.attend(slices, shape, q, cache, y); });
  }

 private:
  template <class Work>
  void time(std::string_view name, std::span<const Linear* const> linears, std::int32_t num_tokens,
            const Work& work) {
    const auto start = std::chrono::steady_clock::now();
    work();
    const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
    StageTime& stage = find(name);
    stage.seconds += elapsed.count();
    for (const Linear* linear : linears) {
      const PackedMatrix& weight = linear->weight;
      stage.weight_bytes += static_cast<double>(weight.bytes());
      stage.operations += 2.0 * weight.rows * weight.columns * num_tokens;
    }
    last_ = name;
  }

  StageTime& find(std::string_view name) {
    for (StageTime& stage : stages_) {
      if (stage.name == name) return stage;
    }
    return stages_.emplace_back(StageTime{.name = name});
  }

  CpuBackend& on_;
  std::vector<StageTime>& stages_;
  std::string_view last_;
};

}  // namespace touchstone
