// UTF-8 and Unicode normalization.
#pragma once

#include <cstddef>
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

/// Each invalid sequence (maximal subpart) becomes one U+FFFD, as in WHATWG's and Rust's lossy decoding.
std::string replace_invalid_utf8(std::string_view text);

/// Unicode normalization form C. `text` must be valid UTF-8.
std::string normalize_nfc(std::string_view text);

}  // namespace touchstone
