#include "engine/sampler.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>

#include "base/error.h"
#include "engine_golden.h"

namespace touchstone {
namespace {

using testing::golden_dir;

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();

SamplingParams plain() {
  SamplingParams params;
  params.temperature = 1.0F;
  params.top_p = 1.0F;
  return params;
}

SamplingParams read_params(const boost::json::object& object) {
  SamplingParams params = plain();
  const auto read = [&](const char* name, auto& value) {
    if (const auto* v = object.if_contains(name)) {
      value = v->to_number<std::remove_reference_t<decltype(value)>>();
    }
  };
  read("temperature", params.temperature);
  read("top_p", params.top_p);
  read("top_k", params.top_k);
  read("min_p", params.min_p);
  read("repetition_penalty", params.repetition_penalty);
  return params;
}

/// A case of the reference: what it left, and how likely each of it is.
void expect_case(std::vector<float> logits, const boost::json::object& expected) {
  TokenCounts counts;
  for (const std::int32_t id : testing::to_ids(expected.at("history"))) ++counts.prompt[id];
  const SamplingParams params = read_params(expected.at("params").as_object());
  const std::vector<TokenProbability> actual = process_logits(logits, counts, params);
  const boost::json::array& probabilities = expected.at("probs").as_array();
  ASSERT_EQ(actual.size(), probabilities.size());
  for (std::size_t i = 0; i < actual.size(); ++i) {
    EXPECT_EQ(actual[i].id, probabilities[i].at(0).as_int64());
    EXPECT_NEAR(actual[i].probability, probabilities[i].at(1).to_number<double>(), 1e-5);
  }
}

std::string name_of(const boost::json::object& expected) {
  return boost::json::serialize(expected.at("logits")) + " " + boost::json::serialize(expected.at("params"));
}

TEST(SamplerGolden, LeavesTheReferencesDistributions) {
  const boost::json::value golden = testing::read_json(golden_dir() / "sampler/sampler_cases.json");
  std::size_t cases = 0;
  for (const boost::json::value& expected : golden.at("cases").as_array()) {
    SCOPED_TRACE(name_of(expected.as_object()));
    std::vector<float> logits;
    for (const boost::json::value& logit :
         golden.at("logits").at(expected.at("logits").as_string()).as_array()) {
      logits.push_back(logit.is_null() ? -kInfinity : logit.to_number<float>());
    }
    expect_case(logits, expected.as_object());
    ++cases;
  }
  EXPECT_GT(cases, 0U);
}

TEST(SamplerGolden, LeavesTheReferencesDistributionsOfModels) {
  std::size_t cases = 0;
  for (const auto& folder : testing::golden_models()) {
    const boost::json::value golden = testing::read_json(folder / "expected.json");
    auto tensors = testing::read_float_tensors(folder / "expected.safetensors", "sampler_logits.");
    for (const boost::json::value& expected : golden.at("sampler").as_array()) {
      SCOPED_TRACE(folder.filename().string() + " " + name_of(expected.as_object()));
      const std::string name(expected.at("logits").as_string());
      ASSERT_TRUE(tensors.contains(name));
      expect_case(tensors.at(name), expected.as_object());
      ++cases;
    }
  }
  EXPECT_GT(cases, 0U);
}

TEST(Philox, GivesThePublishedNumbers) {
  using Counter = std::array<std::uint32_t, 4>;
  EXPECT_EQ(philox({0, 0, 0, 0}, {0, 0}), (Counter{0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8}));
  EXPECT_EQ(philox({~0U, ~0U, ~0U, ~0U}, {~0U, ~0U}),
            (Counter{0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD}));
  EXPECT_EQ(philox({0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344}, {0xA4093822, 0x299F31D0}),
            (Counter{0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1}));
}

std::int32_t sample(std::vector<float> logits, const SamplingParams& params, std::uint64_t position,
                    const TokenCounts& counts = {}, std::uint32_t number = 0) {
  SamplerBuffers buffers;
  return sample_token(logits, counts, params, number, position, buffers);
}

std::vector<float> random_logits(std::size_t size, std::uint32_t seed, float spread) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0.0F, spread);
  std::vector<float> logits(size);
  for (float& logit : logits) logit = normal(random);
  return logits;
}

