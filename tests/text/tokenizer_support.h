// Tokenizers that tests load or build, and random text for them.
#pragma once

#include <array>
#include <boost/json.hpp>
#include <cstdint>
#include <map>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "support/golden.h"
#include "text/tokenizer.h"
#include "text/tokenizer_vocabulary.h"
#include "text/unicode.h"

namespace touchstone::testing {

/// The golden tokenizers: "qwen2", "r1_distill_qwen", "smollm2".
inline std::vector<std::string> tokenizer_families() { return {"qwen2", "r1_distill_qwen", "smollm2"}; }

/// A family's tokenizer.json. The committed selection stores the model that two of them share once.
inline boost::json::object tokenizer_json(const std::string& family) {
  const auto folder = golden_dir() / family;
  if (std::filesystem::exists(folder / "tokenizer.json")) {
    return read_json(folder / "tokenizer.json").as_object();
  }
  boost::json::object json = read_json(folder / "tokenizer_without_model.json").as_object();
  json["model"] = read_json(golden_dir() / "r1_distill_qwen/tokenizer.json").at("model");
  return json;
}

inline boost::json::object tokenizer_config(const std::string& family) {
  return read_json(golden_dir() / family / "tokenizer_config.json").as_object();
}

/// Loaded once a process.
inline const Tokenizer& golden_tokenizer(const std::string& family) {
  static std::map<std::string, Tokenizer> loaded;
  const auto found = loaded.find(family);
  if (found != loaded.end()) return found->second;
  return loaded.emplace(family, Tokenizer::from_json(tokenizer_json(family), tokenizer_config(family)))
      .first->second;
}

/// Cases of one kind; none when the selection leaves them out.
inline std::vector<boost::json::value> tokenizer_cases(const std::string& family, const std::string& kind) {
  const auto path = golden_dir() / family / (kind + ".jsonl");
  return std::filesystem::exists(path) ? read_json_lines(path) : std::vector<boost::json::value>{};
}

inline std::vector<std::int32_t> ids_of(const boost::json::value& value) {
  return boost::json::value_to<std::vector<std::int32_t>>(value);
}

inline std::string text_of(const boost::json::value& value) { return std::string(value.as_string()); }

/// A tokenizer.json whose ids 0 … 255 are the bytes, 256 … the merges' results, in order.
inline boost::json::object small_tokenizer_json(
    const std::vector<std::pair<std::string, std::string>>& merges = {}) {
  boost::json::object vocabulary;
  for (int byte = 0; byte < 256; ++byte) {
    const char c = static_cast<char>(byte);
    std::string spelling;
    append_spelling(spelling, {&c, 1});
    vocabulary[spelling] = byte;
  }
  boost::json::array merge_list;
  for (const auto& [left, right] : merges) {
    vocabulary.emplace(left + right, vocabulary.size());
    merge_list.push_back({boost::json::value(left), boost::json::value(right)});
  }
  return {{"added_tokens", boost::json::array()},
          {"normalizer", nullptr},
          {"pre_tokenizer", {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", true}}},
          {"post_processor", nullptr},
          {"decoder", {{"type", "ByteLevel"}}},
          {"model", {{"type", "BPE"}, {"vocab", std::move(vocabulary)}, {"merges", std::move(merge_list)}}}};
}

/// A tokenizer.json's entry of added_tokens.
inline boost::json::object added_token(std::int32_t id, const std::string& content,
                                       const boost::json::object& flags = {}) {
  boost::json::object token{{"id", id},        {"content", content}, {"single_word", false},
                            {"lstrip", false}, {"rstrip", false},    {"normalized", false},
                            {"special", false}};
  for (const auto& flag : flags) token[flag.key()] = flag.value();
  return token;
}

/// Valid UTF-8: words, white space, digits, marks, CJK, emoji, control characters. All assigned before
/// Unicode 9.
inline std::string random_text(std::mt19937& random) {
  static const std::vector<std::string> words = {
      "'s",    "'S",     "'LL",   "'re",       "'\xC5\xBF",         " ",
      "  ",    "\n",     "\r\n",  "\t",        "\xE3\x80\x80",      "\xC2\x85",
      "don't", " world", "12345", "a\xCC\x81", "e\xCC\xA3\xCC\x82", "\xE1\x84\x80\xE1\x85\xA1\xE1\x86\xA8",
      "!!",    "?\n\n",  "_x"};
  static const std::array<std::pair<unsigned, unsigned>, 10> ranges = {{{0x00, 0x7F},
                                                                        {0x20, 0x7E},
                                                                        {0xA0, 0x24F},
                                                                        {0x300, 0x36F},
                                                                        {0x391, 0x3C9},
                                                                        {0x905, 0x939},
                                                                        {0x2000, 0x2064},
                                                                        {0x4E00, 0x9FA5},
                                                                        {0xAC00, 0xD7A3},
                                                                        {0x1F300, 0x1F64F}}};
  const auto below = [&](std::size_t n) { return static_cast<std::size_t>(random() % n); };
  std::string text;
  for (std::size_t i = below(30); i > 0; --i) {
    if (below(3) == 0) {
      text += words[below(words.size())];
      continue;
    }
    const auto [first, last] = ranges[below(ranges.size())];
    const auto value = static_cast<char32_t>(first + below(last - first + 1));
    for (std::size_t repeat = 1 + below(3) / 2 * below(4); repeat > 0; --repeat) append_utf8(text, value);
  }
  return text;
}

}  // namespace touchstone::testing
