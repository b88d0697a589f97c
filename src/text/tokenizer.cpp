#include "text/tokenizer.h"

#include <utf8proc.h>

#include <algorithm>
#include <array>
#include <cassert>
#include <charconv>
#include <limits>
#include <queue>
#include <unordered_map>

#include "base/error.h"
#include "text/pretokenizer.h"
#include "text/unicode.h"

namespace touchstone {
namespace {

// No published vocabulary is near it; keeps a lying id from asking for gigabytes.
constexpr std::int64_t kMaxVocab = 4'000'000;
// Words up to this length are remembered; longer ones are rare and large.
constexpr std::size_t kCachedWordBytes = 64;
constexpr std::size_t kCachedWords = 1U << 16;

struct StringHash {
  using is_transparent = void;
  std::size_t operator()(std::string_view s) const { return std::hash<std::string_view>{}(s); }
};
using StringMap = std::unordered_map<std::string, std::int32_t, StringHash, std::equal_to<>>;

struct Merge {
  std::int32_t rank;
  std::int32_t id;
};

std::uint64_t pair_key(std::int32_t left, std::int32_t right) {
  return static_cast<std::uint64_t>(static_cast<std::uint32_t>(left)) << 32 |
         static_cast<std::uint32_t>(right);
}

/// GPT-2's bytes_to_unicode: printable Latin-1 stands for itself, the rest from U+0100 on.
const std::array<char32_t, 256>& byte_spelling() {
  static const std::array<char32_t, 256> table = [] {
    std::array<char32_t, 256> t{};
    char32_t next = 256;
    for (unsigned b = 0; b < 256; ++b) {
      const bool printable = (b >= 0x21 && b <= 0x7E) || (b >= 0xA1 && b <= 0xAC) || b >= 0xAE;
      t[b] = printable ? static_cast<char32_t>(b) : next++;
    }
    return t;
  }();
  return table;
}

/// The bytes that a byte-level spelling stands for; nothing when a character is no byte's.
std::optional<std::string> spelled_bytes(std::string_view spelling) {
  static const std::unordered_map<char32_t, char> bytes = [] {
    std::unordered_map<char32_t, char> map;
    for (unsigned b = 0; b < 256; ++b) map.emplace(byte_spelling()[b], static_cast<char>(b));
    return map;
  }();
  std::string result;
  for (std::size_t i = 0; i < spelling.size();) {
    const Codepoint c = read_codepoint(spelling, i);
    const auto found = c.valid ? bytes.find(c.value) : bytes.end();
    if (found == bytes.end()) return std::nullopt;
    result += found->second;
    i += c.length;
  }
  return result;
}

bool is_word_character(std::string_view text, std::size_t at) {
  const Codepoint c = read_codepoint(text, at);
  const auto category = utf8proc_category(static_cast<utf8proc_int32_t>(c.value));
  return c.value == U'_' || (category >= UTF8PROC_CATEGORY_LU && category <= UTF8PROC_CATEGORY_NO);
}

std::size_t start_of_last_character(std::string_view text, std::size_t end) {
  std::size_t at = end - 1;
  while (at > 0 && (static_cast<unsigned char>(text[at]) & 0xC0U) == 0x80U) --at;
  return at;
}

bool is_space(char32_t c) {
  return (c >= 9 && c <= 13) || c == 0x85 || (c >= 0x80 ? false : c == ' ') || [&] {
    const auto category = utf8proc_category(static_cast<utf8proc_int32_t>(c));
    return category == UTF8PROC_CATEGORY_ZS || category == UTF8PROC_CATEGORY_ZL ||
           category == UTF8PROC_CATEGORY_ZP;
  }();
}

/// A byte-wise trie of added tokens; finds the longest one that begins at a place.
class AddedTrie {
 public:
  void add(std::string_view content, std::int32_t id) {
    std::uint32_t node = 0;
    for (const char c : content) {
      const auto [it, inserted] = edges_.try_emplace(edge(node, c), static_cast<std::uint32_t>(ends_.size()));
      if (inserted) ends_.push_back(-1);
      node = it->second;
    }
    ends_[node] = id;
    starts_[static_cast<unsigned char>(content.front())] = true;
  }
  bool empty() const { return ends_.size() == 1; }
  bool may_start(char c) const { return starts_[static_cast<unsigned char>(c)]; }
  /// Calls accept(id, length) for matches at `at`, longest first, until it returns true.
  template <class Accept>
  bool match(std::string_view text, std::size_t at, const Accept& accept) const {
    std::vector<std::pair<std::int32_t, std::size_t>> found;
    std::uint32_t node = 0;
    for (std::size_t i = at; i < text.size(); ++i) {
      const auto it = edges_.find(edge(node, text[i]));
      if (it == edges_.end()) break;
      node = it->second;
      if (ends_[node] >= 0) found.emplace_back(ends_[node], i + 1 - at);
    }
    return std::any_of(found.rbegin(), found.rend(),
                       [&](const auto& f) { return accept(f.first, f.second); });
  }

