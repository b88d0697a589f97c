#include "text/jinja_unicode.h"

#include <utf8proc.h>

#include <algorithm>
#include <cstring>
#include <iterator>

namespace touchstone::jinja {
namespace {

constexpr char32_t kReplacement = 0xFFFD;

struct Range {
  char32_t first, last;
};

// Numeric_Type=Digit outside the category Nd (superscripts, circled digits).
constexpr Range kDigits[] = {{0xB2, 0xB3},       {0xB9, 0xB9},       {0x1369, 0x1371},   {0x19DA, 0x19DA},
                             {0x2070, 0x2070},   {0x2074, 0x2079},   {0x2080, 0x2089},   {0x2460, 0x2468},
                             {0x2474, 0x247C},   {0x2488, 0x2490},   {0x24EA, 0x24EA},   {0x24F5, 0x24FD},
                             {0x24FF, 0x24FF},   {0x2776, 0x277E},   {0x2780, 0x2788},   {0x278A, 0x2792},
                             {0x10A40, 0x10A43}, {0x10E60, 0x10E68}, {0x11052, 0x1105A}, {0x1F100, 0x1F10A}};

// Numeric_Type=Numeric outside the categories N* (ideographs that are numbers).
constexpr Range kNumericLetters[] = {
    {0x3405, 0x3405},   {0x3483, 0x3483},   {0x382A, 0x382A},   {0x3B4D, 0x3B4D},   {0x4E00, 0x4E00},
    {0x4E03, 0x4E03},   {0x4E07, 0x4E07},   {0x4E09, 0x4E09},   {0x4E5D, 0x4E5D},   {0x4E8C, 0x4E8C},
    {0x4E94, 0x4E94},   {0x4E96, 0x4E96},   {0x4EBF, 0x4EC0},   {0x4EDF, 0x4EDF},   {0x4EE8, 0x4EE8},
    {0x4F0D, 0x4F0D},   {0x4F70, 0x4F70},   {0x5104, 0x5104},   {0x5146, 0x5146},   {0x5169, 0x5169},
    {0x516B, 0x516B},   {0x516D, 0x516D},   {0x5341, 0x5341},   {0x5343, 0x5345},   {0x534C, 0x534C},
    {0x53C1, 0x53C4},   {0x56DB, 0x56DB},   {0x58F1, 0x58F1},   {0x58F9, 0x58F9},   {0x5E7A, 0x5E7A},
    {0x5EFE, 0x5EFF},   {0x5F0C, 0x5F0E},   {0x5F10, 0x5F10},   {0x62FE, 0x62FE},   {0x634C, 0x634C},
    {0x67D2, 0x67D2},   {0x6F06, 0x6F06},   {0x7396, 0x7396},   {0x767E, 0x767E},   {0x8086, 0x8086},
    {0x842C, 0x842C},   {0x8CAE, 0x8CAE},   {0x8CB3, 0x8CB3},   {0x8D30, 0x8D30},   {0x9621, 0x9621},
    {0x9646, 0x9646},   {0x964C, 0x964C},   {0x9678, 0x9678},   {0x96F6, 0x96F6},   {0xF96B, 0xF96B},
    {0xF973, 0xF973},   {0xF978, 0xF978},   {0xF9B2, 0xF9B2},   {0xF9D1, 0xF9D1},   {0xF9D3, 0xF9D3},
    {0xF9FD, 0xF9FD},   {0x20001, 0x20001}, {0x20064, 0x20064}, {0x200E2, 0x200E2}, {0x20121, 0x20121},
    {0x2092A, 0x2092A}, {0x20983, 0x20983}, {0x2098C, 0x2098C}, {0x2099C, 0x2099C}, {0x20AEA, 0x20AEA},
    {0x20AFD, 0x20AFD}, {0x20B19, 0x20B19}, {0x22390, 0x22390}, {0x22998, 0x22998}, {0x23B1B, 0x23B1B},
    {0x2626D, 0x2626D}, {0x2F890, 0x2F890}};

struct SpecialCase {
  char32_t character;
  std::u32string_view upper, title;
};

// The Unicode Character Database's SpecialCasing.txt: one character becomes several.
constexpr SpecialCase kSpecialCases[] = {
    {0xDF, U"SS", U"Ss"},
    {0x149, U"\U000002BCN", U"\U000002BCN"},
    {0x1F0, U"J\U0000030C", U"J\U0000030C"},
    {0x390, U"\U00000399\U00000308\U00000301", U"\U00000399\U00000308\U00000301"},
    {0x3B0, U"\U000003A5\U00000308\U00000301", U"\U000003A5\U00000308\U00000301"},
    {0x587, U"\U00000535\U00000552", U"\U00000535\U00000582"},
    {0x1E96, U"H\U00000331", U"H\U00000331"},
    {0x1E97, U"T\U00000308", U"T\U00000308"},
    {0x1E98, U"W\U0000030A", U"W\U0000030A"},
    {0x1E99, U"Y\U0000030A", U"Y\U0000030A"},
    {0x1E9A, U"A\U000002BE", U"A\U000002BE"},
    {0x1F50, U"\U000003A5\U00000313", U"\U000003A5\U00000313"},
    {0x1F52, U"\U000003A5\U00000313\U00000300", U"\U000003A5\U00000313\U00000300"},
    {0x1F54, U"\U000003A5\U00000313\U00000301", U"\U000003A5\U00000313\U00000301"},
    {0x1F56, U"\U000003A5\U00000313\U00000342", U"\U000003A5\U00000313\U00000342"},
    {0x1F80, U"\U00001F08\U00000399", U"\U00001F88"},
    {0x1F81, U"\U00001F09\U00000399", U"\U00001F89"},
    {0x1F82, U"\U00001F0A\U00000399", U"\U00001F8A"},
    {0x1F83, U"\U00001F0B\U00000399", U"\U00001F8B"},
    {0x1F84, U"\U00001F0C\U00000399", U"\U00001F8C"},
    {0x1F85, U"\U00001F0D\U00000399", U"\U00001F8D"},
    {0x1F86, U"\U00001F0E\U00000399", U"\U00001F8E"},
    {0x1F87, U"\U00001F0F\U00000399", U"\U00001F8F"},
    {0x1F88, U"\U00001F08\U00000399", U"\U00001F88"},
    {0x1F89, U"\U00001F09\U00000399", U"\U00001F89"},
    {0x1F8A, U"\U00001F0A\U00000399", U"\U00001F8A"},
    {0x1F8B, U"\U00001F0B\U00000399", U"\U00001F8B"},
    {0x1F8C, U"\U00001F0C\U00000399", U"\U00001F8C"},
    {0x1F8D, U"\U00001F0D\U00000399", U"\U00001F8D"},
    {0x1F8E, U"\U00001F0E\U00000399", U"\U00001F8E"},
    {0x1F8F, U"\U00001F0F\U00000399", U"\U00001F8F"},
    {0x1F90, U"\U00001F28\U00000399", U"\U00001F98"},
    {0x1F91, U"\U00001F29\U00000399", U"\U00001F99"},
    {0x1F92, U"\U00001F2A\U00000399", U"\U00001F9A"},
    {0x1F93, U"\U00001F2B\U00000399", U"\U00001F9B"},
    {0x1F94, U"\U00001F2C\U00000399", U"\U00001F9C"},
    {0x1F95, U"\U00001F2D\U00000399", U"\U00001F9D"},
    {0x1F96, U"\U00001F2E\U00000399", U"\U00001F9E"},
    {0x1F97, U"\U00001F2F\U00000399", U"\U00001F9F"},
    {0x1F98, U"\U00001F28\U00000399", U"\U00001F98"},
    {0x1F99, U"\U00001F29\U00000399", U"\U00001F99"},
    {0x1F9A, U"\U00001F2A\U00000399", U"\U00001F9A"},
    {0x1F9B, U"\U00001F2B\U00000399", U"\U00001F9B"},
    {0x1F9C, U"\U00001F2C\U00000399", U"\U00001F9C"},
    {0x1F9D, U"\U00001F2D\U00000399", U"\U00001F9D"},
    {0x1F9E, U"\U00001F2E\U00000399", U"\U00001F9E"},
    {0x1F9F, U"\U00001F2F\U00000399", U"\U00001F9F"},
    {0x1FA0, U"\U00001F68\U00000399", U"\U00001FA8"},
    {0x1FA1, U"\U00001F69\U00000399", U"\U00001FA9"},
    {0x1FA2, U"\U00001F6A\U00000399", U"\U00001FAA"},
    {0x1FA3, U"\U00001F6B\U00000399", U"\U00001FAB"},
    {0x1FA4, U"\U00001F6C\U00000399", U"\U00001FAC"},
    {0x1FA5, U"\U00001F6D\U00000399", U"\U00001FAD"},
    {0x1FA6, U"\U00001F6E\U00000399", U"\U00001FAE"},
    {0x1FA7, U"\U00001F6F\U00000399", U"\U00001FAF"},
    {0x1FA8, U"\U00001F68\U00000399", U"\U00001FA8"},
    {0x1FA9, U"\U00001F69\U00000399", U"\U00001FA9"},
    {0x1FAA, U"\U00001F6A\U00000399", U"\U00001FAA"},
    {0x1FAB, U"\U00001F6B\U00000399", U"\U00001FAB"},
    {0x1FAC, U"\U00001F6C\U00000399", U"\U00001FAC"},
    {0x1FAD, U"\U00001F6D\U00000399", U"\U00001FAD"},
    {0x1FAE, U"\U00001F6E\U00000399", U"\U00001FAE"},
    {0x1FAF, U"\U00001F6F\U00000399", U"\U00001FAF"},
    {0x1FB2, U"\U00001FBA\U00000399", U"\U00001FBA\U00000345"},
    {0x1FB3, U"\U00000391\U00000399", U"\U00001FBC"},
    {0x1FB4, U"\U00000386\U00000399", U"\U00000386\U00000345"},
    {0x1FB6, U"\U00000391\U00000342", U"\U00000391\U00000342"},
    {0x1FB7, U"\U00000391\U00000342\U00000399", U"\U00000391\U00000342\U00000345"},
    {0x1FBC, U"\U00000391\U00000399", U"\U00001FBC"},
    {0x1FC2, U"\U00001FCA\U00000399", U"\U00001FCA\U00000345"},
    {0x1FC3, U"\U00000397\U00000399", U"\U00001FCC"},
    {0x1FC4, U"\U00000389\U00000399", U"\U00000389\U00000345"},
    {0x1FC6, U"\U00000397\U00000342", U"\U00000397\U00000342"},
    {0x1FC7, U"\U00000397\U00000342\U00000399", U"\U00000397\U00000342\U00000345"},
    {0x1FCC, U"\U00000397\U00000399", U"\U00001FCC"},
    {0x1FD2, U"\U00000399\U00000308\U00000300", U"\U00000399\U00000308\U00000300"},
    {0x1FD3, U"\U00000399\U00000308\U00000301", U"\U00000399\U00000308\U00000301"},
    {0x1FD6, U"\U00000399\U00000342", U"\U00000399\U00000342"},
    {0x1FD7, U"\U00000399\U00000308\U00000342", U"\U00000399\U00000308\U00000342"},
    {0x1FE2, U"\U000003A5\U00000308\U00000300", U"\U000003A5\U00000308\U00000300"},
    {0x1FE3, U"\U000003A5\U00000308\U00000301", U"\U000003A5\U00000308\U00000301"},
    {0x1FE4, U"\U000003A1\U00000313", U"\U000003A1\U00000313"},
    {0x1FE6, U"\U000003A5\U00000342", U"\U000003A5\U00000342"},
    {0x1FE7, U"\U000003A5\U00000308\U00000342", U"\U000003A5\U00000308\U00000342"},
    {0x1FF2, U"\U00001FFA\U00000399", U"\U00001FFA\U00000345"},
    {0x1FF3, U"\U000003A9\U00000399", U"\U00001FFC"},
    {0x1FF4, U"\U0000038F\U00000399", U"\U0000038F\U00000345"},
    {0x1FF6, U"\U000003A9\U00000342", U"\U000003A9\U00000342"},
    {0x1FF7, U"\U000003A9\U00000342\U00000399", U"\U000003A9\U00000342\U00000345"},
    {0x1FFC, U"\U000003A9\U00000399", U"\U00001FFC"},
    {0xFB00, U"FF", U"Ff"},
    {0xFB01, U"FI", U"Fi"},
    {0xFB02, U"FL", U"Fl"},
    {0xFB03, U"FFI", U"Ffi"},
    {0xFB04, U"FFL", U"Ffl"},
    {0xFB05, U"ST", U"St"},
    {0xFB06, U"ST", U"St"},
    {0xFB13, U"\U00000544\U00000546", U"\U00000544\U00000576"},
    {0xFB14, U"\U00000544\U00000535", U"\U00000544\U00000565"},
    {0xFB15, U"\U00000544\U0000053B", U"\U00000544\U0000056B"},
    {0xFB16, U"\U0000054E\U00000546", U"\U0000054E\U00000576"},
    {0xFB17, U"\U00000544\U0000053D", U"\U00000544\U0000056D"},
};

template <std::size_t N>
bool in_ranges(const Range (&ranges)[N], char32_t character) {
  const auto* after =
      std::upper_bound(std::begin(ranges), std::end(ranges), character,
                       [](char32_t value, const Range& range) { return value < range.first; });
  return after != std::begin(ranges) && character <= std::prev(after)->last;
}

const SpecialCase* find_special(char32_t character) {
  if (character < 0xDF) return nullptr;
  const auto* found =
      std::lower_bound(std::begin(kSpecialCases), std::end(kSpecialCases), character,
                       [](const SpecialCase& entry, char32_t value) { return entry.character < value; });
  return found != std::end(kSpecialCases) && found->character == character ? found : nullptr;
}

utf8proc_category_t category(char32_t character) {
  return utf8proc_category(static_cast<utf8proc_int32_t>(character));
}

char32_t map_simple(utf8proc_int32_t (*map)(utf8proc_int32_t), char32_t character) {
  return static_cast<char32_t>(map(static_cast<utf8proc_int32_t>(character)));
}

void append_all(std::string& text, std::u32string_view characters) {
  for (const char32_t character : characters) append_char(text, character);
}

void append_upper(std::string& text, char32_t character) {
  if (const SpecialCase* special = find_special(character)) {
    append_all(text, special->upper);
  } else {
    append_char(text, map_simple(utf8proc_toupper, character));
  }
}

void append_title(std::string& text, char32_t character) {
  if (const SpecialCase* special = find_special(character)) {
    append_all(text, special->title);
  } else {
    append_char(text, map_simple(utf8proc_totitle, character));
  }
}

bool is_cased(char32_t character) {
  return is_upper(character) || is_lower(character) || is_title(character);
}

bool is_case_ignorable(char32_t character) {
  switch (category(character)) {
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_ME:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_SK:
      return true;
    default:
      return character == '\'' || character == '.' || character == ':' || character == 0xB7 ||
             character == 0x2019;
  }
}

/// Unicode's Final_Sigma: a cased letter before, none after, case-ignorable characters aside.
bool is_final_sigma(std::u32string_view characters, std::size_t index) {
  std::size_t before = index;
  while (before > 0 && is_case_ignorable(characters[before - 1])) --before;
  if (before == 0 || !is_cased(characters[before - 1])) return false;
  std::size_t after = index + 1;
  while (after < characters.size() && is_case_ignorable(characters[after])) ++after;
  return after == characters.size() || !is_cased(characters[after]);
}

void append_lower(std::string& text, std::u32string_view characters, std::size_t index) {
  const char32_t character = characters[index];
  if (character == 0x130) {
    append_all(text, U"i\u0307");
  } else if (character == 0x3A3) {
    append_char(text, is_final_sigma(characters, index) ? 0x3C2 : 0x3C3);
  } else {
    append_char(text, map_simple(utf8proc_tolower, character));
  }
}

std::string lower_ascii(std::string_view text) {
  std::string result(text);
  for (char& byte : result) {
    if (byte >= 'A' && byte <= 'Z') byte = static_cast<char>(byte + ('a' - 'A'));
  }
  return result;
}

std::string upper_ascii(std::string_view text) {
  std::string result(text);
  for (char& byte : result) {
    if (byte >= 'a' && byte <= 'z') byte = static_cast<char>(byte - ('a' - 'A'));
  }
  return result;
}

}  // namespace

char32_t next_char(std::string_view text, std::size_t& position) {
  utf8proc_int32_t character = 0;
  const auto* bytes = reinterpret_cast<const utf8proc_uint8_t*>(text.data()) + position;
  if (*bytes < 0x80) {
    ++position;
    return *bytes;
  }
  const utf8proc_ssize_t used =
      utf8proc_iterate(bytes, static_cast<utf8proc_ssize_t>(text.size() - position), &character);
  position += used > 0 ? static_cast<std::size_t>(used) : 1;
  return used > 0 ? static_cast<char32_t>(character) : kReplacement;
}

void append_char(std::string& text, char32_t character) {
  if (character < 0x80) {
    text += static_cast<char>(character);
    return;
  }
  if (character > 0x10FFFF || (character >= 0xD800 && character < 0xE000)) character = kReplacement;
  utf8proc_uint8_t bytes[4];
  const utf8proc_ssize_t size = utf8proc_encode_char(static_cast<utf8proc_int32_t>(character), bytes);
  text.append(reinterpret_cast<const char*>(bytes), static_cast<std::size_t>(size));
}

std::u32string to_chars(std::string_view text) {
  std::u32string characters;
  characters.reserve(text.size());
  for (std::size_t position = 0; position < text.size();) characters += next_char(text, position);
  return characters;
}

std::string to_text(std::u32string_view characters) {
  std::string text;
  text.reserve(characters.size());
  append_all(text, characters);
  return text;
}

std::size_t char_offset(std::string_view text, std::size_t index) {
  std::size_t position = 0;
  for (; index > 0 && position < text.size(); --index) {
    ++position;
    while (position < text.size() && (static_cast<unsigned char>(text[position]) & 0xC0) == 0x80) ++position;
  }
  return position;
}

bool is_ascii(std::string_view text) {
  return std::all_of(text.begin(), text.end(),
                     [](char byte) { return static_cast<unsigned char>(byte) < 0x80; });
}

std::size_t find_text(std::string_view text, std::string_view part, std::size_t position) {
  if (position > text.size()) return std::string_view::npos;
  const void* found = memmem(text.data() + position, text.size() - position, part.data(), part.size());
  if (found == nullptr) return std::string_view::npos;
  return static_cast<std::size_t>(static_cast<const char*>(found) - text.data());
}

std::string replace_invalid(std::string_view text) {
  std::string result;
  result.reserve(text.size());
  for (std::size_t position = 0; position < text.size();) append_char(result, next_char(text, position));
  return result;
}

bool is_space(char32_t c) {
  return (c >= 9 && c <= 13) || (c >= 28 && c <= 32) || c == 0x85 || c == 0xA0 || c == 0x1680 ||
         (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F ||
         c == 0x3000;
}

bool is_alphabetic(char32_t character) {
  const utf8proc_category_t c = category(character);
  return c >= UTF8PROC_CATEGORY_LU && c <= UTF8PROC_CATEGORY_LO;
}

bool is_decimal(char32_t character) { return category(character) == UTF8PROC_CATEGORY_ND; }

std::string with_ascii_digits(std::string_view text) {
  std::string result;
  for (std::size_t position = 0; position < text.size();) {
    char32_t c = next_char(text, position);
    if (c >= 0x80 && is_decimal(c)) {
      // Unicode lays the digits of a script out in a row from zero; the mathematical ones are five rows.
      char32_t zero = c;
      while (is_decimal(zero - 1)) --zero;
      c = U'0' + (c - zero) % 10;
    }
    append_char(result, c);
  }
  return result;
}

bool is_digit(char32_t character) { return is_decimal(character) || in_ranges(kDigits, character); }

bool is_numeric(char32_t character) {
  const utf8proc_category_t c = category(character);
  return (c >= UTF8PROC_CATEGORY_ND && c <= UTF8PROC_CATEGORY_NO) || in_ranges(kNumericLetters, character);
}

bool is_alphanumeric(char32_t character) { return is_alphabetic(character) || is_numeric(character); }

bool is_upper(char32_t character) { return utf8proc_isupper(static_cast<utf8proc_int32_t>(character)) != 0; }

bool is_lower(char32_t character) { return utf8proc_islower(static_cast<utf8proc_int32_t>(character)) != 0; }

bool is_title(char32_t character) { return category(character) == UTF8PROC_CATEGORY_LT; }

bool is_printable(char32_t character) {
  if (character < 0x7F) return character >= ' ';
  switch (category(character)) {
    case UTF8PROC_CATEGORY_CC:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_CS:
    case UTF8PROC_CATEGORY_CO:
    case UTF8PROC_CATEGORY_CN:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP:
    case UTF8PROC_CATEGORY_ZS:
      return false;
    default:
      return true;
  }
}

bool is_identifier(std::string_view text) {
  bool first = true;
  for (std::size_t position = 0; position < text.size(); first = false) {
    const char32_t character = next_char(text, position);
    const utf8proc_category_t c = category(character);
    const bool starts = character == '_' || is_alphabetic(character) || c == UTF8PROC_CATEGORY_NL;
    const bool continues = c == UTF8PROC_CATEGORY_MN || c == UTF8PROC_CATEGORY_MC ||
                           c == UTF8PROC_CATEGORY_ND || c == UTF8PROC_CATEGORY_PC;
    if (!starts && (first || !continues)) return false;
  }
  return !first;
}

std::string to_upper(std::string_view text) {
  if (is_ascii(text)) return upper_ascii(text);
  std::string result;
  result.reserve(text.size());
  for (std::size_t position = 0; position < text.size();) append_upper(result, next_char(text, position));
  return result;
}

std::string to_lower(std::string_view text) {
  if (is_ascii(text)) return lower_ascii(text);
  const std::u32string characters = to_chars(text);
  std::string result;
  result.reserve(text.size());
  for (std::size_t i = 0; i < characters.size(); ++i) append_lower(result, characters, i);
  return result;
}

std::string to_title(std::string_view text) {
  const std::u32string characters = to_chars(text);
  std::string result;
  bool inside_word = false;
  for (std::size_t i = 0; i < characters.size(); ++i) {
    if (inside_word) {
      append_lower(result, characters, i);
    } else {
      append_title(result, characters[i]);
    }
    inside_word = is_cased(characters[i]);
  }
  return result;
}

std::string capitalize(std::string_view text) {
  const std::u32string characters = to_chars(text);
  std::string result;
  for (std::size_t i = 0; i < characters.size(); ++i) {
    if (i == 0) {
      append_title(result, characters[i]);
    } else {
      append_lower(result, characters, i);
    }
  }
  return result;
}

std::string swap_case(std::string_view text) {
  const std::u32string characters = to_chars(text);
  std::string result;
  for (std::size_t i = 0; i < characters.size(); ++i) {
    if (is_upper(characters[i])) {
      append_lower(result, characters, i);
    } else if (is_lower(characters[i])) {
      append_upper(result, characters[i]);
    } else {
      append_char(result, characters[i]);
    }
  }
  return result;
}

std::string case_fold(std::string_view text) {
  std::string result;
  for (std::size_t position = 0; position < text.size();) {
    utf8proc_int32_t folded[8];
    int boundary = 0;
    const char32_t character = next_char(text, position);
    const utf8proc_ssize_t size = utf8proc_decompose_char(static_cast<utf8proc_int32_t>(character), folded,
                                                          std::size(folded), UTF8PROC_CASEFOLD, &boundary);
    for (utf8proc_ssize_t i = 0; i < size; ++i) append_char(result, static_cast<char32_t>(folded[i]));
  }
  return result;
}

namespace {

/// Where the last code point before `end` begins.
std::size_t previous_char(std::string_view text, std::size_t end) {
  --end;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;
  return end;
}

template <typename Predicate>
std::string_view strip_if(std::string_view text, bool left, bool right, Predicate drops) {
  while (left && !text.empty()) {
    std::size_t position = 0;
    if (!drops(next_char(text, position))) break;
    text.remove_prefix(position);
  }
  while (right && !text.empty()) {
    const std::size_t begin = previous_char(text, text.size());
    std::size_t position = begin;
    if (!drops(next_char(text, position))) break;
    text = text.substr(0, begin);
  }
  return text;
}

}  // namespace

std::string_view strip(std::string_view text, bool left, bool right) {
  return strip_if(text, left, right, is_space);
}

std::string_view strip_chars(std::string_view text, std::string_view characters, bool left, bool right) {
  std::u32string dropped = to_chars(characters);
  std::sort(dropped.begin(), dropped.end());
  return strip_if(text, left, right, [&](char32_t character) {
    return std::binary_search(dropped.begin(), dropped.end(), character);
  });
}

}  // namespace touchstone::jinja
