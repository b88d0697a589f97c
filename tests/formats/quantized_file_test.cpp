#include "formats/quantized_file.h"

#include <gtest/gtest.h>

#include <fstream>

#include "formats/builders.h"
#include "support/golden.h"

namespace touchstone {
namespace {

using testing::TemporaryFolder;

const std::vector<PlannedTensor> kPlan = {{"matrix8", DType::int8_128, {3, 200}},
                                          {"matrix6", DType::int6_128, {2, 128}},
                                          {"matrix4", DType::int4_128, {2, 128}},
                                          {"vector", DType::f32, {5}}};
constexpr std::size_t kDataBytes = 3 * 2 * 132 + 2 * 100 + 2 * 72 + 5 * 4;

Checkpoint make_source() {
  Checkpoint source;
  source.id = "source";
  source.config = {{"model_type", "qwen2"}, {"rms_norm_eps", 1e-6}};
  source.generation_config = {{"top_p", 0.5}};
  source.chat_template = "{{ messages }} é";
  GgufTokenizer tokenizer;
  tokenizer.pre = "qwen2";
  tokenizer.tokens = {"a", "b", "Ġ\"c\""};
  tokenizer.token_types = {1, 1, 3};
  tokenizer.merges = {"a b"};
  tokenizer.eos_id = 2;
  tokenizer.eog_ids = {1};
  tokenizer.add_bos = true;
  source.gguf_tokenizer = tokenizer;
  return source;
}

std::string make_file() {
  return make_quantized_header(make_source(), kPlan) + std::string(kDataBytes, '\1');
}

Checkpoint read(const std::string& bytes) {
  const TemporaryFolder folder;
  const std::filesystem::path path = folder.path() / "model.safetensors";
  std::ofstream(path, std::ios::binary) << bytes;
  return open_checkpoint(path.string());
}

/// The file with one text of its header replaced by another of the same length.
std::string replace(std::string file, const std::string& from, const std::string& to) {
  EXPECT_EQ(from.size(), to.size());
  const std::size_t at = file.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return file.replace(at, from.size(), to);
}

std::string refusal_of(const std::string& file) {
  try {
    read(file);
  } catch (const Error& error) {
    return std::string(error.what()) + "; " + error.hint();
  }
  return "no error";
}

TEST(QuantizedFile, GivesBackWhatWasWritten) {
  const Checkpoint read_back = read(make_file());
  const Checkpoint source = make_source();
  EXPECT_EQ(read_back.format, "touchstone");
  EXPECT_EQ(read_back.config, source.config);
  EXPECT_EQ(read_back.generation_config, source.generation_config);
  EXPECT_EQ(read_back.chat_template, source.chat_template);
  EXPECT_FALSE(read_back.tokenizer_json.has_value());
  ASSERT_TRUE(read_back.gguf_tokenizer.has_value());
  EXPECT_EQ(read_back.gguf_tokenizer->tokens, source.gguf_tokenizer->tokens);
  EXPECT_EQ(read_back.gguf_tokenizer->token_types, source.gguf_tokenizer->token_types);
  EXPECT_EQ(read_back.gguf_tokenizer->merges, source.gguf_tokenizer->merges);
  EXPECT_EQ(read_back.gguf_tokenizer->eos_id, 2);
  EXPECT_EQ(read_back.gguf_tokenizer->bos_id, std::nullopt);
  EXPECT_EQ(read_back.gguf_tokenizer->eog_ids, std::vector<std::int32_t>{1});
  EXPECT_TRUE(read_back.gguf_tokenizer->add_bos);
  for (const PlannedTensor& planned : kPlan) {
    const Tensor& tensor = read_back.tensor(planned.name);
    EXPECT_EQ(tensor.dtype, planned.dtype);
    EXPECT_EQ(tensor.shape, planned.shape);
  }
  EXPECT_EQ(read_back.tensor("matrix8").bytes.size(), 3U * 2 * 132);
}

TEST(QuantizedFile, IsRefusedWhereverItIsCutOff) {
  const std::string file = make_file();
  for (std::size_t length = 0; length < file.size(); length += 7) {
    EXPECT_NE(refusal_of(file.substr(0, length)), "no error") << length;
  }
}

TEST(QuantizedFile, IsRefusedWhenItsDescriptionDoesNotFit) {
  const std::string file = make_file();
  const std::string described = R"(\"columns\":200)";
  EXPECT_NE(refusal_of(replace(file, described, R"(\"columns\":300)")), "no error");
  EXPECT_NE(refusal_of(replace(file, described, R"(\"columns\":-20)")), "no error");
  EXPECT_NE(refusal_of(replace(file, described, R"(\"columns\":1e9)")), "no error");
  EXPECT_NE(refusal_of(replace(file, described, R"(\"columnz\":200)")), "no error");
  EXPECT_NE(refusal_of(replace(file, R"(\"I8_128\")", R"(\"I9_128\")")), "no error");
  EXPECT_NE(refusal_of(replace(file, R"(\"matrix4\")", R"(\"matrix5\")")), "no error");
  EXPECT_NE(refusal_of(replace(file, R"("blocks")", R"("blockz")")), "no error");
  EXPECT_NE(refusal_of(replace(file, R"("config")", R"("confih")")), "no error");
  EXPECT_NE(refusal_of(replace(file, R"(\"eos_id\":2)", R"(\"eos_id\":3)")), "no error");
  EXPECT_NE(refusal_of(replace(file, R"(\"token_types\":[1,)", R"(\"token_types\":[  )")), "no error");
  EXPECT_NE(refusal_of(replace(file, R"(\"merges\":[)", R"(\"merges\":{)")), "no error");
}

TEST(QuantizedFile, OfAnotherVersionIsNamedAsSuch) {
  const std::string file = replace(make_file(), R"("touchstone_version":"1")", R"("touchstone_version":"2")");
  EXPECT_NE(refusal_of(file).find("version '2'"), std::string::npos);
}

TEST(QuantizedFile, AnotherSafetensorsFileIsOnlyAPartOfAModel) {
  const std::string file =
      testing::safetensors(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})", "abcd");
  EXPECT_NE(refusal_of(file).find("is one file of a model; name the folder"), std::string::npos);
}

TEST(QuantizedFile, IsNotMadeOfTextsThatAreNotUtf8) {
  Checkpoint source = make_source();
  source.chat_template = "\xff";
  EXPECT_THROW(make_quantized_header(source, kPlan), Error);
}

}  // namespace
}  // namespace touchstone
