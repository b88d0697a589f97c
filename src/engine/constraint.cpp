#include "engine/constraint.h"

#include <algorithm>
#include <bit>
#include <limits>
#include <set>
#include <string>

namespace touchstone {
namespace {

constexpr std::size_t kWordBits = 64;
// Places where a text may be at once. A thousand properties in any order need some 7,000; alternatives that
// begin alike and hold one another double theirs with each level.
constexpr std::size_t kMostPlaces = 8'000;
constexpr float kMinusInfinity = -std::numeric_limits<float>::infinity();

std::size_t common_length(std::string_view a, std::string_view b) {
  return static_cast<std::size_t>(std::mismatch(a.begin(), a.end(), b.begin(), b.end()).first - a.begin());
}

}  // namespace

TokenTree make_token_tree(const Tokenizer& tokenizer) {
  std::vector<std::pair<std::string_view, std::int32_t>> sorted;
  TokenTree tree;
  tree.vocab_size = tokenizer.vocab_size();
  for (std::int32_t id = 0; id < tree.vocab_size; ++id) {
    if (!tokenizer.has_token(id) || tokenizer.is_special(id)) continue;
    const std::string_view bytes = tokenizer.token_bytes(id);
    if (!bytes.empty() && bytes.size() <= Grammar::sight_bytes) sorted.emplace_back(bytes, id);
  }
  std::sort(sorted.begin(), sorted.end());
  std::vector<std::size_t> open;  // nodes on the way to the present one
  std::string_view before;
  const auto close_to = [&](std::size_t depth) {
    for (; open.size() > depth; open.pop_back()) {
      tree.nodes[open.back()].next = static_cast<std::uint32_t>(tree.nodes.size());
    }
  };
  for (const auto& [bytes, id] : sorted) {
    close_to(common_length(before, bytes));
    while (open.size() < bytes.size()) {
      const std::size_t depth = open.size();
      open.push_back(tree.nodes.size());
      tree.nodes.push_back({0, static_cast<std::uint32_t>(tree.tokens.size()),
                            static_cast<std::uint16_t>(depth), static_cast<std::uint8_t>(bytes[depth])});
    }
    tree.tokens.push_back(id);
    before = bytes;
  }
  close_to(0);
  tree.nodes.push_back({0, static_cast<std::uint32_t>(tree.tokens.size()), 0, 0});
  return tree;
}

Constraint::Constraint(std::shared_ptr<const Grammar> grammar, std::shared_ptr<const TokenTree> tokens)
    : grammar_(std::move(grammar)), tokens_(std::move(tokens)) {}

std::int32_t Constraint::start() {
  // A frame whose end is the text's.
  return add_state({{grammar_->rule(grammar_->root()).start, kNoFrame}});
}

std::uint32_t Constraint::add_frame(std::uint32_t behind, std::uint32_t parent, bool nests) {
  const auto [found, is_new] =
      known_frames_.try_emplace({behind, parent}, static_cast<std::uint32_t>(frames_.size()));
  if (is_new) frames_.push_back({behind, parent, frames_[parent].nesting + (nests ? 1 : 0)});
  return found->second;
}

/// All that can be reached from `reached` without a byte; `impossible` where that is more than can be
/// followed.
std::int32_t Constraint::add_state(std::vector<Config> reached) {
  std::set<Config> seen(reached.begin(), reached.end());
  std::vector<Config> configs;
  bool may_end = false;
  const auto reach = [&](std::uint32_t at, std::uint32_t frame) {
    if (seen.insert({at, frame}).second) reached.push_back({at, frame});
  };
  while (!reached.empty()) {
    if (seen.size() > kMostPlaces) return impossible;
    const Config config = reached.back();
    reached.pop_back();
    const Grammar::State& at = grammar_->state(config.state);
    if (!at.bytes.empty()) configs.push_back(config);
    for (const std::uint32_t target : at.skips) reach(target, config.frame);
    if (at.rule >= 0) {
      const Grammar::Rule& rule = grammar_->rule(at.rule);
      if (frames_[config.frame].nesting + rule.least_nesting <= Grammar::most_nesting) {
        reach(rule.start, add_frame(at.behind, config.frame, rule.nests));
      }
    }
    if (!at.ends) continue;
    if (config.frame == kNoFrame) {
      may_end = true;
    } else {
      reach(frames_[config.frame].behind, frames_[config.frame].parent);
    }
  }
  return add_state(std::move(configs), may_end);
}

std::int32_t Constraint::add_state(std::vector<Config>&& configs, bool may_end) {
  if (configs.empty() && !may_end) return impossible;
  std::sort(configs.begin(), configs.end());
  const auto [found, is_new] =
      known_states_.try_emplace({configs, may_end}, static_cast<std::int32_t>(states_.size()));
  if (is_new) {
    bytes_ += sizeof(State) + 2 * configs.size() * sizeof(Config);
    states_.push_back({.configs = std::move(configs), .may_end = may_end, .next = {}, .allowed = {}});
    states_.back().next.fill(kUnknown);
  }
  return found->second;
}

/// A state that allows the same tokens, one for all that are alike: so the many states in which a long string
/// of limited length may be need one walk.
std::int32_t Constraint::find_alike(std::int32_t state) {
  std::vector<Config> configs = states_[index(state)].configs;
  const auto alike = [this](std::uint32_t at) {
    const std::int32_t other = grammar_->state(at).alike;
    return other >= 0 ? static_cast<std::uint32_t>(other) : at;
  };
  bool changed = false;
  for (Config& config : configs) {
    const Config before = config;
    config.state = alike(config.state);
    if (config.frame != kNoFrame) {
      const Frame frame = frames_[config.frame];
      config.frame =
          add_frame(alike(frame.behind), frame.parent, frame.nesting > frames_[frame.parent].nesting);
    }
    changed = changed || config != before;
  }
  return changed ? add_state(std::move(configs), states_[index(state)].may_end) : state;
}

std::int32_t Constraint::find_next(std::int32_t state, std::uint8_t byte) {
  std::vector<Config> reached;
  for (const Config& config : states_[index(state)].configs) {
    for (const Grammar::Bytes& bytes : grammar_->state(config.state).bytes) {
      if (bytes.low <= byte && byte <= bytes.high) reached.push_back({bytes.target, config.frame});
    }
  }
  const std::int32_t found = reached.empty() ? impossible : add_state(std::move(reached));
  states_[index(state)].next[byte] = found;
  return found;
}

std::int32_t Constraint::advance(std::int32_t state, std::string_view text) {
  for (const char c : text) {
    if (state == impossible) break;
    state = next(state, static_cast<std::uint8_t>(c));
  }
  return state;
}

const std::vector<std::uint64_t>& Constraint::allowed_tokens(std::int32_t state) {
  if (!states_[index(state)].allowed.empty()) return states_[index(state)].allowed;
  if (const std::int32_t alike = find_alike(state); alike != state) return allowed_tokens(alike);
  std::vector<std::uint64_t> allowed(static_cast<std::size_t>(tokens_->vocab_size) / kWordBits + 1, 0);
  path_.resize(Grammar::sight_bytes + 1);
  path_[0] = state;
  const std::size_t end = tokens_->nodes.size() - 1;
  for (std::size_t i = 0; i < end;) {
    const TokenTree::Node& node = tokens_->nodes[i];
    const std::int32_t reached = next(path_[node.depth], node.byte);
    if (reached == impossible) {
      i = node.next;
      continue;
    }
    path_[std::size_t{node.depth} + 1] = reached;
    ++i;
    for (std::uint32_t t = node.first_token; t < tokens_->nodes[i].first_token; ++t) {
      const auto id = static_cast<std::size_t>(tokens_->tokens[t]);
      allowed[id / kWordBits] |= std::uint64_t{1} << (id % kWordBits);
    }
  }
  bytes_ += allowed.size() * sizeof(std::uint64_t);
  return states_[index(state)].allowed = std::move(allowed);
}

bool Constraint::has_tokens(std::int32_t state) {
  const std::vector<std::uint64_t>& allowed = allowed_tokens(state);
  return std::any_of(allowed.begin(), allowed.end(), [](std::uint64_t word) { return word != 0; });
}

bool Constraint::allows_all(std::int32_t state) {
  std::size_t count = 0;
  for (const std::uint64_t word : allowed_tokens(state))
    count += static_cast<std::size_t>(std::popcount(word));
  return count == tokens_->tokens.size();
}

void mask_logits(std::span<float> logits, std::span<const std::uint64_t> allowed,
                 std::span<const std::int32_t> also) {
  std::vector<std::pair<std::size_t, float>> kept;
  for (const std::int32_t id : also) {
    const auto place = static_cast<std::size_t>(id);
    if (place < logits.size()) kept.emplace_back(place, logits[place]);
  }
  for (std::size_t begin = 0; begin < logits.size(); begin += kWordBits) {
    const std::size_t word = begin / kWordBits;
    const std::uint64_t bits = word < allowed.size() ? allowed[word] : 0;
    const std::span<float> some = logits.subspan(begin, std::min(kWordBits, logits.size() - begin));
    if (bits == ~std::uint64_t{0}) continue;
    for (std::size_t i = 0; i < some.size(); ++i) {
      some[i] = (bits >> i & 1) != 0 ? some[i] : kMinusInfinity;
    }
  }
  for (const auto& [place, logit] : kept) logits[place] = logit;
}

void ban_tokens(std::span<float> logits, std::span<const std::int32_t> ids) {
  for (const std::int32_t id : ids) {
    const auto place = static_cast<std::size_t>(id);
    if (place < logits.size()) logits[place] = kMinusInfinity;
  }
}

}  // namespace touchstone
