// A plain HTTP client for tests: says exactly the bytes it is given, and leaves when it is told to.
#pragma once

#include <boost/json.hpp>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace touchstone::serve {

struct TestResponse {
  int status = 0;  // 0: the connection was closed without one
  std::string head, body;
  boost::json::value json() const { return boost::json::parse(body); }
  /// A header's value; empty when it is not there.
  std::string header(std::string_view name) const;
};

class TestClient {
 public:
  /// `receive_buffer`: of the socket, in bytes; 0: the system's choice.
  explicit TestClient(std::uint16_t port, int receive_buffer = 0);
  ~TestClient() { leave(); }
  TestClient(const TestClient&) = delete;
  TestClient& operator=(const TestClient&) = delete;
  TestClient(TestClient&& other) noexcept : socket_(other.socket_) { other.socket_ = -1; }

  /// False when the other side has closed.
  bool send(std::string_view bytes);
  void shut_down_sending();
  /// The next response, its body put together when it comes in chunks. Waits up to a minute.
  TestResponse receive(bool has_body = true);
  /// Waits until what has come contains `text`; false when the connection ends before.
  bool wait_for(std::string_view text);
  /// Whether the other side closes.
  bool is_closed();
  /// Closes at once, with a reset when there is unread input.
  void leave();

 private:
  bool fill();
  int socket_ = -1;
  std::string input_;
};

std::string get(std::string_view path, std::string_view more_headers = {});
std::string post(std::string_view path, std::string_view body, std::string_view more_headers = {});

/// The member `messages` of a chat that the built-in pair can answer.
inline const std::string kQuestion =
    R"("messages":[{"role":"user","content":"Tom has 3 boxes with 4 pens each. How many pens?"}])";

/// A chat of that question, `members` behind it: `,"name":value` each.
inline std::string chat(const std::string& members) {
  return post("/v1/chat/completions", "{" + kQuestion + members + "}");
}

/// One request on a connection of its own.
TestResponse ask(std::uint16_t port, std::string_view request);

/// The events of a stream of OpenAI's; checks its form: JSON events, an end.
std::vector<boost::json::value> stream_events(const std::string& body);

/// The text that a streamed chat gives, content and reasoning apart by '|'.
std::string join_stream(const std::string& body);

}  // namespace touchstone::serve
