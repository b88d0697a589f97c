// The two real checkpoints that real_models.sh brings, against the reference. They are looked for in the
// folder that TOUCHSTONE_REAL_MODELS names, or beside the checkout; where they are not, the tests say that
// they were left out.
#include <gtest/gtest.h>

#include <cstdlib>

#include "formats/checkpoint.h"
#include "model/model_runner.h"
#include "support/golden.h"

namespace touchstone::testing {
namespace {

namespace fs = std::filesystem;

// A margin between the two best logits below this may go either way in float32 (the reference's own error).
constexpr float kNearTie = 1e-3F;

fs::path find_real_model(const std::string& name) {
  const char* named = std::getenv("TOUCHSTONE_REAL_MODELS");
  for (const fs::path& folder : {fs::path(named == nullptr ? "" : named), source_dir() / "../real_models"}) {
    if (!folder.empty() && fs::exists(folder / (name + ".gguf"))) return folder / (name + ".gguf");
  }
  return {};
}

class RealModels : public ::testing::TestWithParam<const char*> {};

TEST_P(RealModels, SayWhatTheReferenceSays) {
  const std::string name = GetParam();
  const boost::json::value expected = read_json(golden_dir() / "real" / (name + ".json"));
  const fs::path path = find_real_model(name);
  if (path.empty()) {
    GTEST_SKIP() << "LEFT OUT: " << name << ".gguf is not there. Run `real_models.sh DIR` and set "
                 << "TOUCHSTONE_REAL_MODELS=DIR to have it tested.";
  }
  Transformer model(open_checkpoint(path.string()), {});
  for (const auto& prompt : expected.at("prompts").as_array()) {
    const auto ids = to_ids(prompt.at("greedy_ids"));
    const Greedy actual = continue_greedily(model, to_ids(prompt.at("ids")), ids.size());
    const auto different = std::mismatch(ids.begin(), ids.end(), actual.ids.begin()).first;
    if (different == ids.end()) continue;
    const std::ptrdiff_t step = different - ids.begin();
    const auto margin = prompt.at("margins").at(static_cast<std::size_t>(step)).to_number<float>();
    EXPECT_LT(margin, kNearTie) << "step " << step << ": " << actual.ids[static_cast<std::size_t>(step)]
                                << " for " << *different;
  }
  const auto& text = expected.at("text");
  const auto ids = to_ids(text.at("ids"));
  const auto logits = Sequence(model, static_cast<std::int32_t>(ids.size())).run(ids);
  EXPECT_NEAR(mean_nll(logits, ids), text.at("nll_mean").to_number<double>(), 1e-4);
  const std::size_t vocab = logits.size() / ids.size();
  for (std::size_t i = 0; i + 1 < ids.size(); ++i) {
    const double logprob = log_probability(std::span(logits).subspan(i * vocab, vocab), ids[i + 1]);
    EXPECT_NEAR(logprob, text.at("logprobs").at(i).to_number<double>(), 1e-3) << "position " << i;
  }
}

INSTANTIATE_TEST_SUITE_P(
    All, RealModels, ::testing::Values("qwen2.5-coder-0.5b-instruct-q4_k_m", "smollm2-135m-instruct-q4_1"),
    [](const auto& info) { return std::string(info.param).substr(0, *info.param == 'q' ? 4 : 6); });

}  // namespace
}  // namespace touchstone::testing
