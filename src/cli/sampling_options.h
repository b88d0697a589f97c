// The options that `generate` and `chat` share.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "cli/cli.h"
#include "engine/engine.h"

namespace touchstone::cli {

/// What the user asked for; what is not set keeps the model's default.
struct SamplingOptions {
  bool greedy = false;
  bool ignore_eos = false;
  std::optional<float> temperature, top_p, min_p, repetition_penalty, presence_penalty, frequency_penalty;
  std::optional<std::int32_t> top_k, max_new_tokens, reasoning_budget;
  std::uint64_t seed = 0;
  std::vector<std::string> stop;
  bool no_loop_guard = false;
};

inline constexpr const char* kLookupHelp =
    "Guess tokens from the text so far and verify several in a pass, for the same answer: auto (where that "
    "measures faster), on, off";

inline constexpr const char* kSamplingDefaults =
    "Sampling defaults are the model's own (generation_config.json), else temperature 0.6, top-p 0.95, 1024 "
    "tokens.";

void add_sampling_options(CLI::App& app, SamplingOptions& options);

/// The model's defaults with what the user asked for.
SamplingParams apply(const SamplingOptions& options, SamplingParams defaults);

/// --lookup auto|on|off; the default is what `lookup` holds.
void add_lookup_option(CLI::App& app, Lookup& lookup, const std::string& description);

}  // namespace touchstone::cli
