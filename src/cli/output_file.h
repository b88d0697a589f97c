// Whether the file that a command is to write can be written, before the work that fills it.
#pragma once

#include <filesystem>

#include "formats/checkpoint.h"

namespace touchstone::cli {

/// Throws Error when `path` cannot be created, or is one of the model's own files. Leaves nothing behind.
void check_output_file(const std::filesystem::path& path, const Checkpoint& model);

}  // namespace touchstone::cli
