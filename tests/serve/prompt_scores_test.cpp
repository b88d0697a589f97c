// Text completions that say how likely their prompts are, as benchmarks ask for them.
#include "base/parse_json.h"
#include "engine/score.h"
#include "running_server.h"

namespace touchstone::serve {
namespace {

namespace json = boost::json;

const std::string kPrompt = "Tom has 3 boxes with 4 pens each.";
const std::string kPromptJson = "\"" + kPrompt + "\"";

json::array complete(const RunningServer& server, const std::string& prompt, const std::string& more) {
  const TestResponse response =
      server.ask(post("/v1/completions", R"({"temperature":0,"echo":true,"prompt":)" + prompt + more + "}"));
  EXPECT_EQ(response.status, 200) << response.body;
  return parse_json(response.body, "the response").at("choices").as_array();  // all digits count
}

json::value ids_of(const RunningServer& server, const std::string& text) {
  return server.ask(post("/tokenize", json::serialize(json::object{{"text", text}}))).json().at("ids");
}

void expect_scores(const json::value& logprobs, const LoadedModel& model,
                   const std::vector<std::int32_t>& ids) {
  EXPECT_TRUE(logprobs.at("token_logprobs").at(0).is_null());
  EXPECT_TRUE(logprobs.at("top_logprobs").at(0).is_null());
  std::size_t i = 0;
  score_ids(*model.transformer, ids, 2,
            [&](const ScoredPosition& position) {
              ++i;
              EXPECT_EQ(logprobs.at("token_logprobs").at(i).as_double(), position.logprob);
              const json::object& top = logprobs.at("top_logprobs").at(i).as_object();
              EXPECT_EQ(top.begin()->value().as_double(), position.top[0].second);
            },
            {});
  EXPECT_EQ(i + 1, ids.size());
}

/// Each token stands in the text at its offset.
void expect_offsets(const json::value& choice) {
  const std::string text(choice.at("text").as_string());
  const json::value& logprobs = choice.at("logprobs");
  std::string joined;
  for (std::size_t i = 0; i < logprobs.at("tokens").as_array().size(); ++i) {
    EXPECT_EQ(logprobs.at("text_offset").at(i).as_int64(), std::ssize(joined));
    joined += logprobs.at("tokens").at(i).as_string();
  }
  EXPECT_EQ(joined.substr(0, text.size()), text);
}

TEST(EchoedLogprobs, OfAPromptAreThoseOfScore) {
  const RunningServer server;
  const auto model = load_demo("distilled");
  const json::value ids = ids_of(server, kPrompt);
  const auto numbers = json::value_to<std::vector<std::int32_t>>(ids);
  for (const std::string& prompt : {kPromptJson, json::serialize(ids)}) {
    for (int again = 0; again < 2; ++again) {  // the second time it is in the prefix cache
      const json::value choice = complete(server, prompt, R"(,"logprobs":2,"max_tokens":0)").at(0);
      EXPECT_EQ(choice.at("text"), json::value(kPrompt));
      EXPECT_EQ(choice.at("finish_reason"), "length");
      EXPECT_EQ(choice.at("logprobs").at("tokens").as_array().size(), numbers.size());
      expect_scores(choice.at("logprobs"), *model, numbers);
      expect_offsets(choice);
    }
  }
}

TEST(EchoedLogprobs, GoOnWithTheAnswersTokensAndTheOneThatEndsIt) {
  const RunningServer server;
  const auto model = load_demo("distilled");
  const auto ids = json::value_to<std::vector<std::int32_t>>(ids_of(server, kPrompt));
  const json::value three = complete(server, kPromptJson, R"(,"logprobs":1,"max_tokens":3)").at(0);
  EXPECT_EQ(three.at("logprobs").at("tokens").as_array().size(), ids.size() + 3);
  expect_offsets(three);
  // Clients leave the last one out, whatever it is.
  const std::string end = std::to_string(model->defaults.stop_ids.front());
  const json::value ended =
      complete(server, kPromptJson, R"(,"logprobs":1,"max_tokens":1,"logit_bias":{")" + end + "\":100}")
          .at(0);
  EXPECT_EQ(ended.at("finish_reason"), "stop");
  EXPECT_EQ(ended.at("text"), json::value(kPrompt));
  EXPECT_EQ(ended.at("logprobs").at("tokens").as_array().size(), ids.size() + 1);
}

TEST(EchoedLogprobs, ComeForEachOfSeveralPromptsAndSamples) {
  const RunningServer server;
  const std::string more = R"(,"logprobs":2,"max_tokens":1,"seed":5)";
  const json::value a = ids_of(server, kPrompt), b = ids_of(server, "A pen costs 2");
  const json::array both = complete(server, json::serialize(json::array{a, b}), more + R"(,"n":2)");
  ASSERT_EQ(both.size(), 4U);
  const json::array alone_a = complete(server, json::serialize(a), more);
  const json::array alone_b = complete(server, json::serialize(b), more);
  for (std::size_t i = 0; i < both.size(); ++i) {
    EXPECT_EQ(both[i].at("logprobs"), (i < 2 ? alone_a : alone_b).at(0).at("logprobs")) << i;
  }
}

TEST(EchoedLogprobs, StandInAStreamBeforeTheAnswers) {
  const RunningServer server;
  for (const std::string limit : {"0", "2"}) {
    const std::string more = R"(,"logprobs":2,"max_tokens":)" + limit;
    const json::value whole = complete(server, kPromptJson, more).at(0);
    const std::string stream =
        server
            .ask(post("/v1/completions", R"({"temperature":0,"echo":true,"prompt":)" + kPromptJson + more +
                                             R"(,"stream":true})"))
            .body;
    json::array tokens;
    std::string text;
    for (std::size_t at = stream.find("data: {"); at != std::string::npos;
         at = stream.find("data: {", at + 1)) {
      const json::value chunk =
          parse_json(stream.substr(at + 6, stream.find('\n', at) - at - 6), "a chunk").at("choices").at(0);
      text += chunk.at("text").as_string();
      if (chunk.at("logprobs").is_null()) continue;
      for (const json::value& token : chunk.at("logprobs").at("token_logprobs").as_array()) {
        tokens.push_back(token);
      }
    }
    EXPECT_EQ(tokens, whole.at("logprobs").at("token_logprobs").as_array());
    EXPECT_EQ(text, std::string(whole.at("text").as_string()));
  }
}

TEST(TextCompletions, OfNoTokensAreEmptyAndChatsOfNoneAreRefused) {
  const RunningServer server;
  const TestResponse response = server.ask(post("/v1/completions", R"({"prompt":"Tom has","max_tokens":0})"));
  EXPECT_EQ(response.status, 200);
  EXPECT_EQ(response.json().at("choices").at(0).at("text"), "");
  EXPECT_EQ(response.json().at("choices").at(0).at("finish_reason"), "length");
  EXPECT_EQ(response.json().at("usage").at("completion_tokens"), json::value(0));
  EXPECT_EQ(server.ask(chat(R"(,"max_tokens":0)")).status, 400);
  const TestResponse receipt =
      server.ask(post("/v1/completions", R"({"prompt":"Tom has","max_tokens":0,"receipt":true})"));
  EXPECT_EQ(receipt.json().at("error").at("param"), "receipt");
}

}  // namespace
}  // namespace touchstone::serve
