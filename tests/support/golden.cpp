#include "support/golden.h"

#include <unistd.h>

#include <cstdlib>
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
