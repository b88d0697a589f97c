// The built-in pair from the user's turn to the answer, as demo/train/evaluate.py wrote it from the same
// weights.
#include <gmock/gmock.h>

#include "engine/load.h"
#include "engine/prompt.h"
#include "engine_golden.h"

namespace touchstone {
namespace {

std::string joined_text(const GeneratedSample& sample) {
  return sample.reasoning.empty() ? sample.text : sample.reasoning + "\n</think>\n\n" + sample.text;
}

class BuiltInPair : public ::testing::TestWithParam<const char*> {};

TEST_P(BuiltInPair, AnswersWordForWordAsTheModelThatWasTrained) {
  const auto model = std::make_shared<LoadedModel>(load_model(std::string("demo:") + GetParam(), {}));
  const Prompter prompter = make_prompter(*model, false);
  Engine engine(model, {.max_batch = 1});
  const boost::json::value golden = testing::read_json(testing::source_dir() / "demo/golden.json");
  std::size_t cases = 0;
  for (const boost::json::value& expected : golden.as_array()) {
    if (expected.at("model").as_string() != GetParam()) continue;
    SCOPED_TRACE(expected.at("item").as_string().c_str());
    const Prompt prompt = make_prompt(prompter, expected.at("user").as_string());
    EXPECT_EQ(prompt.text, expected.at("rendered").as_string());
    EXPECT_EQ(prompt.ids, testing::to_ids(expected.at("ids")));
    SamplingParams sampling = model->defaults;
    sampling.temperature = 0;
    const GenerateResult result = engine.generate({.prompt_ids = prompt.ids,
                                                   .sampling = sampling,
                                                   .reasoning_opened = prompt.reasoning_opened,
                                                   .on_token = {}});
    const GeneratedSample& sample = result.samples.front();
    EXPECT_EQ(sample.finish_reason, FinishReason::stop);
    std::vector<std::int32_t> ids = sample.ids;
    ids.pop_back();  // the end token, which the reference leaves out
    EXPECT_EQ(ids, testing::to_ids(expected.at("greedy_ids")));
    EXPECT_EQ(joined_text(sample), expected.at("greedy_text").as_string());
    ++cases;
  }
  EXPECT_GT(cases, 0U);
}

INSTANTIATE_TEST_SUITE_P(All, BuiltInPair, ::testing::Values("native", "distilled"));

}  // namespace
}  // namespace touchstone
