#include "base/unfinished_file.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <csignal>
#include <fstream>
#include <optional>

#include "base/blob.h"
#include "base/interrupt.h"
#include "support/golden.h"

namespace touchstone {
namespace {

using ::testing::ExitedWithCode;
using testing::TemporaryFolder;

std::string beside(const std::filesystem::path& path) { return path.string() + ".XXXXXX"; }

TEST(UnfinishedFile, HasItsNameOnlyWhenItGetsIt) {
  const TemporaryFolder folder;
  const std::filesystem::path path = folder.path() / "file";
  {
    const UnfinishedFile dropped(beside(path));
    ASSERT_GE(dropped.fd(), 0);
    EXPECT_TRUE(std::filesystem::exists(dropped.name()));
  }
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
  {
    UnfinishedFile kept(beside(path));
    ASSERT_TRUE(kept.rename_to(path));
    EXPECT_FALSE(std::filesystem::exists(kept.name()));
  }
  EXPECT_TRUE(std::filesystem::exists(path));
}

TEST(UnfinishedFile, EndingAtOnceRemovesAllThatAreUnfinishedAndNothingElse) {
  const TemporaryFolder folder;
  const std::filesystem::path path = folder.path() / "finished";
  EXPECT_EXIT(
      {
        UnfinishedFile first(beside(folder.path() / "first"));
        std::optional<UnfinishedFile> dropped(beside(folder.path() / "dropped"));
        const std::string name = dropped->name();
        dropped.reset();
        std::ofstream(name) << "of somebody else";
        const AtomicFile second(folder.path() / "second");
        UnfinishedFile finished(beside(path));
        finished.rename_to(path);
        end_at_once(7);
      },
      ExitedWithCode(7), "");
  std::size_t left = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder.path())) {
    EXPECT_TRUE(entry.path() == path || entry.path().filename().string().starts_with("dropped."));
    ++left;
  }
  EXPECT_EQ(left, 2U);
}

TEST(Interrupts, AProcessThatGoesOnIsEndedWhenItsGraceIsOver) {
  EXPECT_EXIT(
      {
        catch_interrupts(std::chrono::milliseconds(20), "what is there is kept\n");
        std::raise(SIGINT);
        if (!interrupted()) _exit(1);
        while (true) pause();
      },
      ExitedWithCode(130), "^what is there is kept\n$");
}

}  // namespace
}  // namespace touchstone
