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
#include "serve/reasoning_form.h"

namespace touchstone::serve {

/// Who asks.
struct Caller {
  std::uint64_t tenant = 0;  // one number a key, never 0; 0: there are no keys
  ReasoningForm reasoning_form = ReasoningForm::reasoning_content;
};

class ApiKeys {
 public:
  /// One key a line, behind which `reasoning=FORM` may stand; blank lines and those that begin with '#' are
  /// left out. Throws Error for a file that cannot be read, holds no key, or something else behind one.
  static ApiKeys load(const std::filesystem::path& path);
  /// Whose key it is, or nothing. Takes the same time whatever the key.
  std::optional<Caller> find_caller(std::string_view key) const;

 private:
  struct Entry {
    std::array<unsigned char, 32> digest;
    ReasoningForm reasoning_form;
  };
  std::vector<Entry> entries_;
};

struct AccessRules {
  std::optional<ApiKeys> keys = {};               // none: everybody may
  std::vector<std::string> allowed_origins = {};  // "https://host[:port]", or "*"
  // Without keys, a web page that has its own name resolve to 127.0.0.1 (DNS rebinding) would get in: only
  // names of this machine are answered.
  bool checks_host = false;
};

/// What to answer instead, when the caller may not; else sets `caller`.
std::optional<HttpResponse> refuse_access(const HttpRequest& request, const AccessRules& rules,
                                          Caller& caller);

/// The value of Access-Control-Allow-Origin for a request; empty: none.
std::string allowed_origin(const HttpRequest& request, const AccessRules& rules);

}  // namespace touchstone::serve
