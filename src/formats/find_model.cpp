#include "formats/find_model.h"

#include <algorithm>
#include <set>

#include "base/error.h"
#include "base/resources.h"
#include "formats/checked.h"
#include "formats/checkpoint.h"
#include "formats/hub_cache.h"

namespace touchstone {
namespace {

namespace fs = std::filesystem;

struct HubId {
  std::string organization;
  std::string name;
  std::string revision;  // or empty
};

bool is_hub_name(std::string_view text) {
  const auto allowed = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_' || c == '.';
  };
  return !text.empty() && text != "." && text != ".." && std::all_of(text.begin(), text.end(), allowed);
}

/// ORG/NAME[@REV], or nothing when the text is not of that form.
std::optional<HubId> parse_hub_id(std::string_view text) {
  const std::size_t at = text.find('@');
  const std::string_view repository = text.substr(0, at);
  const std::size_t slash = repository.find('/');
  if (slash == std::string_view::npos) return std::nullopt;
  HubId id{std::string(repository.substr(0, slash)), std::string(repository.substr(slash + 1)), {}};
  if (!is_hub_name(id.organization) || !is_hub_name(id.name)) return std::nullopt;
  if (at == std::string_view::npos) return id;
  id.revision = text.substr(at + 1);
  if (id.revision.empty()) return std::nullopt;
  return id;
}

/// `text` with each `from` written `to`.
std::string replace_all(std::string_view text, std::string_view from, std::string_view to) {
  std::string result;
  while (true) {
    const std::size_t at = text.find(from);
    result.append(text.substr(0, at));
    if (at == std::string_view::npos) return result;
    result.append(to);
    text.remove_prefix(at + from.size());
  }
}

// ModelScope's folders write the dots of a name so.
constexpr std::string_view kDot = "___";

std::string replace_dots(std::string_view name) { return replace_all(name, ".", kDot); }
std::string restore_dots(std::string_view name) { return replace_all(name, kDot, "."); }

bool is_folder(const fs::path& path) {
  std::error_code error;
  return fs::is_directory(path, error);
}

/// What a folder holds: a model in Hugging Face format, or one .gguf file.
ModelPlace look_into_folder(const fs::path& folder) {
  std::error_code error;
  if (fs::exists(folder / "config.json", error)) {
    const std::vector<fs::path> files = list_gguf_files(folder);
    bool safetensors = files.empty();
    for (fs::directory_iterator entry(folder, error), end; !error && entry != end; entry.increment(error)) {
      safetensors = safetensors || entry->path().extension() == ".safetensors";
    }
    if (safetensors) return {ModelPlace::Kind::folder, folder};
  }
  const std::vector<fs::path> files = list_gguf_files(folder);
  if (files.size() == 1) return {ModelPlace::Kind::gguf_file, files.front()};
  if (files.size() > 1) {
    std::string names;
    for (const fs::path& file : files) names += (names.empty() ? "" : ", ") + file.filename().string();
    throw Error(folder.string() + " holds several .gguf files", "name one of them by its path: " + names);
  }
  // A repository of the hub's cache, named by its path.
  const std::vector<Snapshot> snapshots = list_snapshots(folder);
  if (!snapshots.empty()) return look_into_folder(snapshots.front().path);
  return {ModelPlace::Kind::folder, folder};
}

/// One of the hub's repositories, or nothing; adds the place to `looked` when it isn't there.
std::optional<ModelPlace> look_into_hub(const fs::path& root, const HubId& id,
                                        std::vector<std::string>& looked) {
  const fs::path repository = root / ("models--" + id.organization + "--" + id.name);
  if (!id.revision.empty()) {
    if (const auto snapshot = find_snapshot(repository, id.revision)) return look_into_folder(snapshot->path);
    looked.push_back((repository / "snapshots" / id.revision).string());
    return std::nullopt;
  }
  const std::vector<Snapshot> snapshots = list_snapshots(repository);
  if (!snapshots.empty()) return look_into_folder(snapshots.front().path);
  looked.push_back(repository.string());
  return std::nullopt;
}

/// Folders that keep no revisions: ORG/NAME as it is, or with the dots of NAME (or of both) replaced.
std::optional<ModelPlace> look_into_plain(const fs::path& root, const HubId& id, bool replaced_first,
                                          std::vector<std::string>& looked) {
  const std::string replaced = replace_dots(id.name);
  std::vector<fs::path> paths = {root / id.organization / id.name, root / id.organization / replaced,
                                 root / replace_dots(id.organization) / replaced};
  for (const fs::path& path : paths) {
    if (is_folder(path)) return look_into_folder(path);
  }
  looked.push_back(paths[replaced_first ? 1 : 0].string());
  return std::nullopt;
}

ModelPlace find_in_caches(const HubId& id) {
  const CacheRoots roots = find_cache_roots();
  std::vector<std::string> looked;
  for (const fs::path& root : roots.hub) {
    if (auto place = look_into_hub(root, id, looked)) return *place;
  }
  if (id.revision.empty()) {
    for (const fs::path& root : roots.plain) {
      if (auto place = look_into_plain(root, id, false, looked)) return *place;
    }
    for (const fs::path& root : roots.modelscope) {
      if (auto place = look_into_plain(root, id, true, looked)) return *place;
    }
  }
  const std::string repository = id.organization + "/" + id.name;
  const std::string full = id.revision.empty() ? repository : repository + "@" + id.revision;
  const std::string revision = id.revision.empty() ? "" : " --revision " + id.revision;
  std::string places;
  for (const std::string& place : looked) places += (places.empty() ? "" : ", ") + place;
  throw Error(
      "model " + full + " is in none of the local caches (looked in " + places + ")",
      "download it with: hf download " + repository + revision + ", or name a folder or a .gguf file");
}

ModelPlace find_embedded_model(std::string_view name) {
  const std::string prefix = "demo/" + std::string(name) + "/";
  if (!is_hub_name(name) || !find_embedded(prefix + "config.json")) {
    throw Error("there is no built-in model " + quote("demo:" + std::string(name)),
                "demo:native and demo:distilled are built in");
  }
  return {ModelPlace::Kind::embedded, prefix};
}

ModelPlace look_at_file(const fs::path& path) {
  if (path.extension() == ".gguf") return {ModelPlace::Kind::gguf_file, path};
  if (path.extension() == ".safetensors") return {ModelPlace::Kind::safetensors_file, path};
  if (path.extension() == ".json") {
    throw Error(path.string() + " is one file of a model", "name the folder it lies in");
  }
  throw Error(path.string() + " is not a model", "name a folder in Hugging Face format, or a .gguf file");
}

/// Bytes of all files below a folder, links followed.
std::uint64_t total_bytes(const fs::path& folder) {
  std::uint64_t total = 0;
  std::error_code error;
  const auto options = fs::directory_options::skip_permission_denied;
  for (fs::recursive_directory_iterator entry(folder, options, error), end; !error && entry != end;
       entry.increment(error)) {
    std::error_code ignored;
    const std::uintmax_t size =
        fs::is_regular_file(entry->path(), ignored) ? fs::file_size(entry->path(), ignored) : 0;
    if (!ignored) total += size;
  }
  return total;
}

void list_embedded_models(std::vector<CachedModel>& models) {
  for (const char* name : {"native", "distilled"}) {
    const std::string prefix = std::string("demo/") + name + "/";
    if (!find_embedded(prefix + "config.json")) continue;
    CachedModel model{std::string("demo:") + name, {}, "built-in", {}, 0};
    for (const EmbeddedFile& file : embedded_files()) {
      if (file.path.starts_with(prefix)) model.bytes += static_cast<std::uint64_t>(file.end - file.begin);
    }
    models.push_back(std::move(model));
  }
}

void list_hub(const fs::path& root, std::vector<CachedModel>& models) {
  constexpr std::string_view kPrefix = "models--";
  for (const fs::path& repository : list_folders(root)) {
    const std::string folder = repository.filename().string();
    if (!folder.starts_with(kPrefix)) continue;
    const std::string_view names = std::string_view(folder).substr(kPrefix.size());
    const std::size_t separator = names.find("--");
    std::string id(names.substr(0, separator));
    if (separator != std::string_view::npos) id.append("/").append(names.substr(separator + 2));
    for (const Snapshot& snapshot : list_snapshots(repository)) {
      if (!has_weights(snapshot.path)) continue;
      models.push_back({id, snapshot.revision, "huggingface", snapshot.path, total_bytes(snapshot.path)});
    }
  }
}

void list_plain(const fs::path& root, const char* where, std::vector<CachedModel>& models) {
  for (const fs::path& organization : list_folders(root)) {
    if (!is_hub_name(organization.filename().string()) ||
        organization.filename().string().starts_with("models--"))
      continue;
    for (const fs::path& folder : list_folders(organization)) {
      // ModelScope leaves a link NAME beside the folder NAME with its dots replaced.
      if (fs::is_symlink(folder) || !has_weights(folder)) continue;
      const std::string id =
          organization.filename().string() + "/" + restore_dots(folder.filename().string());
      models.push_back({id, {}, where, folder, total_bytes(folder)});
    }
  }
}

}  // namespace

