#include "text/tokenizer.h"

#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <map>

#include "base/error.h"
#include "text/tokenizer_merges.h"
#include "text/tokenizer_support.h"

namespace touchstone {
namespace {

using boost::json::object;
using boost::json::value;
using testing::added_token;
using testing::small_tokenizer_json;
using Ids = std::vector<std::int32_t>;

Tokenizer with_added(std::initializer_list<object> added, object json = small_tokenizer_json()) {
  for (const object& token : added) json["added_tokens"].as_array().push_back(token);
  return Tokenizer::from_json(json, {});
}

/// Ids of single bytes are printed as those, added ones in brackets.
std::string show(const Tokenizer& tokenizer, std::string_view text,
                 const Tokenizer::EncodeOptions& options = {}) {
  std::string shown;
  for (const std::int32_t id : tokenizer.encode(text, options)) {
    shown += id < 256 ? std::string(tokenizer.token_bytes(id)) : "[" + std::to_string(id) + "]";
  }
  return shown;
}

TEST(AddedTokens, TheLongestOfThoseThatBeginFirstIsTaken) {
  const Tokenizer tokenizer = with_added(
      {added_token(256, "<a"), added_token(257, "<a>b"), added_token(258, "a>"), added_token(259, ">b<")});
  EXPECT_EQ(show(tokenizer, "<a>"), "[256]>");
  EXPECT_EQ(show(tokenizer, "<a>b<a"), "[257][256]");
  EXPECT_EQ(show(tokenizer, "a>b<"), "[258]b<");
}

TEST(AddedTokens, StripTheSpaceOnTheSideTheySay) {
  const Tokenizer tokenizer =
      with_added({added_token(256, "<l>", {{"lstrip", true}}), added_token(257, "<r>", {{"rstrip", true}}),
                  added_token(258, "<n>")});
  EXPECT_EQ(show(tokenizer, "a \t<l> b"), "a[256] b");
  EXPECT_EQ(show(tokenizer,
                 "a <r> \n\xE3\x80\x80"
                 "b"),
            "a [257]b");
  EXPECT_EQ(show(tokenizer, "a <n> b"), "a [258] b");
  EXPECT_EQ(show(tokenizer, "<r>  <l>"), "[257][256]");
}

TEST(AddedTokens, OneThatBeginsInSpaceAlreadyTakenEndsItWhereItEnds) {
  const Tokenizer tokenizer = with_added({added_token(256, "<r>", {{"rstrip", true}}), added_token(257, "  "),
                                          added_token(258, "\n\n", {{"lstrip", true}}),
                                          added_token(259, "\t\t", {{"lstrip", true}, {"rstrip", true}})});
  EXPECT_EQ(show(tokenizer, "<r>  a"), "[256][257]a");
  EXPECT_EQ(show(tokenizer, "<r>   \na"), "[256][257] \na");
  EXPECT_EQ(show(tokenizer, "<r>\n\na"), "[256]a");
  EXPECT_EQ(show(tokenizer, "<r>  \n\n a"), "[256][257][258] a");
  EXPECT_EQ(show(tokenizer, "<r> \t\t a"), "[256]a");
}

TEST(AddedTokens, ASingleWordIsNotFoundInsideAnother) {
  const Tokenizer tokenizer = with_added({added_token(256, "kid", {{"single_word", true}})});
  EXPECT_EQ(show(tokenizer, "a kid, kid"), "a [256], [256]");
  EXPECT_EQ(show(tokenizer, "kids skid _kid kid\xC3\xA9"), "kids skid _kid kid\xC3\xA9");
  EXPECT_EQ(show(tokenizer, "kid\U00016135 kid\U0001611E"), "kid\U00016135 kid\U0001611E");  // Unicode 16
}

TEST(AddedTokens, ANormalizedOneIsFoundAfterNormalizationAndOthersBefore) {
  object json = small_tokenizer_json();
  json["normalizer"] = {{"type", "NFC"}};
  const Tokenizer tokenizer =
      with_added({added_token(256, "x\u0301", {{"normalized", true}}),
                  added_token(257, "e\u0301", {{"normalized", true}}), added_token(258, "o\u0301")},
                 json);
  EXPECT_EQ(show(tokenizer, "\u00E9e\u0301"), "[257][257]");
  EXPECT_EQ(tokenizer.encode("\u00F3", {}).size(), 2U);
  EXPECT_EQ(show(tokenizer, "o\u0301"), "[258]");
}

TEST(AddedTokens, SpecialOnesAreTextWhenTheyAreNotParsed) {
  const Tokenizer tokenizer =
      with_added({added_token(256, "<s>", {{"special", true}}), added_token(257, "<t>")});
  const std::string text = "<s><t>";
  EXPECT_EQ(show(tokenizer, text), "[256][257]");
  EXPECT_EQ(show(tokenizer, text, {.parse_special = false}), "<s>[257]");
  EXPECT_EQ(show(tokenizer, text, {.parse_special = false, .parse_added = false}), text);
  EXPECT_EQ(tokenizer.decode(Ids{256, 257}, true), "<t>");
}

TEST(Tokenizer, AnEndOfTurnThatIsNotParsedStaysText) {
  const Tokenizer& tokenizer = testing::golden_tokenizer("smollm2");
  const std::string text = "a<|im_end|>b";
  const auto ids = tokenizer.encode(text, {.parse_special = false, .add_special = false});
  EXPECT_EQ(std::count(ids.begin(), ids.end(), *tokenizer.find_token("<|im_end|>")), 0);
  EXPECT_EQ(tokenizer.decode(ids), text);
}

TEST(Tokenizer, MergesTakeTheLowestRankFirstAndTheLeftmostAmongEquals) {
  const Tokenizer tokenizer =
      Tokenizer::from_json(small_tokenizer_json({{"b", "c"}, {"a", "a"}, {"a", "b"}, {"aa", "a"}}), {});
  EXPECT_EQ(tokenizer.encode("abc", {}), (Ids{'a', 256}));
  EXPECT_EQ(tokenizer.encode("ab", {}), (Ids{258}));
  EXPECT_EQ(tokenizer.encode("aaa", {}), (Ids{259}));
  EXPECT_EQ(tokenizer.encode("aaaa", {}), (Ids{257, 257}));
}

/// Merging as it is defined, one pair at a time.
void merge_naively(const MergeTable& merges, Ids& ids) {
  while (true) {
    const Merge* best = nullptr;
    std::size_t at = 0;
    for (std::size_t i = 0; i + 1 < ids.size(); ++i) {
      const Merge* merge = merges.find(ids[i], ids[i + 1]);
      if (merge != nullptr && (best == nullptr || merge->rank < best->rank)) {
        best = merge;
        at = i;
      }
    }
    if (best == nullptr) return;
    ids[at] = best->id;
    ids.erase(ids.begin() + static_cast<std::ptrdiff_t>(at) + 1);
  }
}

TEST(Tokenizer, PiecesOfAnyLengthMergeAsTheDefinitionSays) {
  std::mt19937 random(7);
  for (int round = 0; round < 300; ++round) {
    constexpr int kMerges = 40;
    MergeTable merges(kMerges);
    for (int rank = 0; rank < kMerges; ++rank) {
      const auto any = [&] { return static_cast<std::int32_t>(random() % static_cast<unsigned>(3 + rank)); };
      const std::int32_t left = any();
      merges.put(left, any(), {rank, 3 + rank});
    }
    Ids ids(random() % 200);
    for (std::int32_t& id : ids) id = static_cast<std::int32_t>(random() % 3);
    Ids expected = ids;
    merge_naively(merges, expected);
    merge_pairs(merges, ids);
    EXPECT_EQ(ids, expected);
  }
}

TEST(Tokenizer, BytesWithoutATokenAreDroppedUnlessThereIsAnUnknownToken) {
  object json = small_tokenizer_json({{"a", "b"}});
  json["model"].as_object()["vocab"].as_object().erase("!");
  EXPECT_EQ(Tokenizer::from_json(json, {}).encode("a!!b", {}), (Ids{'a', 'b'}));
  json["model"].as_object()["unk_token"] = "ab";
  EXPECT_EQ(Tokenizer::from_json(json, {}).encode("!!", {}), (Ids{256, 256}));
  json["model"].as_object()["fuse_unk"] = true;
  EXPECT_EQ(Tokenizer::from_json(json, {}).encode("!!", {}), (Ids{256}));
}

TEST(Tokenizer, APieceThatIsATokenIsTakenWholeWhereMergesAreIgnored) {
  object json = small_tokenizer_json({{"b", "c"}, {"a", "b"}});
  json["model"].as_object()["vocab"].as_object()["abc"] = 258;
  EXPECT_EQ(Tokenizer::from_json(json, {}).encode("abc", {}), (Ids{'a', 256}));
  json["model"].as_object()["ignore_merges"] = true;
  EXPECT_EQ(Tokenizer::from_json(json, {}).encode("abc", {}), (Ids{258}));
}

TEST(Tokenizer, TheTemplateOfThePostProcessorGoesAroundTheText) {
  object json = small_tokenizer_json();
  json["added_tokens"] = boost::json::array{added_token(256, "<s>"), added_token(257, "</s>")};
  json["post_processor"] = boost::json::parse(R"({"type":"Sequence","processors":[{"type":"ByteLevel"},
    {"type":"TemplateProcessing","single":[{"SpecialToken":{"id":"<s>"}},{"Sequence":{"id":"A"}},{"SpecialToken":{"id":"</s>"}}],
     "special_tokens":{"<s>":{"ids":[256]},"</s>":{"ids":[257]}}}]})");
  const Tokenizer tokenizer = Tokenizer::from_json(json, {});
  EXPECT_EQ(tokenizer.encode("a", {}), (Ids{256, 'a', 257}));
  EXPECT_EQ(tokenizer.encode("a", {.parse_special = true, .add_special = false}), (Ids{'a'}));
  EXPECT_TRUE(tokenizer.adds_bos());
}

