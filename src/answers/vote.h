// Several samples of one answer, and which answer most of them give.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/wilson.h"

namespace touchstone {

enum class VoteTask {
  number,  // the number that the answer states as its result
  option,  // the letter of the option that it chooses
  text,    // the last \boxed{}, else the whole answer, white space and case aside
};

/// What an answer (without thinking) votes for; empty: for nothing. `options`: of VoteTask::option, in the
/// order of their letters.
std::string read_vote(VoteTask task, std::string_view answer, const std::vector<std::string>& options);

struct VoteResult {
  std::string answer;                              // empty: nobody voted
  std::size_t sample = 0;                          // the first that gave it
  std::vector<std::pair<std::string, int>> votes;  // in the order in which answers first came
  int used = 0;                                    // samples that were counted
  double share = 0;                                // of the answer, among those
  Interval interval;                               // of the share, as if the number counted had been fixed
};

/// Counts the votes of samples in their order until no sample of `num_samples` could change the answer; of
/// answers with as many votes the one that came first wins. `votes`: of the first samples, as far as they are
/// known. Nothing when more must be known. So the result depends on the samples alone, not on when they end.
std::optional<VoteResult> count_votes(std::span<const std::string> votes, int num_samples);

}  // namespace touchstone
