// Several samples, of which the server gives the one that most agree with.
#include "answers/vote.h"

#include <gtest/gtest.h>

#include <map>

#include "engine/replay.h"
#include "running_server.h"

namespace touchstone::serve {
namespace {

namespace json = boost::json;

TEST(ServerVote, GivesTheAnswerOfMostSamples) {
  const RunningServer server;
  for (const std::string model : {"demo:distilled", "demo:native"}) {
    const std::string members = R"(,"temperature":1.4,"seed":21,"max_tokens":120,"model":")" + model + "\"";
    const json::value all = server.ask(chat(members + R"(,"n":8)")).json();
    std::vector<std::string> votes;
    for (const json::value& choice : all.at("choices").as_array()) {
      votes.push_back(read_vote(VoteTask::number, choice.at("message").at("content").as_string(), {}));
    }
    const auto expected = count_votes(votes, 8);
    ASSERT_TRUE(expected);
    const TestResponse response = server.ask(chat(members + R"(,"vote":{"k":8})"));
    ASSERT_EQ(response.status, 200) << response.body;
    const json::value answer = response.json();
    const json::value& vote = answer.at("vote");
    EXPECT_EQ(vote.at("answer"), json::value(expected->answer)) << model;
    EXPECT_EQ(vote.at("k"), 8);
    EXPECT_EQ(vote.at("used"), expected->used);
    EXPECT_EQ(vote.at("sample"), expected->sample);
    for (const auto& [said, count] : expected->votes) EXPECT_EQ(vote.at("votes").at(said), count);
    EXPECT_EQ(vote.at("votes").as_object().size(), expected->votes.size());
    EXPECT_DOUBLE_EQ(vote.at("confidence").at("share").to_number<double>(), expected->share);
    EXPECT_DOUBLE_EQ(vote.at("confidence").at("low").to_number<double>(), expected->interval.low);
    ASSERT_EQ(answer.at("choices").as_array().size(), 1U);
    EXPECT_EQ(answer.at("choices").at(0).at("index"), 0);
    EXPECT_EQ(answer.at("choices").at(0).at("message"), all.at("choices").at(expected->sample).at("message"));
  }
}

TEST(ServerVote, TheSameSeedGivesTheSameWhateverElseRuns) {
  ServerOptions options = test_options();
  options.runner.engine.max_batch = 3;  // fewer than the samples, so that they end in another order
  const RunningServer narrow(options);
  const RunningServer wide;
  const std::string request =
      chat(R"(,"temperature":1.5,"seed":5,"max_tokens":90,"vote":{"k":7,"task":"text"})");
  TestClient busy(wide.port());
  busy.send(chat(R"(,"ignore_eos":true,"stream":true)"));
  ASSERT_TRUE(busy.wait_for("data: "));
  const json::value first = wide.ask(request).json();
  busy.leave();
  const json::value second = narrow.ask(request).json();
  EXPECT_EQ(first.at("vote"), second.at("vote"));
  EXPECT_EQ(first.at("choices"), second.at("choices"));
}

TEST(ServerVote, EndsWhenTheMajorityIsCertain) {
  // All alike, and the others are cut off when enough have ended: here one after the other.
  ServerOptions options = test_options();
  options.runner.engine.max_batch = 1;
  const RunningServer single(options);
  const json::value answer = single.ask(chat(R"(,"temperature":0,"vote":{"k":100},"receipt":true)")).json();
  EXPECT_EQ(answer.at("vote").at("used"), 50);
  EXPECT_EQ(answer.at("vote").at("votes").at("12"), 50);
  EXPECT_EQ(answer.at("vote").at("answer"), "12");
  EXPECT_EQ(answer.at("vote").at("confidence").at("share"), json::value(1.0));
  EXPECT_EQ(single.metric("touchstone_finished_total{model=\"demo:distilled\",reason=\"unneeded\"}"), 50);
  EXPECT_TRUE(single.wait_for_load(0, 0));
  EXPECT_EQ(single.metric("touchstone_kv_blocks_used{model=\"demo:distilled\"}"), 0);
  ASSERT_EQ(answer.at("receipt").at("outputs").as_array().size(), 1U);
  EXPECT_TRUE(replay(load_demo("distilled"), parse_receipt(answer.at("receipt"))).same());
}

TEST(ServerVote, OptionsAreCountedByTheirLetters) {
  const RunningServer server;
  const std::string request = post(
      "/v1/chat/completions",
      R"({"messages":[{"role":"user","content":"Which is a colour? A. table B. red C. run"}],"seed":2,"max_tokens":60,)"
      R"("vote":{"k":3,"task":"option","options":["table","red","run"],"strange":1}})");
  const TestResponse response = server.ask(request);
  ASSERT_EQ(response.status, 200) << response.body;
  EXPECT_EQ(response.header("x-touchstone-ignored"), "vote.strange");
  const boost::json::value body = response.json();
  for (const auto& [letter, count] : body.at("vote").at("votes").as_object()) {
    EXPECT_TRUE(letter == "A" || letter == "B" || letter == "C") << letter;
  }
}

TEST(ServerVote, BadFieldsAreNamed) {
  const RunningServer server;
  const std::map<std::string, std::string> bad = {
      {R"("vote":8)", "vote"},
      {R"("vote":[])", "vote"},
      {R"("vote":{})", "vote.k"},
      {R"("vote":{"k":0})", "vote.k"},
      {R"("vote":{"k":-3})", "vote.k"},
      {R"("vote":{"k":1e9})", "vote.k"},
      {R"("vote":{"k":1.5})", "vote.k"},
      {R"("vote":{"k":"8"})", "vote.k"},
      {R"("vote":{"k":8,"task":"sum"})", "vote.task"},
      {R"("vote":{"k":8,"task":1})", "vote.task"},
      {R"("vote":{"k":8,"task":"option"})", "vote.options"},
      {R"("vote":{"k":8,"options":["a","b"]})", "vote.options"},
      {R"("vote":{"k":8,"task":"option","options":["a"]})", "vote.options"},
      {R"("vote":{"k":8,"task":"option","options":[1,2]})", "vote.options"},
      {R"("vote":{"k":8},"stream":true)", "stream"},
      {R"("vote":{"k":8},"n":2)", "n"}};
  for (const auto& [members, field] : bad) {
    const TestResponse response = server.ask(chat("," + members));
    EXPECT_EQ(response.status, 400) << members;
    if (response.status == 400) {
      EXPECT_EQ(response.json().at("error").at("param"), json::value(field)) << members;
    }
  }
  EXPECT_EQ(server.ask(chat(R"(,"max_tokens":2,"vote":null)")).status, 200);
}

}  // namespace
}  // namespace touchstone::serve
