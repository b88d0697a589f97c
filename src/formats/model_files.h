// A model's files by name, wherever they lie: a folder, or the binary itself.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "formats/checkpoint.h"

namespace touchstone {

struct ModelFiles {
  std::string label;                                                 // the folder, for messages
  std::function<std::optional<Blob>(const std::string& name)> find;  // nothing when there is no such file
  std::vector<std::string> names;  // what there is, sorted; not below subfolders
};

/// The files of a folder; links (as hub caches use) are followed.
ModelFiles files_in_folder(const std::filesystem::path& folder);

/// The files embedded under `prefix` ("demo/native/").
ModelFiles files_embedded(const std::string& prefix);

enum class Parts { all, without_weights };

/// Reads a model in Hugging Face format: config.json, safetensors (one file or shards with an index), and
/// what there is of generation_config.json, tokenizer.json, tokenizer_config.json and the chat template.
/// Throws Error.
Checkpoint read_hugging_face(const ModelFiles& files, Parts parts);

/// Reads a .gguf file, or all files of a split model when `path` is one of them ("NAME-00001-of-00003.gguf").
Checkpoint read_gguf_model(const std::filesystem::path& path);

}  // namespace touchstone
