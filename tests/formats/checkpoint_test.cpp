#include "formats/checkpoint.h"

#include <gmock/gmock.h>

#include <chrono>
#include <cstdlib>
#include <fstream>
#include <stop_token>
#include <thread>

#include "formats/builders.h"
#include "formats/checked.h"
#include "formats/safetensors.h"
#include "support/golden.h"

namespace touchstone {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::ElementsAre;
using testing::error_of;
using ::testing::HasSubstr;
using testing::safetensors;
using testing::write_file;

std::string one_tensor(const std::string& name) {
  return safetensors("{\"" + name + R"(":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})",
                     name.substr(0, 4));
}

/// A folder with a model of the given weight files.
class HuggingFaceFolder : public ::testing::Test {
 protected:
  void SetUp() override { write("config.json", R"({"model_type":"qwen2"})"); }
  void write(const std::string& name, const std::string& bytes) const {
    write_file(folder_.path() / name, bytes);
  }
  void resize(const std::string& name, std::uintmax_t bytes) const {
    fs::resize_file(folder_.path() / name, bytes);
  }
  void remove(const std::string& name) const { fs::remove(folder_.path() / name); }
  Checkpoint open() const { return open_checkpoint(folder_.path().string()); }
  std::string error() const {
    return error_of([&] { open(); });
  }

 private:
  testing::TemporaryFolder folder_;
};

TEST_F(HuggingFaceFolder, OneFileOfWeightsIsRead) {
  write("model.safetensors", one_tensor("weight"));
  write("generation_config.json", R"({"top_p":0.9})");
  const Checkpoint model = open();
  EXPECT_EQ(model.format, "safetensors");
  EXPECT_EQ(model.config.at("model_type"), "qwen2");
  EXPECT_EQ(model.generation_config.at("top_p"), 0.9);
  EXPECT_EQ(model.tensor("weight").dtype, DType::f32);
  EXPECT_FALSE(model.tokenizer_json);
  EXPECT_FALSE(model.chat_template);
}

TEST_F(HuggingFaceFolder, ShardsAreReadAsTheIndexSays) {
  write("model.safetensors.index.json",
        R"({"weight_map":{"aaaa":"m-1.safetensors","bbbb":"m-2.safetensors"}})");
  write("m-1.safetensors", one_tensor("aaaa"));
  EXPECT_THAT(error(), AllOf(HasSubstr("'m-2.safetensors'"), HasSubstr("missing")));
  write("m-2.safetensors", one_tensor("cccc"));
  EXPECT_THAT(error(), AllOf(HasSubstr("m-2.safetensors lacks"), HasSubstr("'bbbb'")));
  write("m-2.safetensors", one_tensor("bbbb"));
  const Checkpoint model = open();
  EXPECT_EQ(model.tensors.size(), 2U);
  EXPECT_EQ(std::memcmp(model.tensor("bbbb").bytes.data(), "bbbb", 4), 0);
  write("both.safetensors", one_tensor("aaaa") + "x");
  EXPECT_EQ(open().tensors.size(), 2U);
}

TEST_F(HuggingFaceFolder, ATensorOfAnotherDtypeIsNamedWhenItIsNeeded) {
  write("model.safetensors",
        safetensors(R"({"w":{"dtype":"I32","shape":[1],"data_offsets":[0,4]}})", "0123"));
  const Checkpoint model = open();
  EXPECT_EQ(model.find_tensor("w"), nullptr);
  EXPECT_THAT(error_of([&] { (void)model.tensor("w"); }), AllOf(HasSubstr("'w'"), HasSubstr("as I32")));
}

