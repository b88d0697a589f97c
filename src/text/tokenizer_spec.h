// What a byte-level BPE tokenizer is made of, whatever file it came from.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "text/pretokenizer.h"
#include "text/tokenizer.h"
#include "text/tokenizer_merges.h"
#include "text/tokenizer_vocabulary.h"
#include "text/unicode.h"

namespace touchstone {

struct TokenizerSpec {
  StringArena tokens;       // as spelled ("Ġthe"), index = id; holes are empty; without added tokens
  StringIndex token_index;  // of `tokens`
  MergeTable merges;
  std::vector<AddedToken> added;  // contents and ids are unique
  Normalization normalization = Normalization::none;
  PreTokenizer pre_tokenizer;
  bool ignore_merges = false;  // a piece that is a token is that token, whatever the merges say
  bool fuse_unknown = false;
  std::vector<std::int32_t> prefix, suffix;  // what the post-processor puts around a text
  std::optional<std::int32_t> bos_id, eos_id, unk_id;
  std::optional<std::int32_t>
      unknown_byte_id;  // what stands for bytes without a token; nothing: they are dropped
};

/// Enters merge `rank`. Throws Error (`where`: …) when a part or the whole is not in the vocabulary.
void put_merge(TokenizerSpec& spec, std::size_t rank, std::string_view left, std::string_view right,
               std::string_view where);

/// The two halves of "left right". Throws Error when there are not exactly two.
std::pair<std::string_view, std::string_view> halves_of_merge(std::string_view merge, std::size_t rank,
                                                              std::string_view where);

/// Throw Error: see Tokenizer::from_json and from_gguf.
TokenizerSpec read_tokenizer_json(const boost::json::object& tokenizer_json,
                                  const boost::json::object& tokenizer_config);

}  // namespace touchstone
