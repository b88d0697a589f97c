// Receipts as the server writes them.
#include "engine/receipt.h"

#include <gtest/gtest.h>

#include "base/sha256.h"
#include "engine/replay.h"
#include "running_server.h"

namespace touchstone::serve {
namespace {

/// The receipt in a stream's last chunk.
boost::json::value find_streamed_receipt(const std::string& body) {
  const std::size_t at = body.rfind("data: {");
  return boost::json::parse(body.substr(at + 6, body.find('\n', at) - at - 6)).at("receipt");
}

void expect_same_bytes(const boost::json::value& receipt, const std::string& model) {
  const ReplayReport report = replay(load_demo(model), parse_receipt(receipt));
  EXPECT_TRUE(report.same()) << boost::json::serialize(to_json(report));
  for (const HashCheck& check : report.hashes) EXPECT_TRUE(check.same()) << check.name;
}

TEST(ServerReceipt, GivesTheBytesOfTheAnswerAgain) {
  const RunningServer server;
  for (const std::string model : {"distilled", "native"}) {
    const std::string members =
        R"(,"receipt":true,"seed":11,"temperature":1.2,"n":2,"model":"demo:)" + model + "\"";
    const boost::json::value answer = server.ask(chat(members)).json();
    const boost::json::value& receipt = answer.at("receipt");
    ASSERT_EQ(receipt.at("outputs").as_array().size(), 2U);
    for (std::size_t i = 0; i < 2; ++i) {
      const boost::json::object& message = answer.at("choices").at(i).at("message").as_object();
      const boost::json::value* reasoning = message.if_contains("reasoning_content");
      const boost::json::value& output = receipt.at("outputs").at(i);
      EXPECT_EQ(output.at("text_sha256"), boost::json::value(hash_text(message.at("content").as_string())));
      EXPECT_EQ(output.at("reasoning_sha256"),
                boost::json::value(hash_text(reasoning == nullptr ? "" : reasoning->as_string())));
    }
    expect_same_bytes(receipt, model);
    EXPECT_EQ(find_streamed_receipt(server.ask(chat(members + R"(,"stream":true)")).body), receipt);
    EXPECT_EQ(
        find_streamed_receipt(
            server.ask(chat(members + R"(,"stream":true,"stream_options":{"include_usage":true})")).body),
        receipt);
  }
}

TEST(ServerReceipt, IsThereForTextsAndForNobodyWhoDidNotAsk) {
  const RunningServer server;
  const auto text =
      server.ask(post("/v1/completions", R"({"prompt":"Tom has","receipt":true,"logit_bias":{"5":3}})"));
  expect_same_bytes(text.json().at("receipt"), "distilled");
  EXPECT_FALSE(server.ask(chat(R"(,"max_tokens":2)")).json().as_object().contains("receipt"));
  EXPECT_EQ(server.ask(chat(R"(,"max_tokens":2,"receipt":"yes")")).json().at("error").at("param"), "receipt");
  const auto two = server.ask(post("/v1/completions", R"({"prompt":["a","b"],"receipt":true})"));
  EXPECT_EQ(two.status, 400);
  EXPECT_EQ(two.json().at("error").at("param"), "receipt");
}

}  // namespace
}  // namespace touchstone::serve
