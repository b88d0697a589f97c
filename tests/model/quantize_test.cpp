#include "model/quantize.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <numeric>

#include "base/error.h"
#include "kernels/int_blocks.h"
#include "model/tiny_model.h"
#include "support/golden.h"

namespace touchstone {
namespace {

using testing::TemporaryFolder;
using testing::TinyModel;
using testing::TinyShape;

const std::vector<std::vector<std::int32_t>> kTexts = {{1, 2, 3, 4, 5, 6, 7, 8}, {9, 30, 11}, {36}};

std::vector<float> run(const Checkpoint& checkpoint, const std::string& dtype) {
  Transformer transformer(checkpoint, {.num_threads = 2, .isa = "auto", .dtype = dtype});
  const std::vector<std::int32_t> ids = {3, 1, 4, 1, 5}, blocks = {0};
  const auto pool = transformer.make_kv_pool(1);
  std::vector<float> logits(ids.size() * static_cast<std::size_t>(transformer.config().vocab_size));
  const ForwardSlice slice{ids, 0, blocks, static_cast<std::int32_t>(ids.size())};
  transformer.forward(*pool, {&slice, 1}, logits);
  return logits;
}

double relative_error(const std::vector<float>& got, const std::vector<float>& wanted) {
  double error = 0, size = 0;
  for (std::size_t i = 0; i < got.size(); ++i) {
    error += std::pow(double{got[i]} - double{wanted[i]}, 2);
    size += std::pow(double{wanted[i]}, 2);
  }
  return std::sqrt(error / size);
}

class Quantize : public ::testing::TestWithParam<DType> {
 protected:
  std::filesystem::path path(const char* name = "q.safetensors") const { return folder_.path() / name; }
  QuantizeOptions options(int threads = 2, const std::string& isa = "auto") const {
    return {.to = GetParam(), .num_threads = threads, .isa = isa, .on_progress = {}};
  }
  bool folder_is_empty() const { return std::filesystem::is_empty(folder_.path()); }

 private:
  TemporaryFolder folder_;
};

INSTANTIATE_TEST_SUITE_P(BothTypes, Quantize, ::testing::Values(DType::int8_128, DType::int4_128),
                         [](const auto& param) { return std::string(dtype_info(param.param).name); });

TEST_P(Quantize, WritesAModelThatLoadsAndSaysMuchTheSame) {
  for (const char* type : {"qwen2", "qwen3", "llama"}) {
    for (const bool tied : {false, true}) {
      TinyShape shape;
      shape.model_type = type;
      shape.tied = tied;
      const TinyModel model(shape);
      quantize_model(model.checkpoint, kTexts, options(), path());
      const Checkpoint quantized = open_checkpoint(path().string());
      const std::vector<float> before = run(model.checkpoint, "f32");
      const double allowed = GetParam() == DType::int8_128 ? 0.05 : 0.35;
      EXPECT_LT(relative_error(run(quantized, "auto"), before), allowed) << type;
      EXPECT_LT(relative_error(run(quantized, "f32"), before), allowed) << type;
      EXPECT_EQ(quantized.find_tensor("lm_head.weight") == nullptr, tied);
    }
  }
}

TEST_P(Quantize, TheFileComputesAsTheSameWeightsInFloatsDo) {
  quantize_model(TinyModel(TinyShape{}).checkpoint, kTexts, options(), path());
  const Checkpoint quantized = open_checkpoint(path().string());
  // What is left is the rounding of activations.
  EXPECT_LT(relative_error(run(quantized, "auto"), run(quantized, "f32")), 0.03);
}

TEST_P(Quantize, GivesTheSameFileOnAnyNumberOfThreadsAndInstructionSet) {
  const TinyModel model(TinyShape{});
  quantize_model(model.checkpoint, kTexts, options(1, "scalar"), path("a.safetensors"));
  quantize_model(model.checkpoint, kTexts, options(3, "auto"), path("b.safetensors"));
  EXPECT_EQ(testing::read_file(path("a.safetensors")), testing::read_file(path("b.safetensors")));
}

TEST_P(Quantize, WhatIsQuantizedCanBeQuantizedAgain) {
  quantize_model(TinyModel(TinyShape{}).checkpoint, kTexts, options(), path("a.safetensors"));
  quantize_model(open_checkpoint(path("a.safetensors").string()), kTexts, options(), path("b.safetensors"));
  EXPECT_LT(relative_error(run(open_checkpoint(path("b.safetensors").string()), "auto"),
                           run(open_checkpoint(path("a.safetensors").string()), "auto")),
            0.3);
}

TEST_P(Quantize, RefusesWeightsThatAreNotFiniteAndLeavesNothing) {
  const TinyModel model(TinyShape{}, std::numeric_limits<float>::infinity());
  EXPECT_THROW(quantize_model(model.checkpoint, kTexts, options(), path()), Error);
  EXPECT_TRUE(folder_is_empty());
}

TEST_P(Quantize, StoppedHalfwayItLeavesNothing) {
  struct Stop {};
  QuantizeOptions stopping = options();
  stopping.on_progress = [](int done, int total) {
    EXPECT_EQ(total, 14);
    if (done == 9) throw Stop{};
  };
  EXPECT_THROW(quantize_model(TinyModel(TinyShape{}).checkpoint, kTexts, stopping, path()), Stop);
  EXPECT_TRUE(folder_is_empty());
}

TEST(QuantizedModel, AFactorOutsideItsRangeIsRefusedWhenItIsLoaded) {
  const TemporaryFolder folder;
  const std::string path = (folder.path() / "q.safetensors").string();
  quantize_model(TinyModel(TinyShape{}).checkpoint, kTexts, {.num_threads = 2, .on_progress = {}}, path);
  Checkpoint quantized = open_checkpoint(path);
  Tensor& tensor = quantized.tensors.at("model.layers.1.mlp.up_proj.weight");
  std::vector<std::byte> bytes(tensor.bytes.begin(), tensor.bytes.end());
  bytes[offsetof(Int4Block, factors)] = std::byte{100};
  tensor.bytes = bytes;
  EXPECT_THROW(run(quantized, "auto"), Error);
}

}  // namespace
}  // namespace touchstone
