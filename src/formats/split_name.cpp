#include "formats/split_name.h"

#include <fmt/format.h>

#include <charconv>
#include <string_view>

namespace touchstone {
namespace {

constexpr std::size_t kDigits = 5;

/// A positive number of five digits, or nothing.
std::optional<int> parse_number(std::string_view text) {
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < 1) return std::nullopt;
  return value;
}

}  // namespace

std::optional<SplitName> parse_split_name(const std::string& file_name) {
  constexpr std::string_view kForm = "-00000-of-00000.gguf";
  if (file_name.size() <= kForm.size()) return std::nullopt;
  const std::size_t stem = file_name.size() - kForm.size();
  const std::string_view suffix = std::string_view(file_name).substr(stem);
  if (suffix[0] != '-' || suffix.substr(6, 4) != "-of-" || suffix.substr(15) != ".gguf") return std::nullopt;
  const std::optional<int> part = parse_number(suffix.substr(1, kDigits));
  const std::optional<int> count = parse_number(suffix.substr(10, kDigits));
  if (!part || !count || *part > *count) return std::nullopt;
  return SplitName{file_name.substr(0, stem), *part, *count};
}

std::string make_split_name(const SplitName& name) {
  return fmt::format("{}-{:05}-of-{:05}.gguf", name.stem, name.part, name.count);
}

}  // namespace touchstone
