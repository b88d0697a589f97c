// Damaged files in bulk: whatever the bytes, a reader returns or throws Error. Blobs end at the end of their
// heap block, so that a build with AddressSanitizer sees every read beyond them.
#include <gtest/gtest.h>

#include <functional>
#include <random>

#include "formats/builders.h"
#include "formats/gguf_model.h"
#include "formats/safetensors.h"
#include "fuzz/damaged_file.h"

namespace touchstone {
namespace {

using testing::as_blob;
using testing::touch;

const std::string kHeader =
    R"({"__metadata__":{"format":"pt"},"aa":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]},)"
    R"("bb":{"dtype":"BF16","shape":[4],"data_offsets":[24,32]},"cc":{"dtype":"F16","shape":[],"data_offsets":[32,34]}})";

void read_any_safetensors(const std::string& bytes) {
  const Blob file = as_blob(bytes);
  touch(read_safetensors(file).tensors);
}

void read_any_gguf(const std::string& bytes) {
  const Blob file = as_blob(bytes);
  const GgufFile gguf = read_gguf(file);
  touch(gguf.tensors);
  Checkpoint checkpoint;
  fill_from_gguf(gguf, gguf.tensors, file.name, checkpoint);
  touch({checkpoint.tensor("model.embed_tokens.weight")});
}

struct Kind {
  const char* name;
  std::string valid;
  std::function<void(const std::string&)> read;
};

class HostileFiles : public ::testing::TestWithParam<Kind> {
 protected:
  /// True when the bytes were read, false when they were refused; anything but Error fails the test.
  static bool survives(const std::string& bytes) {
    try {
      GetParam().read(bytes);
      return true;
    } catch (const Error& error) {
      EXPECT_NE(std::string(error.what()), "");
      return false;
    }
  }
};

TEST_P(HostileFiles, TheWholeFileIsReadAndEveryShorterOneRefused) {
  const std::string& valid = GetParam().valid;
  ASSERT_TRUE(survives(valid));
  for (std::size_t length = 0; length < valid.size(); ++length)
    EXPECT_FALSE(survives(valid.substr(0, length))) << length;
}

TEST_P(HostileFiles, EveryByteMayBeWrong) {
  const std::string& valid = GetParam().valid;
  int refused = 0;
  for (std::size_t at = 0; at < valid.size(); ++at) {
    for (const int change : {0x01, 0x20, 0x80, 0xFF}) {
      std::string bytes = valid;
      bytes[at] = static_cast<char>(bytes[at] ^ change);
      refused += survives(bytes) ? 0 : 1;
    }
  }
  EXPECT_GT(refused, 0);
}

TEST_P(HostileFiles, EveryNumberMayLie) {
  const std::string& valid = GetParam().valid;
  const std::uint64_t lies[] = {0,           1,           0x7FFFFFFF, 0xFFFFFFFF, 1ULL << 32U,
                                1ULL << 61U, 1ULL << 63U, ~0ULL,      ~0ULL - 7};
  for (std::size_t at = 0; at + 8 <= valid.size(); ++at) {
    for (const std::uint64_t lie : lies) {
      for (const std::size_t width : {4U, 8U}) {
        std::string bytes = valid;
        bytes.replace(at, width, testing::raw(lie), 0, width);
        survives(bytes);
      }
    }
  }
}

/// A small fuzzer with a fixed seed: pieces copied, removed, overwritten, one to eight times a case.
TEST_P(HostileFiles, RandomDamageIsReadOrRefused) {
  const std::string& valid = GetParam().valid;
  std::mt19937 random(20240607);
  const auto below = [&](std::size_t bound) { return static_cast<std::size_t>(random()) % bound; };
  for (int round = 0; round < 20000; ++round) {
    std::string bytes = valid;
    for (std::size_t edit = below(8) + 1; edit > 0 && !bytes.empty(); --edit) {
      const std::size_t at = below(bytes.size());
      const std::size_t length = below(std::min<std::size_t>(24, bytes.size() - at)) + 1;
      const std::string piece = bytes.substr(below(bytes.size()), length);
      switch (below(4)) {
        case 0:
          bytes.erase(at, length);
          break;
        case 1:
          bytes.insert(at, piece);
          break;
        case 2:
          bytes.replace(at, piece.size(), piece);
          break;
        default:
          bytes[at] = static_cast<char>(random());
      }
    }
    survives(bytes);
  }
}

INSTANTIATE_TEST_SUITE_P(Kinds, HostileFiles,
                         ::testing::Values(Kind{"Safetensors",
                                                testing::safetensors(kHeader, std::string(34, 'x')),
                                                read_any_safetensors},
                                           Kind{"Gguf", testing::tiny_gguf_model().build(), read_any_gguf}),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace touchstone
