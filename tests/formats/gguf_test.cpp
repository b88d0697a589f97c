#include "formats/gguf.h"

#include <gmock/gmock.h>

#include <cmath>

#include "formats/builders.h"
#include "formats/gguf_model.h"
#include "support/golden.h"

namespace touchstone {
namespace {

using testing::as_blob;
using ::testing::ElementsAre;
using testing::error_of;
using testing::GgufBuilder;
using ::testing::HasSubstr;
using ::testing::Not;
using testing::raw;
using testing::tiny_gguf_model;

Checkpoint read_model(const GgufBuilder& builder) {
  const Blob file = as_blob(builder.build(), "m.gguf");
  GgufFile gguf = read_gguf(file);
  Checkpoint checkpoint;
  checkpoint.blobs.push_back(file);
  fill_from_gguf(gguf, gguf.tensors, file.name, checkpoint);
  return checkpoint;
}

std::string error_for(const GgufBuilder& builder) {
  std::string error = error_of([&] { read_model(builder); });
  EXPECT_THAT(error, HasSubstr("m.gguf"));
  return error;
}

TEST(Gguf, TheGoldenFileOfAllTypesIsReadAsItWasWritten) {
  const Blob file = map_file(testing::golden_dir() / "quants/types.gguf");
  const GgufFile gguf = read_gguf(file);
  const auto value = [&](const char* key) { return gguf.metadata.at(key); };
  EXPECT_EQ(to_integer(value("test.u8")), 200);
  EXPECT_EQ(to_integer(value("test.i8")), -100);
  EXPECT_EQ(to_integer(value("test.u16")), 65000);
  EXPECT_EQ(to_integer(value("test.i16")), -30000);
  EXPECT_EQ(to_integer(value("test.u32")), 4000000000);
  EXPECT_EQ(to_integer(value("test.i32")), -2000000000);
  EXPECT_EQ(to_number(value("test.f32")), 0.1F);
  EXPECT_EQ(to_json(value("test.u64")), boost::json::value(9223372036854775813U));
  EXPECT_EQ(to_integer(value("test.u64")), std::nullopt);
  EXPECT_EQ(to_integer(value("test.i64")), -4611686018427387904);
  EXPECT_EQ(to_number(value("test.f64")), 1e-300);
  EXPECT_EQ(to_boolean(value("test.yes")), true);
  EXPECT_EQ(to_boolean(value("test.no")), false);
  EXPECT_EQ(to_text(value("test.text")), "naïve 你好 👍 \n\t\"");
  EXPECT_THAT(*to_integers(value("test.ints")), ElementsAre(1, -2, 3));
  EXPECT_EQ(to_json(value("test.floats")), (boost::json::array{0.5, -1.25}));
  EXPECT_THAT(*to_texts(value("test.strings")),
              ElementsAre("", "a", "éééééééééééééééééééééééééééééééééééééééé"));
  EXPECT_EQ(to_json(value("test.bools")), (boost::json::array{true, false, true}));
  EXPECT_EQ(to_integers(value("test.strings")), std::nullopt);
  EXPECT_EQ(to_texts(value("test.ints")), std::nullopt);
}

TEST(Gguf, TheGoldenFilesTensorsHoldTheGoldenBlocks) {
  const Blob file = map_file(testing::golden_dir() / "quants/types.gguf");
  int cases = 0;
  for (const Tensor& tensor : read_gguf(file).tensors) {
    if (tensor.name == "f32.vector") {
      EXPECT_EQ(tensor.dtype, DType::f32);
      EXPECT_THAT(tensor.shape, ElementsAre(7));
      continue;
    }
    EXPECT_THAT(tensor.shape, ElementsAre(12, 512)) << tensor.name;
    const std::string name(dtype_info(tensor.dtype).name);
    const std::string blocks = testing::read_file(testing::golden_dir() / "quants" / (name + ".blocks.npy"));
    ASSERT_GT(blocks.size(), tensor.bytes.size());
    EXPECT_EQ(std::memcmp(tensor.bytes.data(), blocks.data() + blocks.size() - tensor.bytes.size(),
                          tensor.bytes.size()),
              0)
        << name;
    ++cases;
  }
  EXPECT_EQ(cases, 10);
}

TEST(Gguf, ATinyModelBecomesACheckpointInHuggingFacesWords) {
  const Checkpoint model = read_model(tiny_gguf_model());
  EXPECT_EQ(model.format, "gguf");
  EXPECT_EQ(model.config.at("model_type"), "qwen2");
  EXPECT_EQ(model.config.at("hidden_size"), 8);
  EXPECT_EQ(model.config.at("head_dim"), 4);
  EXPECT_EQ(model.config.at("num_key_value_heads"), 1);
  EXPECT_EQ(model.config.at("vocab_size"), 4);
  EXPECT_EQ(model.config.at("tie_word_embeddings"), true);
  EXPECT_EQ(model.config.at("rope_interleaved"), false);
  EXPECT_EQ(model.config.at("rope_theta"), 1e6);
  EXPECT_EQ(model.config.at("eos_token_id"), 3);
  EXPECT_EQ(model.generation_config.at("eos_token_id"), 3);
  EXPECT_EQ(model.chat_template, "{{ messages[0].content }}");
  EXPECT_EQ(model.gguf_metadata.at("general.architecture"), "qwen2");
  ASSERT_TRUE(model.gguf_tokenizer);
  EXPECT_THAT(model.gguf_tokenizer->tokens, ElementsAre("a", "b", "ab", "<|end|>"));
  EXPECT_THAT(model.gguf_tokenizer->merges, ElementsAre("a b"));
  EXPECT_THAT(model.gguf_tokenizer->token_types, ElementsAre(1, 1, 1, 3));
  EXPECT_THAT(model.tensor("model.layers.0.self_attn.q_proj.weight").shape, ElementsAre(8, 8));
  EXPECT_THAT(model.tensor("model.embed_tokens.weight").shape, ElementsAre(4, 8));
  EXPECT_THAT(error_of([&] { (void)model.tensor("lm_head.weight"); }), HasSubstr("lm_head.weight"));
}

TEST(Gguf, LlamaIsMarkedAsInterleavedAndVersionTwoIsRead) {
  GgufBuilder builder = tiny_gguf_model("llama");
  builder.version = 2;
  EXPECT_EQ(read_model(builder).config.at("rope_interleaved"), true);
}

TEST(Gguf, WhatTheMetadataSaysOfScalingSamplingAndEndIsKept) {
  GgufBuilder builder = tiny_gguf_model();
  builder.text("qwen2.rope.scaling.type", "yarn").f32("qwen2.rope.scaling.factor", 4);
  builder.u32("qwen2.rope.scaling.original_context_length", 32);
  builder.u32("tokenizer.ggml.eot_token_id", 2).u32("tokenizer.ggml.padding_token_id", 0xFFFFFFFF);
  builder.f32("general.sampling.temp", 0.5F).u32("general.sampling.top_k", 20);
  const Checkpoint model = read_model(builder);
  EXPECT_EQ(model.config.at("rope_scaling"),
            (boost::json::object{
                {"rope_type", "yarn"}, {"factor", 4.0}, {"original_max_position_embeddings", 32}}));
  EXPECT_EQ(model.config.at("eos_token_id"), (boost::json::array{3, 2}));
  EXPECT_FALSE(model.config.contains("pad_token_id"));
  EXPECT_EQ(model.generation_config.at("temperature"), 0.5);
  EXPECT_EQ(model.generation_config.at("top_k"), 20);
  EXPECT_EQ(model.generation_config.at("do_sample"), true);
}

TEST(Gguf, ASizeGivenForEachLayerIsTakenWhenAllAgree) {
  const auto with_heads = [](std::uint32_t a, std::uint32_t b) {
    GgufBuilder builder = tiny_gguf_model();
    builder.pair("qwen2.attention.key_length", 9,
                 raw<std::uint32_t>(4) + raw<std::uint64_t>(2) + raw(a) + raw(b));
    return builder;
  };
  EXPECT_EQ(read_model(with_heads(4, 4)).config.at("head_dim"), 4);
  EXPECT_THAT(error_for(with_heads(4, 8)), HasSubstr("differs between layers"));
}

TEST(Gguf, NamesAreTranslated) {
  EXPECT_EQ(to_hugging_face_name("blk.12.ffn_down.weight"), "model.layers.12.mlp.down_proj.weight");
  EXPECT_EQ(to_hugging_face_name("blk.0.attn_q.bias"), "model.layers.0.self_attn.q_proj.bias");
  EXPECT_EQ(to_hugging_face_name("output_norm.weight"), "model.norm.weight");
  EXPECT_EQ(to_hugging_face_name("output.weight"), "lm_head.weight");
  for (const char* name :
       {"rope_freqs.weight", "blk.x.attn_q.weight", "blk.1.attn_q", "blk.1", "blk..attn_q.weight", "", "."}) {
    EXPECT_EQ(to_hugging_face_name(name), name);
  }
}

TEST(Gguf, AnUnknownArchitectureIsNamedWithTheKnownOnes) {
  const std::string error = error_for(tiny_gguf_model("mamba"));
  EXPECT_THAT(error, HasSubstr("'mamba'"));
  EXPECT_THAT(error, HasSubstr("qwen2, llama and qwen3"));
}

TEST(Gguf, WrongMagicVersionAndByteOrderAreTold) {
  EXPECT_THAT(error_of([] { read_gguf(as_blob("GGML")); }), HasSubstr("not a GGUF file"));
  EXPECT_THAT(error_of([] { read_gguf(as_blob("")); }), HasSubstr("not a GGUF file"));
  GgufBuilder builder = tiny_gguf_model();
  builder.version = 1;
  EXPECT_THAT(error_for(builder), HasSubstr("version 1"));
  builder.version = 0x03000000;
  EXPECT_THAT(error_for(builder), HasSubstr("big-endian"));
}

TEST(Gguf, TensorsThatLieAreNamed) {
  const auto with = [](const std::vector<std::uint64_t>& dimensions, std::uint32_t type,
                       std::uint64_t offset) {
    GgufBuilder builder;
    builder.zeros("first", {8}).info("bad", dimensions, type, offset);
    builder.data.resize(64);
    std::string error = error_for(builder);
    EXPECT_THAT(error, HasSubstr("'bad'"));
    return error;
  };
  EXPECT_THAT(with({64}, 0, 32), HasSubstr("truncated"));
  EXPECT_THAT(with({8}, 0, ~0ULL - 31), HasSubstr("truncated"));
  EXPECT_THAT(with({8}, 0, 8), HasSubstr("not aligned"));
  EXPECT_THAT(with({4}, 0, 0), HasSubstr("overlaps"));
  EXPECT_THAT(with({1, 1, 1, 1, 1}, 0, 32), HasSubstr("5 dimensions"));
  EXPECT_THAT(with({~0ULL}, 0, 32), HasSubstr("impossible shape"));
  EXPECT_THAT(with({1ULL << 33U, 1ULL << 33U}, 0, 32), HasSubstr("impossible shape"));
  EXPECT_THAT(with({1ULL << 62U}, 0, 32), HasSubstr("impossible shape"));
  EXPECT_THAT(with({31}, 8, 32), HasSubstr("blocks do not fill"));
  EXPECT_THAT(with({8}, 10, 32), HasSubstr("Q2_K"));
  EXPECT_THAT(with({8}, 999, 32), HasSubstr("number 999"));
}

TEST(Gguf, ATensorFollowsTheOneBeforeItWithoutAGap) {
  GgufBuilder gap;
  gap.zeros("first", {8}).info("second", {8}, 0, 64);
  gap.data.resize(96);
  EXPECT_THAT(error_for(gap), HasSubstr("'second' follows a gap"));
  GgufBuilder late;
  late.info("first", {8}, 0, 32);
  late.data.resize(64);
  EXPECT_THAT(error_for(late), HasSubstr("'first' follows a gap"));
  GgufBuilder smaller;  // 64 halves that were 64 floats
  smaller.info("first", {64}, 1, 0).info("second", {8}, 0, 256);
  smaller.data.resize(288);
  EXPECT_THAT(error_for(smaller), HasSubstr("'second' follows a gap"));
}

TEST(Gguf, NumbersThatJsonLacksAreNullInTheMetadata) {
  GgufBuilder builder = tiny_gguf_model();
  builder.f32("a", std::nanf("")).f32("b", HUGE_VALF).f32("c", 0.5F);
  builder.pair("d", 9, raw<std::uint32_t>(6) + raw<std::uint64_t>(2) + raw(HUGE_VALF) + raw(2.0F));
  const boost::json::object metadata = read_model(builder).gguf_metadata;
  EXPECT_TRUE(metadata.at("a").is_null());
  EXPECT_TRUE(metadata.at("b").is_null());
  EXPECT_EQ(metadata.at("c"), boost::json::value(0.5));
  EXPECT_EQ(metadata.at("d"), (boost::json::array{nullptr, 2.0}));
}

TEST(Gguf, CountsAndTypesThatLieAreFound) {
  GgufBuilder many_tensors = tiny_gguf_model();
  many_tensors.num_tensors = 1ULL << 60U;
  EXPECT_THAT(error_for(many_tensors), HasSubstr("tensors"));
  GgufBuilder many_pairs = tiny_gguf_model();
  many_pairs.num_pairs = 1ULL << 60U;
  EXPECT_THAT(error_for(many_pairs), HasSubstr("metadata pairs"));
  const auto array = [](std::uint32_t type, std::uint64_t count, const std::string& bytes) {
    return error_for(GgufBuilder().pair("k", 9, raw(type) + raw(count) + bytes));
  };
  EXPECT_THAT(array(4, 1ULL << 62U, ""), HasSubstr("'k'"));
  EXPECT_THAT(array(8, 1ULL << 62U, ""), HasSubstr("'k'"));
  EXPECT_THAT(array(13, 1, ""), HasSubstr("unknown type 13"));
  std::string nested;
  for (int i = 0; i < 1000; ++i) nested += raw<std::uint32_t>(9) + raw<std::uint64_t>(1);
  EXPECT_THAT(error_for(GgufBuilder().pair("k", 9, nested)), HasSubstr("too deeply"));
  EXPECT_THAT(error_for(GgufBuilder().pair("k", 77, "")), HasSubstr("unknown type 77"));
  EXPECT_THAT(error_for(GgufBuilder().u32("k", 1).u32("k", 2)), HasSubstr("'k' occurs twice"));
  EXPECT_THAT(error_for(GgufBuilder().zeros("t", {1}).zeros("t", {1})), HasSubstr("'t' is listed twice"));
  EXPECT_THAT(error_for(GgufBuilder().u32("general.alignment", 0)), HasSubstr("alignment"));
  EXPECT_THAT(error_for(GgufBuilder().u32("general.alignment", 48)), HasSubstr("alignment"));
}

TEST(Gguf, AnAlignmentThatIsNoMultipleOfEightIsRefused) {
  for (const std::uint32_t alignment : {1U, 2U, 4U}) {
    EXPECT_THAT(error_for(GgufBuilder().u32("general.alignment", alignment)),
                HasSubstr("general.alignment is not a power of two from 8 to 65536"));
  }
  EXPECT_THAT(error_for(GgufBuilder().u32("general.alignment", 8)), Not(HasSubstr("alignment")));
}

TEST(Gguf, ASenselessModelIsRefused) {
  EXPECT_THAT(error_for(GgufBuilder()), HasSubstr("general.architecture"));
  EXPECT_THAT(error_for(GgufBuilder().text("general.architecture", "qwen2")),
              HasSubstr("qwen2.embedding_length"));
  const auto with = [](const std::string& key, std::uint32_t type, const std::string& value) {
    GgufBuilder builder = tiny_gguf_model();
    return error_for(builder.pair(key, type, value));
  };
  EXPECT_THAT(with("qwen2.expert_count", 4, raw<std::uint32_t>(8)), HasSubstr("mixture of experts"));
  EXPECT_THAT(with("qwen2.attention.key_length", 4, raw<std::uint32_t>(0)),
              HasSubstr("not a positive number"));
  EXPECT_THAT(with("qwen2.attention.value_length", 4, raw<std::uint32_t>(5)), HasSubstr("differ in length"));
  EXPECT_THAT(with("qwen2.rope.dimension_count", 4, raw<std::uint32_t>(2)), HasSubstr("part of each head"));
  EXPECT_THAT(with("tokenizer.ggml.bos_token_id", 4, raw<std::uint32_t>(4)), HasSubstr("bos_token_id' is 4"));
  EXPECT_THAT(with("tokenizer.ggml.add_bos_token", 4, raw<std::uint32_t>(1)), HasSubstr("add_bos_token"));
  EXPECT_THAT(with("tokenizer.ggml.eos_token_ids", 4, raw<std::uint32_t>(1)), HasSubstr("eos_token_ids"));
  EXPECT_THAT(
      with("tokenizer.ggml.eos_token_ids", 9, raw<std::uint32_t>(6) + raw<std::uint64_t>(1) + raw(1.0F)),
      HasSubstr("eos_token_ids' is not a list of token ids"));
  EXPECT_THAT(with("qwen2.rope.scale_linear", 6, raw(1.0F / 0.0F)), HasSubstr("finite"));
}

TEST(Gguf, ATokenizerThatContradictsItselfIsRefused) {
  GgufBuilder base;
  for (const auto* key :
       {"context_length", "embedding_length", "block_count", "feed_forward_length", "attention.head_count"}) {
    base.u32(std::string("qwen2.") + key, 4);
  }
  base.f32("qwen2.attention.layer_norm_rms_epsilon", 1e-6F).text("general.architecture", "qwen2");
  base.zeros("token_embd.weight", {4, 2});
  EXPECT_FALSE(read_model(base).gguf_tokenizer);
  GgufBuilder sentencepiece = base;
  EXPECT_THAT(error_for(sentencepiece.text("tokenizer.ggml.model", "llama")), HasSubstr("kind 'llama'"));
  base.text("tokenizer.ggml.model", "gpt2");
  EXPECT_THAT(error_for(base), HasSubstr("tokenizer.ggml.tokens"));
  GgufBuilder without_merges = base;
  EXPECT_THAT(error_for(without_merges.texts("tokenizer.ggml.tokens", {"a"})), HasSubstr("merges"));
  base.texts("tokenizer.ggml.merges", {});
  GgufBuilder types = base;
  types.texts("tokenizer.ggml.tokens", {"a"});
  EXPECT_THAT(
      error_for(types.pair("tokenizer.ggml.token_type", 9, raw<std::uint32_t>(5) + raw<std::uint64_t>(0))),
      HasSubstr("token_type"));
  EXPECT_THAT(error_for(base.texts("tokenizer.ggml.tokens", {"a", "b", "c"})), HasSubstr("3 tokens"));
}

}  // namespace
}  // namespace touchstone
