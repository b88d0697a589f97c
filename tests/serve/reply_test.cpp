// What becomes of a request whose handler fails.
#include <gtest/gtest.h>

#include <boost/asio/io_context.hpp>
#include <thread>

#include "http_client.h"
#include "serve/http_server.h"

namespace touchstone::serve {
namespace {

/// The answer to one request that `handle` handles.
TestResponse answer_of(std::function<void(HttpRequest, Reply)> handle) {
  boost::asio::io_context io{1};
  HttpServerOptions options;
  options.handle = std::move(handle);
  options.format_error = [](std::string_view, const HttpError& error) { return format_error(error); };
  options.on_finished = [](const HttpRecord&) {};
  HttpServer server(io, std::move(options));
  std::thread thread([&] { io.run(); });
  TestResponse response = ask(server.port(), get("/"));
  io.stop();
  thread.join();
  return response;
}

TEST(Reply, ThatAnotherOneWasMadeOfSaysNothing) {
  const TestResponse response = answer_of([](const HttpRequest&, Reply reply) {
    Reply taken = std::move(reply);
    // NOLINTBEGIN(bugprone-use-after-move)
    EXPECT_TRUE(reply.abandoned());
    reply.begin_stream({.body = "stream", .headers = {}});
    reply.write("more");
    reply.end();
    reply.send(make_error(500, "server_error", "late"));
    // NOLINTEND(bugprone-use-after-move)
    taken.send({.body = "taken", .headers = {}});
  });
  EXPECT_EQ(response.status, 200);
  EXPECT_EQ(response.body, "taken");
}

TEST(Reply, AnswersOnce) {
  const TestResponse response = answer_of([](const HttpRequest&, Reply reply) {
    reply.send({.body = "first", .headers = {}});
    reply.send(make_error(500, "server_error", "second"));
  });
  EXPECT_EQ(response.status, 200);
  EXPECT_EQ(response.body, "first");
}

TEST(Reply, ThatIsDroppedAnswers500AndItsStreamEnds) {
  EXPECT_EQ(answer_of([](const HttpRequest&, const Reply&) {}).status, 500);
  const TestResponse response = answer_of([](const HttpRequest&, Reply reply) {
    reply.begin_stream({.body = {}, .headers = {}});
    reply.write("all there was");
  });
  EXPECT_EQ(response.status, 200);
  EXPECT_EQ(response.body, "all there was");
}

}  // namespace
}  // namespace touchstone::serve
