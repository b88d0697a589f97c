#include "base/resources.h"

namespace touchstone {

std::optional<Blob> find_embedded(std::string_view path) {
  for (const EmbeddedFile& file : embedded_files()) {
    if (file.path != path) continue;
    const auto size = static_cast<std::size_t>(file.end - file.begin);
    return Blob{std::string(path), std::as_bytes(std::span(file.begin, size)), nullptr};
  }
  return std::nullopt;
}

}  // namespace touchstone
