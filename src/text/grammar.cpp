#include "text/grammar.h"

#include <algorithm>
#include <cassert>
#include <queue>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "base/error.h"

namespace touchstone {
namespace {

// Some 10 MB. Schemas that people write need hundreds.
constexpr std::size_t kMostStates = 100'000;

/// A text that needs more nesting than is allowed.
constexpr std::int32_t kNever = Grammar::most_nesting + 1;

}  // namespace

std::uint32_t Grammar::add_state() {
  if (states_.size() >= kMostStates) {
    throw Error("the schema is too large", "ask for less, or for shorter strings and arrays");
  }
  states_.emplace_back();
  return static_cast<std::uint32_t>(states_.size() - 1);
}

std::int32_t Grammar::add_rule(bool nests) {
  rules_.push_back({.start = add_state(), .nests = nests});
  return static_cast<std::int32_t>(rules_.size() - 1);
}

void Grammar::add_bytes_to(std::uint32_t from, std::uint8_t low, std::uint8_t high, std::uint32_t to) {
  states_[from].bytes.push_back({low, high, to});
}

std::uint32_t Grammar::add_bytes(std::uint32_t from, std::uint8_t low, std::uint8_t high) {
  const std::uint32_t to = add_state();
  add_bytes_to(from, low, high, to);
  return to;
}

std::uint32_t Grammar::add_literal(std::uint32_t from, std::string_view text) {
  for (const char c : text)
    from = add_bytes(from, static_cast<std::uint8_t>(c), static_cast<std::uint8_t>(c));
  return from;
}

std::uint32_t Grammar::add_call(std::uint32_t from, std::int32_t rule) {
  const std::uint32_t call = add_state();
  const std::uint32_t behind = add_state();
  add_skip(from, call);
  states_[call].rule = rule;
  states_[call].behind = behind;
  return behind;
}

void Grammar::add_skip(std::uint32_t from, std::uint32_t to) { states_[from].skips.push_back(to); }

/// The least, over the rule's texts, of the deepest call on their way.
std::int32_t Grammar::find_least_nesting(const Rule& rule) const {
  using Reached = std::pair<std::int32_t, std::uint32_t>;  // nesting, state
  std::priority_queue<Reached, std::vector<Reached>, std::greater<>> open;
  std::unordered_map<std::uint32_t, std::int32_t> best;
  const auto reach = [&](std::int32_t nesting, std::uint32_t state) {
    const auto [found, is_new] = best.try_emplace(state, nesting);
    if (!is_new && nesting >= found->second) return;
    found->second = nesting;
    if (nesting < kNever) open.emplace(nesting, state);
  };
  reach(0, rule.start);
  while (!open.empty()) {
    const auto [nesting, id] = open.top();
    open.pop();
    const State& at = states_[id];
    if (at.ends) return std::min(kNever, nesting + (rule.nests ? 1 : 0));
    for (const Bytes& bytes : at.bytes) reach(nesting, bytes.target);
    for (const std::uint32_t target : at.skips) reach(nesting, target);
    if (at.rule >= 0) reach(std::max(nesting, this->rule(at.rule).least_nesting), at.behind);
  }
  return kNever;
}

/// A rule that begins with itself would never come to a byte.
void Grammar::refuse_left_recursion() const {
  // Rules that can be empty let what stands behind them be the beginning.
  std::vector<bool> can_be_empty(rules_.size(), false);
  std::vector<std::vector<std::int32_t>> begins_with(rules_.size());
  for (bool changed = true; changed;) {
    changed = false;
    for (std::size_t r = 0; r < rules_.size(); ++r) {
      begins_with[r].clear();
      std::vector<std::uint32_t> open{rules_[r].start};
      std::unordered_set<std::uint32_t> seen{rules_[r].start};
      const auto reach = [&](std::uint32_t state) {
        if (seen.insert(state).second) open.push_back(state);
      };
      while (!open.empty()) {
        const State& at = states_[open.back()];
        open.pop_back();
        if (at.ends && !can_be_empty[r]) changed = can_be_empty[r] = true;
        for (const std::uint32_t target : at.skips) reach(target);
        if (at.rule < 0) continue;
        begins_with[r].push_back(at.rule);
        if (can_be_empty[static_cast<std::size_t>(at.rule)]) reach(at.behind);
      }
    }
  }
  std::vector<bool> settled(rules_.size(), false);
  const auto is_settled = [&](std::int32_t rule) { return settled[static_cast<std::size_t>(rule)]; };
  std::size_t num_settled = 0;
  for (bool changed = true; changed;) {
    changed = false;
    for (std::size_t r = 0; r < rules_.size(); ++r) {
      if (settled[r] || !std::all_of(begins_with[r].begin(), begins_with[r].end(), is_settled)) continue;
      changed = settled[r] = true;
      ++num_settled;
    }
  }
  if (num_settled < rules_.size()) throw Error("a $ref of the schema refers to itself", "give it a value");
}

void Grammar::finish(std::int32_t root, std::string key) {
  root_ = root;
  key_ = std::move(key);
  refuse_left_recursion();
  for (Rule& rule : rules_) rule.least_nesting = kNever;
  for (bool changed = true; changed;) {
    changed = false;
    for (Rule& rule : rules_) {
      const std::int32_t nesting = find_least_nesting(rule);
      changed = changed || nesting < rule.least_nesting;
      rule.least_nesting = nesting;
    }
  }
  if (this->rule(root).least_nesting >= kNever) {
    throw Error(
        "the schema's values nest more than " + std::to_string(most_nesting) + " deep, or have no end",
        "let some of them be optional");
  }
}

}  // namespace touchstone
