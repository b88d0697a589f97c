// Read-only bytes with an owner: a memory-mapped file, an embedded file, or a buffer.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/unfinished_file.h"

namespace touchstone {

/// Which file it is, and when it was last changed. Programs can set the time of modification, but not that of
/// change: writing to a file always moves it.
struct FileStamp {
  std::uint64_t device = 0, inode = 0, bytes = 0;
  std::int64_t modified_ns = 0, changed_ns = 0;  // since 1970

  bool operator==(const FileStamp&) const = default;
};

/// Nothing when there is no such file.
std::optional<FileStamp> find_file_stamp(const std::filesystem::path& path);

/// Whether the file cannot change and keep this stamp: not so when it is younger than the steps of the clock.
bool is_settled(const FileStamp& stamp);

struct Blob {
  std::string name;                                // the path, for error messages
  std::span<const std::byte> bytes;                // valid as long as `owner` lives
  std::shared_ptr<const void> owner;               // may be null for bytes that live for ever
  std::optional<FileStamp> mapped = std::nullopt;  // the file that the bytes are mapped from, if any

  std::string_view text() const { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }
};

/// Maps a whole regular file read-only. Throws Error (missing, not a file, unreadable). An empty file gives
/// empty bytes.
Blob map_file(const std::filesystem::path& path);

/// Asks for large pages where the file system has them: for a file that is read from end to end.
void prefer_large_pages(const Blob& file);

/// Gives the memory of a part of a mapped file back; the file is read again if the part is. Does nothing for
/// bytes that lie elsewhere.
void drop_pages(const Blob& file, std::span<const std::byte> part);

/// A file that appears under its name only when it is whole: an unfinished one beside it until finish().
class AtomicFile {
 public:
  /// Throws Error when it cannot be created.
  explicit AtomicFile(std::filesystem::path path);

  /// Appends. Throws Error (e.g. full disk).
  void write(std::span<const std::byte> bytes);
  /// Makes it lasting (fsync) and gives it its name. Throws Error.
  void finish();

 private:
  [[noreturn]] void fail(const char* what) const;
  std::filesystem::path path_;
  UnfinishedFile file_;
};

/// Writes `text` to `path` so that a reader sees the old file or the whole new one: temporary file, fsync,
/// rename. Throws Error (e.g. full disk) and leaves nothing half-written.
void write_file_atomically(const std::filesystem::path& path, std::string_view text);

}  // namespace touchstone