 private:
  static std::uint64_t edge(std::uint32_t node, char c) {
    return static_cast<std::uint64_t>(node) << 8 | static_cast<unsigned char>(c);
  }
  std::unordered_map<std::uint64_t, std::uint32_t> edges_;
  std::vector<std::int32_t> ends_{-1};
  std::array<bool, 256> starts_{};
};

}  // namespace

namespace {
using Ids = std::vector<std::int32_t>;
}

struct Tokenizer::Impl {
  std::vector<std::string> tokens;  // as spelled; index = id
  std::vector<std::string> bytes;   // what each id stands for
  std::vector<std::uint8_t> special;
  std::vector<AddedToken> added;
  std::unordered_map<std::int32_t, std::size_t> added_index;
  AddedTrie raw_added;         // matched in the text as it is
  AddedTrie normalized_added;  // matched after normalization
  StringMap vocab;
  std::array<std::string, 256> tokens_of_bytes;  // each byte's spelling
  std::array<std::int32_t, 256> byte_ids{};      // its token, -1 if there is none
  std::unordered_map<std::uint64_t, Merge> merges;
  PreTokenizer pre;
  bool nfc = false;
  bool ignore_merges = false;
  std::vector<std::int32_t> prefix, suffix;  // what the post-processor adds
  std::optional<std::int32_t> bos, eos, unk;

