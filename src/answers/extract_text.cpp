#include "answers/extract_text.h"

#include <algorithm>
#include <array>
#include <utility>

namespace touchstone {
namespace {

struct Tag {
  std::string_view open;
  std::string_view close;
};
constexpr std::array<Tag, 2> kThinkTags = {{{"<think>", "</think>"}, {"<thinking>", "</thinking>"}}};

using Replacement = std::pair<std::string_view, std::string_view>;
// Longer forms stand before their prefixes.
constexpr std::array<Replacement, 72> kReplacements = {{
    {"\\dfrac", "\\frac"},
    {"\\tfrac", "\\frac"},
    {"\\cfrac", "\\frac"},
    {"\\times", "*"},
    {"\\cdot", "*"},
    {"\\div", "/"},
    {"\\approx", "="},
    {"\\textbf", "\\text"},
    {"\\mathbf", "\\text"},
    {"\\mathrm", "\\text"},
    {"\\textit", "\\text"},
    {"\\bf", ""},
    {"\\left", ""},
    {"\\right", ""},
    {"\\quad", " "},
    {"\\qquad", " "},
    {"\\circ", ""},
    {"\\degree", ""},
    {"\\$", "$"},
    {"\\%", "%"},
    {"\\!", ""},
    {"\\;", " "},
    {"\\:", " "},
    {"\\ ", " "},
    {"\\(", " "},
    {"\\)", " "},
    {"\\[", " "},
    {"\\]", " "},
    {"\\\\", " "},
    {"{,}", ","},
    {"\\text{,}", ","},
    {"~", " "},
    {"\xC2\xA0", " "},
    {"\xE2\x80\x89", " "},
    {"\xE2\x80\xAF", " "},
    {"\xE2\x80\x82", " "},
    {"\xE2\x80\x83", " "},
    {"\xE3\x80\x80", " "},
    {"−", "-"},
    {"‐", "-"},
    {"‑", "-"},
    {"‒", "-"},
    {"﹣", "-"},
    {"–", "-"},
    {"—", " - "},
    {"。", ". "},
    {"．", "."},
    {"、", " , "},
    {"½", " 1/2"},
    {"¼", " 1/4"},
    {"¾", " 3/4"},
    {"⅓", " 1/3"},
    {"⅔", " 2/3"},
    {"⅕", " 1/5"},
    {"⅖", " 2/5"},
    {"⅗", " 3/5"},
    {"⅘", " 4/5"},
    {"⅙", " 1/6"},
    {"⅚", " 5/6"},
    {"⅛", " 1/8"},
    {"⅜", " 3/8"},
    {"⅝", " 5/8"},
    {"⅞", " 7/8"},
    {"⁄", "/"},
    {"×", "*"},
    {"≈", "="},
    {"【", "("},
    {"】", ")"},
    {"’", "'"},
    {"“", "\""},
    {"”", "\""},
    {"\r", ""},
}};

/// U+FF01 … U+FF5E stand for ASCII 0x21 … 0x7E.
std::optional<char> full_width(std::string_view text) {
  if (text.size() < 3 || text[0] != '\xEF') return std::nullopt;
  const unsigned code = (0xFU << 12U) | ((static_cast<unsigned char>(text[1]) & 0x3FU) << 6U) |
                        (static_cast<unsigned char>(text[2]) & 0x3FU);
  if (code < 0xFF01 || code > 0xFF5E) return std::nullopt;
  return static_cast<char>(code - 0xFF01 + 0x21);
}

/// What stands at the beginning of `text` when it is a superscript digit or minus, and how long it is.
struct Superscript {
  char plain = '\0';
  std::size_t bytes = 0;
};
std::optional<Superscript> superscript(std::string_view text) {
  constexpr std::array<std::string_view, 11> kForms = {"⁰", "¹", "²", "³", "⁴", "⁵", "⁶", "⁷", "⁸", "⁹", "⁻"};
  for (std::size_t i = 0; i < kForms.size(); ++i) {
    if (text.starts_with(kForms[i])) return Superscript{"0123456789-"[i], kForms[i].size()};
  }
  return std::nullopt;
}

/// LaTeX writes 1\,234 for 1,234; elsewhere "\," is a thin space.
char thin_space(std::string_view after, const std::string& before) {
  const bool group = !before.empty() && is_digit(before.back()) && after.size() >= 3 && is_digit(after[0]) &&
                     is_digit(after[1]) && is_digit(after[2]) && (after.size() == 3 || !is_digit(after[3]));
  return group ? ',' : ' ';
}

/// Replaces \text{…} by its contents.
std::string unwrap_text(const std::string& text) {
  constexpr std::string_view kText = "\\text{";
  std::string out;
  std::vector<bool> dropped;  // for each open brace: whether it belongs to \text
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text.compare(i, kText.size(), kText) == 0) {
      dropped.push_back(true);
      i += kText.size() - 1;
      out += ' ';
    } else if (text[i] == '{') {
      dropped.push_back(false);
      out += '{';
    } else if (text[i] == '}' && !dropped.empty()) {
      out += dropped.back() ? ' ' : '}';
      dropped.pop_back();
    } else {
      out += text[i];
    }
  }
  return out;
}

