#include "eval/compare.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <malloc.h>
#include <sys/file.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <boost/json.hpp>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <set>
#include <utility>

#include "base/blob.h"
#include "base/cores.h"
#include "base/descriptor.h"
#include "base/error.h"
#include "engine/context_length.h"
#include "engine/memory.h"
#include "eval/latency.h"
#include "eval/sandbox.h"
#include "eval/scenario.h"

namespace touchstone {
namespace {
namespace fs = std::filesystem;
namespace json = boost::json;

constexpr const char* kStoreName = "run.sqlite";

std::string format_time(const char* format) {
  const std::time_t now = std::time(nullptr);
  std::tm utc{};
  gmtime_r(&now, &utc);
  char text[32];
  return {text, std::strftime(text, sizeof text, format, &utc)};
}

/// "Name of the processor, 8 cores, 16.0 GB, Linux 6.1".
std::string describe_machine() {
  const double memory =
      static_cast<double>(sysconf(_SC_PHYS_PAGES)) * static_cast<double>(sysconf(_SC_PAGESIZE));
  utsname system{};
  uname(&system);
  return fmt::format("{}, {} cores, {:.1f} GB, {} {}", cpu_name(), physical_cores(), memory / 1e9,
                     system.sysname, system.release);
}

/// Letters that are safe in a folder's name everywhere.
std::string safe_name(const std::string& text) {
  std::string safe;
  for (const char c : text) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       c == '.' || c == '-' || c == '_';
    safe += plain ? c : '-';
  }
  constexpr std::size_t kMostBytes = 60;  // several of them must fit into a file name
  return safe.substr(0, kMostBytes);
}

fs::path choose_folder(const CompareOptions& options, const std::vector<std::string>& labels) {
  if (!options.out.empty()) return options.out;
  constexpr std::size_t kMostLabels = 3;
  std::string name = format_time("%Y-%m-%d");
  for (std::size_t i = 0; i < std::min(labels.size(), kMostLabels); ++i) {
    name += (i == 0 ? "-" : "-vs-") + safe_name(labels[i]);
  }
  const fs::path base = fs::path("touchstone-runs") / name;
  fs::path folder = base;
  for (int number = 2; fs::exists(folder); ++number) folder = base.string() + "-" + std::to_string(number);
  return folder;
}

RunSettings new_settings(const CompareOptions& options) {
  RunSettings settings;
  settings.models = options.models;
  settings.suites = options.suites.empty() ? default_suites(options.models) : options.suites;
  settings.limit = options.limit.value_or(settings.limit);
  settings.samples = options.samples.value_or(settings.samples);
  settings.max_new_tokens = options.max_new_tokens.value_or(settings.max_new_tokens);
  settings.seed = options.seed.value_or(settings.seed);
  settings.temperature = options.temperature;
  settings.raw = options.raw.value_or(settings.raw);
  settings.perf = options.perf.value_or(settings.perf);
  settings.isa = options.isa.value_or(settings.isa);
  settings.dtype = options.dtype.value_or(settings.dtype);
  settings.kv_dtype = options.kv_dtype.value_or(settings.kv_dtype);
  settings.context_tokens = options.context_tokens.value_or(settings.context_tokens);
  return settings;
}

/// What the command line says of a resumed run must be what the run was started with.
void check_same_settings(const RunSettings& stored, const CompareOptions& options) {
  CompareOptions filled = options;
  const auto fill = [](auto& option, const auto& value) {
    if (!option) option = value;
  };
  if (filled.models.empty()) filled.models = stored.models;
  if (filled.suites.empty()) filled.suites = stored.suites;
  fill(filled.limit, stored.limit);
  fill(filled.samples, stored.samples);
  fill(filled.max_new_tokens, stored.max_new_tokens);
  fill(filled.seed, stored.seed);
  if (!filled.temperature) filled.temperature = stored.temperature;
  fill(filled.raw, stored.raw);
  filled.perf = stored.perf;  // changes no answer
  fill(filled.isa, stored.isa);
  fill(filled.dtype, stored.dtype);
  fill(filled.kv_dtype, stored.kv_dtype);
  fill(filled.context_tokens, stored.context_tokens);
  const json::object wanted = settings_to_json(new_settings(filled));
  for (const auto& [key, value] : settings_to_json(stored)) {
    if (wanted.at(key) == value) continue;
    throw Error(fmt::format("the run in {} was started with {} = {}, not {}", options.resume.string(),
                            std::string(key), json::serialize(value), json::serialize(wanted.at(key))),
                "leave that option out to continue it, or start a new run");
  }
}

/// A candidate before its weights are loaded.
struct OpenCandidate {
  CandidateInfo info;
  Prompter prompter;
  SamplingParams sampling;
};

OpenCandidate open_candidate(const RunSettings& settings, const std::string& model,
                             const std::string& label) {
  const Checkpoint checkpoint = open_checkpoint(model);
  // An unknown architecture must not come to light an hour later.
  warn_of_short_context(checkpoint.id, parse_config(checkpoint), settings.context_tokens);
  OpenCandidate candidate{.info = {}, .prompter = make_prompter(checkpoint, settings.raw), .sampling = {}};
  candidate.sampling = make_sampling(checkpoint, candidate.prompter, settings);
  candidate.info = describe_candidate(checkpoint, candidate.prompter, settings);
  candidate.info.label = label;
  candidate.info.model = model;
  candidate.info.sha256 = find_sha256(checkpoint);
  return candidate;
}

std::vector<Suite> load_suites(const RunSettings& settings) {
  std::vector<Suite> suites;
  std::set<std::string> names;
  for (const std::string& name : settings.suites) {
    suites.push_back(load_suite(name));
    Suite& suite = suites.back();
    if (suite.items.size() > static_cast<std::size_t>(settings.limit)) {
      suite.items.resize(static_cast<std::size_t>(settings.limit));
    }
    if (suite.items.empty())
      throw Error("suite " + name + " has no items", "give one with at least one item");
    if (!names.insert(suite.name).second) {
      throw Error("two suites are named " + suite.name, "rename one of the files");
    }
    if (suite.kind == TaskKind::code) require_python();
  }
  return suites;
}

bool has_code(const std::vector<Suite>& suites) {
  return std::any_of(suites.begin(), suites.end(),
                     [](const Suite& suite) { return suite.kind == TaskKind::code; });
}

std::string candidate_document(std::size_t index) { return "candidate/" + std::to_string(index); }
std::string suite_document(std::size_t index) { return "suite/" + std::to_string(index); }

void put_candidate(Store& store, std::size_t index, const CandidateInfo& info) {
  store.put_document(candidate_document(index), json::serialize(candidate_to_json(info)));
}

SuiteInfo describe_suite(const Suite& suite) {
  return {.name = suite.name,
          .kind = std::string(task_kind_name(suite.kind)),
          .licence = suite.licence,
          .provenance = suite.provenance,
          .fingerprint = suite.fingerprint};
}

/// Writes all that a run knows before its first answer.
void begin_run(Store& store, const CompareOptions& options, const RunSettings& settings,
               const std::vector<Suite>& suites, const std::vector<OpenCandidate>& candidates) {
  std::vector<StoredItem> items;
  for (std::size_t i = 0; i < suites.size(); ++i) {
    store.put_document(suite_document(i), json::serialize(suite_to_json(describe_suite(suites[i]))));
    int position = 0;
    for (const Item& item : suites[i].items) {
      items.push_back(
          {suites[i].name, item.id, position++, user_turn(suites[i], item), describe_expected(item)});
    }
  }
  store.put_items(items);
  for (std::size_t i = 0; i < candidates.size(); ++i) put_candidate(store, i, candidates[i].info);
  const json::object run{{"created", format_time("%Y-%m-%dT%H:%M:%SZ")},
                         {"version", options.version},
                         {"machine", describe_machine()},
                         {"sandbox", has_code(suites) ? sandbox_kind() + ": " + sandbox_description() : ""}};
  store.put_document("run", json::serialize(run));
  store.put_document("settings", json::serialize(settings_to_json(settings)));
}

/// Keeps others from beginning a run at `file` until it is closed, or this process ends.
int lock_beginning(const fs::path& file, const std::string& lock) {
  const int fd = open(lock.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
  if (fd < 0) throw Error("cannot write " + lock + ": " + std::strerror(errno), "choose another --out");
  if (flock(fd, LOCK_EX | LOCK_NB) == 0) return fd;
  const int error = errno;
  close(fd);
  if (error == EWOULDBLOCK) {
    throw Error("another compare begins a run in " + file.parent_path().string(), "choose another --out");
  }
  throw Error("cannot lock " + lock + ": " + std::strerror(error), "choose another --out");
}

/// A new run's store. It gets its name when all that a run begins with is in it, so that a run that was
/// killed can be continued or started again, never neither.
Store create_run(const fs::path& folder, const CompareOptions& options, const RunSettings& settings,
                 const std::vector<Suite>& suites, const std::vector<OpenCandidate>& candidates) {
  const fs::path file = folder / kStoreName;
  const std::string lock = file.string() + ".lock";
  const Descriptor held(lock_beginning(file, lock));
  if (fs::exists(file)) {
    unlink(lock.c_str());
    return Store::create(file);  // throws: it is not overwritten
  }
  const fs::path unfinished = file.string() + ".new";
  std::error_code ignored;  // what stays makes the next step fail, with its reason
  fs::remove(unfinished, ignored);
  fs::remove(unfinished.string() + "-journal", ignored);
  {
    Store store = Store::create(unfinished);
    begin_run(store, options, settings, suites, candidates);
  }
  std::error_code error;
  fs::rename(unfinished, file, error);
  if (error) throw Error("cannot write " + file.string() + ": " + error.message(), "choose another --out");
  Store store = Store::open(file);
  unlink(lock.c_str());  // whoever takes a lock from now on finds the run
  return store;
}

json::object read_document(const Store& store, const std::string& name, const fs::path& folder) {
  const auto text = store.find_document(name);
  boost::system::error_code error;
  json::value value = text ? json::parse(*text, error) : json::value();
  if (!text || error || !value.is_object()) {
    throw Error("the run in " + folder.string() + " was stopped before it began", "start a new run");
  }
  return std::move(value.as_object());
}

/// A resumed run must meet the same models, prompts and suites.
void check_same_inputs(const Store& store, const fs::path& folder, const std::vector<Suite>& suites,
                       std::vector<OpenCandidate>& candidates) {
  const auto differ = [&](const std::string& what) {
    throw Error(fmt::format("{} is not what the run in {} was started with", what, folder.string()),
                "restore it, or start a new run");
  };
  for (std::size_t i = 0; i < suites.size(); ++i) {
    const SuiteInfo stored = suite_from_json(read_document(store, suite_document(i), folder));
    if (stored.fingerprint != suites[i].fingerprint) {
      differ(fmt::format("suite {} (fingerprint {}, not {})", stored.name, suites[i].fingerprint,
                         stored.fingerprint));
    }
  }
  for (std::size_t i = 0; i < candidates.size(); ++i) {
    CandidateInfo stored = candidate_from_json(read_document(store, candidate_document(i), folder));
    const CandidateInfo& now = candidates[i].info;
    if (stored.sha256 != now.sha256) {
      differ(fmt::format("the model {} (sha256 {}, not {})", now.model, now.sha256, stored.sha256));
    }
    const auto prompting = [](const CandidateInfo& info) {
      const json::object object = candidate_to_json(info);
      return json::object{{"prompting", object.at("prompting")}, {"sampling", object.at("sampling")}};
    };
    if (prompting(stored) != prompting(now)) {
      differ(fmt::format("the chat template or sampling of {} ({}, not {})", now.model,
                         json::serialize(prompting(now)), json::serialize(prompting(stored))));
    }
    candidates[i].info = std::move(stored);
  }
}

/// What has a run use the kernels that another one used.
std::string option_for(const std::string& isa) {
  return isa == "cuda" ? "--device cuda" : "--device cpu --isa " + isa;
}

/// Loads the weights and adds what only they tell to the candidate's document.
RunnerCandidate load_candidate(Store& store, const RunSettings& settings, const ModelOptions& machine,
                               std::size_t index, OpenCandidate& candidate) {
  LoadOptions options{machine, settings.raw};
  options.isa = settings.isa;
  options.dtype = settings.dtype;
  options.kv_dtype = settings.kv_dtype;
  auto model = std::make_shared<LoadedModel>(load_model(candidate.info.model, options));
  CandidateInfo& info = candidate.info;
  const Transformer& transformer = *model->transformer;
  if (!info.isa.empty() && info.isa != transformer.isa()) {
    throw Error(fmt::format("the run used {} kernels for {}, this machine {}", info.isa, info.label,
                            transformer.isa()),
                "other kernels may round otherwise; pass " + option_for(info.isa) +
                    " to a new run, or continue on that machine");
  }
  info.isa = transformer.isa();
  info.threads = transformer.num_threads();
  info.weight_bytes = transformer.weight_bytes();
  info.kv_bytes_per_token = transformer.kv_bytes_per_token();
  if (info.load_ms == 0) info.load_ms = model->load_ms;  // later loads find the files in memory
  put_candidate(store, index, info);
  return {.index = static_cast<int>(index),
          .label = info.label,
          .model = std::move(model),
          .prompter = candidate.prompter,
          .sampling = candidate.sampling};
}

/// Answers and grades of one candidate, alone in memory. False when it was stopped.
bool run_quality(Store& store, const RunSettings& settings, const ModelOptions& machine,
                 const std::vector<Suite>& suites, std::size_t index, OpenCandidate& candidate,
                 const RunHooks& hooks) {
  const int number = static_cast<int>(index);
  if (!has_all_answers(store, number, suites, settings.samples)) {
    malloc_trim(0);  // what the candidate before left behind is not this one's
    reset_peak_rss();
    const std::uint64_t rss_before_bytes = peak_rss_bytes();
    const RunnerCandidate loaded = load_candidate(store, settings, machine, index, candidate);
    if (!answer_items(store, loaded, suites, settings, rss_before_bytes, hooks)) return false;
  }
  return grade_answers(store, number, candidate.info.label, suites, hooks);
}

bool run_latency(Store& store, const RunSettings& settings, const ModelOptions& machine,
                 const std::vector<Suite>& suites, std::vector<OpenCandidate>& candidates,
                 const RunHooks& hooks) {
  if (!settings.perf || !store.latency().empty()) return true;
  std::vector<RunnerCandidate> loaded;
  for (std::size_t i = 0; i < candidates.size(); ++i) {
    loaded.push_back(load_candidate(store, settings, machine, i, candidates[i]));
  }
  const auto rows = measure_latency(loaded, suites, settings, {}, hooks);
  if (rows) store.put_latency(*rows);
  return rows.has_value();
}

std::optional<int> find_baseline(const std::string& name, const std::vector<OpenCandidate>& candidates) {
  if (name.empty()) return std::nullopt;
  for (std::size_t i = 0; i < candidates.size(); ++i) {
    if (candidates[i].info.label == name || candidates[i].info.model == name) return static_cast<int>(i);
  }
  throw Error("--baseline names no candidate: " + name, "use one of the models of the comparison");
}

std::vector<Scenario> load_scenarios(const std::vector<std::string>& names) {
  if (names.empty()) return built_in_scenarios();
  std::vector<Scenario> scenarios;
  scenarios.reserve(names.size());
  for (const std::string& name : names) scenarios.push_back(load_scenario(name));
  return scenarios;
}

void write_report(const fs::path& folder, const Report& report) {
  write_file_atomically(folder / "report.json", json::serialize(report_to_json(report)) + "\n");
  write_file_atomically(folder / "report.md", report_to_markdown(report));
  write_file_atomically(folder / "report.html", report_to_html(report));
}

void check_options(const RunSettings& settings) {
  if (settings.models.size() < 2) throw Error("a comparison needs two models", "name a second one");
  if (settings.suites.empty()) throw Error("a comparison needs a suite", "name one with --suite");
}

void make_folder(const fs::path& folder) {
  std::error_code error;
  fs::create_directories(folder, error);
  if (error || !fs::is_directory(folder)) {
    throw Error("cannot make the folder " + folder.string() + (error ? ": " + error.message() : ""),
                "choose another with --out");
  }
}

}  // namespace

std::vector<std::string> default_suites(const std::vector<std::string>& models) {
  const bool all_demo = std::all_of(models.begin(), models.end(),
                                    [](const std::string& model) { return model.starts_with("demo:"); });
  return all_demo ? std::vector<std::string>{"demo-math", "demo-code", "demo-logic"}
                  : std::vector<std::string>{"math", "code", "logic"};
}

std::vector<std::string> make_labels(const std::vector<std::string>& models) {
  std::vector<std::string> labels;
  for (const std::string& model : models) {
    std::string label = model;
    while (label.size() > 1 && label.back() == '/') label.pop_back();
    if (const std::size_t slash = label.rfind('/'); slash != std::string::npos && slash + 1 < label.size()) {
      label = label.substr(slash + 1);
    }
    if (label.ends_with(".gguf") && label.size() > 5) label.resize(label.size() - 5);
    std::string unique = label;
    for (int number = 2; std::find(labels.begin(), labels.end(), unique) != labels.end(); ++number) {
      unique = label + " #" + std::to_string(number);
    }
    labels.push_back(std::move(unique));
  }
  return labels;
}

CompareResult run_compare(const CompareOptions& options, const RunHooks& hooks) {
  const bool resuming = !options.resume.empty();
  std::optional<Store> store;
  RunSettings settings;
  if (resuming) {
    store = Store::open(options.resume / kStoreName);
    settings = settings_from_json(read_document(*store, "settings", options.resume));
    check_same_settings(settings, options);
    settings.perf = options.perf.value_or(settings.perf);
  } else {
    settings = new_settings(options);
  }
  check_options(settings);
  const std::vector<Scenario> scenarios = load_scenarios(options.scenarios);
  const std::vector<Suite> suites = load_suites(settings);
  const std::vector<std::string> labels = make_labels(settings.models);
  std::vector<OpenCandidate> candidates;
  for (std::size_t i = 0; i < labels.size(); ++i) {
    candidates.push_back(open_candidate(settings, settings.models[i], labels[i]));
  }
  const std::optional<int> baseline = find_baseline(options.baseline, candidates);

  CompareResult result;
  result.folder = resuming ? options.resume : choose_folder(options, labels);
  if (resuming) {
    check_same_inputs(*store, result.folder, suites, candidates);
  } else {
    make_folder(result.folder);
    store = create_run(result.folder, options, settings, suites, candidates);
  }
  if (hooks.begun) hooks.begun(result.folder);

  ModelOptions machine;
  machine.num_threads = options.threads;
  machine.packed_cache = options.packed_cache;
  bool finished = true;
  for (std::size_t i = 0; i < candidates.size() && finished; ++i) {
    finished = run_quality(*store, settings, machine, suites, i, candidates[i], hooks);
  }
  finished = finished && run_latency(*store, settings, machine, suites, candidates, hooks);
  for (std::size_t i = 0; i < candidates.size(); ++i) {
    result.answers_kept += static_cast<int>(store->answered(static_cast<int>(i)).size());
  }
  result.interrupted = !finished;
  if (!finished) return result;
  result.report = make_report(*store, baseline);
  for (const Scenario& scenario : scenarios) {
    result.report->scenarios.push_back(judge_scenario(*result.report, scenario));
  }
  write_report(result.folder, *result.report);
  return result;
}

}  // namespace touchstone
