// Content codings (RFC 9110, 8.4): gzip, and which clients take it.
#pragma once

#include <string>
#include <string_view>

namespace touchstone::serve {

/// The bytes as a gzip file (RFC 1952), packed as tightly as it goes.
std::string gzip(std::string_view bytes);

/// Whether a client that sends this Accept-Encoding would rather have gzip than the bytes as they are.
bool prefers_gzip(std::string_view accept_encoding);

}  // namespace touchstone::serve
