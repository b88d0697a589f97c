// The machine's memory, or a GPU's: what the process holds of it, what there is, and what running a model
// will take.
#pragma once

#include <boost/json.hpp>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "engine/engine.h"
#include "model/model_memory.h"

namespace touchstone {

/// The largest resident size since the start or the last reset_peak_rss(); 0 where the system does not tell.
std::uint64_t peak_rss_bytes();

/// Starts peak_rss_bytes() afresh from the present size, where the system allows it (Linux,
/// /proc/self/clear_refs).
void reset_peak_rss();

/// Memory that a program could still take without swapping, or being ended for its group's limit.
std::uint64_t available_memory_bytes();

/// What the limit of a control group (version 2 or 1) still leaves, given its folder; the largest number
/// where it has none. Pages of files that nobody has used for long count as left.
std::uint64_t find_cgroup_room(const std::filesystem::path& folder);

/// What there is of the memory that a model runs in: a GPU's, or the system's.
std::uint64_t free_memory_bytes(std::optional<int> gpu);

/// What one model will take in this process. All in bytes, reckoned from its files' headers.
struct MemoryPlan {
  std::string model;
  std::optional<int> gpu;  // whose memory it is; none: the system's
  ModelMemory needs;
  std::uint64_t text = 0;  // sampler, which takes nothing of a GPU
  std::int32_t max_batch = 0;
  std::int32_t sequence_tokens = 0;  // the longest that will run
  std::int64_t kv_tokens = 0;        // of all sequences together

  std::uint64_t kv() const { return needs.kv_per_token * static_cast<std::uint64_t>(kv_tokens); }
  std::uint64_t without_kv() const { return needs.weights + needs.stored + needs.pass + text; }
  std::uint64_t total() const { return without_kv() + kv(); }
};

/// The KV memory, in tokens, that an engine would like to have when nobody says how much: for `max_batch`
/// sequences of a usual length, and for one of the longest.
std::int64_t wanted_kv_tokens(std::int32_t max_batch, std::int32_t sequence_tokens);

/// `engine`: its max_batch, max_sequence_tokens and prefill_chunk; with context_tokens 0, the plan
/// has the KV memory that an engine would like to have. Throws Error for a model that cannot be run.
MemoryPlan plan_memory(const Checkpoint& checkpoint, const ModelOptions& options,
                       const EngineOptions& engine);

/// The least KV memory, in tokens, with which the plan's model is of use: one sequence, of the length asked
/// for, else a usual one.
std::int64_t least_kv_tokens(const MemoryPlan& plan, bool length_is_wanted);

/// What the program holds already, and what it takes for itself later: of a GPU, nothing.
std::uint64_t program_bytes(std::optional<int> gpu);

/// Gives the plans KV memory such that they fit into `budget` together, the program not counted: what they
/// would like, or all the same share of it, but never less than `least` (of each). False when not even that
/// fits.
bool share_kv_memory(std::span<MemoryPlan> plans, std::span<const std::int64_t> least, std::uint64_t budget);

/// The options that decide how much memory a command takes.
struct MemorySettings {
  std::string dtype, kv_dtype;
  std::int32_t context_tokens = 0;  // 0: the model's own
  std::int32_t parallel = 1;
};

/// Up to three settings that change as little as possible, for which `fits` is true: less exact keys and
/// values, a shorter context, fewer sequences, less exact weights, then several of these.
std::vector<MemorySettings> find_nearest_settings(const MemorySettings& wanted,
                                                  std::int32_t max_context_tokens,
                                                  const std::function<bool(const MemorySettings&)>& fits);

/// The table of `--preflight`, and the same as JSON.
std::string format_memory_table(std::span<const MemoryPlan> plans, std::uint64_t budget);
boost::json::object memory_to_json(std::span<const MemoryPlan> plans, std::uint64_t budget);

}  // namespace touchstone
