// Models whose files can be read, but hold what no model may hold.
#include <gmock/gmock.h>

#include <fstream>
#include <limits>

#include "base/error.h"
#include "engine/check_logits.h"
#include "engine/engine.h"
#include "engine/load.h"
#include "engine/score.h"
#include "engine_golden.h"

namespace touchstone {
namespace {

namespace fs = std::filesystem;
using boost::json::object;
using ::testing::AllOf;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::StartsWith;

/// The error's line, as the program prints it.
template <typename Run>
std::string error_line(Run run) {
  try {
    run();
  } catch (const Error& error) {
    return std::string(error.what()) + "; " + error.hint();
  }
  return "no error";
}

/// A copy of a golden checkpoint with one file of weights in float32.
class DamagedModel : public ::testing::Test {
 protected:
  void SetUp() override {
    for (const auto& entry : fs::directory_iterator(testing::golden_dir() / "models" / "qwen2-tied")) {
      write(entry.path().filename().string(), testing::read_file(entry.path()));
    }
  }
  std::string id() const { return folder_.path().string(); }
  void write(const std::string& name, const std::string& bytes) const {
    std::ofstream(folder_.path() / name, std::ios::binary) << bytes;
  }
  std::string read(const std::string& name) const { return testing::read_file(folder_.path() / name); }
  LoadedModel load() const { return load_model(id(), {}); }

  /// Every weight becomes NaN (all ones).
  void damage_weights() const {
    std::string bytes = read("model.safetensors");
    std::uint64_t header = 0;
    std::memcpy(&header, bytes.data(), sizeof header);
    const std::size_t begin = sizeof header + header;
    bytes.replace(begin, std::string::npos, bytes.size() - begin, '\xFF');
    write("model.safetensors", bytes);
  }

 private:
  testing::TemporaryFolder folder_;
};

TEST_F(DamagedModel, WeightsThatAreNotNumbersGiveAnErrorAndNoAnswer) {
  damage_weights();
  Engine engine(std::make_shared<LoadedModel>(load()), {});
  for (const float temperature : {0.0F, 1.0F}) {
    GenerateRequest request;
    request.prompt_ids = {1, 2, 3};
    request.sampling.temperature = temperature;
    request.sampling.max_new_tokens = 4;
    EXPECT_THAT(error_line([&] { engine.generate(request); }),
                AllOf(StartsWith("model " + id()), HasSubstr("not finite"), HasSubstr("download")));
    EXPECT_TRUE(engine.idle());
    EXPECT_EQ(engine.free_blocks(), engine.num_blocks());
  }
}

TEST_F(DamagedModel, WeightsThatAreNotNumbersGiveAnErrorAndNoScore) {
  damage_weights();
  const LoadedModel model = load();
  const std::vector<std::int32_t> ids = {1, 2, 3};
  int positions = 0;
  const auto score = [&] {
    score_ids(*model.transformer, ids, 1, [&](const ScoredPosition&) { ++positions; }, {});
  };
  EXPECT_THAT(error_line(score), HasSubstr("not finite"));
  EXPECT_EQ(positions, 0);
}

TEST(CheckLogits, OneThatIsNotFiniteAnywhereIsAnError) {
  constexpr float kMax = std::numeric_limits<float>::max();
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  std::vector<float> logits(1003, -1.5F);
  logits[17] = kMax;
  logits[18] = -kMax;
  logits[19] = std::numeric_limits<float>::denorm_min();
  EXPECT_NO_THROW(check_logits(logits, "the model"));
  EXPECT_NO_THROW(check_logits({}, "the model"));
  for (const float bad : {std::numeric_limits<float>::quiet_NaN(), kInfinity, -kInfinity}) {
    for (const std::size_t at : {std::size_t{0}, std::size_t{500}, logits.size() - 1}) {
      std::vector<float> damaged = logits;
      damaged[at] = bad;
      EXPECT_THROW(check_logits(damaged, "the model"), Error) << bad << " at " << at;
    }
  }
}

TEST_F(DamagedModel, ErrorsOfTheTokenizerNameTheModelAndSayWhatToDo) {
  const object whole = boost::json::parse(read("tokenizer.json")).as_object();
  for (const char* field :
       {"added_tokens", "normalizer", "pre_tokenizer", "post_processor", "decoder", "model"}) {
    object damaged = whole;
    damaged[field] = 5;
    write("tokenizer.json", boost::json::serialize(damaged));
    EXPECT_THAT(error_line([&] { load(); }), AllOf(StartsWith(id() + ": tokenizer.json: "), HasSubstr(field),
                                                   HasSubstr("; the tokenizer")));
  }
}

TEST_F(DamagedModel, ErrorsOfTheTemplateNameTheModel) {
  write("chat_template.jinja", "{% if %}");
  EXPECT_THAT(error_line([&] { load(); }),
              AllOf(StartsWith(id() + ": chat template, line 1: "), EndsWith("; correct the template")));
}

TEST_F(DamagedModel, SamplingDefaultsOfAnotherTypeAreNamedAndNotSkipped) {
  const std::string head = R"({"do_sample":true,")";
  for (const char* field :
       {"temperature", "top_p", "top_k", "min_p", "repetition_penalty", "max_new_tokens"}) {
    write("generation_config.json", head + field + R"(":"0.5"})");
    EXPECT_THAT(error_line([&] { load(); }),
                AllOf(StartsWith(id() + ": generation_config.json: " + field), HasSubstr("not a number; ")));
    write("generation_config.json", head + field + R"(":null})");
    EXPECT_NO_THROW(load()) << field;
  }
  write("generation_config.json", R"({"do_sample":"false"})");
  EXPECT_THAT(error_line([&] { load(); }), HasSubstr("do_sample is not true or false; "));
}

TEST_F(DamagedModel, StopIdsOfAnotherTypeAreNamedAndNotSkipped) {
  for (const char* ids : {R"("7")", "7.5", "{}", "true", R"(["<|im_end|>"])", "[[7]]"}) {
    write("generation_config.json", std::string(R"({"eos_token_id":)") + ids + "}");
    EXPECT_THAT(
        error_line([&] { load(); }),
        AllOf(StartsWith(id() + ": generation_config.json: eos_token_id"), EndsWith("remove the file")));
  }
  write("generation_config.json", R"({"eos_token_id":[7,8,-1,999999999]})");
  EXPECT_THAT(load().defaults.stop_ids, ::testing::IsSupersetOf({7, 8}));
  object config = boost::json::parse(read("config.json")).as_object();
  config["eos_token_id"] = "7";
  write("config.json", boost::json::serialize(config));
  EXPECT_THAT(error_line([&] { load(); }), StartsWith(id() + ": config.json: eos_token_id"));
}

}  // namespace
}  // namespace touchstone
