#include "text/tokenizer_encode.h"

#include <algorithm>
#include <cstring>

#include "base/error.h"
#include "text/tokenizer_impl.h"

namespace touchstone {
namespace {

using Ids = std::vector<std::int32_t>;

constexpr std::size_t kMaxTextBytes = std::size_t{1} << 30;  // positions are 32 bits wide

/// One remembered word: a cache line.
struct WordSlot {
  static constexpr std::size_t kMaxBytes = 26;
  static constexpr std::size_t kMaxIds = 8;
  std::uint32_t serial = 0;  // of the tokenizer
  std::uint8_t length = 0, count = 0;
  std::array<char, kMaxBytes> text{};
  std::array<std::int32_t, kMaxIds> ids{};

  bool holds(std::uint32_t tokenizer, std::string_view word) const {
    return serial == tokenizer && length == word.size() && std::memcmp(text.data(), word.data(), length) == 0;
  }
};
static_assert(sizeof(WordSlot) == 64);

const AddedMatcher kNoAdded;

constexpr std::size_t kWordSlots = std::size_t{1} << 15;

/// What a thread works with: text repeats its words, so the latest ones are remembered, one in each slot.
struct Workspace {
  std::vector<WordSlot> words = std::vector<WordSlot>(kWordSlots);
  SplitBuffers buffers;
  Ids merging;
  std::string spelling;
};

Workspace& workspace() {
  thread_local Workspace work;
  return work;
}

/// The tokens of the piece's bytes, before merging.
void put_byte_ids(const Tokenizer::Impl& impl, std::string_view piece, Ids& ids) {
  ids.clear();
  bool after_unknown = false;
  for (const char c : piece) {
    const std::int32_t id = impl.byte_ids[static_cast<unsigned char>(c)];
    if (id >= 0) {
      ids.push_back(id);
    } else if (impl.spec.unknown_byte_id && !(after_unknown && impl.spec.fuse_unknown)) {
      ids.push_back(*impl.spec.unknown_byte_id);
    }
    after_unknown = id < 0;
  }
}

void encode_piece(const Tokenizer::Impl& impl, std::string_view piece, Workspace& work, Ids& out) {
  WordSlot* slot = nullptr;
  if (piece.size() <= WordSlot::kMaxBytes) {
    slot = &work.words[hash_bytes(piece) & (kWordSlots - 1)];
    if (slot->holds(impl.serial, piece)) {
      out.insert(out.end(), slot->ids.begin(), slot->ids.begin() + slot->count);
      return;
    }
  }
  Ids& ids = work.merging;
  std::optional<std::int32_t> whole;
  if (impl.spec.ignore_merges) {
    work.spelling.clear();
    append_spelling(work.spelling, piece);
    whole = impl.spec.token_index.find(impl.spec.tokens, work.spelling);
  }
  if (whole) {
    ids.assign(1, *whole);
  } else {
    put_byte_ids(impl, piece, ids);
    merge_pairs(impl.spec.merges, ids);
  }
  out.insert(out.end(), ids.begin(), ids.end());
  if (slot != nullptr && ids.size() <= WordSlot::kMaxIds) {
    slot->serial = impl.serial;
    slot->length = static_cast<std::uint8_t>(piece.size());
    slot->count = static_cast<std::uint8_t>(ids.size());
    std::copy(piece.begin(), piece.end(), slot->text.begin());
    std::copy(ids.begin(), ids.end(), slot->ids.begin());
  }
}

bool is_single_word(std::string_view text, std::size_t begin, std::size_t end) {
  const std::string_view before = text.substr(0, begin);
  const bool joined_before =
      !before.empty() && is_word_character(read_codepoint(before, last_codepoint(before)).value);
  const bool joined_after = end < text.size() && is_word_character(read_codepoint(text, end).value);
  return !joined_before && !joined_after;
}

std::size_t skip_space_back(std::string_view text, std::size_t begin, std::size_t floor) {
  while (begin > floor) {
    const std::size_t at = last_codepoint(text.substr(0, begin));
    if (classify(read_codepoint(text, at).value) != CharClass::space) break;
    begin = at;
  }
  return begin;
}

std::size_t skip_space(std::string_view text, std::size_t end) {
  while (end < text.size()) {
    const Codepoint c = read_codepoint(text, end);
    if (classify(c.value) != CharClass::space) break;
    end += c.length;
  }
  return end;
}

/// Cuts `text` at the added tokens that `matcher` finds: plain(part) and token(id), in order. A token that is
/// not taken (because it is special, or part of a word) still covers its text, as in the reference; and one
/// that begins in the space that the token before took ends that space where it ends itself.
template <class Plain, class Token>
void split_added(const Tokenizer::Impl& impl, const AddedMatcher& matcher, std::string_view text,
                 bool parse_special, const Plain& plain, const Token& token) {
  std::size_t done = 0;  // text[0, done) is out
  if (!matcher.empty()) {
    for (auto match = matcher.find(text, 0); match.index >= 0; match = matcher.find(text, match.end)) {
      const AddedToken& added = impl.spec.added[static_cast<std::size_t>(match.index)];
      if (added.special && !parse_special) continue;
      if (added.single_word && !is_single_word(text, match.begin, match.end)) continue;
      const std::size_t begin =
          added.lstrip ? std::max(done, skip_space_back(text, match.begin, done)) : match.begin;
      const std::size_t end = added.rstrip ? skip_space(text, match.end) : match.end;
      if (begin >= end) continue;  // it took its text with the space behind the token before
      if (begin > done) plain(text.substr(done, begin - done));
      token(added.id);
      done = end;
    }
  }
  if (done < text.size()) plain(text.substr(done));
}

}  // namespace

Ids encode_text(const Tokenizer::Impl& impl, std::string_view text, const Tokenizer::EncodeOptions& options) {
  if (text.size() > kMaxTextBytes) throw Error("the text to tokenize is longer than 1 GiB", "split it");
  std::string replaced;
  if (valid_utf8_prefix(text) != text.size()) text = replaced = to_valid_utf8(text);

  const TokenizerSpec& spec = impl.spec;
  Workspace& work = workspace();
  work.buffers.match_steps = most_match_steps(text.size());
  Ids ids;
  if (options.add_special) ids = spec.prefix;
  const auto put_token = [&](std::int32_t id) { ids.push_back(id); };
  const auto put_plain = [&](std::string_view part) {
    split_pieces(spec.pre_tokenizer, part, work.buffers);
    for (const std::string_view piece : work.buffers.pieces) encode_piece(impl, piece, work, ids);
  };
  const auto put_normalized = [&](std::string_view part, const AddedMatcher& matcher) {
    split_added(impl, matcher, part, options.parse_special, put_plain, put_token);
  };
  const auto put_raw = [&](std::string_view part) {
    const AddedMatcher& matcher = options.parse_added ? impl.normalized_added : kNoAdded;
    if (spec.normalization == Normalization::none) return put_normalized(part, matcher);
    put_normalized(normalize(part, spec.normalization), matcher);
  };
  split_added(impl, options.parse_added ? impl.raw_added : kNoAdded, text, options.parse_special, put_raw,
              put_token);
  if (options.add_special) ids.insert(ids.end(), spec.suffix.begin(), spec.suffix.end());
  return ids;
}

}  // namespace touchstone
