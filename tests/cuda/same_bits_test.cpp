// The GPU's back end gives the bits of the scalar kernels: for any model, any type of weights, keys and
// values, and however sequences are cut and batched.
#include "model/same_bits.h"

#include <gtest/gtest.h>

#include <limits>
#include <random>

#include "base/error.h"
#include "formats/checkpoint.h"
#include "model/golden_models.h"
#include "model/model_memory.h"
#include "model/model_runner.h"

namespace touchstone::testing {
namespace {

/// A GPU, or where the build has no CUDA, what stands for one.
constexpr const char* kGpu = "cuda:0";

Ids random_ids(std::int32_t n, int vocab_size, unsigned seed) {
  return Random{std::mt19937(seed)}.ids(n, vocab_size);
}

class SameBitsOnGpu : public ::testing::TestWithParam<Dtypes> {
 protected:
  void SetUp() override {
    if (!choose_gpu("auto")) GTEST_SKIP() << "there is no GPU";
  }
  static ModelOptions options(const char* device) {
    return {.num_threads = 2,
            .device = device,
            .isa = "scalar",
            .dtype = GetParam().weights,
            .kv_dtype = GetParam().kv};
  }
};

TEST_P(SameBitsOnGpu, ForWholePrompts) {
  for (const TinyShape& shape : list_shapes()) {
    const TinyModel tiny(shape);
    Transformer cpu(tiny.checkpoint, options("cpu")), gpu(tiny.checkpoint, options(kGpu));
    const Ids ids = random_ids(75, shape.vocab_size, 1);
    EXPECT_EQ(bits_of(Sequence(gpu, 75).run(ids)), bits_of(Sequence(cpu, 75).run(ids))) << shape.model_type;
  }
}

TEST_P(SameBitsOnGpu, HoweverThePromptIsCut) {
  for (const TinyShape& shape : list_shapes()) {
    const TinyModel tiny(shape);
    Transformer cpu(tiny.checkpoint, options("cpu")), gpu(tiny.checkpoint, options(kGpu));
    const Ids ids = random_ids(540, shape.vocab_size, 2);  // more than one pass holds
    const auto expected = bits_of(Sequence(cpu, 540).run(ids));
    Sequence sequence(gpu, 540);
    std::vector<float> logits;
    std::mt19937 random(3);
    for (std::size_t begin = 0, n = 1; begin < ids.size(); begin += n) {
      n = std::min(ids.size() - begin, std::size_t{1} + random() % (begin < 20 ? 2 : 90));
      const std::vector<float> part = sequence.run(std::span(ids).subspan(begin, n));
      logits.insert(logits.end(), part.begin(), part.end());
    }
    EXPECT_EQ(bits_of(logits), expected) << shape.model_type;
  }
}

TEST_P(SameBitsOnGpu, InBatchesWhoseBlocksLieAnywhere) {
  const TinyShape shape = list_shapes().front();
  const TinyModel tiny(shape);
  Transformer cpu(tiny.checkpoint, options("cpu")), gpu(tiny.checkpoint, options(kGpu));
  const Ids first = random_ids(70, shape.vocab_size, 4), second = random_ids(41, shape.vocab_size, 5);
  const std::vector<std::int32_t> first_blocks = {5, 0, 3}, second_blocks = {1, 4};
  const auto pool = gpu.make_kv_pool(6);
  gpu.take_pages(*pool);
  const auto vocab = static_cast<std::size_t>(shape.vocab_size);
  std::vector<float> logits(2 * vocab);
  const auto run = [&](std::size_t first_end, std::size_t second_end) {
    const std::vector<ForwardSlice> slices = {{std::span(first).first(first_end), 0, first_blocks, 1},
                                              {std::span(second).first(second_end), 0, second_blocks, 1}};
    gpu.forward(*pool, slices, logits);
  };
  run(69, 40);
  const std::vector<ForwardSlice> last = {{std::span(first).last(1), 69, first_blocks, 1},
                                          {std::span(second).last(1), 40, second_blocks, 1}};
  gpu.forward(*pool, last, logits);
  const auto expected_first = Sequence(cpu, 70).run(first, 1),
             expected_second = Sequence(cpu, 41).run(second, 1);
  EXPECT_EQ(bits_of(std::span(logits).first(vocab)), bits_of(expected_first));
  EXPECT_EQ(bits_of(std::span(logits).last(vocab)), bits_of(expected_second));
}

TEST_P(SameBitsOnGpu, WithACopiedBlock) {
  const TinyShape shape = list_shapes().front();
  const TinyModel tiny(shape);
  Transformer cpu(tiny.checkpoint, options("cpu")), gpu(tiny.checkpoint, options(kGpu));
  const Ids ids = random_ids(12, shape.vocab_size, 6);
  const auto pool = gpu.make_kv_pool(2);
  const std::vector<std::int32_t> block = {0}, copy = {1};
  const auto before = std::span(ids).first(11);
  const ForwardSlice prompt{before, 0, block, 0};
  gpu.forward(*pool, {&prompt, 1}, {});
  gpu.copy_block(*pool, 0, 1);
  std::vector<float> logits(static_cast<std::size_t>(shape.vocab_size));
  const ForwardSlice next{std::span(ids).last(1), 11, copy, 1};
  gpu.forward(*pool, {&next, 1}, logits);
  EXPECT_EQ(bits_of(logits), bits_of(Sequence(cpu, 12).run(ids, 1)));
}

INSTANTIATE_TEST_SUITE_P(Dtypes, SameBitsOnGpu,
                         ::testing::Values(Dtypes{"auto", "f32"}, Dtypes{"f32", "bf16"}, Dtypes{"f16", "f16"},
                                           Dtypes{"bf16", "bf16"}, Dtypes{"auto", "int8"},
                                           Dtypes{"int8", "f16"}, Dtypes{"int4", "int8"}),
                         [](const auto& info) {
                           return std::string(info.param.weights) + "_kv_" + info.param.kv;
                         });

TEST(CudaBackend, RunsEveryGoldenCheckpointWithTheBitsOfTheCpu) {
  if (!choose_gpu("auto")) GTEST_SKIP() << "there is no GPU";
  const std::vector<GoldenModel> models = list_golden_models();
  for (const GoldenModel& golden : models) {
    const Checkpoint checkpoint = open_checkpoint(golden.model.string());
    Transformer cpu(checkpoint, {.num_threads = 2, .device = "cpu"});
    Transformer gpu(checkpoint, {.num_threads = 2, .device = kGpu});
    const Ids ids = random_ids(40, cpu.config().vocab_size, 7);
    EXPECT_EQ(bits_of(Sequence(gpu, 40).run(ids, 2)), bits_of(Sequence(cpu, 40).run(ids, 2))) << golden.name;
  }
  EXPECT_GT(models.size(), 3U);
}

TEST(CudaBackend, TakesALargeVocabularyAndALongContextInSeveralRounds) {
  if (!choose_gpu("auto")) GTEST_SKIP() << "there is no GPU";
  const TinyShape shape{.model_type = "llama",
                        .hidden_size = 40,
                        .num_layers = 1,
                        .num_heads = 64,
                        .num_kv_heads = 8,
                        .head_dim = 4,
                        .vocab_size = 66'000};
  const TinyModel tiny(shape);
  Transformer cpu(tiny.checkpoint, {.num_threads = 2, .device = "cpu"});
  Transformer gpu(tiny.checkpoint, {.num_threads = 2, .device = kGpu});
  const Ids ids = random_ids(1001, shape.vocab_size, 8);
  Sequence on_cpu(cpu, 1001), on_gpu(gpu, 1001);
  EXPECT_EQ(bits_of(on_gpu.run(std::span(ids).first(1000), 3)),
            bits_of(on_cpu.run(std::span(ids).first(1000), 3)));
  EXPECT_EQ(bits_of(on_gpu.run(std::span(ids).last(1))), bits_of(on_cpu.run(std::span(ids).last(1))));
}

TEST(CudaBackend, CountsWhatItHoldsOfTheGpusMemory) {
  if (!choose_gpu("auto")) GTEST_SKIP() << "there is no GPU";
  const TinyModel tiny({});
  const Transformer cpu(tiny.checkpoint, {.num_threads = 1, .device = "cpu"});
  Transformer gpu(tiny.checkpoint, {.num_threads = 1, .device = kGpu});
  EXPECT_EQ(cpu.peak_gpu_bytes(), 0U);
  const std::uint64_t loaded = gpu.peak_gpu_bytes();
  EXPECT_GE(loaded, gpu.weight_bytes());
  const auto pool = gpu.make_kv_pool(100);
  EXPECT_EQ(gpu.peak_gpu_bytes(), loaded + 100 * kKvBlockTokens * gpu.kv_bytes_per_token());
}

TEST(CudaBackend, TakesOfTheGpusMemoryWhatThePlanSays) {
  if (!choose_gpu("auto")) GTEST_SKIP() << "there is no GPU";
  const TinyShape shape{.hidden_size = 256,
                        .intermediate_size = 704,
                        .num_layers = 1,
                        .num_heads = 8,
                        .num_kv_heads = 2,
                        .head_dim = 32,
                        .vocab_size = 2000};
  const TinyModel tiny(shape);
  for (const char* dtype : {"auto", "bf16", "int8"}) {
    const ModelOptions options{.num_threads = 2, .device = kGpu, .dtype = dtype};
    const ModelMemory plan =
        plan_model_memory(tiny.checkpoint, options, {.tokens = 300, .logits = 4, .positions = 600});
    Transformer gpu(tiny.checkpoint, options);
    Sequence sequence(gpu, 608);
    const Ids ids = random_ids(600, shape.vocab_size, 9);
    for (const std::size_t first : {std::size_t{0}, std::size_t{300}})
      sequence.run(std::span(ids).subspan(first, 300), 4);
    for (const std::int32_t tokens : {1, 8, 32, 64})  // their products are summed up otherwise
      Sequence(gpu, tokens).run(std::span(ids).first(static_cast<std::size_t>(tokens)), 1);
    const double planned = static_cast<double>(plan.weights + 608 * plan.kv_per_token + plan.pass);
    EXPECT_NEAR(static_cast<double>(gpu.peak_gpu_bytes()), planned, 0.02 * planned) << dtype;
  }
}

TEST(CudaBackend, SaysWhatTheGpuHasNoRoomFor) {
  if (!choose_gpu("auto")) GTEST_SKIP() << "there is no GPU";
  const TinyModel tiny({});
  const Transformer gpu(tiny.checkpoint, {.num_threads = 1, .device = kGpu});
  try {
    gpu.make_kv_pool(std::numeric_limits<std::int32_t>::max());
    FAIL() << "there is none so large";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("MB left for keys and values"), std::string::npos)
        << error.what();
  }
}

TEST(CudaBackend, NamesTheDevicesThatThereAre) {
  EXPECT_EQ(choose_gpu("cpu"), std::nullopt);
  EXPECT_EQ(choose_gpu("cuda"), 0);
  EXPECT_EQ(choose_gpu("cuda:3"), 3);
  for (const char* name : {"", "cuda:", "cuda:-1", "cuda:1x", "cuda:99999999999", "gpu", "cud"}) {
    EXPECT_THROW(choose_gpu(name), Error) << name;
  }
  if (!choose_gpu("auto")) GTEST_SKIP() << "there is no GPU";
  const TinyModel tiny({});
  EXPECT_EQ(Transformer(tiny.checkpoint, {.device = "auto"}).isa(), "cuda");
  EXPECT_EQ(Transformer(tiny.checkpoint, {.device = "cpu"}).device(), "cpu");
  try {
    const Transformer model(tiny.checkpoint, {.device = "cuda:1000"});
    FAIL() << "there are not so many";
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(), "there is no GPU 1000");
  }
}

}  // namespace
}  // namespace touchstone::testing
