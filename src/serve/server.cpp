#include "serve/server.h"

#include <openssl/ssl.h>
#include <spdlog/spdlog.h>

#include <array>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cmath>
#include <csignal>
#include <set>

#include "base/count_of.h"
#include "base/error.h"
#include "base/interrupt.h"
#include "base/unfinished_file.h"
#include "serve/access.h"
#include "serve/log.h"
#include "serve/routes.h"

namespace touchstone::serve {

namespace asio = boost::asio;

namespace {

constexpr std::chrono::milliseconds kDrainPoll{20};
// Between cutting answers off and leaving: the engine's last step, and what it had to say on its way to the
// client.
constexpr std::chrono::seconds kFarewell{5};
constexpr std::array kSignals = {SIGINT, SIGTERM, SIGHUP};

/// `how`: SIG_BLOCK or SIG_UNBLOCK.
void mask_signals(int how) {
  sigset_t signals;
  sigemptyset(&signals);
  for (const int signal : kSignals) sigaddset(&signals, signal);
  pthread_sigmask(how, &signals, nullptr);
}

std::shared_ptr<asio::ssl::context> make_tls_context(const ServerOptions& options) {
  if (options.tls_cert.empty() && options.tls_key.empty()) return nullptr;
  if (options.tls_cert.empty() || options.tls_key.empty()) {
    throw Error("TLS needs a certificate and a key", "give both --tls-cert and --tls-key");
  }
  auto context = std::make_shared<asio::ssl::context>(asio::ssl::context::tls_server);
  SSL_CTX_set_min_proto_version(context->native_handle(), TLS1_2_VERSION);
  SSL_CTX_set_mode(context->native_handle(), SSL_MODE_RELEASE_BUFFERS);  // idle connections stay small
  boost::system::error_code error;
  context->use_certificate_chain_file(options.tls_cert.string(), error);
  if (error)
    throw Error("cannot use the certificate " + options.tls_cert.string() + ": " + error.message(),
                "give a PEM file");
  context->use_private_key_file(options.tls_key.string(), asio::ssl::context::pem, error);
  if (error)
    throw Error("cannot use the key " + options.tls_key.string() + ": " + error.message(),
                "give the certificate's key as PEM");
  return context;
}

std::vector<FleetModel> keep_loaded(const std::vector<std::shared_ptr<LoadedModel>>& models,
                                    const ServerOptions& options) {
  std::vector<FleetModel> fleet;
  fleet.reserve(models.size());
  for (const auto& model : models) {
    fleet.push_back({.id = model->id,
                     .other_ids = {},
                     .load = [model] { return model; },
                     .engine = options.runner.engine,
                     .bytes = 0,
                     .max_sequence_tokens = model->transformer->config().max_position_embeddings});
  }
  return fleet;
}

}  // namespace

struct Server::Impl {
  asio::io_context io{1};
  ServerOptions options;
  Api api;
  std::optional<HttpServer> http;
  std::function<void()> on_ready;
  std::exception_ptr load_failure;  // why it ends before it is ready
  asio::signal_set signals{io};
  asio::steady_timer drain_timer{io};
  Clock::time_point drain_end;
  bool cut = false;  // answers have been cut off

