#include "text/unicode.h"

#include <utf8proc.h>

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <new>
#include <vector>

#include "base/error.h"

namespace touchstone {

Codepoint read_codepoint(std::string_view text, std::size_t at) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned first = byte(at);
  if (first < 0x80) return {first, 1, true, false};
  std::size_t length = 0;
  unsigned low = 0x80;  // bounds of the second byte: no overlong forms, surrogates, or values past U+10FFFF
  unsigned high = 0xBF;
  if (first >= 0xC2 && first <= 0xDF) length = 2;
  if (first >= 0xE0 && first <= 0xEF) length = 3;
  if (first >= 0xF0 && first <= 0xF4) length = 4;
  if (first == 0xE0) low = 0xA0;
  if (first == 0xED) high = 0x9F;
  if (first == 0xF0) low = 0x90;
  if (first == 0xF4) high = 0x8F;
  if (length == 0) return {0xFFFD, 1, false, false};
  char32_t value = first & (0xFFU >> (length + 1));
  for (std::size_t i = 1; i < length; ++i) {
    if (at + i >= text.size()) return {0xFFFD, i, false, true};
    const unsigned next = byte(at + i);
    if (next < low || next > high) return {0xFFFD, i, false, false};
    value = value << 6 | (next & 0x3F);
    low = 0x80;
    high = 0xBF;
  }
  return {value, length, true, false};
}

std::string replace_invalid_utf8(std::string_view text) {
  std::string result;
  result.reserve(text.size());
  for (std::size_t i = 0; i < text.size();) {
    const Codepoint c = read_codepoint(text, i);
    result.append(c.valid ? text.substr(i, c.length) : std::string_view("\xEF\xBF\xBD"));
    i += c.length;
  }
  return result;
}

namespace {

std::string compose(std::string_view text) {
  utf8proc_uint8_t* composed = nullptr;
  const utf8proc_ssize_t size = utf8proc_map(
      reinterpret_cast<const utf8proc_uint8_t*>(text.data()), static_cast<utf8proc_ssize_t>(text.size()),
      &composed, static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_COMPOSE));
  const std::unique_ptr<utf8proc_uint8_t, decltype(&std::free)> owner(composed, &std::free);
  if (size == UTF8PROC_ERROR_NOMEM) throw std::bad_alloc();
  if (size < 0) throw Error(std::string("cannot normalize text: ") + utf8proc_errmsg(size));
  return {reinterpret_cast<const char*>(composed), static_cast<std::size_t>(size)};
}

/// Puts runs of combining marks into canonical order. The library does it too, but in quadratic time.
std::string order_marks(std::string_view text) {
  struct Mark {
    int combining_class;
    std::string_view bytes;
  };
  std::string result;
  result.reserve(text.size());
  std::vector<Mark> marks;
  const auto write_marks = [&] {
    std::stable_sort(marks.begin(), marks.end(),
                     [](const Mark& a, const Mark& b) { return a.combining_class < b.combining_class; });
    for (const Mark& mark : marks) result += mark.bytes;
    marks.clear();
  };
  for (std::size_t i = 0; i < text.size();) {
    const Codepoint c = read_codepoint(text, i);
    const int combining_class =
        utf8proc_get_property(static_cast<utf8proc_int32_t>(c.value))->combining_class;
    if (combining_class != 0) {
      marks.push_back({combining_class, text.substr(i, c.length)});
    } else {
      write_marks();
      result += text.substr(i, c.length);
    }
    i += c.length;
  }
  write_marks();
  return result;
}

}  // namespace

std::string normalize_nfc(std::string_view text) {
  // Below U+0300 nothing changes: the common case is a copy. (0xCC is the first lead byte of U+0300.)
  if (std::all_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 0xCC; })) {
    return std::string(text);
  }
  // U+11A7 composes with nothing, but the library takes it for a Hangul trailing consonant: keep it apart.
  constexpr std::string_view kTrailingBase = "\xE1\x86\xA7";
  const std::string ordered = order_marks(text);
  std::string result;
  for (std::size_t begin = 0; begin < ordered.size();) {
    const std::size_t end = std::min(ordered.find(kTrailingBase, begin + 1), ordered.size());
    result += compose(std::string_view(ordered).substr(begin, end - begin));
    begin = end;
  }
  return result;
}

}  // namespace touchstone
