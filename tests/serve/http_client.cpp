#include "http_client.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <algorithm>
#include <boost/algorithm/string.hpp>
#include <utility>

namespace touchstone::serve {

std::string TestResponse::header(std::string_view name) const {
  std::size_t at = 0;
  while ((at = head.find("\r\n", at)) != std::string::npos) {
    at += 2;
    if (!boost::istarts_with(std::string_view(head).substr(at), std::string(name) + ":")) continue;
    const std::size_t begin = at + name.size() + 1;
    return boost::trim_copy(head.substr(begin, head.find("\r\n", begin) - begin));
  }
  return {};
}

TestClient::TestClient(std::uint16_t port, int receive_buffer) : socket_(socket(AF_INET, SOCK_STREAM, 0)) {
  if (receive_buffer > 0) setsockopt(socket_, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof receive_buffer);
  const timeval patience{.tv_sec = 60, .tv_usec = 0};
  setsockopt(socket_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (connect(socket_, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) leave();
}

bool TestClient::send(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = TEMP_FAILURE_RETRY(::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL));
    if (sent <= 0) return false;
    bytes.remove_prefix(static_cast<std::size_t>(sent));
  }
  return true;
}

void TestClient::shut_down_sending() { shutdown(socket_, SHUT_WR); }

void TestClient::leave() {
  if (socket_ >= 0) close(socket_);
  socket_ = -1;
}

bool TestClient::fill() {
  char buffer[16384];
  const ssize_t got = TEMP_FAILURE_RETRY(recv(socket_, buffer, sizeof buffer, 0));  // a stopped test goes on
  if (got > 0) input_.append(buffer, static_cast<std::size_t>(got));
  return got > 0;
}

bool TestClient::wait_for(std::string_view text) {
  while (input_.find(text) == std::string::npos) {
    if (!fill()) return false;
  }
  return true;
}

bool TestClient::is_closed() {
  while (fill()) {
  }
  return true;
}

TestResponse TestClient::receive(bool has_body) {
  TestResponse response;
  if (!wait_for("\r\n\r\n")) return response;
  const std::size_t head_size = input_.find("\r\n\r\n") + 2;
  response.head = input_.substr(0, head_size);
  input_.erase(0, head_size + 2);
  response.status = std::stoi(response.head.substr(9));
  const bool never_has_body = response.status == 100 || response.status == 204 || response.status == 304;
  if (!has_body || never_has_body) return response;
  if (response.header("transfer-encoding") != "chunked") {
    const std::string length = response.header("content-length");
    if (length.empty()) {
      is_closed();
      response.body = std::exchange(input_, {});
      return response;
    }
    while (input_.size() < std::stoul(length) && fill()) {
    }
    response.body = input_.substr(0, std::stoul(length));
    input_.erase(0, response.body.size());
    return response;
  }
  while (wait_for("\r\n")) {
    const std::size_t line = input_.find("\r\n");
    const std::size_t size = std::stoul(input_.substr(0, line), nullptr, 16);
    while (input_.size() < line + 2 + size + 2 && fill()) {
    }
    response.body += input_.substr(line + 2, size);
    input_.erase(0, std::min(input_.size(), line + 2 + size + 2));
    if (size == 0) break;
  }
  return response;
}

std::string get(std::string_view path, std::string_view more_headers) {
  return "GET " + std::string(path) + " HTTP/1.1\r\nHost: localhost\r\n" + std::string(more_headers) + "\r\n";
}

std::string post(std::string_view path, std::string_view body, std::string_view more_headers) {
  return "POST " + std::string(path) +
         " HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: " +
         std::to_string(body.size()) + "\r\n" + std::string(more_headers) + "\r\n" + std::string(body);
}

TestResponse ask(std::uint16_t port, std::string_view request) {
  TestClient client(port);
  client.send(request);
  return client.receive(!request.starts_with("HEAD"));
}

std::vector<boost::json::value> stream_events(const std::string& body) {
  std::vector<boost::json::value> events;
  bool done = false;
  std::size_t at = 0;
  while (at < body.size()) {
    const std::size_t end = body.find("\n\n", at);
    const std::string event = body.substr(at, end - at);
    at = end == std::string::npos ? body.size() : end + 2;
    if (event.starts_with(":")) continue;  // a comment
    EXPECT_TRUE(event.starts_with("data: ")) << event;
    EXPECT_FALSE(done) << "an event behind the end";
    if (event == "data: [DONE]") {
      done = true;
      continue;
    }
    events.push_back(boost::json::parse(event.substr(6)));
  }
  EXPECT_TRUE(done) << "the stream has no end";
  return events;
}

std::string join_stream(const std::string& body) {
  std::string content, reasoning;
  for (const boost::json::value& chunk : stream_events(body)) {
    for (const boost::json::value& choice : chunk.at("choices").as_array()) {
      if (const auto* text = choice.as_object().if_contains("text")) {
        content += text->as_string();
        continue;
      }
      const boost::json::object& delta = choice.at("delta").as_object();
      if (const auto* piece = delta.if_contains("content")) content += piece->as_string();
      if (const auto* piece = delta.if_contains("reasoning_content")) reasoning += piece->as_string();
    }
  }
  return content + "|" + reasoning;
}

}  // namespace touchstone::serve
