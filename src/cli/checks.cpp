#include "cli/checks.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <cstdint>
#include <limits>

namespace touchstone::cli {

CLI::Validator device_name() {
  const auto check = [](const std::string& text) -> std::string {
    constexpr std::string_view kNumbered = "cuda:";
    if (text == "auto" || text == "cpu" || text == "cuda") return "";
    const bool is_numbered = text.starts_with(kNumbered) && text.size() > kNumbered.size() &&
                             text.find_first_not_of("0123456789", kNumbered.size()) == std::string::npos;
    return is_numbered ? "" : "'" + text + "' is not auto, cpu, cuda or cuda:N";
  };
  return CLI::Validator(check, "auto, cpu or cuda[:N]");
}

CLI::Validator web_origin() {
  const auto check = [](const std::string& text) -> std::string {
    constexpr std::string_view kBehindScheme = "://";
    if (text == "*" || text == "null") return "";
    const std::size_t scheme = text.find(kBehindScheme);
    const std::string host = scheme == std::string::npos ? "" : text.substr(scheme + kBehindScheme.size());
    const bool is_origin = scheme != 0 && !host.empty() && host.find_first_of("/?# ") == std::string::npos;
    return is_origin ? ""
                     : "'" + text + "' is not an origin as https://example.org:8080, without a path, or *";
  };
  return CLI::Validator(check, "");
}

CLI::Validator name_or_path(const std::vector<std::string>& names) {
  const auto check = [names](const std::string& text) -> std::string {
    const bool is_path = text.find_first_of("./") != std::string::npos;
    if (is_path || std::find(names.begin(), names.end(), text) != names.end()) return "";
    return fmt::format("'{}' is not one of {}, and no path of a file, which has a '.' or '/'", text,
                       fmt::join(names, ", "));
  };
  return CLI::Validator(check, "");
}

CLI::Validator not_empty() {
  return CLI::Validator(
      [](const std::string& text) -> std::string { return text.empty() ? "the text is empty" : ""; }, "");
}

std::vector<std::string> split_list(const std::string& text) {
  std::vector<std::string> items;
  std::size_t begin = 0;
  for (std::size_t comma = text.find(','); comma != std::string::npos; comma = text.find(',', begin)) {
    items.push_back(text.substr(begin, comma - begin));
    begin = comma + 1;
  }
  items.push_back(text.substr(begin));
  return items;
}

CLI::Validator each_item(const CLI::Validator& check) {
  const auto check_all = [check](const std::string& text) -> std::string {
    for (const std::string& item : split_list(text)) {
      if (std::string error = check(item); !error.empty()) return error;
    }
    return "";
  };
  return CLI::Validator(check_all, check.get_description());
}

CLI::Validator any_seed() { return number_from(std::uint64_t{0}, std::numeric_limits<std::uint64_t>::max()); }

}  // namespace touchstone::cli
