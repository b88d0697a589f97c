#include "formats/find_model.h"

#include <gmock/gmock.h>

#include <cstdlib>
#include <map>

#include "formats/builders.h"
#include "formats/checkpoint.h"
#include "support/golden.h"

namespace touchstone {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using testing::error_of;
using ::testing::HasSubstr;
using testing::write_file;

/// Every test sees an empty home and an environment that names no cache.
class FindModel : public ::testing::Test {
 protected:
  void SetUp() override {
    for (const char* name :
         {"HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_HOME", "MODELSCOPE_CACHE", "XDG_CACHE_HOME"}) {
      save(name);
      unsetenv(name);
    }
    save("HOME");
    setenv("HOME", root().c_str(), 1);
  }
  void TearDown() override {
    for (const auto& [name, value] : saved_) {
      value ? setenv(name.c_str(), value->c_str(), 1) : unsetenv(name.c_str());
    }
  }
  const fs::path& root() const { return folder_.path(); }
  fs::path hub() const { return root() / ".cache/huggingface/hub"; }

  /// A folder that looks like a model.
  static fs::path add_model(const fs::path& path) {
    write_file(path / "config.json", "{}");
    write_file(path / "model.safetensors", testing::safetensors("{}", ""));
    return path;
  }
  static fs::path find(const std::string& model) { return find_model(model).path; }

