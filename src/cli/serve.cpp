#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <boost/asio/ip/address.hpp>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <memory>

#include "base/error.h"
#include "base/unfinished_file.h"
#include "cli/checks.h"
#include "cli/cli.h"
#include "cli/preflight.h"
#include "cli/sampling_options.h"
#include "engine/context_length.h"
#include "serve/log.h"
#include "serve/server.h"

namespace touchstone::cli {
namespace {

struct ServeOptions {
  std::vector<std::string> models;
  serve::ServerOptions server;
  std::int32_t parallel = 32;
  std::string log_format = "text";
  bool preflight = false;  // only say what it would take
  CommonOptions common;
};

CLI::Validator ip_address() {
  const auto check = [](const std::string& text) -> std::string {
    boost::system::error_code error;
    boost::asio::ip::make_address(text, error);
    return error ? "'" + text + "' is not an IP address; 127.0.0.1 is one" : "";
  };
  return CLI::Validator(check, "");
}

/// What clients call the model: a file's or folder's own name, not where it lies; else what the user wrote.
std::string served_name(const std::string& model) {
  const std::filesystem::path path = std::filesystem::path(model).lexically_normal();
  if (!std::filesystem::exists(path)) return model;
  if (path.extension() == ".gguf" || path.extension() == ".safetensors") return path.stem().string();
  return std::filesystem::canonical(path).filename().string();
}

bool is_same_model(const Checkpoint& a, const Checkpoint& b) {
  const auto is_same_file = [](const Blob& x, const Blob& y) {
    if (x.mapped || y.mapped) return x.mapped == y.mapped;
    return x.bytes.data() == y.bytes.data() && x.bytes.size() == y.bytes.size();  // embedded
  };
  return a.config == b.config && a.chat_template == b.chat_template && a.tokenizer_json == b.tokenizer_json &&
         std::equal(a.blobs.begin(), a.blobs.end(), b.blobs.begin(), b.blobs.end(), is_same_file);
}

/// The models as the server is to know them, and the budget that they share.
struct Fleet {
  std::vector<serve::FleetModel> models;
  std::vector<Checkpoint> checkpoints;  // of each
  std::vector<MemoryPlan> plans;        // of each
  std::uint64_t budget = 0;             // the program's share included
};

/// Cuts the KV memory so that all models fit together, or as many of the first as can; the others so that
/// each fits alone.
void share_memory(Fleet& fleet, const ServeOptions& options, const EngineOptions& engine) {
  Preflight preflight = plan_models(fleet.checkpoints, options.common, engine, options.server.memory_budget);
  fleet.budget = preflight.budget;
  fleet.plans = std::move(preflight.plans);
  if (preflight.fits) return;
  const std::span<const Checkpoint> all = fleet.checkpoints;
  std::size_t together = all.size() - 1;
  for (; together > 1; --together) {
    preflight = plan_models(all.first(together), options.common, engine, options.server.memory_budget);
    if (preflight.fits) break;
  }
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (together <= 1 || i >= together) {
      preflight = plan_models(all.subspan(i, 1), options.common, engine, options.server.memory_budget);
    }
    fleet.plans[i] = preflight.plans[i < together && together > 1 ? i : 0];
  }
}

/// Has the model known by this name, too, unless it is already.
void add_name(serve::FleetModel& model, std::string name) {
  std::vector<std::string>& others = model.other_ids;
  const bool is_known = name == model.id || std::find(others.begin(), others.end(), name) != others.end();
  if (!is_known) others.push_back(std::move(name));
}

Fleet plan_fleet(const ServeOptions& options, const EngineOptions& engine) {
  const LoadOptions loading{model_options(options.common)};
  Fleet fleet;
  for (const std::string& name : options.models) {
    Checkpoint checkpoint = open_checkpoint(name);
    warn_of_short_context(checkpoint.id, parse_config(checkpoint), options.common.context_tokens);
    const auto same = std::find_if(fleet.checkpoints.begin(), fleet.checkpoints.end(),
                                   [&](const Checkpoint& other) { return is_same_model(other, checkpoint); });
    if (same != fleet.checkpoints.end()) {
      add_name(fleet.models[static_cast<std::size_t>(same - fleet.checkpoints.begin())], served_name(name));
      continue;
    }
    fleet.models.push_back(
        {.id = served_name(name),
         .other_ids = {},
         .load = [name, loading] { return std::make_shared<LoadedModel>(load_model(name, loading)); },
         .engine = engine});
    fleet.checkpoints.push_back(std::move(checkpoint));
  }
  share_memory(fleet, options, engine);
  for (std::size_t i = 0; i < fleet.models.size(); ++i) {
    const MemoryPlan& plan = fleet.plans[i];
    fleet.models[i].engine.context_tokens =
        static_cast<std::int32_t>(std::min<std::int64_t>(plan.kv_tokens, INT32_MAX));
    fleet.models[i].engine.max_sequence_tokens = plan.sequence_tokens;
    fleet.models[i].bytes = plan.total();
    fleet.models[i].max_sequence_tokens =
        static_cast<std::int32_t>(std::min<std::int64_t>(plan.sequence_tokens, plan.kv_tokens));
  }
  return fleet;
}

/// Throws Error when none of the models fits, and warns of each that does not.
void check_fleet(const Fleet& fleet, const ServeOptions& options, const EngineOptions& engine) {
  const std::uint64_t program = program_bytes(fleet.plans.front().gpu);
  std::size_t num_fitting = 0;
  for (std::size_t i = 0; i < fleet.models.size(); ++i) {
    if (fleet.models[i].bytes + program <= fleet.budget) ++num_fitting;
  }
  for (std::size_t i = 0; i < fleet.models.size() && num_fitting < fleet.models.size(); ++i) {
    if (fleet.models[i].bytes + program <= fleet.budget) continue;
    try {
      refuse_what_cannot_fit("serve " + fleet.checkpoints[i].id, {&fleet.checkpoints[i], 1}, options.common,
                             engine, options.server.memory_budget);
    } catch (const Error& error) {
      if (num_fitting == 0) throw;
      spdlog::warn("{}; {}", error.what(), error.hint());
    }
  }
}

int run_serve(const ServeOptions& options) {
  if (!options.preflight) serve::hold_signals();
  if (options.log_format == "json") serve::use_json_logs();
  serve::ServerOptions server_options = options.server;
  EngineOptions& engine = server_options.runner.engine;
  engine.max_batch = options.parallel;
  engine.max_sequence_tokens = options.common.context_tokens;
  Fleet fleet = plan_fleet(options, engine);
  if (options.preflight) {
    options.common.json ? print_json(memory_to_json(fleet.plans, fleet.budget))
                        : print_text(format_memory_table(fleet.plans, fleet.budget));
  }
  check_fleet(fleet, options, engine);
  if (options.preflight) return kExitDone;
  const std::uint64_t program = program_bytes(fleet.plans.front().gpu);
  server_options.memory_budget = fleet.budget - std::min(fleet.budget, program);
  std::string names;
  for (const serve::FleetModel& model : fleet.models) {
    names += (names.empty() ? "" : ", ") + model.id;
    for (const std::string& id : model.other_ids) names += ", " + id;
  }
  fleet.checkpoints.clear();
  serve::Server server(std::move(fleet.models), server_options);
  server.handle_signals();
  if (!server.is_loopback() && server_options.api_key_file.empty()) {
    spdlog::warn("anybody who reaches {} may use this server; give --api-key-file to ask for a key",
                 server_options.host);
  }
  const bool is_ipv6 = server_options.host.find(':') != std::string::npos;
  const std::string address =
      fmt::format("{}://{}:{}", server_options.tls_cert.empty() ? "http" : "https",
                  is_ipv6 ? "[" + server_options.host + "]" : server_options.host, server.port());
  spdlog::info("listening at {}", address);
  server.run([&] {
    if (options.log_format == "json") {
      serve::log_always(fmt::format("serving {} at {}", names, address));
    } else {
      std::fprintf(stderr, "touchstone: serving %s at %s\n", names.c_str(), address.c_str());
    }
  });
  // Clients have their answers. What goes on, as loading a model may for many seconds, nobody waits for.
  end_at_once(kExitDone);
}

}  // namespace

