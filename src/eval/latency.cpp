#include "eval/latency.h"

#include <algorithm>
#include <chrono>
#include <memory>
#include <utility>

namespace touchstone {
namespace {

bool is_character_start(char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; }

/// The prefix of at most `bytes` bytes that ends between characters.
std::string_view cut_text(std::string_view text, std::size_t bytes) {
  if (bytes >= text.size()) return text;
  while (bytes > 0 && !is_character_start(text[bytes])) --bytes;
  return text.substr(0, bytes);
}

/// A candidate with its engine and the prompts of all rounds.
struct Runner {
  const RunnerCandidate& candidate;
  std::vector<Prompt> prompts;
  int new_tokens = 0;
  std::unique_ptr<Engine> engine;
};

Runner make_runner(const RunnerCandidate& candidate, std::span<const std::string> texts,
                   const RunSettings& settings, const LatencyOptions& options, int rounds) {
  const int limit = context_limit(*candidate.model, settings);
  Runner runner{.candidate = candidate,
                .prompts = {},
                .new_tokens = std::min(options.new_tokens, std::max(2, limit / 4)),
                .engine = nullptr};
  const int prompt_tokens = std::min(options.prompt_tokens, limit - runner.new_tokens);
  std::size_t longest = 0;
  for (int round = 0; round < rounds; ++round) {
    runner.prompts.push_back(
        make_prompt_of_length(candidate.prompter, texts, static_cast<std::size_t>(round), prompt_tokens));
    longest = std::max(longest, runner.prompts.back().ids.size());
  }
  const int tokens = std::min(static_cast<int>(longest) + runner.new_tokens, limit);
  // Without lookup: how often an answer repeats itself is no property of a model's speed, and these answers
  // go on behind their ends.
  runner.engine = std::make_unique<Engine>(
      candidate.model, EngineOptions{.max_batch = 1, .max_sequence_tokens = tokens, .lookup = Lookup::off});
  return runner;
}

/// One answer alone; nothing when it was stopped.
std::optional<StoredLatency> run_once(Runner& runner, std::size_t round, const RunHooks& hooks) {
  GenerateRequest request;
  request.prompt_ids = runner.prompts.at(round).ids;
  request.reasoning_opened = runner.prompts.at(round).reasoning_opened;
  request.sampling = runner.candidate.sampling;
  request.sampling.temperature = 0;
  request.sampling.ignore_eos = true;
  request.sampling.max_new_tokens = runner.new_tokens;
  runner.engine->submit(std::move(request));
  while (!runner.engine->idle()) {
    if (hooks.stop && hooks.stop()) return std::nullopt;
    for (const auto& [id, result] : runner.engine->step()) {
      const GeneratedSample& sample = result.samples.at(0);
      StoredLatency row;
      row.candidate = runner.candidate.index;
      row.prompt_tokens = result.prompt_tokens;
      row.cached_tokens = result.cached_tokens;
      row.new_tokens = static_cast<int>(sample.ids.size());
      row.ttft_ms = sample.ttft_ms;
      const double decode_ms = sample.total_ms - sample.ttft_ms;
      row.decode_tokens_per_second = decode_ms > 0 ? 1000 * (row.new_tokens - 1) / decode_ms : 0;
      return row;
    }
  }
  return std::nullopt;
}

}  // namespace

Prompt make_prompt_of_length(const Prompter& prompter, std::span<const std::string> texts, std::size_t first,
                             int prompt_tokens) {
  // No tokenizer makes fewer tokens than one for each 16 bytes of prose.
  const std::size_t enough = static_cast<std::size_t>(prompt_tokens) * 16;
  std::string text;
  for (std::size_t i = 0; !texts.empty() && text.size() < enough; ++i) {
    const std::string& next = texts[(first + i) % texts.size()];
    text += next.empty() ? " " : next;
    text += "\n\n";
  }
  const auto fits = [&](const Prompt& prompt) {
    return static_cast<int>(prompt.ids.size()) <= prompt_tokens;
  };
  Prompt best = make_prompt(prompter, "");
  std::size_t low = 0;
  std::size_t high = text.size();
  while (low < high) {
    const std::size_t middle = low + (high - low + 1) / 2;
    Prompt prompt = make_prompt(prompter, cut_text(text, middle));
    if (fits(prompt)) {
      low = middle;
      best = std::move(prompt);
    } else {
      high = middle - 1;
    }
  }
  return best;
}

std::optional<std::vector<StoredLatency>> measure_latency(std::span<const RunnerCandidate> candidates,
                                                          std::span<const Suite> suites,
                                                          const RunSettings& settings,
                                                          const LatencyOptions& options,
                                                          const RunHooks& hooks) {
  std::vector<std::string> texts;
  for (const Suite& suite : suites) {
    for (const Item& item : suite.items) texts.push_back(user_turn(suite, item));
  }
  constexpr int kWarmUps = 1;
  const int rounds = kWarmUps + options.repetitions;
  std::vector<Runner> runners;
  for (const RunnerCandidate& candidate : candidates) {
    runners.push_back(make_runner(candidate, texts, settings, options, rounds));
  }
  std::vector<StoredLatency> rows;
  for (int round = 0; round < rounds; ++round) {
    for (Runner& runner : runners) {
      auto row = run_once(runner, static_cast<std::size_t>(round), hooks);
      if (!row) return std::nullopt;
      if (round < kWarmUps) continue;
      row->repetition = round - kWarmUps;
      rows.push_back(*row);
    }
    if (hooks.progress)
      hooks.progress({.phase = "latency", .candidate = "", .done = round + 1, .total = rounds});
  }
  return rows;
}

}  // namespace touchstone
