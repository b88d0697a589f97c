// Which tokens may come next where a text must follow a grammar.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "text/grammar.h"
#include "text/tokenizer.h"

namespace touchstone {

/// The tokens that stand for text, as a tree over their bytes laid out in depth-first order.
struct TokenTree {
  struct Node {
    std::uint32_t next;         // behind the node's descendants
    std::uint32_t first_token;  // its tokens end where the next node's begin
    std::uint16_t depth;        // bytes before it
    std::uint8_t byte;
  };
  std::vector<Node> nodes;  // and one behind the last
  std::vector<std::int32_t> tokens;
  std::int32_t vocab_size = 0;
};

/// Without special tokens, which stand for no text, and those of more bytes than a grammar's states see.
TokenTree make_token_tree(const Tokenizer& tokenizer);

/// A grammar made deterministic as far as texts come: each state stands for all that the text so far may be.
/// States, and the tokens that each allows, are kept; one costs up to 1 kB and a bit for each token. Tokens
/// are found by one walk over the tree, which leaves out what begins impossibly.
class Constraint {
 public:
  static constexpr std::int32_t impossible = -1;

  Constraint(std::shared_ptr<const Grammar> grammar, std::shared_ptr<const TokenTree> tokens);

  std::int32_t start();
  /// The state behind `text`.
  std::int32_t advance(std::int32_t state, std::string_view text);
  /// Whether the text may end.
  bool may_end(std::int32_t state) const { return states_[index(state)].may_end; }
  /// Whether any token may follow.
  bool has_tokens(std::int32_t state);
  /// Whether every token may.
  bool allows_all(std::int32_t state);
  /// A bit for each token, the lowest of the first word for id 0.
  const std::vector<std::uint64_t>& allowed_tokens(std::int32_t state);

  /// Roughly what its states take.
  std::size_t bytes() const { return bytes_; }

 private:
  // Where the text may be: in a state of the grammar, inside the rules whose calls the frame lists.
  struct Config {
    std::uint32_t state, frame;
    auto operator<=>(const Config&) const =
        default;  // NOLINT(modernize-use-nullptr): clang-tidy 14 misreads it
  };
  struct Frame {  // an open call
    std::uint32_t behind, parent;
    std::int32_t nesting;
  };
  static constexpr std::uint32_t kNoFrame = 0;
  static constexpr std::int32_t kUnknown = -2;
  struct State {
    std::vector<Config> configs;  // those that bytes lead on from, in order
    bool may_end = false;
    std::array<std::int32_t, 256> next;  // by byte
    std::vector<std::uint64_t> allowed;  // empty: not known yet
  };

  static std::size_t index(std::int32_t state) { return static_cast<std::size_t>(state); }
  std::int32_t next(std::int32_t state, std::uint8_t byte) {
    const std::int32_t known = states_[index(state)].next[byte];
    return known != kUnknown ? known : find_next(state, byte);
  }
  std::int32_t find_next(std::int32_t state, std::uint8_t byte);
  std::int32_t add_state(std::vector<Config> reached);
  std::int32_t add_state(std::vector<Config>&& configs, bool may_end);
  std::int32_t find_alike(std::int32_t state);
  std::uint32_t add_frame(std::uint32_t behind, std::uint32_t parent, bool nests);

  std::shared_ptr<const Grammar> grammar_;
  std::shared_ptr<const TokenTree> tokens_;
  std::vector<State> states_;
  std::map<std::pair<std::vector<Config>, bool>, std::int32_t> known_states_;  // by configs and may_end
  std::vector<Frame> frames_{{0, 0, 0}};
  std::map<std::pair<std::uint32_t, std::uint32_t>, std::uint32_t> known_frames_;  // by behind and parent
  std::vector<std::int32_t> path_;                                                 // of a walk
  std::size_t bytes_ = 0;
};

/// Minus infinity for all tokens but those of the bits and of `also`.
void mask_logits(std::span<float> logits, std::span<const std::uint64_t> allowed,
                 std::span<const std::int32_t> also);

/// Minus infinity for these tokens; ids that there are not are no harm.
void ban_tokens(std::span<float> logits, std::span<const std::int32_t> ids);

}  // namespace touchstone
