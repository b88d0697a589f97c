// Golden checkpoints as the engine's tests read them.
#pragma once

#include <algorithm>
#include <filesystem>
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

}  // namespace touchstone::testing
