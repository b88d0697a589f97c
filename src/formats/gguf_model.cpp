#include "formats/gguf_model.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

#include "base/error.h"
#include "formats/checked.h"

namespace touchstone {
namespace {

namespace json = boost::json;

// Published vocabularies end at 262,144 tokens; merges are about as many.
constexpr std::uint64_t kMaxVocabulary = 1U << 22U;

struct Architecture {
  std::string_view name;  // general.architecture, and Hugging Face's model_type
  std::string_view hugging_face_class;
};

constexpr std::array<Architecture, 3> kArchitectures = {{
    {"qwen2", "Qwen2ForCausalLM"},
    {"llama", "LlamaForCausalLM"},
    {"qwen3", "Qwen3ForCausalLM"},
}};

/// A file's metadata with errors that name the file and the key.
struct Metadata {
  const GgufFile& file;
  const std::string& file_name;

  [[noreturn]] void fail(const std::string& what,
                         const std::string& hint = "convert or download the model again") const {
    throw Error(file_name + ": " + what, hint);
  }

  const GgufValue* find(const std::string& key) const {
    const auto found = file.metadata.find(key);
    return found == file.metadata.end() ? nullptr : &found->second;
  }

  /// The value of `key` through `convert`, or nothing when the key is absent. Throws Error when it is of
  /// another kind.
  template <typename Convert>
  auto get(const std::string& key, Convert convert, const char* kind) const
      -> decltype(convert(std::declval<GgufValue>())) {
    const GgufValue* value = find(key);
    if (value == nullptr) return std::nullopt;
    auto converted = convert(*value);
    if (!converted) fail("metadata " + quote(key) + " is not " + kind);
    return converted;
  }

  std::optional<std::string> text(const std::string& key) const {
    const auto view = get(key, to_text, "a string");
    return view ? std::optional<std::string>(*view) : std::nullopt;
  }
  std::optional<double> number(const std::string& key) const {
    const auto value = get(key, to_number, "a number");
    if (value && !std::isfinite(*value)) fail("metadata " + quote(key) + " is not a finite number");
    return value;
  }
  std::optional<bool> boolean(const std::string& key) const { return get(key, to_boolean, "true or false"); }

  /// A size of the model: one number, or one a layer if they are all the same.
  std::optional<std::int64_t> size(const std::string& key) const {
    const GgufValue* value = find(key);
    if (value == nullptr) return std::nullopt;
    std::optional<std::int64_t> result = to_integer(*value);
    if (value->type == GgufType::array && value->count > 0 && value->count <= kMaxVocabulary) {
      const auto all = to_integers(*value);
      if (all && std::count(all->begin(), all->end(), all->front()) != std::ptrdiff_t(all->size())) {
        fail("metadata " + quote(key) + " differs between layers, which is not supported",
             "use another model");
      }
      if (all) result = all->front();
    }
    constexpr std::int64_t kMaxSize = INT32_MAX;
    if (!result || *result <= 0 || *result > kMaxSize)
      fail("metadata " + quote(key) + " is not a positive number up to " + std::to_string(kMaxSize));
    return result;
  }

