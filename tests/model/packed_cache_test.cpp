#include "model/packed_cache.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <fstream>
#include <string>
#include <thread>

#include "model/model_runner.h"
#include "support/golden.h"

namespace touchstone::testing {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

struct Loaded {
  PackedCacheUse use;
  std::vector<float> logits;
};

class PackedCacheFiles : public ::testing::Test {
 protected:
  PackedCacheFiles() {
    setenv("XDG_CACHE_HOME", cache_.path().c_str(), 1);
    unsetenv("TOUCHSTONE_CACHE_BYTES");
    fs::copy(source_dir() / "tests/golden/models/tiny-qwen2-untied-bf16", model(),
             fs::copy_options::recursive);
    options_.num_threads = 2;
    options_.least_cached_bytes = 0;
    grow_old();
  }
  ~PackedCacheFiles() override {
    setenv("TOUCHSTONE_CACHE_BYTES", "0", 1);
    unsetenv("XDG_CACHE_HOME");
  }

  fs::path model() const { return cache_.path() / "model"; }
  fs::path folder() const { return cache_.path() / "touchstone/packed"; }
  fs::path only_file() const { return fs::directory_iterator(folder())->path(); }
  std::ptrdiff_t count_files() const {
    return fs::exists(folder()) ? std::distance(fs::directory_iterator(folder()), {}) : 0;
  }

  /// Weight files that were changed just now are not cached.
  static void grow_old() { std::this_thread::sleep_for(std::chrono::milliseconds(150)); }

  Loaded load() const {
    Transformer transformer(open_checkpoint(model().string()), options_);
    const std::int32_t ids[] = {1, 2, 3, 4, 5};
    return {transformer.packed_cache_use(), Sequence(transformer, 5).run(ids)};
  }

  static void change_byte(const fs::path& path, std::uint64_t at) {
    std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
    file.seekg(static_cast<std::streamoff>(at));
    const auto byte = static_cast<char>(file.get() ^ 0x10);
    file.seekp(static_cast<std::streamoff>(at));
    file.put(byte);
  }

  ModelOptions options_;

