// Cuts text into the pieces that byte-level BPE merges within.
#pragma once

#include <boost/json.hpp>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace touchstone {

/// One compiled regular expression; matching is bounded and thread-safe.
class Pattern {
 public:
  /// Throws Error naming the pattern when it does not compile. Hugging Face's (Oniguruma) syntax.
  explicit Pattern(const std::string& expression);
  /// The next match at or after `start`: [begin, end), or false. `text` must be valid UTF-8.
  bool find(std::string_view text, std::size_t start, std::size_t& begin, std::size_t& end) const;

 private:
  std::shared_ptr<void> code_;
};

enum class SplitBehavior { isolated, removed, merged_with_previous, merged_with_next, contiguous };

struct SplitStep {
  Pattern pattern;
  SplitBehavior behavior = SplitBehavior::isolated;
  bool invert = false;
};

struct PreTokenizer {
  std::vector<SplitStep> steps;
  bool add_prefix_space = false;
};

/// The pre_tokenizer object of tokenizer.json (may be null). Throws Error for a kind that is not known.
PreTokenizer parse_pre_tokenizer(const boost::json::value& value);

/// By GGUF's name (tokenizer.ggml.pre). Throws Error for an unknown one.
PreTokenizer named_pre_tokenizer(std::string_view name);

/// Calls `emit` with each piece in order.
void split_pieces(const PreTokenizer& pre, std::string_view text,
                  const std::function<void(std::string_view)>& emit);

}  // namespace touchstone
