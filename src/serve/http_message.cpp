#include "serve/http_message.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <boost/algorithm/string/predicate.hpp>
#include <boost/json.hpp>
#include <cctype>
#include <ctime>
#include <random>

#include "text/unicode.h"

namespace touchstone::serve {

namespace http = boost::beast::http;

namespace {

constexpr std::size_t kMaxRequestIdBytes = 128;

HttpResponse make_unavailable_error(std::string_view message, std::string_view code) {
  HttpResponse error = make_error(503, "server_error", message, {}, code);
  error.headers.emplace_back("Retry-After", "5");
  return error;
}

bool is_sane_id(std::string_view id) {
  return !id.empty() && id.size() <= kMaxRequestIdBytes &&
         std::all_of(id.begin(), id.end(), [](unsigned char c) {
           return std::isalnum(c) != 0 || c == '-' || c == '_' || c == '.';
         });
}

}  // namespace

std::string_view HttpRequest::header(std::string_view name) const {
  const auto found = headers.find(boost::beast::string_view(name.data(), name.size()));
  if (found == headers.end()) return {};
  return {found->value().data(), found->value().size()};
}

std::string format_error(const HttpError& error) {
  const auto text_or_null = [](std::string_view text) {
    return text.empty() ? boost::json::value() : boost::json::value(text);
  };
  const boost::json::object members = {{"message", error.message},
                                       {"type", error.type},
                                       {"param", text_or_null(error.param)},
                                       {"code", text_or_null(error.code)}};
  return boost::json::serialize(boost::json::object{{"error", members}});
}

HttpResponse make_error(unsigned status, std::string_view type, std::string_view message,
                        std::string_view param, std::string_view code) {
  HttpError error{.status = status,
                  .type = std::string(type),
                  .message = std::string(message),
                  .param = std::string(param),
                  .code = std::string(code)};
  HttpResponse response{.status = status, .body = format_error(error), .headers = {}};
  response.error = std::move(error);
  return response;
}

HttpResponse make_loading_error() {
  return make_unavailable_error("the server is loading its models", "loading");
}

HttpResponse make_deadline_error() {
  return make_error(504, "timeout_error", "the request's time was over before its first token", "timeout",
                    "deadline_exceeded");
}

HttpResponse make_shutdown_error() {
  return make_unavailable_error("the server is shutting down", "shutting_down");
}

HttpResponse make_abandoned_error() {
  constexpr unsigned kClientClosedRequest = 499;  // as nginx has it: no fault of the server's
  return make_error(kClientClosedRequest, "invalid_request_error",
                    "the client closed the connection before its answer", {}, "client_closed");
}

std::string make_request_id() {
  thread_local std::mt19937_64 random(std::random_device{}());
  return fmt::format("req-{:016x}", random());
}

void set_target(HttpRequest& request, std::string_view target) {
  for (const std::string_view scheme : {"http://", "https://"}) {
    if (!boost::algorithm::iequals(target.substr(0, scheme.size()), scheme)) continue;
    target.remove_prefix(scheme.size());
    const std::string_view host = target.substr(0, target.find_first_of("/?"));
    request.headers.set(http::field::host, boost::beast::string_view(host.data(), host.size()));
    target.remove_prefix(host.size());
  }
  request.path = to_valid_utf8(target.substr(0, target.find('?')));
  if (request.path.empty()) request.path = "/";
}

HttpRequest to_request(http::request<http::string_body> message, Clock::time_point received) {
  HttpRequest request;
  request.method = std::string(message.method_string());
  request.body = std::move(message.body());
  const std::string target(message.target());
  request.headers = std::move(message.base());
  set_target(request, target);
  request.received = received;
  const std::string_view id = request.header("x-request-id");
  request.id = is_sane_id(id) ? std::string(id) : make_request_id();
  return request;
}

std::string format_head(const HttpResponse& response, const std::string& request_id, bool keeps_alive,
                        bool chunked, bool has_length) {
  std::string head = fmt::format(
      "HTTP/1.1 {} {}\r\nDate: {:%a, %d %b %Y %H:%M:%S} GMT\r\nContent-Type: {}\r\nX-Request-Id: {}\r\n"
      "Connection: {}\r\n",
      response.status, std::string_view(http::obsolete_reason(http::int_to_status(response.status))),
      fmt::gmtime(std::time(nullptr)), response.content_type, request_id,
      keeps_alive ? "keep-alive" : "close");
  if (chunked) head += "Transfer-Encoding: chunked\r\n";
  if (has_length) head += fmt::format("Content-Length: {}\r\n", response.body.size());
  for (const auto& [name, value] : response.headers)
    head.append(name).append(": ").append(value).append("\r\n");
  return head + "\r\n";
}

std::string format_chunk(const std::string& bytes) {
  return fmt::format("{:x}\r\n{}\r\n", bytes.size(), bytes);
}

}  // namespace touchstone::serve
