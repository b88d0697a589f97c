#include "text/tokenizer.h"

#include <algorithm>
#include <atomic>
#include <cassert>

#include "base/error.h"
#include "text/tokenizer_encode.h"
#include "text/tokenizer_impl.h"

namespace touchstone {
namespace {

/// What the reference does to a token that is looked for after normalization.
void normalize_contents(TokenizerSpec& spec) {
  for (AddedToken& token : spec.added) {
    if (token.normalized && valid_utf8_prefix(token.content) == token.content.size()) {
      token.content = normalize(token.content, spec.normalization);
    }
  }
}

/// Whether the token can be found in text. Throws Error when it is too long to look for.
bool is_searchable(const AddedToken& token) {
  if (token.content.size() > AddedMatcher::kMaxContentBytes) {
    throw Error("added token " + std::to_string(token.id) + " is " + std::to_string(token.content.size()) +
                " bytes long; the most is " + std::to_string(AddedMatcher::kMaxContentBytes));
  }
  return !token.content.empty() && valid_utf8_prefix(token.content) == token.content.size();
}

void index_added(Tokenizer::Impl& impl) {
  const std::vector<AddedToken>& added = impl.spec.added;
  for (std::size_t i = 0; i < added.size(); ++i) {
    impl.added_ids.emplace(added[i].id, i);
    impl.added_contents.emplace(added[i].content, added[i].id);
    if (is_searchable(added[i])) {
      (added[i].normalized ? impl.normalized_added : impl.raw_added)
          .add(added[i].content, static_cast<std::int32_t>(i));
    }
  }
}

void index_bytes(Tokenizer::Impl& impl) {
  std::size_t count = impl.spec.tokens.size();
  for (const AddedToken& token : impl.spec.added) {
    count = std::max(count, static_cast<std::size_t>(token.id) + 1);
  }
  for (std::size_t id = 0; id < count; ++id) {
    const AddedToken* added = impl.find_added(static_cast<std::int32_t>(id));
    const bool listed = id < impl.spec.tokens.size();
    const std::string_view spelling = added != nullptr ? std::string_view(added->content)
                                      : listed         ? impl.spec.tokens[id]
                                                       : std::string_view();
    impl.bytes.push(spelled_bytes(spelling));
  }
  std::string spelling;
  for (unsigned byte = 0; byte < 256; ++byte) {
    const char c = static_cast<char>(byte);
    spelling.clear();
    append_spelling(spelling, {&c, 1});
    impl.byte_ids[byte] = impl.spec.token_index.find(impl.spec.tokens, spelling).value_or(-1);
  }
}

[[noreturn]] void throw_unknown_id(std::int32_t id, std::int32_t vocab_size) {
  throw Error("token id " + std::to_string(id) + " is not in the vocabulary of " + std::to_string(vocab_size),
              "ids belong to one model; use those of this one");
}

}  // namespace

const AddedToken* Tokenizer::Impl::find_added(std::int32_t id) const {
  const auto found = added_ids.find(id);
  return found == added_ids.end() ? nullptr : &spec.added[found->second];
}

Tokenizer make_tokenizer(TokenizerSpec spec) {
  static std::atomic<std::uint32_t> last_serial{0};
  auto impl = std::make_shared<Tokenizer::Impl>();
  impl->serial = ++last_serial;
  impl->spec = std::move(spec);
  normalize_contents(impl->spec);
  index_added(*impl);
  index_bytes(*impl);
  return Tokenizer(std::move(impl));
}

Tokenizer::Tokenizer(std::shared_ptr<const Impl> impl) : impl_(std::move(impl)) {}

Tokenizer Tokenizer::from_json(const boost::json::object& tokenizer_json,
                               const boost::json::object& tokenizer_config) {
  return make_tokenizer(read_tokenizer_json(tokenizer_json, tokenizer_config));
}

std::vector<std::int32_t> Tokenizer::encode(std::string_view text, const EncodeOptions& options) const {
  return encode_text(*impl_, text, options);
}

std::string Tokenizer::decode(std::span<const std::int32_t> ids, bool skip_special) const {
  std::string bytes;
  for (const std::int32_t id : ids) {
    if (id < 0) throw_unknown_id(id, vocab_size());
    if (has_token(id) && !(skip_special && is_special(id))) bytes += token_bytes(id);
  }
  return to_valid_utf8(bytes);
}

bool Tokenizer::has_token(std::int32_t id) const {
  return id >= 0 && id < vocab_size() && !impl_->bytes[static_cast<std::size_t>(id)].empty();
}

std::string_view Tokenizer::token_bytes(std::int32_t id) const {
  if (id < 0 || id >= vocab_size()) throw_unknown_id(id, vocab_size());
  return impl_->bytes[static_cast<std::size_t>(id)];
}

std::string Tokenizer::token(std::int32_t id) const {
  if (id < 0 || id >= vocab_size()) throw_unknown_id(id, vocab_size());
  if (const AddedToken* added = impl_->find_added(id)) return added->content;
  const auto index = static_cast<std::size_t>(id);
  return index < impl_->spec.tokens.size() ? std::string(impl_->spec.tokens[index]) : std::string();
}

std::optional<std::int32_t> Tokenizer::find_token(std::string_view token) const {
  const auto added = impl_->added_contents.find(token);
  if (added != impl_->added_contents.end()) return added->second;
  return impl_->spec.token_index.find(impl_->spec.tokens, token);
}

bool Tokenizer::is_special(std::int32_t id) const {
  const AddedToken* added = impl_->find_added(id);
  return added != nullptr && added->special;
}

std::int32_t Tokenizer::vocab_size() const { return static_cast<std::int32_t>(impl_->bytes.size()); }
std::optional<std::int32_t> Tokenizer::bos_id() const { return impl_->spec.bos_id; }
std::optional<std::int32_t> Tokenizer::eos_id() const { return impl_->spec.eos_id; }
std::optional<std::int32_t> Tokenizer::unk_id() const { return impl_->spec.unk_id; }

bool Tokenizer::adds_bos() const {
  return impl_->spec.bos_id && !impl_->spec.prefix.empty() &&
         impl_->spec.prefix.front() == *impl_->spec.bos_id;
}

}  // namespace touchstone
