#include "serve/routes.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <boost/algorithm/string/predicate.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <ctime>

#include "engine/model_hashes.h"
#include "serve/anthropic.h"
#include "serve/chat_messages.h"
#include "serve/completions.h"
#include "serve/ollama.h"
#include "serve/page.h"
#include "serve/request_fields.h"
#include "text/unicode.h"

namespace touchstone::serve {

namespace json = boost::json;

namespace {

HttpResponse to_response(const json::value& value) { return {.body = json::serialize(value), .headers = {}}; }

HttpResponse to_response(const RequestError& error) {
  return make_error(error.status, "invalid_request_error", error.what(), error.param, error.code);
}

/// Thrown by find_runner() for a model that has to be loaded first; run_post() then waits for it and calls
/// again.
struct NotLoaded {
  int model;
  bool streams;
  std::optional<Clock::time_point> deadline;
};

/// `tag`: what may stand behind the name as well (Dialect::default_tag).
int find_model(const Api& api, const std::string& name, std::string_view tag = {}) {
  int model = api.fleet->find(name);
  if (model < 0 && name.size() > tag.size() && name.ends_with(tag)) {
    model = api.fleet->find(name.substr(0, name.size() - tag.size()));
  }
  if (model >= 0) return model;
  throw RequestError(404, "the model '" + name + "' is not served here; GET /v1/models lists those that are",
                     "model", "model_not_found");
}

/// The model's runner, which stays loaded as long as the result is held.
ModelFleet::Lease find_runner(Api& api, int model, const std::string& name, bool streams,
                              std::optional<Clock::time_point> deadline) {
  if (ModelFleet::Lease runner = api.fleet->lease(model)) return runner;
  if (!api.fleet->can_fit(model)) {
    throw RequestError(400, "the model '" + name + "' takes more memory than this server may use", "model",
                       "model_too_large");
  }
  throw NotLoaded{model, streams, deadline};
}

ModelFleet::Lease find_runner(Api& api, const std::string& name, std::string_view tag = {}) {
  return find_runner(api, find_model(api, name, tag), name, false, std::nullopt);
}

// ---- what answers at once ----

const char* name_of(ServerState state) {
  switch (state) {
    case ServerState::loading:
      return "loading";
    case ServerState::ready:
      return "ready";
    case ServerState::draining:
      return "draining";
  }
  return "";
}

/// 503 while it loads: whoever waits for /health sends requests next.
HttpResponse show_health(Api& api, const HttpRequest&) {
  const bool loads = api.state == ServerState::loading;
  HttpResponse response = to_response(json::object{{"status", loads ? "loading" : "ok"}});
  response.status = loads ? 503 : 200;
  return response;
}

HttpResponse show_ready(Api& api, const HttpRequest&) {
  HttpResponse response = to_response(json::object{{"status", name_of(api.state)}});
  response.status = api.state == ServerState::ready ? 200 : 503;
  return response;
}

HttpResponse show_metrics(Api& api, const HttpRequest&) {
  for (int i = 0; i < static_cast<int>(api.fleet->models().size()); ++i) {
    const RunnerLoad load = api.fleet->load(i);
    api.metrics.set_model(api.fleet->models()[static_cast<std::size_t>(i)].id,
                          {.running = static_cast<double>(load.running),
                           .waiting = static_cast<double>(load.waiting),
                           .kv_blocks_used = static_cast<double>(load.used_blocks),
                           .kv_blocks = static_cast<double>(load.num_blocks),
                           .busy_s = load.busy_s,
                           .forward_s = load.forward_s,
                           .choosing_s = load.choosing_s,
                           .idle_tokens = static_cast<double>(load.idle_tokens),
                           .evicted_blocks = static_cast<double>(load.evicted_blocks)});
  }
  api.metrics.set_connections(api.num_connections);
  return {.content_type = "text/plain; version=0.0.4; charset=utf-8",
          .body = api.metrics.serialize(),
          .headers = {}};
}

/// What a request gets that does not say otherwise, by the names of requests.
json::object describe(const SamplingParams& defaults) {
  // 0.6 as a float is 0.600000024: nobody published that.
  const auto plain = [](float value) { return std::round(static_cast<double>(value) * 1e6) / 1e6; };
  return {{"temperature", plain(defaults.temperature)},
          {"top_p", plain(defaults.top_p)},
          {"top_k", defaults.top_k},
          {"min_p", plain(defaults.min_p)},
          {"repetition_penalty", plain(defaults.repetition_penalty)},
          {"presence_penalty", plain(defaults.presence_penalty)},
          {"frequency_penalty", plain(defaults.frequency_penalty)}};
}

/// What is known of a model; its defaults only while it is loaded.
json::object describe(const Api& api, int model, const std::string& id) {
  static const std::int64_t started = std::time(nullptr);
  std::int32_t context_tokens = api.fleet->models()[static_cast<std::size_t>(model)].max_sequence_tokens;
  json::object own{{"loaded", false}};
  api.fleet->look(model, [&](const ModelRunner& runner) {
    context_tokens = runner.max_sequence_tokens();
    own["loaded"] = true;
    own["defaults"] = describe(runner.model().defaults);
  });
  own["context_tokens"] = context_tokens;
  return {{"id", id},
          {"object", "model"},
          {"created", started},
          {"owned_by", "touchstone"},
          {"max_model_len", context_tokens},
          {"touchstone", std::move(own)}};
}

HttpResponse list_models(Api& api, const HttpRequest&) {
  json::array list;
  const std::vector<FleetModel>& models = api.fleet->models();
  for (int i = 0; i < static_cast<int>(models.size()); ++i) {
    const FleetModel& model = models[static_cast<std::size_t>(i)];
    list.push_back(describe(api, i, model.id));
    for (const std::string& id : model.other_ids) list.push_back(describe(api, i, id));
  }
  return to_response(json::object{{"object", "list"}, {"data", std::move(list)}});
}

HttpResponse list_ollama_tags(Api& api, const HttpRequest&) {
  json::array list;
  const std::vector<FleetModel>& models = api.fleet->models();
  for (int i = 0; i < static_cast<int>(models.size()); ++i) {
    const FleetModel& model = models[static_cast<std::size_t>(i)];
    json::object tag = {
        {"name", model.id}, {"model", model.id}, {"size", model.bytes}};  // all that is known yet
    api.fleet->look(i, [&](const ModelRunner& runner) {
      tag = describe_ollama_tag(runner.model(), runner.hashes().look());
    });
    list.push_back(std::move(tag));
  }
  return to_response(json::object{{"models", std::move(list)}});
}

HttpResponse list_running_ollama_models(Api& api, const HttpRequest&) {
  json::array list;
  for (int i = 0; i < static_cast<int>(api.fleet->models().size()); ++i) {
    api.fleet->look(i, [&](const ModelRunner& runner) {
      list.push_back(describe_running_ollama_model(runner.model(), runner.hashes().look(),
                                                   runner.max_sequence_tokens()));
    });
  }
  return to_response(json::object{{"models", std::move(list)}});
}

HttpResponse show_version(Api&, const HttpRequest&) {
  return to_response(json::object{{"version", engine_version()}});
}

// ---- what reads a body, on a worker ----

// Takes about twenty milliseconds to read. What is longer stands in a line of its own.
constexpr std::size_t kLongBodyBytes = std::size_t{128} * 1024;

struct PostCall {
  HttpRequest request;
  Caller caller;
  const Dialect* dialect;  // none: not an API's completions
};

boost::asio::thread_pool& worker_for(Api& api, const PostCall& call) {
  return call.request.body.size() > kLongBodyBytes ? api.long_worker : api.worker;
}

std::optional<double> read_header_timeout(const HttpRequest& request) {
  const std::string text(request.header("x-request-timeout"));
  if (text.empty()) return std::nullopt;
  char* end = nullptr;
  const double seconds = std::strtod(text.c_str(), &end);
  if (*end != '\0' || !(seconds > 0 && seconds <= 86400)) {
    throw RequestError(400, "the header x-request-timeout must be seconds, above 0 and up to 86400",
                       "x-request-timeout", "invalid_value");
  }
  return seconds;
}

/// When a request's time is over: the shorter one of what its body and its header say.
std::optional<Clock::time_point> find_deadline(const PostCall& call, FieldReader& fields) {
  std::optional<double> seconds = read_header_timeout(call.request);
  if (call.dialect->read_timeout != nullptr) {
    if (const auto own = call.dialect->read_timeout(fields)) seconds = std::min(*own, seconds.value_or(*own));
  }
  if (!seconds) return std::nullopt;
  return call.request.received +
         std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(*seconds));
}

/// The lease, with whose end the model is to be unloaded.
ModelFleet::Lease unload_behind(Api& api, int model, ModelFleet::Lease lease) {
  ModelRunner* const runner = lease.get();
  return {runner, [fleet = api.fleet.get(), model, lease = std::move(lease)](ModelRunner*) mutable {
            fleet->unload(model);  // which is there as long as the lease is
            lease.reset();
          }};
}

void complete(Api& api, const PostCall& call, Reply& reply) {
  const json::object body = parse_body(call.request.body);
  FieldReader fields(body);
  const std::string name = fields.string("model").value_or("");
  const int model = find_model(api, name, call.dialect->default_tag);
  const auto deadline = find_deadline(call, fields);
  const bool unloads = call.dialect->unloads != nullptr && call.dialect->unloads(fields);
  if (call.dialect->answer_load != nullptr) {
    const std::string& id = api.fleet->models()[static_cast<std::size_t>(model)].id;
    if (auto answer = call.dialect->answer_load(fields, id)) {
      if (unloads) api.fleet->unload(model);
      if (!unloads) find_runner(api, model, name, false, deadline);
      return reply.send({.body = std::move(*answer), .headers = {}});
    }
  }
  const bool streams = fields.boolean("stream").value_or(false);
  ModelFleet::Lease runner = find_runner(api, model, name, streams, deadline);
  if (unloads) runner = unload_behind(api, model, std::move(runner));
  start_completion(body,
                   {.dialect = call.dialect,
                    .caller = call.caller,
                    .request_id = call.request.id,
                    .received = call.request.received,
                    .deadline = deadline,
                    .ping_interval = api.ping_interval,
                    .answers = &api.answers,
                    .lease = runner},
                   *runner, api.metrics, reply);
}

void note_unread(const FieldReader& fields, Reply& reply) {
  IgnoredFields ignored;
  ignored.add(fields);
  name_ignored(ignored, reply);
}

void tokenize(Api& api, const PostCall& call, Reply& reply) {
  const json::object body = parse_body(call.request.body);
  FieldReader fields(body);
  const ModelFleet::Lease runner = find_runner(api, fields.string("model").value_or(""));
  const Tokenizer& tokenizer = runner->model().tokenizer;
  const auto text = fields.string("text");
  if (!text) refuse_field("text", "text is missing");
  const auto ids = tokenizer.encode(*text, {.parse_special = fields.boolean("parse_special").value_or(true),
                                            .add_special = fields.boolean("add_special").value_or(true)});
  note_unread(fields, reply);
  json::array tokens;
  for (const std::int32_t id : ids) tokens.emplace_back(tokenizer.token(id));
  reply.send(to_response(json::object{{"ids", json::value_from(ids)},
                                      {"tokens", std::move(tokens)},
                                      {"count", ids.size()},
                                      {"max_model_len", runner->max_sequence_tokens()}}));
}

void detokenize(Api& api, const PostCall& call, Reply& reply) {
  const json::object body = parse_body(call.request.body);
  FieldReader fields(body);
  const ModelFleet::Lease runner = find_runner(api, fields.string("model").value_or(""));
  const json::array* array = fields.array("ids");
  if (array == nullptr) refuse_field("ids", "ids is missing");
  const std::int32_t vocab_size = runner->model().transformer->config().vocab_size;
  std::vector<std::int32_t> ids;
  for (const json::value& entry : *array) {
    const std::int64_t* id = entry.if_int64();
    if (id == nullptr || *id < 0 || *id >= vocab_size) {
      refuse_field("ids", fmt::format("ids holds what is not a token id, 0 to {}", vocab_size - 1));
    }
    ids.push_back(static_cast<std::int32_t>(*id));
  }
  note_unread(fields, reply);
  reply.send(to_response(json::object{{"text", runner->model().tokenizer.decode(ids)}}));
}

void count_tokens(Api& api, const PostCall& call, Reply& reply) {
  const json::object body = parse_body(call.request.body);
  const ModelFleet::Lease runner = find_runner(api, FieldReader(body).string("model").value_or(""));
  const CompletionRequest request = read_message_count(body, describe_for_requests(*runner));
  name_ignored(request.ignored, reply);
  reply.send(to_response(json::object{{"input_tokens", request.prompts[0].ids.size()}}));
}

void show_ollama_model(Api& api, const PostCall& call, Reply& reply) {
  const json::object body = parse_body(call.request.body);
  FieldReader fields(body);
  const auto old_name = fields.string("name");  // what older clients of Ollama call `model`
  const std::string name = fields.string("model").value_or(old_name.value_or(""));
  const ModelFleet::Lease runner = find_runner(api, name, call.dialect->default_tag);
  note_unread(fields, reply);
  reply.send(to_response(describe_ollama_model(runner->model(), runner->max_sequence_tokens())));
}

using Get = HttpResponse (*)(Api&, const HttpRequest&);
using Post = void (*)(Api&, const PostCall&, Reply&);

struct Route {
  std::string_view path;
  Get get;
  Post post;
  const Dialect* dialect;    // in whose form errors are; none: OpenAI's
  bool needs_models = true;  // nothing else while they are loaded
};

constexpr Route kRoutes[] = {{"/health", show_health, nullptr, nullptr, false},
                             {"/ready", show_ready, nullptr, nullptr, false},
                             {"/metrics", show_metrics, nullptr, nullptr, false},
                             {"/v1/models", list_models, nullptr, nullptr},
                             {"/v1/chat/completions", nullptr, complete, &kOpenAiChat},
                             {"/v1/completions", nullptr, complete, &kOpenAiText},
                             {"/v1/responses", nullptr, complete, &kOpenAiResponses},
                             {"/v1/messages", nullptr, complete, &kAnthropic},
                             {"/v1/messages/count_tokens", nullptr, count_tokens, &kAnthropic},
                             {"/api/chat", nullptr, complete, &kOllamaChat},
                             {"/api/generate", nullptr, complete, &kOllamaGenerate},
                             {"/api/tags", list_ollama_tags, nullptr, &kOllamaChat},
                             {"/api/ps", list_running_ollama_models, nullptr, &kOllamaChat},
                             {"/api/version", show_version, nullptr, &kOllamaChat},
                             {"/api/show", nullptr, show_ollama_model, &kOllamaChat},
                             {"/tokenize", nullptr, tokenize, nullptr},
                             {"/detokenize", nullptr, detokenize, nullptr}};

const Route* find_route(std::string_view path) {
  const auto* const found = std::find_if(std::begin(kRoutes), std::end(kRoutes),
                                         [&](const Route& route) { return route.path == path; });
  return found == std::end(kRoutes) ? nullptr : found;
}

/// The API that a path belongs to, whether or not there is anything at it; null: OpenAI's, or none.
const Dialect* find_dialect(std::string_view path) {
  if (const Route* route = find_route(path)) return route->dialect;
  if (path.starts_with("/v1/messages/")) return &kAnthropic;
  return path.starts_with("/api/") ? &kOllamaChat : nullptr;
}

/// The ID of /v1/chat/completions/ID/answer_now.
std::optional<std::string_view> find_answer_id(std::string_view path) {
  constexpr std::string_view kBefore = "/v1/chat/completions/";
  constexpr std::string_view kBehind = "/answer_now";
  if (!path.starts_with(kBefore) || !path.ends_with(kBehind)) return std::nullopt;
  if (path.size() <= kBefore.size() + kBehind.size()) return std::nullopt;
  return path.substr(kBefore.size(), path.size() - kBefore.size() - kBehind.size());
}

/// The NAME of /v1/models/NAME, with its escapes.
std::optional<std::string_view> find_model_name(std::string_view path) {
  constexpr std::string_view kBefore = "/v1/models/";
  if (!path.starts_with(kBefore) || path.size() == kBefore.size()) return std::nullopt;
  return path.substr(kBefore.size());
}

bool needs_models(std::string_view path) {
  if (const Route* route = find_route(path)) return route->needs_models;
  return find_answer_id(path) || find_model_name(path);
}

HttpResponse answer_now(Api& api, const std::string& id, std::uint64_t tenant) {
  if (api.answers.answer_now(id, tenant)) return to_response(json::object{{"id", id}, {"answer_now", true}});
  return make_error(404, "invalid_request_error", "no answer " + id + " is under way", "id", "not_found");
}

/// "ORG%2FNAME" -> "ORG/NAME"; what is no escape stays.
std::string decode_escapes(std::string_view text) {
  std::string decoded;
  while (!text.empty()) {
    unsigned char byte = 0;
    const bool is_escape = text.size() >= 3 && text[0] == '%' &&
                           std::from_chars(text.data() + 1, text.data() + 3, byte, 16).ptr == text.data() + 3;
    decoded += is_escape ? static_cast<char>(byte) : text[0];
    text.remove_prefix(is_escape ? 3 : 1);
  }
  return to_valid_utf8(decoded);
}

HttpResponse show_model(Api& api, const std::string& name) {
  try {
    return to_response(describe(api, find_model(api, name), name));
  } catch (const RequestError& error) {
    return to_response(error);
  }
}

void load_and_run(Api& api, Post post, NotLoaded missing, PostCall call, Reply reply);

void run_post(Api& api, Post post, PostCall& call, Reply& reply) {
  try {
    post(api, call, reply);
  } catch (const NotLoaded& missing) {
    load_and_run(api, post, missing, std::move(call), std::move(reply));
  } catch (const RequestError& error) {
    api.metrics.count_rejection(error.code);
    send_error(reply, call.dialect, to_response(error));
  } catch (const Error& error) {
    api.metrics.count_rejection("invalid_value");
    send_error(reply, call.dialect,
               make_error(400, "invalid_request_error", error.what(), {}, "invalid_value"));
  } catch (const std::exception& error) {
    spdlog::error("id={}: {}", call.request.id, error.what());
    send_error(reply, call.dialect, make_error(500, "server_error", "the request could not be handled"));
  }
}

HttpResponse refuse_model(Api& api, ModelFleet::Refusal refusal) {
  if (refusal == ModelFleet::Refusal::failed) {
    return make_error(500, "server_error", "the model cannot be loaded; the server's log says why", "model");
  }
  const bool is_full = refusal == ModelFleet::Refusal::full;
  const bool is_busy = refusal == ModelFleet::Refusal::busy;
  const char* code = is_full ? "queue_full" : is_busy ? "models_busy" : "shutting_down";
  HttpResponse response =
      make_error(is_full ? 429 : 503, is_full ? "rate_limit_error" : "server_error",
                 is_full   ? "the queue is full; try again later"
                 : is_busy ? "other models are answering, and this one does not fit beside them"
                           : "the server is shutting down",
                 "model", code);
  response.headers.emplace_back("Retry-After", "5");
  api.metrics.count_rejection(code);
  return response;
}

/// A call whose model is being loaded. All but its reply's abandoned() on its worker alone.
struct LoadWait {
  PostCall call;
  Reply reply;
  bool streams;
  std::optional<Clock::time_point> deadline;
  boost::asio::steady_timer timer;
  bool is_over = false;  // the model is there, or cannot be had, or the client has left, or time is over