  void set_token(std::int64_t id, std::string_view spelling, const std::string& source);
  void add_merges(const std::vector<std::pair<std::string_view, std::string_view>>& pairs,
                  const std::string& source);
  void add_added(AddedToken token, const std::string& source);
  void finish(const std::string& source);
  std::optional<std::int32_t> find_bytes(std::string_view word) const;
  void merge_word(std::string_view word, std::vector<std::int32_t>& ids) const;
};

void Tokenizer::Impl::set_token(std::int64_t id, std::string_view spelling, const std::string& source) {
  if (id < 0 || id >= kMaxVocab) {
    throw Error(source + ": token '" + std::string(spelling) + "' has the impossible id " +
                std::to_string(id));
  }
  const auto index = static_cast<std::size_t>(id);
  if (index >= tokens.size()) tokens.resize(index + 1);
  if (!tokens[index].empty() && tokens[index] != spelling) {
    throw Error(source + ": id " + std::to_string(id) + " is given to both '" + tokens[index] + "' and '" +
                std::string(spelling) + "'");
  }
  tokens[index] = spelling;
  vocab.emplace(spelling, static_cast<std::int32_t>(id));
}

void Tokenizer::Impl::add_merges(const std::vector<std::pair<std::string_view, std::string_view>>& pairs,
                                 const std::string& source) {
  merges.reserve(pairs.size());
  std::string joined;
  for (std::size_t rank = 0; rank < pairs.size(); ++rank) {
    const auto [left, right] = pairs[rank];
    joined.assign(left).append(right);
    const auto l = vocab.find(left);
    const auto r = vocab.find(right);
    const auto j = vocab.find(joined);
    if (l == vocab.end() || r == vocab.end() || j == vocab.end()) {
      throw Error(source + ": merge " + std::to_string(rank) + " ('" + std::string(left) + "' '" +
                  std::string(right) + "') names a token that is not in the vocabulary");
    }
    merges.emplace(pair_key(l->second, r->second), Merge{static_cast<std::int32_t>(rank), j->second});
  }
}

void Tokenizer::Impl::add_added(AddedToken token, const std::string& source) {
  if (token.content.empty()) return;
  const auto known = vocab.find(token.content);
  if (known == vocab.end()) {
    set_token(token.id, token.content, source);
  } else {
    token.id = known->second;
  }
  if (added_index.contains(token.id)) return;
  added_index.emplace(token.id, added.size());
  (token.normalized ? normalized_added : raw_added).add(token.content, token.id);
  added.push_back(std::move(token));
}

void Tokenizer::Impl::finish(const std::string& source) {
  if (tokens.empty()) throw Error(source + ": the vocabulary is empty");
  bytes.resize(tokens.size());
  special.assign(tokens.size(), 0);
  for (std::size_t id = 0; id < tokens.size(); ++id) {
    bytes[id] = spelled_bytes(tokens[id]).value_or(tokens[id]);
  }
  for (const AddedToken& token : added) {
    bytes[static_cast<std::size_t>(token.id)] = token.content;
    special[static_cast<std::size_t>(token.id)] = token.special ? 1 : 0;
  }
  for (unsigned b = 0; b < 256; ++b) {
    utf8proc_uint8_t buffer[4];
    const auto size = utf8proc_encode_char(static_cast<utf8proc_int32_t>(byte_spelling()[b]), buffer);
    tokens_of_bytes[b].assign(reinterpret_cast<const char*>(buffer), static_cast<std::size_t>(size));
    const auto found = vocab.find(tokens_of_bytes[b]);
    byte_ids[b] = found == vocab.end() ? -1 : found->second;
  }
}

/// The token that stands for exactly these bytes.
std::optional<std::int32_t> Tokenizer::Impl::find_bytes(std::string_view word) const {
  std::string spelling;
  for (const char c : word) spelling += tokens_of_bytes[static_cast<unsigned char>(c)];
  const auto found = vocab.find(spelling);
  return found == vocab.end() ? std::nullopt : std::optional(found->second);
}

/// Byte-pair merging, lowest rank first and leftmost among equals, in O(n log n).
void Tokenizer::Impl::merge_word(std::string_view word, Ids& ids) const {
  struct Node {
    std::int32_t id;
    std::int32_t previous, next;
  };
  struct Candidate {
    std::int32_t rank;
    std::int32_t left;  // node
    std::int32_t left_id, right_id;
    bool operator>(const Candidate& other) const {
      return rank != other.rank ? rank > other.rank : left > other.left;
    }
  };
  thread_local std::vector<Node> nodes;
  thread_local std::vector<Candidate> storage;
  nodes.clear();
  for (const char c : word) {
    std::int32_t id = byte_ids[static_cast<unsigned char>(c)];
    if (id < 0) {
      if (!unk) continue;
      id = *unk;
    }
    const auto index = static_cast<std::int32_t>(nodes.size());
    nodes.push_back({id, index - 1, index + 1});
  }
  if (nodes.empty()) return;
  nodes.back().next = -1;
  storage.clear();
  std::priority_queue<Candidate, std::vector<Candidate>, std::greater<>> queue(std::greater<>{},
                                                                               std::move(storage));
  const auto consider = [&](std::int32_t left) {
    if (left < 0) return;
    const Node& a = nodes[static_cast<std::size_t>(left)];
    if (a.next < 0) return;
    const std::int32_t right_id = nodes[static_cast<std::size_t>(a.next)].id;
    const auto found = merges.find(pair_key(a.id, right_id));
    if (found != merges.end()) queue.push({found->second.rank, left, a.id, right_id});
  };
  for (std::size_t i = 0; i + 1 < nodes.size(); ++i) consider(static_cast<std::int32_t>(i));
  while (!queue.empty()) {
    const Candidate best = queue.top();
    queue.pop();
    Node& a = nodes[static_cast<std::size_t>(best.left)];
    if (a.id != best.left_id || a.next < 0) continue;
    Node& b = nodes[static_cast<std::size_t>(a.next)];
    if (b.id != best.right_id) continue;
    a.id = merges.find(pair_key(best.left_id, best.right_id))->second.id;
    b.id = -1;
    a.next = b.next;
    if (a.next >= 0) nodes[static_cast<std::size_t>(a.next)].previous = best.left;
    consider(a.previous);
    consider(best.left);
  }
  for (std::int32_t i = 0; i >= 0; i = nodes[static_cast<std::size_t>(i)].next) {
    ids.push_back(nodes[static_cast<std::size_t>(i)].id);
  }
}

namespace {

/// Encodes text without added tokens: pre-tokenizer, then merges, words remembered.
class PieceEncoder {
 public:
  PieceEncoder(const Tokenizer::Impl& impl, Ids& ids) : impl_(impl), ids_(ids) {}

