// Cuts text into the pieces that byte-level BPE merges within.
#pragma once

#include <boost/json.hpp>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "text/pretokenizer_pattern.h"

namespace touchstone {

/// What becomes of the matches of a Split's pattern (Hugging Face's SplitDelimiterBehavior).
enum class SplitBehavior { isolated, removed, merged_with_previous, merged_with_next, contiguous };

/// The splits that published tokenizers use have hand-written scanners, which take linear time on any text;
/// `pattern` stands for all others.
enum class Splitter { gpt2, qwen2, llama3, digit, digits, prefix_space, pattern };

struct SplitStep {
  Splitter splitter = Splitter::pattern;
  std::optional<Pattern> pattern;                    // of Splitter::pattern
  SplitBehavior behavior = SplitBehavior::isolated;  // of Splitter::pattern
  bool invert = false;                               // of Splitter::pattern
};

struct PreTokenizer {
  std::vector<SplitStep> steps;  // each cuts what the one before left
  bool byte_level = false;       // a ByteLevel step was among them
};

/// The pre_tokenizer value of tokenizer.json (may be null). Throws Error for a kind that is not known.
PreTokenizer parse_pre_tokenizer(const boost::json::value& value);

/// By GGUF's name (tokenizer.ggml.pre). Throws Error for an unknown one, naming it.
PreTokenizer named_pre_tokenizer(std::string_view name);

/// Room that split_pieces() works in; reused from call to call.
struct SplitBuffers {
  std::vector<std::string_view> pieces, next;
  std::deque<std::string> owned;                    // pieces that got a space in front
  std::uint64_t match_steps = most_match_steps(0);  // what patterns may take from now on
};

/// Cuts the valid UTF-8 `text` and leaves the pieces, none empty, in `buffers.pieces`. They view `text` or
/// `buffers.owned`. Throws Error when a pattern takes more than `buffers.match_steps`.
void split_pieces(const PreTokenizer& pre, std::string_view text, SplitBuffers& buffers);

}  // namespace touchstone
