#include "engine/load.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <functional>
#include <future>
#include <map>
#include <numeric>
#include <string>
#include <string_view>
#include <utility>

#include "base/error.h"
#include "engine/sampler.h"

namespace touchstone {
namespace {

using boost::json::object;
using boost::json::value;

// A GGUF file names one end token where generation_config.json names all; llama.cpp knows the others by their
// text, too.
constexpr std::array<std::string_view, 8> kKnownEnds = {
    "<|im_end|>", "<|endoftext|>", "<|end_of_text|>",       "<|eot_id|>",
    "<|eom_id|>", "<|end|>",       "<｜end▁of▁sentence｜>", "<end_of_turn>"};

/// What `read` gives; its errors name where they arose, and those without a hint get `hint`.
template <typename Read>
auto read_part(const std::string& where, const char* hint, Read read) {
  try {
    return read();
  } catch (const Error& error) {
    throw Error(where + ": " + error.what(), error.hint().empty() ? hint : error.hint());
  }
}

/// A field's value; nothing for one that is missing or null.
const value* find_field(const object& config, std::string_view key) {
  const value* v = config.if_contains(key);
  return v == nullptr || v->is_null() ? nullptr : v;
}

std::optional<double> number_of(const object& config, std::string_view key) {
  const value* v = find_field(config, key);
  if (v == nullptr) return std::nullopt;
  if (!v->is_number()) throw Error(std::string(key) + " is not a number");
  return v->to_number<double>();
}

std::optional<bool> flag_of(const object& config, std::string_view key) {
  const value* v = find_field(config, key);
  if (v == nullptr) return std::nullopt;
  if (!v->is_bool()) throw Error(std::string(key) + " is not true or false");
  return v->get_bool();
}

void add_stop_id(SamplingParams& params, std::int64_t id, std::int32_t vocab_size) {
  if (id < 0 || id >= vocab_size) return;
  const auto stop = static_cast<std::int32_t>(id);
  if (std::find(params.stop_ids.begin(), params.stop_ids.end(), stop) == params.stop_ids.end()) {
    params.stop_ids.push_back(stop);
  }
}

void add_stop_ids(SamplingParams& params, const object& config, std::int32_t vocab_size) {
  const value* field = find_field(config, "eos_token_id");
  if (field == nullptr) return;
  if (!field->is_int64() && !field->is_array())
    throw Error("eos_token_id is not a token id or a list of them");
  const boost::json::array ids = field->is_array() ? field->get_array() : boost::json::array{*field};
  const auto is_id = [](const value& id) { return id.is_int64(); };
  if (!ids.empty() && std::none_of(ids.begin(), ids.end(), is_id)) {
    throw Error("eos_token_id lists no token ids");
  }
  for (const value& id : ids) {
    if (is_id(id)) add_stop_id(params, id.get_int64(), vocab_size);
  }
}

/// generation_config.json's sampling.
SamplingParams read_sampling(const object& config) {
  SamplingParams params;
  // A file that names some way of sampling leaves off what it does not name; without any, ours holds.
  const bool names_sampling = config.contains("do_sample") || config.contains("temperature") ||
                              config.contains("top_p") || config.contains("top_k") ||
                              config.contains("min_p");
  if (names_sampling) {
    params.temperature = static_cast<float>(number_of(config, "temperature").value_or(1.0));
    params.top_p = static_cast<float>(number_of(config, "top_p").value_or(1.0));
    params.top_k = static_cast<std::int32_t>(std::clamp(number_of(config, "top_k").value_or(0.0), 0.0, 1e9));
    params.min_p = static_cast<float>(number_of(config, "min_p").value_or(0.0));
    if (!flag_of(config, "do_sample").value_or(true)) params.temperature = 0.0F;
  }
  params.repetition_penalty = static_cast<float>(number_of(config, "repetition_penalty").value_or(1.0));
  check_sampling(params);
  if (params.top_p == 0.0F) throw Error("top_p is 0");
  if (const auto most = number_of(config, "max_new_tokens"); most && *most >= 1) {
    params.max_new_tokens = static_cast<std::int32_t>(std::min(*most, 1e6));
  }
  return params;
}

void set_token_string(object& context, std::string_view key, std::optional<std::int32_t> id,
                      const Tokenizer& tokenizer) {
  if (id && !context.contains(key)) context[key] = tokenizer.token(*id);
}

/// The type that holds the most weights.
std::string find_stored_type(const Checkpoint& checkpoint) {
  std::map<DType, std::int64_t> counts;
  for (const auto& [name, tensor] : checkpoint.tensors) {
    counts[tensor.dtype] +=
        std::accumulate(tensor.shape.begin(), tensor.shape.end(), std::int64_t{1}, std::multiplies<>());
  }
  const auto most = std::max_element(counts.begin(), counts.end(),
                                     [](const auto& a, const auto& b) { return a.second < b.second; });
  return std::string(dtype_info(most->first).name);
}

/// Gives back what only loading needs: the packed weights and the tokenizer are all that runs.
void release_loaded(Checkpoint& checkpoint) {
  checkpoint.tensors.clear();
  checkpoint.tokenizer_json.reset();
  if (checkpoint.gguf_tokenizer) {
    checkpoint.gguf_tokenizer->tokens = {};
    checkpoint.gguf_tokenizer->token_types = {};
    checkpoint.gguf_tokenizer->merges = {};
  }
  for (const Blob& blob : checkpoint.blobs) drop_pages(blob, blob.bytes);
}

}  // namespace

Tokenizer load_tokenizer(const Checkpoint& checkpoint) {
  if (!checkpoint.tokenizer_json && !checkpoint.gguf_tokenizer) {
    throw Error(checkpoint.id + " has no tokenizer", "put the model's tokenizer.json beside its weights");
  }
  return read_part(checkpoint.id, "the tokenizer may be damaged: download the model again", [&] {
    if (checkpoint.tokenizer_json) {
      return Tokenizer::from_json(*checkpoint.tokenizer_json,
                                  checkpoint.tokenizer_config_json.value_or(object{}));
    }
    const GgufTokenizer& t = *checkpoint.gguf_tokenizer;
    return Tokenizer::from_gguf(t.pre, t.tokens, t.token_types, t.merges, t.bos_id, t.eos_id, t.add_bos,
                                t.add_eos);
  });
}

ChatTemplate load_chat_template(const Checkpoint& checkpoint) {
  if (!checkpoint.chat_template) {
    throw Error(checkpoint.id + " has no chat template", "use --raw, or a model with chat_template.jinja");
  }
  return read_part(checkpoint.id, "correct the template",
                   [&] { return ChatTemplate::parse(*checkpoint.chat_template); });
}

void add_special_token_strings(object& context, const Checkpoint& checkpoint, const Tokenizer& tokenizer) {
  set_token_string(context, "bos_token", tokenizer.bos_id(), tokenizer);
  set_token_string(context, "eos_token", tokenizer.eos_id(), tokenizer);
  set_token_string(context, "unk_token", tokenizer.unk_id(), tokenizer);
  if (checkpoint.gguf_tokenizer)
    set_token_string(context, "pad_token", checkpoint.gguf_tokenizer->pad_id, tokenizer);
  if (!checkpoint.tokenizer_config_json || context.contains("pad_token")) return;
  if (const value* pad = checkpoint.tokenizer_config_json->if_contains("pad_token");
      pad != nullptr && pad->is_string()) {
    context["pad_token"] = *pad;
  }
}

SamplingParams load_defaults(const Checkpoint& checkpoint, const Tokenizer& tokenizer) {
  const std::int32_t vocab_size = tokenizer.vocab_size();
  constexpr const char* kCorrect = "correct it, or remove the file";
  SamplingParams params = read_part(checkpoint.id + ": generation_config.json", kCorrect, [&] {
    SamplingParams published = read_sampling(checkpoint.generation_config);
    add_stop_ids(published, checkpoint.generation_config, vocab_size);
    return published;
  });
  read_part(checkpoint.id + ": config.json", "correct it",
            [&] { add_stop_ids(params, checkpoint.config, vocab_size); });
  if (tokenizer.eos_id()) add_stop_id(params, *tokenizer.eos_id(), vocab_size);
  if (checkpoint.gguf_tokenizer) {
    const GgufTokenizer& t = *checkpoint.gguf_tokenizer;
    for (const std::string_view end : kKnownEnds) {
      const auto id = tokenizer.find_token(end);
      if (id && tokenizer.is_special(*id)) add_stop_id(params, *id, vocab_size);
    }
    if (t.eot_id) add_stop_id(params, *t.eot_id, vocab_size);
    for (const std::int32_t id : t.eog_ids) add_stop_id(params, id, vocab_size);
  }
  return params;
}

LoadedModel load_model(const std::string& model, const LoadOptions& options) {
  return load_checkpoint(open_checkpoint(model), options);
}

LoadedModel load_checkpoint(Checkpoint checkpoint, const LoadOptions& options) {
  const auto start = std::chrono::steady_clock::now();
  // Side by side: a large vocabulary takes longer than weights that are packed already.
  auto weights =
      std::async(std::launch::async, [&] { return std::make_shared<Transformer>(checkpoint, options); });
  Tokenizer tokenizer = load_tokenizer(checkpoint);
  auto transformer = weights.get();
  if (tokenizer.vocab_size() > transformer->config().vocab_size) {
    throw Error(checkpoint.id + ": the tokenizer has " + std::to_string(tokenizer.vocab_size()) +
                    " ids, the embedding only " + std::to_string(transformer->config().vocab_size) + " rows",
                "tokenizer and weights are of different models");
  }
  std::optional<ChatTemplate> chat_template;
  if (!options.raw && checkpoint.chat_template) chat_template = load_chat_template(checkpoint);
  SamplingParams defaults = load_defaults(checkpoint, tokenizer);
  std::string stored_type = find_stored_type(checkpoint);
  release_loaded(checkpoint);
  const std::chrono::duration<double, std::milli> elapsed = std::chrono::steady_clock::now() - start;
  std::string id = checkpoint.id;
  return {.id = std::move(id),
          .options = options,
          .checkpoint = std::move(checkpoint),
          .stored_type = std::move(stored_type),
          .transformer = std::move(transformer),
          .tokenizer = std::move(tokenizer),
          .chat_template = std::move(chat_template),
          .defaults = std::move(defaults),
          .load_ms = elapsed.count()};
}

}  // namespace touchstone
