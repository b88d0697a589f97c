// Files compiled into the binary: the built-in model pair, suites, the page.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/blob.h"

namespace touchstone {

struct EmbeddedFile {
  std::string_view path;  // e.g. "demo/native/config.json", "suites/math.jsonl"
  const char* begin;
  const char* end;
};

/// All embedded files. Defined by the table that cmake/embed.cmake writes.
const std::vector<EmbeddedFile>& embedded_files();

/// The embedded file of this path, or nothing.
std::optional<Blob> find_embedded(std::string_view path);

}  // namespace touchstone
