#include "text/unicode.h"

#include <fmt/format.h>
#include <utf8proc.h>

#include <algorithm>
#include <array>
#include <cassert>
#include <vector>

namespace touchstone {
namespace {

struct Range {
  char32_t first, last;
};

template <std::size_t N>
bool contains(const std::array<Range, N>& ranges, char32_t value) {
  const auto* const after = std::upper_bound(ranges.begin(), ranges.end(), value,
                                             [](char32_t v, const Range& range) { return v < range.first; });
  return after != ranges.begin() && value <= (after - 1)->last;
}

struct NewerRange {
  char32_t first, last;
  std::string_view category;
};

// What Unicode 15 and 16 added; the system's utf8proc and PCRE2 may be older (Debian 12: PCRE2 with Unicode
// 14).
constexpr auto kNewer = std::to_array<NewerRange>(
    {{0x897, 0x897, "Mn"},     {0xCF3, 0xCF3, "Mc"},     {0xECE, 0xECE, "Mn"},     {0x1B4E, 0x1B4F, "Po"},
     {0x1B7F, 0x1B7F, "Po"},   {0x1C89, 0x1C89, "Lu"},   {0x1C8A, 0x1C8A, "Ll"},   {0x2427, 0x2429, "So"},
     {0x2FFC, 0x2FFF, "So"},   {0x31E4, 0x31E5, "So"},   {0x31EF, 0x31EF, "So"},   {0xA7CB, 0xA7CC, "Lu"},
     {0xA7CD, 0xA7CD, "Ll"},   {0xA7DA, 0xA7DA, "Lu"},   {0xA7DB, 0xA7DB, "Ll"},   {0xA7DC, 0xA7DC, "Lu"},
     {0x105C0, 0x105F3, "Lo"}, {0x10D40, 0x10D49, "Nd"}, {0x10D4A, 0x10D4D, "Lo"}, {0x10D4E, 0x10D4E, "Lm"},
     {0x10D4F, 0x10D4F, "Lo"}, {0x10D50, 0x10D65, "Lu"}, {0x10D69, 0x10D6D, "Mn"}, {0x10D6E, 0x10D6E, "Pd"},
     {0x10D6F, 0x10D6F, "Lm"}, {0x10D70, 0x10D85, "Ll"}, {0x10D8E, 0x10D8F, "Sm"}, {0x10EC2, 0x10EC4, "Lo"},
     {0x10EFC, 0x10EFF, "Mn"}, {0x1123F, 0x11240, "Lo"}, {0x11241, 0x11241, "Mn"}, {0x11380, 0x11389, "Lo"},
     {0x1138B, 0x1138B, "Lo"}, {0x1138E, 0x1138E, "Lo"}, {0x11390, 0x113B5, "Lo"}, {0x113B7, 0x113B7, "Lo"},
     {0x113B8, 0x113BA, "Mc"}, {0x113BB, 0x113C0, "Mn"}, {0x113C2, 0x113C2, "Mc"}, {0x113C5, 0x113C5, "Mc"},
     {0x113C7, 0x113CA, "Mc"}, {0x113CC, 0x113CD, "Mc"}, {0x113CE, 0x113CE, "Mn"}, {0x113CF, 0x113CF, "Mc"},
     {0x113D0, 0x113D0, "Mn"}, {0x113D1, 0x113D1, "Lo"}, {0x113D2, 0x113D2, "Mn"}, {0x113D3, 0x113D3, "Lo"},
     {0x113D4, 0x113D5, "Po"}, {0x113D7, 0x113D8, "Po"}, {0x113E1, 0x113E2, "Mn"}, {0x116D0, 0x116E3, "Nd"},
     {0x11B00, 0x11B09, "Po"}, {0x11BC0, 0x11BE0, "Lo"}, {0x11BE1, 0x11BE1, "Po"}, {0x11BF0, 0x11BF9, "Nd"},
     {0x11F00, 0x11F01, "Mn"}, {0x11F02, 0x11F02, "Lo"}, {0x11F03, 0x11F03, "Mc"}, {0x11F04, 0x11F10, "Lo"},
     {0x11F12, 0x11F33, "Lo"}, {0x11F34, 0x11F35, "Mc"}, {0x11F36, 0x11F3A, "Mn"}, {0x11F3E, 0x11F3F, "Mc"},
     {0x11F40, 0x11F40, "Mn"}, {0x11F41, 0x11F41, "Mc"}, {0x11F42, 0x11F42, "Mn"}, {0x11F43, 0x11F4F, "Po"},
     {0x11F50, 0x11F59, "Nd"}, {0x11F5A, 0x11F5A, "Mn"}, {0x1342F, 0x1342F, "Lo"}, {0x13439, 0x1343F, "Cf"},
     {0x13440, 0x13440, "Mn"}, {0x13441, 0x13446, "Lo"}, {0x13447, 0x13455, "Mn"}, {0x13460, 0x143FA, "Lo"},
     {0x16100, 0x1611D, "Lo"}, {0x1611E, 0x16129, "Mn"}, {0x1612A, 0x1612C, "Mc"}, {0x1612D, 0x1612F, "Mn"},
     {0x16130, 0x16139, "Nd"}, {0x16D40, 0x16D42, "Lm"}, {0x16D43, 0x16D6A, "Lo"}, {0x16D6B, 0x16D6C, "Lm"},
     {0x16D6D, 0x16D6F, "Po"}, {0x16D70, 0x16D79, "Nd"}, {0x18CFF, 0x18CFF, "Lo"}, {0x1B132, 0x1B132, "Lo"},
     {0x1B155, 0x1B155, "Lo"}, {0x1CC00, 0x1CCEF, "So"}, {0x1CCF0, 0x1CCF9, "Nd"}, {0x1CD00, 0x1CEB3, "So"},
     {0x1D2C0, 0x1D2D3, "No"}, {0x1DF25, 0x1DF2A, "Ll"}, {0x1E030, 0x1E06D, "Lm"}, {0x1E08F, 0x1E08F, "Mn"},
     {0x1E4D0, 0x1E4EA, "Lo"}, {0x1E4EB, 0x1E4EB, "Lm"}, {0x1E4EC, 0x1E4EF, "Mn"}, {0x1E4F0, 0x1E4F9, "Nd"},
     {0x1E5D0, 0x1E5ED, "Lo"}, {0x1E5EE, 0x1E5EF, "Mn"}, {0x1E5F0, 0x1E5F0, "Lo"}, {0x1E5F1, 0x1E5FA, "Nd"},
     {0x1E5FF, 0x1E5FF, "Po"}, {0x1F6DC, 0x1F6DC, "So"}, {0x1F774, 0x1F776, "So"}, {0x1F77B, 0x1F77F, "So"},
     {0x1F7D9, 0x1F7D9, "So"}, {0x1F8B2, 0x1F8BB, "So"}, {0x1F8C0, 0x1F8C1, "So"}, {0x1FA75, 0x1FA77, "So"},
     {0x1FA87, 0x1FA89, "So"}, {0x1FA8F, 0x1FA8F, "So"}, {0x1FAAD, 0x1FAAF, "So"}, {0x1FABB, 0x1FABF, "So"},
     {0x1FAC6, 0x1FAC6, "So"}, {0x1FACE, 0x1FACF, "So"}, {0x1FADA, 0x1FADC, "So"}, {0x1FADF, 0x1FADF, "So"},
     {0x1FAE8, 0x1FAE9, "So"}, {0x1FAF7, 0x1FAF8, "So"}, {0x1FBCB, 0x1FBEF, "So"}, {0x2B739, 0x2B739, "Lo"},
     {0x2EBF0, 0x2EE5D, "Lo"}, {0x31350, 0x323AF, "Lo"}});

// Blocks of starters that NFC leaves as they are and that never compose with what stands before them.
constexpr auto kInertBlocks = std::to_array<Range>({{0x0000, 0x02FF},
                                                    {0x0400, 0x0482},
                                                    {0x048A, 0x052F},
                                                    {0x1E00, 0x1EFF},
                                                    {0x2010, 0x2027},
                                                    {0x3001, 0x3029},
                                                    {0x3030, 0x3098},
                                                    {0x309B, 0x30FF},
                                                    {0x3400, 0x9FFF},
                                                    {0xAC00, 0xD7A3},
                                                    {0xFF01, 0xFFEF},
                                                    {0x1F300, 0x1FAFF}});

// Marks (and one composition) that are younger than the reference's normalization tables, so that it takes
// them for ordinary characters; and U+11A7, the empty Hangul trailing consonant, which utf8proc composes
// though it must not.
constexpr auto kNotNormalized = std::to_array<Range>(
    {{0x07FD, 0x07FD},   {0x0898, 0x089F},   {0x08CA, 0x08D3},   {0x09FE, 0x09FE},   {0x0C3C, 0x0C3C},
     {0x0D3B, 0x0D3C},   {0x0EBA, 0x0EBA},   {0x11A7, 0x11A7},   {0x1715, 0x1715},   {0x1ABF, 0x1ACE},
     {0x1DF6, 0x1DFA},   {0xA82C, 0xA82C},   {0x10D24, 0x10D27}, {0x10EAB, 0x10EAC}, {0x10EFD, 0x10EFF},
     {0x10F46, 0x10F50}, {0x10F82, 0x10F85}, {0x11070, 0x11070}, {0x1133B, 0x1133B}, {0x1145E, 0x1145E},
     {0x11839, 0x1183A}, {0x11930, 0x11930}, {0x11938, 0x11938}, {0x1193D, 0x1193E}, {0x11943, 0x11943},
     {0x119E0, 0x119E0}, {0x11A34, 0x11A34}, {0x11A47, 0x11A47}, {0x11A99, 0x11A99}, {0x11D42, 0x11D42},
     {0x11D44, 0x11D45}, {0x11D97, 0x11D97}, {0x11F41, 0x11F42}, {0x16FF0, 0x16FF1}, {0x1E08F, 0x1E08F},
     {0x1E130, 0x1E136}, {0x1E2AE, 0x1E2AE}, {0x1E2EC, 0x1E2EF}, {0x1E4EC, 0x1E4EF}});

// Compatibility characters that are younger than the reference's tables, which therefore keeps them.
constexpr auto kNotCompatible = std::to_array<Range>({{0x32FF, 0x32FF},
                                                      {0xA7F2, 0xA7F4},
                                                      {0xAB69, 0xAB69},
                                                      {0x10781, 0x107BA},
                                                      {0x1E030, 0x1E06D},
                                                      {0x1F16C, 0x1F16C},
                                                      {0x1FBF0, 0x1FBF9}});

// Symbols that are Alphabetic (letters in circles and squares), and the joiners.
constexpr auto kWordSymbols = std::to_array<Range>(
    {{0x200C, 0x200D}, {0x24B6, 0x24E9}, {0x1F130, 0x1F149}, {0x1F150, 0x1F169}, {0x1F170, 0x1F189}});

/// The general category of a character that is among kNewer; else empty.
std::string_view newer_category(char32_t value) {
  const auto* const after =
      std::upper_bound(kNewer.begin(), kNewer.end(), value,
                       [](char32_t v, const NewerRange& range) { return v < range.first; });
  return after == kNewer.begin() || value > (after - 1)->last ? "" : (after - 1)->category;
}

CharClass newer_class(char32_t value) {
  const std::string_view category = newer_category(value);
  return category.starts_with('L')   ? CharClass::letter
         : category.starts_with('N') ? CharClass::number
                                     : CharClass::other;
}

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";

bool is_ascii(char c) { return static_cast<unsigned char>(c) < 0x80; }

int combining_class(char32_t value) {
  return utf8proc_get_property(static_cast<utf8proc_int32_t>(value))->combining_class;
}

/// One segment of text that normalizes on its own: decompose, order the marks, compose.
void normalize_segment(std::string_view text, Normalization form, std::string& result) {
  const bool compose = form == Normalization::nfc || form == Normalization::nfkc;
  int options = UTF8PROC_STABLE | UTF8PROC_DECOMPOSE;
  if (form == Normalization::nfkc || form == Normalization::nfkd) options |= UTF8PROC_COMPAT;
  std::vector<utf8proc_int32_t> points;
  for (std::size_t i = 0; i < text.size();) {
    const Codepoint c = read_codepoint(text, i);
    std::array<utf8proc_int32_t, 32> parts{};  // the longest decomposition, U+FDFA's, has 18
    int boundary = 0;
    const auto count =
        utf8proc_decompose_char(static_cast<utf8proc_int32_t>(c.value), parts.data(), parts.size(),
                                static_cast<utf8proc_option_t>(options), &boundary);
    assert(count >= 0 && count <= static_cast<utf8proc_ssize_t>(parts.size()));
    points.insert(points.end(), parts.begin(), parts.begin() + count);
    i += c.length;
  }
  // utf8proc_decompose orders marks by swapping neighbours, which takes quadratic time.
  for (auto begin = points.begin(); begin != points.end();) {
    const auto is_starter = [](utf8proc_int32_t p) { return combining_class(static_cast<char32_t>(p)) == 0; };
    const auto end = std::find_if(begin + 1, points.end(), is_starter);
    const auto marks = is_starter(*begin) ? begin + 1 : begin;
    std::stable_sort(marks, end, [](utf8proc_int32_t a, utf8proc_int32_t b) {
      return combining_class(static_cast<char32_t>(a)) < combining_class(static_cast<char32_t>(b));
    });
    begin = end;
  }
  auto size = static_cast<utf8proc_ssize_t>(points.size());
  if (compose) {
    size = utf8proc_normalize_utf32(points.data(), size,
                                    static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_COMPOSE));
  }
  for (utf8proc_ssize_t i = 0; i < size; ++i) {
    append_utf8(result, static_cast<char32_t>(points[static_cast<std::size_t>(i)]));
  }
}

/// Copies what is inert, and normalizes each segment from a starter to the next inert character.
std::string normalize_nfc(std::string_view text) {
  std::string result;
  result.reserve(text.size());
  std::size_t copied = 0;     // text[0, copied) is in the result
  std::size_t candidate = 0;  // where the segment begins if the next character turns out not to be inert
  bool in_segment = false;
  const auto close_segment = [&](std::size_t end) {
    normalize_segment(text.substr(candidate, end - candidate), Normalization::nfc, result);
    copied = end;
    in_segment = false;
  };
  for (std::size_t i = 0; i < text.size();) {
    if (is_ascii(text[i])) {
      if (in_segment) close_segment(i);
      candidate = i++;
      continue;
    }
    const Codepoint c = read_codepoint(text, i);
    const bool unknown = contains(kNotNormalized, c.value);
    if (unknown || contains(kInertBlocks, c.value)) {
      if (in_segment) close_segment(i);
      // Nothing composes with an unknown character, so what follows begins a segment of its own.
      candidate = unknown ? i + c.length : i;
    } else if (!in_segment) {
      result.append(text, copied, candidate - copied);
      in_segment = true;
    }
    i += c.length;
  }
  if (in_segment) close_segment(text.size());
  result.append(text, copied);
  return result;
}

}  // namespace

