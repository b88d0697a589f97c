// Packed weights on disk: a model's second start maps them instead of packing them again.
#pragma once

#include <array>
#include <cstddef>
#include <filesystem>
#include <optional>
#include <span>
#include <vector>

#include "base/thread_pool.h"
#include "formats/checkpoint.h"
#include "kernels/kernels.h"
#include "model/transformer.h"

namespace touchstone {

using PackedKey = std::array<std::byte, 32>;

/// SHA-256 of all that the packed bytes depend on: the versions of packing and of the cache's files,
/// `as`, config, and the weight files. Reading those whole would take as long as packing them, so they stand
/// by their stamps (device, inode, size, times of modification and of change), the bytes before their first
/// tensor (names, shapes, types, metadata) and a few samples of the rest. A file changed in place can't keep
/// its stamp: the system alone sets the time of change, and a file younger than that clock's steps has no
/// key. Header and samples are for file systems that don't keep these times. Nothing when there is no key:
/// weights that are no files, or too young.
std::optional<PackedKey> find_packed_key(const Checkpoint& checkpoint, PackAs as);

/// One checkpoint's packed matrices, in the order in which the loader asks for them, in one file of
/// find_cache_folder("packed") that is named by their key. Whatever goes wrong with it, the loader packs as
/// if there were no cache, and a line in the log says so.
///
/// The mapped file is used as it lies: no copy, and one for all processes. Where the file system keeps it in
/// large pages (ext4 and xfs of current kernels, because it is written in large pieces), decoding is as fast
/// as from memory of our own; from pages of 4 KB it is as fast or up to 5 % slower.
///
/// The file: "TSPACKED", version, number of matrices, size, checksum, key, 64 bytes in all; for each matrix
/// its form and place; the panels, each matrix on pages of its own. The checksum is over all that follows
/// the first 64 bytes, except padding, and a single changed byte always shows. It is verified at each start,
/// by all threads, at the speed of memory: in about the time of a decode step.
class PackedCache {
 public:
  /// Reads the checkpoint's file, unless `options` or TOUCHSTONE_CACHE_BYTES=0 turn the cache off.
  PackedCache(const Checkpoint& checkpoint, PackAs as, const ModelOptions& options, ThreadPool& pool);

  /// The next matrix of the file; nothing if the file lacks it, or has another form than `plan`.
  std::optional<PackedMatrix> take(const PackedMatrix& plan) const;

  /// Notes the next matrix for the file.
  void add(PackedMatrix matrix) { matrices_.push_back(std::move(matrix)); }

  /// Writes the file, unless all matrices are from it, or smaller together than `options` ask for, or the
  /// weight files have changed meanwhile.
  PackedCacheUse finish();

 private:
  std::vector<PackedMatrix> read();
  void write();

  std::vector<Blob> sources_;
  std::uint64_t least_bytes_;
  ThreadPool& pool_;
  PackedKey key_{};
  std::filesystem::path path_;          // empty: the cache is not used
  std::vector<PackedMatrix> cached_;    // from the file
  std::vector<PackedMatrix> matrices_;  // those that the loader has got, from the file or packed
};

}  // namespace touchstone
