#include "engine/model_hashes.h"

#include "base/sha256.h"
#include "kernels/kernels.h"

namespace touchstone {
namespace {

std::string hash_engine(const ModelOptions& options, bool sums_in_tiles) {
  Sha256 hash;
  hash.update_with_length(engine_version());
  hash.update_with_length(std::to_string(kPackedVersion));
  hash.update_with_length(options.dtype);
  hash.update_with_length(options.kv_dtype);
  if (sums_in_tiles) hash.update_with_length("sums in tiles");
  return to_hex(hash.finish());
}

}  // namespace

std::string engine_version() { return TOUCHSTONE_VERSION; }

ModelHashes hash_model(const LoadedModel& model, const std::stop_token& stop) {
  ModelHashes hashes{.weights = find_sha256(model.checkpoint, stop),
                     .tokenizer = model.tokenizer.sha256(),
                     .chat_template = {},
                     .engine = hash_engine(model.options, model.transformer->sums_in_tiles())};
  if (model.checkpoint.chat_template) hashes.chat_template = hash_text(*model.checkpoint.chat_template);
  return hashes;
}

}  // namespace touchstone