Codepoint read_codepoint(std::string_view text, std::size_t at) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned first = byte(at);
  if (first < 0x80) return {first, 1, true, false};
  std::size_t length = 0;
  if (first >= 0xC2 && first <= 0xDF) length = 2;
  if (first >= 0xE0 && first <= 0xEF) length = 3;
  if (first >= 0xF0 && first <= 0xF4) length = 4;
  if (length == 0) return {0xFFFD, 1, false, false};
  unsigned low = 0x80;  // bounds of the second byte: no overlong forms, surrogates, or values past U+10FFFF
  unsigned high = 0xBF;
  if (first == 0xE0) low = 0xA0;
  if (first == 0xED) high = 0x9F;
  if (first == 0xF0) low = 0x90;
  if (first == 0xF4) high = 0x8F;
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

std::size_t last_codepoint(std::string_view text) {
  std::size_t at = text.size() - 1;
  while (at > 0 && (static_cast<unsigned char>(text[at]) & 0xC0U) == 0x80U) --at;
  return at;
}

std::size_t count_codepoints(std::string_view text) {
  return static_cast<std::size_t>(std::count_if(
      text.begin(), text.end(), [](char byte) { return (static_cast<unsigned char>(byte) & 0xC0) != 0x80; }));
}

void append_utf8(std::string& text, char32_t value) {
  const auto put = [&](unsigned byte) { text.push_back(static_cast<char>(byte)); };
  const unsigned v = value;
  if (v < 0x80) {
    put(v);
  } else if (v < 0x800) {
    put(0xC0 | v >> 6);
    put(0x80 | (v & 0x3F));
  } else if (v < 0x10000) {
    put(0xE0 | v >> 12);
    put(0x80 | (v >> 6 & 0x3F));
    put(0x80 | (v & 0x3F));
  } else {
    put(0xF0 | v >> 18);
    put(0x80 | (v >> 12 & 0x3F));
    put(0x80 | (v >> 6 & 0x3F));
    put(0x80 | (v & 0x3F));
  }
}