 private:
  void save(const char* name) {
    const char* value = std::getenv(name);
    saved_[name] = value != nullptr ? std::optional<std::string>(value) : std::nullopt;
  }
  testing::TemporaryFolder folder_;
  std::map<std::string, std::optional<std::string>> saved_;
};

TEST_F(FindModel, APathIsTakenAsItIs) {
  const fs::path folder = add_model(root() / "model");
  EXPECT_EQ(find(folder), folder);
  write_file(root() / "m.gguf", "");
  EXPECT_EQ(find_model((root() / "m.gguf").string()).kind, ModelPlace::Kind::gguf_file);
  EXPECT_EQ(find_model((folder / "model.safetensors").string()).kind, ModelPlace::Kind::safetensors_file);
  EXPECT_THAT(error_of([&] { open_checkpoint((folder / "model.safetensors").string()); }),
              HasSubstr("model.safetensors"));
  EXPECT_THAT(error_of([&] { find(root() / "none.gguf"); }), HasSubstr("none.gguf"));
  EXPECT_THAT(error_of([&] { find(""); }), HasSubstr("there is no model"));
}

TEST_F(FindModel, AFolderOfOneGgufFileIsThatFile) {
  write_file(root() / "repo/README.md", "");
  write_file(root() / "repo/a-q4.gguf", "");
  EXPECT_EQ(find(root() / "repo"), root() / "repo/a-q4.gguf");
  write_file(root() / "repo/b-q8.gguf", "");
  EXPECT_THAT(error_of([&] { find(root() / "repo"); }),
              AllOf(HasSubstr("several"), HasSubstr("a-q4.gguf, b-q8.gguf")));
}

TEST_F(FindModel, AFolderOfOneSplitGgufModelIsItsFirstPart) {
  write_file(root() / "repo/m-00001-of-00002.gguf", "");
  write_file(root() / "repo/m-00002-of-00002.gguf", "");
  EXPECT_EQ(find(root() / "repo"), root() / "repo/m-00001-of-00002.gguf");
}

TEST_F(FindModel, TheSnapshotOfMainComesBeforeNewerOnes) {
  const fs::path repository = hub() / "models--Org--Name-1.5B";
  add_model(repository / "snapshots/aaaa1111");
  add_model(repository / "snapshots/bbbb2222");
  fs::last_write_time(repository / "snapshots/aaaa1111",
                      fs::file_time_type::clock::now() - std::chrono::hours(1));
  EXPECT_EQ(find("Org/Name-1.5B"), repository / "snapshots/bbbb2222");
  write_file(repository / "refs/main", "aaaa1111\n");
  EXPECT_EQ(find("Org/Name-1.5B"), repository / "snapshots/aaaa1111");
  EXPECT_EQ(find(repository), repository / "snapshots/aaaa1111");
}

TEST_F(FindModel, ASnapshotWithoutWeightsIsPassedOver) {
  const fs::path repository = hub() / "models--Org--Name";
  write_file(repository / "refs/main", "aaaa");
  write_file(repository / "snapshots/aaaa/config.json", "{}");
  add_model(repository / "snapshots/bbbb");
  EXPECT_EQ(find("Org/Name"), repository / "snapshots/bbbb");
}

TEST_F(FindModel, ARevisionIsABranchATagOrTheStartOfACommit) {
  const fs::path repository = hub() / "models--Org--Name";
  add_model(repository / "snapshots/aaaa1111");
  add_model(repository / "snapshots/aabb2222");
  write_file(repository / "refs/main", "aaaa1111");
  write_file(repository / "refs/v1.0", "aabb2222");
  write_file(repository / "refs/refs/pr/1", "aabb2222");
  EXPECT_EQ(find("Org/Name@v1.0"), repository / "snapshots/aabb2222");
  EXPECT_EQ(find("Org/Name@refs/pr/1"), repository / "snapshots/aabb2222");
  EXPECT_EQ(find("Org/Name@aaaa"), repository / "snapshots/aaaa1111");
  EXPECT_THAT(error_of([] { find("Org/Name@aa"); }), HasSubstr("several snapshots"));
  EXPECT_THAT(error_of([] { find("Org/Name@v2"); }), HasSubstr("Org/Name@v2"));
  EXPECT_THAT(error_of([] { find("Org/Name@../refs"); }), HasSubstr("none of the local caches"));
}

TEST_F(FindModel, LinksIntoTheBlobsAreFollowed) {
  const fs::path repository = hub() / "models--Org--Name";
  write_file(repository / "blobs/1234", "{}");
  write_file(repository / "blobs/5678", testing::safetensors("{}", ""));
  fs::create_directories(repository / "snapshots/aaaa");
  fs::create_symlink("../../blobs/1234", repository / "snapshots/aaaa/config.json");
  fs::create_symlink("../../blobs/5678", repository / "snapshots/aaaa/model.safetensors");
  EXPECT_EQ(open_checkpoint("Org/Name").id, "Org/Name");
  fs::remove(repository / "blobs/5678");
  EXPECT_THAT(error_of([] { open_checkpoint("Org/Name"); }), HasSubstr("model.safetensors"));
}

TEST_F(FindModel, TheEnvironmentsCachesAreSearchedFirst) {
  const fs::path home = add_model(hub() / "models--Org--Name/snapshots/aaaa");
  EXPECT_EQ(find("Org/Name"), home);
  const fs::path hf_home = add_model(root() / "hf/hub/models--Org--Name/snapshots/aaaa");
  setenv("HF_HOME", (root() / "hf").c_str(), 1);
  EXPECT_EQ(find("Org/Name"), hf_home);
  const fs::path hub_cache = add_model(root() / "cache/models--Org--Name/snapshots/aaaa");
  setenv("HF_HUB_CACHE", (root() / "cache").c_str(), 1);
  EXPECT_EQ(find("Org/Name"), hub_cache);
}

TEST_F(FindModel, PlainFoldersAreFound) {
  const fs::path plain = add_model(root() / ".cache/huggingface/Org/Name-1.5B");
  EXPECT_EQ(find("Org/Name-1.5B"), plain);
  setenv("HF_HOME", (root() / "hf").c_str(), 1);
  EXPECT_EQ(find("Org/Name-1.5B"), plain);
  const fs::path hf_home = add_model(root() / "hf/Org/Name-1.5B");
  EXPECT_EQ(find("Org/Name-1.5B"), hf_home);
}

TEST_F(FindModel, PlainFoldersWithReplacedDotsAreFound) {
  const fs::path plain = add_model(root() / ".cache/huggingface/Org/Name-1___5B");
  EXPECT_EQ(find("Org/Name-1.5B"), plain);
}

TEST_F(FindModel, ModelScopesFoldersAreFoundInAllTheirPlaces) {
  const fs::path old_root = add_model(root() / ".cache/modelscope/hub/Org/Name-1___5B");
  EXPECT_EQ(find("Org/Name-1.5B"), old_root);
  const fs::path new_root = add_model(root() / ".cache/modelscope/hub/models/Org/Name-1___5B");
  EXPECT_EQ(find("Org/Name-1.5B"), new_root);
  setenv("MODELSCOPE_CACHE", (root() / "ms").c_str(), 1);
  for (const char* below : {"hub", "hub/models", "", "models"}) {
    const fs::path own = add_model(root() / "ms" / below / "Org/Name-1___5B");
    EXPECT_TRUE(fs::equivalent(find("Org/Name-1.5B"), own)) << below;
  }
}

TEST_F(FindModel, WhatIsNotThereIsAnErrorThatListsThePlaces) {
  EXPECT_THAT(
      error_of([] { find("Org/Name-1.5B"); }),
      AllOf(HasSubstr("models--Org--Name-1.5B"), HasSubstr("huggingface/Org/Name-1.5B"),
            HasSubstr("modelscope/hub/models/Org/Name-1___5B"), HasSubstr("hf download Org/Name-1.5B,")));
  EXPECT_THAT(error_of([] { find("Org/Name@v1"); }), HasSubstr("hf download Org/Name --revision v1,"));
  EXPECT_THAT(error_of([] { find("../no/such"); }), HasSubstr("there is no model"));
  EXPECT_THAT(error_of([] { find("demo:nothing"); }), HasSubstr("demo:native"));
  EXPECT_THAT(error_of([] { find("demo:../native"); }), HasSubstr("demo:native"));
}

TEST_F(FindModel, TheListNamesEachModelOnce) {
  add_model(hub() / "models--Org--A/snapshots/aaaa");
  write_file(hub() / "models--Org--Empty/snapshots/aaaa/config.json", "{}");
  add_model(root() / ".cache/huggingface/Org/B");
  add_model(root() / ".cache/modelscope/hub/models/Org/C-1___5B");
  fs::create_symlink("C-1___5B", root() / ".cache/modelscope/hub/models/Org/C-1.5B");
  setenv("HF_HOME", (root() / ".cache/huggingface/").c_str(), 1);
  std::vector<std::string> found;
  for (const CachedModel& model : list_cached_models()) {
    if (model.where == "built-in") continue;
    found.push_back(model.where + " " + model.id + " " + model.revision);
    EXPECT_EQ(model.bytes, 12U);
    EXPECT_TRUE(fs::is_directory(model.path));
  }
  EXPECT_THAT(found, ::testing::ElementsAre("huggingface Org/A aaaa", "huggingface Org/B ",
                                            "modelscope Org/C-1.5B "));
}

}  // namespace
}  // namespace touchstone