  void encode(std::string_view text) {
    split_pieces(impl_.pre, text, [&](std::string_view piece) { encode_piece(piece); });
  }

 private:
  void encode_piece(std::string_view piece) {
    const bool short_word = piece.size() <= kCachedWordBytes;
    if (short_word) {
      const auto found = cache_.find(piece);
      if (found != cache_.end()) {
        ids_.insert(ids_.end(), found->second.begin(), found->second.end());
        return;
      }
    }
    const std::size_t begin = ids_.size();
    if (const auto whole = impl_.ignore_merges ? impl_.find_bytes(piece) : std::nullopt) {
      ids_.push_back(*whole);
    } else {
      impl_.merge_word(piece, ids_);
    }
    if (short_word && cache_.size() < kCachedWords) {
      cache_.emplace(piece, Ids(ids_.begin() + static_cast<std::ptrdiff_t>(begin), ids_.end()));
    }
  }

  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view s) const { return std::hash<std::string_view>{}(s); }
  };
  const Tokenizer::Impl& impl_;
  Ids& ids_;
  std::unordered_map<std::string, Ids, Hash, std::equal_to<>> cache_;
};

/// Cuts `text` at added tokens: plain(segment) and token(id) in order.
template <class Plain, class Token>
void split_added(const Tokenizer::Impl& impl, const AddedTrie& trie, std::string_view text,
                 bool parse_special, const Plain& plain, const Token& token) {
  std::size_t segment = 0;
  if (!trie.empty()) {
    for (std::size_t i = 0; i < text.size();) {
      std::size_t next = i + 1;
      if (trie.may_start(text[i])) {
        trie.match(text, i, [&](std::int32_t id, std::size_t length) {
          const AddedToken& added = impl.added[impl.added_index.at(id)];
          if (added.special && !parse_special) return false;
          std::size_t begin = i;
          std::size_t end = i + length;
          if (added.single_word) {
            const bool word_before =
                begin > 0 && is_word_character(text, start_of_last_character(text, begin));
            const bool word_after = end < text.size() && is_word_character(text, end);
            if (word_before || word_after) return false;
          }
          while (added.lstrip && begin > segment) {
            const std::size_t at = start_of_last_character(text, begin);
            if (!is_space(read_codepoint(text, at).value)) break;
            begin = at;
          }
          while (added.rstrip && end < text.size()) {
            const Codepoint c = read_codepoint(text, end);
            if (!is_space(c.value)) break;
            end += c.length;
          }
          if (begin > segment) plain(text.substr(segment, begin - segment));
          token(id);
          segment = next = end;
          return true;
        });
      }
      i = next;
    }
  }
  if (segment < text.size()) plain(text.substr(segment));
}

}  // namespace

