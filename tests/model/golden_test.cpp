// Against the reference: logits, greedy continuations and likelihoods of every golden checkpoint that is
// present.
#include "support/golden.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstdlib>

#include "formats/checkpoint.h"
#include "model/golden_models.h"
#include "model/model_runner.h"

namespace touchstone::testing {
namespace {

constexpr float kLogitTolerance = 2e-4F;

class GoldenModels : public ::testing::TestWithParam<GoldenModel> {
 protected:
  GoldenModels()
      : checkpoint_(open_checkpoint(GetParam().model.string())),
        model_(checkpoint_, {.num_threads = 2}),
        expected_(read_json(GetParam().folder / "expected.json").as_object()) {}

  Checkpoint checkpoint_;
  Transformer model_;
  boost::json::object expected_;
};

TEST_P(GoldenModels, LogitsAndLikelihoodsAreTheReferences) {
  const auto logits = read_float_tensors(GetParam().folder / "expected.safetensors", "logits.");
  const auto& prompts = expected_.at("prompts").as_array();
  float worst = 0;
  for (std::size_t i = 0; i < prompts.size(); ++i) {
    const auto ids = to_ids(prompts[i].at("ids"));
    const std::vector<float> actual = Sequence(model_, static_cast<std::int32_t>(ids.size())).run(ids);
    const auto expected = logits.find("logits." + std::to_string(i));
    if (expected == logits.end()) {  // the committed selection leaves out the longest prompts' logits
      EXPECT_FALSE(has_whole_golden_set()) << "no logits of prompt " << i;
    } else {
      ASSERT_EQ(actual.size(), expected->second.size());
      for (std::size_t j = 0; j < actual.size(); ++j) {
        worst = std::max(worst, std::fabs(actual[j] - expected->second[j]));
      }
    }
    const double nll = expected_.at("scores").at(i).at("nll_mean").to_number<double>();
    EXPECT_NEAR(mean_nll(actual, ids), nll, 1e-4) << "prompt " << i;
  }
  RecordProperty("worst_logit_difference", fmt::format("{:.2g}", worst));
  EXPECT_LE(worst, kLogitTolerance);
  EXPECT_FALSE(logits.empty());
}

TEST_P(GoldenModels, GreedyContinuationsAreTheReferences) {
  const auto& prompts = expected_.at("prompts").as_array();
  for (std::size_t i = 0; i < prompts.size(); ++i) {
    const auto& greedy = expected_.at("greedy").at(i);
    const auto ids = to_ids(greedy.at("ids"));
    EXPECT_EQ(continue_greedily(model_, to_ids(prompts[i].at("ids")), ids.size()).ids, ids) << "prompt " << i;
  }
  EXPECT_FALSE(prompts.empty());
}

INSTANTIATE_TEST_SUITE_P(All, GoldenModels, ::testing::ValuesIn(list_golden_models()), [](const auto& info) {
  std::string name = info.param.name;
  std::replace_if(
      name.begin(), name.end(), [](char c) { return std::isalnum(static_cast<unsigned char>(c)) == 0; }, '_');
  return name;
});

}  // namespace
}  // namespace touchstone::testing
