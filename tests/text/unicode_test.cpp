#include "text/unicode.h"

#include <gtest/gtest.h>
#include <utf8proc.h>

#include <cstdlib>
#include <memory>

#include "text/tokenizer_support.h"

namespace touchstone {
namespace {

TEST(Utf8, EachMaximalPartOfAnInvalidCharacterBecomesOneReplacement) {
  EXPECT_EQ(to_valid_utf8("a\xF0\x9F\x98z"), "a\uFFFDz");
  EXPECT_EQ(to_valid_utf8("\xC0\xAF"), "\uFFFD\uFFFD");
  EXPECT_EQ(to_valid_utf8("\xED\xA0\x80"), "\uFFFD\uFFFD\uFFFD");
  EXPECT_EQ(to_valid_utf8("\xF4\x90\x80\x80"), "\uFFFD\uFFFD\uFFFD\uFFFD");
  EXPECT_EQ(to_valid_utf8("\xE2\x82"), "\uFFFD");
  EXPECT_EQ(to_valid_utf8("h\u00E9\u4E2D\U0001F600"), "h\u00E9\u4E2D\U0001F600");
}

TEST(Utf8, OnlyACharacterThatCanStillGrowIsIncomplete) {
  const std::string emoji = "\U0001F600";
  for (std::size_t length = 1; length < 4; ++length) {
    EXPECT_EQ(incomplete_suffix("a" + emoji.substr(0, length)), length);
  }
  EXPECT_EQ(incomplete_suffix(emoji), 0U);
  EXPECT_EQ(incomplete_suffix("\xED\xA0"), 0U);
  EXPECT_EQ(incomplete_suffix("\xFF"), 0U);
  EXPECT_EQ(incomplete_suffix(""), 0U);
}

std::string library_nfc(std::string text) {
  const std::unique_ptr<utf8proc_uint8_t, decltype(&std::free)> composed(
      utf8proc_NFC(reinterpret_cast<const utf8proc_uint8_t*>(text.c_str())), &std::free);
  return reinterpret_cast<const char*>(composed.get());
}

TEST(Normalization, AgreesWithTheLibraryOnWholeTexts) {
  std::mt19937 random(5);
  for (int i = 0; i < 5000; ++i) {
    std::string text = testing::random_text(random);
    std::erase(text, '\0');
    EXPECT_EQ(normalize(text, Normalization::nfc), library_nfc(text)) << text;
  }
}

TEST(Normalization, ComposesAndDecomposes) {
  EXPECT_EQ(normalize("e\u0301\u0323", Normalization::nfc), "\u1EB9\u0301");
  EXPECT_EQ(normalize("\u1EB9\u0301", Normalization::nfd), "e\u0323\u0301");
  EXPECT_EQ(normalize("\uFB01\u2460", Normalization::nfkc), "fi1");
  EXPECT_EQ(normalize("\u1100\u1161\u11A8", Normalization::nfc), "\uAC01");
  EXPECT_EQ(normalize("\u212B", Normalization::nfc), "\u00C5");
}

TEST(Normalization, TheEmptyTrailingConsonantComposesWithNothing) {
  EXPECT_EQ(normalize("\u1100\u1161\u11A7", Normalization::nfc), "\uAC00\u11A7");
}

TEST(Normalization, MarksYoungerThanTheReferencesTablesStayWhereTheyAre) {
  EXPECT_EQ(normalize("a\u0301\u1ABF\u0323", Normalization::nfc), "\u00E1\u1ABF\u0323");
}

TEST(Normalization, CompatibilityCharactersYoungerThanTheReferencesTablesStayAsTheyAre) {
  for (const char* text :
       {"\u32FF", "\uA7F2", "\uAB69", "\U00010781", "\U0001E030", "\U0001F16C", "\U0001FBF5"}) {
    EXPECT_EQ(normalize(text, Normalization::nfkc), text);
    EXPECT_EQ(normalize(text, Normalization::nfkd), text);
  }
  EXPECT_EQ(normalize("\u337B\u32FF\uFF11", Normalization::nfkc), "\u5E73\u6210\u32FF1");
}

TEST(Normalization, AMegabyteOfMarksIsOrdered) {
  std::string text = "a";
  for (int i = 0; i < 250'000; ++i) text += "\u0301\u0323";
  const std::string normalized = normalize(text, Normalization::nfc);
  EXPECT_EQ(normalized.substr(0, 5), "\u1EA1\u0323");
  EXPECT_EQ(normalized.substr(normalized.size() - 2), "\u0301");
}

TEST(CharClasses, FollowUnicode16WhateverTheLibraryKnows) {
  EXPECT_EQ(classify('a'), CharClass::letter);
  EXPECT_EQ(classify(0x2EBF0), CharClass::letter);
  EXPECT_EQ(classify(0x10D40), CharClass::number);
  EXPECT_EQ(classify(0x216B), CharClass::number);
  EXPECT_EQ(classify(0x85), CharClass::space);
  EXPECT_EQ(classify(0x180E), CharClass::other);
  EXPECT_EQ(classify(0x301), CharClass::other);
}

}  // namespace
}  // namespace touchstone
