// formats/: bytes on disk -> named tensors. safetensors folders and GGUF files, found by path or in a hub
// cache. Enter here: find_model() turns what the user named into a place, open_checkpoint() reads it.
#pragma once

#include <boost/json.hpp>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/blob.h"
#include "base/dtype.h"
#include "base/error.h"

namespace touchstone {

struct Tensor {
  std::string name;
  DType dtype;
  std::vector<std::int64_t> shape;  // outermost first, as in Hugging Face: a matrix is [out, in]
  std::span<const std::byte>
      bytes;  // row-major, rows of dtype_bytes(dtype, last of shape); block types lie along the last axis
};

/// The tokenizer that a GGUF file carries in its metadata (tokenizer.ggml.*).
struct GgufTokenizer {
  std::string pre;  // pre-tokenizer name: "qwen2", "deepseek-r1-qwen", "llama-bpe", "smollm", "gpt-2", …
  std::vector<std::string> tokens;        // byte-level spelling, index = id
  std::vector<std::int32_t> token_types;  // 1 normal, 2 unknown, 3 control, 4 user-defined, 5 unused, 6 byte
  std::vector<std::string> merges;        // "left right"
  std::optional<std::int32_t> bos_id, eos_id, eot_id, unk_id, pad_id;
  std::vector<std::int32_t> eog_ids;  // further ids that end generation, if the file names them
  bool add_bos = false, add_eos = false, add_space_prefix = false;
};

/// Everything read from one model's files; plain data, nothing interpreted. Tensors view the mapped files in
/// `blobs`.
struct Checkpoint {
  std::string id;      // what the user named
  std::string format;  // "safetensors", "gguf", or "touchstone" (formats/quantized_file.h)
  boost::json::object
      config;  // config.json; for GGUF the same keys made from its metadata (model_type, hidden_size, …)
  boost::json::object generation_config;                     // generation_config.json, or empty
  std::optional<boost::json::object> tokenizer_json;         // tokenizer.json
  std::optional<boost::json::object> tokenizer_config_json;  // tokenizer_config.json
  std::optional<GgufTokenizer> gguf_tokenizer;
  std::optional<std::string>
      chat_template;  // chat_template.jinja, tokenizer_config's or GGUF's; the default one of several
  boost::json::object gguf_metadata;  // scalar metadata of a GGUF file, for `inspect`
  std::unordered_map<std::string, Tensor>
      tensors;  // by Hugging Face name: "model.layers.0.self_attn.q_proj.weight", …
  std::unordered_map<std::string, std::string>
      other_dtypes;         // tensors that are stored but not read: name -> dtype
  std::vector<Blob> blobs;  // what the tensors view

  /// The tensor of this name. Throws Error naming it and the model when it is missing or of a dtype that is
  /// not read.
  const Tensor& tensor(const std::string& name) const;
  const Tensor* find_tensor(const std::string& name) const;
  /// What tensor() throws for one that find_tensor() does not find.
  Error missing_tensor(const std::string& name) const;
};

/// GGUF names are translated to Hugging Face's (blk.0.attn_q.weight ->
/// model.layers.0.self_attn.q_proj.weight); shapes are reversed to outermost first; rope_freqs.weight keeps
/// its name. For GGUF of architecture llama, the rows of q and k are stored for interleaved rotation: config
/// gets "rope_interleaved": true, and model/ undoes it when it packs the weights. Throws Error on anything
/// malformed: what is wrong, in which file and tensor, what to do.
Checkpoint open_checkpoint(std::string_view model);

/// The same without weights, for what needs only text (tokenize, render): a folder may lack weights and
/// config.json, and what it lacks is left empty.
Checkpoint open_without_weights(std::string_view model);

/// SHA-256 over the weight files' bytes, as lower-case hex; empty when told to stop before it is done.
std::string compute_sha256(const Checkpoint& checkpoint, const std::stop_token& stop = {});

/// The same, kept in find_cache_folder("sha256") under the files' stamps, so that large files are read once.
std::string find_sha256(const Checkpoint& checkpoint, const std::stop_token& stop = {});

struct CachedModel {
  std::string id;        // ORG/NAME or path
  std::string revision;  // or empty
  std::string where;     // "huggingface", "modelscope", "built-in"
  std::filesystem::path path;
  std::uint64_t bytes;
};

/// What the local caches hold (`touchstone list`), built-in models first. Reads directories only; never the
/// network.
std::vector<CachedModel> list_cached_models();

}  // namespace touchstone
