// Whether what a command is to run fits into the memory, before anything is loaded.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "cli/cli.h"
#include "engine/memory.h"

namespace touchstone::cli {

/// What the models will take, their KV memory cut to fit into `budget` together (0: the memory that is free).
/// Where even the least does not fit, nothing is cut, and `fits` is false.
struct Preflight {
  std::vector<MemoryPlan> plans;
  std::uint64_t budget = 0;  // the program's share included
  bool fits = false;
};
Preflight plan_models(std::span<const Checkpoint> models, const CommonOptions& common,
                      const EngineOptions& engine, std::uint64_t budget);

/// Throws Error when the models don't fit into `budget` (0: the memory that is free); its hint has up to
/// three commands that would, made of `command` ("serve A B") and the settings' options.
void refuse_what_cannot_fit(const std::string& command, std::span<const Checkpoint> models,
                            const CommonOptions& common, const EngineOptions& engine, std::uint64_t budget);

}  // namespace touchstone::cli