Ids Tokenizer::encode(std::string_view raw, const EncodeOptions& options) const {
  const std::string text = replace_invalid_utf8(raw);
  Ids ids;
  if (options.add_special) ids = impl_->prefix;
  PieceEncoder pieces(*impl_, ids);
  const auto token = [&](std::int32_t id) { ids.push_back(id); };
  split_added(
      *impl_, impl_->raw_added, text, options.parse_special,
      [&](std::string_view segment) {
        const std::string normalized = impl_->nfc ? normalize_nfc(segment) : std::string(segment);
        split_added(
            *impl_, impl_->normalized_added, normalized, options.parse_special,
            [&](std::string_view part) { pieces.encode(part); }, token);
      },
      token);
  if (options.add_special) ids.insert(ids.end(), impl_->suffix.begin(), impl_->suffix.end());
  return ids;
}

namespace {

/// The entry of an id; nothing for ids past the vocabulary, which models have where their embedding is
/// padded.
std::string_view entry_of(const std::vector<std::string>& entries, std::int32_t id) {
  if (id < 0) throw Error("token id " + std::to_string(id) + " is negative", "ids count from 0");
  return static_cast<std::size_t>(id) < entries.size()
             ? std::string_view(entries[static_cast<std::size_t>(id)])
             : std::string_view();
}

}  // namespace

std::string_view Tokenizer::token_bytes(std::int32_t id) const { return entry_of(impl_->bytes, id); }

std::string Tokenizer::decode(std::span<const std::int32_t> ids, bool skip_special) const {
  std::string bytes;
  for (const std::int32_t id : ids) {
    const std::string_view piece = token_bytes(id);
    if (!(skip_special && is_special(id))) bytes += piece;
  }
  return replace_invalid_utf8(bytes);
}

std::string Tokenizer::token(std::int32_t id) const { return std::string(entry_of(impl_->tokens, id)); }

std::optional<std::int32_t> Tokenizer::find_token(std::string_view token) const {
  const auto found = impl_->vocab.find(token);
  return found == impl_->vocab.end() ? std::nullopt : std::optional(found->second);
}

bool Tokenizer::is_special(std::int32_t id) const {
  return id >= 0 && static_cast<std::size_t>(id) < impl_->special.size() &&
         impl_->special[static_cast<std::size_t>(id)] != 0;
}

std::int32_t Tokenizer::vocab_size() const { return static_cast<std::int32_t>(impl_->tokens.size()); }
std::optional<std::int32_t> Tokenizer::bos_id() const { return impl_->bos; }
std::optional<std::int32_t> Tokenizer::eos_id() const { return impl_->eos; }
std::optional<std::int32_t> Tokenizer::unk_id() const { return impl_->unk; }
bool Tokenizer::adds_bos() const {
  return impl_->bos && !impl_->prefix.empty() && impl_->prefix.front() == *impl_->bos;
}

// ---- Construction ----