  bool is_late() const { return deadline && *deadline <= Clock::now(); }
};

/// Looks after the client and its deadline until the model is there.
void keep_waiting(Api& api, const std::shared_ptr<LoadWait>& wait) {
  constexpr std::chrono::milliseconds kBetweenLooks{100};
  const auto next_look = Clock::now() + kBetweenLooks;
  wait->timer.expires_at(std::min(next_look, wait->deadline.value_or(next_look)));
  wait->timer.async_wait([&api, wait](const boost::system::error_code&) {
    if (wait->is_over) return;
    if (wait->reply.abandoned()) {
      wait->is_over = true;
      return send_error(wait->reply, wait->call.dialect, make_abandoned_error());
    }
    if (wait->is_late()) {
      wait->is_over = true;
      return send_error(wait->reply, wait->call.dialect, make_deadline_error());
    }
    if (wait->streams) break_silence(wait->reply, *wait->call.dialect, api.ping_interval);
    keep_waiting(api, wait);
  });
}

/// Runs the call when the model is there.
void load_and_run(Api& api, Post post, NotLoaded missing, PostCall call, Reply reply) {
  boost::asio::thread_pool& worker = worker_for(api, call);
  const auto wait = std::make_shared<LoadWait>(LoadWait{std::move(call), std::move(reply), missing.streams,
                                                        missing.deadline,
                                                        boost::asio::steady_timer(worker.get_executor())});
  keep_waiting(api, wait);
  const auto take = [&api, &worker, post, wait](const ModelFleet::Lease& lease, ModelFleet::Refusal refusal) {
    // The lease keeps the model until then.
    boost::asio::post(worker, [&api, post, wait, lease, refusal] {
      if (std::exchange(wait->is_over, true)) return;
      wait->timer.cancel();
      if (lease) return run_post(api, post, wait->call, wait->reply);
      send_error(wait->reply, wait->call.dialect, refuse_model(api, refusal));
    });
  };
  api.fleet->wait_for(
      missing.model,
      {.is_gone = [wait] { return wait->reply.abandoned() || wait->is_late(); }, .take = take});
}

/// Whether the body is to be unpacked before it can be read.
bool is_packed(const HttpRequest& request) {
  const std::string_view coding = request.header("content-encoding");
  // The last is a charset, which clients put here by mistake.
  return !coding.empty() && !boost::iequals(coding, "identity") && !boost::iequals(coding, "utf-8");
}

HttpResponse refuse_packed(Api& api) {
  api.metrics.count_rejection("unsupported_encoding");
  HttpResponse response =
      make_error(415, "invalid_request_error", "the body has a Content-Encoding; send it as it is", {},
                 "unsupported_encoding");
  response.headers.emplace_back("Accept-Encoding", "identity");
  return response;
}

void start_post(Api& api, const Route& route, HttpRequest request, const Caller& caller, Reply reply) {
  if (api.state == ServerState::draining) {
    api.metrics.count_rejection("shutting_down");
    return send_error(reply, route.dialect, make_shutdown_error());
  }
  if (is_packed(request)) return send_error(reply, route.dialect, refuse_packed(api));
  PostCall call{std::move(request), caller, route.dialect};
  boost::asio::thread_pool& worker = worker_for(api, call);
  boost::asio::post(worker, [&api, post = route.post, call = std::move(call),
                             reply = std::move(reply)]() mutable { run_post(api, post, call, reply); });
}

HttpResponse refuse_method(const char* allowed) {
  HttpResponse response =
      make_error(405, "invalid_request_error", std::string("use ") + allowed, {}, "bad_method");
  response.headers.emplace_back("Allow", allowed);
  return response;
}

}  // namespace

