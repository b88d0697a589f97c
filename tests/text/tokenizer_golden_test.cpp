#include <gtest/gtest.h>

#include "base/error.h"
#include "text/tokenizer.h"
#include "text/tokenizer_support.h"

namespace touchstone {
namespace {

using testing::golden_tokenizer;
using testing::ids_of;
using testing::text_of;
using testing::tokenizer_cases;
using testing::tokenizer_families;

std::string describe(const std::string& family, const boost::json::value& c) {
  return family + ": " + boost::json::serialize(c).substr(0, 400);
}

void expect_case(const Tokenizer& tokenizer, const boost::json::value& c, const std::string& what) {
  const std::string text = text_of(c.at("text"));
  const auto ids = ids_of(c.at("ids"));
  EXPECT_EQ(tokenizer.encode(text, {.parse_special = true, .add_special = false}), ids) << what;
  EXPECT_EQ(tokenizer.decode(ids), text_of(c.at("decoded"))) << what;
  EXPECT_EQ(tokenizer.decode(ids, true), text_of(c.at("decoded_skip_special"))) << what;
  const auto optional_ids = [&](const char* key) {
    const auto* value = c.as_object().if_contains(key);
    return value == nullptr ? ids : ids_of(*value);
  };
  EXPECT_EQ(tokenizer.encode(text, {.parse_special = true, .add_special = true}),
            optional_ids("ids_add_special"))
      << what;
  EXPECT_EQ(tokenizer.encode(text, {.parse_special = false, .add_special = false}),
            optional_ids("ids_split_special"))
      << what;
  EXPECT_EQ(tokenizer.encode(text, {.parse_special = false, .add_special = false, .parse_added = false}),
            optional_ids("ids_plain"))
      << what;
}

void expect_cases(const std::string& kind) {
  int count = 0;
  for (const std::string& family : tokenizer_families()) {
    for (const auto& c : tokenizer_cases(family, kind)) {
      ++count;
      expect_case(golden_tokenizer(family), c, describe(family, c));
    }
  }
  EXPECT_GT(count, 0);
}

TEST(GoldenTokenizer, EncodesAndDecodesAsTheReferenceDoes) { expect_cases("tokenizer_cases"); }

TEST(GoldenTokenizer, EncodesLongTextsAsTheReferenceDoes) { expect_cases("tokenizer_long_cases"); }

TEST(GoldenTokenizer, InvalidBytesBecomeReplacementCharactersFirst) {
  int count = 0;
  for (const std::string& family : tokenizer_families()) {
    for (const auto& c : tokenizer_cases(family, "tokenizer_cases")) {
      const auto* hex = c.as_object().if_contains("bytes_hex");
      if (hex == nullptr) continue;
      ++count;
      std::string bytes;
      const std::string digits = text_of(*hex);
      for (std::size_t i = 0; i + 1 < digits.size(); i += 2) {
        bytes.push_back(static_cast<char>(std::stoi(digits.substr(i, 2), nullptr, 16)));
      }
      EXPECT_EQ(golden_tokenizer(family).encode(bytes, {.parse_special = true, .add_special = false}),
                ids_of(c.at("ids")))
          << describe(family, c);
    }
  }
  EXPECT_GT(count, 0);
}

TEST(GoldenTokenizer, DecodesArbitraryIdsAsTheReferenceDoes) {
  int count = 0;
  for (const std::string& family : tokenizer_families()) {
    const Tokenizer& tokenizer = golden_tokenizer(family);
    for (const auto& c : tokenizer_cases(family, "detokenize_cases")) {
      ++count;
      EXPECT_EQ(tokenizer.decode(ids_of(c.at("ids"))), text_of(c.at("decoded"))) << describe(family, c);
      EXPECT_EQ(tokenizer.decode(ids_of(c.at("ids")), true), text_of(c.at("decoded_skip_special")))
          << describe(family, c);
    }
  }
  EXPECT_GT(count, 0);
}

TEST(GoldenTokenizer, StreamsTheExpectedChunks) {
  int count = 0;
  for (const std::string& family : tokenizer_families()) {
    for (const auto& c : tokenizer_cases(family, "stream_cases")) {
      ++count;
      StreamDecoder decoder(golden_tokenizer(family), false);
      boost::json::array chunks;
      for (const std::int32_t id : ids_of(c.at("ids"))) chunks.emplace_back(decoder.push(id));
      EXPECT_EQ(boost::json::value(chunks), c.at("chunks")) << describe(family, c);
      EXPECT_EQ(decoder.flush(), text_of(c.at("flush"))) << describe(family, c);
    }
  }
  EXPECT_GT(count, 0);
}

/// What a GGUF file of this family holds.
struct GgufVocabulary {
  std::vector<std::string> tokens;
  std::vector<std::int32_t> types;
  std::vector<std::string> merges;
};

GgufVocabulary gguf_vocabulary(const std::string& family) {
  const boost::json::object json = testing::tokenizer_json(family);
  GgufVocabulary vocabulary;
  const auto put = [&](std::int64_t id, std::string_view token, int type) {
    const auto index = static_cast<std::size_t>(id);
    if (index >= vocabulary.tokens.size()) {
      vocabulary.tokens.resize(index + 1);
      vocabulary.types.resize(index + 1, 1);
    }
    vocabulary.tokens[index] = token;
    vocabulary.types[index] = type;
  };
  const auto& model = json.at("model").as_object();
  for (const auto& entry : model.at("vocab").as_object()) put(entry.value().as_int64(), entry.key(), 1);
  for (const auto& added : json.at("added_tokens").as_array()) {
    put(added.at("id").as_int64(), added.at("content").as_string(), added.at("special").as_bool() ? 3 : 4);
  }
  for (const auto& merge : model.at("merges").as_array()) {
    vocabulary.merges.push_back(merge.is_string() ? text_of(merge)
                                                  : text_of(merge.at(0)) + " " + text_of(merge.at(1)));
  }
  return vocabulary;
}

TEST(GgufTokenizer, GivesTheSameIdsAndTextsAsTokenizerJson) {
  const std::pair<const char*, const char*> pre_tokenizers[] = {
      {"qwen2", "qwen2"}, {"r1_distill_qwen", "deepseek-r1-qwen"}, {"smollm2", "smollm"}};
  int count = 0;
  for (const auto& [family, pre] : pre_tokenizers) {
    const GgufVocabulary v = gguf_vocabulary(family);
    const auto bos = golden_tokenizer(family).bos_id();
    const bool add_bos = golden_tokenizer(family).adds_bos();
    const Tokenizer tokenizer =
        Tokenizer::from_gguf(pre, v.tokens, v.types, v.merges, bos, std::nullopt, add_bos, false);
    for (const auto& c : tokenizer_cases(family, "tokenizer_cases")) {
      ++count;
      expect_case(tokenizer, c, describe(family, c));
    }
  }
  EXPECT_GT(count, 0);
}

TEST(GoldenTokenizer, DecodingWhatWasEncodedGivesTheNormalizedText) {
  std::mt19937 random(20240806);
  for (int i = 0; i < 2000; ++i) {
    const std::string text = testing::random_text(random);
    for (const char* family : {"qwen2", "r1_distill_qwen"}) {
      const Tokenizer& tokenizer = golden_tokenizer(family);
      const std::string normalized = normalize(text, Normalization::nfc);
      const auto ids = tokenizer.encode(text, {.parse_special = true, .add_special = false});
      EXPECT_EQ(tokenizer.decode(ids), normalized);
      StreamDecoder decoder(tokenizer, false);
      std::string streamed;
      for (const std::int32_t id : ids) {
        const std::string chunk = decoder.push(id);
        EXPECT_EQ(valid_utf8_prefix(chunk), chunk.size());
        streamed += chunk;
      }
      EXPECT_EQ(streamed + decoder.flush(), normalized);
    }
  }
}

TEST(GoldenTokenizer, AnyIdsStreamTheTextThatTheyDecodeTo) {
  std::mt19937 random(20240807);
  for (const std::string& family : tokenizer_families()) {
    const Tokenizer& tokenizer = golden_tokenizer(family);
    const auto size = static_cast<std::uint32_t>(tokenizer.vocab_size());
    for (int i = 0; i < 1000; ++i) {
      const bool skip_special = i % 2 == 0;
      std::vector<std::int32_t> ids;
      StreamDecoder decoder(tokenizer, skip_special);
      std::string streamed;
      for (std::size_t n = random() % 12; n > 0; --n) {
        // Bytes, the first ids, and added ones, the last, meet more often than chance would have it.
        const std::uint_fast32_t kinds[] = {random() % size, random() % 300, size - 1 - random() % 30};
        ids.push_back(static_cast<std::int32_t>(kinds[random() % 3]));
        streamed += decoder.push(ids.back());
      }
      EXPECT_EQ(streamed + decoder.flush(), tokenizer.decode(ids, skip_special));
    }
  }
}

TEST(GoldenTokenizer, MegabytesOfOneThingAreEncodedWhole) {
  constexpr std::size_t kSize = 1'000'000;
  std::string marks = "a";
  while (marks.size() < kSize) marks += "\xCC\x81\xCC\xA3";
  std::string openings;
  while (openings.size() < kSize) openings += "<|im_";
  for (const char* family : {"qwen2", "smollm2"}) {
    const Tokenizer& tokenizer = golden_tokenizer(family);
    for (const std::string& text : {std::string(kSize, 'a'), std::string(kSize, ' '),
                                    std::string(kSize, '\n'), std::string(kSize, '\''), openings}) {
      EXPECT_EQ(tokenizer.decode(tokenizer.encode(text, {.parse_special = true, .add_special = false})),
                text);
    }
    EXPECT_FALSE(tokenizer.encode(marks, {}).empty());
  }
}

}  // namespace
}  // namespace touchstone
