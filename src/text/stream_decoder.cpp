#include <utility>

#include "text/tokenizer.h"
#include "text/unicode.h"

namespace touchstone {

StreamDecoder::StreamDecoder(const Tokenizer& tokenizer, bool skip_special)
    : tokenizer_(tokenizer), skip_special_(skip_special) {}

std::string StreamDecoder::push(std::int32_t id) {
  if (!tokenizer_.has_token(id) || (skip_special_ && tokenizer_.is_special(id))) return {};
  pending_ += tokenizer_.token_bytes(id);
  const std::size_t complete = pending_.size() - incomplete_suffix(pending_);
  std::string text = to_valid_utf8(std::string_view(pending_).substr(0, complete));
  pending_.erase(0, complete);
  return text;
}

std::string StreamDecoder::flush() { return to_valid_utf8(std::exchange(pending_, {})); }

}  // namespace touchstone
