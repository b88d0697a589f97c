#include "cli/preflight.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"

namespace touchstone::cli {
namespace {

/// The options that `settings` has beyond those that are the defaults.
std::string format_options(const MemorySettings& settings, bool has_parallel) {
  std::string text;
  if (settings.context_tokens > 0) text += fmt::format(" --ctx {}", settings.context_tokens);
  if (settings.dtype != "auto") text += " --dtype " + settings.dtype;
  if (settings.kv_dtype != "auto") text += " --kv-dtype " + settings.kv_dtype;
  if (has_parallel) text += fmt::format(" --parallel {}", settings.parallel);
  return text;
}

CommonOptions with(CommonOptions common, const MemorySettings& settings) {
  common.dtype = settings.dtype;
  common.kv_dtype = settings.kv_dtype;
  common.context_tokens = settings.context_tokens;
  return common;
}

}  // namespace

Preflight plan_models(std::span<const Checkpoint> models, const CommonOptions& common,
                      const EngineOptions& engine, std::uint64_t budget) {
  Preflight preflight;
  const std::optional<int> gpu = choose_gpu(common.device);
  preflight.budget = budget > 0 ? budget : free_memory_bytes(gpu) + program_bytes(gpu);
  EngineOptions options = engine;
  options.max_sequence_tokens = common.context_tokens;
  const ModelOptions loading{.num_threads = common.threads,
                             .device = common.device,
                             .dtype = common.dtype,
                             .kv_dtype = common.kv_dtype};
  std::vector<std::int64_t> least;
  for (const Checkpoint& checkpoint : models) {
    preflight.plans.push_back(plan_memory(checkpoint, loading, options));
    least.push_back(least_kv_tokens(preflight.plans.back(), common.context_tokens > 0));
  }
  const std::uint64_t program = program_bytes(gpu);
  const std::uint64_t room = preflight.budget - std::min(preflight.budget, program);
  preflight.fits = share_kv_memory(preflight.plans, least, room);
  return preflight;
}

void refuse_what_cannot_fit(const std::string& command, std::span<const Checkpoint> models,
                            const CommonOptions& common, const EngineOptions& engine, std::uint64_t budget) {
  const Preflight wanted = plan_models(models, common, engine, budget);
  if (wanted.fits) return;
  const bool has_parallel = command.starts_with("serve");
  std::int32_t longest = 0;
  std::uint64_t least = program_bytes(wanted.plans.front().gpu);
  for (const MemoryPlan& plan : wanted.plans) {
    longest = std::max(longest, plan.sequence_tokens);
    least += plan.without_kv() + plan.needs.kv_per_token * static_cast<std::uint64_t>(least_kv_tokens(
                                                               plan, common.context_tokens > 0));
  }
  const auto fits = [&](const MemorySettings& settings) {
    EngineOptions options = engine;
    options.max_batch = settings.parallel;
    return plan_models(models, with(common, settings), options, budget).fits;
  };
  const std::string device = common.device == "auto" ? "" : " --device " + common.device;
  std::string hint;
  for (const MemorySettings& settings : find_nearest_settings({.dtype = common.dtype,
                                        .kv_dtype = common.kv_dtype,
                                        .context_tokens = common.context_tokens,
                                        .parallel = engine.max_batch},
                                                              longest, fits)) {
    hint += fmt::format("{}touchstone {}{}{}", hint.empty() ? "" : ", or: ", command, device,
                        format_options(settings, has_parallel));
  }
  throw Error(fmt::format("{} takes {:.2f} GB of {} at the least, and there are {:.2f}",
                          models.size() == 1 ? models.front().id : "this", static_cast<double>(least) / 1e9,
                          wanted.plans.front().gpu ? "the GPU's memory" : "memory",
                          static_cast<double>(wanted.budget) / 1e9),
              hint.empty() ? "free some memory, or use a smaller model" : hint);
}

}  // namespace touchstone::cli
