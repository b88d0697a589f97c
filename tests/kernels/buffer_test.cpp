// Memory for weights, caches and scratch.
#include "kernels/buffer.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <limits>
#include <optional>

#include "base/error.h"

namespace touchstone {
namespace {

TEST(Buffers, BeginWithALargePageIfTheyHaveOne) {
  constexpr std::size_t kLargePage = std::size_t{2} << 20;
  for (const std::size_t bytes : {kLargePage, kLargePage + 1, 5 * kLargePage - 1}) {
    const Buffer buffer(bytes, "something");
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(buffer.data()) % kLargePage, 0U);
    buffer.data()[bytes - 1] = std::byte{1};
    EXPECT_EQ(buffer.data()[0], std::byte{0});
  }
}

TEST(Buffers, LieSideBySideInAnArena) {
  Arena arena;
  const auto [first, owner] = arena.take(100, "something");
  const auto [second, same_owner] = arena.take(1, "something");
  EXPECT_EQ(second - first, 128) << "each begins with a cache line";
  EXPECT_EQ(owner, same_owner);
}

TEST(Buffers, OfAnArenaOutliveIt) {
  std::optional<Arena> arena(std::in_place);
  const auto [small, owner] = arena->take(100, "something");
  const std::size_t bytes = std::size_t{300} << 20;
  const auto [large, other_owner] = arena->take(bytes, "something");
  arena.reset();
  EXPECT_NE(owner, other_owner);
  small[99] = large[bytes - 1] = std::byte{1};
  EXPECT_EQ(large[0], std::byte{0});
}

TEST(Buffers, ThatCannotBeHadAreAnError) {
  EXPECT_THROW(Buffer(std::numeric_limits<std::size_t>::max(), "the impossible"), Error);
  EXPECT_THROW(Buffer(std::size_t{1} << 60, "the impossible"), Error);
  const Buffer buffer(100, "something");
  for (std::size_t i = 0; i < 100; ++i) EXPECT_EQ(buffer.data()[i], std::byte{0});
}

}  // namespace
}  // namespace touchstone
