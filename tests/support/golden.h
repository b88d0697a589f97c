// Where the reference outputs lie: the whole set beside the checkout where it is present, the committed
// selection otherwise.
#pragma once

#include <boost/json.hpp>
#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace touchstone::testing {

/// `../shared/golden` beside the checkout, or `tests/golden`. With CI=true the whole set must be there:
/// throws otherwise.
std::filesystem::path golden_dir();

/// Whether golden_dir() is the whole set.
bool has_whole_golden_set();

/// `../shared/data` beside the checkout, or `tests/golden/data`.
std::filesystem::path data_dir();

/// The root of the source tree.
std::filesystem::path source_dir();

/// A file's bytes.
std::string read_file(const std::filesystem::path& path);
boost::json::value read_json(const std::filesystem::path& path);
/// One JSON document a line.
std::vector<boost::json::value> read_json_lines(const std::filesystem::path& path);

std::vector<std::int32_t> to_ids(const boost::json::value& value);

/// The F32 tensors of a safetensors file whose names begin with `prefix`.
std::map<std::string, std::vector<float>> read_float_tensors(const std::filesystem::path& path,
                                                             std::string_view prefix);

/// A fresh folder under the system's temporary one, removed with all it holds at the end of the scope.
class TemporaryFolder {
 public:
  TemporaryFolder();
  ~TemporaryFolder();
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

}  // namespace touchstone::testing
