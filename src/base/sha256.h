// SHA-256 (FIPS 180-4), for naming model files and checking downloads.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace touchstone {

/// Hashes bytes given piece by piece. Uses the CPU's SHA instructions where it has them.
class Sha256 {
 public:
  Sha256();
  void update(std::span<const std::byte> bytes);
  /// A text with its length before it, so that other texts cannot add up to the same bytes.
  void update_with_length(std::string_view text);
  /// The digest of everything given so far; the object is spent afterwards.
  std::array<std::byte, 32> finish();

 private:
  std::array<std::uint32_t, 8> state_;
  std::array<std::byte, 64> buffer_{};
  std::uint64_t total_bytes_ = 0;
};

/// Lower-case hexadecimal digits.
std::string to_hex(std::span<const std::byte> bytes);

/// Of a text's bytes, in lower-case hexadecimal digits.
std::string hash_text(std::string_view text);

/// The compression function over whole 64-byte blocks; exposed so that a test can compare the two.
using Sha256Compress = void (*)(std::uint32_t* state, const std::byte* blocks, std::size_t num_blocks);
void sha256_compress_scalar(std::uint32_t* state, const std::byte* blocks, std::size_t num_blocks);
/// The one with SHA instructions, or null when this CPU has none.
Sha256Compress find_sha256_compress_x86();

}  // namespace touchstone