TEST_F(HuggingFaceFolder, AnIndexDoesNotLeadOutOfTheFolder) {
  for (const char* shard : {"../m.safetensors", "/etc/passwd", "..", ".", "", "a\\\\b", "a\\u0000b"}) {
    write("model.safetensors.index.json", R"({"weight_map":{"aaaa":")" + std::string(shard) + "\"}}");
    EXPECT_THAT(error(), AllOf(HasSubstr("'aaaa'"), HasSubstr("not in a file of this folder"))) << shard;
  }
  write("model.safetensors.index.json", R"({"weight_map":{"aaaa":3}})");
  EXPECT_THAT(error(), HasSubstr("not in a file of this folder"));
  write("model.safetensors.index.json", R"({"weight_map":[]})");
  EXPECT_THAT(error(), HasSubstr("no weight_map"));
}

TEST_F(HuggingFaceFolder, WhatIsMissingIsNamed) {
  EXPECT_THAT(error(), HasSubstr("no weights"));
  write("pytorch_model.bin", "");
  EXPECT_THAT(error(), AllOf(HasSubstr("'pytorch_model.bin'"), HasSubstr("safetensors")));
  remove("config.json");
  EXPECT_THAT(error(), HasSubstr("no config.json"));
}

TEST_F(HuggingFaceFolder, BrokenJsonIsNamed) {
  write("model.safetensors", one_tensor("weight"));
  for (const char* text : {"", "{", "[]", "3", "{\"a\":1}}", "\"\xff\""}) {
    write("config.json", text);
    EXPECT_THAT(error(), HasSubstr("config.json")) << text;
  }
  write("config.json", std::string(100000, '['));
  EXPECT_THAT(error(), HasSubstr("config.json"));
  write("config.json", "{}");
  write("tokenizer.json", "{");
  EXPECT_THAT(error(), HasSubstr("tokenizer.json"));
}

TEST_F(HuggingFaceFolder, JsonOfAbsurdlyManyValuesIsNamedAndNotRead) {
  std::string values = R"({"a":[1)";
  for (int i = 0; i < 8'000'001; ++i) values += ",1";
  values += "]}";
  write("model.safetensors", safetensors(values, ""));
  EXPECT_THAT(error(), AllOf(HasSubstr("model.safetensors"), HasSubstr("many values")));
  write("config.json", values);
  EXPECT_THAT(error(), AllOf(HasSubstr("config.json"), HasSubstr("8000000 values")));
}

TEST_F(HuggingFaceFolder, ANumberBeyondFloat64IsNamed) {
  write("model.safetensors", one_tensor("weight"));
  for (const char* bytes : {R"({"a":1e999})", R"({"a":[{"b":[0,-1e400]}]})"}) {
    write("generation_config.json", bytes);
    EXPECT_THAT(error(), AllOf(HasSubstr("generation_config.json"), HasSubstr("too large"))) << bytes;
  }
  write("generation_config.json", R"({"a":1e308,"b":[5e-324,18446744073709551615]})");
  EXPECT_EQ(open().generation_config.at("a"), 1e308);
}

TEST_F(HuggingFaceFolder, TheChatTemplateIsLookedForInOrder) {
  write("model.safetensors", one_tensor("weight"));
  write("tokenizer_config.json", R"({"chat_template":"from config"})");
  EXPECT_EQ(open().chat_template, "from config");
  write("tokenizer_config.json",
        R"({"chat_template":[{"name":"tool_use","template":"t"},{"name":"default","template":"d"}]})");
  EXPECT_EQ(open().chat_template, "d");
  write("tokenizer_config.json", R"({"chat_template":[{"name":"rag","template":"r"},3,{}]})");
  EXPECT_EQ(open().chat_template, "r");
  write("chat_template.json", R"({"chat_template":"from json"})");
  EXPECT_EQ(open().chat_template, "from json");
  write("chat_template.jinja", "from jinja");
  EXPECT_EQ(open().chat_template, "from jinja");
}

TEST_F(HuggingFaceFolder, AChatTemplateOfGigabytesIsNamedAndNotRead) {
  write("model.safetensors", one_tensor("weight"));
  write("chat_template.jinja", "");
  resize("chat_template.jinja", std::uintmax_t{1} << 40U);
  EXPECT_THAT(error(), AllOf(HasSubstr("chat_template.jinja"), HasSubstr("too large")));
}

