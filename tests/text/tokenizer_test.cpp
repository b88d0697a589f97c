#include "text/tokenizer.h"

#include <gtest/gtest.h>

#include <chrono>

#include "base/error.h"
#include "support/golden.h"

namespace touchstone {
namespace {

using testing::golden_dir;
using testing::read_json;
using testing::read_json_lines;

/// The committed selection leaves one out that differs little from another.
std::vector<std::string> families() {
  std::vector<std::string> present;
  for (const char* name : {"qwen2", "r1_distill_qwen", "smollm2"}) {
    if (std::filesystem::exists(golden_dir() / name / "tokenizer.json")) present.emplace_back(name);
  }
  return present;
}

Tokenizer load(const std::string& family) {
  const auto folder = golden_dir() / family;
  return Tokenizer::from_json(read_json(folder / "tokenizer.json").as_object(),
                              read_json(folder / "tokenizer_config.json").as_object());
}

std::vector<std::int32_t> ids_of(const boost::json::value& value) {
  return boost::json::value_to<std::vector<std::int32_t>>(value);
}

std::string text_of(const boost::json::value& value) { return std::string(value.as_string()); }

/// Cases of one kind of one family; nothing when the committed selection leaves them out.
std::vector<boost::json::value> cases(const std::string& family, const std::string& kind) {
  const auto path = golden_dir() / family / (kind + ".jsonl");
  return std::filesystem::exists(path) ? read_json_lines(path) : std::vector<boost::json::value>{};
}

void expect_reference_ids(const std::string& kind) {
  int count = 0;
  for (const std::string& family : families()) {
    const Tokenizer tokenizer = load(family);
    for (const auto& c : cases(family, kind)) {
      ++count;
      const std::string text = text_of(c.at("text"));
      const auto ids = ids_of(c.at("ids"));
      EXPECT_EQ(tokenizer.encode(text, {.parse_special = true, .add_special = false}), ids)
          << family << ": " << boost::json::serialize(boost::json::value(text.substr(0, 200)));
      EXPECT_EQ(tokenizer.decode(ids), text_of(c.at("decoded"))) << family;
      EXPECT_EQ(tokenizer.decode(ids, true), text_of(c.at("decoded_skip_special"))) << family;
      if (const auto* with = c.as_object().if_contains("ids_add_special")) {
        EXPECT_EQ(tokenizer.encode(text, {.parse_special = true, .add_special = true}), ids_of(*with))
            << family;
      }
    }
  }
  EXPECT_GT(count, 0);
}

TEST(Tokenizer, EncodesAndDecodesAsTheReferenceDoes) { expect_reference_ids("tokenizer_cases"); }

TEST(Tokenizer, EncodesLongAndHostileTextsAsTheReferenceDoes) {
  expect_reference_ids("tokenizer_long_cases");
}

TEST(Tokenizer, DecodesArbitraryIdsAsTheReferenceDoes) {
  int count = 0;
  for (const std::string& family : families()) {
    const Tokenizer tokenizer = load(family);
    for (const auto& c : cases(family, "detokenize_cases")) {
      ++count;
      EXPECT_EQ(tokenizer.decode(ids_of(c.at("ids"))), text_of(c.at("decoded"))) << family;
      EXPECT_EQ(tokenizer.decode(ids_of(c.at("ids")), true), text_of(c.at("decoded_skip_special"))) << family;
    }
  }
  EXPECT_GT(count, 0);
}

TEST(StreamDecoder, AChunkNeverEndsInsideACharacter) {
  int count = 0;
  for (const std::string& family : families()) {
    const Tokenizer tokenizer = load(family);
    for (const auto& c : cases(family, "stream_cases")) {
      ++count;
      StreamDecoder decoder(tokenizer, false);
      boost::json::array chunks;
      for (const std::int32_t id : ids_of(c.at("ids"))) chunks.emplace_back(decoder.push(id));
      EXPECT_EQ(boost::json::value(chunks), c.at("chunks")) << family << boost::json::serialize(c);
      EXPECT_EQ(decoder.flush(), text_of(c.at("flush"))) << family;
    }
  }
  EXPECT_GT(count, 0);
}

TEST(Tokenizer, SpecialTokensAreTextWhenTheyAreNotParsed) {
  const Tokenizer tokenizer = load("smollm2");
  const std::string text = "a<|im_end|>b";
  const auto parsed = tokenizer.encode(text, {.parse_special = true, .add_special = false});
  const auto plain = tokenizer.encode(text, {.parse_special = false, .add_special = false});
  EXPECT_EQ(parsed.size(), 3U);
  EXPECT_GT(plain.size(), 3U);
  EXPECT_EQ(tokenizer.decode(plain), text);
}

TEST(Tokenizer, AGgufVocabularyGivesTheSameIds) {
  const auto json = read_json(golden_dir() / "r1_distill_qwen/tokenizer.json").as_object();
  std::vector<std::string> tokens;
  std::vector<std::int32_t> types;
  std::vector<std::string> merges;
  const auto put = [&](std::size_t id, std::string_view token, int type) {
    if (id >= tokens.size()) {
      tokens.resize(id + 1);
      types.resize(id + 1, 1);
    }
    tokens[id] = token;
    types[id] = type;
  };
  const auto& model = json.at("model").as_object();
  for (const auto& entry : model.at("vocab").as_object())
    put(static_cast<std::size_t>(entry.value().as_int64()), entry.key(), 1);
  for (const auto& added : json.at("added_tokens").as_array()) {
    put(static_cast<std::size_t>(added.at("id").as_int64()), added.at("content").as_string(),
        added.at("special").as_bool() ? 3 : 4);
  }
  for (const auto& merge : model.at("merges").as_array()) {
    merges.push_back(merge.is_string() ? text_of(merge) : text_of(merge.at(0)) + " " + text_of(merge.at(1)));
  }
  const Tokenizer tokenizer = Tokenizer::from_gguf("qwen2", tokens, types, merges, {}, {}, false, false);
  int count = 0;
  for (const auto& c : cases("r1_distill_qwen", "tokenizer_cases")) {
    ++count;
    EXPECT_EQ(tokenizer.encode(text_of(c.at("text")), {.parse_special = true, .add_special = false}),
              ids_of(c.at("ids")));
  }
  EXPECT_GT(count, 0);
  EXPECT_THROW(Tokenizer::from_gguf("no-such", tokens, types, merges, {}, {}, false, false), Error);
}

TEST(Tokenizer, AMegabyteOfOneLetterOfSpacesAndOfMarksIsEncoded) {
  const Tokenizer tokenizer = load("smollm2");
  constexpr std::size_t kSize = 1'000'000;
  std::string marks = "a";
  for (std::size_t i = 0; i < kSize / 4; ++i) marks += i % 2 == 0 ? "\xCC\x81" : "\xCC\xA3";
  std::string specials;
  while (specials.size() < kSize) specials += "<|im_";
  for (const std::string& text :
       {std::string(kSize, 'a'), std::string(kSize, ' '), std::string(kSize, '\n'), specials, marks}) {
    EXPECT_FALSE(tokenizer.encode(text, {}).empty());
  }
  EXPECT_EQ(tokenizer.decode(tokenizer.encode(std::string(kSize, 'a'), {})), std::string(kSize, 'a'));
}

TEST(Tokenizer, AMalformedFileIsAnError) {
  const auto good = read_json(golden_dir() / "smollm2/tokenizer.json").as_object();
  const auto broken = [&](const std::function<void(boost::json::object&)>& change) {
    boost::json::object json = good;
    change(json);
    EXPECT_THROW(Tokenizer::from_json(json, {}), Error);
  };
  broken([](auto& json) { json.erase("model"); });
  broken([](auto& json) { json["model"].as_object()["type"] = "Unigram"; });
  broken([](auto& json) { json["model"].as_object()["vocab"].as_object()["x!"] = 2147483648; });
  broken([](auto& json) { json["model"].as_object()["vocab"].as_object()["x!"] = -1; });
  broken([](auto& json) { json["model"].as_object()["vocab"].as_object()["x!"] = "one"; });
  broken([](auto& json) { json["model"].as_object()["merges"].as_array().emplace_back("no-such no-token"); });
  broken([](auto& json) { json["model"].as_object()["merges"] = 3; });
  broken([](auto& json) { json["pre_tokenizer"].as_object()["type"] = "Mystery"; });
  broken([](auto& json) { json["normalizer"] = {{"type", "Mystery"}}; });
}

TEST(Tokenizer, IdsPastTheVocabularyStandForNothingAndNegativeOnesAreRefused) {
  const Tokenizer tokenizer = load("smollm2");
  EXPECT_EQ(tokenizer.decode(std::vector<std::int32_t>{tokenizer.vocab_size(), 2'000'000'000}), "");
  EXPECT_THROW(tokenizer.decode(std::vector<std::int32_t>{-1}), Error);
}

}  // namespace
}  // namespace touchstone
