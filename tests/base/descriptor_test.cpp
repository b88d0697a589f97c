#include "base/descriptor.h"

#include <fcntl.h>
#include <gtest/gtest.h>

#include <array>
#include <thread>
#include <vector>

namespace touchstone {
namespace {

TEST(Descriptor, AllBytesAreWrittenThoughTheReaderTakesThemInPieces) {
  std::array<int, 2> ends{};
  ASSERT_EQ(pipe2(ends.data(), O_CLOEXEC), 0);
  const Descriptor read_end(ends[0]);
  const std::vector<std::byte> bytes(std::size_t{1} << 20, std::byte{7});  // more than a pipe holds
  bool written = false;
  std::thread writer([&] {
    const Descriptor write_end(ends[1]);
    written = write_all(write_end.fd, bytes);
  });
  std::vector<std::byte> got;
  std::array<std::byte, 1000> piece{};
  for (ssize_t size = 0; (size = read(read_end.fd, piece.data(), piece.size())) > 0;) {
    got.insert(got.end(), piece.begin(), piece.begin() + size);
  }
  writer.join();
  EXPECT_TRUE(written);
  EXPECT_EQ(got, bytes);
}

TEST(Descriptor, AFullDeviceIsReportedWithItsReason) {
  const Descriptor full(open("/dev/full", O_WRONLY | O_CLOEXEC));
  if (full.fd < 0) GTEST_SKIP() << "there is no /dev/full here";
  const std::array<std::byte, 10> bytes{};
  EXPECT_FALSE(write_all(full.fd, bytes));
  EXPECT_EQ(errno, ENOSPC);
  EXPECT_TRUE(write_all(full.fd, {}));
}

}  // namespace
}  // namespace touchstone