  std::int64_t required_size(const std::string& key) const {
    const auto value = size(key);
    if (!value) fail("metadata " + quote(key) + " is missing");
    return *value;
  }
};

const Architecture& find_architecture(const Metadata& metadata) {
  const auto name = metadata.text("general.architecture");
  if (!name) metadata.fail("metadata 'general.architecture' is missing");
  for (const Architecture& architecture : kArchitectures) {
    if (architecture.name == *name) return architecture;
  }
  metadata.fail("its architecture " + quote(*name) + " is not supported", "qwen2, llama and qwen3 are");
}

/// rope_scaling from ARCH.rope.scaling.*; null when there is none. Llama 3's scaling is not written here: it
/// comes as the tensor rope_freqs.weight.
json::value make_rope_scaling(const Metadata& metadata, const std::string& prefix) {
  const std::string scaling = prefix + "rope.scaling.";
  std::optional<std::string> type = metadata.text(scaling + "type");
  std::optional<double> factor = metadata.number(scaling + "factor");
  const auto old_factor = metadata.number(prefix + "rope.scale_linear");
  if (!type && !factor && old_factor) {
    type = "linear";
    factor = old_factor;
  }
  if (!type || *type == "none") return nullptr;
  json::object result{{"rope_type", replace_invalid_utf8(*type)}};
  if (factor) result["factor"] = *factor;
  if (const auto length = metadata.size(scaling + "original_context_length")) {
    result["original_max_position_embeddings"] = *length;
  }
  if (const auto value = metadata.number(scaling + "attn_factor")) result["attention_factor"] = *value;
  if (const auto value = metadata.number(scaling + "yarn_beta_fast")) result["beta_fast"] = *value;
  if (const auto value = metadata.number(scaling + "yarn_beta_slow")) result["beta_slow"] = *value;
  return result;
}

json::object make_config(const Metadata& metadata, const Architecture& architecture,
                         const Checkpoint& checkpoint) {
  const std::string prefix = std::string(architecture.name) + ".";
  if (metadata.size(prefix + "expert_count").value_or(1) > 1) {
    metadata.fail("is a mixture of experts, which is not supported", "use a dense model");
  }
  const std::int64_t hidden_size = metadata.required_size(prefix + "embedding_length");
  const std::int64_t num_heads = metadata.required_size(prefix + "attention.head_count");
  if (hidden_size % num_heads != 0 && !metadata.find(prefix + "attention.key_length")) {
    metadata.fail("its embedding_length is not a multiple of its head_count");
  }
  const std::int64_t head_dim =
      metadata.size(prefix + "attention.key_length").value_or(hidden_size / num_heads);
  if (metadata.size(prefix + "attention.value_length").value_or(head_dim) != head_dim) {
    metadata.fail("its keys and values differ in length, which is not supported", "use another model");
  }
  if (metadata.size(prefix + "rope.dimension_count").value_or(head_dim) != head_dim) {
    metadata.fail("rotates only a part of each head, which is not supported", "use another model");
  }
  const auto epsilon = metadata.number(prefix + "attention.layer_norm_rms_epsilon");
  if (!epsilon)
    metadata.fail("metadata " + quote(prefix + "attention.layer_norm_rms_epsilon") + " is missing");

  json::object config;
  config["architectures"] = json::array{architecture.hugging_face_class};
  config["model_type"] = architecture.name;
  config["hidden_act"] = "silu";
  config["hidden_size"] = hidden_size;
  config["intermediate_size"] = metadata.required_size(prefix + "feed_forward_length");
  config["num_hidden_layers"] = metadata.required_size(prefix + "block_count");
  config["num_attention_heads"] = num_heads;
  config["num_key_value_heads"] = metadata.size(prefix + "attention.head_count_kv").value_or(num_heads);
  config["head_dim"] = head_dim;
  config["max_position_embeddings"] = metadata.required_size(prefix + "context_length");
  config["rms_norm_eps"] = *epsilon;
  config["rope_theta"] = metadata.number(prefix + "rope.freq_base").value_or(10000.0);
  config["rope_scaling"] = make_rope_scaling(metadata, prefix);
  config["rope_interleaved"] = architecture.name == "llama";
  config["tie_word_embeddings"] = checkpoint.find_tensor("lm_head.weight") == nullptr;
  return config;
}

/// The rows of the embedding decide: metadata and token list may leave padding out.
std::int64_t find_vocab_size(const Metadata& metadata, const Checkpoint& checkpoint) {
  const Tensor* embedding = checkpoint.find_tensor("model.embed_tokens.weight");
  if (embedding == nullptr) metadata.fail("tensor 'token_embd.weight' is missing");
  if (embedding->shape.size() != 2) metadata.fail("tensor 'token_embd.weight' is not a matrix");
  return embedding->shape.front();
}

/// A token id from the metadata; the value -1 (also written as the largest number of 32 bits) means "none".
std::optional<std::int32_t> read_token_id(const Metadata& metadata, const std::string& key,
                                          std::size_t vocab_size) {
  const auto id = metadata.get(key, to_integer, "a token id");
  if (!id || *id == -1 || *id == std::int64_t{UINT32_MAX}) return std::nullopt;
  if (*id < 0 || std::cmp_greater_equal(*id, vocab_size)) {
    metadata.fail("metadata " + quote(key) + " is " + std::to_string(*id) + ", but there are " +
                  std::to_string(vocab_size) + " tokens");
  }
  return static_cast<std::int32_t>(*id);
}

std::vector<std::string> read_strings(const Metadata& metadata, const std::string& key) {
  const GgufValue* value = metadata.find(key);
  if (value == nullptr) return {};
  if (value->type == GgufType::array && value->count > kMaxVocabulary) {
    metadata.fail("metadata " + quote(key) + " claims " + std::to_string(value->count) + " entries");
  }
  const auto views = to_texts(*value);
  if (!views) metadata.fail("metadata " + quote(key) + " is not a list of strings");
  return {views->begin(), views->end()};
}

std::vector<std::int32_t> read_token_types(const Metadata& metadata, std::size_t vocab_size) {
  const std::string key = "tokenizer.ggml.token_type";
  const GgufValue* value = metadata.find(key);
  if (value == nullptr) return std::vector<std::int32_t>(vocab_size, 1);
  const auto types = value->count == vocab_size ? to_integers(*value) : std::nullopt;
  if (!types) metadata.fail("metadata " + quote(key) + " does not give each token its type");
  std::vector<std::int32_t> result;
  for (const std::int64_t type : *types) {
    if (type < 0 || type > 6)
      metadata.fail("metadata " + quote(key) + " has the unknown token type " + std::to_string(type));
    result.push_back(static_cast<std::int32_t>(type));
  }
  return result;
}

/// Ids that end generation besides eos_id, as far as the file names them.
std::vector<std::int32_t> read_end_ids(const Metadata& metadata, const GgufTokenizer& tokenizer) {
  std::vector<std::int32_t> ids;
  const auto add = [&](std::optional<std::int32_t> id) {
    if (id && id != tokenizer.eos_id && std::find(ids.begin(), ids.end(), *id) == ids.end())
      ids.push_back(*id);
  };
  add(tokenizer.eot_id);
  add(read_token_id(metadata, "tokenizer.ggml.eom_token_id", tokenizer.tokens.size()));
  const auto to_ids = [](const GgufValue& value) {
    return value.count <= kMaxVocabulary ? to_integers(value) : std::nullopt;
  };
  if (const auto list = metadata.get("tokenizer.ggml.eos_token_ids", to_ids, "a list of token ids")) {
    for (const std::int64_t id : *list) {
      if (id >= 0 && std::cmp_less(id, tokenizer.tokens.size())) add(static_cast<std::int32_t>(id));
    }
  }
  return ids;
}

std::optional<GgufTokenizer> read_tokenizer(const Metadata& metadata) {
  const std::string prefix = "tokenizer.ggml.";
  const auto model = metadata.text(prefix + "model");
  if (!model || *model == "none" || *model == "no_vocab") return std::nullopt;
  if (*model != "gpt2") {
    metadata.fail("its tokenizer is of kind " + quote(*model) + ", which is not supported",
                  "byte-level BPE (kind 'gpt2') is; use the model's folder with tokenizer.json");
  }
  GgufTokenizer tokenizer;
  tokenizer.pre = metadata.text(prefix + "pre").value_or("gpt-2");
  tokenizer.tokens = read_strings(metadata, prefix + "tokens");
  if (tokenizer.tokens.empty()) metadata.fail("metadata 'tokenizer.ggml.tokens' is missing or empty");
  if (metadata.find(prefix + "merges") == nullptr)
    metadata.fail("metadata 'tokenizer.ggml.merges' is missing");
  tokenizer.merges = read_strings(metadata, prefix + "merges");
  const std::size_t vocab_size = tokenizer.tokens.size();
  tokenizer.token_types = read_token_types(metadata, vocab_size);
  tokenizer.bos_id = read_token_id(metadata, prefix + "bos_token_id", vocab_size);
  tokenizer.eos_id = read_token_id(metadata, prefix + "eos_token_id", vocab_size);
  tokenizer.eot_id = read_token_id(metadata, prefix + "eot_token_id", vocab_size);
  tokenizer.unk_id = read_token_id(metadata, prefix + "unknown_token_id", vocab_size);
  tokenizer.pad_id = read_token_id(metadata, prefix + "padding_token_id", vocab_size);
  tokenizer.eog_ids = read_end_ids(metadata, tokenizer);
  tokenizer.add_bos = metadata.boolean(prefix + "add_bos_token").value_or(false);
  tokenizer.add_eos = metadata.boolean(prefix + "add_eos_token").value_or(false);
  tokenizer.add_space_prefix = metadata.boolean(prefix + "add_space_prefix").value_or(false);
  return tokenizer;
}

/// The ids that end generation: a number if there is one, a list if several, as Hugging Face writes them.
json::value make_eos(const GgufTokenizer& tokenizer) {
  json::array ids;
  if (tokenizer.eos_id) ids.push_back(*tokenizer.eos_id);
  for (const std::int32_t id : tokenizer.eog_ids) ids.push_back(id);
  if (ids.empty()) return nullptr;
  return ids.size() == 1 ? ids.front() : json::value(ids);
}

void add_token_ids(const GgufTokenizer& tokenizer, json::object& object) {
  if (tokenizer.bos_id) object["bos_token_id"] = *tokenizer.bos_id;
  if (tokenizer.pad_id) object["pad_token_id"] = *tokenizer.pad_id;
  if (json::value eos = make_eos(tokenizer); !eos.is_null()) object["eos_token_id"] = std::move(eos);
}

/// Sampling advice that newer converters carry over from generation_config.json.
json::object make_generation_config(const Metadata& metadata) {
  static constexpr std::pair<const char*, const char*> kNumbers[] = {
      {"temp", "temperature"},
      {"top_p", "top_p"},
      {"min_p", "min_p"},
      {"penalty_repeat", "repetition_penalty"}};
  json::object result;
  const std::string prefix = "general.sampling.";
  for (const auto& [key, name] : kNumbers) {
    if (const auto value = metadata.number(prefix + key)) result[name] = *value;
  }
  if (const auto top_k = metadata.get(prefix + "top_k", to_integer, "a whole number"))
    result["top_k"] = *top_k;
  if (const auto temperature = metadata.number(prefix + "temp")) result["do_sample"] = *temperature > 0;
  return result;
}

/// tokenizer.chat_template, or the first of the named ones.
std::optional<std::string> find_chat_template(const Metadata& metadata) {
  const std::string key = "tokenizer.chat_template";
  if (auto text = metadata.text(key)) return text;
  if (auto text = metadata.text(key + ".default")) return text;
  for (const std::string& name : metadata.file.keys) {
    if (name.starts_with(key + ".")) return metadata.text(name);
  }
  return std::nullopt;
}

std::string translate_block_name(std::string_view part) {
  static constexpr std::pair<std::string_view, std::string_view> kParts[] = {
      {"attn_q", "self_attn.q_proj"},      {"attn_k", "self_attn.k_proj"},
      {"attn_v", "self_attn.v_proj"},      {"attn_output", "self_attn.o_proj"},
      {"attn_q_norm", "self_attn.q_norm"}, {"attn_k_norm", "self_attn.k_norm"},
      {"attn_norm", "input_layernorm"},    {"ffn_norm", "post_attention_layernorm"},
      {"ffn_gate", "mlp.gate_proj"},       {"ffn_up", "mlp.up_proj"},
      {"ffn_down", "mlp.down_proj"}};
  for (const auto& [gguf, hugging_face] : kParts) {
    if (gguf == part) return std::string(hugging_face);
  }
  return {};
}

void add_tensors(const Metadata& metadata, std::vector<Tensor> tensors, Checkpoint& checkpoint) {
  for (Tensor& tensor : tensors) {
    std::string name = to_hugging_face_name(tensor.name);
    tensor.name = name;
    if (!checkpoint.tensors.emplace(name, std::move(tensor)).second)
      metadata.fail("tensor " + quote(name) + " is listed twice");
  }
}

}  // namespace

std::string to_hugging_face_name(std::string_view name) {
  const std::size_t dot = name.rfind('.');
  if (dot == std::string_view::npos) return std::string(name);
  const std::string_view stem = name.substr(0, dot);
  const std::string_view suffix = name.substr(dot);
  if (suffix != ".weight" && suffix != ".bias") return std::string(name);
  if (stem == "token_embd") return "model.embed_tokens" + std::string(suffix);
  if (stem == "output_norm") return "model.norm" + std::string(suffix);
  if (stem == "output") return "lm_head" + std::string(suffix);
  if (!stem.starts_with("blk.")) return std::string(name);
  const std::string_view rest = stem.substr(4);
  const std::size_t digits = rest.find_first_not_of("0123456789");
  if (digits == 0 || digits == std::string_view::npos || rest[digits] != '.') return std::string(name);
  const std::string part = translate_block_name(rest.substr(digits + 1));
  if (part.empty()) return std::string(name);
  return "model.layers." + std::string(rest.substr(0, digits)) + "." + part + std::string(suffix);
}

void fill_from_gguf(const GgufFile& first, std::vector<Tensor> tensors, const std::string& file_name,
                    Checkpoint& checkpoint) {
  const Metadata metadata{first, file_name};
  const Architecture& architecture = find_architecture(metadata);
  checkpoint.format = "gguf";
  add_tensors(metadata, std::move(tensors), checkpoint);
  checkpoint.config = make_config(metadata, architecture, checkpoint);
  const std::int64_t vocab_size = find_vocab_size(metadata, checkpoint);
  checkpoint.config["vocab_size"] = vocab_size;
  checkpoint.generation_config = make_generation_config(metadata);
  checkpoint.gguf_tokenizer = read_tokenizer(metadata);
  if (const auto& tokenizer = checkpoint.gguf_tokenizer) {
    if (std::cmp_greater(tokenizer->tokens.size(), vocab_size)) {
      metadata.fail("names " + std::to_string(tokenizer->tokens.size()) +
                    " tokens, but tensor 'token_embd.weight' has only " + std::to_string(vocab_size) +
                    " rows");
    }
    add_token_ids(*tokenizer, checkpoint.config);
    add_token_ids(*tokenizer, checkpoint.generation_config);
  }
  checkpoint.chat_template = find_chat_template(metadata);
  for (const std::string& key : first.keys) {
    if (auto value = to_json(first.metadata.at(key))) checkpoint.gguf_metadata[key] = std::move(*value);
  }
}

}  // namespace touchstone
