#include "text/jinja_string_tools.h"

#include <algorithm>
#include <limits>

#include "text/jinja_unicode.h"
#include "text/unicode.h"

namespace touchstone::jinja {

std::vector<std::string_view> split_at(std::string_view text, std::string_view separator, std::int64_t limit,
                                       bool from_right) {
  if (separator.empty()) raise_value_error("empty separator");
  if (limit < 0) limit = std::numeric_limits<std::int64_t>::max();
  std::vector<std::string_view> parts;
  for (; limit > 0; --limit) {
    const std::size_t at = from_right ? text.rfind(separator) : find_text(text, separator);
    if (at == std::string_view::npos) break;
    if (from_right) {
      parts.push_back(text.substr(at + separator.size()));
      text = text.substr(0, at);
    } else {
      parts.push_back(text.substr(0, at));
      text.remove_prefix(at + separator.size());
    }
  }
  parts.push_back(text);
  if (from_right) std::reverse(parts.begin(), parts.end());
  return parts;
}

namespace {

/// Where the word at the end of `text` begins.
std::size_t word_begin(std::string_view text) {
  std::size_t begin = text.size();
  while (begin > 0) {
    std::size_t previous = begin - 1;
    while (previous > 0 && (static_cast<unsigned char>(text[previous]) & 0xC0U) == 0x80U) --previous;
    std::size_t position = previous;
    if (is_space(next_char(text, position))) break;
    begin = previous;
  }
  return begin;
}

std::size_t word_end(std::string_view text) {
  std::size_t end = 0;
  while (end < text.size()) {
    std::size_t position = end;
    if (is_space(next_char(text, position))) break;
    end = position;
  }
  return end;
}

}  // namespace

std::vector<std::string_view> split_at_space(std::string_view text, std::int64_t limit, bool from_right) {
  if (limit < 0) limit = std::numeric_limits<std::int64_t>::max();
  std::vector<std::string_view> parts;
  text = strip(text, !from_right, from_right);
  for (; limit > 0 && !text.empty(); --limit) {
    const std::size_t at = from_right ? word_begin(text) : word_end(text);
    parts.push_back(from_right ? text.substr(at) : text.substr(0, at));
    text = strip(from_right ? text.substr(0, at) : text.substr(at), !from_right, from_right);
  }
  if (!text.empty()) parts.push_back(text);
  if (from_right) std::reverse(parts.begin(), parts.end());
  return parts;
}

std::vector<std::string_view> split_lines(std::string_view text, bool keep_ends) {
  const auto is_break = [](char32_t c) {
    return (c >= '\n' && c <= '\r') || (c >= 0x1C && c <= 0x1E) || c == 0x85 || c == 0x2028 || c == 0x2029;
  };
  std::vector<std::string_view> lines;
  std::size_t begin = 0;
  for (std::size_t position = 0; position < text.size();) {
    const std::size_t at = position;
    const char32_t c = next_char(text, position);
    if (!is_break(c)) continue;
    if (c == '\r' && position < text.size() && text[position] == '\n') ++position;
    lines.push_back(text.substr(begin, (keep_ends ? position : at) - begin));
    begin = position;
  }
  if (begin < text.size()) lines.push_back(text.substr(begin));
  return lines;
}

std::string replace_text(std::string_view text, std::string_view old_part, std::string_view new_part,
                         std::int64_t limit, Budget& budget) {
  if (limit < 0) limit = std::numeric_limits<std::int64_t>::max();
  budget.make(text.size());
  std::string result;
  std::size_t position = 0;
  for (; limit > 0; --limit) {
    const std::size_t at = find_text(text, old_part, position);
    if (at == std::string_view::npos) break;
    budget.make(new_part.size());
    result += text.substr(position, at - position);
    result += new_part;
    position = at + old_part.size();
    if (old_part.empty()) {
      // Between all characters, and at both ends.
      if (at == text.size()) return result;
      std::size_t next = at;
      next_char(text, next);
      result += text.substr(at, next - at);
      position = next;
    }
  }
  result += text.substr(position);
  return result;
}

std::string pad_text(std::string_view text, char align, std::string_view fill, std::int64_t width,
                     Budget& budget) {
  const auto length = static_cast<std::int64_t>(count_codepoints(text));
  if (width <= length) return std::string(text);
  const std::int64_t missing = width - length;
  std::uint64_t size = 0;
  if (__builtin_mul_overflow(static_cast<std::uint64_t>(missing), fill.size(), &size))
    size = ~std::uint64_t{0};
  budget.make(size);
  // str.center: of an odd number of fill characters, the one more goes left when the width is odd.
  const std::int64_t left = align == '<' ? 0 : (align == '>' ? missing : missing / 2 + (missing & width & 1));
  std::string result;
  result.reserve(size + text.size());
  for (std::int64_t i = 0; i < left; ++i) result += fill;
  result += text;
  for (std::int64_t i = left; i < missing; ++i) result += fill;
  return result;
}

}  // namespace touchstone::jinja
