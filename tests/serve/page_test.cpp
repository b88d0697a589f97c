// The page's files, as browsers fetch them.
#include <gtest/gtest.h>

#include <boost/beast/zlib/inflate_stream.hpp>
#include <boost/crc.hpp>
#include <cstdint>
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

/// The bytes of a gzip file; checks its form.
std::string gunzip(const std::string& file) {
  constexpr std::size_t kHeaderBytes = 10, kTrailerBytes = 8;
  EXPECT_TRUE(file.starts_with("\x1f\x8b\x08"));
  if (file.size() < kHeaderBytes + kTrailerBytes) return "";
  const auto number_at = [&](std::size_t at) {
    std::uint32_t number = 0;
    for (std::size_t i = 4; i-- > 0;) number = number << 8U | static_cast<unsigned char>(file[at + i]);
    return number;
  };
  std::string bytes(number_at(file.size() - 4), '\0');
  boost::beast::zlib::inflate_stream stream;
  boost::beast::zlib::z_params state;
  state.next_in = file.data() + kHeaderBytes;
  state.avail_in = file.size() - kHeaderBytes - kTrailerBytes;
  state.next_out = bytes.data();
  state.avail_out = bytes.size();
  boost::system::error_code error;
  stream.write(state, boost::beast::zlib::Flush::finish, error);
  EXPECT_EQ(error, boost::beast::zlib::error::end_of_stream);
  EXPECT_EQ(state.avail_in, 0U);
  EXPECT_EQ(state.avail_out, 0U);
  boost::crc_32_type crc;
  crc.process_bytes(bytes.data(), bytes.size());
  EXPECT_EQ(number_at(file.size() - kTrailerBytes), crc.checksum());
  return bytes;
}

TEST(Page, AFileIsPackedForWhoeverTakesIt) {
  const RunningServer server;
  for (const std::string path : {"/", "/app.js", "/app.css", "/icon.svg", "/third-party-licenses.txt"}) {
    SCOPED_TRACE(path);
    const TestResponse plain = server.ask(get(path));
    EXPECT_EQ(plain.header("content-encoding"), "");
    EXPECT_EQ(plain.header("vary"), "Accept-Encoding");
    const std::string wish = "Accept-Encoding: gzip, deflate, br\r\n";
    const TestResponse packed = server.ask(get(path, wish));
    ASSERT_EQ(packed.status, 200);
    EXPECT_EQ(packed.header("content-encoding"), "gzip");
    EXPECT_EQ(packed.header("content-type"), plain.header("content-type"));
    EXPECT_EQ(packed.header("vary"), "Accept-Encoding");
    EXPECT_EQ(packed.header("content-length"), std::to_string(packed.body.size()));
    EXPECT_LT(packed.body.size(), plain.body.size());
    EXPECT_TRUE(gunzip(packed.body) == plain.body);
    const std::string tag = packed.header("etag");
    EXPECT_NE(tag, plain.header("etag"));
    const TestResponse same = server.ask(get(path, wish + "If-None-Match: " + tag + "\r\n"));
    EXPECT_EQ(same.status, 304);
    EXPECT_EQ(same.header("etag"), tag);
    EXPECT_EQ(same.header("vary"), "Accept-Encoding");
    EXPECT_EQ(server.ask(get(path, wish + "If-None-Match: " + plain.header("etag") + "\r\n")).status, 200);
    EXPECT_EQ(server.ask(get(path, "If-None-Match: " + tag + "\r\n")).status, 200);
    TestClient client(server.port());
    client.send("HEAD " + path + " HTTP/1.1\r\nHost: localhost\r\n" + wish + "\r\n");
    const TestResponse head = client.receive(false);
    for (const char* name : {"etag", "vary", "content-encoding", "content-type", "content-length"})
      EXPECT_EQ(head.header(name), packed.header(name)) << name;
  }
  EXPECT_LT(server.ask(get("/app.js", "Accept-Encoding: gzip\r\n")).body.size(), 250'000U);
}

TEST(Page, AFontIsPackedAsItIs) {
  const RunningServer server;
  const TestResponse font = server.ask(get("/fonts/KaTeX_Main-Regular.woff2", "Accept-Encoding: gzip\r\n"));
  ASSERT_EQ(font.status, 200);
  EXPECT_EQ(font.header("content-encoding"), "");
  EXPECT_EQ(font.header("vary"), "");
}

TEST(Page, OnlyWhoeverPrefersGzipGetsIt) {
  const RunningServer server;
  const auto coding_for = [&](const std::string& wish) {
    return server.ask(get("/", "Accept-Encoding: " + wish + "\r\n")).header("content-encoding");
  };
  for (const char* wish : {"gzip", "x-gzip", "GZIP", "br, gzip", "gzip;q=0.5", "gzip ; Q=0.001", "*",
                           "*;q=0.1", "deflate, *;q=0.5", "identity;q=0, *", "gzip;q=0.5, *;q=0",
                           "gzip, identity", "identity;q=0.5, gzip;q=0.5", "gzip;q=1.000"})
    EXPECT_EQ(coding_for(wish), "gzip") << wish;
  for (const char* wish :
       {"", "identity", "br", "deflate, br", "gzip;q=0", "gzip;q=0.000, *", "*;q=0", "identity, gzip;q=0.5",
        "gzip;q=0.5, *", "identity;q=0", "gzip;q=x", "gzip;q=2", "gzip;q=-1", "gzip;q=", "xgzip", "gzip2"})
    EXPECT_EQ(coding_for(wish), "") << wish;
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