std::size_t valid_utf8_prefix(std::string_view text) {
  std::size_t i = 0;
  while (i < text.size()) {
    if (is_ascii(text[i])) {
      ++i;
      continue;
    }
    const Codepoint c = read_codepoint(text, i);
    if (!c.valid) break;
    i += c.length;
  }
  return i;
}

std::string to_valid_utf8(std::string_view text) {
  std::string result;
  result.reserve(text.size());
  while (true) {
    const std::size_t valid = valid_utf8_prefix(text);
    result.append(text, 0, valid);
    text.remove_prefix(valid);
    if (text.empty()) return result;
    result += kReplacement;
    text.remove_prefix(read_codepoint(text, 0).length);
  }
}

std::size_t incomplete_suffix(std::string_view text) {
  // A character that can still grow has its first byte among the last three.
  for (std::size_t length = std::min<std::size_t>(3, text.size()); length > 0; --length) {
    const Codepoint c = read_codepoint(text, text.size() - length);
    if (c.truncated && c.length == length) return length;
  }
  return 0;
}

std::string normalize(std::string_view text, Normalization form) {
  if (form == Normalization::none) return std::string(text);
  if (form == Normalization::nfc) return normalize_nfc(text);
  const bool compatible = form == Normalization::nfkc || form == Normalization::nfkd;
  std::string result;
  std::size_t done = 0;
  for (std::size_t i = 0; i < text.size();) {
    const Codepoint c = read_codepoint(text, i);
    i += c.length;
    const bool kept = contains(kNotNormalized, c.value) || (compatible && contains(kNotCompatible, c.value));
    if (!kept) continue;
    normalize_segment(text.substr(done, i - c.length - done), form, result);
    append_utf8(result, c.value);
    done = i;
  }
  normalize_segment(text.substr(done), form, result);
  return result;
}