TEST(Tokenizer, TheConfigurationNamesTheTokensWithARole) {
  object json = small_tokenizer_json();
  json["added_tokens"] = boost::json::array{added_token(256, "<s>"), added_token(257, "</s>")};
  const object config =
      boost::json::parse(R"({"bos_token":"<s>","eos_token":{"content":"</s>"},"unk_token":null,
    "tokenizer_class":"LlamaTokenizerFast","add_bos_token":true,"added_tokens_decoder":{
      "257":{"content":"</s>","special":true},"258":{"content":"<new>","special":false}}})")
          .as_object();
  const Tokenizer tokenizer = Tokenizer::from_json(json, config);
  EXPECT_EQ(tokenizer.bos_id(), 256);
  EXPECT_EQ(tokenizer.eos_id(), 257);
  EXPECT_EQ(tokenizer.unk_id(), std::nullopt);
  EXPECT_TRUE(tokenizer.is_special(257));
  EXPECT_FALSE(tokenizer.is_special(258));
  EXPECT_EQ(tokenizer.encode("<new>", {}), (Ids{256, 258}));
  EXPECT_EQ(tokenizer.token(258), "<new>");
}

TEST(Tokenizer, IdsWithoutATokenStandForNothingAndNegativeOnesAreRefused) {
  object json = small_tokenizer_json();
  json["added_tokens"] = boost::json::array{added_token(300, "<far>")};
  const Tokenizer tokenizer = Tokenizer::from_json(json, {});
  EXPECT_EQ(tokenizer.vocab_size(), 301);
  EXPECT_EQ(tokenizer.decode(Ids{'a', 270, 301, 2'000'000'000, 300}), "a<far>");
  EXPECT_FALSE(tokenizer.has_token(270));
  EXPECT_THROW(tokenizer.decode(Ids{-1}), Error);
  EXPECT_THROW(tokenizer.token(301), Error);
}

/// Expects an Error that names `named`.
void expect_refused(const object& json, const std::string& named, const object& config = {}) {
  try {
    Tokenizer::from_json(json, config);
    ADD_FAILURE() << "accepted, though " << named;
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find(named), std::string::npos) << error.what();
  }
}

TEST(TokenizerFile, AMalformedOneIsRefusedWithTheNameOfWhatIsWrong) {
  const auto broken = [](const std::function<void(object&)>& change, const std::string& named) {
    object json = small_tokenizer_json({{"a", "b"}});
    change(json);
    expect_refused(json, named);
  };
  const auto model = [](object& json) -> object& { return json["model"].as_object(); };
  const auto vocabulary = [&](object& json) -> object& { return model(json)["vocab"].as_object(); };
  broken([](object& json) { json.erase("model"); }, "model");
  broken([](object& json) { json["model"] = 1; }, "model");
  broken([&](object& json) { model(json)["type"] = "Unigram"; }, "Unigram");
  broken([&](object& json) { model(json).erase("vocab"); }, "vocab");
  broken([&](object& json) { model(json)["vocab"] = object(); }, "vocabulary is empty");
  broken([&](object& json) { model(json)["end_of_word_suffix"] = "</w>"; }, "end_of_word_suffix");
  for (const value& id :
       {value(-1), value(2147483648), value(1e3), value("7"), value(nullptr), value(UINT64_MAX)}) {
    broken([&](object& json) { vocabulary(json)["x!"] = id; }, "x!");
  }
  broken([&](object& json) { vocabulary(json)["x!"] = 97; }, "97");
  broken([&](object& json) { model(json)["merges"] = 3; }, "merges");
  for (const value& merge : {value("a"), value("a b c"), value(1), value({"a"}), value({"a", 1})}) {
    broken([&](object& json) { model(json)["merges"].as_array().push_back(merge); }, "merge 1");
  }
  broken([&](object& json) { model(json)["merges"].as_array().emplace_back("a zz"); }, "'zz'");
  broken([&](object& json) { model(json)["merges"].as_array().emplace_back("a c"); }, "'ac'");
  broken([](object& json) { json["normalizer"] = {{"type", "Lowercase"}}; }, "Lowercase");
  broken([](object& json) { json["decoder"] = {{"type", "Metaspace"}}; }, "Metaspace");
  broken([](object& json) { json["pre_tokenizer"] = nullptr; }, "ByteLevel");
  broken([](object& json) { json["pre_tokenizer"] = {{"type", "Mystery"}}; }, "Mystery");
  broken([](object& json) { json["post_processor"] = {{"type", "Mystery"}}; }, "Mystery");
}

TEST(TokenizerFile, AddedTokensThatContradictAreRefused) {
  const auto refused = [](const std::vector<value>& added, const std::string& named,
                          const object& config = {}) {
    object json = small_tokenizer_json();
    json["added_tokens"] = boost::json::array(added.begin(), added.end());
    expect_refused(json, named, config);
  };
  refused({value(1)}, "added token");
  refused({value(object{{"id", 256}})}, "content");
  refused({value(object{{"content", "<x>"}})}, "id");
  refused({value(added_token(-5, "<x>"))}, "<x>");
  refused({value(added_token(2'000'000'000, "<x>"))}, "<x>");
  refused({value(added_token(97, "<x>"))}, "<x>");
  refused({value(added_token(256, "a"))}, "'a'");
  refused({value(added_token(256, "<x>")), value(added_token(256, "<y>"))}, "<y>");
  refused({value(added_token(256, "<x>")), value(added_token(257, "<x>"))}, "<x>");
  refused({value(added_token(256, std::string(5000, 'x')))}, "256");
  refused({value(added_token(256, "<x>", {{"special", "yes"}}))}, "special");
  refused({}, "added_tokens_decoder", {{"added_tokens_decoder", object{{"x", object()}}}});
  refused({}, "bos_token", {{"bos_token", 3}});
}

TEST(TokenizerFile, ASequenceInsideSequencesWithoutEndIsRefused) {
  value nested = nullptr;
  for (int i = 0; i < 25; ++i) {
    nested = object{{"type", "Sequence"}, {"pretokenizers", boost::json::array{nested}}};
  }
  object json = small_tokenizer_json();
  json["pre_tokenizer"] = nested;
  expect_refused(json, "nested");
}

TEST(TokenizerFile, ATemplateOfManyIdsAmongManyAddedTokensIsReadAtOnce) {
  object json = small_tokenizer_json();
  boost::json::array& added = json["added_tokens"].as_array();
  for (int i = 0; i < 100'000; ++i) added.push_back(added_token(1000 + i, "<" + std::to_string(i) + ">"));
  boost::json::array ids(200'000, 100'999);
  json["post_processor"] = {{"type", "TemplateProcessing"},
                            {"single", {{{"SpecialToken", {{"id", "x"}}}}, {{"Sequence", {{"id", "A"}}}}}},
                            {"special_tokens", {{"x", {{"ids", std::move(ids)}}}}}};
  const auto start = std::chrono::steady_clock::now();
  EXPECT_EQ(Tokenizer::from_json(json, {}).encode("", {}).size(), 200'000U);
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(20));
}

TEST(GgufTokenizer, WhatContradictsIsRefused) {
  const std::vector<std::string> tokens = {"a", "b", "ab"};
  const std::vector<std::int32_t> types = {1, 1, 1};
  const std::vector<std::string> merges = {"a b"};
  const auto load = [&](std::string_view pre, const auto& t, const auto& k, const auto& m,
                        std::optional<std::int32_t> bos) {
    return Tokenizer::from_gguf(pre, t, k, m, bos, std::nullopt, true, false);
  };
  EXPECT_EQ(load("gpt-2", tokens, types, merges, 0).encode("ab", {}), (Ids{0, 2}));
  EXPECT_THROW(load("no-such", tokens, types, merges, 0), Error);
  EXPECT_THROW(load("gpt-2", std::vector<std::string>(), types, merges, std::nullopt), Error);
  EXPECT_THROW(load("gpt-2", tokens, std::vector<std::int32_t>{1}, merges, 0), Error);
  EXPECT_THROW(load("gpt-2", tokens, types, std::vector<std::string>{"a c"}, 0), Error);
  EXPECT_THROW(load("gpt-2", tokens, types, std::vector<std::string>{"ab"}, 0), Error);
  EXPECT_THROW(load("gpt-2", tokens, types, merges, 3), Error);
  EXPECT_THROW(load("gpt-2", tokens, types, merges, -1), Error);
}

}  // namespace
}  // namespace touchstone
