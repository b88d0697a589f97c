// Golden checkpoints as the engine's tests read them.
#pragma once

#include <boost/json.hpp>
#include <cstring>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "support/golden.h"

namespace touchstone::testing {

/// The folders of golden checkpoints that are present, in order of name.
inline std::vector<std::filesystem::path> golden_models() {
  std::vector<std::filesystem::path> folders;
  for (const auto& entry : std::filesystem::directory_iterator(golden_dir() / "models")) {
    if (entry.is_directory()) folders.push_back(entry.path());
  }
  std::sort(folders.begin(), folders.end());
  return folders;
}

inline std::vector<std::int32_t> to_ids(const boost::json::value& value) {
  return boost::json::value_to<std::vector<std::int32_t>>(value);
}

/// The F32 tensors of a safetensors file whose names begin with `prefix`.
inline std::map<std::string, std::vector<float>> read_float_tensors(const std::filesystem::path& path,
                                                                    std::string_view prefix) {
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

}  // namespace touchstone::testing
