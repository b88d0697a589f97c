#include "base/cache_folder.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <sys/resource.h>

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <string>

#include "base/blob.h"
#include "base/descriptor.h"
#include "base/error.h"
#include "support/golden.h"

namespace touchstone {
namespace {

namespace fs = std::filesystem;
using ::testing::UnorderedElementsAre;

class CacheFolder : public ::testing::Test {
 protected:
  CacheFolder() { setenv("TOUCHSTONE_CACHE_BYTES", "1000", 1); }
  ~CacheFolder() override { setenv("TOUCHSTONE_CACHE_BYTES", "0", 1); }

  fs::path folder() const { return root_.path() / "made" / "here"; }
  std::vector<std::string> names() const {
    std::vector<std::string> result;
    for (const auto& entry : fs::directory_iterator(folder())) result.push_back(entry.path().filename());
    return result;
  }
  /// A file of `bytes` bytes, last used `age` seconds ago.
  void write(const std::string& name, std::size_t bytes, int age = 0) const {
    const std::string text(bytes, 'x');
    const std::span<const std::byte> pieces[] = {std::as_bytes(std::span(text))};
    write_cached_file(folder() / name, pieces);
    fs::last_write_time(folder() / name, fs::file_time_type::clock::now() - std::chrono::seconds(age));
  }

 private:
  testing::TemporaryFolder root_;
};

TEST_F(CacheFolder, APieceAfterAnotherMakesTheFile) {
  const std::string first = "one ";
  const std::string second(20'000'000, '2');  // more than one write
  const std::span<const std::byte> pieces[] = {
      std::as_bytes(std::span(first)), {}, std::as_bytes(std::span(second))};
  setenv("TOUCHSTONE_CACHE_BYTES", "100000000", 1);
  write_cached_file(folder() / "file", pieces);
  EXPECT_EQ(map_file(folder() / "file").text(), first + second);
  EXPECT_THAT(names(), UnorderedElementsAre("file"));
}

TEST_F(CacheFolder, TheLeastRecentlyUsedFilesMakeRoom) {
  write("oldest but used again", 300, 400);
  write("old", 300, 300);
  write("older", 300, 350);
  mark_as_used(folder() / "oldest but used again");
  write("new", 300);
  EXPECT_THAT(names(), UnorderedElementsAre("oldest but used again", "old", "new"));
  write("large", 900);
  EXPECT_THAT(names(), UnorderedElementsAre("large"));
}

TEST_F(CacheFolder, AFileThatIsLargerThanTheFolderMayBeRemovesNothing) {
  write("old", 300);
  EXPECT_THROW(write("too large", 1001), Error);
  EXPECT_THAT(names(), UnorderedElementsAre("old"));
}

TEST_F(CacheFolder, AWriteThatFailsHalfwayLeavesNothing) {
  fs::create_directories(folder());
  std::signal(SIGXFSZ, SIG_IGN);
  rlimit limit{};
  getrlimit(RLIMIT_FSIZE, &limit);
  const rlimit small{.rlim_cur = 500, .rlim_max = limit.rlim_max};
  setrlimit(RLIMIT_FSIZE, &small);
  EXPECT_THROW(write("file", 800), Error);
  setrlimit(RLIMIT_FSIZE, &limit);
  EXPECT_TRUE(fs::is_empty(folder()));
}

TEST_F(CacheFolder, WhatAnEndedProcessLeftIsRemovedAndWhatARunningOneWritesIsNot) {
  fs::create_directories(folder());
  std::ofstream(folder() / "file.unfinished-ended") << "half";
  const Descriptor running(open((folder() / "file.unfinished-running").c_str(), O_CREAT | O_RDWR, 0600));
  ASSERT_EQ(flock(running.fd, LOCK_EX), 0);
  write("other", 10);
  EXPECT_THAT(names(), UnorderedElementsAre("file.unfinished-running", "other"));
}

TEST_F(CacheFolder, AFolderThatCannotBeMadeIsAnError) {
  std::ofstream(folder().parent_path().parent_path() / "made") << "a file stands in the way";
  EXPECT_THROW(write("file", 10), Error);
}

TEST_F(CacheFolder, TheLimitIsTheVariablesOrAShareOfTheDisk) {
  EXPECT_EQ(find_cache_limit(folder()), 1000U);
  setenv("TOUCHSTONE_CACHE_BYTES", "20 GB", 1);
  EXPECT_THROW(find_cache_limit(folder()), Error);
  unsetenv("TOUCHSTONE_CACHE_BYTES");
  fs::create_directories(folder());
  EXPECT_LE(find_cache_limit(folder()), fs::space(folder()).available / 2 + 1'000'000'000);
  EXPECT_LE(find_cache_limit(folder()), 20'000'000'000U);
}

}  // namespace
}  // namespace touchstone
