#include "text/jinja_wrap.h"

#include <algorithm>
#include <deque>

#include "text/jinja_unicode.h"

namespace touchstone::jinja {
namespace {

bool is_wrap_space(char32_t c) { return (c >= 9 && c <= 13) || c == ' '; }
bool is_word_letter(char32_t c) { return c == '_' || is_alphanumeric(c); }

/// Words, the white space between them, and the parts of hyphenated words, each with its hyphen.
std::deque<std::u32string> split_chunks(const std::u32string& text, bool break_on_hyphens) {
  std::deque<std::u32string> chunks;
  for (std::size_t begin = 0; begin < text.size();) {
    std::size_t end = begin;
    const bool space = is_wrap_space(text[begin]);
    while (end < text.size() && is_wrap_space(text[end]) == space) {
      ++end;
      // Behind a hyphen between letters the word may be broken.
      const bool hyphen =
          break_on_hyphens && !space && text[end - 1] == '-' && end >= begin + 3 && end + 1 < text.size() &&
          is_word_letter(text[end - 2]) && is_word_letter(text[end - 3]) && is_word_letter(text[end]) &&
          is_word_letter(text[end + 1]) && !is_decimal(text[end - 2]) && !is_decimal(text[end]);
      if (hyphen) break;
    }
    chunks.push_back(text.substr(begin, end - begin));
    begin = end;
  }
  return chunks;
}

bool is_blank(const std::u32string& chunk) { return std::all_of(chunk.begin(), chunk.end(), is_wrap_space); }

}  // namespace

std::vector<std::string> wrap_words(std::string_view text, const WrapOptions& options, Budget& budget) {
  budget.make(text.size() * sizeof(char32_t) * 2);
  std::deque<std::u32string> chunks = split_chunks(to_chars(text), options.break_on_hyphens);
  std::vector<std::string> lines;
  while (!chunks.empty()) {
    budget.spend();
    std::vector<std::u32string> line;
    std::size_t length = 0;
    if (!lines.empty() && is_blank(chunks.front())) chunks.pop_front();
    while (!chunks.empty() && length + chunks.front().size() <= options.width) {
      length += chunks.front().size();
      line.push_back(std::move(chunks.front()));
      chunks.pop_front();
    }
    if (!chunks.empty() && chunks.front().size() > options.width) {
      if (options.break_long_words) {
        budget.scan(chunks.front().size() * sizeof(char32_t));  // the rest moves up
        const std::size_t room = options.width - length;
        line.push_back(chunks.front().substr(0, room));
        chunks.front().erase(0, room);
      } else if (line.empty()) {
        line.push_back(std::move(chunks.front()));
        chunks.pop_front();
      }
    }
    if (!line.empty() && is_blank(line.back())) line.pop_back();
    if (line.empty()) continue;
    std::string joined;
    for (const std::u32string& chunk : line) joined += to_text(chunk);
    lines.push_back(std::move(joined));
  }
  return lines;
}

}  // namespace touchstone::jinja
