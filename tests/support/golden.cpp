#include "support/golden.h"

#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <fstream>
#include <sstream>
#include <stdexcept>

namespace touchstone::testing {
namespace fs = std::filesystem;

fs::path source_dir() { return TOUCHSTONE_SOURCE_DIR; }

bool has_whole_golden_set() {
  const bool present = fs::is_directory(source_dir() / "../shared/golden");
  const char* ci = std::getenv("CI");
  if (!present && ci != nullptr && std::string_view(ci) == "true") {
    throw std::runtime_error(
        "CI=true, but ../shared/golden is not beside the checkout: the whole set must run in CI");
  }
  return present;
}

fs::path golden_dir() {
  return source_dir() / (has_whole_golden_set() ? "../shared/golden" : "tests/golden");
}

fs::path data_dir() {
  return source_dir() / (has_whole_golden_set() ? "../shared/data" : "tests/golden/data");
}

std::string read_file(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw std::runtime_error("cannot read " + path.string());
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

boost::json::value read_json(const fs::path& path) { return boost::json::parse(read_file(path)); }

std::vector<boost::json::value> read_json_lines(const fs::path& path) {
  std::vector<boost::json::value> values;
  std::istringstream lines(read_file(path));
  for (std::string line; std::getline(lines, line);) {
    if (!line.empty()) values.push_back(boost::json::parse(line));
  }
  return values;
}

std::vector<std::int32_t> to_ids(const boost::json::value& value) {
  return boost::json::value_to<std::vector<std::int32_t>>(value);
}

std::map<std::string, std::vector<float>> read_float_tensors(const fs::path& path, std::string_view prefix) {
  const std::string file = read_file(path);
  std::uint64_t header_bytes = 0;
  std::memcpy(&header_bytes, file.data(), sizeof header_bytes);
  const boost::json::value header = boost::json::parse(std::string_view(file).substr(8, header_bytes));
  std::map<std::string, std::vector<float>> tensors;
  for (const auto& [name, entry] : header.as_object()) {
    if (!std::string_view(name).starts_with(prefix) || entry.at("dtype").as_string() != "F32") continue;
    const auto offsets = boost::json::value_to<std::vector<std::size_t>>(entry.at("data_offsets"));
    std::vector<float>& values = tensors[std::string(name)];
    values.resize((offsets[1] - offsets[0]) / sizeof(float));
    std::memcpy(values.data(), file.data() + 8 + header_bytes + offsets[0], offsets[1] - offsets[0]);
  }
  return tensors;
}

TemporaryFolder::TemporaryFolder() {
  std::string name = (fs::temp_directory_path() / "touchstone-test-XXXXXX").string();
  if (mkdtemp(name.data()) == nullptr) throw std::runtime_error("cannot make a temporary folder");
  path_ = name;
}

TemporaryFolder::~TemporaryFolder() {
  std::error_code ignored;
  fs::remove_all(path_, ignored);
}

}  // namespace touchstone::testing
