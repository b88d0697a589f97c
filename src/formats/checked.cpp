#include "formats/checked.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"

namespace touchstone {
namespace {

// The largest published tokenizer.json is about 35 MB; a document tree takes several times its text.
constexpr std::size_t kMaxJsonBytes = 256U << 20U;
// Published configurations and tokenizers stay under 12.
constexpr std::size_t kMaxJsonDepth = 64;
// The largest published tokenizers have some two million.
constexpr std::ptrdiff_t kMaxJsonValues = 8'000'000;
constexpr std::size_t kMaxQuotedBytes = 160;

/// Bytes of the valid UTF-8 character at the start of `text`, or 0.
std::size_t utf8_length(std::string_view text) {
  const auto byte = [&](std::size_t i) -> unsigned {
    return i < text.size() ? static_cast<unsigned char>(text[i]) : 0U;
  };
  const auto follows = [&](std::size_t i) { return (byte(i) & 0xC0U) == 0x80U; };
  const unsigned first = byte(0);
  if (first < 0x80U) return 1;
  if (first < 0xC2U || first > 0xF4U || !follows(1)) return 0;
  if (first < 0xE0U) return 2;
  const unsigned second = byte(1);
  if (first < 0xF0U) {
    const bool overlong = first == 0xE0U && second < 0xA0U;
    const bool surrogate = first == 0xEDU && second >= 0xA0U;
    return !overlong && !surrogate && follows(2) ? 3 : 0;
  }
  const bool overlong = first == 0xF0U && second < 0x90U;
  const bool too_large = first == 0xF4U && second >= 0x90U;
  return !overlong && !too_large && follows(2) && follows(3) ? 4 : 0;
}

/// Whether all numbers are finite: a number that float64 cannot hold is read as infinity.
bool has_finite_numbers(const boost::json::value& value) {
  if (const auto* number = value.if_double()) return std::isfinite(*number);
  if (const auto* array = value.if_array()) {
    return std::all_of(array->begin(), array->end(), has_finite_numbers);
  }
  const auto* object = value.if_object();
  return object == nullptr || std::all_of(object->begin(), object->end(), [](const auto& member) {
           return has_finite_numbers(member.value());
         });
}

}  // namespace

std::optional<std::uint64_t> multiply_checked(std::uint64_t a, std::uint64_t b) {
  std::uint64_t product = 0;
  if (__builtin_mul_overflow(a, b, &product)) return std::nullopt;
  return product;
}

std::optional<std::uint64_t> count_values(const std::vector<std::int64_t>& shape) {
  std::optional<std::uint64_t> count = 1;
  for (const std::int64_t dimension : shape) {
    if (dimension < 0) return std::nullopt;
    count = multiply_checked(*count, static_cast<std::uint64_t>(dimension));
    if (!count) return std::nullopt;
  }
  return count;
}

std::string replace_invalid_utf8(std::string_view text) {
  std::string result;
  result.reserve(text.size());
  while (!text.empty()) {
    const std::size_t length = utf8_length(text);
    result += length > 0 ? text.substr(0, length) : std::string_view("\xEF\xBF\xBD");
    text.remove_prefix(length > 0 ? length : 1);
  }
  return result;
}

std::string quote(std::string_view name) {
  const bool cut = name.size() > kMaxQuotedBytes;
  return "'" + make_one_line(name.substr(0, kMaxQuotedBytes)) + (cut ? "…'" : "'");
}

std::string make_one_line(std::string_view text) {
  const std::string valid = replace_invalid_utf8(text);
  std::string result;
  for (std::string_view rest = valid; !rest.empty();) {
    const std::string_view character = rest.substr(0, utf8_length(rest));
    rest.remove_prefix(character.size());
    const bool control = character < "\x20" || character == "\x7F";
    const bool c1_control = character >= "\xC2\x80" && character <= "\xC2\x9F";
    const bool line_end = character == "\u2028" || character == "\u2029";
    result += control || c1_control || line_end ? std::string_view("?") : character;
  }
  return result;
}

bool has_absurdly_many_values(std::string_view json) {
  return std::count(json.begin(), json.end(), ',') > kMaxJsonValues;
}

boost::json::object parse_json_object(const Blob& file) {
  const std::string again = "download the file again, or mend it by hand";
  if (file.bytes.size() > kMaxJsonBytes) {
    throw Error(file.name + " is " + std::to_string(file.bytes.size() >> 20U) +
                    " MiB, too large for a JSON file of a model",
                again);
  }
  if (has_absurdly_many_values(file.text())) {
    throw Error(file.name + " holds more than " + std::to_string(kMaxJsonValues) + " values", again);
  }
  boost::json::parse_options options;
  options.max_depth = kMaxJsonDepth;
  boost::json::error_code error;
  // The whole document lies in a few large pieces: a tokenizer has half a million small strings.
  boost::json::value value = boost::json::parse(
      file.text(), error, boost::json::make_shared_resource<boost::json::monotonic_resource>(), options);
  if (error) throw Error(file.name + " is not valid JSON: " + error.message(), again);
  if (!value.is_object()) throw Error(file.name + " does not hold a JSON object", again);
  if (!has_finite_numbers(value)) throw Error(file.name + " holds a number that is too large", again);
  return std::move(value.as_object());
}

}  // namespace touchstone
