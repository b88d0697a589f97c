// UTF-8, Unicode normalization, and the character classes that pre-tokenizers speak of.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace touchstone {

struct Codepoint {
  char32_t value;      // U+FFFD when not valid
  std::size_t length;  // bytes read, at least 1; of an invalid sequence its maximal subpart
  bool valid;
  bool truncated;  // invalid only because the text ends inside the character
};

/// Decodes the character at `at` (< text.size()).
Codepoint read_codepoint(std::string_view text, std::size_t at);

/// Where the last character of the non-empty, valid `text` begins.
std::size_t last_codepoint(std::string_view text);

/// Number of code points.
std::size_t count_codepoints(std::string_view text);

void append_utf8(std::string& text, char32_t value);

/// The length of the prefix that is valid UTF-8.
std::size_t valid_utf8_prefix(std::string_view text);

/// Each invalid sequence (maximal subpart) becomes one U+FFFD, as in WHATWG's and Rust's lossy decoding.
std::string to_valid_utf8(std::string_view text);

/// The number of bytes at the end of `text` that begin a character and could still become a valid one.
std::size_t incomplete_suffix(std::string_view text);

enum class Normalization { none, nfc, nfd, nfkc, nfkd };

/// Unicode normalization, in time linear in the text but for sorting marks. `text` must be valid UTF-8. NFC
/// knows the combining marks that the reference's tables know (Unicode 10): a later mark stays where it is.
std::string normalize(std::string_view text, Normalization form);

/// The classes of the pre-tokenizers' patterns: \p{L}, \p{N}, \s, and what is none of them.
enum class CharClass : std::uint8_t { other, letter, number, space };

/// By Unicode 16, as the reference's regular expressions.
CharClass classify(char32_t value);

/// What Unicode 15 and 16 added to a general category ("L", "So"), as members of a class in a pattern: PCRE2
/// may be older.
std::string newer_members(std::string_view category);

/// \w: alphabetic characters, marks, decimal digits, connecting punctuation and joiners.
bool is_word_character(char32_t value);

}  // namespace touchstone
