// Python's view of text: strings of code points, with its case mappings and character classes.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace touchstone::jinja {

/// Reads the code point at `position` and moves past it. A byte that is not UTF-8 reads as U+FFFD.
char32_t next_char(std::string_view text, std::size_t& position);
void append_char(std::string& text, char32_t character);

std::u32string to_chars(std::string_view text);
std::string to_text(std::u32string_view characters);

/// Where the code point of this index begins; text.size() past the end.
std::size_t char_offset(std::string_view text, std::size_t index);
bool is_ascii(std::string_view text);
inline bool is_ascii_digit(char c) { return c >= '0' && c <= '9'; }

/// Where `part` first occurs from `position` on, or npos; linear in both lengths, whatever they hold.
std::size_t find_text(std::string_view text, std::string_view part, std::size_t position = 0);

/// The same text with every byte that is not UTF-8 replaced by U+FFFD.
std::string replace_invalid(std::string_view text);

/// str.isspace() and its kin, for one character.
bool is_space(char32_t character);
bool is_alphabetic(char32_t character);
bool is_decimal(char32_t character);
/// The same text with the decimal digits of every script written as 0 to 9, as int() and float() read them.
std::string with_ascii_digits(std::string_view text);
bool is_digit(char32_t character);
bool is_numeric(char32_t character);
bool is_alphanumeric(char32_t character);
bool is_upper(char32_t character);
bool is_lower(char32_t character);
bool is_title(char32_t character);
/// What repr() prints as it is.
bool is_printable(char32_t character);
bool is_identifier(std::string_view text);

/// str.upper() and its kin, with the mappings that make several characters of one ("ß" -> "SS").
std::string to_upper(std::string_view text);
std::string to_lower(std::string_view text);
std::string to_title(std::string_view text);
std::string capitalize(std::string_view text);
std::string swap_case(std::string_view text);
std::string case_fold(std::string_view text);

/// str.strip(): without `characters`, white space. `left`, `right`: which ends.
std::string_view strip(std::string_view text, bool left = true, bool right = true);
std::string_view strip_chars(std::string_view text, std::string_view characters, bool left = true,
                             bool right = true);

}  // namespace touchstone::jinja
