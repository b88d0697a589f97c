// The folders in which Hugging Face's and ModelScope's tools keep what they downloaded.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace touchstone {

/// Cache roots in the order in which they are searched, from the environment; each path once. They need not
/// exist.
struct CacheRoots {
  std::vector<std::filesystem::path> hub;         // hold models--ORG--NAME
  std::vector<std::filesystem::path> plain;       // hold ORG/NAME
  std::vector<std::filesystem::path> modelscope;  // hold ORG/NAME, with "." of NAME written "___"
};
CacheRoots find_cache_roots();

struct Snapshot {
  std::string revision;  // the commit
  std::filesystem::path path;
};

/// The snapshots under a models--ORG--NAME folder, best first: that of refs/main, then the newest; those with
/// weights before those without.
std::vector<Snapshot> list_snapshots(const std::filesystem::path& repository);

/// The snapshot of a branch, a tag, or a commit by its first digits; nothing when it is not there. Throws
/// Error when several commits begin so.
std::optional<Snapshot> find_snapshot(const std::filesystem::path& repository, const std::string& revision);

/// Whether a folder holds weights in a format that is read.
bool has_weights(const std::filesystem::path& folder);

/// Its .gguf files, sorted; of a split model only the first part.
std::vector<std::filesystem::path> list_gguf_files(const std::filesystem::path& folder);

/// The folders below `parent`, sorted by name; empty when it cannot be read.
std::vector<std::filesystem::path> list_folders(const std::filesystem::path& parent);

}  // namespace touchstone
