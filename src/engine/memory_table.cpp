// What is shown of memory plans, and what is proposed where they don't fit.
#include <fmt/format.h>

#include <algorithm>

#include "engine/memory.h"

namespace touchstone {
namespace {

std::string format_row(std::string_view name, std::uint64_t bytes, const std::string& note = {}) {
  return fmt::format("  {:<22}{:>10.1f} MB{}\n", name, static_cast<double>(bytes) / 1e6,
                     note.empty() ? "" : "   " + note);
}

std::uint64_t program_beside(std::span<const MemoryPlan> plans) { return program_bytes(plans.front().gpu); }

std::uint64_t sum(std::span<const MemoryPlan> plans) {
  std::uint64_t bytes = program_beside(plans);
  for (const MemoryPlan& plan : plans) bytes += plan.total();
  return bytes;
}

/// The longest context, a multiple of 256, that fits; 0: none.
std::int32_t find_context(MemorySettings settings, std::int32_t most,
                          const std::function<bool(const MemorySettings&)>& fits) {
  constexpr std::int32_t kStep = 256;
  std::int32_t good = 0;
  for (std::int32_t bad = most / kStep + 1; bad - good > 1;) {
    const std::int32_t middle = good + (bad - good) / 2;
    settings.context_tokens = middle * kStep;
    (fits(settings) ? good : bad) = middle;
  }
  return good * kStep;
}

}  // namespace

std::vector<MemorySettings> find_nearest_settings(const MemorySettings& wanted,
                                                  std::int32_t max_context_tokens,
                                                  const std::function<bool(const MemorySettings&)>& fits) {
  std::vector<MemorySettings> found;
  const auto try_out = [&](const MemorySettings& settings) {
    if (found.size() < 3 && fits(settings)) found.push_back(settings);
  };
  const auto try_contexts = [&](const MemorySettings& settings) {
    const std::int32_t most = wanted.context_tokens > 0 ? wanted.context_tokens : max_context_tokens;
    if (const std::int32_t context = find_context(settings, most, fits); context > 0 && found.size() < 3) {
      found.push_back(settings);
      found.back().context_tokens = context;
    }
  };
  const auto vary = [&](const MemorySettings& from) {
    MemorySettings settings = from;
    for (const char* kv_dtype : {"f16", "int8"}) {
      settings.kv_dtype = kv_dtype;
      if (wanted.kv_dtype == "auto" || wanted.kv_dtype == "f32") try_out(settings);
    }
    try_contexts(from);
    settings = from;
    for (std::int32_t parallel = from.parallel / 2; parallel >= 1; parallel /= 2) {
      settings.parallel = parallel;
      const std::size_t before = found.size();
      try_out(settings);
      if (found.size() > before) break;  // fewer need not be
    }
  };
  vary(wanted);
  for (const char* dtype : {"int8", "int4"}) {
    if (wanted.dtype == dtype || wanted.dtype == "int4") continue;
    MemorySettings settings = wanted;
    settings.dtype = dtype;
    try_out(settings);
    vary(settings);
  }
  try_contexts({.dtype = "int4", .kv_dtype = "int8", .context_tokens = 0, .parallel = 1});
  return found;
}

std::string format_memory_table(std::span<const MemoryPlan> plans, std::uint64_t budget) {
  std::string text;
  for (const MemoryPlan& plan : plans) {
    text += plan.model + "\n";
    text += format_row("weights", plan.needs.weights);
    text +=
        format_row("keys and values", plan.kv(),
                   fmt::format("{} B a token x {} tokens: {} at once, each up to {}", plan.needs.kv_per_token,
                               plan.kv_tokens, plan.max_batch, plan.sequence_tokens));
    text += format_row("activations, logits", plan.needs.pass);
    text += format_row("of the stored file", plan.needs.stored);
    text += format_row("sampler", plan.text);
  }
  text += "all\n" + format_row("the program", program_beside(plans)) + format_row("peak", sum(plans)) +
          format_row("free", budget);
  return text;
}

boost::json::object memory_to_json(std::span<const MemoryPlan> plans, std::uint64_t budget) {
  boost::json::array models;
  for (const MemoryPlan& plan : plans) {
    models.push_back({{"model", plan.model},
                      {"weights", plan.needs.weights},
                      {"kv_per_token", plan.needs.kv_per_token},
                      {"kv_tokens", plan.kv_tokens},
                      {"kv", plan.kv()},
                      {"parallel", plan.max_batch},
                      {"ctx", plan.sequence_tokens},
                      {"activations", plan.needs.pass},
                      {"stored", plan.needs.stored},
                      {"text", plan.text},
                      {"total", plan.total()}});
  }
  const std::uint64_t peak = sum(plans);
  return {{"models", std::move(models)},
          {"program", program_beside(plans)},
          {"peak", peak},
          {"available", budget},
          {"fits", peak <= budget}};
}

}  // namespace touchstone
