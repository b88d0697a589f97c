// Text helpers that the readers of answers share.
#pragma once

#include <cstddef>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace touchstone {

/// What stands outside `<think>…</think>`. `opened`: the text begins inside the thinking. `cut`: the thinking
/// was opened and never closed.
struct OutsideThinking {
  std::string text;
  bool cut = false;
};
OutsideThinking remove_thinking(std::string_view output, bool opened);

/// One way of writing for the many: full-width forms to ASCII, special spaces, dashes and fractions to plain
/// ones, superscripts to "^{2}", "。" to ". ", LaTeX spacing, escapes, \text{} and \left\right gone, \dfrac
/// to \frac, \times to "*".
std::string normalize_answer(std::string_view text);

/// ASCII letters in lower case; all other bytes as they are (positions are kept).
std::string to_lower(std::string_view text);

std::string_view trim(std::string_view text);

/// Of a sign that an answer may repeat without end (models do loop) only the last this many are looked at,
/// and this much of what follows each, so that the time to read an answer grows no faster than its length.
inline constexpr std::size_t kMaxMarks = 64;
inline constexpr std::size_t kMaxTail = 600;  // bytes

/// Where the contents of a `\boxed{…}` begin and end (inside the braces).
struct Boxed {
  std::size_t begin = 0;
  std::size_t end = 0;
};
std::vector<Boxed> find_boxed(std::string_view text);

/// End of the sentence that `begin` is in, at most `max_bytes` on: a line end, or ". ", "!", "?", ";"
/// (decimal points do not end it).
std::size_t sentence_end(std::string_view text, std::size_t begin, std::size_t max_bytes);

bool is_digit(char c);
bool is_letter(char c);  // ASCII
bool is_word_at(std::string_view text, std::size_t pos, std::string_view word);
/// Whether one of `words` stands in `text`: as a word, where it begins with a letter.
bool contains_any(std::string_view text, std::initializer_list<std::string_view> words);
/// Whether `text` ends with one of `words`, before which no letter stands.
bool ends_with_word(std::string_view text, std::initializer_list<std::string_view> words);

/// A place where the text says that its answer follows.
struct AnswerMark {
  std::size_t pos = 0;    // of the mark itself
  std::size_t begin = 0;  // of what follows
};
/// The last kMaxMarks "answer is", "Answer:", "答案是" … of `lower` (normalised, in lower case), in order.
/// Negated ones
/// ("the answer is not") are left out.
std::vector<AnswerMark> find_answer_marks(std::string_view lower);

/// What stands before a next question ("Question:", "Q:", "Human:" at the beginning of a later line), which
/// models that go on and on put to themselves; all of `answer` when there is none.
std::string_view before_next_question(std::string_view answer);

/// Whether the text says that no answer can be given.
bool is_refusal(std::string_view lower);

}  // namespace touchstone
