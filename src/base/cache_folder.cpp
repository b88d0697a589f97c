#include "base/cache_folder.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "base/descriptor.h"
#include "base/error.h"
#include "base/unfinished_file.h"

namespace touchstone {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kDefaultLimit = 20'000'000'000;
// Such writes give the file large pages in memory, where the file system has them.
constexpr std::size_t kWriteBytes = std::size_t{8} << 20;
constexpr std::string_view kUnfinished = ".unfinished-";

[[noreturn]] void fail(const char* what, const fs::path& path) {
  throw Error(std::string(what) + " " + path.string() + ": " + std::strerror(errno));
}

bool is_unfinished(const fs::path& path) {
  return path.filename().string().find(kUnfinished) != std::string::npos;
}

struct CachedFile {
  fs::path path;
  std::uint64_t bytes;
  fs::file_time_type used;
};

/// Finished files, the least recently used first. Other processes may remove some meanwhile.
std::vector<CachedFile> list_files(const fs::path& folder) {
  std::vector<CachedFile> files;
  std::error_code error;
  for (fs::directory_iterator entry(folder, error), end; !error && entry != end; entry.increment(error)) {
    std::error_code gone;
    if (is_unfinished(entry->path()) || !fs::is_regular_file(entry->symlink_status(gone))) continue;
    const CachedFile file{entry->path(), entry->file_size(gone), entry->last_write_time(gone)};
    if (!gone) files.push_back(file);
  }
  std::sort(files.begin(), files.end(), [](const auto& a, const auto& b) { return a.used < b.used; });
  return files;
}

std::uint64_t sum_bytes(const std::vector<CachedFile>& files) {
  std::uint64_t bytes = 0;
  for (const CachedFile& file : files) bytes += file.bytes;
  return bytes;
}

/// Whoever writes a file holds a lock on it, which ends with the process.
void remove_abandoned(const fs::path& folder) {
  std::error_code error;
  for (fs::directory_iterator entry(folder, error), end; !error && entry != end; entry.increment(error)) {
    if (!is_unfinished(entry->path())) continue;
    const Descriptor file(open(entry->path().c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
    if (file.fd >= 0 && flock(file.fd, LOCK_EX | LOCK_NB) == 0) unlink(entry->path().c_str());
  }
}

void make_room(const fs::path& folder, std::uint64_t bytes) {
  const std::uint64_t limit = find_cache_limit(folder);
  if (bytes > limit) {
    throw Error("a file of " + std::to_string(bytes) + " bytes is more than " + folder.string() +
                " may take (" + std::to_string(limit) + ")");
  }
  const std::vector<CachedFile> files = list_files(folder);
  std::uint64_t used = sum_bytes(files);
  for (const CachedFile& file : files) {
    if (used + bytes <= limit) break;
    unlink(file.path.c_str());
    used -= file.bytes;
  }
}

void write_pieces(int fd, std::span<const std::span<const std::byte>> pieces, const fs::path& path) {
  std::vector<std::byte> block;
  block.reserve(kWriteBytes);
  for (std::span<const std::byte> piece : pieces) {
    while (!piece.empty()) {
      const auto part = piece.first(std::min(piece.size(), kWriteBytes - block.size()));
      block.insert(block.end(), part.begin(), part.end());
      piece = piece.subspan(part.size());
      if (block.size() < kWriteBytes) continue;
      if (!write_all(fd, block)) fail("cannot write", path);
      block.clear();
    }
  }
  if (!write_all(fd, block)) fail("cannot write", path);
}

}  // namespace

fs::path find_cache_folder(std::string_view name) {
  const char* cache = std::getenv("XDG_CACHE_HOME");
  if (cache != nullptr && fs::path(cache).is_absolute()) return fs::path(cache) / "touchstone" / name;
  const char* home = std::getenv("HOME");
  if (home == nullptr || !fs::path(home).is_absolute()) return {};
  return fs::path(home) / ".cache" / "touchstone" / name;
}

std::uint64_t find_cache_limit(const fs::path& folder) {
  if (const char* variable = std::getenv("TOUCHSTONE_CACHE_BYTES")) {
    const std::string_view text = variable;
    std::uint64_t bytes = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), bytes);
    if (error != std::errc() || end != text.data() + text.size()) {
      throw Error("TOUCHSTONE_CACHE_BYTES is '" + std::string(text) + "', not a number of bytes",
                  "set it to a whole number; 0 turns the cache off");
    }
    return bytes;
  }
  std::error_code unknown;
  const fs::space_info space = fs::space(folder, unknown);
  if (unknown) return kDefaultLimit;
  return std::min(kDefaultLimit, (space.available + sum_bytes(list_files(folder))) / 2);
}

void write_cached_file(const fs::path& path, std::span<const std::span<const std::byte>> pieces) {
  const fs::path folder = path.parent_path();
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) throw Error("cannot make " + folder.string() + ": " + error.message());
  remove_abandoned(folder);
  std::uint64_t bytes = 0;
  for (const auto piece : pieces) bytes += piece.size();
  make_room(folder, bytes);

  UnfinishedFile file(path.string() + std::string(kUnfinished) + "XXXXXX");
  if (file.fd() < 0) fail("cannot create a file in", folder);
  // Should another process take it for abandoned before this, the renaming fails.
  if (flock(file.fd(), LOCK_EX | LOCK_NB) != 0) fail("cannot lock", file.name());
  write_pieces(file.fd(), pieces, path);
  if (!file.rename_to(path)) fail("cannot rename to", path);
}

void mark_as_used(const fs::path& path) { utimensat(AT_FDCWD, path.c_str(), nullptr, 0); }

}  // namespace touchstone
