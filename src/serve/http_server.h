// HTTP/1.1 over TCP or TLS: connections, limits and timeouts, on one I/O thread. Knows nothing of what is
// served.
#pragma once

#include <atomic>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ssl/context.hpp>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "serve/http_message.h"

namespace touchstone::serve {

/// Where a request's answer goes: send() once, or begin_stream(), write()s and end(). Any thread may use it,
/// one at a time. What is written to a client that has left goes nowhere, and so does what is sent behind an
/// answer, or through a Reply that another one was made of. One that is dropped unanswered answers 500; a
/// stream that is dropped ends.
class Reply {
 public:
  struct Exchange;
  explicit Reply(std::shared_ptr<Exchange> exchange);
  Reply(Reply&&) noexcept = default;
  Reply& operator=(Reply&&) = delete;
  ~Reply();  // NOLINT(bugprone-exception-escape)

  /// Put on whatever head follows, errors included; behind a stream's beginning it goes nowhere.
  void add_header(std::string name, std::string value);
  void send(HttpResponse response);
  void begin_stream(HttpResponse head);
  void write(std::string bytes);
  void end();
  /// The client has left, or reads too slowly: nobody waits for the answer.
  bool abandoned() const;
  /// A stream has begun and not ended.
  bool streams() const { return streams_; }
  /// Since the last write(), or the request.
  Clock::duration silence() const { return Clock::now() - last_write_; }

 private:
  void begin(HttpResponse head, bool streams);

  std::shared_ptr<Exchange> exchange_;
  std::vector<std::pair<std::string, std::string>> headers_;
  bool answered_ = false, streams_ = false;  // streams_: until its end
  Clock::time_point last_write_ = Clock::now();
};

struct HttpLimits {
  std::uint32_t header_bytes = 16 * 1024;         // start line and headers; 431
  std::uint64_t body_bytes = 8ULL * 1024 * 1024;  // the longest contexts, generously; 413
  std::size_t unread_bytes = 1024 * 1024;         // of a stream that the client has not taken; then it is cut
  std::size_t connections = 10'000;
  std::chrono::milliseconds request_time{60'000};    // from a request's first byte to its last; 408
  std::chrono::milliseconds idle_time{300'000};      // between requests
  std::chrono::milliseconds write_time{30'000};      // to take 64 KiB
  std::chrono::milliseconds handshake_time{10'000};  // TLS
};

/// What became of a request, for logs and metrics.
struct HttpRecord {
  std::string id, method, path;
  unsigned status = 0;
  std::uint64_t body_bytes_sent = 0;
  double duration_ms = 0;
  bool abandoned = false;
};

struct HttpServerOptions {
  std::string host = "127.0.0.1";
  std::uint16_t port = 0;                          // 0: any
  std::shared_ptr<boost::asio::ssl::context> tls;  // none: plain
  HttpLimits limits;
  std::function<void(HttpRequest, Reply)> handle;  // on the I/O thread; must not block
  // The body of an error about what never became a request; its path is "/" where none was read.
  std::function<std::string(std::string_view path, const HttpError&)> format_error;
  std::function<void(const HttpRecord&)> on_finished;  // on the I/O thread
};

class HttpServer {
 public:
  /// Listens at once; connections are served while `io` runs, on one thread. Throws Error when it cannot
  /// listen.
  HttpServer(boost::asio::io_context& io, HttpServerOptions options);
  ~HttpServer();
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  std::uint16_t port() const;
  bool is_loopback() const;
  // The rest on the I/O thread.
  /// From now on each connection ends with its next answer.
  void begin_drain();
  void close_all();
  std::size_t num_connections() const;
  /// Requests that came before begin_drain() and whose answer has not been sent to its end.
  std::size_t num_busy() const;

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace touchstone::serve
