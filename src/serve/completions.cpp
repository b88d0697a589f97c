#include "serve/completions.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <cmath>
#include <ctime>
#include <optional>
#include <vector>

#include "engine/receipt.h"
#include "serve/log.h"
#include "serve/openai_request.h"
#include "serve/openai_response.h"
#include "serve/request_fields.h"

namespace touchstone::serve {

namespace json = boost::json;

namespace {

constexpr std::size_t kMaxIgnoredBytes = 1024;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

/// The answer to one HTTP request: `n` choices for each prompt. After it has been submitted, the engine's
/// thread's alone.
struct Completion {
  CompletionRequest request;
  CompletionCall call;
  ResponseHead head;
  ModelRunner& runner;
  Metrics& metrics;
  Reply reply;
  std::vector<Choice> choices;
  std::vector<Clock::time_point> last_token;  // of each choice; the clock's zero: none yet
  std::size_t jobs_left = 0;
  Usage usage;
  std::optional<Receipt> receipt;  // where it is asked for
  std::optional<Ballot> ballot;    // where the samples vote
  bool begun = false;              // the stream has
  bool failed = false;
  double ttft_s = -1;

  const std::string& model_id() const { return head.model; }
};

void send_chunk(Completion& c, json::object chunk) {
  if (chunk.empty()) return;
  if (!c.begun) {
    c.reply.begin_stream(
        {.content_type = "text/event-stream", .body = {}, .headers = {{"Cache-Control", "no-cache"}}});
    c.begun = true;
  }
  json::object response = make_response(c.head, true, {std::move(chunk)});
  if (c.request.include_usage) response["usage"] = nullptr;
  c.reply.write(format_event(response));
}

bool take_token(Completion& c, std::size_t first_choice, const TokenEvent& event) {
  const std::size_t index = first_choice + static_cast<std::size_t>(event.sample);
  const auto now = Clock::now();
  if (c.ttft_s < 0) c.ttft_s = std::chrono::duration<double>(now - c.call.received).count();
  Clock::time_point& last = c.last_token[index];
  if (last != Clock::time_point()) {
    c.metrics.observe_token_gap(c.model_id(), std::chrono::duration<double>(now - last).count());
  }
  last = now;
  if (event.reasoning) ++c.usage.reasoning_tokens;
  json::object chunk = c.choices[index].push(event, c.runner.model().tokenizer);
  if (c.request.stream) send_chunk(c, std::move(chunk));
  return !c.reply.abandoned();
}

void log_completion(const Completion& c) {
  std::string reasons;
  for (const Choice& choice : c.choices) reasons += (reasons.empty() ? "" : ",") + choice.finish_reason();
  log_fields({{"id", c.call.request_id},
              {"model", c.model_id()},
              {"prompt_tokens", c.usage.prompt_tokens},
              {"cached_tokens", c.usage.cached_tokens},
              {"completion_tokens", c.usage.completion_tokens},
              {"ttft_ms", std::round(c.ttft_s * 1e4) / 10},
              {"total_ms", std::round(seconds_since(c.call.received) * 1e4) / 10},
              {"finish", reasons}});
}

void send_failure(Completion& c, const HttpResponse& error) {
  c.failed = true;
  if (!c.begun) return c.reply.send(error);
  c.reply.write("data: " + error.body + "\n\ndata: [DONE]\n\n");
  c.reply.end();
}

json::array list_choices(const Completion& c) {
  json::array choices;
  if (c.ballot) {
    json::object choice = c.choices[c.ballot->result()->sample].whole();
    choice["index"] = 0;
    choices.push_back(std::move(choice));
  } else {
    for (const Choice& choice : c.choices) choices.push_back(choice.whole());
  }
  return choices;
}

/// All choices are finished: the rest of the stream, or the whole response.
void send_end(Completion& c) {
  const auto ended = [&](const char* reason) {
    return std::any_of(c.choices.begin(), c.choices.end(),
                       [&](const Choice& choice) { return choice.finish_reason() == reason; });
  };
  const bool has_tokens = c.usage.completion_tokens > 0;
  if (ended("cancelled")) {  // by the server: to a client that has left this says nothing
    HttpResponse error = make_error(503, "server_error", "the server is shutting down", {}, "shutting_down");
    error.headers.emplace_back("Retry-After", "5");
    return send_failure(c, error);
  }
  if (ended("deadline") && !has_tokens) {
    return send_failure(
        c, make_error(504, "timeout_error", "the request's time was over before its first token", "timeout",
                      "deadline_exceeded"));
  }
  if (!c.request.stream) {
    json::object response = make_response(c.head, false, list_choices(c));
    if (c.ballot) response["vote"] = to_json(*c.ballot->result(), c.request.n);
    response["usage"] = to_json(c.usage);
    if (c.receipt) response["receipt"] = to_json(*c.receipt);
    return c.reply.send({.body = json::serialize(response), .headers = {}});
  }
  if (c.request.include_usage || c.receipt) {
    json::object last = make_response(c.head, true, {});
    if (c.request.include_usage) last["usage"] = to_json(c.usage);
    if (c.receipt) last["receipt"] = to_json(*c.receipt);
    c.reply.write(format_event(last));
  }
  c.reply.write("data: [DONE]\n\n");
  c.reply.end();
}

/// Those that ran out of time vote, too, as far as they got.
void count_cut_off(Ballot& ballot, const GenerateResult& result) {
  for (std::size_t i = 0; i < result.samples.size(); ++i) {
    const GeneratedSample& sample = result.samples[i];
    if (!ballot.has(i) && sample.finish_reason == FinishReason::deadline) ballot.take(i, sample.text);
  }
}

/// The receipt is of what is answered: all samples, or the one that the others voted for.
void add_outputs(Completion& c, const GenerateResult& result) {
  const bool is_decided = c.ballot && c.ballot->result();
  for (std::size_t i = 0; i < result.samples.size(); ++i) {
    if (is_decided && i != c.ballot->result()->sample) continue;
    c.receipt->outputs.push_back(describe_output(static_cast<std::uint32_t>(i), result.samples[i]));
  }
}

void finish_job(const std::shared_ptr<Completion>& completion, std::size_t first_choice,
                const GenerateResult& result) {
  Completion& c = *completion;
  if (c.failed) return;
  if (c.ballot) count_cut_off(*c.ballot, result);
  const bool is_decided = c.ballot && c.ballot->result();
  std::int64_t generated = 0;
  for (std::size_t i = 0; i < result.samples.size(); ++i) {
    const GeneratedSample& sample = result.samples[i];
    generated += std::ssize(sample.ids);
    Choice& choice = c.choices[first_choice + i];
    const bool is_unneeded = is_decided && sample.finish_reason == FinishReason::cancelled;
    json::object chunk = choice.finish(is_unneeded ? "unneeded" : finish_reason_name(sample.finish_reason));
    const bool is_answer = sample.finish_reason != FinishReason::cancelled &&
                           (sample.finish_reason != FinishReason::deadline || choice.has_tokens());
    if (c.request.stream && is_answer) send_chunk(c, std::move(chunk));
    c.metrics.count_finish(c.model_id(), choice.finish_reason());
  }
  if (c.receipt) add_outputs(c, result);
  c.usage.prompt_tokens += result.prompt_tokens;
  c.usage.cached_tokens += result.cached_tokens;
  c.usage.completion_tokens += generated;
  c.metrics.count_tokens(c.model_id(), result.prompt_tokens, result.cached_tokens,
                         static_cast<double>(generated));
  if (--c.jobs_left > 0) return;
  c.metrics.observe_request(c.model_id(), {.ttft_s = c.ttft_s, .total_s = seconds_since(c.call.received)});
  log_completion(c);
  if (!c.receipt) return send_end(c);
  c.runner.hashes().when_known([completion](const ModelHashes& hashes) {
    completion->receipt->hashes = hashes;
    send_end(*completion);
  });
}

void fail_job(Completion& c, const std::exception_ptr& error) {
  if (c.failed) return;
  try {
    std::rethrow_exception(error);
  } catch (const Error& e) {
    spdlog::error("id={}: {}", c.call.request_id, e.what());
    send_failure(c, make_error(500, "server_error", e.what()));
  } catch (const std::exception& e) {
    spdlog::error("id={}: {}", c.call.request_id, e.what());
    send_failure(c, make_error(500, "server_error", "the engine failed"));
  }
}

/// Names of ignored fields as a header can hold them.
std::string list_ignored(const std::vector<std::string>& names) {
  std::string list;
  for (const std::string& name : names) list += (list.empty() ? "" : ", ") + name;
  for (char& c : list) {
    if (c < ' ' || c > '~') c = '?';
  }
  return list.substr(0, kMaxIgnoredBytes);
}

std::optional<Clock::time_point> find_deadline(const CompletionRequest& request, const CompletionCall& call) {
  double seconds = request.timeout_s.value_or(call.header_timeout_s);
  if (call.header_timeout_s > 0) seconds = std::min(seconds, call.header_timeout_s);
  if (seconds <= 0) return std::nullopt;
  return call.received + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds));
}

}  // namespace

