// The field `vote`: several samples of one chat's answer, of which the one that most agree with is given.
#pragma once

#include <boost/json.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "answers/vote.h"
#include "serve/request_fields.h"

namespace touchstone::serve {

inline constexpr std::int64_t kMaxSamples = 128;  // of one request

struct VoteWish {
  std::int32_t k = 0;  // samples at most
  VoteTask task = VoteTask::number;
  std::vector<std::string> options;  // of VoteTask::option
};

/// Nothing when the field is not there. Members that are not understood are added to `ignored`. Throws
/// RequestError.
std::optional<VoteWish> read_vote_wish(FieldReader& fields, IgnoredFields& ignored);

/// The samples' votes as they come in.
class Ballot {
 public:
  explicit Ballot(VoteWish wish) : wish_(std::move(wish)), votes_(static_cast<std::size_t>(wish_.k)) {}

  /// Takes the answer of a sample that has ended, once. True when the result is known.
  bool take(std::size_t sample, std::string_view answer);
  bool has(std::size_t sample) const { return votes_[sample].has_value(); }
  const std::optional<VoteResult>& result() const { return result_; }

 private:
  VoteWish wish_;
  std::vector<std::optional<std::string>> votes_;
  std::optional<VoteResult> result_;
};

/// The response's member `vote`. `k`: the samples that were asked for.
boost::json::object to_json(const VoteResult& result, std::int32_t k);

}  // namespace touchstone::serve
