#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <filesystem>
#include <memory>

#include "cli/cli.h"
#include "cli/sampling_options.h"
#include "serve/log.h"
#include "serve/server.h"

namespace touchstone::cli {
namespace {

struct ServeOptions {
  std::vector<std::string> models;
  serve::ServerOptions server;
  std::int32_t parallel = 32;
  std::string log_format = "text";
  CommonOptions common;
};

/// What clients call the model: a file's or folder's own name, not where it lies; else what the user wrote.
std::string served_name(const std::string& model) {
  const std::filesystem::path path = std::filesystem::path(model).lexically_normal();
  if (!std::filesystem::exists(path)) return model;
  if (path.extension() == ".gguf" || path.extension() == ".safetensors") return path.stem().string();
  return std::filesystem::canonical(path).filename().string();
}

int run_serve(const ServeOptions& options) {
  if (options.log_format == "json") serve::use_json_logs();
  std::vector<std::shared_ptr<LoadedModel>> models;
  for (const std::string& name : options.models) {
    models.push_back(std::make_shared<LoadedModel>(load_model(name, {model_options(options.common)})));
    models.back()->id = served_name(name);
    spdlog::info("loaded {} in {:.0f} ms", models.back()->id, models.back()->load_ms);
  }
  serve::ServerOptions server_options = options.server;
  server_options.runner.engine.max_batch = options.parallel;
  server_options.runner.engine.max_sequence_tokens = options.common.context_tokens;
  serve::Server server(models, server_options);
  server.handle_signals();
  if (!server.is_loopback() && server_options.api_key_file.empty()) {
    spdlog::warn("anybody who reaches {} may use this server; give --api-key-file to ask for a key",
                 server_options.host);
  }
  std::string names;
  for (const auto& model : models) names += (names.empty() ? "" : ", ") + model->id;
  const bool is_ipv6 = server_options.host.find(':') != std::string::npos;
  const std::string address =
      fmt::format("{}://{}:{}", server_options.tls_cert.empty() ? "http" : "https",
                  is_ipv6 ? "[" + server_options.host + "]" : server_options.host, server.port());
  if (options.log_format == "json") {
    spdlog::warn("serving {} at {}", names, address);
  } else {
    std::fprintf(stderr, "touchstone: serving %s at %s\n", names.c_str(), address.c_str());
  }
  server.run();
  return kExitDone;
}

}  // namespace

void add_serve(CLI::App& app, Command& command) {
  auto options = std::make_shared<ServeOptions>();
  serve::ServerOptions& server = options->server;
  CLI::App* sub = app.add_subcommand("serve", "An OpenAI-compatible server over one or several models");
  sub->add_option("MODEL", options->models, "Folders, .gguf files, ORG/NAME in a local cache, or demo:native")
      ->required();
  sub->add_option("--host", server.host, "The address to listen on")->capture_default_str();
  sub->add_option("--port", server.port, "0: any that is free")->capture_default_str();
  sub->add_option("--parallel", options->parallel, "Answers that are generated at once, for each model")
      ->check(CLI::Range(1, 1024))
      ->capture_default_str();
  sub->add_option("--max-queue", server.runner.max_queue,
                  "Requests that may wait, for each model; more get 429")
      ->check(CLI::Range(0, 1 << 20))
      ->capture_default_str();
  sub->add_option("--api-key-file", server.api_key_file, "Keys, one a line; read again on SIGHUP");
  sub->add_option("--tls-cert", server.tls_cert, "Certificate chain (PEM)");
  sub->add_option("--tls-key", server.tls_key, "Its private key (PEM)");
  sub->add_option("--allow-origin", server.allowed_origins,
                  "A web page's origin that may use the server, or * (repeatable)")
      ->allow_extra_args(false);
  sub->add_option("--drain-seconds", server.drain_seconds, "How long answers may go on after SIGTERM")
      ->check(CLI::Range(0.0, 86400.0))
      ->capture_default_str();
  sub->add_option("--log-format", options->log_format, "text or json")
      ->check(CLI::IsMember({"text", "json"}))
      ->capture_default_str();
  add_lookup_option(*sub, server.runner.engine.lookup, kLookupHelp);
  add_common_options(*sub, options->common);
  sub->footer(
      "Examples:\n"
      "  touchstone serve demo:distilled demo:native\n"
      "  touchstone serve ./model.gguf --host 0.0.0.0 --api-key-file keys.txt --log-level info\n"
      "Any OpenAI client then works with base_url http://127.0.0.1:7860/v1.");
  sub->callback([options, &command] { command = [options] { return run_serve(*options); }; });
}

}  // namespace touchstone::cli
