// Who may use the server: API keys, the Host header, the origins of web pages.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "serve/http_server.h"

namespace touchstone::serve {

class ApiKeys {
 public:
  /// One key a line; blank lines and those that begin with '#' are left out. Throws Error for a file that
  /// cannot be read or holds no key.
  static ApiKeys load(const std::filesystem::path& path);
  /// The tenant that the key belongs to (never 0), or nothing. Takes the same time whatever the key.
  std::optional<std::uint64_t> find_tenant(std::string_view key) const;

 private:
  using Digest = std::array<unsigned char, 32>;
  std::vector<Digest> digests_;
};

struct AccessRules {
  std::optional<ApiKeys> keys = {};               // none: everybody may
  std::vector<std::string> allowed_origins = {};  // "https://host[:port]", or "*"
  // Without keys, a web page that has its own name resolve to 127.0.0.1 (DNS rebinding) would get in: only
  // names of this machine are answered.
  bool checks_host = false;
};

/// What to answer instead, when the caller may not. Sets `tenant`: 0 where there are no keys.
std::optional<HttpResponse> refuse_access(const HttpRequest& request, const AccessRules& rules,
                                          std::uint64_t& tenant);

/// The value of Access-Control-Allow-Origin for a request; empty: none.
std::string allowed_origin(const HttpRequest& request, const AccessRules& rules);

}  // namespace touchstone::serve
