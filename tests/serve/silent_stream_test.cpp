// Streams that have nothing to say yet, and the proxies before them.
#include <gtest/gtest.h>

#include <array>

#include "running_server.h"

namespace touchstone::serve {
namespace {

struct Form {
  std::string path, body, ping;
};

const std::array<Form, 4> kForms = {
    {{"/v1/chat/completions", R"({"messages":[{"role":"user","content":"hi"}],"stream":true})",
      "\r\n: ping\n\n"},
     {"/v1/completions", R"({"prompt":"hi","stream":true})", "\r\n: ping\n\n"},
     {"/v1/responses", R"({"input":"hi","stream":true})", "\r\n: ping\n\n"},
     {"/v1/messages", R"({"max_tokens":9,"messages":[{"role":"user","content":"hi"}],"stream":true})",
      "\r\nevent: ping\ndata: {\"type\":\"ping\"}\n\n"}}};

ServerOptions make_options(std::chrono::milliseconds ping_interval) {
  ServerOptions options = test_options();
  options.runner.engine.max_batch = 1;
  options.ping_interval = ping_interval;
  return options;
}

TEST(SilentStream, SaysInTheQueueThatItIsAliveAndIsGivenUpWhenItsClientLeaves) {
  const RunningServer server(make_options(std::chrono::milliseconds(1)));
  TestClient running(server.port());
  running.send(long_request(true));
  ASSERT_TRUE(server.wait_for_load(1, 0));
  for (const Form& form : kForms) {
    SCOPED_TRACE(form.path);
    TestClient waiting(server.port());
    waiting.send(post(form.path, form.body));
    EXPECT_TRUE(waiting.wait_for(form.ping));
    EXPECT_TRUE(server.wait_for_load(1, 1));
    waiting.leave();
    EXPECT_TRUE(server.wait_for_load(1, 0));
  }
}

TEST(SilentStream, IsOneOnlyAfterTheInterval) {
  const RunningServer server(make_options(std::chrono::hours(1)));
  EXPECT_EQ(server.ask(chat(R"(,"max_tokens":20,"stream":true)")).body.find(": ping"), std::string::npos);
}

TEST(SilentStream, EndsWithAnErrorInTheStream) {
  ServerOptions options = make_options(std::chrono::milliseconds(1));
  options.drain_seconds = 0;
  RunningServer server(options);
  TestClient running(server.port());
  running.send(long_request(true));
  ASSERT_TRUE(server.wait_for_load(1, 0));
  TestClient waiting(server.port());
  waiting.send(post(kForms[0].path, kForms[0].body));
  ASSERT_TRUE(waiting.wait_for(kForms[0].ping));
  server.stop();
  const TestResponse cut = waiting.receive();
  EXPECT_EQ(cut.status, 200);
  EXPECT_NE(cut.body.find(R"("code":"shutting_down")"), std::string::npos) << cut.body;
}

TEST(SilentStream, ChangesNoAnswer) {
  const RunningServer quiet(make_options(std::chrono::hours(1)));
  const RunningServer chatty(make_options(std::chrono::milliseconds(0)));
  const std::string streamed = chat(R"(,"max_tokens":40,"stream":true,"seed":3)");
  const TestResponse with_pings = chatty.ask(streamed);
  EXPECT_NE(with_pings.body.find(": ping\n\n"), std::string::npos);
  EXPECT_EQ(join_stream(with_pings.body), join_stream(quiet.ask(streamed).body));

  const TestResponse whole = chatty.ask(chat(R"(,"max_tokens":40,"seed":3)"));
  EXPECT_EQ(whole.json().at("choices"), quiet.ask(chat(R"(,"max_tokens":40,"seed":3)")).json().at("choices"));

  const std::string lines = chatty.ask(post("/api/chat", "{" + kQuestion + "}")).body;  // has no comments
  for (std::size_t at = 0; at < lines.size(); at = lines.find('\n', at) + 1) {
    EXPECT_TRUE(boost::json::parse(lines.substr(at, lines.find('\n', at) - at)).is_object());
  }
}

}  // namespace
}  // namespace touchstone::serve
