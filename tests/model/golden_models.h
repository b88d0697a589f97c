// The golden checkpoints that are present.
#pragma once

#include <algorithm>
#include <filesystem>
#include <string>
#include <vector>

#include "support/golden.h"

namespace touchstone::testing {

struct GoldenModel {
  std::string name;
  std::filesystem::path folder;  // where expected.json lies
  std::filesystem::path model;
};

inline std::vector<GoldenModel> list_golden_models() {
  std::vector<GoldenModel> models;
  for (const char* kind : {"models", "gguf"}) {
    if (!std::filesystem::is_directory(golden_dir() / kind)) continue;
    for (const auto& entry : std::filesystem::directory_iterator(golden_dir() / kind)) {
      if (!std::filesystem::exists(entry.path() / "expected.json")) continue;
      const std::string name = entry.path().filename().string();
      const std::filesystem::path gguf = entry.path() / (name + ".gguf");
      models.push_back({name, entry.path(), std::filesystem::exists(gguf) ? gguf : entry.path()});
    }
  }
  std::sort(models.begin(), models.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
  return models;
}

}  // namespace touchstone::testing
