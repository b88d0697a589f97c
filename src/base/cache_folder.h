// Folders of files that can be made again: bounded in size, shared by any number of processes.
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

namespace touchstone {

/// $XDG_CACHE_HOME/touchstone/NAME, else ~/.cache/touchstone/NAME; empty when the environment has neither.
std::filesystem::path find_cache_folder(std::string_view name);

/// The most bytes that the folder's files may take: TOUCHSTONE_CACHE_BYTES, or else 20 GB, but no more than
/// half of what they and the free disk come to. Throws Error when the variable is not a whole number.
std::uint64_t find_cache_limit(const std::filesystem::path& folder);

/// Writes the pieces, one after another, to a file of a cache folder, which is made if need be; the least
/// recently used files make room for it. A reader sees the whole file or none: it is renamed when it is
/// complete, and what another process left unfinished is removed. There is no fsync, which would take as
/// long as the disk does: after a power failure the file may lack bytes, so readers must check what they
/// read. Throws Error (no permission, no room), and then leaves nothing.
void write_cached_file(const std::filesystem::path& path, std::span<const std::span<const std::byte>> pieces);

/// Counts as a use of the file; no error where that cannot be noted.
void mark_as_used(const std::filesystem::path& path);

}  // namespace touchstone
