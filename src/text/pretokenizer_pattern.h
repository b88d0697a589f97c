// Regular expressions of tokenizer files: Oniguruma's syntax, matched by PCRE2 within bounds.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace touchstone {

struct Match {
  std::size_t begin, end;
};

/// The steps that patterns may take in a text of this many bytes: several times what sane ones need,
/// for a single word as long as the text too.
constexpr std::uint64_t most_match_steps(std::size_t text_bytes) {
  return 40'000'000 + std::uint64_t{100} * text_bytes;
}

/// What a step of a pattern costs.
struct StepCost {
  std::uint64_t unmoved = 0;  // characters that it may look at in vain: a repeat's least, a look behind
  bool refers_back = false;   // has references to groups
};

/// One compiled pattern; copies share it, and threads may match at the same time.
class Pattern {
 public:
  /// `expression` in the syntax that Hugging Face's tokenizers take. Throws Error when it does not compile or
  /// says something that PCRE2 would read differently.
  explicit Pattern(std::string_view expression);

  /// The next match at or after `start`; false when there is none. `text` must be valid UTF-8. Takes its
  /// steps off `steps_left`, and throws Error when these are used up, or too much memory. A step is an item
  /// of the pattern that was tried, or some bytes of text that were looked through.
  bool find(std::string_view text, std::size_t start, Match& match, std::uint64_t& steps_left) const;
  /// The expression as it was given.
  const std::string& source() const { return source_; }

 private:
  std::string source_;
  std::shared_ptr<const void> code_;
  StepCost cost_;
};

}  // namespace touchstone
