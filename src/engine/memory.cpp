#include "engine/memory.h"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <limits>

#include "base/cgroups.h"

namespace touchstone {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kUnlimited = std::numeric_limits<std::uint64_t>::max();

/// A line "NAME:   123 kB" of a /proc file, in bytes; 0 when it is not there.
std::uint64_t read_kilobytes(const char* file, const std::string& name) {
  std::ifstream lines(file);
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with(name + ":")) return std::stoull(line.substr(name.size() + 1)) * 1024;
  }
  return 0;
}

/// A file that holds one number; `otherwise` when it does not ("max"), or is not there.
std::uint64_t read_number(const fs::path& file, std::uint64_t otherwise) {
  std::ifstream stream(file);
  std::uint64_t number = 0;
  return stream >> number ? number : otherwise;
}

/// A line "NAME 123" of memory.stat.
std::uint64_t read_stat(const fs::path& file, const std::string& name) {
  std::ifstream stream(file);
  std::string key;
  for (std::uint64_t number = 0; stream >> key >> number;) {
    if (key == name) return number;
  }
  return 0;
}

std::uint64_t find_room(std::uint64_t limit, std::uint64_t used, std::uint64_t reclaimable) {
  if (limit == kUnlimited) return kUnlimited;
  used -= std::min(used, reclaimable);
  return limit - std::min(limit, used);
}

// What a process has been seen to take. The tokenizer takes about what it is made from, which the process
// holds before and gives back after.
constexpr std::uint64_t kSamplerBytesPerToken = 16;
constexpr std::uint64_t kProgramBytes = 3'000'000;  // code not yet run, stacks, the heap's gaps
// Without other wishes a sequence counts as this long; longer ones still run, fewer at once.
constexpr std::int32_t kUsualSequenceTokens = 2048;

std::int64_t round_to_block(std::int64_t tokens) {
  return (tokens + kKvBlockTokens - 1) / kKvBlockTokens * kKvBlockTokens;
}

}  // namespace

std::uint64_t peak_rss_bytes() { return read_kilobytes("/proc/self/status", "VmHWM"); }

void reset_peak_rss() { std::ofstream("/proc/self/clear_refs") << "5"; }

std::uint64_t find_cgroup_room(const fs::path& folder) {
  const std::uint64_t room =
      find_room(read_number(folder / "memory.max", kUnlimited), read_number(folder / "memory.current", 0),
                read_stat(folder / "memory.stat", "inactive_file"));
  return std::min(room, find_room(read_number(folder / "memory.limit_in_bytes", kUnlimited),
                                  read_number(folder / "memory.usage_in_bytes", 0),
                                  read_stat(folder / "memory.stat", "total_inactive_file")));
}

std::uint64_t available_memory_bytes() {
  std::uint64_t bytes = read_kilobytes("/proc/meminfo", "MemAvailable");
  for (const fs::path& folder : find_cgroup_folders("memory"))
    bytes = std::min(bytes, find_cgroup_room(folder));
  return bytes;
}

std::int64_t wanted_kv_tokens(std::int32_t max_batch, std::int32_t sequence_tokens) {
  const std::int64_t usual = round_to_block(std::min(sequence_tokens, kUsualSequenceTokens));
  return std::max<std::int64_t>(usual * max_batch, sequence_tokens);
}

MemoryPlan plan_memory(const Checkpoint& checkpoint, const ModelOptions& options,
                       const EngineOptions& engine) {
  const Config config = parse_config(checkpoint);
  const std::int32_t longest = config.max_position_embeddings;
  MemoryPlan plan;
  plan.model = checkpoint.id;
  plan.gpu = choose_gpu(options.device);
  plan.max_batch = std::max(engine.max_batch, 1);
  plan.sequence_tokens =
      engine.max_sequence_tokens > 0 ? std::min(engine.max_sequence_tokens, longest) : longest;
  plan.kv_tokens =
      round_to_block(engine.context_tokens > 0 ? engine.context_tokens
                                               : wanted_kv_tokens(plan.max_batch, plan.sequence_tokens));
  const std::int32_t logits = most_logit_rows(engine);
  const std::int32_t chunk = std::min(engine.prefill_chunk, plan.sequence_tokens);
  plan.needs = plan_model_memory(checkpoint, options,
                                 {.tokens = std::max(chunk + plan.max_batch, logits),
                                  .logits = logits,
                                  .positions = plan.sequence_tokens});
  plan.text = plan.gpu ? 0 : static_cast<std::uint64_t>(config.vocab_size) * kSamplerBytesPerToken;
  return plan;
}

std::int64_t least_kv_tokens(const MemoryPlan& plan, bool length_is_wanted) {
  return round_to_block(length_is_wanted ? plan.sequence_tokens
                                         : std::min(plan.sequence_tokens, kUsualSequenceTokens));
}

std::uint64_t program_bytes(std::optional<int> gpu) {
  return gpu ? 0 : read_kilobytes("/proc/self/status", "VmRSS") + kProgramBytes;
}

std::uint64_t free_memory_bytes(std::optional<int> gpu) {
  return gpu ? free_gpu_bytes(*gpu) : available_memory_bytes();
}

bool share_kv_memory(std::span<MemoryPlan> plans, std::span<const std::int64_t> least, std::uint64_t budget) {
  std::uint64_t fixed = 0;
  for (std::size_t i = 0; i < plans.size(); ++i) {
    fixed += plans[i].without_kv() + plans[i].needs.kv_per_token * static_cast<std::uint64_t>(least[i]);
  }
  if (fixed > budget) return false;
  double more = 0;  // than the least
  for (std::size_t i = 0; i < plans.size(); ++i) {
    more += static_cast<double>(std::max<std::int64_t>(plans[i].kv_tokens - least[i], 0)) *
            static_cast<double>(plans[i].needs.kv_per_token);
  }
  const double share = more > 0 ? std::min(1.0, static_cast<double>(budget - fixed) / more) : 1.0;
  for (std::size_t i = 0; i < plans.size(); ++i) {
    const std::int64_t extra = std::max<std::int64_t>(plans[i].kv_tokens - least[i], 0);
    const auto blocks =
        static_cast<std::int64_t>(std::floor(static_cast<double>(extra) * share)) / kKvBlockTokens;
    plans[i].kv_tokens = least[i] + blocks * kKvBlockTokens;
  }
  return true;
}

}  // namespace touchstone
