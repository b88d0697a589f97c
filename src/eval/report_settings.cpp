// RunSettings, CandidateInfo, … as JSON documents of the store.
#include <boost/json.hpp>

#include "base/error.h"
#include "eval/report.h"

namespace touchstone {
namespace {
namespace json = boost::json;

[[noreturn]] void refuse_setting(std::string_view key) {
  throw Error("the run's file lacks a usable '" + std::string(key) + "'",
              "it was written by another version or is damaged; start a new run");
}

const json::value& find(const json::object& object, std::string_view key) {
  const json::value* value = object.if_contains(key);
  if (value == nullptr) refuse_setting(key);
  return *value;
}

template <typename T>
T read(const json::object& object, std::string_view key) {
  const auto value = json::try_value_to<T>(find(object, key));
  if (!value) refuse_setting(key);
  return *value;
}

}  // namespace

json::object settings_to_json(const RunSettings& settings) {
  return {{"models", json::value_from(settings.models)},
          {"suites", json::value_from(settings.suites)},
          {"limit", settings.limit},
          {"samples", settings.samples},
          {"max_new_tokens", settings.max_new_tokens},
          {"seed", settings.seed},
          {"temperature", settings.temperature ? json::value(*settings.temperature) : json::value(nullptr)},
          {"raw", settings.raw},
          {"isa", settings.isa},
          {"dtype", settings.dtype},
          {"kv_dtype", settings.kv_dtype},
          {"context_tokens", settings.context_tokens},
          {"perf", settings.perf}};
}

RunSettings settings_from_json(const json::object& object) {
  RunSettings settings;
  settings.models = read<std::vector<std::string>>(object, "models");
  settings.suites = read<std::vector<std::string>>(object, "suites");
  settings.limit = read<int>(object, "limit");
  settings.samples = read<int>(object, "samples");
  settings.max_new_tokens = read<int>(object, "max_new_tokens");
  settings.seed = read<std::uint64_t>(object, "seed");
  if (!find(object, "temperature").is_null()) settings.temperature = read<double>(object, "temperature");
  settings.raw = read<bool>(object, "raw");
  settings.isa = read<std::string>(object, "isa");
  settings.dtype = read<std::string>(object, "dtype");
  settings.kv_dtype = read<std::string>(object, "kv_dtype");
  settings.context_tokens = read<int>(object, "context_tokens");
  settings.perf = read<bool>(object, "perf");
  return settings;
}

json::object candidate_to_json(const CandidateInfo& info) {
  return {{"label", info.label},
          {"model", info.model},
          {"sha256", info.sha256},
          {"format", info.format},
          {"architecture", info.architecture},
          {"isa", info.isa},
          {"threads", info.threads},
          {"prompting",
           {{"chat_template", info.chat_template},
            {"text_before_user", info.text_before_user},
            {"hidden_system_prompt", info.hidden_system_prompt},
            {"thinking_opened", info.thinking_opened}}},
          {"sampling",
           {{"source", info.sampling_source},
            {"temperature", info.temperature},
            {"top_p", info.top_p},
            {"top_k", info.top_k},
            {"min_p", info.min_p},
            {"repetition_penalty", info.repetition_penalty},
            {"presence_penalty", info.presence_penalty},
            {"frequency_penalty", info.frequency_penalty},
            {"stop_tokens", info.stop_tokens}}},
          {"weight_bytes", info.weight_bytes},
          {"kv_bytes_per_token", info.kv_bytes_per_token},
          {"load_ms", info.load_ms}};
}

CandidateInfo candidate_from_json(const json::object& object) {
  CandidateInfo info;
  info.label = read<std::string>(object, "label");
  info.model = read<std::string>(object, "model");
  info.sha256 = read<std::string>(object, "sha256");
  info.format = read<std::string>(object, "format");
  info.architecture = read<std::string>(object, "architecture");
  info.isa = read<std::string>(object, "isa");
  info.threads = read<int>(object, "threads");
  const auto prompting = read<json::object>(object, "prompting");
  info.chat_template = read<bool>(prompting, "chat_template");
  info.text_before_user = read<std::string>(prompting, "text_before_user");
  info.hidden_system_prompt = read<std::string>(prompting, "hidden_system_prompt");
  info.thinking_opened = read<bool>(prompting, "thinking_opened");
  const auto sampling = read<json::object>(object, "sampling");
  info.sampling_source = read<std::string>(sampling, "source");
  info.temperature = read<double>(sampling, "temperature");
  info.top_p = read<double>(sampling, "top_p");
  info.top_k = read<int>(sampling, "top_k");
  info.min_p = read<double>(sampling, "min_p");
  info.repetition_penalty = read<double>(sampling, "repetition_penalty");
  info.presence_penalty = read<double>(sampling, "presence_penalty");
  info.frequency_penalty = read<double>(sampling, "frequency_penalty");
  info.stop_tokens = read<std::string>(sampling, "stop_tokens");
  info.weight_bytes = read<std::uint64_t>(object, "weight_bytes");
  info.kv_bytes_per_token = read<std::uint64_t>(object, "kv_bytes_per_token");
  info.load_ms = read<double>(object, "load_ms");
  return info;
}

json::object cost_to_json(const CandidateCost& cost) {
  return {{"generation_seconds", cost.generation_seconds},
          {"answers", cost.answers},
          {"batch", cost.batch},
          {"rss_before_bytes", cost.rss_before_bytes},
          {"peak_rss_bytes", cost.peak_rss_bytes}};
}

CandidateCost cost_from_json(const json::object& object) {
  CandidateCost cost;
  cost.generation_seconds = read<double>(object, "generation_seconds");
  cost.answers = read<int>(object, "answers");
  cost.batch = read<int>(object, "batch");
  cost.rss_before_bytes = read<std::uint64_t>(object, "rss_before_bytes");
  cost.peak_rss_bytes = read<std::uint64_t>(object, "peak_rss_bytes");
  return cost;
}

json::object suite_to_json(const SuiteInfo& info) {
  return {{"name", info.name},
          {"kind", info.kind},
          {"licence", info.licence},
          {"provenance", info.provenance},
          {"fingerprint", info.fingerprint}};
}

SuiteInfo suite_from_json(const json::object& object) {
  return {.name = read<std::string>(object, "name"),
          .kind = read<std::string>(object, "kind"),
          .licence = read<std::string>(object, "licence"),
          .provenance = read<std::string>(object, "provenance"),
          .fingerprint = read<std::string>(object, "fingerprint")};
}

}  // namespace touchstone
