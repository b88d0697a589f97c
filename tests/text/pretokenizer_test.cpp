#include "text/pretokenizer.h"

#include <gtest/gtest.h>

#include <ctime>

#include "base/error.h"
#include "text/tokenizer_support.h"

namespace touchstone {
namespace {

using boost::json::object;
using Pieces = std::vector<std::string>;

constexpr const char* kGpt2 = R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";
constexpr const char* kQwen2 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr const char* kLlama3 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

Pieces split_text(const PreTokenizer& pre, std::string_view text) {
  SplitBuffers buffers;
  split_pieces(pre, text, buffers);
  return {buffers.pieces.begin(), buffers.pieces.end()};
}

PreTokenizer split_step(const object& pattern, const std::string& behavior, bool invert = false) {
  return parse_pre_tokenizer(
      object{{"type", "Split"}, {"pattern", pattern}, {"behavior", behavior}, {"invert", invert}});
}

PreTokenizer split_at(const std::string& regex, const std::string& behavior = "Isolated",
                      bool invert = false) {
  return split_step({{"Regex", regex}}, behavior, invert);
}

TEST(PreTokenizer, TheScannersCutWhereThePatternsDo) {
  const std::pair<const char*, const char*> scanners[] = {
      {kGpt2, "gpt-2"}, {kQwen2, "qwen2"}, {kQwen2, "deepseek-r1-qwen"}, {kLlama3, "llama-bpe"}};
  std::mt19937 random(3);
  for (const auto& [pattern, name] : scanners) {
    const PreTokenizer scanner = named_pre_tokenizer(name);
    ASSERT_NE(scanner.steps.front().splitter, Splitter::pattern);
    EXPECT_EQ(split_at(pattern).steps.front().splitter, scanner.steps.front().splitter);
    const PreTokenizer matcher = split_at("(?:" + std::string(pattern) + ")");
    ASSERT_EQ(matcher.steps.front().splitter, Splitter::pattern);
    for (int i = 0; i < 3000; ++i) {
      const std::string text = testing::random_text(random);
      EXPECT_EQ(split_text(scanner, text), split_text(matcher, text)) << name << ": " << text;
    }
  }
}

TEST(PreTokenizer, APatternThatTakesTooManyStepsIsAnErrorSoon) {
  std::string letters;
  for (int i = 0; i < 10000; ++i) letters += "xy";
  std::string words;
  for (int i = 0; i < 800; ++i) words += "aaaaaaaaaaaaaaaaaaaaaaaac";
  const std::string a(20000, 'a');
  std::string faces;
  for (int i = 0; i < 20000; ++i) faces += "\U0001F600";
  const std::pair<const char*, std::string> hostile[] = {
      {".*.*z|.", letters},        {"(.*)*z|.", letters},    {"(a+)+b|.", words},
      {"(?:a|a)*b|.", words},      {"(a|b|ab)*c", a + "dc"}, {"[ab]*[ab]*[cd]", a},
      {"[ab]*[ab]*[cd]|.", a},     {"[ab]*+[xy]", a + a},    {"[ab]*+x|.", a + a},
      {"a(?=[ab]*+)", a + a},      {"a{20000,}+x|.", a + a}, {"(?<=b[ab]{20000})x|.", a + a},
      {"(a+)b?.*\\1c|.", "b" + a}, {"\\W*+[xy]|.", faces}};
  for (const auto& [pattern, text] : hostile) {
    const PreTokenizer pre = split_at(pattern);
    SplitBuffers buffers;
    buffers.match_steps = most_match_steps(text.size());
    const std::clock_t start = std::clock();
    EXPECT_THROW(split_pieces(pre, text, buffers), Error) << pattern;
    EXPECT_LT(std::clock() - start, 2 * CLOCKS_PER_SEC) << pattern;
  }
}

TEST(PreTokenizer, AWordMayBeAsLongAsTheText) {
  const PreTokenizer pre = split_at("(?:" + std::string(kQwen2) + ")");
  for (const char* part : {"x", "7", " ", "!", "\n", "\u4F60"}) {
    std::string text;
    while (text.size() < 1'000'000) text += part;
    SplitBuffers buffers;
    buffers.match_steps = most_match_steps(text.size());
    EXPECT_NO_THROW(split_pieces(pre, text, buffers)) << part;
  }
}

TEST(PreTokenizer, RefusesGroupsThatThePatternsOwnSyntaxLacks) {
  for (const char* pattern :
       {"(*UTF)a", "(*COMMIT)a", "(?C1)a", "(?R)", "(?1)(a)", "(?P<n>a)", "(?m)a.b", "(?s:.)"}) {
    EXPECT_THROW(split_at(pattern), Error) << pattern;
  }
  for (const char* pattern : {"(?i)a", "(?i:a)", "(?i-x:a)", "(?=a)", "(?!a)", "(?<=a)b", "(?<!a)b", "(?>a)",
                              "(?<n>a)", "(?#comment)a", "[(*]", "\\(*"}) {
    EXPECT_NO_THROW(split_at(pattern)) << pattern;
  }
}

TEST(PreTokenizer, PiecesJoinToTheText) {
  std::mt19937 random(4);
  for (const char* name : {"gpt-2", "qwen2", "llama-bpe", "smollm"}) {
    const PreTokenizer pre = named_pre_tokenizer(name);
    for (int i = 0; i < 1000; ++i) {
      const std::string text = testing::random_text(random);
      std::string joined;
      for (const std::string& piece : split_text(pre, text)) {
        EXPECT_FALSE(piece.empty());
        joined += piece;
      }
      EXPECT_EQ(joined, text);
    }
  }
}

TEST(PreTokenizer, FamiliesDifferInDigitsAndContractions) {
  const std::string text = "I'LL 1234";
  EXPECT_EQ(split_text(named_pre_tokenizer("qwen2"), text), (Pieces{"I", "'LL", " ", "1", "2", "3", "4"}));
  EXPECT_EQ(split_text(named_pre_tokenizer("llama-bpe"), text), (Pieces{"I", "'LL", " ", "123", "4"}));
  EXPECT_EQ(split_text(named_pre_tokenizer("gpt-2"), text), (Pieces{"I", "'", "LL", " 1234"}));
  EXPECT_EQ(split_text(named_pre_tokenizer("smollm"), text),
            (Pieces{"I", "'", "LL", " ", "1", "2", "3", "4"}));
}

TEST(PreTokenizer, ASplitTreatsItsMatchesAsItsBehaviorSays) {
  const std::string text = "a--b-";
  EXPECT_EQ(split_text(split_at("-"), text), (Pieces{"a", "-", "-", "b", "-"}));
  EXPECT_EQ(split_text(split_at("-", "Removed"), text), (Pieces{"a", "b"}));
  EXPECT_EQ(split_text(split_at("-", "Removed", true), text), (Pieces{"-", "-", "-"}));
  EXPECT_EQ(split_text(split_at("-", "MergedWithPrevious"), text), (Pieces{"a-", "-", "b-"}));
  EXPECT_EQ(split_text(split_at("-", "MergedWithNext"), text), (Pieces{"a", "-", "-b", "-"}));
  EXPECT_EQ(split_text(split_at("-", "Contiguous"), text), (Pieces{"a", "--", "b", "-"}));
  EXPECT_EQ(split_text(split_at("(?=b)"), text), (Pieces{"a--", "b-"}));
  EXPECT_EQ(split_text(split_step({{"String", ".*"}}, "Isolated"), "a.*b"), (Pieces{"a", ".*", "b"}));
}

TEST(PreTokenizer, DigitsAreCutOneByOneOrInRuns) {
  const auto digits = [](bool individual) {
    return parse_pre_tokenizer(object{{"type", "Digits"}, {"individual_digits", individual}});
  };
  EXPECT_EQ(split_text(digits(true), "a12\u0663b"), (Pieces{"a", "1", "2", "\u0663", "b"}));
  EXPECT_EQ(split_text(digits(false), "a12\u0663b"), (Pieces{"a", "12\u0663", "b"}));
}

TEST(PreTokenizer, APrefixSpaceIsPutBeforeEachPieceThatHasNone) {
  const PreTokenizer pre = parse_pre_tokenizer(object{
      {"type", "Sequence"},
      {"pretokenizers",
       {object{{"type", "Split"}, {"pattern", {{"String", "|"}}}, {"behavior", "Removed"}, {"invert", false}},
        object{{"type", "ByteLevel"}, {"add_prefix_space", true}, {"use_regex", false}}}}});
  EXPECT_EQ(split_text(pre, "a| b|c"), (Pieces{" a", " b", " c"}));
}

TEST(PreTokenizer, WordCharactersIncludeMarksAsInTheReference) {
  EXPECT_EQ(split_text(split_at(R"(\w+)", "Removed", true), "a\u0301-_1"), (Pieces{"a\u0301", "_1"}));
  EXPECT_EQ(split_text(split_at(R"(\w+)", "Isolated"), "m²½ⅷ²③"), (Pieces{"m²½ⅷ²", "③"}));
  EXPECT_EQ(split_text(split_at(R"([\w]+)", "Isolated"), "m²ⅷ"), (Pieces{"m", "²", "ⅷ"}));
  EXPECT_EQ(split_text(split_at(R"(\W)", "Removed"), "a\u0301-b"), (Pieces{"a\u0301", "b"}));
  EXPECT_EQ(split_text(split_at(R"(\s)", "Removed"), "a\u0085b\u180Ec"), (Pieces{"a",
                                                                                 "b\u180E"
                                                                                 "c"}));
}

TEST(PreTokenizer, CategoriesKnowTheCharactersOfUnicode16) {
  EXPECT_EQ(split_text(split_at(R"( ?[\p{P}\p{S}]+)", "Isolated"), "a \U0001FA77!b"),
            (Pieces{"a", " \U0001FA77!", "b"}));
  EXPECT_EQ(split_text(split_at(R"(\P{S}|\p{^So})", "Removed"), "a\U0001FA77\U0001FAE8b"),
            Pieces{"\U0001FA77\U0001FAE8"});
  EXPECT_EQ(split_text(split_at("[[:punct:]]", "Removed"), "a\U0001FAE8b"), (Pieces{"a", "b"}));
  EXPECT_EQ(split_text(split_at("[^[:word:]]", "Removed"), "\U0001FAE8\U00011F50"), Pieces{"\U00011F50"});
  EXPECT_EQ(split_text(split_at(R"([^\s\p{L}]+|\d)", "Removed"), "\U0002EBF0\U00011F50"),
            Pieces{"\U0002EBF0"});
}

TEST(PreTokenizer, NamedClassesHaveTheReferencesMembers) {
  EXPECT_EQ(split_text(split_at("[[:punct:]]+", "Isolated"), "a¢„_Ⓐ1"), (Pieces{"a", "¢„_Ⓐ", "1"}));
  EXPECT_EQ(split_text(split_at("[[:alpha:]]+", "Removed", true), "aⓐ\u05B0²1_"), Pieces{"aⓐ\u05B0"});
  EXPECT_EQ(split_text(split_at("[^[:upper:][:lower:]]", "Removed"), "ªⅧ１b²"), (Pieces{"ªⅧ", "b"}));
  EXPECT_EQ(split_text(split_at("[[:space:]]+", "Removed"), "a\u180E\u0085b"), (Pieces{"a\u180E", "b"}));
  EXPECT_THROW(split_at("[[:graph:]]"), Error);
}

TEST(PreTokenizer, AScriptHasItsOwnCharactersAlone) {
  EXPECT_EQ(split_text(split_at(R"(\p{Han}+)", "Isolated"), "漢、字1"), (Pieces{"漢", "、", "字", "1"}));
  EXPECT_EQ(split_text(split_at(R"([^\p{Hiragana}\p{L}]+)", "Isolated"), "ひー。ａ"),
            (Pieces{"ひー", "。", "ａ"}));
  EXPECT_EQ(split_text(split_at(R"(\P{Katakana}|\p{^Katakana})", "Removed"), "カ・ー"), Pieces{"カ"});
}

TEST(PreTokenizer, APatternThatCannotBeReadAlikeIsRefused) {
  for (const char* pattern : {"(", "[a&&b]", "[a[b]]", R"([^\S])", R"(\Ka)", R"(\C)", "(?<=a+)"}) {
    EXPECT_THROW(split_at(pattern), Error) << pattern;
  }
  EXPECT_THROW(split_at(std::string(100'000, 'a')), Error);
  EXPECT_THROW(split_at(std::string(500, '(') + std::string(500, ')')), Error);
}

TEST(PreTokenizer, AMegabyteOfSpacesOrMarksIsCutByPatternsToo) {
  constexpr std::size_t kSize = 1'000'000;
  for (const char* pattern : {kGpt2, kQwen2}) {
    const PreTokenizer matcher = split_at("(?:" + std::string(pattern) + ")");
    EXPECT_EQ(split_text(matcher, std::string(kSize, ' ') + "a").size(), 2U);
    EXPECT_EQ(split_text(matcher, std::string(kSize, 'a')).size(), 1U);
    EXPECT_EQ(split_text(matcher, std::string(kSize, '!')).size(), 1U);
  }
}

TEST(PreTokenizer, TrailingSpaceIsFoundInAMegabyteOfSpaces) {
  const PreTokenizer pre = split_at(R"(\s+$)");
  EXPECT_EQ(split_text(pre, "a  \n\n b \t\n"), (Pieces{"a", "  \n", "\n b", " \t\n"}));
  const std::string spaces(1'000'000, ' ');
  EXPECT_EQ(split_text(pre, spaces + "a" + spaces), (Pieces{spaces + "a", spaces}));
}

TEST(PreTokenizer, APatternThatBacktracksWithoutEndIsAnError) {
  EXPECT_THROW(split_text(split_at("(?:a|a)*b|(?:a+)+c"), std::string(5000, 'a')), Error);
}

}  // namespace
}  // namespace touchstone