void add_serve(CLI::App& app, Command& command) {
  auto options = std::make_shared<ServeOptions>();
  serve::ServerOptions& server = options->server;
  CLI::App* sub = app.add_subcommand("serve", "An OpenAI-compatible server over one or several models");
  sub->add_option("MODEL", options->models, "Folders, .gguf files, ORG/NAME in a local cache, or demo:native")
      ->required();
  sub->add_option("--host", server.host, "The IP address to listen on")
      ->check(ip_address())
      ->capture_default_str();
  sub->add_option("--port", server.port, "0: any that is free")
      ->check(number_from(0, 65535))
      ->capture_default_str();
  sub->add_option("--parallel", options->parallel, "Answers that are generated at once, for each model")
      ->check(number_from(1, 1024))
      ->capture_default_str();
  sub->add_option("--max-queue", server.runner.max_queue,
                  "Requests that may wait, for each model; more get 429")
      ->check(number_from(0, 1 << 20))
      ->capture_default_str();
  sub->add_option(
         "--memory-budget", server.memory_budget,
         "Memory that the server may use, as 6GB (default: what is free). Models that do not fit together "
         "are loaded when they are asked for, in place of those least recently used")
      ->transform(CLI::AsSizeValue(true))
      ->check(number_from(std::uint64_t{1}, std::uint64_t{1} << 60));
  sub->add_flag("--preflight", options->preflight,
                "Only print what the server will take of the memory, and whether it fits");
  sub->add_option("--api-key-file", server.api_key_file,
                  "Keys, one a line, each with reasoning=FORM behind it or not; read again on SIGHUP");
  CLI::Option* certificate = sub->add_option("--tls-cert", server.tls_cert, "Certificate chain (PEM)");
  CLI::Option* key = sub->add_option("--tls-key", server.tls_key, "Its private key (PEM)");
  certificate->needs(key);
  key->needs(certificate);
  sub->add_option("--allow-origin", server.allowed_origins,
                  "A web page's origin that may use the server, as https://example.org, or * (repeatable)")
      ->check(web_origin())
      ->allow_extra_args(false);
  sub->add_option("--drain-seconds", server.drain_seconds, "How long answers may go on after SIGTERM")
      ->check(number_from(0.0, 86400.0))
      ->capture_default_str();
  sub->add_option("--log-format", options->log_format, "text or json")
      ->check(CLI::IsMember({"text", "json"}))
      ->capture_default_str();
  add_lookup_option(*sub, server.runner.engine.lookup, kLookupHelp);
  add_common_options(*sub, options->common);
  sub->get_option("--json")->description("With --preflight: its table as one JSON document");
  sub->footer(
      "Examples:\n"
      "  touchstone serve demo:distilled demo:native\n"
      "  touchstone serve ./model.gguf --host 0.0.0.0 --api-key-file keys.txt --log-level info\n"
      "Any OpenAI client then works with base_url http://127.0.0.1:7860/v1.");
  sub->callback([options, &command] { command = [options] { return run_serve(*options); }; });
}

}  // namespace touchstone::cli
