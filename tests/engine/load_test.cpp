#include "engine/load.h"

#include <gmock/gmock.h>

#include <fstream>

#include "base/error.h"
#include "engine/prompt.h"
#include "engine/score.h"
#include "engine_golden.h"

namespace touchstone {
namespace {

namespace fs = std::filesystem;
using boost::json::object;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

Checkpoint open_some() { return open_without_weights(testing::golden_models().front().string()); }

SamplingParams defaults_of(object generation_config, object config = {}) {
  Checkpoint checkpoint = open_some();
  const Tokenizer tokenizer = load_tokenizer(checkpoint);
  checkpoint.generation_config = std::move(generation_config);
  checkpoint.config = std::move(config);
  return load_defaults(checkpoint, tokenizer);
}

TEST(Defaults, AreOursWhereTheFilesNameNoSampling) {
  const SamplingParams params = defaults_of({{"eos_token_id", 3}, {"transformers_version", "5.0"}});
  EXPECT_EQ(params.temperature, 0.6F);
  EXPECT_EQ(params.top_p, 0.95F);
  EXPECT_EQ(params.top_k, 0);
  EXPECT_EQ(params.max_new_tokens, 1024);
  EXPECT_EQ(params.repetition_penalty, 1.0F);
}

TEST(Defaults, AreTheFilesWhereTheyNameThem) {
  const SamplingParams params = defaults_of({{"do_sample", true},
                                             {"temperature", 0.7},
                                             {"top_p", 0.8},
                                             {"top_k", 20},
                                             {"min_p", 0.05},
                                             {"repetition_penalty", 1.1},
                                             {"max_new_tokens", 77}});
  EXPECT_EQ(params.temperature, 0.7F);
  EXPECT_EQ(params.top_p, 0.8F);
  EXPECT_EQ(params.top_k, 20);
  EXPECT_EQ(params.min_p, 0.05F);
  EXPECT_EQ(params.repetition_penalty, 1.1F);
  EXPECT_EQ(params.max_new_tokens, 77);
}

TEST(Defaults, AreGreedyWhereTheFileSaysNotToSample) {
  EXPECT_EQ(defaults_of({{"do_sample", false}, {"temperature", 0.7}}).temperature, 0.0F);
  EXPECT_EQ(defaults_of({{"temperature", 0}}).temperature, 0.0F);
}

TEST(Defaults, StopIdsComeFromEveryPlaceOnceAndOnlyKnownOnes) {
  const Tokenizer tokenizer = load_tokenizer(open_some());
  ASSERT_TRUE(tokenizer.eos_id().has_value());
  const std::int32_t eos = *tokenizer.eos_id();
  EXPECT_THAT(defaults_of({{"eos_token_id", {7, eos, 7, -1, 1 << 30, "8"}}}, {{"eos_token_id", 9}}).stop_ids,
              ElementsAre(7, eos, 9));
  EXPECT_THAT(defaults_of({}).stop_ids, ElementsAre(eos));
}

TEST(Defaults, ImpossibleOnesAreRefused) {
  EXPECT_THROW(defaults_of({{"temperature", -0.5}}), Error);
  EXPECT_THROW(defaults_of({{"top_p", 0}}), Error);
  EXPECT_THROW(defaults_of({{"top_p", 1.5}}), Error);
  EXPECT_THROW(defaults_of({{"min_p", -1}}), Error);
  EXPECT_THROW(defaults_of({{"repetition_penalty", 0}}), Error);
}

/// A copy of a golden checkpoint that a test may damage.
class CopiedModel {
 public:
  CopiedModel() {
    for (const auto& entry : fs::directory_iterator(testing::golden_models().front())) {
      std::ofstream(path(entry.path().filename().string()), std::ios::binary)
          << testing::read_file(entry.path());
    }
  }
  fs::path path(const std::string& name) const { return folder_.path() / name; }

  std::string load_error() const {
    try {
      load_model(folder_.path().string(), {});
    } catch (const Error& error) {
      return error.what();
    }
    return "loaded";
  }

