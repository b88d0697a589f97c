#include "cli/sampling_options.h"

#include <CLI/CLI.hpp>
#include <limits>
#include <string>

#include "cli/checks.h"

namespace touchstone::cli {

void add_sampling_options(CLI::App& app, SamplingOptions& o) {
  constexpr std::int32_t kMost = std::numeric_limits<std::int32_t>::max();
  app.add_option("--max-new-tokens", o.max_new_tokens, "Most tokens of an answer")
      ->check(number_from(1, kMost));
  CLI::Option* greedy = app.add_flag("--greedy", o.greedy,
                                     "Always the most likely token, with no penalty but those given here");
  app.add_option("--temperature", o.temperature, "0 is greedy")
      ->check(number_from(0.0, 100.0))
      ->excludes(greedy);
  app.add_option("--top-p", o.top_p, "Nucleus: the most likely tokens that sum to this")
      ->check(number_from(1e-6, 1.0));
  app.add_option("--top-k", o.top_k, "Only the K most likely tokens; 0: all")->check(number_from(0, kMost));
  app.add_option("--min-p", o.min_p, "Only tokens this likely relative to the best")
      ->check(number_from(0.0, 1.0));
  app.add_option("--repetition-penalty", o.repetition_penalty,
                 "Above 1: tokens seen before become less likely")
      ->check(number_from(1e-3, 100.0));
  app.add_option("--presence-penalty", o.presence_penalty, "Taken off the logits of generated tokens")
      ->check(number_from(-100.0, 100.0));
  app.add_option("--frequency-penalty", o.frequency_penalty, "The same, for each time they were generated")
      ->check(number_from(-100.0, 100.0));
  app.add_option("--seed", o.seed, "Same seed, same answer")->check(any_seed())->capture_default_str();
  app.add_option("--stop", o.stop, "The answer ends before this text (repeatable)")
      ->check(not_empty())
      ->allow_extra_args(false);
  app.add_flag("--ignore-eos", o.ignore_eos, "Go on to --max-new-tokens whatever the model says");
  app.add_option("--reasoning-budget", o.reasoning_budget, "Tokens of thinking, after which it is closed")
      ->check(number_from(0, kMost));
  app.add_flag("--no-loop-guard", o.no_loop_guard,
               "Let thinking go round in circles, which otherwise is taken back, then closed");
}

void add_lookup_option(CLI::App& app, Lookup& lookup, const std::string& description) {
  const auto set = [&lookup](const std::string& name) {
    lookup = name == "off" ? Lookup::off : name == "on" ? Lookup::on : Lookup::automatic;
  };
  app.add_option_function<std::string>("--lookup", set, description)
      ->check(CLI::IsMember({"auto", "on", "off"}))
      ->default_str(lookup == Lookup::off ? "off" : "auto");
}

SamplingParams apply(const SamplingOptions& o, SamplingParams params) {
  params.temperature = o.temperature.value_or(params.temperature);
  if (o.greedy) {
    params.temperature = 0.0F;
    params.repetition_penalty = 1.0F;  // a default of the model's for sampling, not part of "most likely"
  }
  params.top_p = o.top_p.value_or(params.top_p);
  params.top_k = o.top_k.value_or(params.top_k);
  params.min_p = o.min_p.value_or(params.min_p);
  params.repetition_penalty = o.repetition_penalty.value_or(params.repetition_penalty);
  params.presence_penalty = o.presence_penalty.value_or(params.presence_penalty);
  params.frequency_penalty = o.frequency_penalty.value_or(params.frequency_penalty);
  params.max_new_tokens = o.max_new_tokens.value_or(params.max_new_tokens);
  params.reasoning_budget = o.reasoning_budget;
  params.seed = o.seed;
  params.stop = o.stop;
  params.ignore_eos = o.ignore_eos;
  return params;
}

}  // namespace touchstone::cli
