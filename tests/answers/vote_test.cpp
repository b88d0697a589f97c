#include "answers/vote.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

namespace touchstone {
namespace {

std::optional<VoteResult> count(const std::vector<std::string>& votes, int num_samples) {
  return count_votes(votes, num_samples);
}

TEST(Vote, EndsWhenNoSampleCanChangeIt) {
  EXPECT_FALSE(count({}, 5));
  EXPECT_FALSE(count({"1", "1"}, 5));
  const auto three = count({"1", "1", "1", "2", "2"}, 5);
  ASSERT_TRUE(three);
  EXPECT_EQ(three->answer, "1");
  EXPECT_EQ(three->used, 3) << "two more could not have changed it";
  EXPECT_FALSE(count({"2", "1", "1", "2"}, 6));
  EXPECT_FALSE(count({"2", "1", "1"}, 4)) << "the other one came first, and wins a tie";
  const auto tie = count({"1", "2"}, 2);
  ASSERT_TRUE(tie);
  EXPECT_EQ(tie->answer, "1");
  const auto led = count({"1", "1", "2"}, 4);
  ASSERT_TRUE(led) << "a tie would be the first one's";
  EXPECT_EQ(led->used, 2);
}

TEST(Vote, SamplesThatSayNothingVoteForNothing) {
  const auto nobody = count({"", "", ""}, 3);
  ASSERT_TRUE(nobody);
  EXPECT_EQ(nobody->answer, "");
  EXPECT_EQ(nobody->used, 3);
  EXPECT_TRUE(nobody->votes.empty());
  const auto one = count({"", "7", ""}, 3);
  ASSERT_TRUE(one);
  EXPECT_EQ(one->answer, "7");
  EXPECT_EQ(one->sample, 1U);
  EXPECT_EQ(one->used, 2);
}

TEST(Vote, SaysHowSureItIs) {
  const auto result = count({"b", "a", "a", "a"}, 4);
  ASSERT_TRUE(result);
  EXPECT_EQ(result->used, 4);
  EXPECT_DOUBLE_EQ(result->share, 0.75);
  EXPECT_NEAR(result->interval.low, 0.3006, 1e-4);
  EXPECT_NEAR(result->interval.high, 0.9544, 1e-4);
  EXPECT_EQ(result->votes, (std::vector<std::pair<std::string, int>>{{"b", 1}, {"a", 3}}));
}

TEST(Vote, TheAnswerIsThatOfAllSamples) {
  std::mt19937 random(1);
  for (int round = 0; round < 2000; ++round) {
    std::vector<std::string> votes;
    const int num_samples = 1 + static_cast<int>(random() % 9);
    for (int i = 0; i < num_samples; ++i) {
      const auto pick = random() % 4;
      votes.push_back(pick == 3 ? "" : std::string(1, static_cast<char>('a' + pick)));
    }
    const auto early = count(votes, num_samples);
    ASSERT_TRUE(early);
    std::string best;
    std::ptrdiff_t most = 0;
    for (const std::string& vote : votes) {
      const std::ptrdiff_t times = std::count(votes.begin(), votes.end(), vote);
      if (!vote.empty() && times > most) {
        best = vote;
        most = times;
      }
    }
    EXPECT_EQ(early->answer, best);
    // It is told as soon as it is certain, and not before.
    const std::vector<std::string> counted(votes.begin(), votes.begin() + early->used);
    EXPECT_TRUE(count(counted, num_samples));
    if (early->used == 0) continue;
    EXPECT_FALSE(count({counted.begin(), counted.end() - 1}, num_samples));
  }
}

TEST(Vote, ReadsWhatAnswersSay) {
  EXPECT_EQ(read_vote(VoteTask::number, "3 * 4 = 12, so the answer is **12.0** pens.", {}), "12");
  EXPECT_EQ(read_vote(VoteTask::number, "I cannot say.", {}), "");
  EXPECT_EQ(read_vote(VoteTask::number, "  \n", {}), "");
  EXPECT_EQ(read_vote(VoteTask::option, "The answer is B.", {"red", "green", "blue"}), "B");
  EXPECT_EQ(read_vote(VoteTask::option, "The answer is F.", {"red", "green", "blue"}), "");
  EXPECT_EQ(read_vote(VoteTask::text, "So it is \\boxed{Paris }.", {}), "paris");
  EXPECT_EQ(read_vote(VoteTask::text, " Paris\n", {}), "paris");
}

}  // namespace
}  // namespace touchstone
