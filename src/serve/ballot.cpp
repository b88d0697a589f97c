#include "serve/ballot.h"

#include <fmt/format.h>

namespace touchstone::serve {

namespace json = boost::json;

namespace {

constexpr std::size_t kMaxOptions = 26;  // letters
constexpr std::size_t kMaxOptionBytes = 4096;

VoteTask read_task(FieldReader& fields) {
  const std::string task = fields.string("task").value_or("number");
  if (task == "number") return VoteTask::number;
  if (task == "option") return VoteTask::option;
  if (task == "text") return VoteTask::text;
  refuse_field("vote.task", "vote.task must be number, option or text");
}

std::vector<std::string> read_options(FieldReader& fields, VoteTask task) {
  const json::array* array = fields.array("options");
  if ((array != nullptr) != (task == VoteTask::option)) {
    refuse_field("vote.options", "vote.options must list the options of vote.task option, and of no other");
  }
  std::vector<std::string> options;
  if (array == nullptr) return options;
  if (array->size() < 2 || array->size() > kMaxOptions) {
    refuse_field("vote.options", fmt::format("vote.options must hold 2 to {} strings", kMaxOptions));
  }
  for (const json::value& option : *array) {
    if (!option.is_string() || option.get_string().size() > kMaxOptionBytes) {
      refuse_field("vote.options",
                   fmt::format("vote.options must be strings of at most {} bytes", kMaxOptionBytes));
    }
    options.emplace_back(option.get_string());
  }
  return options;
}

}  // namespace

std::optional<VoteWish> read_vote_wish(FieldReader& fields, IgnoredFields& ignored) {
  const json::object* object = fields.object("vote");
  if (object == nullptr) return std::nullopt;
  FieldReader reader(*object, "vote.");
  const std::optional<std::int64_t> k = reader.integer("k", 1, kMaxSamples);
  if (!k) refuse_field("vote.k", "vote.k is missing");
  VoteWish wish{.k = static_cast<std::int32_t>(*k), .task = read_task(reader), .options = {}};
  wish.options = read_options(reader, wish.task);
  ignored.add(reader);
  if (fields.boolean("stream").value_or(false)) refuse_field("stream", "a vote cannot be streamed");
  if (fields.integer("n", 1, kMaxSamples).value_or(1) > 1) {
    refuse_field("n", "n cannot be had together with vote");
  }
  return wish;
}

bool Ballot::take(std::size_t sample, std::string_view answer) {
  votes_[sample] = read_vote(wish_.task, answer, wish_.options);
  std::vector<std::string> first;  // of all before the first that is still to come
  for (const std::optional<std::string>& vote : votes_) {
    if (!vote) break;
    first.push_back(*vote);
  }
  if (!result_) result_ = count_votes(first, wish_.k);
  return result_.has_value();
}

json::object to_json(const VoteResult& result, std::int32_t k) {
  json::object votes;
  for (const auto& [answer, count] : result.votes) votes[answer] = count;
  return {{"answer", result.answer.empty() ? json::value() : json::value(result.answer)},
          {"votes", std::move(votes)},
          {"k", k},
          {"used", result.used},
          {"sample", result.sample},
          {"confidence",
           {{"share", result.share}, {"low", result.interval.low}, {"high", result.interval.high}}}};
}

}  // namespace touchstone::serve
