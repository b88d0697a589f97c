#include "serve/page.h"

#include <algorithm>
#include <map>
#include <optional>
#include <utility>

#include "base/resources.h"
#include "base/sha256.h"
#include "serve/gzip.h"

namespace touchstone::serve {

namespace {

// Nothing but the page's own files, no inline script, no other site, no frame around it.
constexpr const char* kPolicy =
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
    "connect-src "
    "'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

constexpr std::string_view kFolder = "web/dist";

struct FileType {
  std::string_view suffix;
  const char* content_type;
  bool packs;  // its bytes get fewer
};

constexpr FileType kTypes[] = {
    {".html", "text/html; charset=utf-8", true}, {".js", "text/javascript; charset=utf-8", true},
    {".css", "text/css; charset=utf-8", true},   {".svg", "image/svg+xml", true},
    {".txt", "text/plain; charset=utf-8", true}, {".woff2", "font/woff2", false},
    {".json", "application/json", true},         {".png", "image/png", false}};

constexpr FileType kUnknownType{"", "application/octet-stream", false};

/// A file in one coding, with a strong entity tag, which says that bodies are equal byte for byte (RFC 9110,
/// section 8.8.3).
struct Encoded {
  std::string body, tag;
};

struct PageFile {
  const char* content_type;
  Encoded plain;
  std::optional<Encoded> packed;  // gzip
};

Encoded with_tag(std::string body) {
  const std::string hash = hash_text(body).substr(0, 32);
  return {.body = std::move(body), .tag = '"' + hash + '"'};
}

/// By path.
std::map<std::string_view, PageFile> read_files() {
  std::map<std::string_view, PageFile> files;
  for (const EmbeddedFile& embedded : embedded_files()) {
    if (!embedded.path.starts_with(kFolder)) continue;
    const auto* type = std::find_if(std::begin(kTypes), std::end(kTypes), [&](const FileType& known) {
      return embedded.path.ends_with(known.suffix);
    });
    if (type == std::end(kTypes)) type = &kUnknownType;
    const std::string_view bytes(embedded.begin, static_cast<std::size_t>(embedded.end - embedded.begin));
    PageFile file{.content_type = type->content_type, .plain = with_tag(std::string(bytes)), .packed = {}};
    if (type->packs) file.packed = with_tag(gzip(bytes));
    files.emplace(embedded.path, std::move(file));
  }
  return files;
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
  static const std::map<std::string_view, PageFile> files = read_files();
  const auto found = files.find(std::string(kFolder) + (request.path == "/" ? "/index.html" : request.path));
  if (found == files.end())
    return make_error(404, "invalid_request_error", "there is nothing at " + request.path, {}, "not_found");
  const PageFile& file = found->second;
  const bool is_packed = file.packed && prefers_gzip(request.header("accept-encoding"));
  const Encoded& encoded = is_packed ? *file.packed : file.plain;
  HttpResponse response{.content_type = file.content_type, .body = {}, .headers = {}};
  response.headers = {{"Content-Security-Policy", kPolicy},
                      {"ETag", encoded.tag},
                      // Names stay the same from one build to the next, so that a browser has to ask again.
                      {"Cache-Control", "no-cache"}};
  if (file.packed) response.headers.emplace_back("Vary", "Accept-Encoding");
  if (is_packed) response.headers.emplace_back("Content-Encoding", "gzip");
  if (names_tag(request.header("if-none-match"), encoded.tag)) {
    response.status = 304;
  } else {
    response.body = encoded.body;
  }
  return response;
}

}  // namespace touchstone::serve
