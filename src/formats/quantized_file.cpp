#include "formats/quantized_file.h"

#include <cstring>
#include <optional>
#include <utility>

#include "base/error.h"
#include "formats/checked.h"
#include "formats/safetensors.h"

namespace touchstone {
namespace {

namespace json = boost::json;

constexpr const char* kVersionKey = "touchstone_version";
constexpr const char* kVersion = "1";
constexpr const char* kQuantizeAgain = "quantize the model again";

// ---- The tokenizer of a GGUF file ----

json::value id_or_null(std::optional<std::int32_t> id) { return id ? json::value(*id) : json::value(); }

json::object to_json(const GgufTokenizer& t) {
  return {{"pre", t.pre},
          {"tokens", json::value_from(t.tokens)},
          {"token_types", json::value_from(t.token_types)},
          {"merges", json::value_from(t.merges)},
          {"bos_id", id_or_null(t.bos_id)},
          {"eos_id", id_or_null(t.eos_id)},
          {"eot_id", id_or_null(t.eot_id)},
          {"unk_id", id_or_null(t.unk_id)},
          {"pad_id", id_or_null(t.pad_id)},
          {"eog_ids", json::value_from(t.eog_ids)},
          {"add_bos", t.add_bos},
          {"add_eos", t.add_eos},
          {"add_space_prefix", t.add_space_prefix}};
}

/// The field through boost::json's own conversion. Throws Error when it is missing or of another kind.
template <class T>
T read_field(const Blob& file, const json::object& object, const char* key) {
  const json::value* field = object.if_contains(key);
  const auto result =
      field != nullptr ? json::try_value_to<T>(*field) : json::result<T>(json::error::not_found);
  if (!result) throw Error(file.name + ": its tokenizer has no valid " + quote(key), kQuantizeAgain);
  return *result;
}

/// A token's id, or nothing for null.
std::optional<std::int32_t> read_id(const Blob& file, const json::object& object, const char* key,
                                    std::size_t num_tokens) {
  const json::value* field = object.if_contains(key);
  if (field == nullptr || field->is_null()) return std::nullopt;
  const auto id = read_field<std::int32_t>(file, object, key);
  if (id < 0 || std::cmp_greater_equal(id, num_tokens)) {
    throw Error(file.name + ": its tokenizer's " + key + " is not among its tokens", kQuantizeAgain);
  }
  return id;
}

GgufTokenizer read_tokenizer(const Blob& file, const json::object& object) {
  GgufTokenizer t;
  t.pre = read_field<std::string>(file, object, "pre");
  t.tokens = read_field<std::vector<std::string>>(file, object, "tokens");
  t.token_types = read_field<std::vector<std::int32_t>>(file, object, "token_types");
  t.merges = read_field<std::vector<std::string>>(file, object, "merges");
  if (t.tokens.empty() || t.token_types.size() != t.tokens.size()) {
    throw Error(file.name + ": its tokenizer does not give each token its type", kQuantizeAgain);
  }
  t.bos_id = read_id(file, object, "bos_id", t.tokens.size());
  t.eos_id = read_id(file, object, "eos_id", t.tokens.size());
  t.eot_id = read_id(file, object, "eot_id", t.tokens.size());
  t.unk_id = read_id(file, object, "unk_id", t.tokens.size());
  t.pad_id = read_id(file, object, "pad_id", t.tokens.size());
  for (const std::int32_t id : read_field<std::vector<std::int32_t>>(file, object, "eog_ids")) {
    if (id >= 0 && std::cmp_less(id, t.tokens.size())) t.eog_ids.push_back(id);
  }
  t.add_bos = read_field<bool>(file, object, "add_bos");
  t.add_eos = read_field<bool>(file, object, "add_eos");
  t.add_space_prefix = read_field<bool>(file, object, "add_space_prefix");
  return t;
}

// ---- Reading ----

/// One of the metadata's JSON texts, or nothing.
std::optional<json::object> find_object(const Blob& file, const SafetensorsFile& content,
                                        const std::string& key) {
  const auto found = content.metadata.find(key);
  if (found == content.metadata.end()) return std::nullopt;
  return parse_json_object(
      {file.name + ": its " + quote(key), std::as_bytes(std::span(found->second)), nullptr});
}

std::optional<DType> parse_block_type(const json::value* name) {
  if (name == nullptr || !name->is_string()) return std::nullopt;
  for (const DType dtype : {DType::int8_128, DType::int6_128, DType::int4_128}) {
    if (name->get_string() == dtype_info(dtype).name) return dtype;
  }
  return std::nullopt;
}

/// The matrix that these bytes, [rows, bytes of a row], are. Throws Error unless they fit `described`.
Tensor read_blocks(const Blob& file, const Tensor& bytes, const json::value& described) {
  constexpr std::int64_t kMostColumns = 1 << 24;
  const json::object* fields = described.if_object();
  const auto dtype = parse_block_type(fields != nullptr ? fields->if_contains("dtype") : nullptr);
  const json::value* columns = fields != nullptr ? fields->if_contains("columns") : nullptr;
  const bool sound =
      dtype && columns != nullptr && columns->is_int64() && columns->get_int64() > 0 &&
      columns->get_int64() <= kMostColumns && bytes.shape.size() == 2 &&
      std::cmp_equal(bytes.shape[1], dtype_bytes(*dtype, static_cast<std::size_t>(columns->get_int64())));
  if (!sound) {
    throw Error(file.name + ": tensor " + quote(bytes.name) + " is not of the size that its blocks need",
                kQuantizeAgain);
  }
  return {bytes.name, *dtype, {bytes.shape[0], columns->get_int64()}, bytes.bytes};
}

// ---- Writing ----

std::uint64_t count_bytes(const PlannedTensor& tensor) {
  std::uint64_t rows = 1;
  for (std::size_t i = 0; i + 1 < tensor.shape.size(); ++i)
    rows *= static_cast<std::uint64_t>(tensor.shape[i]);
  return rows * dtype_bytes(tensor.dtype, static_cast<std::size_t>(tensor.shape.back()));
}

void add_text(const Checkpoint& source, json::object& metadata, const char* key, const std::string& text) {
  if (replace_invalid_utf8(text) != text) {
    throw Error(source.id + ": its " + key + " is not valid UTF-8", "correct it, and quantize again");
  }
  metadata[key] = text;
}

json::object make_metadata(const Checkpoint& source, const json::object& blocks) {
  json::object metadata{{kVersionKey, kVersion}};
  const auto add = [&](const char* key, const json::object& object) {
    add_text(source, metadata, key, json::serialize(object));
  };
  add("config", source.config);
  add("generation_config", source.generation_config);
  if (source.tokenizer_json) add("tokenizer", *source.tokenizer_json);
  if (source.tokenizer_config_json) add("tokenizer_config", *source.tokenizer_config_json);
  if (source.gguf_tokenizer) add("gguf_tokenizer", to_json(*source.gguf_tokenizer));
  if (source.chat_template) add_text(source, metadata, "chat_template", *source.chat_template);
  add("blocks", blocks);
  return metadata;
}

}  // namespace

std::string make_quantized_header(const Checkpoint& source, std::span<const PlannedTensor> tensors) {
  json::object blocks;
  json::object header{{"__metadata__", nullptr}};
  std::uint64_t begin = 0;
  for (const PlannedTensor& tensor : tensors) {
    const std::uint64_t end = begin + count_bytes(tensor);
    std::vector<std::int64_t> shape = tensor.shape;
    if (pads_rows(tensor.dtype)) {
      blocks[tensor.name] = {{"dtype", dtype_info(tensor.dtype).name}, {"columns", shape.back()}};
      shape.back() =
          static_cast<std::int64_t>(dtype_bytes(tensor.dtype, static_cast<std::size_t>(shape.back())));
    }
    header[tensor.name] = {{"dtype", pads_rows(tensor.dtype) ? "U8" : "F32"},
                           {"shape", json::value_from(shape)},
                           {"data_offsets", json::array{begin, end}}};
    begin = end;
  }
  header["__metadata__"] = make_metadata(source, blocks);
  std::string text = json::serialize(header);
  text.resize((text.size() + 7) / 8 * 8, ' ');  // the tensors' numbers are aligned then
  const auto length = static_cast<std::uint64_t>(text.size());
  std::string bytes(sizeof length, '\0');
  std::memcpy(bytes.data(), &length, sizeof length);
  return bytes + text;
}

Checkpoint read_quantized_model(const std::filesystem::path& path) {
  const Blob file = map_file(path);
  SafetensorsFile content = read_safetensors(file);
  const auto version = content.metadata.find(kVersionKey);
  if (version == content.metadata.end()) {
    throw Error(file.name + " is one file of a model", "name the folder it lies in");
  }
  if (version->second != kVersion) {
    throw Error(
        file.name + " is of version " + quote(version->second) + ", and only " + kVersion + " is read",
        "quantize the model with this touchstone");
  }
  Checkpoint checkpoint;
  checkpoint.format = "touchstone";
  const auto take = [&](const char* key) { return find_object(file, content, key); };
  std::optional<json::object> config = take("config");
  const std::optional<json::object> blocks = take("blocks");
  if (!config || !blocks) throw Error(file.name + " lacks its config or its list of blocks", kQuantizeAgain);
  checkpoint.config = std::move(*config);
  checkpoint.generation_config = take("generation_config").value_or(json::object());
  checkpoint.tokenizer_json = take("tokenizer");
  checkpoint.tokenizer_config_json = take("tokenizer_config");
  if (const auto tokenizer = take("gguf_tokenizer"))
    checkpoint.gguf_tokenizer = read_tokenizer(file, *tokenizer);
  if (const auto text = content.metadata.find("chat_template"); text != content.metadata.end()) {
    checkpoint.chat_template = text->second;
  }
  for (Tensor& tensor : content.tensors) {
    std::string name = tensor.name;
    checkpoint.tensors.emplace(std::move(name), std::move(tensor));
  }
  for (const auto& [name, described] : *blocks) {
    const auto bytes = content.bytes.find(std::string(name));
    if (bytes == content.bytes.end()) throw Error(file.name + " lacks tensor " + quote(name), kQuantizeAgain);
    checkpoint.tensors.insert_or_assign(std::string(name), read_blocks(file, bytes->second, described));
    content.other_dtypes.erase(std::string(name));
  }
  checkpoint.other_dtypes.insert(content.other_dtypes.begin(), content.other_dtypes.end());
  checkpoint.blobs.push_back(file);
  return checkpoint;
}

}  // namespace touchstone