  explicit Impl(const ServerOptions& wanted) : options(wanted) {}
  ~Impl() {
    if (!api.fleet) return;
    api.fleet->cancel_all();
    api.fleet->stop_loading();
    api.worker.join();
    api.long_worker.join();
    api.fleet.reset();  // before what its replies go through
  }
  void on_finished(const HttpRecord& record);
  void on_loaded(const std::exception_ptr& failure);
  void wait_for_signal();
  void begin_drain();
  void poll_drain();
  void end();
  void reload_keys();
};

void Server::Impl::on_finished(const HttpRecord& record) {
  api.num_connections = static_cast<double>(http->num_connections());
  api.metrics.count_response(path_label(record.path), record.status);
  if (record.abandoned) api.metrics.count_abandoned();
  if (record.method.empty()) api.metrics.count_rejection("http_" + std::to_string(record.status));
  log_fields({{"id", record.id},
              {"method", record.method},
              {"path", record.path},
              {"status", record.status},
              {"bytes", record.body_bytes_sent},
              {"ms", std::round(record.duration_ms * 10) / 10},
              {"abandoned", record.abandoned}});
}

void Server::Impl::on_loaded(const std::exception_ptr& failure) {
  if (api.state == ServerState::draining) return;
  if (failure) {
    load_failure = failure;
    return end();
  }
  api.state = ServerState::ready;
  if (on_ready) on_ready();
}

void Server::Impl::wait_for_signal() {
  signals.async_wait([this](const boost::system::error_code& error, int signal) {
    if (error) return;
    if (signal == SIGHUP) {
      reload_keys();
    } else if (api.state == ServerState::draining) {
      end_at_once(kExitInterrupted);
    } else {
      begin_drain();
    }
    wait_for_signal();
  });
}

void Server::Impl::reload_keys() {
  if (options.api_key_file.empty()) return;
  try {
    api.rules.keys = ApiKeys::load(options.api_key_file);
    spdlog::info("read the API keys again");
  } catch (const Error& e) {
    spdlog::error("the old API keys stay: {}", e.what());
  }
}

void Server::Impl::begin_drain() {
  if (api.state == ServerState::draining) return;
  api.state = ServerState::draining;
  http->begin_drain();
  drain_end = Clock::now() + std::chrono::duration_cast<Clock::duration>(
                                 std::chrono::duration<double>(options.drain_seconds));
  spdlog::info("draining: {} under way", count_of(static_cast<std::int64_t>(http->num_busy()), "request"));
  poll_drain();
}

void Server::Impl::poll_drain() {
  const auto now = Clock::now();
  if (http->num_busy() == 0 || (cut && now >= drain_end)) return end();
  if (!cut && now >= drain_end) {
    spdlog::warn("cutting off {}", count_of(static_cast<std::int64_t>(http->num_busy()), "request"));
    cut = true;
    api.fleet->cancel_all();
    drain_end = now + kFarewell;
  }
  drain_timer.expires_after(kDrainPoll);
  drain_timer.async_wait([this](const boost::system::error_code& error) {
    if (!error) poll_drain();
  });
}

void Server::Impl::end() {
  http->close_all();
  io.stop();
}

void hold_signals() { mask_signals(SIG_BLOCK); }

Server::Server(const std::vector<std::shared_ptr<LoadedModel>>& models, const ServerOptions& options)
    : Server(keep_loaded(models, options), options) {}

Server::Server(std::vector<FleetModel> models, const ServerOptions& options)
    : impl_(std::make_unique<Impl>(options)) {
  Api& api = impl_->api;
  std::set<std::string> names;
  for (const FleetModel& model : models) {
    std::vector<std::string> own = model.other_ids;
    own.push_back(model.id);
    for (const std::string& name : own) {
      if (!names.insert(name).second)
        throw Error("two models are named " + name, "rename one file or folder");
    }
  }
  if (!options.api_key_file.empty()) api.rules.keys = ApiKeys::load(options.api_key_file);
  api.rules.allowed_origins = options.allowed_origins;
  api.ping_interval = options.ping_interval;
  impl_->http.emplace(
      impl_->io,
      HttpServerOptions{
          .host = options.host,
          .port = options.port,
          .tls = make_tls_context(options),
          .limits = options.limits,
          .handle = [&api](HttpRequest request,
                           Reply reply) { handle_request(api, std::move(request), std::move(reply)); },
          .format_error = format_error_for,
          .on_finished = [impl = impl_.get()](const HttpRecord& r) { impl->on_finished(r); }});
  api.rules.checks_host = !api.rules.keys && impl_->http->is_loopback();
  api.fleet =
      std::make_unique<ModelFleet>(std::move(models), options.runner, options.memory_budget, api.metrics);
}

Server::~Server() = default;

std::uint16_t Server::port() const { return impl_->http->port(); }
bool Server::is_loopback() const { return impl_->http->is_loopback(); }

void Server::run(std::function<void()> on_ready) {
  impl_->on_ready = std::move(on_ready);
  impl_->api.fleet->start_loading([impl = impl_.get()](const std::exception_ptr& failure) {
    asio::post(impl->io, [impl, failure] { impl->on_loaded(failure); });
  });
  impl_->io.run();
  if (impl_->load_failure) std::rethrow_exception(impl_->load_failure);
}

void Server::handle_signals() {
  for (const int signal : kSignals) impl_->signals.add(signal);
  mask_signals(SIG_UNBLOCK);
  impl_->wait_for_signal();
}

void Server::drain() {
  asio::post(impl_->io, [impl = impl_.get()] { impl->begin_drain(); });
}

void Server::reload_keys() {
  asio::post(impl_->io, [impl = impl_.get()] { impl->reload_keys(); });
}

}  // namespace touchstone::serve
