// Builds tiny model files, right and wrong ones, byte by byte.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/blob.h"
#include "base/error.h"

namespace touchstone::testing {

template <typename T>
std::string raw(T value) {
  std::string bytes(sizeof(T), '\0');
  std::memcpy(bytes.data(), &value, sizeof(T));
  return bytes;
}

/// A blob whose bytes end exactly at the end of a heap block, so that AddressSanitizer sees a read beyond
/// them.
inline Blob as_blob(const std::string& bytes, std::string name = "test.bin") {
  const std::shared_ptr<std::byte[]> copy(new std::byte[bytes.size()]);
  if (!bytes.empty()) std::memcpy(copy.get(), bytes.data(), bytes.size());
  return {std::move(name), {copy.get(), bytes.size()}, std::shared_ptr<const void>(copy, copy.get())};
}

/// A safetensors file of this header and data.
inline std::string safetensors(const std::string& header, const std::string& data) {
  return raw<std::uint64_t>(header.size()) + header + data;
}

inline std::string gguf_string(const std::string& text) { return raw<std::uint64_t>(text.size()) + text; }

/// A GGUF file put together from its parts; counts follow from what is added unless a test overrides them.
struct GgufBuilder {
  std::uint32_t version = 3;
  std::string pairs;
  std::uint64_t num_pairs = 0;
  std::string infos;
  std::uint64_t num_tensors = 0;
  std::string data;

  GgufBuilder& pair(const std::string& key, std::uint32_t type, const std::string& value) {
    pairs += gguf_string(key) + raw(type) + value;
    ++num_pairs;
    return *this;
  }
  GgufBuilder& text(const std::string& key, const std::string& value) {
    return pair(key, 8, gguf_string(value));
  }
  GgufBuilder& u32(const std::string& key, std::uint32_t value) { return pair(key, 4, raw(value)); }
  GgufBuilder& f32(const std::string& key, float value) { return pair(key, 6, raw(value)); }
  GgufBuilder& texts(const std::string& key, const std::vector<std::string>& values) {
    std::string bytes = raw<std::uint32_t>(8) + raw<std::uint64_t>(values.size());
    for (const std::string& value : values) bytes += gguf_string(value);
    return pair(key, 9, bytes);
  }
  GgufBuilder& info(const std::string& name, const std::vector<std::uint64_t>& dimensions, std::uint32_t type,
                    std::uint64_t offset) {
    infos += gguf_string(name) + raw(static_cast<std::uint32_t>(dimensions.size()));
    for (const std::uint64_t dimension : dimensions) infos += raw(dimension);
    infos += raw(type) + raw(offset);
    ++num_tensors;
    return *this;
  }
  /// An F32 tensor of zeros.
  GgufBuilder& zeros(const std::string& name, const std::vector<std::uint64_t>& dimensions) {
    std::uint64_t count = 1;
    for (const std::uint64_t dimension : dimensions) count *= dimension;
    data.resize((data.size() + 31) / 32 * 32);
    info(name, dimensions, 0, data.size());
    data.resize(data.size() + count * sizeof(float));
    return *this;
  }
  std::string build() const {
    std::string file = "GGUF" + raw(version) + raw(num_tensors) + raw(num_pairs) + pairs + infos;
    if (num_tensors > 0) file.resize((file.size() + 31) / 32 * 32);
    return file + data;
  }
};

/// A whole model of one layer, with its tokenizer.
inline GgufBuilder tiny_gguf_model(const std::string& architecture = "qwen2") {
  GgufBuilder file;
  const std::string prefix = architecture + ".";
  file.text("general.architecture", architecture);
  file.u32(prefix + "context_length", 64).u32(prefix + "embedding_length", 8).u32(prefix + "block_count", 1);
  file.u32(prefix + "feed_forward_length", 16).u32(prefix + "attention.head_count", 2);
  file.u32(prefix + "attention.head_count_kv", 1);
  file.f32(prefix + "attention.layer_norm_rms_epsilon", 1e-6F).f32(prefix + "rope.freq_base", 1e6F);
  file.text("tokenizer.ggml.model", "gpt2").text("tokenizer.ggml.pre", "qwen2");
  file.texts("tokenizer.ggml.tokens", {"a", "b", "ab", "<|end|>"}).texts("tokenizer.ggml.merges", {"a b"});
  file.pair("tokenizer.ggml.token_type", 9,
            raw<std::uint32_t>(5) + raw<std::uint64_t>(4) + raw(1) + raw(1) + raw(1) + raw(3));
  file.u32("tokenizer.ggml.eos_token_id", 3);
  file.text("tokenizer.chat_template", "{{ messages[0].content }}");
  file.zeros("token_embd.weight", {8, 4}).zeros("output_norm.weight", {8});
  file.zeros("blk.0.attn_q.weight", {8, 8}).zeros("blk.0.attn_norm.weight", {8});
  return file;
}

inline void write_file(const std::filesystem::path& path, const std::string& bytes) {
  std::filesystem::create_directories(path.parent_path());
  std::ofstream(path, std::ios::binary) << bytes;
}

/// The message and hint of the Error that `work` throws; a test failure when it throws none.
template <typename Work>
std::string error_of(Work&& work) {
  try {
    work();
  } catch (const Error& error) {
    EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos);
    return std::string(error.what()) + "; " + error.hint();
  }
  ADD_FAILURE() << "no error was thrown";
  return {};
}

}  // namespace touchstone::testing
