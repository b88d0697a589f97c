// What a text must look like, as an automaton over its bytes.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace touchstone {

/// Rules that call one another: a recursive transition network (Woods 1970). Each rule has a state where it
/// starts; a text belongs to it if a path spells it from there to a state where the rule ends.
class Grammar {
 public:
  /// Rules that nest stand inside one another at most so deep: parsers give up somewhere, Boost's at 32.
  static constexpr std::int32_t most_nesting = 24;
  /// How far states see that are alike.
  static constexpr std::size_t sight_bytes = 128;

  struct Bytes {  // one byte from low to high, then `target`
    std::uint8_t low, high;
    std::uint32_t target;
  };
  struct State {
    std::vector<Bytes> bytes;
    std::vector<std::uint32_t> skips;  // targets without any byte
    std::int32_t rule = -1;            // a text of this rule, then `behind`
    std::uint32_t behind = 0;
    bool ends = false;        // the state's rule may end here
    std::int32_t alike = -1;  // a state from which the next sight_bytes may be the same, or none known
  };
  struct Rule {
    std::uint32_t start = 0;
    bool nests = false;
    std::int32_t least_nesting = 0;  // that its shortest texts need, itself included
  };

  const State& state(std::uint32_t id) const { return states_[id]; }
  const Rule& rule(std::int32_t id) const { return rules_[static_cast<std::size_t>(id)]; }
  std::int32_t root() const { return root_; }
  /// Grammars of equal keys are equal.
  const std::string& key() const { return key_; }

  // For building. Those that lead on from a state return the state behind it; Error when it grows too large.
  std::uint32_t add_state();
  std::int32_t add_rule(bool nests);  // with its start
  std::uint32_t add_bytes(std::uint32_t from, std::uint8_t low, std::uint8_t high);
  std::uint32_t add_literal(std::uint32_t from, std::string_view text);
  std::uint32_t add_call(std::uint32_t from, std::int32_t rule);
  void add_bytes_to(std::uint32_t from, std::uint8_t low, std::uint8_t high, std::uint32_t to);
  void add_skip(std::uint32_t from, std::uint32_t to);
  void set_alike(std::uint32_t state, std::uint32_t other) {
    states_[state].alike = static_cast<std::int32_t>(other);
  }
  void end_rule(std::uint32_t at) { states_[at].ends = true; }
  /// The grammar is done. Throws Error when the root has no text, or none that nests no deeper than allowed,
  /// or when a rule begins with itself.
  void finish(std::int32_t root, std::string key);

 private:
  std::int32_t find_least_nesting(const Rule& rule) const;
  void refuse_left_recursion() const;

  std::vector<State> states_;
  std::vector<Rule> rules_;
  std::int32_t root_ = 0;
  std::string key_;
};

}  // namespace touchstone
