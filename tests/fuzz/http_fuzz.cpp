// A fuzz target of a connection: any bytes in any pieces, and every way of answering what they ask.
// serve/http_fuzz_test.cpp calls it in every test run, too.
#include <netinet/in.h>
#include <sys/socket.h>

#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>
#include <chrono>
#include <cstdint>
#include <deque>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "base/descriptor.h"
#include "serve/http_server.h"

using namespace touchstone;
using namespace touchstone::serve;

namespace {

namespace http = boost::beast::http;

void require(bool holds, const char* what) {
  if (!holds) throw std::logic_error(what);
}

/// A server in this thread, which goes on while poll() is called.
struct HttpTarget {
  boost::asio::io_context io{1};
  std::vector<HttpRecord> records;  // of what has been answered
  std::deque<Reply> held;           // not yet answered, or not to the end
  unsigned next_way = 0;
  HttpServer server{io, options()};

  HttpServerOptions options();
  void handle(HttpRequest request, Reply reply);
  void poll() {
    while (io.poll() > 0) {
    }
  }
};

HttpServerOptions HttpTarget::options() {
  HttpServerOptions wanted;
  wanted.limits.header_bytes = 1024;
  wanted.limits.body_bytes = 2048;
  wanted.limits.unread_bytes = 4096;
  wanted.handle = [this](HttpRequest request, Reply reply) { handle(std::move(request), std::move(reply)); };
  wanted.format_error = [](std::string_view, const HttpError& error) { return format_error(error); };
  wanted.on_finished = [this](const HttpRecord& record) { records.push_back(record); };
  return wanted;
}

void HttpTarget::handle(HttpRequest request, Reply reply) {
  require(request.body.size() <= 2048, "a body is longer than its limit");
  switch (next_way++ % 6) {
    case 0:
      return reply.send({.body = request.path + request.body, .headers = {}});
    case 1:
      return reply.send({.status = 204, .body = {}, .headers = {}});
    case 2:  // dropped
      return;
    case 3:
      reply.begin_stream({.body = "head", .headers = {}});
      reply.write(request.body);
      reply.write(request.path);
      return reply.end();
    case 4:
      reply.begin_stream({.body = {}, .headers = {}});
      reply.write("begun");
      [[fallthrough]];
    default:
      held.push_back(std::move(reply));
  }
}

void connect_to(std::uint16_t port, int client) {
  sockaddr_in address{.sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {}, .sin_zero = {}};
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const int failed = connect(client, reinterpret_cast<const sockaddr*>(&address), sizeof address);
  require(failed == 0, "no connection");
}

/// What has come. False at the end.
bool receive(int client, std::string& output) {
  char bytes[8192];
  while (true) {
    const ssize_t size = recv(client, bytes, sizeof bytes, MSG_DONTWAIT);
    if (size < 0) return errno == EAGAIN;
    if (size == 0) return false;
    output.append(bytes, static_cast<std::size_t>(size));
  }
}

/// The server goes on until `is_done`.
template <class Done>
void wait_for(HttpTarget& target, Done is_done, const char* what) {
  const auto end = Clock::now() + std::chrono::seconds(5);
  for (target.poll(); !is_done(); target.poll()) {
    require(Clock::now() < end, what);
    std::this_thread::sleep_for(std::chrono::microseconds(20));
  }
}

/// Throws unless `output` is the answers that the records tell of, whole but for those that were cut off.
void check_answers(std::string_view output, const std::vector<HttpRecord>& records) {
  for (const HttpRecord& record : records) {
    unsigned status = 0;
    do {
      http::response_parser<http::string_body> parser;
      parser.eager(true);
      parser.skip(record.method == "HEAD");
      boost::system::error_code error;
      output.remove_prefix(parser.put(boost::asio::buffer(output), error));
      if (!error && !parser.is_done()) parser.put_eof(error);
      if (error && record.abandoned) return;
      require(!error, "an answer is no whole response");
      status = parser.get().result_int();
    } while (status == 100);
    require(status == record.status, "an answer has another status than its record");
  }
  // The last request may have been left unfinished, though it was told to go on.
  require(output.empty() || output == "HTTP/1.1 100 Continue\r\n\r\n", "there is more than the answers");
}

}  // namespace

/// The first byte says how the first request is answered, and whether the client leaves without reading;
/// behind it, 0xff ends each piece that is sent at once.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static HttpTarget target;
  if (size == 0) return 0;
  constexpr unsigned kLeaves = 0x80;
  target.next_way = data[0] & ~kLeaves;
  target.records.clear();
  std::string output;
  {
    const Descriptor client(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    connect_to(target.server.port(), client.fd);
    std::string_view input(reinterpret_cast<const char*>(data + 1), size - 1);
    while (!input.empty()) {
      const std::string_view piece = input.substr(0, input.find('\xff'));
      input.remove_prefix(std::min(input.size(), piece.size() + 1));
      send(client.fd, piece.data(), piece.size(), MSG_NOSIGNAL);
      target.poll();
      if ((data[0] & kLeaves) == 0) receive(client.fd, output);
      if (!target.held.empty()) target.held.pop_front();
    }
    if ((data[0] & kLeaves) == 0) {
      shutdown(client.fd, SHUT_WR);
      target.poll();
      target.held.clear();
      wait_for(
          target, [&] { return !receive(client.fd, output); }, "an answer does not end");
    }
  }
  target.held.clear();
  wait_for(
      target, [] { return target.server.num_connections() == 0; }, "a connection stays");
  require(target.server.num_busy() == 0, "a request stays");
  if ((data[0] & kLeaves) == 0) check_answers(output, target.records);
  return 0;
}
