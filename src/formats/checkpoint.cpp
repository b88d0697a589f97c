#include "formats/checkpoint.h"

#include <algorithm>

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
  if (found != nullptr) return *found;
  if (const auto other = other_dtypes.find(name); other != other_dtypes.end()) {
    throw Error("model " + id + " stores tensor " + quote(name) + " as " + other->second +
                    ", and only F32, F16 and BF16 are read",
                "use an unquantized checkpoint of this model, or a GGUF file");
  }
  throw Error("model " + id + " has no tensor " + quote(name),
              "download the model again; it may be of another architecture");
}

namespace {

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

std::string compute_sha256(const Checkpoint& checkpoint) {
  std::vector<const Blob*> files;
  for (const Blob& blob : checkpoint.blobs) files.push_back(&blob);
  std::sort(files.begin(), files.end(), [](const Blob* a, const Blob* b) { return a->name < b->name; });
  Sha256 hash;
  for (const Blob* file : files) hash.update(file->bytes);
  return to_hex(hash.finish());
}

}  // namespace touchstone