std::string_view path_label(std::string_view path) {
  const Route* route = find_route(path);
  if (find_answer_id(path)) return "/v1/chat/completions/ID/answer_now";
  return route != nullptr ? route->path : path == "/" ? "/" : "other";
}

std::string format_error_for(std::string_view path, const HttpError& error) {
  const Dialect* dialect = find_dialect(path);
  return dialect != nullptr ? dialect->write_error(error) : format_error(error);
}

void handle_request(Api& api, HttpRequest request, Reply reply) {
  reply.add_header("X-Content-Type-Options", "nosniff");
  if (const std::string origin = allowed_origin(request, api.rules); !origin.empty()) {
    reply.add_header("Access-Control-Allow-Origin", origin);
    reply.add_header("Access-Control-Expose-Headers",
                     "x-request-id, x-touchstone-ignored, x-touchstone-max-tokens, retry-after");
    reply.add_header("Vary", "Origin");
  }
  const Route* route = find_route(request.path);
  const Dialect* dialect = find_dialect(request.path);
  Caller caller;
  if (auto refusal = refuse_access(request, api.rules, caller)) {
    api.metrics.count_rejection(refusal->status == 401 ? "invalid_api_key" : "forbidden");
    return send_error(reply, dialect, std::move(*refusal));
  }
  if (request.method == "OPTIONS") {
    return reply.send(
        {.status = 204,
         .body = {},
         .headers = {
             {"Access-Control-Allow-Methods", "GET, POST, OPTIONS"},
             // Official clients send many of their own; none of them lets a page do what others may not.
             {"Access-Control-Allow-Headers", std::string(request.header("access-control-request-headers"))},
             {"Access-Control-Max-Age", "600"}}});
  }
  const bool reads = request.method == "GET" || request.method == "HEAD";
  if (api.state == ServerState::loading && needs_models(request.path)) {
    api.metrics.count_rejection("loading");
    return send_error(reply, dialect, make_loading_error());
  }
  if (route != nullptr) {
    if (reads && route->get != nullptr) return reply.send(route->get(api, request));
    if (request.method == "POST" && route->post != nullptr) {
      return start_post(api, *route, std::move(request), caller, std::move(reply));
    }
    return send_error(reply, dialect, refuse_method(route->get != nullptr ? "GET" : "POST"));
  }
  if (const auto id = find_answer_id(request.path)) {
    if (request.method != "POST") return reply.send(refuse_method("POST"));
    return reply.send(answer_now(api, std::string(*id), caller.tenant));
  }
  if (const auto name = find_model_name(request.path); reads && name) {
    return reply.send(show_model(api, decode_escapes(*name)));
  }
  if (reads && dialect == nullptr) return reply.send(show_page(request));
  send_error(
      reply, dialect,
      make_error(404, "invalid_request_error", "there is nothing at " + request.path, {}, "not_found"));
}

}  // namespace touchstone::serve
