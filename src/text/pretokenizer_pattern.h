// Regular expressions of tokenizer files: Oniguruma's syntax, matched by PCRE2 within bounds.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

namespace touchstone {

struct Match {
  std::size_t begin, end;
};

/// One compiled pattern; copies share it, and threads may match at the same time.
class Pattern {
 public:
  /// `expression` in the syntax that Hugging Face's tokenizers take. Throws Error when it does not compile or
  /// says something that PCRE2 would read differently.
  explicit Pattern(std::string_view expression);

  /// The next match at or after `start`; false when there is none. `text` must be valid UTF-8. Throws Error
  /// when the match takes more steps or memory than any sane pattern does.
  bool find(std::string_view text, std::size_t start, Match& match) const;
  /// The expression as it was given.
  const std::string& source() const { return source_; }

 private:
  std::string source_;
  std::shared_ptr<const void> code_;
};

}  // namespace touchstone
