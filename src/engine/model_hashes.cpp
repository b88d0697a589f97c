#include "engine/model_hashes.h"

#include <span>
#include <string_view>

#include "base/sha256.h"
#include "kernels/kernels.h"

namespace touchstone {
namespace {

/// Each part with its length before it, so that other parts cannot add up to the same bytes.
void add(Sha256& hash, std::string_view part) {
  const std::uint64_t bytes[] = {part.size()};
  hash.update(std::as_bytes(std::span(bytes)));
  hash.update(std::as_bytes(std::span(part)));
}

std::string hash_engine(const ModelOptions& options) {
  Sha256 hash;
  add(hash, engine_version());
  add(hash, std::to_string(kPackedVersion));
  add(hash, options.dtype);
  add(hash, options.kv_dtype);
  return to_hex(hash.finish());
}

}  // namespace

std::string engine_version() { return TOUCHSTONE_VERSION; }

ModelHashes hash_model(const LoadedModel& model, const std::stop_token& stop) {
  ModelHashes hashes{.weights = find_sha256(model.checkpoint, stop),
                     .tokenizer = model.tokenizer.sha256(),
                     .chat_template = {},
                     .engine = hash_engine(model.options)};
  if (model.checkpoint.chat_template) hashes.chat_template = hash_text(*model.checkpoint.chat_template);
  return hashes;
}

}  // namespace touchstone
