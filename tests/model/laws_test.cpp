// Same bytes: whatever runs beside a sequence, however it is cut, on any number of threads and any
// instruction set.
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <memory>
#include <random>

#include "base/error.h"
#include "formats/checkpoint.h"
#include "model/model_memory.h"
#include "model/model_runner.h"
#include "model/same_bits.h"
#include "model/tiny_model.h"

namespace touchstone::testing {
namespace {

class SameBytes : public ::testing::TestWithParam<Dtypes> {
 protected:
  static ModelOptions options(int num_threads, const char* isa = "auto") {
    return {.num_threads = num_threads, .isa = isa, .dtype = GetParam().weights, .kv_dtype = GetParam().kv};
  }
};

TEST_P(SameBytes, ForAnyInstructionSet) {
  for (const TinyShape& shape : list_shapes()) {
    const TinyModel tiny(shape);
    const Ids ids = Random{std::mt19937(2)}.ids(75, shape.vocab_size);
    Transformer scalar(tiny.checkpoint, options(1, "scalar"));
    const auto expected = bits_of(Sequence(scalar, 75).run(ids));
    for (const char* isa : {"auto", "avx2", "avx512", "avx512vnni", "avx512bf16", "amx"}) {
      try {
        Transformer model(tiny.checkpoint, options(1, isa));
        if (model.sums_in_tiles()) continue;  // other bits, by intent
        EXPECT_EQ(bits_of(Sequence(model, 75).run(ids)), expected) << shape.model_type << " on " << isa;
      } catch (const Error&) {  // this CPU lacks it
        EXPECT_STRNE(isa, "auto");
      }
    }
  }
}

TEST_P(SameBytes, ForAnyNumberOfThreads) {
  for (const TinyShape& shape : list_shapes()) {
    const TinyModel tiny(shape);
    const Ids ids = Random{std::mt19937(3)}.ids(200, shape.vocab_size);
    Transformer one(tiny.checkpoint, options(1));
    const auto expected = bits_of(Sequence(one, 200).run(ids));
    for (const int threads : {2, 3, 7}) {
      Transformer many(tiny.checkpoint, options(threads));
      EXPECT_EQ(many.num_threads(), threads);
      EXPECT_EQ(bits_of(Sequence(many, 200).run(ids)), expected)
          << shape.model_type << ", " << threads << " threads";
    }
  }
}

TEST_P(SameBytes, HoweverThePromptIsCut) {
  Random random{std::mt19937(4)};
  for (const TinyShape& shape : list_shapes()) {
    const TinyModel tiny(shape);
    Transformer model(tiny.checkpoint, options(2));
    const Ids ids = random.ids(540, shape.vocab_size);  // more than one pass holds
    const auto expected = bits_of(Sequence(model, 540).run(ids));
    for (const int longest : {3, 64, 539}) {
      Sequence sequence(model, 540);
      std::vector<float> logits;
      for (std::size_t begin = 0; begin < ids.size();) {
        const auto n = std::min(ids.size() - begin, static_cast<std::size_t>(random.between(1, longest)));
        const std::vector<float> part = sequence.run(std::span(ids).subspan(begin, n));
        logits.insert(logits.end(), part.begin(), part.end());
        begin += n;
      }
      EXPECT_EQ(bits_of(logits), expected) << shape.model_type << ", parts of up to " << longest;
    }
  }
}

/// A sequence that grows by random parts inside random batches.
struct Growing {
  Ids ids;
  std::vector<std::int32_t> blocks;
  std::int32_t done = 0;
  std::vector<float> logits;
};

TEST_P(SameBytes, WhateverRunsBesideIt) {
  Random random{std::mt19937(5)};
  for (const TinyShape& shape : list_shapes()) {
    const TinyModel tiny(shape);
    Transformer model(tiny.checkpoint, options(2));
    const auto vocab = static_cast<std::size_t>(shape.vocab_size);
    std::vector<Growing> sequences(9);
    std::int32_t num_blocks = 0;
    for (Growing& sequence : sequences) sequence.ids = random.ids(random.between(1, 150), shape.vocab_size);
    for (int i = 0; i < 5; ++i) {  // blocks of different sequences lie between each other
      for (Growing& sequence : sequences) sequence.blocks.push_back(num_blocks++);
    }
    const auto pool = model.make_kv_pool(num_blocks);
    for (std::size_t unfinished = sequences.size(); unfinished > 0;) {
      std::vector<ForwardSlice> slices;
      std::vector<Growing*> members;
      std::size_t rows = 0;
      for (Growing& sequence : sequences) {
        const int left = static_cast<int>(sequence.ids.size()) - sequence.done;
        if (left == 0 || random.between(0, 2) == 0) continue;
        const int n = random.between(1, std::min(left, 40));
        const auto part = std::span(sequence.ids)
                              .subspan(static_cast<std::size_t>(sequence.done), static_cast<std::size_t>(n));
        slices.push_back({part, sequence.done, sequence.blocks, n});
        members.push_back(&sequence);
        rows += static_cast<std::size_t>(n);
        sequence.done += n;
        if (n == left) --unfinished;
      }
      std::vector<float> logits(rows * vocab);
      model.forward(*pool, slices, logits);
      const float* next = logits.data();
      for (std::size_t i = 0; i < members.size(); ++i) {
        const std::size_t n = slices[i].ids.size() * vocab;
        members[i]->logits.insert(members[i]->logits.end(), next, next + n);
        next += n;
      }
    }
    for (const Growing& sequence : sequences) {
      EXPECT_EQ(bits_of(sequence.logits), bits_of(Sequence(model, 150).run(sequence.ids)))
          << shape.model_type;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Dtypes, SameBytes,
                         ::testing::Values(Dtypes{"auto", "f32"}, Dtypes{"bf16", "bf16"},
                                           Dtypes{"auto", "int8"}, Dtypes{"int8", "f16"},
                                           Dtypes{"int4", "int8"}),
                         [](const auto& info) {
                           return std::string(info.param.weights) + "_kv_" + info.param.kv;
                         });

/// Mean divergence of what `kv_dtype` predicts from what float32 does, over a sequence.
double mean_divergence(const Checkpoint& checkpoint, const Ids& ids, const char* kv_dtype) {
  Transformer exact(checkpoint, {.num_threads = 2});
  Transformer rounded(checkpoint, {.num_threads = 2, .kv_dtype = kv_dtype});
  const auto n = static_cast<std::int32_t>(ids.size());
  const std::vector<float> p = Sequence(exact, n).run(ids);
  const std::vector<float> q = Sequence(rounded, n).run(ids);
  const std::size_t vocab = p.size() / ids.size();
  double sum = 0;
  for (std::size_t row = 0; row < p.size(); row += vocab) {
    for (std::int32_t id = 0; id < static_cast<std::int32_t>(vocab); ++id) {
      const double log_p = log_probability(std::span(p).subspan(row, vocab), id);
      sum += std::exp(log_p) * (log_p - log_probability(std::span(q).subspan(row, vocab), id));
    }
  }
  return sum / static_cast<double>(ids.size());
}

TEST(KvDtype, KeepsWhatIsPredictedThoughKeysOfQwen2HaveALargeBias) {
  for (const int biased_layer : {0, 1}) {
    TinyModel tiny({.hidden_size = 96, .num_heads = 4, .num_kv_heads = 2, .head_dim = 64, .vocab_size = 60});
    auto bias = std::make_shared<std::vector<float>>(128, 0.5F);
    for (const std::size_t i : {28U, 30U, 31U, 61U, 92U, 95U, 127U})
      (*bias)[i] = i % 2 == 0 ? 150.0F : -90.0F;
    tiny.set("model.layers." + std::to_string(biased_layer) + ".self_attn.k_proj.bias", {128}, bias);
    const Ids ids = Random{std::mt19937(6)}.ids(300, 60);
    EXPECT_LT(mean_divergence(tiny.checkpoint, ids, "f16"), 1e-5) << "layer " << biased_layer;
    EXPECT_LT(mean_divergence(tiny.checkpoint, ids, "int8"), 1e-5) << "layer " << biased_layer;
  }
}

TEST(KvDtype, DecidesTheBytesOfAToken) {
  const TinyModel tiny({.hidden_size = 96, .num_heads = 4, .num_kv_heads = 2, .head_dim = 64});
  const auto bytes = [&](const char* kv_dtype) {
    return Transformer(tiny.checkpoint, {.num_threads = 1, .kv_dtype = kv_dtype}).kv_bytes_per_token();
  };
  constexpr std::size_t kNumbers = std::size_t{2} * 2 * 2 * 64;  // layers, keys and values, heads
  EXPECT_EQ(bytes("auto"), kNumbers * 4);
  EXPECT_EQ(bytes("f16"), kNumbers * 2);
  EXPECT_EQ(bytes("bf16"), kNumbers * 2);
  EXPECT_EQ(bytes("int8"), kNumbers + 2 * 2 * 2 * sizeof(float));
  EXPECT_THROW(bytes("int4"), Error);
}

TEST(StoredWeights, GiveTheBitsOfWidenedOnes) {
  std::size_t cases = 0;
  for (const auto& entry : std::filesystem::directory_iterator(golden_dir() / "gguf")) {
    const std::string name = entry.path().filename().string();
    const Checkpoint checkpoint = open_checkpoint((entry.path() / (name + ".gguf")).string());
    Transformer stored(checkpoint, {.num_threads = 2});
    Transformer widened(checkpoint, {.num_threads = 2, .dtype = "f32"});
    EXPECT_LT(stored.weight_bytes(), widened.weight_bytes());
    const Ids ids = Random{std::mt19937(6)}.ids(90, stored.config().vocab_size);
    EXPECT_EQ(bits_of(Sequence(stored, 90).run(ids)), bits_of(Sequence(widened, 90).run(ids))) << name;
    ++cases;
  }
  EXPECT_GT(cases, 0U);
}

/// The rows of a matrix as GGUF's llama converter reorders them, head by head.
void interleave_rows(Checkpoint& checkpoint, const std::string& name, int head_dim) {
  Tensor& tensor = checkpoint.tensors.at(name);
  const std::size_t row_bytes = tensor.bytes.size() / static_cast<std::size_t>(tensor.shape[0]);
  auto rows = std::make_shared<std::vector<std::byte>>(tensor.bytes.size());
  for (int row = 0; row < tensor.shape[0]; ++row) {
    const int i = row % head_dim;
    const int from = row - i + i / 2 + i % 2 * (head_dim / 2);
    std::memcpy(rows->data() + static_cast<std::size_t>(row) * row_bytes,
                tensor.bytes.data() + static_cast<std::size_t>(from) * row_bytes, row_bytes);
  }
  tensor.bytes = *rows;
  checkpoint.blobs.push_back({"memory", *rows, rows});
}

TEST(StoredWeights, OfHeadsForInterleavedRotationGiveTheBitsOfPlainOnes) {
  TinyModel tiny({.model_type = "llama"});
  Transformer plain(tiny.checkpoint, {.num_threads = 1});
  const Ids ids = Random{std::mt19937(7)}.ids(40, 37);
  const auto expected = bits_of(Sequence(plain, 40).run(ids));
  tiny.checkpoint.config["rope_interleaved"] = true;
  for (const char* part :
       {"0.self_attn.q_proj", "0.self_attn.k_proj", "1.self_attn.q_proj", "1.self_attn.k_proj"}) {
    interleave_rows(tiny.checkpoint, std::string("model.layers.") + part + ".weight", 10);
  }
  Transformer interleaved(tiny.checkpoint, {.num_threads = 1});
  EXPECT_EQ(bits_of(Sequence(interleaved, 40).run(ids)), expected);
}

TEST(Forward, GivesTheLogitsOfTheLastTokensOnly) {
  const TinyModel tiny({});
  Transformer model(tiny.checkpoint, {.num_threads = 2});
  const Ids ids = Random{std::mt19937(8)}.ids(600, 37);
  const std::vector<float> all = Sequence(model, 600).run(ids);
  EXPECT_EQ(bits_of(Sequence(model, 600).run(ids, 3)), bits_of(std::span(all).last(std::size_t{3} * 37)));
  EXPECT_TRUE(Sequence(model, 600).run(ids, 0).empty());
}

TEST(Forward, GoesOnFromACopiedBlock) {
  const TinyModel tiny({});
  Transformer model(tiny.checkpoint, {.num_threads = 1});
  const Ids ids = Random{std::mt19937(9)}.ids(21, 37);
  const auto pool = model.make_kv_pool(2);
  const std::int32_t first[] = {0}, second[] = {1};
  std::vector<float> expected(37), actual(37);
  const auto run = [&](std::int32_t from, std::int32_t to, std::span<const std::int32_t> blocks,
                       std::vector<float>& to_logits) {
    const ForwardSlice slice{
        std::span(ids).subspan(static_cast<std::size_t>(from), static_cast<std::size_t>(to - from)), from,
        blocks, 1};
    model.forward(*pool, {&slice, 1}, to_logits);
  };
  run(0, 20, first, expected);
  model.copy_block(*pool, 0, 1);
  run(20, 21, first, expected);
  run(20, 21, second, actual);
  EXPECT_EQ(bits_of(actual), bits_of(expected));
}

TEST(Forward, SurvivesWeightsThatAreNotNumbers) {
  for (const float bad : {std::nanf(""), HUGE_VALF, -3e38F}) {
    const TinyModel tiny({}, bad);
    Transformer model(tiny.checkpoint, {.num_threads = 2});
    const Ids ids = Random{std::mt19937(10)}.ids(70, 37);
    EXPECT_EQ(Sequence(model, 70).run(ids).size(), std::size_t{70} * 37);
  }
}

TEST(Forward, WhatIsNotFiniteInATensorReachesTheLogitsWhateverTheTypes) {
  for (const char* name : {"self_attn.q_proj.weight", "self_attn.k_proj.bias", "self_attn.v_proj.weight",
                           "self_attn.o_proj.weight", "mlp.down_proj.weight", "input_layernorm.weight"}) {
    for (const float bad : {std::nanf(""), HUGE_VALF}) {
      TinyModel tiny({});
      const std::string full_name = std::string("model.layers.1.") + name;
      const std::vector<std::int64_t> shape = tiny.checkpoint.tensor(full_name).shape;
      const auto size = static_cast<std::size_t>(shape[0] * (shape.size() > 1 ? shape[1] : 1));
      const auto values = std::make_shared<std::vector<float>>(size, 0.1F);
      values->front() = bad;
      tiny.set(full_name, shape, values);
      for (const char* dtype : {"f32", "bf16", "int8", "int4"}) {
        Transformer model(tiny.checkpoint, {.num_threads = 1, .dtype = dtype});
        const std::vector<float> logits = Sequence(model, 40).run(Random{std::mt19937(10)}.ids(40, 37), 1);
        EXPECT_TRUE(std::any_of(logits.begin(), logits.end(), [](float x) { return !std::isfinite(x); }))
            << full_name << " " << bad << " " << dtype;
      }
    }
  }
}

TEST(Transformer, AccountsForItsMemory) {
  const TinyModel tiny({});
  const Transformer model(tiny.checkpoint, {.num_threads = 1});
  EXPECT_EQ(model.kv_bytes_per_token(),
            std::size_t{2} * 2 * 2 * 16 * sizeof(float));  // head_dim rounded up to 16
  EXPECT_GT(model.weight_bytes(), std::size_t{37} * 40 * sizeof(float));
  EXPECT_THROW(model.make_kv_pool(2000000000), Error);
}

TEST(Transformer, ItsWeightsArePlannedAsTheyAreLoaded) {
  for (const TinyShape& shape : list_shapes()) {
    for (const char* dtype : {"f32", "int8", "int4"}) {
      const ModelOptions options{.num_threads = 1, .dtype = dtype};
      const PassSize pass{.tokens = 8, .logits = 1, .positions = 64};
      TinyModel tiny(shape);
      const ModelMemory planned = plan_model_memory(tiny.checkpoint, options, pass);
      EXPECT_EQ(planned.weights, Transformer(tiny.checkpoint, options).weight_bytes())
          << shape.model_type << " " << dtype;
      tiny.add("model.layers.99.mlp.up_proj.weight", {64, 64});
      tiny.add("visual.proj.weight", {64, 64});
      tiny.add("visual.norm.weight", {64});
      EXPECT_EQ(plan_model_memory(tiny.checkpoint, options, pass).weights, planned.weights)
          << "of tensors that the model does not use";
    }
  }
}

}  // namespace
}  // namespace touchstone::testing
