#include "serve/http_server.h"

#include <fmt/format.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <spdlog/spdlog.h>
#include <sys/resource.h>

#include <algorithm>
#include <array>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/http/error.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>
#include <unordered_set>

#include "base/error.h"

namespace touchstone::serve {

namespace asio = boost::asio;
namespace http = boost::beast::http;
using asio::ip::tcp;
using boost::system::error_code;

namespace {

/// Completion token: errors go there, and are not thrown.
auto into(error_code& error) { return asio::redirect_error(asio::use_awaitable, error); }

// Awaited calls below get named arguments: GCC 12 destroys some temporaries of such expressions twice. None
// stands behind && or ||, where it awaits them whatever comes before.

// Input that waits for the parser: a little more than the largest header. Bodies are taken as they come, but
// a chunk's extension and the trailers only whole.
constexpr std::size_t kMaxUnparsedBytes = std::size_t{64} * 1024;
constexpr std::size_t kReadBytes = std::size_t{8} * 1024;
constexpr std::size_t kWriteBytes = std::size_t{64} * 1024;
constexpr std::chrono::milliseconds kSweepInterval{100};
// How long a client that was refused in mid-request may go on sending, so that it sees why.
constexpr std::chrono::milliseconds kLingerTime{2000};

/// Wakes whoever waits for something to change. On the I/O thread.
struct Signal {
  asio::steady_timer timer;
  explicit Signal(const asio::any_io_executor& executor) : timer(executor, Clock::time_point::max()) {}
  void notify() { timer.cancel(); }
  asio::awaitable<void> wait() {
    error_code ignored;
    co_await timer.async_wait(into(ignored));
  }
};

}  // namespace

// ---- Reply: from any thread to the connection ----

/// The answer on its way. All but `gone` on the I/O thread alone.
struct Reply::Exchange {
  asio::any_io_executor executor;
  std::shared_ptr<Signal> news;
  std::size_t most_pending;
  std::atomic<bool> gone = false;
  std::optional<HttpResponse> head;
  bool streams = false;
  bool ended = false;
  bool overflowed = false;  // the client does not keep up
  std::string pending;      // of a stream: written by the handler, not yet sent
};

Reply::Reply(std::shared_ptr<Exchange> exchange) : exchange_(std::move(exchange)) {}

Reply::~Reply() {  // NOLINT(bugprone-exception-escape): only memory that runs out throws here
  if (!answered_)
    send(make_error(500, "server_error", "the request was dropped; this is a fault of the server"));
  end();
}

void Reply::add_header(std::string name, std::string value) {
  headers_.emplace_back(std::move(name), std::move(value));
}

void Reply::begin(HttpResponse head, bool streams) {
  if (!exchange_ || answered_) return;
  answered_ = true;
  streams_ = streams;
  std::move(headers_.begin(), headers_.end(), std::back_inserter(head.headers));
  asio::post(exchange_->executor, [exchange = exchange_, head = std::move(head), streams]() mutable {
    exchange->head = std::move(head);
    exchange->streams = streams;
    exchange->news->notify();
  });
}

void Reply::send(HttpResponse response) { begin(std::move(response), false); }
void Reply::begin_stream(HttpResponse head) { begin(std::move(head), true); }

void Reply::write(std::string bytes) {
  if (!exchange_ || exchange_->gone) return;
  last_write_ = Clock::now();
  asio::post(exchange_->executor, [exchange = exchange_, bytes = std::move(bytes)] {
    if (exchange->gone) return;
    exchange->pending += bytes;
    if (exchange->pending.size() > exchange->most_pending) exchange->gone = exchange->overflowed = true;
    exchange->news->notify();
  });
}

void Reply::end() {
  if (!exchange_ || !std::exchange(streams_, false)) return;
  asio::post(exchange_->executor, [exchange = exchange_] {
    exchange->ended = true;
    exchange->news->notify();
  });
}

bool Reply::abandoned() const { return !exchange_ || exchange_->gone; }

// ---- connections ----

namespace {

/// One client. On the I/O thread alone. A coroutine reads whatever comes into `input`; another parses it, has
/// it answered, and writes; the sweep wakes them at the deadline.
struct Connection {
  tcp::socket socket;
  std::unique_ptr<SSL, decltype(&SSL_free)> tls{nullptr, SSL_free};  // null: plain
  std::shared_ptr<Signal> news;
  std::array<char, kReadBytes> chunk{};
  std::string input;      // not yet parsed
  error_code read_error;  // reading is over
  bool discards_input = false;
  bool timed_out = false;
  bool writes = false;  // at the deadline there is nothing to be said any more
  bool busy = false;    // a request that came before the drain has begun and its answer is not sent
  Clock::time_point deadline = Clock::time_point::max();
  std::shared_ptr<Reply::Exchange> exchange;  // of the request that is being answered

