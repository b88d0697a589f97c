#include "base/blob.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "base/error.h"
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

}  // namespace
}  // namespace touchstone
