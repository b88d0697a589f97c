#include "formats/hub_cache.h"

#include <algorithm>
#include <cstdlib>
#include <tuple>

#include "base/blob.h"
#include "base/error.h"
#include "formats/split_name.h"

namespace touchstone {
namespace {

namespace fs = std::filesystem;

/// A path from the environment, "~" expanded; empty when unset or empty.
fs::path path_from_environment(const char* name) {
  const char* value = std::getenv(name);
  if (value == nullptr || *value == '\0') return {};
  const std::string text = value;
  const char* home = std::getenv("HOME");
  if (home != nullptr && (text == "~" || text.starts_with("~/")))
    return fs::path(home) / text.substr(std::min<std::size_t>(2, text.size()));
  return text;
}

void add_once(std::vector<fs::path>& paths, const fs::path& base, const char* below = "") {
  if (base.empty()) return;
  const fs::path path = *below == '\0' ? base : base / below;
  if (std::find(paths.begin(), paths.end(), path) == paths.end()) paths.push_back(path);
}

std::vector<fs::path> list_entries(const fs::path& folder, bool folders) {
  std::vector<fs::path> result;
  std::error_code error;
  for (fs::directory_iterator entry(folder, error), end; !error && entry != end; entry.increment(error)) {
    std::error_code ignored;
    if (fs::is_directory(entry->path(), ignored) == folders) result.push_back(entry->path());
  }
  std::sort(result.begin(), result.end());
  return result;
}

/// The commit that refs/NAME holds, or nothing.
std::optional<std::string> read_ref(const fs::path& repository, const std::string& name) {
  const fs::path path = repository / "refs" / name;
  std::error_code error;
  if (!fs::is_regular_file(path, error)) return std::nullopt;
  const Blob file = map_file(path);
  const std::string_view text = file.text();
  const std::size_t end = text.find_first_not_of("0123456789abcdefABCDEF");
  const std::string_view commit = text.substr(0, end);
  if (commit.empty()) return std::nullopt;
  return std::string(commit);
}

/// Whether a revision can be joined to a path without leading out of it.
bool is_plain_revision(const fs::path& revision) {
  return !revision.empty() && !revision.is_absolute() &&
         std::find(revision.begin(), revision.end(), "..") == revision.end();
}

}  // namespace

CacheRoots find_cache_roots() {
  const fs::path home = path_from_environment("HOME");
  const fs::path user_cache = home.empty() ? fs::path() : home / ".cache";
  const fs::path xdg_cache = path_from_environment("XDG_CACHE_HOME");
  const fs::path hf_home = path_from_environment("HF_HOME");
  CacheRoots roots;
  add_once(roots.hub, path_from_environment("HF_HUB_CACHE"));
  add_once(roots.hub, path_from_environment("HUGGINGFACE_HUB_CACHE"));
  add_once(roots.hub, hf_home, "hub");
  for (const fs::path& base : {xdg_cache, user_cache}) add_once(roots.hub, base, "huggingface/hub");

  add_once(roots.plain, path_from_environment("HF_HUB_CACHE"));
  add_once(roots.plain, hf_home);
  for (const fs::path& base : {xdg_cache, user_cache}) add_once(roots.plain, base, "huggingface");

  // MODELSCOPE_CACHE has named the root of models, of hub, and of everything in different releases.
  const fs::path modelscope = path_from_environment("MODELSCOPE_CACHE");
  for (const char* below : {"models", "", "hub/models", "hub"}) add_once(roots.modelscope, modelscope, below);
  for (const fs::path& base : {xdg_cache, user_cache}) {
    for (const char* below : {"modelscope/hub/models", "modelscope/hub"})
      add_once(roots.modelscope, base, below);
  }
  return roots;
}

std::vector<fs::path> list_folders(const fs::path& parent) { return list_entries(parent, true); }

std::vector<fs::path> list_gguf_files(const fs::path& folder) {
  std::vector<fs::path> result;
  for (const fs::path& path : list_entries(folder, false)) {
    const std::optional<SplitName> split = parse_split_name(path.filename().string());
    if (path.extension() != ".gguf" || (split && split->part > 1)) continue;
    result.push_back(path);
  }
  return result;
}

bool has_weights(const fs::path& folder) {
  for (const fs::path& path : list_entries(folder, false)) {
    std::error_code error;
    const fs::path extension = path.extension();
    // A link to a blob that was never finished leads nowhere.
    if ((extension == ".safetensors" || extension == ".gguf") && fs::exists(path, error)) return true;
  }
  return false;
}

std::vector<Snapshot> list_snapshots(const fs::path& repository) {
  struct Candidate {
    Snapshot snapshot;
    bool weights;
    bool main;
    fs::file_time_type time;
  };
  const std::optional<std::string> main = read_ref(repository, "main");
  const std::vector<fs::path> folders = list_folders(repository / "snapshots");
  std::vector<Candidate> candidates;
  candidates.reserve(folders.size());
  for (const fs::path& path : folders) {
    std::error_code error;
    const std::string commit = path.filename().string();
    candidates.push_back(
        {{commit, path}, has_weights(path), main == commit, fs::last_write_time(path, error)});
  }
  std::stable_sort(candidates.begin(), candidates.end(), [](const Candidate& a, const Candidate& b) {
    return std::tie(a.weights, a.main, a.time) > std::tie(b.weights, b.main, b.time);
  });
  std::vector<Snapshot> result;
  result.reserve(candidates.size());
  for (Candidate& candidate : candidates) result.push_back(std::move(candidate.snapshot));
  return result;
}

std::optional<Snapshot> find_snapshot(const fs::path& repository, const std::string& revision) {
  if (!is_plain_revision(revision)) return std::nullopt;
  const std::optional<std::string> commit = read_ref(repository, revision);
  std::vector<Snapshot> found;
  for (Snapshot& snapshot : list_snapshots(repository)) {
    if (snapshot.revision == commit || snapshot.revision == revision) return snapshot;
    if (snapshot.revision.starts_with(revision)) found.push_back(std::move(snapshot));
  }
  if (found.size() > 1) {
    throw Error("revision " + revision + " is the start of several snapshots in " + repository.string(),
                "give more digits of the commit");
  }
  if (found.empty()) return std::nullopt;
  return found.front();
}

}  // namespace touchstone
