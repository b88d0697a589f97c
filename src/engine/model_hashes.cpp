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

void add(Sha256& hash, const std::vector<std::string>& parts) {
  add(hash, std::to_string(parts.size()));
  for (const std::string& part : parts) add(hash, part);
}

std::string hash_tokenizer(const Checkpoint& checkpoint) {
  Sha256 hash;
  if (checkpoint.tokenizer_json) {
    add(hash, boost::json::serialize(*checkpoint.tokenizer_json));
    if (checkpoint.tokenizer_config_json)
      add(hash, boost::json::serialize(*checkpoint.tokenizer_config_json));
  } else if (checkpoint.gguf_tokenizer) {
    const GgufTokenizer& t = *checkpoint.gguf_tokenizer;
    add(hash, t.pre);
    add(hash, t.tokens);
    add(hash, t.merges);
    hash.update(std::as_bytes(std::span(t.token_types)));
    const std::int32_t ends[] = {t.bos_id.value_or(-1), t.eos_id.value_or(-1), t.eot_id.value_or(-1),
                                 t.add_bos ? 1 : 0, t.add_eos ? 1 : 0};
    hash.update(std::as_bytes(std::span(ends)));
    hash.update(std::as_bytes(std::span(t.eog_ids)));
  }
  return to_hex(hash.finish());
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
                     .tokenizer = hash_tokenizer(model.checkpoint),
                     .chat_template = {},
                     .engine = hash_engine(model.options)};
  if (model.checkpoint.chat_template) hashes.chat_template = hash_text(*model.checkpoint.chat_template);
  return hashes;
}

}  // namespace touchstone
