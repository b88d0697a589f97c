// Packed weights are kept on disk from one version of the program to the next.
#include <gtest/gtest.h>

#include <vector>

#include "base/sha256.h"
#include "kernels/kernels.h"

namespace touchstone {
namespace {

TEST(PackMatrix, GivesTheSameBytesAsEverUnlessTheVersionIsRaised) {
  constexpr std::int32_t kRows = 21, kColumns = 512;
  std::vector<float> floats;
  for (int i = 0; i < kRows * kColumns; ++i)
    floats.push_back(static_cast<float>(i * 7919 % 1009 - 504) / 512);
  std::vector<std::byte> blocks(floats.size() * 2);
  for (std::size_t i = 0; i < blocks.size(); ++i) blocks[i] = static_cast<std::byte>(i * 31 % 113);

  ThreadPool pool(1);
  Sha256 hash;
  const auto add = [&](const StoredMatrix& stored, PackAs as) {
    hash.update(pack_matrix(stored, as, {}, pool).panels);
  };
  for (const PackAs as : {PackAs::stored, PackAs::float32, PackAs::int8, PackAs::int6, PackAs::int4}) {
    add({DType::f32, kRows, kColumns, std::as_bytes(std::span(floats))}, as);
  }
  for (const DType dtype : {DType::bf16, DType::f16, DType::q8_0, DType::q4_0, DType::q5_0, DType::q4_1,
                            DType::q5_1, DType::q4_k, DType::q5_k, DType::q6_k}) {
    add({dtype, kRows, kColumns, blocks}, PackAs::stored);
  }
  // When other bytes are intended: raise kPackedVersion, and put the new hash here.
  ASSERT_EQ(kPackedVersion, 3U);
  EXPECT_EQ(to_hex(hash.finish()), "8b69b4cf899bff19665db9c4c9d9bd3da33097ea93b1adf72cf40af9bdc4663d");
}

}  // namespace
}  // namespace touchstone