void start_completion(const json::object& body, const CompletionCall& call, ModelRunner& runner,
                      Metrics& metrics, Reply& reply) {
  const LoadedModel& model = runner.model();
  ModelRunner::Place place = runner.take_place();
  if (!place) {
    metrics.count_rejection("queue_full");
    HttpResponse busy =
        make_error(429, "rate_limit_error", "the queue is full; try again later", {}, "queue_full");
    busy.headers.emplace_back("Retry-After", std::to_string(runner.seconds_to_retry()));
    return reply.send(std::move(busy));
  }
  const RequestModel against{.prompter = call.is_chat ? runner.chat_prompter() : runner.text_prompter(),
                             .defaults = model.defaults,
                             .vocab_size = model.transformer->config().vocab_size,
                             .max_sequence_tokens = runner.max_sequence_tokens()};
  CompletionRequest request =
      call.is_chat ? read_chat_request(body, against) : read_text_request(body, against);
  if (!request.ignored.empty()) reply.add_header("X-Touchstone-Ignored", list_ignored(request.ignored));
  const ResponseHead head{.id = (call.is_chat ? "chatcmpl-" : "cmpl-") + call.request_id,
                          .model = model.id,
                          .created = std::time(nullptr),
                          .is_chat = call.is_chat,
                          .seed = request.sampling.seed};
  const auto completion = std::make_shared<Completion>(Completion{.request = std::move(request),
                                                                  .call = call,
                                                                  .head = head,
                                                                  .runner = runner,
                                                                  .metrics = metrics,
                                                                  .reply = std::move(reply),
                                                                  .choices = {},
                                                                  .last_token = {},
                                                                  .usage = {},
                                                                  .receipt = {},
                                                                  .ballot = {}});
  Completion& c = *completion;
  for (const Prompt& prompt : c.request.prompts) {
    for (std::int32_t i = 0; i < c.request.n; ++i)
      c.choices.emplace_back(c.request, prompt, c.choices.size());
  }
  c.last_token.resize(c.choices.size());
  c.jobs_left = c.request.prompts.size();
  if (c.request.vote) c.ballot.emplace(*c.request.vote);
  std::vector<Job>
      jobs;  // all made before the first runs: from then on the engine's thread has the completion
  for (std::size_t p = 0; p < c.request.prompts.size(); ++p) {
    const std::size_t first_choice = p * static_cast<std::size_t>(c.request.n);
    Prompt& prompt = c.request.prompts[p];
    Job job;
    job.request.prompt_ids = std::move(prompt.ids);
    job.request.sampling = c.request.sampling;
    job.request.n = c.request.n;
    job.request.reasoning_opened = prompt.reasoning_opened;
    job.request.deadline = find_deadline(c.request, call);
    job.request.on_token = [completion, first_choice](const TokenEvent& event) {
      return take_token(*completion, first_choice, event);
    };
    if (c.ballot) {
      job.request.on_sample = [completion](int sample, const GeneratedSample& result) {
        return !completion->ballot->take(static_cast<std::size_t>(sample), result.text);
      };
    }
    job.tenant = call.tenant;
    job.request.cache_salt = std::to_string(call.tenant);  // users of other keys can't tell what was asked
    job.abandoned = [completion] { return completion->failed || completion->reply.abandoned(); };
    job.on_done = [completion, first_choice](const GenerateResult& result) {
      finish_job(completion, first_choice, result);
    };
    job.on_error = [completion](const std::exception_ptr& error) { fail_job(*completion, error); };
    if (c.request.wants_receipt) {
      c.receipt = begin_receipt(model, job.request, runner.max_sequence_tokens());
      if (const json::value* format = body.if_contains("response_format"))
        c.receipt->response_format = *format;
    }
    jobs.push_back(std::move(job));
  }
  for (Job& job : jobs) runner.submit(place, std::move(job));
}

}  // namespace touchstone::serve