/// The processors as they are defined, in the plainest way: sort everything, sum in double.
std::vector<TokenProbability> filter_plainly(const std::vector<float>& logits, const SamplingParams& params) {
  struct Token {
    std::int32_t id;
    double logit, probability;
  };
  std::vector<Token> tokens;
  for (std::size_t i = 0; i < logits.size(); ++i) {
    tokens.push_back({static_cast<std::int32_t>(i), static_cast<double>(logits[i] / params.temperature), 0});
  }
  std::sort(tokens.begin(), tokens.end(), [](const Token& a, const Token& b) {
    return a.logit != b.logit ? a.logit > b.logit : a.id > b.id;
  });
  const auto normalize = [&] {
    double sum = 0;
    for (Token& token : tokens) sum += token.probability = std::exp(token.logit - tokens.front().logit);
    for (Token& token : tokens) token.probability /= sum;
  };
  if (params.top_k > 0 && static_cast<std::size_t>(params.top_k) < tokens.size()) {
    const double lowest = tokens[static_cast<std::size_t>(params.top_k) - 1].logit;
    std::erase_if(tokens, [&](const Token& token) { return token.logit < lowest; });
  }
  normalize();
  if (params.top_p < 1) {
    double before = 0;
    std::size_t kept = 0;
    while (kept == 0 || (kept < tokens.size() && before < static_cast<double>(params.top_p))) {
      before += tokens[kept++].probability;
    }
    tokens.resize(kept);
    normalize();
  }
  const double likeliest = tokens.front().probability;
  std::erase_if(tokens, [&](const Token& token) {
    return token.probability < static_cast<double>(params.min_p) * likeliest;
  });
  normalize();
  std::sort(tokens.begin(), tokens.end(), [](const Token& a, const Token& b) { return a.id < b.id; });
  std::vector<TokenProbability> result;
  result.reserve(tokens.size());
  for (const Token& token : tokens) result.push_back({token.id, token.probability});
  return result;
}

float pick_one(std::mt19937& random, std::initializer_list<float> values) {
  return *(values.begin() + static_cast<std::ptrdiff_t>(random() % values.size()));
}

void expect_equal(const std::vector<TokenProbability>& actual,
                  const std::vector<TokenProbability>& expected) {
  ASSERT_EQ(actual.size(), expected.size());
  for (std::size_t i = 0; i < actual.size(); ++i) {
    ASSERT_EQ(actual[i].id, expected[i].id);
    ASSERT_NEAR(actual[i].probability, expected[i].probability, 1e-6);
  }
}

TEST(Sampler, AgreesWithThePlainDefinitionOnVocabulariesOfAnySize) {
  std::mt19937 random(7);
  const auto pick = [&](std::initializer_list<float> values) { return pick_one(random, values); };
  for (std::uint32_t round = 0; round < 200; ++round) {
    SamplingParams params = plain();
    params.temperature = pick({0.3F, 0.6F, 1.0F, 1.5F});
    params.top_p = pick({0.1F, 0.5F, 0.8F, 0.95F, 0.999F, 1.0F});
    params.top_k = static_cast<std::int32_t>(pick({0, 0, 1, 20, 100, 1500}));
    params.min_p = pick({0.0F, 0.0F, 0.05F, 0.5F});
    const std::size_t size = 1 + random() % 2000;
    const std::vector<float> logits = random_logits(size, round, pick({0.1F, 1.0F, 4.0F}));
    const std::vector<TokenProbability> expected = filter_plainly(logits, params);
    std::vector<float> changed = logits;
    SCOPED_TRACE("round " + std::to_string(round));
    ASSERT_NO_FATAL_FAILURE(expect_equal(process_logits(changed, {}, params), expected));
  }
}

