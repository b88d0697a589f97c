// The page's files, as browsers fetch them.
#include <gtest/gtest.h>

#include <set>

#include "running_server.h"

namespace touchstone::serve {
namespace {

TEST(Page, AFileThatTheBrowserHasIsNotSentAgain) {
  const RunningServer server;
  std::set<std::string> tags;
  for (const std::string path : {"/", "/app.js", "/app.css", "/icon.svg"}) {
    SCOPED_TRACE(path);
    const TestResponse first = server.ask(get(path));
    ASSERT_EQ(first.status, 200);
    EXPECT_EQ(first.header("cache-control"), "no-cache");
    const std::string tag = first.header("etag");
    EXPECT_TRUE(tag.size() > 2 && tag.front() == '"' && tag.back() == '"') << tag;
    tags.insert(tag);
    for (const std::string& known : {tag, "W/" + tag, "\"a, b\", " + tag + ", \"c\"", std::string("*")}) {
      TestClient client(server.port());
      client.send(get(path, "If-None-Match: " + known + "\r\n") + get(path));
      const TestResponse same = client.receive();
      EXPECT_EQ(same.status, 304) << known;
      EXPECT_EQ(same.header("etag"), tag);
      EXPECT_EQ(same.header("cache-control"), "no-cache");
      EXPECT_EQ(same.header("content-length"), "");
      EXPECT_EQ(client.receive().body, first.body) << "the next answer begins right behind the 304";
    }
    for (const std::string& other : {std::string("\"x\""), tag.substr(1), tag.substr(0, tag.size() - 1)}) {
      EXPECT_EQ(server.ask(get(path, "If-None-Match: " + other + "\r\n")).body, first.body) << other;
    }
    const TestResponse head = server.ask("HEAD " + path + " HTTP/1.1\r\nHost: localhost\r\n\r\n");
    EXPECT_EQ(head.header("etag"), tag);
    EXPECT_EQ(head.header("content-length"), std::to_string(first.body.size()));
  }
  EXPECT_EQ(tags.size(), 4U);
  EXPECT_EQ(server.ask(get("/nothing.js", "If-None-Match: *\r\n")).status, 404);
}

TEST(Page, NamesTheLicencesOfWhatItIsMadeOf) {
  const RunningServer server;
  const TestResponse response = server.ask(get("/third-party-licenses.txt"));
  EXPECT_EQ(response.header("content-type"), "text/plain; charset=utf-8");
  for (const char* package : {"preact ", "markdown-it ", "dompurify ", "katex ", "highlight.js "})
    EXPECT_NE(response.body.find(package), std::string::npos) << package;
}

}  // namespace
}  // namespace touchstone::serve