namespace {

using boost::json::object;
using boost::json::value;
constexpr const char* kSource = "tokenizer.json";

bool flag_of(const object& o, std::string_view key) {
  const value* v = o.if_contains(key);
  return v != nullptr && v->is_bool() && v->as_bool();
}

std::string_view text_of(const object& o, std::string_view key) {
  const value* v = o.if_contains(key);
  return v != nullptr && v->is_string() ? std::string_view(v->as_string()) : std::string_view();
}

const object& object_of(const object& o, std::string_view key) {
  const value* v = o.if_contains(key);
  if (v == nullptr || !v->is_object())
    throw Error(std::string(kSource) + ": '" + std::string(key) + "' is missing");
  return v->as_object();
}

std::int64_t id_of(const value& v, std::string_view what) {
  const std::int64_t* id = v.if_int64();
  if (id == nullptr || *id < 0 || *id >= kMaxVocab) {
    throw Error(std::string(kSource) + ": " + std::string(what) + " has an impossible id");
  }
  return *id;
}

/// Whether a normalizer brings text into NFC. Throws Error for one that is not supported.
bool parse_normalizer(const value& v, int depth) {
  constexpr int kMaxDepth = 8;
  if (v.is_null()) return false;
  if (!v.is_object() || depth > kMaxDepth) throw Error("tokenizer.json: normalizer is not an object");
  const std::string_view type = text_of(v.as_object(), "type");
  if (type == "NFC") return true;
  if (type == "Sequence") {
    const value* list = v.as_object().if_contains("normalizers");
    if (list == nullptr || !list->is_array()) throw Error("tokenizer.json: a Sequence has no normalizers");
    bool nfc = false;
    for (const value& entry : list->as_array()) nfc = parse_normalizer(entry, depth + 1) || nfc;
    return nfc;
  }
  throw Error("tokenizer.json: normalizer '" + std::string(type) + "' is not supported",
              "supported: NFC, Sequence");
}

std::vector<std::pair<std::string_view, std::string_view>> parse_merges(const value& v) {
  if (!v.is_array()) throw Error("tokenizer.json: model.merges is not an array");
  std::vector<std::pair<std::string_view, std::string_view>> pairs;
  pairs.reserve(v.as_array().size());
  for (const value& entry : v.as_array()) {
    if (const auto* text = entry.if_string()) {
      const std::string_view merge(*text);
      const std::size_t space = merge.find(' ');
      if (space == std::string_view::npos)
        throw Error("tokenizer.json: merge '" + std::string(merge) + "' is not a pair");
      pairs.emplace_back(merge.substr(0, space), merge.substr(space + 1));
    } else if (entry.is_array() && entry.as_array().size() == 2 && entry.as_array()[0].is_string() &&
               entry.as_array()[1].is_string()) {
      pairs.emplace_back(entry.as_array()[0].as_string(), entry.as_array()[1].as_string());
    } else {
      throw Error("tokenizer.json: merge " + std::to_string(pairs.size()) + " is not a pair");
    }
  }
  return pairs;
}

/// The ids that a post-processor puts before and after a single text.
void parse_post_processor(const value& v, Tokenizer::Impl& impl, int depth) {
  constexpr int kMaxDepth = 8;
  if (!v.is_object() || depth > kMaxDepth) return;
  const object& o = v.as_object();
  const std::string_view type = text_of(o, "type");
  if (type == "Sequence") {
    const value* list = o.if_contains("processors");
    if (list == nullptr || !list->is_array()) throw Error("tokenizer.json: a Sequence has no processors");
    for (const value& entry : list->as_array()) parse_post_processor(entry, impl, depth + 1);
  } else if (type == "TemplateProcessing") {
    const value* single = o.if_contains("single");
    if (single == nullptr || !single->is_array())
      throw Error("tokenizer.json: TemplateProcessing has no 'single'");
    bool before = true;
    for (const value& entry : single->as_array()) {
      if (!entry.is_object()) throw Error("tokenizer.json: TemplateProcessing is malformed");
      if (entry.as_object().contains("Sequence")) before = false;
      const value* token = entry.as_object().if_contains("SpecialToken");
      if (token == nullptr || !token->is_object()) continue;
      const std::string_view name = text_of(token->as_object(), "id");
      const auto found = impl.vocab.find(name);
      if (found == impl.vocab.end()) {
        throw Error("tokenizer.json: TemplateProcessing names '" + std::string(name) +
                    "', which is not a token");
      }
      (before ? impl.prefix : impl.suffix).push_back(found->second);
    }
  } else if (type != "ByteLevel") {
    throw Error("tokenizer.json: post-processor '" + std::string(type) + "' is not supported");
  }
}

/// A special token that tokenizer_config.json names, as a string or as an added-token object.
std::optional<std::int32_t> configured_token(const object& config, std::string_view key,
                                             const Tokenizer::Impl& impl) {
  const value* v = config.if_contains(key);
  if (v == nullptr) return std::nullopt;
  std::string_view name;
  if (v->is_string()) name = v->as_string();
  if (v->is_object()) name = text_of(v->as_object(), "content");
  const auto found = impl.vocab.find(name);
  return found == impl.vocab.end() ? std::nullopt : std::optional(found->second);
}

AddedToken parse_added(const object& o, std::int64_t id) {
  return {.id = static_cast<std::int32_t>(id),
          .content = std::string(text_of(o, "content")),
          .special = flag_of(o, "special"),
          .single_word = flag_of(o, "single_word"),
          .lstrip = flag_of(o, "lstrip"),
          .rstrip = flag_of(o, "rstrip"),
          .normalized = flag_of(o, "normalized")};
}

}  // namespace