/// Logits as a model gives them: few that are likely, and a vocabulary that is not, but for all its size.
std::vector<float> logits_with_a_long_tail(std::uint32_t seed, float tail_spread) {
  constexpr std::size_t kVocabSize = 151936;
  std::vector<float> logits = random_logits(kVocabSize, seed, tail_spread);
  std::mt19937 random(seed);
  std::uniform_real_distribution<float> likely(6.0F, 20.0F);
  for (int i = 0; i < 30; ++i) logits[random() % kVocabSize] = likely(random);
  return logits;
}

TEST(Sampler, TopPLooksAtLikelyTokensAndKeepsWhatItWouldKeepAfterLookingAtAll) {
  std::mt19937 random(11);
  const auto pick = [&](std::initializer_list<float> values) { return pick_one(random, values); };
  for (std::uint32_t round = 0; round < 40; ++round) {
    SamplingParams params = plain();
    params.temperature = pick({0.001F, 0.3F, 0.6F, 0.8F, 1.0F});
    params.top_p = pick({0.0F, 0.01F, 0.5F, 0.8F, 0.95F, 0.99F});
    std::vector<float> logits = logits_with_a_long_tail(round, pick({0.5F, 2.0F, 3.5F}));
    const std::vector<TokenProbability> expected = filter_plainly(logits, params);
    SCOPED_TRACE("round " + std::to_string(round));
    ASSERT_NO_FATAL_FAILURE(expect_equal(process_logits(logits, {}, params), expected));
  }
}

TEST(Sampler, DrawsEachTokenAsOftenAsItIsLikely) {
  const std::vector<float> logits = random_logits(12, 3, 1.0F);
  SamplingParams params = plain();
  params.top_p = 0.9F;
  std::vector<float> changed = logits;
  const std::vector<TokenProbability> expected = process_logits(changed, {}, params);
  constexpr int kDraws = 20000;
  std::vector<int> seen(logits.size());
  for (std::uint64_t position = 0; position < kDraws; ++position) {
    ++seen[static_cast<std::size_t>(sample(logits, params, position))];
  }
  int expected_draws = 0;
  for (const TokenProbability& token : expected) {
    const double deviation = std::sqrt(token.probability * (1 - token.probability) / kDraws);
    EXPECT_NEAR(static_cast<double>(seen[static_cast<std::size_t>(token.id)]) / kDraws, token.probability,
                5 * deviation);
    expected_draws += seen[static_cast<std::size_t>(token.id)];
  }
  EXPECT_EQ(expected_draws, kDraws);  // nothing that was removed
}

TEST(Sampler, DrawsDependOnSeedSampleAndPositionAlone) {
  const std::vector<float> logits(1000, 0.0F);
  SamplingParams params = plain();
  const std::int32_t first = sample(logits, params, 5);
  EXPECT_EQ(sample(logits, params, 5), first);
  EXPECT_NE(sample(logits, params, 6), first);
  EXPECT_NE(sample(logits, params, 5, {}, 1), first);
  params.seed = 1ULL << 40;
  EXPECT_NE(sample(logits, params, 5), first);
}

TEST(Sampler, GreedyTakesTheLowestIdAmongTheHighest) {
  SamplingParams params = plain();
  params.temperature = 0;
  EXPECT_EQ(sample({1, 3, 2, 3}, params, 0), 1);
  EXPECT_EQ(sample({kNaN, -kInfinity, -5, kNaN}, params, 0), 2);
  EXPECT_EQ(sample({-2, kInfinity, kInfinity}, params, 0), 1);
  for (std::uint32_t size = 1; size < 200; ++size) {
    const std::vector<float> logits = random_logits(size, size, 1.0F);
    EXPECT_EQ(sample(logits, params, 0), std::max_element(logits.begin(), logits.end()) - logits.begin());
  }
}

TEST(Sampler, ATemperatureNextToNothingIsGreedy) {
  SamplingParams params = plain();
  for (const float temperature : {1e-6F, 1e-30F, 1e-45F}) {
    params.temperature = temperature;
    for (std::uint64_t position = 0; position < 20; ++position) {
      EXPECT_EQ(sample({7, 9, 8.999F, 5}, params, position), 1) << temperature;
      EXPECT_EQ(sample({-9, -7, -7.001F, -kInfinity}, params, position), 1) << temperature;
    }
  }
}

