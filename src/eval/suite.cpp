#include "eval/suite.h"

#include <fmt/format.h>

#include <array>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <set>
#include <utility>

#include "base/blob.h"
#include "base/error.h"
#include "base/parse_json.h"
#include "base/resources.h"
#include "eval/suite_formats.h"

namespace touchstone {
namespace {

constexpr std::array<std::string_view, 6> kEmbeddedSuites = {"math",      "code",      "logic",
                                                             "demo-math", "demo-code", "demo-logic"};
// A suite is read whole; the largest known ones (GSM8K's training set) are 10 MB.
constexpr std::size_t kMaxSuiteBytes = std::size_t{256} << 20;
constexpr std::size_t kMaxItems = 1'000'000;

std::string fingerprint(std::string_view bytes) {
  std::uint64_t hash = 0xcbf29ce484222325U;  // FNV-1a
  for (const char c : bytes) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3U;
  return fmt::format("{:016x}", hash);
}

void check_suite(const Suite& suite, const std::string& source) {
  if (suite.items.empty()) {
    throw Error(source + " holds no items", "give a .jsonl file with one item a line; see suites/README.md");
  }
  if (suite.items.size() > kMaxItems) throw Error(source + " holds more than a million items", "split it");
  std::set<std::string_view> ids;
  for (const Item& item : suite.items) {
    if (!ids.insert(item.id).second) {
      throw Error(fmt::format("{} has two items with the id '{}'", source, item.id),
                  "ids must be unique: answers are stored and paired by id");
    }
  }
}

/// "A. first\nB. second …"
std::string list_options(const Item& item) {
  std::string list;
  for (std::size_t i = 0; i < item.options.size(); ++i) {
    list += fmt::format("{}{}. {}", i > 0 ? "\n" : "", static_cast<char>('A' + static_cast<int>(i)),
                        item.options[i]);
  }
  return list;
}

/// What `{name}` stands for in a template; nothing when it is not a placeholder.
std::optional<std::string> find_field(const Item& item, std::string_view name) {
  if (name == "question") return item.question;
  if (name == "context") return item.context;
  if (name == "prompt") return item.prompt;
  if (name == "options") return list_options(item);
  if (name.size() == 1 && name[0] >= 'A' && name[0] <= 'Z') {
    const auto index = static_cast<std::size_t>(name[0] - 'A');
    if (index < item.options.size()) return item.options[index];
  }
  return std::nullopt;
}

std::string fill_template(std::string_view text, const Item& item) {
  std::string filled;
  while (!text.empty()) {
    const std::size_t open = text.find('{');
    filled += text.substr(0, open);
    if (open == text.npos) break;
    text.remove_prefix(open);
    const std::size_t close = text.find('}');
    const auto field = close == text.npos ? std::nullopt : find_field(item, text.substr(1, close - 1));
    filled += field ? std::string_view(*field) : text.substr(0, 1);
    text.remove_prefix(field ? close + 1 : 1);
  }
  return filled;
}

}  // namespace

std::string_view task_kind_name(TaskKind kind) {
  switch (kind) {
    case TaskKind::math:
      return "math";
    case TaskKind::code:
      return "code";
    case TaskKind::logic:
      return "logic";
  }
  return "";
}

std::vector<std::string> embedded_suite_names() { return {kEmbeddedSuites.begin(), kEmbeddedSuites.end()}; }

Suite parse_suite(std::string_view text, const std::string& source, const std::string& name) {
  Suite suite;
  suite.name = name;
  suite.fingerprint = fingerprint(text);
  text = without_byte_order_mark(text);
  const std::size_t first = text.find_first_not_of(" \t\r\n");
  if (first == text.npos) throw Error(source + " is empty", "give a .jsonl file with one item a line");
  if (text[first] == '{') {
    read_jsonl_suite(text, source, suite);
  } else {
    read_logiqa_text(text, source, suite);
  }
  check_suite(suite, source);
  return suite;
}

Suite load_suite(std::string_view name_or_path) {
  const std::string name(name_or_path);
  for (const std::string_view embedded : kEmbeddedSuites) {
    if (name != embedded) continue;
    const std::string path = "suites/" + name + ".jsonl";
    const std::optional<Blob> blob = find_embedded(path);
    if (!blob) throw Error("this build does not hold the suite '" + name + "'", "build touchstone again");
    return parse_suite(blob->text(), path, name);
  }
  const std::filesystem::path path(name);
  if (!std::filesystem::exists(path)) {
    throw Error(fmt::format("there is no suite '{}' and no such file", name),
                fmt::format("embedded suites are {}", fmt::join(kEmbeddedSuites, ", ")));
  }
  const Blob blob = map_file(path);
  if (blob.bytes.size() > kMaxSuiteBytes) throw Error(name + " is larger than 256 MiB", "split it");
  return parse_suite(blob.text(), name, path.stem().string());
}

std::string user_turn(const Suite& suite, const Item& item) {
  const bool chinese = item.language == "zh" && !suite.prompt_zh.empty();
  return fill_template(chinese ? suite.prompt_zh : suite.prompt, item);
}

}  // namespace touchstone
