#include "engine/answer_text.h"

#include <gtest/gtest.h>

#include <random>

#include "engine/load.h"
#include "engine_golden.h"
#include "formats/checkpoint.h"

namespace touchstone {
namespace {

Tokenizer golden_tokenizer() {
  return load_tokenizer(open_without_weights(testing::golden_models().front().string()));
}

/// The text before the stop string that is complete first, the longest of those that end together.
std::string cut_at_stop(const std::string& text, const std::vector<std::string>& stops) {
  for (std::size_t end = 1; end <= text.size(); ++end) {
    std::size_t longest = 0;
    for (const std::string& stop : stops) {
      if (std::string_view(text).substr(0, end).ends_with(stop)) longest = std::max(longest, stop.size());
    }
    if (longest > 0) return text.substr(0, end - longest);
  }
  return text;
}

std::string stream(AnswerText& answer, const std::vector<std::int32_t>& ids) {
  std::string text;
  for (const std::int32_t id : ids) {
    text += answer.push(id);
    if (answer.stopped()) break;
  }
  return text + answer.finish();
}

TEST(AnswerText, CutsAtStopStringsWhereverTokensPart) {
  const Tokenizer tokenizer = golden_tokenizer();
  std::mt19937 random(1);
  int stopped = 0;
  for (int round = 0; round < 400; ++round) {
    std::vector<std::int32_t> ids(1 + random() % 40);
    // Few different ids, so that beginnings of stop strings come often.
    for (std::int32_t& id : ids) id = static_cast<std::int32_t>(random() % (round % 2 == 0 ? 500 : 70));
    const std::string text = tokenizer.decode(ids, true);
    std::vector<std::string> stops;
    for (std::size_t i = 0; i < random() % 4 && !text.empty(); ++i) {
      stops.push_back(text.substr(random() % text.size(), 1 + random() % 6));
      if (random() % 2 == 0) stops.back() += "x";
    }
    AnswerText answer(tokenizer, stops, false);
    ASSERT_EQ(stream(answer, ids), cut_at_stop(text, stops)) << "round " << round;
    stopped += answer.stopped() ? 1 : 0;
  }
  EXPECT_GT(stopped, 50);
}

TEST(AnswerText, TheCutIsTheSameForEveryTokenization) {
  const Tokenizer tokenizer = golden_tokenizer();
  const std::string text = "one two three two one";
  std::vector<std::int32_t> letters;
  for (const char c : text) {
    for (const std::int32_t id : tokenizer.encode(std::string(1, c), {})) letters.push_back(id);
  }
  const std::vector<std::int32_t> words = tokenizer.encode(text, {});
  ASSERT_LT(words.size(), letters.size());
  for (const std::vector<std::string>& stops : {std::vector<std::string>{"e t"},
                                                {"three two", "hre"},
                                                {"ee"},
                                                {"wo t", "two three"},
                                                {"one two three two one!"}}) {
    AnswerText by_words(tokenizer, stops, false);
    AnswerText by_letters(tokenizer, stops, false);
    const std::string expected = cut_at_stop(text, stops);
    EXPECT_EQ(stream(by_words, words), expected);
    EXPECT_EQ(stream(by_letters, letters), expected);
  }
}

TEST(AnswerText, TextThatCannotBecomeAStopStringIsNotHeldBack) {
  const Tokenizer tokenizer = golden_tokenizer();
  AnswerText answer(tokenizer, {"ab!"}, false);
  const auto push = [&](const char* text) {
    std::string shown;
    for (const std::int32_t id : tokenizer.encode(text, {})) shown += answer.push(id);
    return shown;
  };
  EXPECT_EQ(push("x"), "x");
  EXPECT_EQ(push("a"), "");
  EXPECT_EQ(push("a"), "a");
  EXPECT_EQ(push("b"), "");
  EXPECT_EQ(push("c"), "abc");
  EXPECT_EQ(push("a"), "");
  EXPECT_EQ(answer.finish(), "a");
  EXPECT_FALSE(answer.stopped());
}

TEST(AnswerText, TellsThinkingFromTheAnswer) {
  const Tokenizer tokenizer = golden_tokenizer();
  AnswerText answer(tokenizer, {}, true);
  EXPECT_TRUE(answer.in_reasoning());
  stream(answer, tokenizer.encode("First add.\n</think>\n\nIt is 4.", {}));
  EXPECT_FALSE(answer.in_reasoning());
  EXPECT_EQ(answer.parts().reasoning, "First add.");
  EXPECT_EQ(answer.parts().answer, "It is 4.");
  EXPECT_TRUE(answer.parts().closed);

  AnswerText open(tokenizer, {}, true);
  stream(open, tokenizer.encode("First add.", {}));
  EXPECT_EQ(open.parts().reasoning, "First add.");
  EXPECT_EQ(open.parts().answer, "");
  EXPECT_FALSE(open.parts().closed);
}

}  // namespace
}  // namespace touchstone
