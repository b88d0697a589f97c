// Tokenizers from Hugging Face's tokenizer.json and tokenizer_config.json.
#include <algorithm>
#include <charconv>
#include <unordered_map>
#include <unordered_set>

#include "base/error.h"
#include "text/tokenizer_fields.h"
#include "text/tokenizer_spec.h"

namespace touchstone {
namespace {

using boost::json::array;
using boost::json::object;
using boost::json::value;

constexpr std::string_view kFile = "tokenizer.json";
constexpr std::string_view kConfig = "tokenizer_config.json";

[[noreturn]] void throw_unsupported(std::string_view part, std::string_view type) {
  throw Error(std::string(kFile) + ": " + std::string(part) + " '" + std::string(type) + "' is not supported",
              "only byte-level BPE tokenizers are");
}

/// Calls `use` with each object of a possibly nested Sequence.
template <class Use>
void for_each_part(const value& part, std::string_view name, std::string_view list, const Use& use,
                   int depth = 0) {
  if (part.is_null()) return;
  if (!part.is_object()) throw Error(std::string(kFile) + ": " + std::string(name) + " is not an object");
  if (depth > kMaxSequences)
    throw Error(std::string(kFile) + ": " + std::string(name) + " is nested too deeply");
  const object& fields = part.get_object();
  const std::string_view type = find_string(fields, "type", kFile).value_or("");
  if (type != "Sequence") return use(fields, type);
  for (const value& entry : array_field(fields, list, kFile))
    for_each_part(entry, name, list, use, depth + 1);
}

value part_of(const object& json, std::string_view key) {
  const value* part = json.if_contains(key);
  return part == nullptr ? value() : *part;
}

/// vocab: {"token": id}, in any order.
void read_vocabulary(TokenizerSpec& spec, const object& vocabulary) {
  if (vocabulary.empty()) throw Error(std::string(kFile) + ": the vocabulary is empty");
  std::vector<std::string_view> by_id;
  by_id.reserve(vocabulary.size());
  for (const auto& entry : vocabulary) {
    const std::string_view token = entry.key();
    const auto id = static_cast<std::size_t>(id_of(entry.value(), token, kFile));
    if (token.empty()) continue;
    if (id >= by_id.size()) by_id.resize(id + 1);
    if (!by_id[id].empty()) {
      throw Error(std::string(kFile) + ": id " + std::to_string(id) + " is given to both '" +
                  std::string(by_id[id]) + "' and '" + std::string(token) + "'");
    }
    by_id[id] = token;
  }
  for (const std::string_view token : by_id) spec.tokens.push(token);
  spec.token_index = StringIndex(spec.tokens);
}

/// merges: ["left right"] or [["left", "right"]], best first.
void read_merges(TokenizerSpec& spec, const array& merges) {
  spec.merges = MergeTable(merges.size());
  for (std::size_t rank = 0; rank < merges.size(); ++rank) {
    const value& merge = merges[rank];
    if (merge.is_string()) {
      const auto [left, right] = halves_of_merge(merge.get_string(), rank, kFile);
      put_merge(spec, rank, left, right, kFile);
      continue;
    }
    const array* pair = merge.if_array();
    if (pair == nullptr || pair->size() != 2 || !(*pair)[0].is_string() || !(*pair)[1].is_string()) {
      throw Error(std::string(kFile) + ": merge " + std::to_string(rank) + " is not a pair of tokens");
    }
    put_merge(spec, rank, (*pair)[0].get_string(), (*pair)[1].get_string(), kFile);
  }
}

void read_model(TokenizerSpec& spec, const object& model) {
  const std::string_view type = find_string(model, "type", kFile).value_or("BPE");
  if (type != "BPE") throw_unsupported("model", type);
  for (const std::string_view affix : {"continuing_subword_prefix", "end_of_word_suffix"}) {
    if (!find_string(model, affix, kFile).value_or("").empty()) throw_unsupported("model with", affix);
  }
  read_vocabulary(spec, object_field(model, "vocab", kFile));
  read_merges(spec, array_field(model, "merges", kFile));
  spec.ignore_merges = flag_field(model, "ignore_merges", false, kFile);
  spec.fuse_unknown = flag_field(model, "fuse_unk", false, kFile);
  if (const auto unknown = find_string(model, "unk_token", kFile)) {
    spec.unknown_byte_id = spec.token_index.find(spec.tokens, *unknown);
  }
}

void read_normalizer(TokenizerSpec& spec, const value& normalizer) {
  for_each_part(normalizer, "normalizer", "normalizers", [&](const object&, std::string_view type) {
    if (spec.normalization != Normalization::none) throw_unsupported("second normalizer", type);
    if (type == "NFC") {
      spec.normalization = Normalization::nfc;
    } else if (type == "NFD") {
      spec.normalization = Normalization::nfd;
    } else if (type == "NFKC") {
      spec.normalization = Normalization::nfkc;
    } else if (type == "NFKD") {
      spec.normalization = Normalization::nfkd;
    } else {
      throw_unsupported("normalizer", type);
    }
  });
}

void check_decoder(const value& decoder) {
  for_each_part(decoder, "decoder", "decoders", [](const object&, std::string_view type) {
    if (type != "ByteLevel" && type != "Fuse") throw_unsupported("decoder", type);
  });
}

/// The ids that a TemplateProcessing puts before and after the text, around those of the processors before
/// it.
void read_template(TokenizerSpec& spec, const object& processor) {
  const object& ids = object_field(processor, "special_tokens", kFile);
  std::vector<std::int32_t> before;
  std::vector<std::int32_t> after;
  bool seen_text = false;
  for (const value& piece : array_field(processor, "single", kFile)) {
    const object* fields = piece.if_object();
    if (fields == nullptr) throw Error(std::string(kFile) + ": a template's piece is not an object");
    if (fields->contains("Sequence")) {
      if (seen_text) throw_unsupported("post_processor", "TemplateProcessing with the text twice");
      seen_text = true;
      continue;
    }
    const auto name = find_string(object_field(*fields, "SpecialToken", kFile), "id", kFile).value_or("");
    for (const value& id : array_field(object_field(ids, name, kFile), "ids", kFile)) {
      (seen_text ? after : before).push_back(id_of(id, name, kFile));
    }
  }
  if (!seen_text) throw_unsupported("post_processor", "TemplateProcessing without the text");
  spec.prefix.insert(spec.prefix.begin(), before.begin(), before.end());
  spec.suffix.insert(spec.suffix.end(), after.begin(), after.end());
}

void read_post_processor(TokenizerSpec& spec, const value& processor) {
  for_each_part(processor, "post_processor", "processors", [&](const object& fields, std::string_view type) {
    if (type == "TemplateProcessing") {
      read_template(spec, fields);
    } else if (type != "ByteLevel") {
      throw_unsupported("post_processor", type);
    }
  });
}

/// The added tokens so far, by content and by id.
class AddedTokens {
 public:
  explicit AddedTokens(TokenizerSpec& spec) : spec_(spec) {}