 private:
  testing::TemporaryFolder folder_;
};

TEST(LoadModel, NamesWhatIsMissingOrDoesNotFit) {
  const CopiedModel model;
  EXPECT_EQ(model.load_error(), "loaded");

  const std::string tokenizer = testing::read_file(model.path("tokenizer.json"));
  fs::remove(model.path("tokenizer.json"));
  EXPECT_THAT(model.load_error(), HasSubstr("tokenizer"));

  object changed = boost::json::parse(tokenizer).as_object();
  object far = changed.at("added_tokens").as_array().front().as_object();
  far["id"] = changed.at("model").at("vocab").as_object().size() + 100;
  far["content"] = "<|far|>";
  changed.at("added_tokens").as_array().push_back(far);
  std::ofstream(model.path("tokenizer.json")) << boost::json::serialize(changed);
  EXPECT_THAT(model.load_error(), AllOf(HasSubstr("tokenizer"), HasSubstr("embedding")));

  std::ofstream(model.path("tokenizer.json")) << tokenizer;
  std::ofstream(model.path("chat_template.jinja")) << "{% if %}";
  EXPECT_THAT(model.load_error(), HasSubstr("template"));
}

TEST(Prompts, OfALoadedModelAreThoseOfItsFiles) {
  std::size_t cases = 0;
  for (const auto& folder : testing::golden_models()) {
    const Checkpoint checkpoint = open_without_weights(folder.string());
    const LoadedModel model = load_model(folder.string(), {});
    for (const bool raw : {false, true}) {
      const Prompt from_files = make_prompt(make_prompter(checkpoint, raw), "How many?");
      const Prompt from_model = make_prompt(make_prompter(model, raw), "How many?");
      EXPECT_EQ(from_files.text, from_model.text);
      EXPECT_EQ(from_files.ids, from_model.ids);
      EXPECT_FALSE(from_files.ids.empty());
    }
    cases += checkpoint.chat_template ? 1 : 0;
  }
  EXPECT_GT(cases, 0U);
}

TEST(Prompts, ARawTextHasTheReferencesIdsWithItsSpecialTokensRead) {
  std::size_t cases = 0;
  for (const auto& folder : testing::golden_models()) {
    SCOPED_TRACE(folder.filename().string());
    const Prompter prompter = make_prompter(open_without_weights(folder.string()), true);
    const boost::json::value golden = testing::read_json(folder / "expected.json");
    for (const boost::json::value& expected : golden.at("prompts").as_array()) {
      const boost::json::value* text = expected.as_object().if_contains("text");
      if (text == nullptr || !text->is_string()) continue;
      EXPECT_EQ(make_raw_prompt(prompter, text->as_string()).ids, testing::to_ids(expected.at("ids")));
      cases += text->as_string().find("<|im_start|>") != std::string::npos ? 1U : 0U;
    }
  }
  EXPECT_GT(cases, 0U);
}

TEST(Prompts, ARawTextThatBeginsWithBosGetsNoSecondOne) {
  const Checkpoint checkpoint = open_without_weights((testing::golden_dir() / "r1_distill_qwen").string());
  const Prompter prompter = make_prompter(checkpoint, true);
  const Prompt bare = make_raw_prompt(prompter, "<｜User｜>2 + 2?<｜Assistant｜>");
  const Prompt whole = make_raw_prompt(prompter, "<｜begin▁of▁sentence｜><｜User｜>2 + 2?<｜Assistant｜>");
  EXPECT_EQ(bare.ids, whole.ids);
  EXPECT_EQ(bare.ids.front(), prompter.tokenizer.bos_id());
  EXPECT_TRUE(make_raw_prompt(prompter, "<｜Assistant｜><think>\n").reasoning_opened);
}

TEST(LoadModel, LooksAtNoTemplateForRawPrompts) {
  const CopiedModel model;
  std::ofstream(model.path("chat_template.jinja")) << "{% if %}";
  LoadOptions options;
  options.raw = true;
  EXPECT_FALSE(load_model(model.path("").string(), options).chat_template);
}

TEST(Prompts, ATemplateThatWritesBosGetsNoSecondOneAndItsOpenedThinkingIsSeen) {
  Checkpoint checkpoint = open_without_weights((testing::golden_dir() / "r1_distill_qwen").string());
  checkpoint.chat_template =
      testing::read_file(testing::golden_dir() / "chat/templates/deepseek-r1-distill-qwen.jinja");
  const Prompter prompter = make_prompter(checkpoint, false);
  const Prompt prompt = make_prompt(prompter, "2 + 2?");
  const std::int32_t bos = prompter.tokenizer.bos_id().value();
  EXPECT_EQ(std::count(prompt.ids.begin(), prompt.ids.end(), bos), 1);
  EXPECT_EQ(prompt.ids.front(), bos);
  EXPECT_TRUE(prompt.reasoning_opened);
  EXPECT_EQ(prompt.text, "<｜begin▁of▁sentence｜><｜User｜>2 + 2?<｜Assistant｜><think>\n");
}

TEST(Score, IsTheReferencesOnGoldenModels) {
  std::size_t cases = 0;
  for (const auto& folder : testing::golden_models()) {
    SCOPED_TRACE(folder.filename().string());
    const boost::json::value golden = testing::read_json(folder / "expected.json");
    const LoadedModel model = load_model(folder.string(), {});
    for (std::size_t i = 0; i < golden.at("prompts").as_array().size(); ++i) {
      const std::vector<std::int32_t> ids = testing::to_ids(golden.at("prompts").at(i).at("ids"));
      double sum = 0;
      std::size_t positions = 0;
      std::size_t rows = 0;
      score_ids(
          *model.transformer, ids, 3,
          [&](const ScoredPosition& position) {
            EXPECT_EQ(position.id, ids[++positions]);
            EXPECT_EQ(position.top.size(), 3U);
            EXPECT_GE(position.top[0].second, position.top[1].second);
            EXPECT_LE(position.logprob, position.top[0].second);
            sum -= position.logprob;
          },
          [&](std::span<const float>) { ++rows; });
      EXPECT_EQ(positions + 1, ids.size());
      EXPECT_EQ(rows, ids.size());
      EXPECT_NEAR(sum / static_cast<double>(positions),
                  golden.at("scores").at(i).at("nll_mean").to_number<double>(), 2e-4);
      ++cases;
    }
    EXPECT_THROW(score_ids(*model.transformer, {}, 1, {}, {}), Error);
    const std::int32_t unknown = model.transformer->config().vocab_size;
    EXPECT_THROW(score_ids(*model.transformer, {&unknown, 1}, 1, {}, {}), Error);
  }
  EXPECT_GT(cases, 0U);
}

}  // namespace
}  // namespace touchstone