  Connection(tcp::socket connected, asio::ssl::context* context)
      : socket(std::move(connected)), news(std::make_shared<Signal>(socket.get_executor())) {
    if (context == nullptr) return;
    socket.native_non_blocking(true);
    tls.reset(SSL_new(context->native_handle()));
    if (!tls || SSL_set_fd(tls.get(), socket.native_handle()) != 1) throw std::bad_alloc();
    SSL_set_accept_state(tls.get());
  }
  void close() {
    error_code ignored;
    socket.close(ignored);
  }
  void set_deadline(std::chrono::milliseconds from_now) { deadline = Clock::now() + from_now; }
};

using ConnectionPointer = std::shared_ptr<Connection>;
using RequestParser = http::request_parser<http::string_body>;

/// Has `step`, a function of OpenSSL's, done as far as the socket lets it; its result is above 0 unless there
/// is an error. asio's own stream keeps 68 KiB of buffers for each client. SIGPIPE must be ignored.
template <typename Step>
asio::awaitable<int> do_tls(Connection& c, Step step, error_code& error) {
  while (true) {
    if (!c.socket.is_open()) error = asio::error::not_connected;  // its descriptor may be another's by now
    if (error) co_return 0;
    ERR_clear_error();
    const int done = step(c.tls.get());
    if (done > 0) co_return done;
    const int why = SSL_get_error(c.tls.get(), done);
    if (why == SSL_ERROR_WANT_READ) {
      co_await c.socket.async_wait(tcp::socket::wait_read, into(error));
    } else if (why == SSL_ERROR_WANT_WRITE) {
      co_await c.socket.async_wait(tcp::socket::wait_write, into(error));
    } else {
      error = asio::error::eof;
    }
  }
}

asio::awaitable<std::size_t> read_some(Connection& c, bool decrypts, error_code& error) {
  if (decrypts) {
    const auto step = [&c](SSL* tls) {
      return SSL_read(tls, c.chunk.data(), static_cast<int>(c.chunk.size()));
    };
    co_return static_cast<std::size_t>(co_await do_tls(c, step, error));
  }
  co_return co_await c.socket.async_read_some(asio::buffer(c.chunk), into(error));
}

/// Reads until the end, so that a client that leaves is noticed at once, whatever else goes on.
asio::awaitable<void> read_input(ConnectionPointer c) {
  while (true) {
    while (c->input.size() >= kMaxUnparsedBytes && !c->discards_input) {
      co_await c->news->wait();
      if (!c->socket.is_open()) co_return;
    }
    error_code error;
    const bool decrypts = c->tls && !c->discards_input;
    const std::size_t size = co_await read_some(*c, decrypts, error);
    if (error && decrypts && c->discards_input)
      continue;  // we have ended TLS: the rest is passed over as it is
    if (!c->discards_input) c->input.append(c->chunk.data(), size);
    c->read_error = error;
    if (error && c->exchange) c->exchange->gone = true;
    c->news->notify();
    if (error) co_return;
  }
}

/// False when the client does not take it in time.
asio::awaitable<bool> write_all(Connection& c, std::string_view bytes, std::chrono::milliseconds time) {
  error_code error;
  c.writes = true;
  for (; !bytes.empty() && !error; bytes.remove_prefix(std::min(bytes.size(), kWriteBytes))) {
    c.set_deadline(time);
    const auto piece = asio::buffer(bytes.data(), std::min(bytes.size(), kWriteBytes));
    if (c.tls) {
      const auto step = [piece](SSL* tls) {
        return SSL_write(tls, piece.data(), static_cast<int>(piece.size()));
      };
      co_await do_tls(c, step, error);
    } else {
      co_await asio::async_write(c.socket, piece, into(error));
    }
  }
  c.writes = false;
  c.deadline = Clock::time_point::max();
  co_return !error;
}

HttpResponse explain_parse_error(const error_code& error, const HttpLimits& limits) {
  if (error == http::error::header_limit) {
    return make_error(431, "invalid_request_error",
                      fmt::format("the headers are larger than {} bytes", limits.header_bytes), {},
                      "headers_too_large");
  }
  if (error == http::error::body_limit) {
    return make_error(413, "invalid_request_error",
                      fmt::format("the body is larger than {} bytes", limits.body_bytes), {},
                      "body_too_large");
  }
  return make_error(400, "invalid_request_error", "this is not valid HTTP: " + error.message(), {},
                    "bad_http");
}

/// What the parser takes, though it leaves open for whom a request is, or where it ends.
std::optional<HttpResponse> refuse_head(const http::request_header<>& head) {
  if (head.version() >= 11 && head.count(http::field::host) != 1) {
    return make_error(400, "invalid_request_error", "a request needs a Host header, and only one", {},
                      "bad_http");
  }
  const auto codings = head.count(http::field::transfer_encoding);
  if (codings == 0) return std::nullopt;
  if (codings == 1 && boost::beast::iequals(head[http::field::transfer_encoding], "chunked")) {
    return std::nullopt;
  }
  return make_error(501, "invalid_request_error", "the only Transfer-Encoding that can be read is chunked",
                    {}, "bad_http");
}

}  // namespace

struct HttpServer::Impl : std::enable_shared_from_this<HttpServer::Impl> {
  asio::io_context& io;
  HttpServerOptions options;
  tcp::acceptor acceptor;
  asio::steady_timer sweep_timer;
  asio::steady_timer accept_pause;
  std::unordered_set<ConnectionPointer> connections;
  bool draining = false;
  tcp::endpoint endpoint;  // that it listens on

