#include "serve/page.h"

#include <array>
#include <map>
#include <utility>

#include "base/resources.h"
#include "base/sha256.h"

namespace touchstone::serve {

namespace {

// Nothing but the page's own files, no inline script, no other site, no frame around it.
constexpr const char* kPolicy =
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
    "connect-src "
    "'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

constexpr std::string_view kFolder = "web/dist";

constexpr std::array<std::pair<std::string_view, const char*>, 8> kTypes = {
    {{".html", "text/html; charset=utf-8"},
     {".js", "text/javascript; charset=utf-8"},
     {".css", "text/css; charset=utf-8"},
     {".svg", "image/svg+xml"},
     {".txt", "text/plain; charset=utf-8"},
     {".woff2", "font/woff2"},
     {".json", "application/json"},
     {".png", "image/png"}}};

/// By path: a strong entity tag, which says that files are equal byte for byte (RFC 9110, section 8.8.3).
std::map<std::string_view, std::string> make_tags() {
  std::map<std::string_view, std::string> tags;
  for (const EmbeddedFile& file : embedded_files()) {
    if (!file.path.starts_with(kFolder)) continue;
    const std::string_view bytes(file.begin, static_cast<std::size_t>(file.end - file.begin));
    tags.emplace(file.path, '"' + hash_text(bytes).substr(0, 32) + '"');
  }
  return tags;
}

/// Whether an If-None-Match names the tag: a list of tags, of which weak ones count as well, or "*".
bool names_tag(std::string_view list, std::string_view tag) {
  if (list == "*") return true;
  for (std::size_t at = list.find('"'); at != std::string_view::npos; at = list.find('"', at)) {
    const std::size_t end = list.find('"', at + 1);
    if (end == std::string_view::npos) return false;
    if (list.substr(at, end + 1 - at) == tag) return true;
    at = end + 1;
  }
  return false;
}

}  // namespace

HttpResponse show_page(const HttpRequest& request) {
  static const std::map<std::string_view, std::string> tags = make_tags();
  const std::string path = std::string(kFolder) + (request.path == "/" ? "/index.html" : request.path);
  const auto file = tags.find(path);
  if (file == tags.end())
    return make_error(404, "invalid_request_error", "there is nothing at " + request.path, {}, "not_found");
  HttpResponse response{.content_type = "application/octet-stream", .body = {}, .headers = {}};
  for (const auto& [suffix, type] : kTypes) {
    if (path.ends_with(suffix)) response.content_type = type;
  }
  response.headers = {{"Content-Security-Policy", kPolicy},
                      {"ETag", file->second},
                      // Names stay the same from one build to the next, so that a browser has to ask again.
                      {"Cache-Control", "no-cache"}};
  if (names_tag(request.header("if-none-match"), file->second)) {
    response.status = 304;
  } else {
    response.body = find_embedded(path)->text();
  }
  return response;
}

}  // namespace touchstone::serve
