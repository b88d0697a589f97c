#include "model/packed_cache.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <type_traits>

#include "base/cache_folder.h"
#include "base/error.h"
#include "base/sha256.h"
#include "kernels/parallel.h"

namespace touchstone {
namespace {

namespace fs = std::filesystem;

using Bytes = std::span<const std::byte>;

static_assert(std::endian::native == std::endian::little, "the file's numbers are written as they lie");

constexpr std::array<char, 8> kMagic = {'T', 'S', 'P', 'A', 'C', 'K', 'E', 'D'};
constexpr std::uint32_t kFileVersion = 1;
constexpr std::size_t kPageBytes = 4096;
constexpr std::size_t kChunkBytes = std::size_t{2} << 20;  // what a thread sums up at a time
constexpr int kSamples = 16;                               // pages of each weight file

struct Preamble {
  std::array<char, 8> magic;
  std::uint32_t version, num_matrices;
  std::uint64_t file_bytes, checksum;
  PackedKey key;
};
static_assert(sizeof(Preamble) == 64);

struct Entry {
  std::int32_t rows, columns;
  std::uint32_t format, unused;
  std::uint64_t panel_bytes, offset;  // in the file
};
static_assert(sizeof(Entry) == 32 && std::has_unique_object_representations_v<Entry>);

std::size_t round_to_page(std::size_t bytes) { return (bytes + kPageBytes - 1) / kPageBytes * kPageBytes; }

/// Eight lanes of words, each step one-to-one in the sum and in the word: one changed word always shows.
std::uint64_t sum_chunk(Bytes chunk) {
  constexpr std::uint64_t kMultiplier = 0x9E3779B97F4A7C15;
  const auto step = [](std::uint64_t sum, std::uint64_t word) {
    return std::rotl((sum ^ word) * kMultiplier, 31);
  };
  std::array<std::uint64_t, 8> lanes = {1, 2, 3, 4, 5, 6, 7, 8};
  std::array<std::uint64_t, 8> words{};
  std::size_t at = 0;
  for (; at + sizeof words <= chunk.size(); at += sizeof words) {
    std::memcpy(words.data(), chunk.data() + at, sizeof words);
    for (std::size_t i = 0; i < lanes.size(); ++i) lanes[i] = step(lanes[i], words[i]);
  }
  words = {};
  if (at < chunk.size()) std::memcpy(words.data(), chunk.data() + at, chunk.size() - at);
  std::uint64_t sum = chunk.size();
  for (std::size_t i = 0; i < lanes.size(); ++i) sum = step(sum, step(lanes[i], words[i]));
  return sum;
}

std::uint64_t sum_pieces(std::span<const Bytes> pieces, ThreadPool& pool) {
  std::vector<Bytes> chunks;
  for (const Bytes piece : pieces) {
    for (std::size_t at = 0; at < piece.size(); at += kChunkBytes) {
      chunks.push_back(piece.subspan(at, std::min(kChunkBytes, piece.size() - at)));
    }
  }
  std::vector<std::uint64_t> sums(chunks.size());
  for_each(pool, static_cast<std::int32_t>(chunks.size()), [&](std::int32_t i, int) {
    sums[static_cast<std::size_t>(i)] = sum_chunk(chunks[static_cast<std::size_t>(i)]);
  });
  return sum_chunk(std::as_bytes(std::span(sums)));
}

/// The bytes before the first tensor.
Bytes header_of(const Blob& file, const Checkpoint& checkpoint) {
  const std::byte* end = file.bytes.data() + file.bytes.size();
  for (const auto& [name, tensor] : checkpoint.tensors) {
    const std::byte* begin = tensor.bytes.data();
    if (begin >= file.bytes.data() && begin < end) end = begin;
  }
  return {file.bytes.data(), end};
}

void add_weight_file(Sha256& hash, const Blob& file, Bytes header) {
  hash.update(std::as_bytes(std::span(&*file.mapped, 1)));
  hash.update(header);
  const std::size_t pages = (file.bytes.size() - header.size()) / kPageBytes;
  for (std::size_t i = 0; i < kSamples && pages > 0; ++i) {
    hash.update(file.bytes.subspan(header.size() + pages * i / kSamples * kPageBytes, kPageBytes));
  }
}

bool have_same_form(const PackedMatrix& a, const PackedMatrix& b) {
  return a.rows == b.rows && a.columns == b.columns && a.format == b.format && a.panel_bytes == b.panel_bytes;
}

/// The file's matrices. Throws Error, saying what is wrong with it.
std::vector<PackedMatrix> read_matrices(const Blob& file, const PackedKey& key, ThreadPool& pool) {
  Preamble preamble{};
  if (file.bytes.size() < sizeof preamble) throw Error(file.name + " is truncated");
  std::memcpy(&preamble, file.bytes.data(), sizeof preamble);
  if (preamble.magic != kMagic) throw Error(file.name + " is of another kind");
  if (preamble.version != kFileVersion) throw Error(file.name + " is of another version");
  if (preamble.file_bytes != file.bytes.size()) throw Error(file.name + " is truncated");
  if (preamble.key != key) throw Error(file.name + " is of another model");
  const Bytes rest = file.bytes.subspan(sizeof preamble);
  if (preamble.num_matrices > rest.size() / sizeof(Entry)) throw Error(file.name + " is damaged");
  std::vector<Entry> entries(preamble.num_matrices);
  const Bytes table = rest.first(entries.size() * sizeof(Entry));
  std::memcpy(entries.data(), table.data(), table.size());

  std::vector<PackedMatrix> matrices;
  std::vector<Bytes> pieces = {table};
  for (const Entry& entry : entries) {
    PackedMatrix matrix{.rows = entry.rows,
                        .columns = entry.columns,
                        .format = static_cast<PanelFormat>(entry.format),
                        .panel_bytes = entry.panel_bytes,
                        .panels = {},
                        .owner = file.owner};
    std::size_t end = 0;
    if (entry.rows <= 0 || entry.rows > INT32_MAX - kLanes || entry.offset % kPageBytes != 0 ||
        __builtin_mul_overflow(entry.panel_bytes, static_cast<std::size_t>(matrix.num_panels()), &end) ||
        __builtin_add_overflow(end, entry.offset, &end) || end > file.bytes.size()) {
      throw Error(file.name + " is damaged");
    }
    matrix.panels = file.bytes.subspan(entry.offset, matrix.bytes());
    pieces.push_back(matrix.panels);
    matrices.push_back(std::move(matrix));
  }
  if (sum_pieces(pieces, pool) != preamble.checksum) throw Error(file.name + " is damaged");
  return matrices;
}

}  // namespace

std::optional<PackedKey> find_packed_key(const Checkpoint& checkpoint, PackAs as) {
  Sha256 hash;
  const std::uint32_t numbers[] = {kFileVersion, kPackedVersion, static_cast<std::uint32_t>(as)};
  hash.update(std::as_bytes(std::span(numbers)));
  const std::string config = boost::json::serialize(checkpoint.config);
  hash.update(std::as_bytes(std::span(config)));
  for (const Blob& file : checkpoint.blobs) {
    if (!file.mapped || !is_settled(*file.mapped)) return std::nullopt;
    add_weight_file(hash, file, header_of(file, checkpoint));
  }
  return hash.finish();
}

PackedCache::PackedCache(const Checkpoint& checkpoint, PackAs as, const ModelOptions& options,
                         ThreadPool& pool)
    : sources_(checkpoint.blobs), least_bytes_(options.least_cached_bytes), pool_(pool) {
  if (!options.packed_cache) return;
  const fs::path folder = find_cache_folder("packed");
  const std::optional<PackedKey> key = find_packed_key(checkpoint, as);
  if (folder.empty() || !key) return;
  try {
    if (find_cache_limit(folder) == 0) return;
  } catch (const Error& error) {
    spdlog::warn("packed weights are not cached: {}; {}", error.what(), error.hint());
    return;
  }
  key_ = *key;
  path_ = folder / to_hex(key_);
  cached_ = read();
}

std::optional<PackedMatrix> PackedCache::take(const PackedMatrix& plan) const {
  const std::size_t next = matrices_.size();
  if (next >= cached_.size() || !have_same_form(cached_[next], plan)) return std::nullopt;
  return cached_[next];
}

PackedCacheUse PackedCache::finish() {
  const auto is_from_file = [](const PackedMatrix& matrix, const PackedMatrix& cached) {
    return matrix.panels.data() == cached.panels.data();
  };
  std::uint64_t bytes = 0;
  for (const PackedMatrix& matrix : matrices_) bytes += matrix.bytes();
  if (path_.empty() || bytes < least_bytes_) return PackedCacheUse::off;
  if (std::equal(matrices_.begin(), matrices_.end(), cached_.begin(), cached_.end(), is_from_file)) {
    mark_as_used(path_);
    return PackedCacheUse::hit;
  }
  const bool changed = std::any_of(sources_.begin(), sources_.end(), [](const Blob& source) {
    return find_file_stamp(source.name) != source.mapped;
  });
  if (!changed) write();
  return PackedCacheUse::miss;
}

std::vector<PackedMatrix> PackedCache::read() {
  std::error_code error;
  if (!fs::exists(path_, error)) return {};
  try {
    const Blob file = map_file(path_);
    prefer_large_pages(file);
    return read_matrices(file, key_, pool_);
  } catch (const Error& damage) {
    spdlog::warn("packed weights: {}; it is made again", damage.what());
    fs::remove(path_, error);
    return {};
  }
}

void PackedCache::write() {
  std::vector<Entry> entries;
  std::size_t end = round_to_page(sizeof(Preamble) + matrices_.size() * sizeof(Entry));
  for (const PackedMatrix& matrix : matrices_) {
    entries.push_back({.rows = matrix.rows,
                       .columns = matrix.columns,
                       .format = static_cast<std::uint32_t>(matrix.format),
                       .unused = 0,
                       .panel_bytes = matrix.panel_bytes,
                       .offset = end});
    end += round_to_page(matrix.bytes());
  }
  const Bytes table = std::as_bytes(std::span(entries));
  std::vector<Bytes> summed = {table};
  for (const PackedMatrix& matrix : matrices_) summed.push_back(matrix.panels);
  const Preamble preamble{.magic = kMagic,
                          .version = kFileVersion,
                          .num_matrices = static_cast<std::uint32_t>(entries.size()),
                          .file_bytes = end,
                          .checksum = sum_pieces(summed, pool_),
                          .key = key_};
  std::vector<Bytes> pieces = {std::as_bytes(std::span(&preamble, 1))};
  std::size_t written = sizeof preamble;
  static constexpr std::array<std::byte, kPageBytes> kPadding{};
  for (const Bytes piece : summed) {
    pieces.push_back(piece);
    written += piece.size();
    pieces.push_back(Bytes(kPadding).first(round_to_page(written) - written));
    written = round_to_page(written);
  }
  try {
    write_cached_file(path_, pieces);
  } catch (const Error& error) {
    spdlog::info("packed weights are not cached: {}", error.what());
  }
}

}  // namespace touchstone
