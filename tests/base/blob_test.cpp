#include "base/blob.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <vector>

#include "base/error.h"
#include "base/repeated_bytes.h"
#include "support/golden.h"

namespace touchstone {
namespace {

TEST(Blob, AFileWrittenAtomicallyIsReadBackWhole) {
  const testing::TemporaryFolder folder;
  const auto path = folder.path() / "file";
  write_file_atomically(path, "hello");
  write_file_atomically(path, "hello again");
  EXPECT_EQ(map_file(path).text(), "hello again");
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder.path()), {}), 1);
}

TEST(Blob, AMissingFileAndAFolderAreNamedInTheError) {
  const testing::TemporaryFolder folder;
  EXPECT_THROW(map_file(folder.path() / "missing"), Error);
  EXPECT_THROW(map_file(folder.path()), Error);
}

TEST(Blob, ANamedPipeIsRefusedWithoutWaitingForItsWriter) {
  const testing::TemporaryFolder folder;
  const auto path = folder.path() / "pipe";
  ASSERT_EQ(mkfifo(path.c_str(), 0600), 0);
  EXPECT_THROW(map_file(path), Error);
}

TEST(Blob, AFailedWriteLeavesNothingBehind) {
  const testing::TemporaryFolder folder;
  EXPECT_THROW(write_file_atomically(folder.path() / "no" / "such", "x"), Error);
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
}

TEST(Blob, AFileWrittenAtomicallyTakesNoDevicesPlace) {
  const testing::TemporaryFolder folder;
  const auto pipe = folder.path() / "pipe";
  ASSERT_EQ(mkfifo(pipe.c_str(), 0600), 0);
  EXPECT_THROW(write_file_atomically(pipe, "x"), Error);
  EXPECT_TRUE(std::filesystem::is_fifo(pipe));
}

TEST(Blob, BytesThatRepeatAreThePatternOverAndOver) {
  constexpr std::size_t kPage = 4096;
  std::vector<std::byte> pattern(3 * kPage);
  for (std::size_t i = 0; i < pattern.size(); ++i) pattern[i] = static_cast<std::byte>(i * 7 + i / 256);
  const Blob blob = repeat_bytes("pattern", pattern, 8 * kPage + 5);
  ASSERT_EQ(blob.bytes.size(), 8 * kPage + 5);
  const auto is_pattern = [&] {
    for (std::size_t i = 0; i < blob.bytes.size(); ++i) {
      if (blob.bytes[i] != pattern[i % pattern.size()]) return false;
    }
    return true;
  };
  EXPECT_TRUE(is_pattern());
  drop_pages(blob, blob.bytes);
  EXPECT_TRUE(is_pattern());
}

}  // namespace
}  // namespace touchstone