constexpr std::array<std::string_view, 9> kConnectors = {
    "is", "would be", "should be", "must be", "will be", "comes to", "equals", "was", "to be"};
constexpr std::array<std::string_view, 11> kChineseMarks = {"答案应该是", "答案应为", "答案是", "答案为",
                                                            "答案等于",   "答案:",    "答案选", "答案",
                                                            "答:",        "结果是",   "结果为"};
constexpr std::size_t kMaxConnectorDistance = 80;  // bytes from "answer" to "is"

std::size_t skip_markup(std::string_view text, std::size_t pos) {
  while (pos < text.size() && (text[pos] == ' ' || text[pos] == '*' || text[pos] == '_')) ++pos;
  return pos;
}

bool is_negated(std::string_view lower, std::size_t pos) {
  pos = skip_markup(lower, pos);
  for (const std::string_view word : {"not", "n't", "neither", "never"}) {
    if (lower.substr(pos).starts_with(word)) return true;
  }
  return false;
}

/// Where the answer begins that an "answer" ending at `pos` announces.
std::optional<std::size_t> after_connector(std::string_view lower, std::size_t pos) {
  const std::size_t start = skip_markup(lower, pos);
  if (start < lower.size() && (lower[start] == ':' || lower[start] == '=' || lower[start] == '\n')) {
    return start + 1;  // a heading "Final answer" ends with its line
  }
  // "Answer (B)." states it; "Answer (b) is wrong" and "Answer (in dollars): 5" go on.
  if (start + 2 < lower.size() && lower[start] == '(' && is_letter(lower[start + 1]) &&
      lower[start + 2] == ')' && sentence_end(lower, start + 3, 1) == start + 3) {
    return start;
  }
  const std::size_t end = sentence_end(lower, pos, kMaxConnectorDistance);
  std::size_t best = std::string_view::npos;
  std::size_t best_end = 0;
  for (std::size_t i = pos; i < end && best == std::string_view::npos; ++i) {
    if (lower[i] == ':' || lower[i] == '=') {
      best = i;
      best_end = i + 1;
    }
    for (const std::string_view word : kConnectors) {
      if (best != std::string_view::npos || !is_word_at(lower, i, word)) continue;
      best = i;
      best_end = i + word.size();
    }
  }
  if (best == std::string_view::npos || is_negated(lower, best_end)) return std::nullopt;
  if (lower.substr(best_end).starts_with("n't")) return std::nullopt;
  return best_end;
}

}  // namespace

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

bool is_word_at(std::string_view text, std::size_t pos, std::string_view word) {
  if (!text.substr(pos).starts_with(word)) return false;
  if (pos > 0 && is_letter(text[pos - 1])) return false;
  return pos + word.size() >= text.size() || !is_letter(text[pos + word.size()]);
}

bool contains_any(std::string_view text, std::initializer_list<std::string_view> words) {
  return std::any_of(words.begin(), words.end(), [&](std::string_view word) {
    for (std::size_t at = text.find(word); at != text.npos; at = text.find(word, at + 1)) {
      if (!is_letter(word[0]) || is_word_at(text, at, word)) return true;
    }
    return false;
  });
}

bool ends_with_word(std::string_view text, std::initializer_list<std::string_view> words) {
  return std::any_of(words.begin(), words.end(), [&](std::string_view word) {
    return text.ends_with(word) &&
           (text.size() == word.size() || !is_letter(text[text.size() - word.size() - 1]));
  });
}

std::string_view trim(std::string_view text) {
  const std::size_t first = text.find_first_not_of(" \t\r\n");
  if (first == text.npos) return {};
  return text.substr(first, text.find_last_not_of(" \t\r\n") - first + 1);
}

std::string to_lower(std::string_view text) {
  std::string lower(text);
  for (char& c : lower) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + 32);
  }
  return lower;
}

OutsideThinking remove_thinking(std::string_view output, bool opened) {
  OutsideThinking outside;
  outside.cut = opened;
  for (std::size_t i = 0; i < output.size();) {
    std::size_t skip = 0;
    for (const Tag& tag : kThinkTags) {
      const std::string_view rest = output.substr(i);
      if (rest.starts_with(tag.open)) {
        outside.cut = true;
        skip = tag.open.size();
      } else if (rest.starts_with(tag.close)) {
        // A closer without an opener ends thinking that the prompt began.
        if (!outside.cut) outside.text.clear();
        outside.cut = false;
        skip = tag.close.size();
      }
    }
    if (skip == 0) {
      if (!outside.cut) outside.text += output[i];
      skip = 1;
    }
    i += skip;
  }
  return outside;
}