TEST(Sampler, DamagedLogitsStillGiveATokenOfTheVocabulary) {
  for (const float top_p : {0.0F, 0.5F, 1.0F}) {
    for (const float temperature : {0.0F, 1e-30F, 0.6F, 100.0F}) {
      for (const std::int32_t top_k : {0, 1, 3}) {
        SamplingParams params = plain();
        params.temperature = temperature;
        params.top_p = top_p;
        params.top_k = top_k;
        params.min_p = 0.1F;
        params.repetition_penalty = 1.2F;
        const TokenCounts counts{.prompt = {{0, 1}}, .generated = {{1, 2}}};
        for (const std::vector<float>& logits : {std::vector<float>{kNaN, kNaN, kNaN, kNaN},
                                                 {-kInfinity, -kInfinity, -kInfinity, -kInfinity},
                                                 {kNaN, 1, 2, 3},
                                                 {kInfinity, 1, kInfinity, kNaN},
                                                 {3e38F, -3e38F, 1, 0}}) {
          const std::int32_t id = sample(logits, params, 0, counts);
          EXPECT_GE(id, 0);
          EXPECT_LT(id, 4);
        }
        EXPECT_NE(sample({kNaN, 1, 2, 3}, params, 0, counts), 0);
        EXPECT_EQ(sample({1, 2, kInfinity, 3}, params, 0, counts), 2);
      }
    }
  }
}

TEST(Sampler, PenaltiesLookAtPromptAndAnswerAsTheirNamesSay) {
  SamplingParams params = plain();
  params.temperature = 0;
  const TokenCounts counts{.prompt = {{0, 5}}, .generated = {{1, 2}}};
  EXPECT_EQ(sample({2.0F, 1.9F, 1.8F}, params, 0, counts), 0);
  params.repetition_penalty = 1.5F;  // prompt and answer
  EXPECT_EQ(sample({2.0F, 1.9F, 1.8F}, params, 0, counts), 2);
  params.repetition_penalty = 1.0F;
  params.presence_penalty = 0.5F;  // the answer
  EXPECT_EQ(sample({1.9F, 2.0F, 1.8F}, params, 0, counts), 0);
  EXPECT_EQ(sample({1.0F, 2.0F, 1.0F}, params, 0, counts), 1);
  params.presence_penalty = 0;
  params.frequency_penalty = 0.4F;  // twice
  EXPECT_EQ(sample({1.3F, 2.0F, 1.0F}, params, 0, counts), 0);
  EXPECT_EQ(sample({1.1F, 2.0F, 1.0F}, params, 0, counts), 1);
}

TEST(Sampler, NamesTheParameterThatIsOutOfRange) {
  const auto message = [](auto change) {
    SamplingParams params;
    change(params);
    try {
      check_sampling(params);
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  EXPECT_EQ(message([](SamplingParams&) {}), "");
  EXPECT_THAT(message([](SamplingParams& p) { p.temperature = -0.1F; }), ::testing::HasSubstr("temperature"));
  EXPECT_THAT(message([](SamplingParams& p) { p.temperature = kNaN; }), ::testing::HasSubstr("temperature"));
  EXPECT_THAT(message([](SamplingParams& p) { p.top_p = 1.1F; }), ::testing::HasSubstr("top_p"));
  EXPECT_THAT(message([](SamplingParams& p) { p.top_k = -1; }), ::testing::HasSubstr("top_k"));
  EXPECT_THAT(message([](SamplingParams& p) { p.min_p = kInfinity; }), ::testing::HasSubstr("min_p"));
  EXPECT_THAT(message([](SamplingParams& p) { p.repetition_penalty = 0; }),
              ::testing::HasSubstr("repetition_penalty"));
  EXPECT_THAT(message([](SamplingParams& p) { p.max_new_tokens = 0; }),
              ::testing::HasSubstr("max_new_tokens"));
  EXPECT_THAT(message([](SamplingParams& p) { p.reasoning_budget = -1; }),
              ::testing::HasSubstr("reasoning_budget"));
}

}  // namespace
}  // namespace touchstone
