// HTTP messages as values: requests, responses, errors, and how they are written.
#pragma once

#include <boost/beast/http/fields.hpp>
#include <boost/beast/http/message.hpp>
#include <boost/beast/http/string_body.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.h"

namespace touchstone::serve {

struct HttpRequest {
  std::string method;  // "GET"
  std::string path;    // without the query
  boost::beast::http::fields headers;
  std::string body;
  std::string id;  // the client's x-request-id where it is sane, else ours
  Clock::time_point received;

  /// Empty when it is not there.
  std::string_view header(std::string_view name) const;
};

struct HttpError {
  unsigned status = 500;
  std::string type, message;
  std::string param, code;  // may be empty
};

struct HttpResponse {
  unsigned status = 200;
  std::string content_type = "application/json";
  std::string body;  // of a stream: what it begins with
  std::vector<std::pair<std::string, std::string>> headers;
  std::optional<HttpError> error = {};  // what an error's body says, for those who say it in another form
};

/// OpenAI's error body.
std::string format_error(const HttpError& error);
/// A response with it; `param` and `code` may be empty (null).
HttpResponse make_error(unsigned status, std::string_view type, std::string_view message,
                        std::string_view param = {}, std::string_view code = {});
/// 503: the server is still loading its models.
HttpResponse make_loading_error();
/// 503: the server is ending.
HttpResponse make_shutdown_error();
/// Of a request whose time is over before it is answered.
HttpResponse make_deadline_error();
/// 499: for the log, the metrics, and a client that has only closed its side of the connection.
HttpResponse make_abandoned_error();

/// The request that was read, with the client's id or one of ours.
HttpRequest to_request(boost::beast::http::request<boost::beast::http::string_body> message,
                       Clock::time_point received);
/// Another one each time.
std::string make_request_id();
/// Reads a target in origin form or, as for proxies, in absolute form, where its host stands for the header's
/// (RFC 9112, 3.2).
void set_target(HttpRequest& request, std::string_view target);

/// What stands before a response's body, its empty line included.
std::string format_head(const HttpResponse& response, const std::string& request_id, bool keeps_alive,
                        bool chunked, bool has_length);
/// A piece of a body that is sent in chunks.
std::string format_chunk(const std::string& bytes);

}  // namespace touchstone::serve
