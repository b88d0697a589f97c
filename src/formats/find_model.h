// Where the model lies that the user named: a path, a hub id in a local cache, or the binary itself. Reads
// directories only.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

namespace touchstone {

struct ModelPlace {
  enum class Kind { folder, gguf_file, safetensors_file, embedded };
  Kind kind;
  std::filesystem::path path;  // for `embedded`, the prefix of its files: "demo/native/"
};

/// Finds MODEL: an existing folder, .gguf or .safetensors file first, then `demo:NAME`, then ORG/NAME[@REV]
/// in the local caches (Hugging Face's HF_HUB_CACHE, HF_HOME and ~/.cache/huggingface, snapshot of refs/main
/// first and else the newest one that has weights; plain ORG/NAME folders there; ModelScope's). REV is a
/// branch, a tag or the start of a commit. Throws Error listing where it looked.
ModelPlace find_model(std::string_view model);

}  // namespace touchstone
