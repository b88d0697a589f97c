// Tokenizers from GGUF metadata.
#include "base/error.h"
#include "text/tokenizer_fields.h"
#include "text/tokenizer_impl.h"

namespace touchstone {
namespace {

constexpr std::string_view kWhere = "GGUF tokenizer";

// tokenizer.ggml.token_type
constexpr std::int32_t kUnknownType = 2;
constexpr std::int32_t kControlType = 3;
constexpr std::int32_t kUserDefinedType = 4;

std::optional<std::int32_t> checked_id(std::optional<std::int32_t> id, std::size_t count,
                                       std::string_view name) {
  if (id && (*id < 0 || static_cast<std::size_t>(*id) >= count)) {
    throw Error(std::string(kWhere) + ": " + std::string(name) + " is " + std::to_string(*id) +
                ", but there are " + std::to_string(count) + " tokens");
  }
  return id;
}

void read_tokens(TokenizerSpec& spec, std::span<const std::string> tokens,
                 std::span<const std::int32_t> types) {
  if (tokens.empty()) throw Error(std::string(kWhere) + ": there are no tokens");
  if (tokens.size() > static_cast<std::size_t>(kMaxTokens)) {
    throw Error(std::string(kWhere) + ": " + std::to_string(tokens.size()) + " tokens are too many");
  }
  if (!types.empty() && types.size() != tokens.size()) {
    throw Error(std::string(kWhere) + ": " + std::to_string(tokens.size()) + " tokens, but " +
                std::to_string(types.size()) + " token types");
  }
  for (std::size_t id = 0; id < tokens.size(); ++id) {
    spec.tokens.push(tokens[id]);
    const std::int32_t type = types.empty() ? 1 : types[id];
    const bool special = type == kControlType || type == kUnknownType;
    if (tokens[id].empty() || (!special && type != kUserDefinedType)) continue;
    AddedToken added;
    added.id = static_cast<std::int32_t>(id);
    added.content = tokens[id];
    added.special = special;
    spec.added.push_back(std::move(added));
  }
}

}  // namespace

Tokenizer Tokenizer::from_gguf(std::string_view pre, std::span<const std::string> tokens,
                               std::span<const std::int32_t> token_types, std::span<const std::string> merges,
                               std::optional<std::int32_t> bos_id, std::optional<std::int32_t> eos_id,
                               bool add_bos, bool add_eos) {
  TokenizerSpec spec;
  spec.pre_tokenizer = named_pre_tokenizer(pre);
  // The file does not say these; they belong to the family.
  if (pre == "qwen2" || pre == "deepseek-r1-qwen") spec.normalization = Normalization::nfc;
  spec.ignore_merges = pre == "llama-bpe" || pre == "llama3" || pre == "llama-v3";
  read_tokens(spec, tokens, token_types);
  spec.token_index = StringIndex(spec.tokens);
  spec.merges = MergeTable(merges.size());
  for (std::size_t rank = 0; rank < merges.size(); ++rank) {
    const auto [left, right] = halves_of_merge(merges[rank], rank, kWhere);
    put_merge(spec, rank, left, right, kWhere);
  }
  spec.bos_id = checked_id(bos_id, tokens.size(), "bos_token_id");
  spec.eos_id = checked_id(eos_id, tokens.size(), "eos_token_id");
  if (add_bos && spec.bos_id) spec.prefix = {*spec.bos_id};
  if (add_eos && spec.eos_id) spec.suffix = {*spec.eos_id};
  return make_tokenizer(std::move(spec));
}

}  // namespace touchstone
