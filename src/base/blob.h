// Read-only bytes with an owner: a memory-mapped file, an embedded file, or a buffer.
#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace touchstone {

struct Blob {
  std::string name;                   // the path, for error messages
  std::span<const std::byte> bytes;   // valid as long as `owner` lives
  std::shared_ptr<const void> owner;  // may be null for bytes that live for ever

  std::string_view text() const { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }
};

/// Maps a whole regular file read-only. Throws Error (missing, not a file, unreadable). An empty file gives
/// empty bytes.
Blob map_file(const std::filesystem::path& path);

/// Writes `text` to `path` so that a reader sees the old file or the whole new one: temporary file, fsync,
/// rename. Throws Error (e.g. full disk) and leaves nothing half-written.
void write_file_atomically(const std::filesystem::path& path, std::string_view text);

}  // namespace touchstone