  /// Adds the token unless it is there already; one that any file calls special is special.
  void add(AddedToken token, std::string_view where) {
    if (token.content.empty()) return;
    const auto known = by_content_.find(token.content);
    if (known != by_content_.end()) {
      AddedToken& there = spec_.added[known->second];
      if (there.id != token.id) throw_two_ids(token.content, there.id, token.id, where);
      there.special = there.special || token.special;
      return;
    }
    const auto in_vocabulary = spec_.token_index.find(spec_.tokens, token.content);
    if (in_vocabulary && *in_vocabulary != token.id) {
      throw_two_ids(token.content, *in_vocabulary, token.id, where);
    }
    const auto id = static_cast<std::size_t>(token.id);
    const bool taken = !in_vocabulary && id < spec_.tokens.size() && !spec_.tokens[id].empty();
    if (taken || !ids_.emplace(token.id, token.content).second) {
      const std::string other = taken ? std::string(spec_.tokens[id]) : ids_.at(token.id);
      throw Error(std::string(where) + ": id " + std::to_string(token.id) + " is given to both '" + other +
                  "' and '" + token.content + "'");
    }
    by_content_.emplace(token.content, spec_.added.size());
    spec_.added.push_back(std::move(token));
  }

  std::optional<std::int32_t> find(std::string_view content) const {
    const auto known = by_content_.find(std::string(content));
    if (known != by_content_.end()) return spec_.added[known->second].id;
    return spec_.token_index.find(spec_.tokens, content);
  }

 private:
  [[noreturn]] static void throw_two_ids(const std::string& content, std::int32_t first, std::int32_t second,
                                         std::string_view where) {
    throw Error(std::string(where) + ": added token '" + content + "' has the id " + std::to_string(second) +
                ", but elsewhere " + std::to_string(first));
  }