Tokenizer Tokenizer::from_json(const object& json, const object& config) {
  auto impl = std::make_shared<Impl>();
  const object& model = object_of(json, "model");
  const std::string_view type = text_of(model, "type");
  if (!type.empty() && type != "BPE") {
    throw Error("tokenizer.json: model type '" + std::string(type) + "' is not supported",
                "byte-level BPE is");
  }
  if (flag_of(model, "byte_fallback"))
    throw Error("tokenizer.json: byte_fallback is not supported", "byte-level BPE is");
  impl->ignore_merges = flag_of(model, "ignore_merges");
  const object& vocab = object_of(model, "vocab");
  if (vocab.size() > static_cast<std::size_t>(kMaxVocab))
    throw Error("tokenizer.json: the vocabulary is too large");
  impl->vocab.reserve(vocab.size());
  for (const auto& entry : vocab) impl->set_token(id_of(entry.value(), entry.key()), entry.key(), kSource);
  const value* merges = model.if_contains("merges");
  if (merges == nullptr) throw Error("tokenizer.json: 'merges' is missing");
  impl->add_merges(parse_merges(*merges), kSource);
  if (const value* added = json.if_contains("added_tokens"); added != nullptr && added->is_array()) {
    for (const value& entry : added->as_array()) {
      const value* id = entry.is_object() ? entry.as_object().if_contains("id") : nullptr;
      if (id == nullptr) throw Error("tokenizer.json: an added token has no id");
      impl->add_added(parse_added(entry.as_object(), id_of(*id, "an added token")), kSource);
    }
  }
  if (const value* decoder = config.if_contains("added_tokens_decoder");
      decoder != nullptr && decoder->is_object()) {
    for (const auto& entry : decoder->as_object()) {
      std::int64_t id = 0;
      const std::string_view key = entry.key();
      const auto parsed = std::from_chars(key.data(), key.data() + key.size(), id);
      if (!entry.value().is_object() || parsed.ec != std::errc() || id < 0 || id >= kMaxVocab) {
        throw Error("tokenizer_config.json: added token '" + std::string(key) + "' is malformed");
      }
      impl->add_added(parse_added(entry.value().as_object(), id), "tokenizer_config.json");
    }
  }
  if (const value* normalizer = json.if_contains("normalizer")) impl->nfc = parse_normalizer(*normalizer, 0);
  if (const value* pre = json.if_contains("pre_tokenizer")) impl->pre = parse_pre_tokenizer(*pre);
  if (const value* post = json.if_contains("post_processor")) parse_post_processor(*post, *impl, 0);
  impl->unk = configured_token(model, "unk_token", *impl);
  impl->bos = configured_token(config, "bos_token", *impl);
  impl->eos = configured_token(config, "eos_token", *impl);
  impl->finish(kSource);
  Tokenizer tokenizer;
  tokenizer.impl_ = std::move(impl);
  return tokenizer;
}