CharClass classify(char32_t value) {
  if (value == ' ' || (value >= 9 && value <= 13) || value == 0x85) return CharClass::space;
  switch (utf8proc_category(static_cast<utf8proc_int32_t>(value))) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
      return CharClass::letter;
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_NO:
      return CharClass::number;
    case UTF8PROC_CATEGORY_ZS:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP:
      return CharClass::space;
    case UTF8PROC_CATEGORY_CN:
      return newer_class(value);
    default:
      return CharClass::other;
  }
}

std::string newer_members(std::string_view category) {
  std::string members;
  for (const NewerRange& range : kNewer) {
    if (!range.category.starts_with(category)) continue;
    members += fmt::format("\\x{{{:X}}}-\\x{{{:X}}}", static_cast<std::uint32_t>(range.first),
                           static_cast<std::uint32_t>(range.last));
  }
  return members;
}

bool is_word_character(char32_t value) {
  if (contains(kWordSymbols, value)) return true;
  switch (utf8proc_category(static_cast<utf8proc_int32_t>(value))) {
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_MC:
    case UTF8PROC_CATEGORY_ME:
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_PC:
      return true;
    default:
      break;
  }
  const std::string_view newer = newer_category(value);
  return newer.starts_with('M') || newer == "Nd" || classify(value) == CharClass::letter;
}

}  // namespace touchstone
