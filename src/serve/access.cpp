#include "serve/access.h"

#include <fmt/format.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/sha.h>

#include <algorithm>
#include <boost/algorithm/string/predicate.hpp>
#include <boost/asio/ip/address.hpp>
#include <cstring>

#include "base/blob.h"
#include "base/error.h"
#include "base/parse_json.h"

namespace touchstone::serve {
namespace {

constexpr std::string_view kSpace = " \t\r";

std::string_view trim(std::string_view text) {
  const std::size_t begin = text.find_first_not_of(kSpace);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kSpace) - begin + 1);
}

std::array<unsigned char, SHA256_DIGEST_LENGTH> digest_of(std::string_view text) {
  std::array<unsigned char, SHA256_DIGEST_LENGTH> digest{};
  SHA256(reinterpret_cast<const unsigned char*>(text.data()), text.size(), digest.data());
  return digest;
}

/// What stands behind a key in its line.
ReasoningForm read_option(std::string_view option, const std::filesystem::path& path, int line) {
  if (option.empty()) return ReasoningForm::reasoning_content;
  constexpr std::string_view kName = "reasoning=";
  if (option.starts_with(kName)) {
    if (const auto form = find_reasoning_form(option.substr(kName.size()))) return *form;
  }
  throw Error(fmt::format("{}, line {}: what stands behind the key is not understood", path.string(), line),
              fmt::format("write KEY reasoning=FORM, where FORM is {}", kReasoningForms));
}

std::optional<std::string> decode_base64(std::string_view text) {
  if (text.empty() || text.size() % 4 != 0 || text.size() > 4096) return std::nullopt;
  std::string bytes(text.size() / 4 * 3, '\0');
  const int size =
      EVP_DecodeBlock(reinterpret_cast<unsigned char*>(bytes.data()),
                      reinterpret_cast<const unsigned char*>(text.data()), static_cast<int>(text.size()));
  if (size < 0) return std::nullopt;
  const auto padding = static_cast<std::size_t>(std::count(text.end() - 2, text.end(), '='));
  bytes.resize(static_cast<std::size_t>(size) - padding);
  return bytes;
}

/// The key as OpenAI's clients send it, as Anthropic's do, or as a browser does that has asked for a
/// password.
std::string find_key(const HttpRequest& request) {
  const std::string_view given = request.header("authorization");
  if (boost::istarts_with(given, "bearer ")) return std::string(trim(given.substr(7)));
  if (boost::istarts_with(given, "basic ")) {
    const std::string pair = decode_base64(trim(given.substr(6))).value_or("");
    const std::size_t colon = pair.find(':');
    return colon == std::string::npos ? "" : pair.substr(colon + 1);
  }
  return std::string(request.header("x-api-key"));
}

/// "[::1]:7860" -> "::1", "Localhost:80" -> "localhost".
std::string host_name(std::string_view host) {
  std::string name(host);
  if (!name.empty() && name.front() == '[') {
    name = name.substr(1, name.find(']') - 1);
  } else {
    name.erase(std::min(name.find(':'), name.size()));
  }
  std::transform(name.begin(), name.end(), name.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return name;
}

bool is_this_machine(std::string_view host) {
  const std::string name = host_name(host);
  if (name == "localhost" || name.ends_with(".localhost")) return true;
  boost::system::error_code error;
  const auto address = boost::asio::ip::make_address(name, error);
  return !error && address.is_loopback();
}

bool is_same_origin(const HttpRequest& request, std::string_view origin) {
  const std::string host(request.header("host"));
  return boost::iequals(origin, "http://" + host) || boost::iequals(origin, "https://" + host);
}

bool allows(const std::vector<std::string>& origins, std::string_view origin) {
  return std::any_of(origins.begin(), origins.end(), [&](const std::string& allowed) {
    return allowed == "*" || boost::iequals(allowed, origin);
  });
}

}  // namespace

ApiKeys ApiKeys::load(const std::filesystem::path& path) {
  ApiKeys keys;
  const Blob file = map_file(path);
  std::string_view rest = without_byte_order_mark(file.text());
  int number = 0;
  while (!rest.empty()) {
    const std::size_t end = std::min(rest.find('\n'), rest.size());
    const std::string_view line = trim(rest.substr(0, end));
    ++number;
    if (!line.empty() && line.front() != '#') {
      const std::size_t key_end = std::min(line.find_first_of(kSpace), line.size());
      const std::string_view option = trim(line.substr(key_end));
      keys.entries_.push_back({digest_of(line.substr(0, key_end)), read_option(option, path, number)});
    }
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  if (keys.entries_.empty()) throw Error(path.string() + " holds no API key", "write one key a line");
  return keys;
}

std::optional<Caller> ApiKeys::find_caller(std::string_view key) const {
  const auto given = digest_of(key);
  const Entry* found = nullptr;
  for (const Entry& entry : entries_) {
    if (CRYPTO_memcmp(entry.digest.data(), given.data(), given.size()) == 0) found = &entry;
  }
  if (found == nullptr) return std::nullopt;
  std::uint64_t tenant = 0;
  std::memcpy(&tenant, given.data(), sizeof tenant);
  return Caller{.tenant = tenant | 1U, .reasoning_form = found->reasoning_form};
}

std::string allowed_origin(const HttpRequest& request, const AccessRules& rules) {
  const std::string_view origin = request.header("origin");
  return !origin.empty() && allows(rules.allowed_origins, origin) ? std::string(origin) : "";
}

std::optional<HttpResponse> refuse_access(const HttpRequest& request, const AccessRules& rules,
                                          Caller& caller) {
  caller = {};
  if (rules.checks_host && request.headers.count(boost::beast::http::field::host) == 0) {
    return make_error(400, "invalid_request_error",
                      "the Host header is missing; send the address of this server in it", {},
                      "host_missing");
  }
  if (rules.checks_host && !is_this_machine(request.header("host"))) {
    return make_error(
        403, "permission_error",
        "the Host header names another machine; to serve other names, start with --api-key-file", {},
        "host_not_allowed");
  }
  const std::string_view origin = request.header("origin");
  if (!origin.empty() && !is_same_origin(request, origin) && !allows(rules.allowed_origins, origin)) {
    return make_error(403, "permission_error",
                      "this origin may not use the server; start it with --allow-origin", {},
                      "origin_not_allowed");
  }
  if (!rules.keys || request.path == "/health" || request.path == "/ready") return std::nullopt;
  if (request.method == "OPTIONS") return std::nullopt;  // browsers ask without the key
  const auto found = rules.keys->find_caller(find_key(request));
  if (found) {
    caller = *found;
    return std::nullopt;
  }
  HttpResponse refusal =
      make_error(401, "authentication_error", "a valid API key is needed", {}, "invalid_api_key");
  refusal.headers.emplace_back("WWW-Authenticate", "Basic realm=\"touchstone\", charset=\"UTF-8\"");
  return refusal;
}

}  // namespace touchstone::serve