  TokenizerSpec& spec_;
  std::unordered_map<std::string, std::size_t> by_content_;
  std::unordered_map<std::int32_t, std::string> ids_;
};

AddedToken read_added_token(const object& fields, const value& id, std::string_view where) {
  AddedToken token;
  const auto content = find_string(fields, "content", where);
  if (!content) throw Error(std::string(where) + ": an added token has no content");
  token.content = *content;
  token.id = id_of(id, token.content, where);
  token.special = flag_field(fields, "special", false, where);
  token.single_word = flag_field(fields, "single_word", false, where);
  token.lstrip = flag_field(fields, "lstrip", false, where);
  token.rstrip = flag_field(fields, "rstrip", false, where);
  token.normalized = flag_field(fields, "normalized", !token.special, where);
  return token;
}

void read_added(AddedTokens& added, const object& json) {
  const value* list = find_field(json, "added_tokens");
  if (list == nullptr) return;
  for (const value& entry : array_field(json, "added_tokens", kFile)) {
    if (!entry.is_object()) throw Error(std::string(kFile) + ": an added token is not an object");
    const object& fields = entry.get_object();
    const value* id = fields.if_contains("id");
    if (id == nullptr) throw Error(std::string(kFile) + ": an added token has no id");
    added.add(read_added_token(fields, *id, kFile), kFile);
  }
}

/// tokenizer_config.json's added_tokens_decoder: {"151643": {"content": …}}.
void read_added_decoder(AddedTokens& added, const object& config) {
  if (find_field(config, "added_tokens_decoder") == nullptr) return;
  for (const auto& entry : object_field(config, "added_tokens_decoder", kConfig)) {
    const std::string_view key = entry.key();
    std::int64_t id = -1;
    const auto [end, error] = std::from_chars(key.data(), key.data() + key.size(), id);
    if (error != std::errc() || end != key.data() + key.size() || !entry.value().is_object()) {
      throw Error(std::string(kConfig) + ": added_tokens_decoder has the malformed entry '" +
                  std::string(key.substr(0, 40)) + "'");
    }
    added.add(read_added_token(entry.value().get_object(), value(id), kConfig), kConfig);
  }
}

/// "<s>" or {"content": "<s>", …}.
std::optional<std::string> token_name(const value& field, std::string_view key) {
  if (field.is_string()) return std::string(field.get_string());
  if (const object* fields = field.if_object()) {
    if (const auto content = find_string(*fields, "content", kConfig)) return std::string(*content);
  }
  throw Error(std::string(kConfig) + ": '" + std::string(key) + "' is not a token");
}

/// The id of a token that the configuration gives a role; a token of the vocabulary with a role is special.
std::optional<std::int32_t> read_role(AddedTokens& added, const TokenizerSpec& spec, const object& config,
                                      std::string_view key) {
  const value* field = find_field(config, key);
  if (field == nullptr) return std::nullopt;
  const auto name = token_name(*field, key);
  const auto id = added.find(*name);
  if (!id) return std::nullopt;
  const bool is_added = std::any_of(spec.added.begin(), spec.added.end(),
                                    [&](const AddedToken& token) { return token.id == *id; });
  if (!is_added) {
    AddedToken token;
    token.id = *id;
    token.content = *name;
    token.special = true;
    added.add(std::move(token), kConfig);
  }
  return id;
}

/// Llama's tokenizer class builds its post-processor anew from these flags.
void apply_llama_flags(TokenizerSpec& spec, const object& config) {
  const std::string_view tokenizer_class = find_string(config, "tokenizer_class", kConfig).value_or("");
  if (!tokenizer_class.starts_with("Llama")) return;
  const auto apply = [&](std::string_view key, std::optional<std::int32_t> id,
                         std::vector<std::int32_t>& ids) {
    if (find_field(config, key) == nullptr) return;
    const bool add = flag_field(config, key, false, kConfig);
    if (!add) ids.clear();
    if (add && id) ids = {*id};
  };
  apply("add_bos_token", spec.bos_id, spec.prefix);
  apply("add_eos_token", spec.eos_id, spec.suffix);
}

void check_ids(const TokenizerSpec& spec) {
  std::unordered_set<std::int32_t> added;
  for (const AddedToken& token : spec.added) added.insert(token.id);
  for (const auto* ids : {&spec.prefix, &spec.suffix}) {
    for (const std::int32_t id : *ids) {
      if (static_cast<std::size_t>(id) < spec.tokens.size() || added.contains(id)) continue;
      throw Error(std::string(kFile) + ": post_processor adds id " + std::to_string(id) +
                  ", which is no token");
    }
  }
}

}  // namespace

TokenizerSpec read_tokenizer_json(const object& json, const object& config) {
  TokenizerSpec spec;
  read_model(spec, object_field(json, "model", kFile));
  read_normalizer(spec, part_of(json, "normalizer"));
  spec.pre_tokenizer = parse_pre_tokenizer(part_of(json, "pre_tokenizer"));
  if (!spec.pre_tokenizer.byte_level) throw_unsupported("pre_tokenizer", "without ByteLevel");
  check_decoder(part_of(json, "decoder"));
  read_post_processor(spec, part_of(json, "post_processor"));
  AddedTokens added(spec);
  read_added(added, json);
  read_added_decoder(added, config);
  spec.bos_id = read_role(added, spec, config, "bos_token");
  spec.eos_id = read_role(added, spec, config, "eos_token");
  spec.unk_id = read_role(added, spec, config, "unk_token");
  read_role(added, spec, config, "pad_token");
  if (!spec.unk_id) spec.unk_id = spec.unknown_byte_id;
  apply_llama_flags(spec, config);
  if (!spec.bos_id && !spec.prefix.empty()) spec.bos_id = spec.prefix.front();
  check_ids(spec);
  return spec;
}

}  // namespace touchstone