 private:
  TemporaryFolder cache_;
};

TEST_F(PackedCacheFiles, ASecondStartTakesTheSameWeightsFromTheDisk) {
  for (const char* dtype : {"auto", "f32", "int8", "int4"}) {
    options_.dtype = dtype;
    const Loaded first = load();
    const Loaded second = load();
    EXPECT_EQ(first.use, PackedCacheUse::miss) << dtype;
    EXPECT_EQ(second.use, PackedCacheUse::hit) << dtype;
    EXPECT_EQ(first.logits, second.logits) << dtype;
  }
  EXPECT_EQ(count_files(), 4);
}

TEST_F(PackedCacheFiles, ADamagedFileIsNamedAndMadeAgain) {
  const Loaded whole = load();
  const std::uint64_t bytes = fs::file_size(only_file());
  // Magic, version, count, size, checksum, key; a matrix's rows, columns, format, stride, place; panels.
  for (const std::uint64_t at :
       {0, 8, 12, 16, 24, 32, 63, 64, 68, 72, 76, 80, 88, 95, 4096, 4097, 4096 + 63, 4096 + 64}) {
    change_byte(only_file(), at);
    ::testing::internal::CaptureStdout();
    const Loaded repaired = load();
    EXPECT_THAT(::testing::internal::GetCapturedStdout(), HasSubstr("it is made again")) << at;
    EXPECT_EQ(repaired.use, PackedCacheUse::miss) << at;
    EXPECT_EQ(repaired.logits, whole.logits) << at;
    EXPECT_EQ(load().use, PackedCacheUse::hit) << at;
  }
  for (const std::uint64_t size : {std::uint64_t{0}, std::uint64_t{63}, bytes / 2, bytes - 1, bytes + 1}) {
    fs::resize_file(only_file(), size);
    EXPECT_EQ(load().logits, whole.logits) << size;
    EXPECT_EQ(load().use, PackedCacheUse::hit) << size;
  }
  EXPECT_EQ(count_files(), 1);
}

TEST_F(PackedCacheFiles, AnotherModelsFileUnderThisNameIsNotTaken) {
  const Loaded right = load();
  const fs::path name = only_file();
  fs::rename(name, folder() / "right");
  options_.dtype = "int8";
  load();
  for (const auto& entry : fs::directory_iterator(folder())) {
    if (entry.path().filename() != "right") fs::rename(entry.path(), name);
  }
  options_.dtype = "auto";
  EXPECT_EQ(load().logits, right.logits);
  EXPECT_EQ(load().use, PackedCacheUse::hit);
}

TEST_F(PackedCacheFiles, AWeightFileChangedInPlaceMissesWhateverItsTimeOfModification) {
  const Loaded before = load();
  const fs::path weights = model() / "model-00002-of-00005.safetensors";
  const auto time = fs::last_write_time(weights);
  change_byte(weights, fs::file_size(weights) - 1);
  fs::last_write_time(weights, time);
  grow_old();
  const Loaded after = load();
  EXPECT_EQ(after.use, PackedCacheUse::miss);
  EXPECT_NE(after.logits, before.logits);
}

TEST_F(PackedCacheFiles, AWarningOfAFileThatIsMadeAgainNamesItOnce) {
  load();
  const fs::path file = only_file();
  const auto warning = [&] {
    ::testing::internal::CaptureStdout();
    EXPECT_EQ(load().use, PackedCacheUse::miss);
    std::string text = ::testing::internal::GetCapturedStdout();
    const std::size_t first = text.find(file.string());
    EXPECT_NE(first, std::string::npos) << text;
    EXPECT_EQ(first, text.rfind(file.string())) << text;
    return text;
  };
  change_byte(file, 4096);
  EXPECT_THAT(warning(), HasSubstr(file.filename().string() + " is damaged; it is made again"));
  fs::remove(file);
  fs::create_directory(file);
  EXPECT_THAT(warning(), HasSubstr(file.filename().string() + " is not a regular file; it is made again"));
}

TEST_F(PackedCacheFiles, AnotherConfigMisses) {
  load();
  boost::json::object config = read_json(model() / "config.json").as_object();
  config["rope_theta"] = 20000.0;
  std::ofstream(model() / "config.json") << boost::json::serialize(config);
  EXPECT_EQ(load().use, PackedCacheUse::miss);
}

TEST_F(PackedCacheFiles, WithoutCacheNothingIsReadOrWritten) {
  options_.packed_cache = false;
  EXPECT_EQ(load().use, PackedCacheUse::off);
  options_.packed_cache = true;
  setenv("TOUCHSTONE_CACHE_BYTES", "0", 1);
  EXPECT_EQ(load().use, PackedCacheUse::off);
  EXPECT_EQ(count_files(), 0);
}

TEST_F(PackedCacheFiles, SmallModelsArePackedEachTime) {
  options_.least_cached_bytes = ModelOptions().least_cached_bytes;
  EXPECT_EQ(load().use, PackedCacheUse::off);
  EXPECT_EQ(count_files(), 0);
}

TEST_F(PackedCacheFiles, AFolderThatCannotBeWrittenIsNoError) {
  const Loaded expected = load();
  const fs::path blocked = model() / "config.json";  // a file, not a folder
  setenv("XDG_CACHE_HOME", blocked.c_str(), 1);
  EXPECT_EQ(load().logits, expected.logits);
  EXPECT_EQ(load().use, PackedCacheUse::miss);
  unsetenv("XDG_CACHE_HOME");
  const std::string home = std::getenv("HOME") == nullptr ? "" : std::getenv("HOME");
  unsetenv("HOME");
  EXPECT_EQ(load().use, PackedCacheUse::off);
  setenv("HOME", home.c_str(), 1);
}

TEST_F(PackedCacheFiles, AWrongLimitTurnsTheCacheOffAndIsNamed) {
  setenv("TOUCHSTONE_CACHE_BYTES", "much", 1);
  ::testing::internal::CaptureStdout();
  EXPECT_EQ(load().use, PackedCacheUse::off);
  EXPECT_THAT(::testing::internal::GetCapturedStdout(), HasSubstr("TOUCHSTONE_CACHE_BYTES"));
}

TEST_F(PackedCacheFiles, ProcessesThatStartAtOnceAgreeAndLeaveOneFile) {
  options_.packed_cache = false;
  const Loaded expected = load();
  options_.packed_cache = true;
  std::vector<pid_t> children;
  for (int i = 0; i < 4; ++i) {
    const pid_t child = fork();
    if (child == 0) {
      bool same = true;
      for (int start = 0; start < 5; ++start) same = same && load().logits == expected.logits;
      _exit(same ? 0 : 1);
    }
    children.push_back(child);
  }
  for (const pid_t child : children) {
    int status = -1;
    waitpid(child, &status, 0);
    EXPECT_EQ(status, 0);
  }
  EXPECT_EQ(load().use, PackedCacheUse::hit);
  EXPECT_EQ(count_files(), 1);
}

TEST_F(PackedCacheFiles, AWeightFileChangedJustNowHasNoKey) {
  Checkpoint checkpoint = open_checkpoint(model().string());
  EXPECT_TRUE(find_packed_key(checkpoint, PackAs::stored));
  EXPECT_NE(find_packed_key(checkpoint, PackAs::stored), find_packed_key(checkpoint, PackAs::int8));
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  checkpoint.blobs[1].mapped->changed_ns = std::chrono::nanoseconds(now).count();
  EXPECT_FALSE(find_packed_key(checkpoint, PackAs::stored));
}

}  // namespace
}  // namespace touchstone::testing
