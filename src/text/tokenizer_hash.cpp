#include <initializer_list>

#include "base/sha256.h"
#include "text/tokenizer_impl.h"

namespace touchstone {
namespace {

void add(Sha256& hash, std::initializer_list<std::int64_t> numbers) {
  hash.update(std::as_bytes(std::span(numbers.begin(), numbers.size())));
}

void add(Sha256& hash, const std::vector<std::int32_t>& ids) {
  add(hash, {std::ssize(ids)});
  hash.update(std::as_bytes(std::span(ids)));
}

void add(Sha256& hash, const PreTokenizer& pre_tokenizer) {
  add(hash, {std::ssize(pre_tokenizer.steps), pre_tokenizer.byte_level});
  for (const SplitStep& step : pre_tokenizer.steps) {
    add(hash, {static_cast<int>(step.splitter), static_cast<int>(step.behavior), step.invert});
    hash.update_with_length(step.pattern ? step.pattern->source() : "");
  }
}

}  // namespace

std::string Tokenizer::sha256() const {
  const TokenizerSpec& spec = impl_->spec;
  Sha256 hash;
  add(hash, {static_cast<std::int64_t>(spec.tokens.size()), std::ssize(spec.added)});
  for (std::size_t id = 0; id < spec.tokens.size(); ++id) hash.update_with_length(spec.tokens[id]);
  hash.update(spec.merges.bytes());
  for (const AddedToken& token : spec.added) {
    hash.update_with_length(token.content);
    add(hash, {token.id, token.special, token.single_word, token.lstrip, token.rstrip, token.normalized});
  }
  add(hash, spec.pre_tokenizer);
  add(hash, spec.prefix);
  add(hash, spec.suffix);
  add(hash,
      {static_cast<int>(spec.normalization), spec.ignore_merges, spec.fuse_unknown, spec.bos_id.value_or(-1),
       spec.eos_id.value_or(-1), spec.unk_id.value_or(-1), spec.unknown_byte_id.value_or(-1)});
  return to_hex(hash.finish());
}

}  // namespace touchstone