  Impl(asio::io_context& context, HttpServerOptions wanted)
      : io(context), options(std::move(wanted)), acceptor(io), sweep_timer(io), accept_pause(io) {}
  void listen();
  asio::awaitable<void> accept();
  asio::awaitable<void> sweep();
  asio::awaitable<void> serve(ConnectionPointer c);
  asio::awaitable<std::optional<HttpRequest>> read_request(Connection& c, bool& keeps_alive, bool& is_old);
  asio::awaitable<bool> refuse(Connection& c, HttpResponse response, std::string_view target,
                               Clock::time_point received);
  asio::awaitable<bool> answer(Connection& c, HttpRequest request, bool keeps_alive, bool is_old);
  asio::awaitable<bool> write_stream(Connection& c, bool chunked, std::uint64_t& sent);
};

void HttpServer::Impl::listen() {
  error_code error;
  const auto address = asio::ip::make_address(options.host, error);
  if (error) throw Error("'" + options.host + "' is not an IP address", "give for example --host 127.0.0.1");
  endpoint = tcp::endpoint(address, options.port);
  acceptor.open(endpoint.protocol(), error);
  if (!error) acceptor.set_option(tcp::acceptor::reuse_address(true), error);
  if (!error) acceptor.bind(endpoint, error);
  if (!error) acceptor.listen(asio::socket_base::max_listen_connections, error);
  if (error) {
    throw Error(fmt::format("cannot listen on {} port {}: {}", options.host, options.port, error.message()),
                "choose another --port or --host");
  }
  endpoint = acceptor.local_endpoint();
}

asio::awaitable<void> HttpServer::Impl::accept() {
  const auto self = shared_from_this();
  while (true) {
    error_code error;
    tcp::socket socket = co_await acceptor.async_accept(into(error));
    if (!acceptor.is_open()) co_return;
    if (error) {  // out of descriptors, mostly: they come back when clients leave
      accept_pause.expires_after(kSweepInterval);
      co_await accept_pause.async_wait(into(error));
      continue;
    }
    if (connections.size() >= options.limits.connections) continue;  // closes it
    socket.set_option(tcp::no_delay(true), error);
    auto connection = std::make_shared<Connection>(std::move(socket), options.tls.get());
    connections.insert(connection);
    asio::co_spawn(io, serve(connection), [self, connection](const std::exception_ptr& failure) {
      if (connection->exchange) connection->exchange->gone = true;
      connection->close();
      connection->news->notify();
      self->connections.erase(connection);
      try {
        if (failure) std::rethrow_exception(failure);
      } catch (const std::exception& e) {
        spdlog::error("a connection ended: {}", e.what());
      }
    });
  }
}

/// Ends what has taken too long.
asio::awaitable<void> HttpServer::Impl::sweep() {
  const auto self = shared_from_this();
  while (true) {
    error_code error;
    sweep_timer.expires_after(kSweepInterval);
    co_await sweep_timer.async_wait(into(error));
    if (error) co_return;
    const auto now = Clock::now();
    for (const ConnectionPointer& c : connections) {
      if (c->exchange && c->exchange->overflowed) c->close();
      if (now < c->deadline) continue;
      c->deadline = Clock::time_point::max();
      c->timed_out = true;
      if (c->writes) c->close();
      c->news->notify();
    }
  }
}

asio::awaitable<void> HttpServer::Impl::serve(ConnectionPointer c) {
  const auto self = shared_from_this();
  if (c->tls) {
    error_code error;
    c->set_deadline(options.limits.handshake_time);
    c->writes = true;
    co_await do_tls(*c, SSL_do_handshake, error);
    c->writes = false;
    if (error) co_return;
  }
  asio::co_spawn(io, read_input(c), asio::detached);
  bool keeps_alive = true;
  while (keeps_alive) {
    bool is_old = false;
    std::optional<HttpRequest> request = co_await read_request(*c, keeps_alive, is_old);
    if (!request) break;
    c->busy = !draining;
    keeps_alive = co_await answer(*c, std::move(*request), keeps_alive, is_old) && !draining;
    c->busy = false;
  }
  // Closing with unread input would reset the connection, and the client might never see the answer.
  c->discards_input = true;
  c->set_deadline(kLingerTime);
  c->timed_out = false;
  error_code ignored;
  if (c->tls) {  // without its own end a TLS client takes the answer for one that was cut off
    c->writes = true;
    const auto say_end = [](SSL* tls) {
      const int done = SSL_shutdown(tls);
      return done == 0 ? 1 : done;  // 0: the client has not said its own, which nobody waits for
    };
    co_await do_tls(*c, say_end, ignored);
    c->writes = false;
  }
  c->socket.shutdown(tcp::socket::shutdown_send, ignored);
  while (!c->read_error && !c->timed_out && c->socket.is_open()) co_await c->news->wait();
}

/// The next request; nothing at the end of the input, or after a refusal has been sent.
asio::awaitable<std::optional<HttpRequest>> HttpServer::Impl::read_request(Connection& c, bool& keeps_alive,
                                                                           bool& is_old) {
  RequestParser parser;
  parser.header_limit(options.limits.header_bytes);
  parser.body_limit(options.limits.body_bytes);
  parser.eager(true);
  bool skipped = false;
  bool begun = false;
  bool checked = false;
  bool continued = false;
  Clock::time_point received;
  const auto target = [&] {
    return std::string_view(parser.get().target().data(), parser.get().target().size());
  };
  c.set_deadline(options.limits.idle_time);
  while (!parser.is_done()) {
    if (!begun && !skipped && c.input.starts_with("\r\n")) {  // one empty line may stand before a request
      skipped = true;
      c.input.erase(0, 2);
    }
    const std::size_t seen = c.input.size();
    if (!begun && seen > 0) {
      begun = true;
      received = Clock::now();
      c.set_deadline(options.limits.request_time);
    }
    if (seen > 0) {
      error_code error;
      const std::size_t used = parser.put(asio::buffer(c.input), error);
      c.input.erase(0, used);
      c.news->notify();  // there is room to read again
      std::optional<HttpResponse> refusal;
      if (error && error != http::error::need_more) {
        refusal = explain_parse_error(error, options.limits);
      } else if (used == 0 && c.input.size() >= kMaxUnparsedBytes) {
        refusal = make_error(431, "invalid_request_error",
                             "a chunk's extension or the trailers are too large", {}, "headers_too_large");
      } else if (parser.is_header_done() && !std::exchange(checked, true)) {
        refusal = refuse_head(parser.get());
      }
      if (refusal) {
        co_await refuse(c, std::move(*refusal), target(), received);
        co_return std::nullopt;
      }
      if (parser.is_done()) break;
      if (parser.is_header_done() && !continued &&
          boost::beast::iequals(parser.get()[http::field::expect], "100-continue")) {
        continued = true;
        if (!co_await write_all(c, "HTTP/1.1 100 Continue\r\n\r\n", options.limits.write_time)) {
          co_return std::nullopt;
        }
        c.set_deadline(options.limits.request_time);
      }
    }
    const std::size_t left = c.input.size();
    while (c.input.size() == left) {
      if (c.read_error) co_return std::nullopt;
      if (c.timed_out) {
        if (begun) {
          HttpResponse refusal = make_error(408, "invalid_request_error",
                                            "the request did not arrive in time", {}, "request_timeout");
          co_await refuse(c, std::move(refusal), target(), received);
        }
        co_return std::nullopt;
      }
      co_await c.news->wait();
    }
  }
  c.deadline = Clock::time_point::max();
  keeps_alive = parser.keep_alive();
  is_old = parser.get().version() < 11;
  co_return to_request(parser.release(), received);
}

/// Sends an answer that ends the connection. `target`: as far as it was read.
asio::awaitable<bool> HttpServer::Impl::refuse(Connection& c, HttpResponse response, std::string_view target,
                                               Clock::time_point received) {
  HttpRequest request;
  request.id = make_request_id();
  set_target(request, target);
  response.body = options.format_error(request.path, *response.error);
  const std::string bytes = format_head(response, request.id, false, false, true) + response.body;
  const bool sent = co_await write_all(c, bytes, options.limits.write_time);
  options.on_finished(
      {.id = request.id,
       .method = {},
       .path = {},
       .status = response.status,
       .body_bytes_sent = response.body.size(),
       .duration_ms = std::chrono::duration<double, std::milli>(Clock::now() - received).count(),
       .abandoned = !sent});
  co_return sent;
}

/// Whether the connection can take another request.
asio::awaitable<bool> HttpServer::Impl::answer(Connection& c, HttpRequest request, bool keeps_alive,
                                               bool is_old) {
  HttpRecord record{.id = request.id, .method = request.method, .path = request.path};
  const auto received = request.received;
  const auto exchange = std::make_shared<Reply::Exchange>();
  exchange->executor = c.socket.get_executor();
  exchange->news = c.news;
  exchange->most_pending = options.limits.unread_bytes;
  exchange->gone = static_cast<bool>(c.read_error);
  c.exchange = exchange;
  options.handle(std::move(request), Reply(exchange));
  while (!exchange->head) co_await c.news->wait();  // it comes, also when the client has gone

  const HttpResponse& head = *exchange->head;
  const bool streams = exchange->streams;
  keeps_alive = keeps_alive && !draining && !(streams && is_old);
  const bool is_empty = head.status == 204 || head.status == 304;
  const bool bodiless = record.method == "HEAD" || is_empty;
  std::string bytes = format_head(head, record.id, keeps_alive, streams && !is_old, !streams && !is_empty);
  if (!bodiless && !streams) bytes += head.body;
  bool sent = co_await write_all(c, bytes, options.limits.write_time);
  record.body_bytes_sent = bodiless ? 0 : head.body.size();
  if (sent && streams && !bodiless) {
    exchange->pending.insert(0, head.body);
    sent = co_await write_stream(c, !is_old, record.body_bytes_sent);
  }
  exchange->gone = true;  // nothing that is still written goes anywhere
  c.exchange.reset();
  record.status = head.status;
  record.abandoned = !sent || static_cast<bool>(c.read_error);
  record.duration_ms = std::chrono::duration<double, std::milli>(Clock::now() - received).count();
  options.on_finished(record);
  co_return sent&& keeps_alive;
}

asio::awaitable<bool> HttpServer::Impl::write_stream(Connection& c, bool chunked, std::uint64_t& sent) {
  Reply::Exchange& exchange = *c.exchange;
  while (true) {
    if (exchange.gone) co_return false;
    if (!exchange.pending.empty()) {
      std::string bytes = std::exchange(exchange.pending, {});
      sent += bytes.size();
      if (chunked) bytes = format_chunk(bytes);
      if (!co_await write_all(c, bytes, options.limits.write_time)) co_return false;
    } else if (exchange.ended) {
      break;
    } else {
      co_await c.news->wait();
    }
  }
  if (!chunked) co_return true;
  co_return co_await write_all(c, "0\r\n\r\n", options.limits.write_time);
}

HttpServer::HttpServer(asio::io_context& io, HttpServerOptions options)
    : impl_(std::make_shared<Impl>(io, std::move(options))) {
  impl_->listen();
  rlimit files{};  // each client takes one
  if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < files.rlim_max) {
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
  }
  asio::co_spawn(io, impl_->accept(), asio::detached);
  asio::co_spawn(io, impl_->sweep(), asio::detached);
}

HttpServer::~HttpServer() = default;

std::uint16_t HttpServer::port() const { return impl_->endpoint.port(); }
bool HttpServer::is_loopback() const { return impl_->endpoint.address().is_loopback(); }

void HttpServer::begin_drain() { impl_->draining = true; }

void HttpServer::close_all() {
  error_code ignored;
  impl_->acceptor.close(ignored);
  impl_->sweep_timer.cancel();
  for (const ConnectionPointer& c : impl_->connections) {
    c->close();
    c->news->notify();
  }
}

std::size_t HttpServer::num_connections() const { return impl_->connections.size(); }

std::size_t HttpServer::num_busy() const {
  const auto& all = impl_->connections;
  return static_cast<std::size_t>(
      std::count_if(all.begin(), all.end(), [](const ConnectionPointer& c) { return c->busy; }));
}

}  // namespace touchstone::serve