Tokenizer Tokenizer::from_gguf(std::string_view pre, std::span<const std::string> tokens,
                               std::span<const std::int32_t> token_types, std::span<const std::string> merges,
                               std::optional<std::int32_t> bos_id, std::optional<std::int32_t> eos_id,
                               bool add_bos, bool add_eos) {
  constexpr const char* kGguf = "tokenizer.ggml";
  constexpr std::int32_t kControl = 3;
  constexpr std::int32_t kUserDefined = 4;
  auto impl = std::make_shared<Impl>();
  impl->pre = named_pre_tokenizer(pre);
  impl->nfc = pre == "qwen2" || pre == "deepseek-r1-qwen";
  impl->ignore_merges = pre == "llama-bpe" || pre == "llama3" || pre == "llama-v3";
  if (!token_types.empty() && token_types.size() != tokens.size()) {
    throw Error("tokenizer.ggml.token_type has " + std::to_string(token_types.size()) + " entries for " +
                std::to_string(tokens.size()) + " tokens");
  }
  impl->vocab.reserve(tokens.size());
  for (std::size_t id = 0; id < tokens.size(); ++id) {
    impl->set_token(static_cast<std::int64_t>(id), tokens[id], kGguf);
  }
  std::vector<std::pair<std::string_view, std::string_view>> pairs;
  pairs.reserve(merges.size());
  for (const std::string& merge : merges) {
    // The first character may itself be a space's spelling, never a space.
    const std::size_t space = merge.find(' ', 1);
    if (space == std::string::npos) throw Error("tokenizer.ggml.merges: '" + merge + "' is not a pair");
    pairs.emplace_back(std::string_view(merge).substr(0, space), std::string_view(merge).substr(space + 1));
  }
  impl->add_merges(pairs, kGguf);
  for (std::size_t id = 0; id < token_types.size(); ++id) {
    if (token_types[id] != kControl && token_types[id] != kUserDefined) continue;
    impl->add_added(
        {.id = static_cast<std::int32_t>(id), .content = tokens[id], .special = token_types[id] == kControl},
        kGguf);
  }
  const auto known = [&](std::optional<std::int32_t> id) {
    return id && *id >= 0 && static_cast<std::size_t>(*id) < tokens.size() ? id : std::nullopt;
  };
  impl->bos = known(bos_id);
  impl->eos = known(eos_id);
  if (add_bos && impl->bos) impl->prefix.push_back(*impl->bos);
  if (add_eos && impl->eos) impl->suffix.push_back(*impl->eos);
  impl->finish(kGguf);
  Tokenizer tokenizer;
  tokenizer.impl_ = std::move(impl);
  return tokenizer;
}

// ---- Streaming ----

StreamDecoder::StreamDecoder(const Tokenizer& tokenizer, bool skip_special)
    : tokenizer_(tokenizer), skip_special_(skip_special) {}

std::string StreamDecoder::push(std::int32_t id) {
  const std::string_view piece = tokenizer_.token_bytes(id);
  if (skip_special_ && tokenizer_.is_special(id)) return {};
  pending_ += piece;
  // All but a last character that the next token may complete.
  std::size_t complete = pending_.size();
  for (std::size_t back = 1; back <= 3 && back <= pending_.size(); ++back) {
    const std::size_t at = pending_.size() - back;
    if ((static_cast<unsigned char>(pending_[at]) & 0xC0U) == 0x80U) continue;
    if (read_codepoint(pending_, at).truncated) complete = at;
    break;
  }
  std::string text = replace_invalid_utf8(std::string_view(pending_).substr(0, complete));
  pending_.erase(0, complete);
  return text;
}

std::string StreamDecoder::flush() {
  std::string text = replace_invalid_utf8(pending_);
  pending_.clear();
  return text;
}

}  // namespace touchstone
