#include "formats/checkpoint.h"

#include <algorithm>

#include "base/cache_folder.h"
#include "base/error.h"
#include "base/sha256.h"
#include "formats/checked.h"
#include "formats/find_model.h"
#include "formats/model_files.h"
#include "formats/quantized_file.h"

namespace touchstone {

const Tensor* Checkpoint::find_tensor(const std::string& name) const {
  const auto found = tensors.find(name);
  return found == tensors.end() ? nullptr : &found->second;
}

const Tensor& Checkpoint::tensor(const std::string& name) const {
  const Tensor* found = find_tensor(name);
  if (found == nullptr) throw missing_tensor(name);
  return *found;
}

Error Checkpoint::missing_tensor(const std::string& name) const {
  if (const auto other = other_dtypes.find(name); other != other_dtypes.end()) {
    return Error("model " + id + " stores tensor " + quote(name) + " as " + other->second +
                     ", and only F32, F16 and BF16 are read",
                 "use an unquantized checkpoint of this model, or a GGUF file");
  }
  return Error("model " + id + " has no tensor " + quote(name),
               "download the model again; it may be of another architecture");
}

namespace {

constexpr std::size_t kHashedPieceBytes = std::size_t{8} << 20;  // between looks whether to stop

std::vector<const Blob*> files_by_name(const Checkpoint& checkpoint) {
  std::vector<const Blob*> files;
  for (const Blob& blob : checkpoint.blobs) files.push_back(&blob);
  std::sort(files.begin(), files.end(), [](const Blob* a, const Blob* b) { return a->name < b->name; });
  return files;
}

/// Where the weight files' hash is kept: a name that they cannot keep when they change. Empty when they have
/// none (built-in, too young, changed since they were opened), or the cache is off.
std::filesystem::path find_sha256_file(const Checkpoint& checkpoint) {
  Sha256 hash;
  for (const Blob* file : files_by_name(checkpoint)) {
    if (!file->mapped || !is_settled(*file->mapped) || find_file_stamp(file->name) != file->mapped) return {};
    hash.update(std::as_bytes(std::span(&*file->mapped, 1)));
  }
  const std::filesystem::path folder = find_cache_folder("sha256");
  try {
    if (folder.empty() || find_cache_limit(folder) == 0) return {};
  } catch (const Error&) {
    return {};
  }
  return folder / to_hex(hash.finish());
}

std::optional<std::string> read_sha256_file(const std::filesystem::path& path) {
  std::error_code error;
  if (!std::filesystem::exists(path, error)) return std::nullopt;
  try {
    std::string text(map_file(path).text());
    const bool whole = text.size() == 64 && text.find_first_not_of("0123456789abcdef") == std::string::npos;
    return whole ? std::optional(std::move(text)) : std::nullopt;
  } catch (const Error&) {
    return std::nullopt;
  }
}

Checkpoint open_model(std::string_view model, Parts parts) {
  const ModelPlace place = find_model(model);
  Checkpoint checkpoint;
  switch (place.kind) {
    case ModelPlace::Kind::folder:
      checkpoint = read_hugging_face(files_in_folder(place.path), parts);
      break;
    case ModelPlace::Kind::gguf_file:
      checkpoint = read_gguf_model(place.path);
      break;
    case ModelPlace::Kind::safetensors_file:
      checkpoint = read_quantized_model(place.path);
      break;
    case ModelPlace::Kind::embedded:
      checkpoint = read_hugging_face(files_embedded(place.path.string()), parts);
      break;
  }
  checkpoint.id = model;
  return checkpoint;
}

}  // namespace

Checkpoint open_checkpoint(std::string_view model) { return open_model(model, Parts::all); }

Checkpoint open_without_weights(std::string_view model) { return open_model(model, Parts::without_weights); }

std::string compute_sha256(const Checkpoint& checkpoint, const std::stop_token& stop) {
  Sha256 hash;
  for (const Blob* file : files_by_name(checkpoint)) {
    for (std::size_t at = 0; at < file->bytes.size(); at += kHashedPieceBytes) {
      if (stop.stop_requested()) return {};
      const auto piece = file->bytes.subspan(at, std::min(kHashedPieceBytes, file->bytes.size() - at));
      hash.update(piece);
      drop_pages(*file, piece);
    }
  }
  return to_hex(hash.finish());
}

std::string find_sha256(const Checkpoint& checkpoint, const std::stop_token& stop) {
  const std::filesystem::path path = find_sha256_file(checkpoint);
  if (path.empty()) return compute_sha256(checkpoint, stop);
  if (const std::optional<std::string> known = read_sha256_file(path)) return *known;
  std::string sha256 = compute_sha256(checkpoint, stop);
  if (sha256.empty() || find_sha256_file(checkpoint) != path) return sha256;
  try {
    const std::span<const std::byte> pieces[] = {std::as_bytes(std::span(sha256))};
    write_cached_file(path, pieces);
  } catch (const Error&) {  // no room, no permission: it is computed again the next time
  }
  return sha256;
}

}  // namespace touchstone
