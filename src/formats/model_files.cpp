#include "formats/model_files.h"

#include <algorithm>
#include <map>

#include "base/error.h"
#include "base/resources.h"
#include "formats/checked.h"
#include "formats/gguf_model.h"
#include "formats/safetensors.h"
#include "formats/split_name.h"

namespace touchstone {
namespace {

namespace fs = std::filesystem;
namespace json = boost::json;

constexpr const char* kWeights = "model.safetensors";
constexpr const char* kIndex = "model.safetensors.index.json";
// Published templates stay under 20 KB.
constexpr std::size_t kMaxTemplateBytes = 8U << 20U;

std::optional<json::object> find_json(const ModelFiles& files, const std::string& name) {
  const std::optional<Blob> file = files.find(name);
  if (!file) return std::nullopt;
  return parse_json_object(*file);
}

/// A shard's name comes from a file: it must not lead out of the folder.
bool is_plain_file_name(std::string_view name) {
  return !name.empty() && name != "." && name != ".." &&
         name.find_first_of("/\\") == std::string_view::npos && name.find('\0') == std::string_view::npos;
}

/// Tensors' names by shard, as the index lists them.
std::map<std::string, std::vector<std::string>> read_weight_map(const Blob& index) {
  const json::object root = parse_json_object(index);
  const json::value* map = root.if_contains("weight_map");
  if (map == nullptr || !map->is_object())
    throw Error(index.name + " has no weight_map", "download the file again");
  std::map<std::string, std::vector<std::string>> shards;
  for (const auto& [name, shard] : map->get_object()) {
    if (!shard.is_string() || !is_plain_file_name(shard.get_string())) {
      throw Error(index.name + ": tensor " + quote(name) + " is not in a file of this folder",
                  "download the file again");
    }
    shards[std::string(shard.get_string())].emplace_back(name);
  }
  return shards;
}

void read_shards(const ModelFiles& files, const Blob& index, Checkpoint& checkpoint) {
  for (const auto& [shard, names] : read_weight_map(index)) {
    std::optional<Blob> file = files.find(shard);
    if (!file) {
      throw Error(index.name + " names " + quote(shard) + ", which is missing from " + files.label,
                  "finish the download of the model");
    }
    SafetensorsFile content = read_safetensors(*file);
    std::map<std::string, Tensor> tensors;
    for (Tensor& tensor : content.tensors) tensors.emplace(tensor.name, std::move(tensor));
    for (const std::string& name : names) {
      if (const auto found = tensors.find(name); found != tensors.end()) {
        checkpoint.tensors.emplace(name, std::move(found->second));
      } else if (const auto other = content.other_dtypes.find(name); other != content.other_dtypes.end()) {
        checkpoint.other_dtypes.insert(*other);
      } else {
        throw Error(file->name + " lacks tensor " + quote(name) + ", which " + kIndex + " places there",
                    "download both files again");
      }
    }
    checkpoint.blobs.push_back(std::move(*file));
  }
}

bool ends_with_any(const std::string& name, std::initializer_list<std::string_view> endings) {
  return std::any_of(endings.begin(), endings.end(),
                     [&](std::string_view ending) { return name.ends_with(ending); });
}

[[noreturn]] void fail_without_weights(const ModelFiles& files) {
  for (const std::string& name : files.names) {
    if (ends_with_any(name, {".bin", ".pt", ".pth"})) {
      throw Error(
          files.label + " holds its weights only as " + quote(name) +
              ", a pickle, which can run code when it is read",
          "convert it to safetensors (save_pretrained of Transformers does), or download that variant");
    }
  }
  throw Error(files.label + " has no weights: neither model.safetensors nor its index",
              "finish the download of the model, or name its .gguf file");
}

void read_weights(const ModelFiles& files, Checkpoint& checkpoint) {
  std::optional<Blob> file = files.find(kWeights);
  if (!file) {
    if (const std::optional<Blob> index = files.find(kIndex)) return read_shards(files, *index, checkpoint);
    // A lone file under another name, as some fine-tuning tools write it.
    const auto is_weights = [](const std::string& name) { return name.ends_with(".safetensors"); };
    const auto found = std::find_if(files.names.begin(), files.names.end(), is_weights);
    if (found == files.names.end()) fail_without_weights(files);
    if (std::count_if(files.names.begin(), files.names.end(), is_weights) > 1) {
      throw Error(files.label + " has several safetensors files and no " + std::string(kIndex),
                  "finish the download of the model");
    }
    file = files.find(*found);
  }
  SafetensorsFile content = read_safetensors(*file);
  for (Tensor& tensor : content.tensors) {
    std::string name = tensor.name;
    checkpoint.tensors.emplace(std::move(name), std::move(tensor));
  }
  checkpoint.other_dtypes.insert(content.other_dtypes.begin(), content.other_dtypes.end());
  checkpoint.blobs.push_back(std::move(*file));
}

/// A chat_template entry: the text itself, or a list of named ones, of which "default" or else the first is
/// taken.
std::optional<std::string> pick_chat_template(const json::object& object) {
  const json::value* entry = object.if_contains("chat_template");
  if (entry == nullptr) return std::nullopt;
  if (entry->is_string()) return std::string(entry->get_string());
  if (!entry->is_array()) return std::nullopt;
  std::optional<std::string> first;
  for (const json::value& item : entry->get_array()) {
    const json::object* named = item.if_object();
    const json::value* name = named != nullptr ? named->if_contains("name") : nullptr;
    const json::value* text = named != nullptr ? named->if_contains("template") : nullptr;
    if (text == nullptr || !text->is_string()) continue;
    if (name != nullptr && name->is_string() && name->get_string() == "default")
      return std::string(text->get_string());
    if (!first) first = std::string(text->get_string());
  }
  return first;
}

std::string read_template(const Blob& file) {
  if (file.bytes.size() > kMaxTemplateBytes) {
    throw Error(
        file.name + " is " + std::to_string(file.bytes.size() >> 20U) + " MiB, too large for a chat template",
        "download the file again");
  }
  return std::string(file.text());
}

std::optional<std::string> find_chat_template(const ModelFiles& files, const Checkpoint& checkpoint) {
  if (const auto file = files.find("chat_template.jinja")) return read_template(*file);
  if (const auto object = find_json(files, "chat_template.json")) {
    if (auto text = pick_chat_template(*object)) return text;
  }
  if (checkpoint.tokenizer_config_json) return pick_chat_template(*checkpoint.tokenizer_config_json);
  return std::nullopt;
}

std::vector<fs::path> list_split_files(const fs::path& path) {
  std::optional<SplitName> split = parse_split_name(path.filename().string());
  if (!split) return {path};
  std::vector<fs::path> result;
  for (split->part = 1; split->part <= split->count; ++split->part) {
    result.push_back(path.parent_path() / make_split_name(*split));
    std::error_code error;
    if (!fs::exists(result.back(), error) && !error) {
      throw Error("part " + std::to_string(split->part) + " of " + std::to_string(split->count) +
                      " is missing: " + result.back().string(),
                  "download all parts into one folder");
    }
  }
  return result;
}

}  // namespace

ModelFiles files_in_folder(const fs::path& folder) {
  ModelFiles files;
  files.label = folder.string();
  std::error_code error;
  for (fs::directory_iterator entry(folder, error), end; !error && entry != end; entry.increment(error)) {
    std::error_code ignored;
    if (!fs::is_directory(entry->path(), ignored)) files.names.push_back(entry->path().filename().string());
  }
  if (error)
    throw Error("cannot read folder " + folder.string() + ": " + error.message(), "check its permissions");
  std::sort(files.names.begin(), files.names.end());
  files.find = [folder, names = files.names](const std::string& name) -> std::optional<Blob> {
    // A link that leads nowhere is listed, and named by map_file().
    if (!std::binary_search(names.begin(), names.end(), name)) return std::nullopt;
    return map_file(folder / name);
  };
  return files;
}

ModelFiles files_embedded(const std::string& prefix) {
  ModelFiles files;
  files.label = "the built-in " + prefix;
  for (const EmbeddedFile& file : embedded_files()) {
    if (file.path.starts_with(prefix)) files.names.emplace_back(file.path.substr(prefix.size()));
  }
  std::sort(files.names.begin(), files.names.end());
  files.find = [prefix](const std::string& name) { return find_embedded(prefix + name); };
  return files;
}

Checkpoint read_hugging_face(const ModelFiles& files, Parts parts) {
  Checkpoint checkpoint;
  checkpoint.format = "safetensors";
  std::optional<json::object> config = find_json(files, "config.json");
  if (!config && parts == Parts::all) {
    throw Error(files.label + " has no config.json", "name a folder in Hugging Face format, or a .gguf file");
  }
  if (config) checkpoint.config = std::move(*config);
  if (auto object = find_json(files, "generation_config.json"))
    checkpoint.generation_config = std::move(*object);
  checkpoint.tokenizer_json = find_json(files, "tokenizer.json");
  checkpoint.tokenizer_config_json = find_json(files, "tokenizer_config.json");
  checkpoint.chat_template = find_chat_template(files, checkpoint);
  if (parts == Parts::all) read_weights(files, checkpoint);
  return checkpoint;
}

Checkpoint read_gguf_model(const fs::path& path) {
  Checkpoint checkpoint;
  std::optional<GgufFile> first;
  std::vector<Tensor> tensors;
  for (const fs::path& part : list_split_files(path)) {
    Blob blob = map_file(part);
    GgufFile file = read_gguf(blob);
    tensors.insert(tensors.end(), std::make_move_iterator(file.tensors.begin()),
                   std::make_move_iterator(file.tensors.end()));
    if (!first) first = std::move(file);
    checkpoint.blobs.push_back(std::move(blob));
  }
  const auto declared = first->metadata.find("split.count");
  const auto parts = declared == first->metadata.end() ? 1 : to_integer(declared->second);
  if (!parts || *parts < 0) {
    throw Error(checkpoint.blobs.front().name + ": metadata 'split.count' is not a number of files",
                "download the file again");
  }
  if (std::cmp_greater(*parts, checkpoint.blobs.size()) && *parts > 1) {
    throw Error(path.string() + " is one of " + std::to_string(*parts) + " parts, but is not named like one",
                "give the parts their names back: NAME-00001-of-0000N.gguf");
  }
  fill_from_gguf(*first, std::move(tensors), checkpoint.blobs.front().name, checkpoint);
  return checkpoint;
}

}  // namespace touchstone
