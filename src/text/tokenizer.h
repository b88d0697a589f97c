// text/: text <-> token ids. Byte-level BPE, chat templates, the split of reasoning from the answer.
#pragma once

#include <boost/json.hpp>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace touchstone {

struct AddedToken {
  std::int32_t id;
  std::string content;
  bool special = false;  // dropped by skip_special
  bool single_word = false, lstrip = false, rstrip = false, normalized = false;
};

class Tokenizer {
 public:
  /// From Hugging Face's tokenizer.json (+ tokenizer_config.json for bos/eos/added flags; may be empty).
  /// Throws Error when the file is malformed or its model is not byte-level BPE.
  static Tokenizer from_json(const boost::json::object& tokenizer_json,
                             const boost::json::object& tokenizer_config);

  /// From GGUF metadata. `pre` is tokenizer.ggml.pre. Throws Error for an unknown pre-tokenizer, naming it.
  static Tokenizer from_gguf(std::string_view pre, std::span<const std::string> tokens,
                             std::span<const std::int32_t> token_types, std::span<const std::string> merges,
                             std::optional<std::int32_t> bos_id, std::optional<std::int32_t> eos_id,
                             bool add_bos, bool add_eos);

  struct EncodeOptions {
    bool parse_special = true;  // "<|im_end|>" in the text becomes its id; false: it is ordinary text
    bool add_special = true;    // what the post-processor adds (BOS); false for rendered chat templates
    bool parse_added = true;    // false: added tokens that are not special ("<think>") are ordinary text too
  };
  /// Valid or invalid UTF-8 (invalid bytes become U+FFFD first, as in the reference).
  std::vector<std::int32_t> encode(std::string_view text, const EncodeOptions& options) const;

  /// Ids -> text; invalid UTF-8 becomes U+FFFD as in Transformers. Ids past the
  /// vocabulary (rows that pad an embedding) stand for nothing; negative ones throw Error.
  std::string decode(std::span<const std::int32_t> ids, bool skip_special = false) const;

  /// The token as Hugging Face spells it ("Ġthe", "<|im_end|>").
  std::string token(std::int32_t id) const;
  std::optional<std::int32_t> find_token(std::string_view token) const;
  /// The raw bytes that the id stands for.
  std::string_view token_bytes(std::int32_t id) const;
  bool is_special(std::int32_t id) const;
  std::int32_t vocab_size() const;  // highest id + 1
  std::optional<std::int32_t> bos_id() const;
  std::optional<std::int32_t> eos_id() const;
  std::optional<std::int32_t> unk_id() const;
  bool adds_bos() const;

  /// SHA-256, in hexadecimal digits, of all that decides which ids a text becomes, and back.
  std::string sha256() const;

  /// Whether the id stands for any text: not so for holes and ids past the vocabulary.
  bool has_token(std::int32_t id) const;

  struct Impl;
  explicit Tokenizer(std::shared_ptr<const Impl> impl);

 private:
  std::shared_ptr<const Impl> impl_;
};

/// Turns ids into text one at a time; what it returns never ends inside a character.
class StreamDecoder {
 public:
  StreamDecoder(const Tokenizer& tokenizer, bool skip_special);
  std::string push(std::int32_t id);
  std::string flush();  // what remains, incomplete bytes as U+FFFD

 private:
  Tokenizer tokenizer_;
  bool skip_special_;
  std::string pending_;
};

}  // namespace touchstone
