#include "serve/gzip.h"

#include <algorithm>
#include <boost/algorithm/string/predicate.hpp>
#include <boost/beast/zlib/deflate_stream.hpp>
#include <boost/crc.hpp>
#include <charconv>
#include <cstdint>
#include <optional>
#include <stdexcept>

namespace touchstone::serve {

namespace zlib = boost::beast::zlib;

namespace {

constexpr int kBestLevel = 9, kWindowBits = 15, kMostMemory = 9;

void append_little_endian(std::string& to, std::uint32_t value) {
  for (int byte = 0; byte < 4; ++byte) to += static_cast<char>(value >> (8 * byte) & 0xffU);
}

std::string deflate(std::string_view bytes) {
  zlib::deflate_stream stream;
  stream.reset(kBestLevel, kWindowBits, kMostMemory, zlib::Strategy::normal);
  std::string packed(stream.upper_bound(bytes.size()), '\0');
  zlib::z_params state;
  state.next_in = bytes.data();
  state.avail_in = bytes.size();
  state.next_out = packed.data();
  state.avail_out = packed.size();
  boost::system::error_code error;
  stream.write(state, zlib::Flush::finish, error);
  if (error != zlib::error::end_of_stream) throw std::runtime_error("deflate: " + error.message());
  packed.resize(state.total_out);
  return packed;
}

/// The part before the next `separator`, without the space around it; both are taken off the text.
std::string_view take_part(std::string_view& text, char separator) {
  const std::size_t end = std::min(text.find(separator), text.size());
  std::string_view part = text.substr(0, end);
  text.remove_prefix(std::min(end + 1, text.size()));
  part.remove_prefix(std::min(part.find_first_not_of(" \t"), part.size()));
  return part.substr(0, part.find_last_not_of(" \t") + 1);
}

/// What stands behind a coding as q, 0 to 1; 1 where there is none, 0 where it is not understood.
double read_weight(std::string_view parameters) {
  while (!parameters.empty()) {
    const std::string_view parameter = take_part(parameters, ';');
    if (!boost::istarts_with(parameter, "q=")) continue;
    const std::string_view value = parameter.substr(2);
    double weight = 0;
    const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), weight);
    const bool is_whole = error == std::errc() && end == value.data() + value.size();
    return is_whole && weight >= 0 && weight <= 1 ? weight : 0;
  }
  return 1;
}

}  // namespace

std::string gzip(std::string_view bytes) {
  // No name, no time: the same bytes give the same file.
  constexpr std::string_view kHeader("\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\xff", 10);
  std::string file(kHeader);
  file += deflate(bytes);
  boost::crc_32_type crc;
  crc.process_bytes(bytes.data(), bytes.size());
  append_little_endian(file, crc.checksum());
  append_little_endian(file, static_cast<std::uint32_t>(bytes.size()));
  return file;
}

bool prefers_gzip(std::string_view accept_encoding) {
  std::optional<double> gzip, identity, others;
  while (!accept_encoding.empty()) {
    std::string_view entry = take_part(accept_encoding, ',');
    const std::string_view coding = take_part(entry, ';');
    const double weight = read_weight(entry);
    if (boost::iequals(coding, "gzip") || boost::iequals(coding, "x-gzip")) gzip = weight;
    if (boost::iequals(coding, "identity")) identity = weight;
    if (coding == "*") others = weight;
  }
  // What is not named may be sent as it is, but is not what the client asks for.
  const double gzip_weight = gzip.value_or(others.value_or(0));
  return gzip_weight > 0 && gzip_weight >= identity.value_or(others.value_or(0));
}

}  // namespace touchstone::serve
