#include "text/pretokenizer.h"

#include <algorithm>
#include <array>
#include <cassert>

#include "text/unicode.h"

namespace touchstone {
namespace {

struct Char {
  CharClass char_class;
  std::size_t length;
};

constexpr std::array<CharClass, 128> make_ascii_classes() {
  std::array<CharClass, 128> classes{};
  for (std::size_t c = 0; c < classes.size(); ++c) {
    const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    const bool space = c == ' ' || (c >= 9 && c <= 13);
    classes[c] = letter                 ? CharClass::letter
                 : space                ? CharClass::space
                 : c >= '0' && c <= '9' ? CharClass::number
                                        : CharClass::other;
  }
  return classes;
}
constexpr auto kAsciiClasses = make_ascii_classes();

Char char_at(std::string_view text, std::size_t at) {
  const auto byte = static_cast<unsigned char>(text[at]);
  if (byte < 0x80) return {kAsciiClasses[byte], 1};
  const Codepoint c = read_codepoint(text, at);
  return {classify(c.value), c.length};
}

bool is_class(std::string_view text, std::size_t at, CharClass char_class) {
  return at < text.size() && char_at(text, at).char_class == char_class;
}

bool is_newline(char c) { return c == '\r' || c == '\n'; }

/// The end of the run of `char_class` that holds at `at`, at most `limit` characters of it.
std::size_t run_end(std::string_view text, std::size_t at, CharClass char_class,
                    std::size_t limit = std::string_view::npos) {
  for (std::size_t count = 0; at < text.size() && count < limit; ++count) {
    const Char c = char_at(text, at);
    if (c.char_class != char_class) break;
    at += c.length;
  }
  return at;
}

/// The length of the English contraction at `at`, where an apostrophe stands: 's 't 'm 'd 're 've 'll; 0 for
/// none.
std::size_t contraction(std::string_view text, std::size_t at, bool any_case) {
  const auto letter = [&](std::size_t i) {
    if (i >= text.size()) return '\0';
    const char c = text[i];
    return any_case && c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  };
  const char first = letter(at + 1);
  const char second = letter(at + 2);
  if (first == 's' || first == 't' || first == 'm' || first == 'd') return 2;
  if (second == 'e' && (first == 'r' || first == 'v')) return 3;
  if (first == 'l' && second == 'l') return 3;
  const bool long_s = text.substr(at + 1, 2) == "\xC5\xBF";  // U+017F is an s when case does not count
  return any_case && long_s ? 3 : 0;
}

/// `\s+(?!\S)|\s+`: a run of white space leaves its last character to the word that follows.
std::size_t space_end(std::string_view text, std::size_t at, std::size_t run) {
  if (run == text.size()) return run;
  const std::size_t last = at + last_codepoint(text.substr(at, run - at));
  return last > at ? last : run;
}

/// 's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
std::size_t gpt2_end(std::string_view text, std::size_t at) {
  if (text[at] == '\'') {
    if (const std::size_t length = contraction(text, at, false)) return at + length;
  }
  const std::size_t word = text[at] == ' ' && at + 1 < text.size() ? at + 1 : at;
  const CharClass word_class = char_at(text, word).char_class;
  if (word_class != CharClass::space) return run_end(text, word, word_class);
  return space_end(text, at, run_end(text, at, CharClass::space));
}

/// (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,digits}|
/// ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+| \s+(?!\S)|\s+
std::size_t qwen2_end(std::string_view text, std::size_t at, std::size_t digits) {
  if (text[at] == '\'') {
    if (const std::size_t length = contraction(text, at, true)) return at + length;
  }
  const Char c = char_at(text, at);
  if (c.char_class == CharClass::letter) return run_end(text, at, CharClass::letter);
  if (c.char_class == CharClass::number) return run_end(text, at, CharClass::number, digits);
  if (!is_newline(text[at]) && is_class(text, at + c.length, CharClass::letter)) {
    return run_end(text, at + c.length, CharClass::letter);
  }
  const std::size_t symbols = text[at] == ' ' && is_class(text, at + 1, CharClass::other) ? at + 1 : at;
  if (symbols > at || c.char_class == CharClass::other) {
    std::size_t end = run_end(text, symbols, CharClass::other);
    while (end < text.size() && is_newline(text[end])) ++end;
    return end;
  }
  const std::size_t run = run_end(text, at, CharClass::space);
  const std::size_t newline = text.substr(at, run - at).find_last_of("\r\n");
  return newline != std::string_view::npos ? at + newline + 1 : space_end(text, at, run);
}

template <class End>
void split_words(std::string_view text, std::vector<std::string_view>& out, const End& end_of) {
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = end_of(text, at);
    assert(end > at);
    out.push_back(text.substr(at, end - at));
    at = end;
  }
}

/// Digits: every numeric character by itself, or every run of them.
void split_digits(std::string_view text, bool individual, std::vector<std::string_view>& out) {
  std::size_t begin = 0;
  bool in_number = false;
  for (std::size_t at = 0; at < text.size();) {
    const Char c = char_at(text, at);
    const bool number = c.char_class == CharClass::number;
    if (at > begin && (number != in_number || (number && individual))) {
      out.push_back(text.substr(begin, at - begin));
      begin = at;
    }
    in_number = number;
    at += c.length;
  }
  if (begin < text.size()) out.push_back(text.substr(begin));
}

struct Span {
  std::size_t begin, end;
  bool match;
};

/// The matches of the pattern and what lies between them. An empty match is one too, and cuts the text, but
/// not where the match before it ended.
std::vector<Span> find_spans(const Pattern& pattern, std::string_view text, std::uint64_t& steps_left) {
  std::vector<Span> spans;
  std::size_t covered = 0;
  Match match{};
  bool any = false;
  for (std::size_t from = 0; from <= text.size() && pattern.find(text, from, match, steps_left);) {
    if (match.begin == match.end && any && match.begin == covered) {
      from += from < text.size() ? read_codepoint(text, from).length : 1;
      continue;
    }
    if (match.begin > covered) spans.push_back({covered, match.begin, false});
    spans.push_back({match.begin, match.end, true});
    covered = from = match.end;
    any = true;
  }
  if (covered < text.size()) spans.push_back({covered, text.size(), false});
  return spans;
}

/// Merges each match into its neighbour before it, unless that is a match; `spans` may run backwards.
std::vector<Span> merge_matches(const std::vector<Span>& spans) {
  std::vector<Span> merged;
  bool after_match = false;
  for (const Span& span : spans) {
    if (span.match && !after_match && !merged.empty()) {
      merged.back().begin = std::min(merged.back().begin, span.begin);
      merged.back().end = std::max(merged.back().end, span.end);
    } else {
      merged.push_back(span);
    }
    after_match = span.match;
  }
  return merged;
}

std::vector<Span> join_alike(const std::vector<Span>& spans) {
  std::vector<Span> joined;
  for (const Span& span : spans) {
    if (!joined.empty() && joined.back().match == span.match) {
      joined.back().end = span.end;
    } else {
      joined.push_back(span);
    }
  }
  return joined;
}

void split_by_pattern(const SplitStep& step, std::string_view text, SplitBuffers& buffers) {
  std::vector<Span> spans = find_spans(*step.pattern, text, buffers.match_steps);
  for (Span& span : spans) span.match = span.match != step.invert;
  switch (step.behavior) {
    case SplitBehavior::isolated:
      break;
    case SplitBehavior::removed:
      std::erase_if(spans, [](const Span& span) { return span.match; });
      break;
    case SplitBehavior::merged_with_previous:
      spans = merge_matches(spans);
      break;
    case SplitBehavior::merged_with_next:
      std::reverse(spans.begin(), spans.end());
      spans = merge_matches(spans);
      std::reverse(spans.begin(), spans.end());
      break;
    case SplitBehavior::contiguous:
      spans = join_alike(spans);
      break;
  }
  for (const Span& span : spans) {
    if (span.end > span.begin) buffers.next.push_back(text.substr(span.begin, span.end - span.begin));
  }
}

void apply_step(const SplitStep& step, std::string_view text, SplitBuffers& buffers) {
  std::vector<std::string_view>& out = buffers.next;
  switch (step.splitter) {
    case Splitter::gpt2:
      return split_words(text, out, gpt2_end);
    case Splitter::qwen2:
      return split_words(text, out, [](std::string_view t, std::size_t at) { return qwen2_end(t, at, 1); });
    case Splitter::llama3:
      return split_words(text, out, [](std::string_view t, std::size_t at) { return qwen2_end(t, at, 3); });
    case Splitter::digit:
      return split_digits(text, true, out);
    case Splitter::digits:
      return split_digits(text, false, out);
    case Splitter::prefix_space:
      if (text.front() != ' ') text = buffers.owned.emplace_back(" " + std::string(text));
      out.push_back(text);
      return;
    case Splitter::pattern:
      return split_by_pattern(step, text, buffers);
  }
}

}  // namespace

void split_pieces(const PreTokenizer& pre, std::string_view text, SplitBuffers& buffers) {
  buffers.owned.clear();
  buffers.pieces.clear();
  if (!text.empty()) buffers.pieces.push_back(text);
  for (const SplitStep& step : pre.steps) {
    buffers.next.clear();
    for (const std::string_view piece : buffers.pieces) apply_step(step, piece, buffers);
    std::swap(buffers.pieces, buffers.next);
  }
}

}  // namespace touchstone
