#include "base/sha256.h"

#include <gtest/gtest.h>

#include <array>
#include <random>
#include <string>
#include <vector>

namespace touchstone {
namespace {

std::string hash(const std::string& text, std::size_t piece = std::string::npos) {
  Sha256 sha;
  for (std::size_t at = 0; at < text.size(); at += std::min(piece, text.size())) {
    sha.update(std::as_bytes(std::span(std::string_view(text).substr(at, piece))));
  }
  return to_hex(sha.finish());
}

// The examples of FIPS 180-4 and NIST's collection.
TEST(Sha256, GivesThePublishedDigests) {
  EXPECT_EQ(hash(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(hash("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(hash("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"),
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  EXPECT_EQ(hash(std::string(1000000, 'a')),
            "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST(Sha256, DoesNotDependOnThePiecesInWhichBytesCome) {
  std::string text;
  for (int i = 0; i < 300; ++i) text += static_cast<char>(i * 7);
  const std::string whole = hash(text);
  for (const std::size_t piece : {1U, 3U, 55U, 56U, 63U, 64U, 65U, 128U, 299U})
    EXPECT_EQ(hash(text, piece), whole) << piece;
}

TEST(Sha256, TheFastCompressionEqualsTheScalarOne) {
  const Sha256Compress fast = find_sha256_compress_x86();
  if (fast == nullptr) GTEST_SKIP() << "this CPU has no SHA instructions";
  std::mt19937 random(1);
  std::vector<std::byte> blocks(64 * 9);
  for (std::byte& byte : blocks) byte = static_cast<std::byte>(random());
  std::array<std::uint32_t, 8> a{};
  for (std::uint32_t& word : a) word = static_cast<std::uint32_t>(random());
  std::array<std::uint32_t, 8> b = a;
  fast(a.data(), blocks.data(), 9);
  sha256_compress_scalar(b.data(), blocks.data(), 9);
  EXPECT_EQ(a, b);
}

}  // namespace
}  // namespace touchstone
