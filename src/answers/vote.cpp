#include "answers/vote.h"

#include <algorithm>

#include "answers/extract_number.h"
#include "answers/extract_option.h"
#include "answers/extract_text.h"

namespace touchstone {
namespace {

constexpr std::size_t kMaxAnswerBytes = std::size_t{256} << 10;  // as graders: the end of a longer one counts

std::string read_text(std::string_view answer) {
  const std::string text = normalize_answer(answer);
  const std::vector<Boxed> boxed = find_boxed(text);
  const std::string_view said =
      boxed.empty()
          ? std::string_view(text)
          : std::string_view(text).substr(boxed.back().begin, boxed.back().end - boxed.back().begin);
  return to_lower(trim(said));
}

/// The most votes, the first to come among equals.
const std::pair<std::string, int>* find_leader(const VoteResult& result) {
  const auto leader = std::max_element(result.votes.begin(), result.votes.end(),
                                       [](const auto& a, const auto& b) { return a.second < b.second; });
  return leader == result.votes.end() ? nullptr : &*leader;
}

/// Whether the leader stays, whatever the samples that are left say.
bool is_certain(const VoteResult& result, const std::pair<std::string, int>* leader, int left) {
  if (left == 0) return true;
  if (leader == nullptr || left > leader->second) return false;  // a new answer would have come later
  return std::all_of(result.votes.begin(), result.votes.end(), [&](const auto& rival) {
    const int most = rival.second + left;
    return &rival == leader || most < leader->second || (most == leader->second && &rival > leader);
  });
}

void add_vote(VoteResult& result, const std::string& vote) {
  ++result.used;
  if (vote.empty()) return;
  const auto known = std::find_if(result.votes.begin(), result.votes.end(),
                                  [&](const auto& counted) { return counted.first == vote; });
  if (known == result.votes.end()) {
    result.votes.emplace_back(vote, 1);
  } else {
    ++known->second;
  }
}

}  // namespace

std::string read_vote(VoteTask task, std::string_view answer, const std::vector<std::string>& options) {
  if (answer.size() > kMaxAnswerBytes) answer = answer.substr(answer.size() - kMaxAnswerBytes);
  if (trim(answer).empty()) return {};
  switch (task) {
    case VoteTask::number: {
      const NumberAnswer said = extract_number(answer);
      return said.number ? said.number->value : std::string();
    }
    case VoteTask::option: {
      const OptionAnswer said = extract_option(answer, options);
      return said.index ? said.text : std::string();
    }
    case VoteTask::text:
      return read_text(answer);
  }
  return {};
}

std::optional<VoteResult> count_votes(std::span<const std::string> votes, int num_samples) {
  VoteResult result;
  for (const std::string& vote : votes) {
    add_vote(result, vote);
    const std::pair<std::string, int>* leader = find_leader(result);
    if (!is_certain(result, leader, num_samples - result.used)) continue;
    if (leader != nullptr) {
      result.answer = leader->first;
      result.sample =
          static_cast<std::size_t>(std::find(votes.begin(), votes.end(), leader->first) - votes.begin());
      result.share = static_cast<double>(leader->second) / result.used;
      result.interval = wilson_interval(leader->second, result.used);
    }
    return result;
  }
  return std::nullopt;
}

}  // namespace touchstone