TEST(MakeOneLine, LeavesNothingThatMovesTheCursorOrEndsTheLine) {
  EXPECT_EQ(make_one_line("tensor \"größe\" 你好"), "tensor \"größe\" 你好");
  EXPECT_EQ(make_one_line("a\nb\rc\x1B[31md\x7F"), "a?b?c?[31md?");
  EXPECT_EQ(make_one_line(std::string_view("nul\0.", 5)), "nul?.");
  EXPECT_EQ(make_one_line("a\u009B31mb\u0085c\u2028d\u2029e\u00A0f"), "a?31mb?c?d?e\u00A0f");
  EXPECT_EQ(make_one_line("\xFF\xC3(\xE2\x80"), "\uFFFD\uFFFD(\uFFFD\uFFFD");
}

TEST(Checkpoint, TheHashIsThatOfTheWeightsInOrderOfName) {
  Checkpoint model;
  model.blobs = {testing::as_blob("c", "b.safetensors"), testing::as_blob("ab", "a.safetensors")};
  EXPECT_EQ(compute_sha256(model), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

TEST_F(HuggingFaceFolder, TheKeptHashIsThatOfTheFilesAsTheyAre) {
  const testing::TemporaryFolder cache;
  setenv("XDG_CACHE_HOME", cache.path().c_str(), 1);
  unsetenv("TOUCHSTONE_CACHE_BYTES");
  const auto grow_old = [] { std::this_thread::sleep_for(std::chrono::milliseconds(150)); };
  write("model.safetensors", one_tensor("weight"));
  grow_old();
  const std::string first = find_sha256(open());
  EXPECT_EQ(first, compute_sha256(open()));
  const std::filesystem::path file =
      std::filesystem::directory_iterator(cache.path() / "touchstone/sha256")->path();
  const std::string other(64, 'a');
  std::ofstream(file) << other;
  EXPECT_EQ(find_sha256(open()), other) << "it was computed again";
  std::ofstream(file) << "damaged";
  EXPECT_EQ(find_sha256(open()), first);
  write("model.safetensors", one_tensor("other"));
  EXPECT_EQ(find_sha256(open()), compute_sha256(open())) << "of a file too young to be known by its stamp";
  grow_old();
  EXPECT_EQ(find_sha256(open()), compute_sha256(open()));
  EXPECT_NE(find_sha256(open()), first);
  setenv("TOUCHSTONE_CACHE_BYTES", "0", 1);
  unsetenv("XDG_CACHE_HOME");
}

TEST(Checkpoint, HashingEndsWhenToldTo) {
  Checkpoint model;
  model.blobs = {testing::as_blob("abc", "a.safetensors")};
  std::stop_source source;
  source.request_stop();
  EXPECT_EQ(compute_sha256(model, source.get_token()), "");
}

TEST(Checkpoint, AFolderOfTokenizerFilesIsEnoughForText) {
  const testing::TemporaryFolder folder;
  write_file(folder.path() / "tokenizer.json", R"({"model":{}})");
  const Checkpoint model = open_without_weights(folder.path().string());
  EXPECT_TRUE(model.tokenizer_json);
  EXPECT_TRUE(model.config.empty());
}

TEST(Checkpoint, TheBuiltInModelsOpenWhereTheyAreBuiltIn) {
  for (const CachedModel& model : list_cached_models()) {
    if (model.where != "built-in") continue;
    const Checkpoint checkpoint = open_checkpoint(model.id);
    EXPECT_FALSE(checkpoint.tensors.empty());
    EXPECT_TRUE(checkpoint.tokenizer_json);
  }
}

TEST(Checkpoint, SplitGgufModelsAreReadWhole) {
  const testing::TemporaryFolder folder;
  testing::GgufBuilder first = testing::tiny_gguf_model();
  first.u32("split.count", 2);
  testing::GgufBuilder second;
  second.zeros("output.weight", {8, 4});
  const fs::path path = folder.path() / "m-00001-of-00002.gguf";
  write_file(path, first.build());
  EXPECT_THAT(error_of([&] { open_checkpoint(path.string()); }), HasSubstr("part 2 of 2 is missing"));
  write_file(folder.path() / "m-00002-of-00002.gguf", second.build());
  for (const fs::path& name : {path, folder.path() / "m-00002-of-00002.gguf", folder.path()}) {
    const Checkpoint model = open_checkpoint(name.string());
    EXPECT_EQ(model.blobs.size(), 2U);
    EXPECT_NE(model.find_tensor("lm_head.weight"), nullptr);
    EXPECT_EQ(model.config.at("tie_word_embeddings"), false);
  }
  const fs::path part = folder.path() / "m-00002-of-00002.gguf";
  fs::remove(part);
  fs::create_symlink(part, part);
  EXPECT_THAT(error_of([&] { open_checkpoint(path.string()); }), HasSubstr("cannot open " + part.string()));
  fs::remove(part);
  write_file(part, first.build());
  EXPECT_THAT(error_of([&] { open_checkpoint(path.string()); }), HasSubstr("listed twice"));
  fs::rename(path, folder.path() / "other.gguf");
  EXPECT_THAT(error_of([&] { open_checkpoint((folder.path() / "other.gguf").string()); }),
              HasSubstr("one of 2 parts"));
}

TEST(Checkpoint, ANumberOfGgufPartsThatIsNoneIsRefused) {
  const testing::TemporaryFolder folder;
  const fs::path path = folder.path() / "m.gguf";
  for (const std::uint32_t type : {5U, 6U}) {
    write_file(path, testing::tiny_gguf_model().pair("split.count", type, testing::raw(-2)).build());
    EXPECT_THAT(error_of([&] { open_checkpoint(path.string()); }), HasSubstr("'split.count'"));
  }
}

TEST(Golden, EveryModelOpensWithItsConfigTokenizerTemplateAndWeights) {
  int cases = 0;
  for (const char* kind : {"models", "gguf"}) {
    if (!fs::is_directory(testing::golden_dir() / kind)) continue;
    for (const auto& entry : fs::directory_iterator(testing::golden_dir() / kind)) {
      SCOPED_TRACE(entry.path());
      const bool is_gguf = std::string(kind) == "gguf";
      const fs::path path =
          is_gguf ? entry.path() / (entry.path().filename().string() + ".gguf") : entry.path();
      const Checkpoint model = open_checkpoint(path.string());
      EXPECT_EQ(model.format, is_gguf ? "gguf" : "safetensors");
      const std::int64_t vocab_size = model.config.at("vocab_size").as_int64();
      const std::int64_t hidden_size = model.config.at("hidden_size").as_int64();
      EXPECT_THAT(model.tensor("model.embed_tokens.weight").shape, ElementsAre(vocab_size, hidden_size));
      for (std::int64_t layer = 0; layer < model.config.at("num_hidden_layers").as_int64(); ++layer) {
        const std::string prefix = "model.layers." + std::to_string(layer);
        EXPECT_EQ(model.tensor(prefix + ".mlp.down_proj.weight").shape.front(), hidden_size);
        EXPECT_EQ(model.tensor(prefix + ".self_attn.q_proj.weight").shape.back(), hidden_size);
      }
      EXPECT_EQ(model.find_tensor("lm_head.weight") == nullptr,
                model.config.at("tie_word_embeddings").as_bool());
      EXPECT_TRUE(model.chat_template);
      EXPECT_EQ(model.gguf_tokenizer.has_value(), is_gguf);
      EXPECT_EQ(model.tokenizer_json.has_value(), !is_gguf);
      const Blob expected = map_file(entry.path() / "expected.safetensors");
      EXPECT_FALSE(read_safetensors(expected).tensors.empty());
      ++cases;
    }
  }
  EXPECT_GT(cases, 0);
}

}  // namespace
}  // namespace touchstone