std::string normalize_answer(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size();) {
    const std::string_view rest = text.substr(i);
    if (rest.starts_with("\\,")) {
      out += thin_space(rest.substr(2), out);
      i += 2;
      continue;
    }
    if (const std::optional<char> c = full_width(rest)) {
      out += *c;
      i += 3;
      continue;
    }
    if (std::optional<Superscript> raised = superscript(rest)) {
      out += "^{";
      for (; raised; raised = superscript(text.substr(i))) {
        out += raised->plain;
        i += raised->bytes;
      }
      out += '}';
      continue;
    }
    const Replacement* found = nullptr;
    const auto lead = static_cast<unsigned char>(rest[0]);
    if (lead >= 0x80 || rest[0] == '\\' || rest[0] == '{' || rest[0] == '~' || rest[0] == '\r') {
      for (const Replacement& replacement : kReplacements) {
        if (rest.starts_with(replacement.first)) {
          found = &replacement;
          break;
        }
      }
    }
    out += found != nullptr ? found->second : rest.substr(0, 1);
    i += found != nullptr ? found->first.size() : 1;
  }
  return unwrap_text(out);
}

std::vector<Boxed> find_boxed(std::string_view text) {
  std::vector<Boxed> boxes;
  for (const std::string_view name : {std::string_view("\\boxed"), std::string_view("\\fbox")}) {
    for (std::size_t at = text.find(name); at != text.npos; at = text.find(name, at + 1)) {
      std::size_t begin = at + name.size();
      while (begin < text.size() && text[begin] == ' ') ++begin;
      if (begin >= text.size() || text[begin] != '{') continue;
      int depth = 0;
      for (std::size_t i = begin; i < text.size(); ++i) {
        if (text[i] == '{') ++depth;
        if (text[i] == '}' && --depth == 0) {
          boxes.push_back({begin + 1, i});
          break;
        }
      }
      if (depth > 0) break;  // never closed: nothing later closes either
    }
  }
  return boxes;
}

std::size_t sentence_end(std::string_view text, std::size_t begin, std::size_t max_bytes) {
  text = text.substr(0, begin + std::min(max_bytes, text.size()));
  for (std::size_t i = begin; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '\n' || c == '!' || c == '?' || c == ';') return i;
    if (c == '.' && (i + 1 == text.size() || text[i + 1] == ' ' || text[i + 1] == '\n')) return i;
  }
  return text.size();
}

std::vector<AnswerMark> find_answer_marks(std::string_view lower) {
  std::vector<AnswerMark> marks;
  for (std::size_t i = 0; i < lower.size(); ++i) {
    if (is_word_at(lower, i, "answer")) {
      if (const auto begin = after_connector(lower, i + 6)) marks.push_back({i, *begin});
      continue;
    }
    if (is_word_at(lower, i, "ans")) {
      const std::size_t sign = skip_markup(lower, i + 3);
      if (sign < lower.size() && (lower[sign] == ':' || lower[sign] == '=')) marks.push_back({i, sign + 1});
      continue;
    }
    if (static_cast<unsigned char>(lower[i]) < 0x80) continue;
    for (const std::string_view mark : kChineseMarks) {
      if (!lower.substr(i).starts_with(mark)) continue;
      std::size_t begin = skip_markup(lower, i + mark.size());
      const bool bracketed = i > 0 && lower[i - 1] == '(';  // 【答案】B
      if (begin < lower.size() && (lower[begin] == ':' || (bracketed && lower[begin] == ')'))) ++begin;
      const std::string_view rest = lower.substr(begin);
      if (!rest.starts_with("不") && !rest.starts_with("并非")) marks.push_back({i, begin});
      i = begin - 1;
      break;
    }
  }
  if (marks.size() > kMaxMarks) marks.erase(marks.begin(), marks.end() - kMaxMarks);
  return marks;
}

std::string_view before_next_question(std::string_view answer) {
  for (std::size_t end = answer.find('\n'); end != answer.npos; end = answer.find('\n', end + 1)) {
    for (const std::string_view mark : {"Question:", "Q:", "Human:", "User:", "问题：", "问题:", "问："}) {
      if (answer.substr(end + 1).starts_with(mark)) return answer.substr(0, end);
    }
  }
  return answer;
}

bool is_refusal(std::string_view lower) {
  for (const std::string_view phrase : {"cannot be determined",
                                        "cannot determine",
                                        "can't determine",
                                        "can not determine",
                                        "cannot be answered",
                                        "can't be determined",
                                        "not enough information",
                                        "insufficient information",
                                        "impossible to determine",
                                        "impossible to say",
                                        "unable to",
                                        "cannot answer",
                                        "can't answer",
                                        "cannot solve",
                                        "can't solve",
                                        "don't know",
                                        "do not know",
                                        "cannot say",
                                        "can't say",
                                        "not sure",
                                        "cannot be calculated",
                                        "no answer",
                                        "无法确定",
                                        "无法得出",
                                        "无法判断",
                                        "无法计算",
                                        "无法回答",
                                        "不知道",
                                        "信息不足",
                                        "不能确定"}) {
    if (lower.find(phrase) != lower.npos) return true;
  }
  return false;
}

}  // namespace touchstone