ModelPlace find_model(std::string_view model) {
  constexpr std::string_view kDemo = "demo:";
  const fs::path path(model);
  std::error_code error;
  const fs::file_status status = model.empty() ? fs::file_status() : fs::status(path, error);
  if (fs::is_directory(status)) return look_into_folder(path);
  if (fs::exists(status) && !model.empty()) return look_at_file(path);
  if (model.starts_with(kDemo)) return find_embedded_model(model.substr(kDemo.size()));
  const bool looks_like_path =
      model.ends_with(".gguf") || model.ends_with(".safetensors") || model.ends_with("/");
  if (const auto id = parse_hub_id(model); id && !looks_like_path) return find_in_caches(*id);
  throw Error(
      "there is no model " + quote(model) + ": no such file or folder",
      "give a folder in Hugging Face format, a .gguf file, ORG/NAME[@REV], demo:native or demo:distilled");
}

std::vector<CachedModel> list_cached_models() {
  std::vector<CachedModel> models;
  list_embedded_models(models);
  const CacheRoots roots = find_cache_roots();
  for (const fs::path& root : roots.hub) list_hub(root, models);
  for (const fs::path& root : roots.plain) list_plain(root, "huggingface", models);
  for (const fs::path& root : roots.modelscope) list_plain(root, "modelscope", models);
  std::set<fs::path> seen;
  std::erase_if(models, [&](const CachedModel& model) {
    std::error_code error;
    return !model.path.empty() && !seen.insert(fs::weakly_canonical(model.path, error)).second;
  });
  return models;
}

}  // namespace touchstone
