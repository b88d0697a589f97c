#include "serve/completions.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <span>
#include <vector>

#include "engine/receipt.h"
#include "serve/log.h"

namespace touchstone::serve {

namespace {

/// The answer to one HTTP request: `n` choices for each prompt. After it has been submitted, the engine's
/// thread's alone.
struct Completion {
  CompletionRequest request;
  CompletionCall call;
  Response response;
  ModelRunner& runner;
  Metrics& metrics;
  Reply reply;
  std::vector<Clock::time_point> last_token;  // of each choice; the clock's zero: none yet
  std::size_t jobs_left = 0;
  std::optional<Ballot> ballot;  // where the samples vote
  bool failed = false;
  double ttft_s = -1;

  const Dialect& dialect() const { return *call.dialect; }
  const std::string& model_id() const { return response.model; }
};

/// Users of other keys can't tell what was asked.
std::string make_salt(const Caller& caller) { return std::to_string(caller.tenant); }

void send_delta(Completion& c, const Choice& choice, const AnswerDelta& delta) {
  std::string bytes = c.dialect().write_delta(c.response, choice, delta);
  if (!bytes.empty()) send_part(c.reply, c.dialect(), std::move(bytes));
}

/// Asked by the runner before each step.
bool is_abandoned(Completion& c) {
  if (c.failed || c.reply.abandoned()) return true;
  if (c.request.stream) break_silence(c.reply, c.dialect(), c.call.ping_interval);
  return false;
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
  if (event.reasoning) ++c.response.usage.reasoning_tokens;
  Choice& choice = c.response.choices[index];
  const AnswerDelta delta = choice.push(event, c.runner.model().tokenizer);
  if (c.request.stream) send_delta(c, choice, delta);
  return !c.reply.abandoned();
}

void log_completion(const Completion& c) {
  const Usage& usage = c.response.usage;
  std::string reasons;
  for (const Choice& choice : c.response.choices)
    reasons += (reasons.empty() ? "" : ",") + choice.finish_reason();
  log_fields({{"id", c.call.request_id},
              {"model", c.model_id()},
              {"prompt_tokens", usage.prompt_tokens},
              {"cached_tokens", usage.cached_tokens},
              {"completion_tokens", usage.completion_tokens},
              {"ttft_ms", c.ttft_s < 0 ? boost::json::value() : std::round(c.ttft_s * 1e4) / 10},
              {"total_ms", std::round(usage.total_s * 1e4) / 10},
              {"finish", reasons}});
}

void send_failure(Completion& c, HttpResponse failure) {
  c.failed = true;
  send_error(c.reply, &c.dialect(), std::move(failure), c.response.num_events);
}

/// All choices are finished: the rest of the stream, or the whole response.
void send_end(Completion& c) {
  const auto ended = [&](const char* reason) {
    return std::any_of(c.response.choices.begin(), c.response.choices.end(),
                       [&](const Choice& choice) { return choice.finish_reason() == reason; });
  };
  const bool has_tokens = c.response.usage.completion_tokens > 0;
  if (!c.response.vote && ended("cancelled")) {
    return send_failure(c, c.reply.abandoned() ? make_abandoned_error() : make_shutdown_error());
  }
  if (ended("deadline") && !has_tokens) {
    return send_failure(c, make_deadline_error());
  }
  if (!c.request.stream) return c.reply.send({.body = c.dialect().write_whole(c.response), .headers = {}});
  c.reply.write(c.dialect().write_end(c.response));
  c.reply.end();
}

/// Those that ran out of time vote, too, as far as they got.
void count_cut_off(Ballot& ballot, const GenerateResult& result) {
  for (std::size_t i = 0; i < result.samples.size(); ++i) {
    const GeneratedSample& sample = result.samples[i];
    if (!ballot.has(i) && sample.finish_reason == FinishReason::deadline) ballot.take(i, sample.text);
  }
}

/// Templates leave the thinking out of earlier turns, so the next one would have to compute the answer again.
void expect_next_turn(Completion& c) {
  const Choice& choice = c.response.choices.front();
  const bool is_whole = c.response.choices.size() == 1 && choice.stopped();
  const bool thought = !choice.joined(AnswerBlock::Kind::reasoning).empty();
  if (!is_whole || !thought || c.request.template_input.empty()) return;
  c.runner.prefill_when_idle(
      {.make_ids = [input = std::move(c.request.template_input),
                    answer = choice.joined(AnswerBlock::Kind::text)](
                       const Prompter& prompter) { return make_history(prompter, input, answer); },
       .cache_salt = make_salt(c.call.caller)});
}

/// The receipt is of what is answered: all samples, or the one that the others voted for.
void add_outputs(Completion& c, const GenerateResult& result) {
  const std::optional<VoteResult>& vote = c.response.vote;
  for (std::size_t i = 0; i < result.samples.size(); ++i) {
    if (vote && i != vote->sample) continue;
    c.response.receipt->outputs.push_back(describe_output(static_cast<std::uint32_t>(i), result.samples[i]));
  }
}

void finish_job(const std::shared_ptr<Completion>& completion, std::size_t first_choice,
                const GenerateResult& result) {
  Completion& c = *completion;
  if (c.failed) return;
  Usage& usage = c.response.usage;
  if (c.ballot) {
    count_cut_off(*c.ballot, result);
    c.response.vote = c.ballot->result();
  }
  const bool is_decided = c.response.vote.has_value();
  std::int64_t generated = 0;
  for (std::size_t i = 0; i < result.samples.size(); ++i) {
    const GeneratedSample& sample = result.samples[i];
    generated += std::ssize(sample.ids);
    usage.prompt_s = std::max(usage.prompt_s, sample.ttft_ms / 1e3);
    usage.decode_s = std::max(usage.decode_s, (sample.total_ms - sample.ttft_ms) / 1e3);
    Choice& choice = c.response.choices[first_choice + i];
    const AnswerDelta delta = choice.finish(sample);
    const bool is_unneeded = is_decided && sample.finish_reason == FinishReason::cancelled;
    const bool is_answer = sample.finish_reason != FinishReason::cancelled &&
                           (sample.finish_reason != FinishReason::deadline || choice.has_tokens());
    if (c.request.stream && is_answer) send_delta(c, choice, delta);
    c.metrics.count_finish(c.model_id(), is_unneeded ? "unneeded" : choice.finish_reason());
    c.metrics.count_loops(c.model_id(), sample.loops);
  }
  if (c.response.receipt) add_outputs(c, result);
  usage.cached_tokens += result.cached_tokens;
  usage.completion_tokens += generated;
  c.metrics.count_tokens(c.model_id(), result.prompt_tokens, result.cached_tokens,
                         static_cast<double>(generated));
  if (--c.jobs_left > 0) return;
  usage.total_s = seconds_since(c.call.received);
  c.metrics.observe_request(c.model_id(), {.ttft_s = c.ttft_s, .total_s = usage.total_s});
  log_completion(c);
  expect_next_turn(c);
  if (!c.response.receipt) return send_end(c);
  c.runner.hashes().when_known([completion](const ModelHashes* hashes) {
    if (hashes == nullptr) {
      return send_failure(
          *completion, make_error(503, "server_error", "the model's hashes for the receipt cannot be had"));
    }
    completion->response.receipt->hashes = *hashes;
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

HttpResponse refuse_for_queue(const ModelRunner& runner) {
  HttpResponse busy =
      make_error(429, "rate_limit_error", "the queue is full; try again later", {}, "queue_full");
  busy.headers.emplace_back("Retry-After", std::to_string(runner.seconds_to_retry()));
  return busy;
}

Response begin_response(CompletionRequest& request, const CompletionCall& call, const LoadedModel& model) {
  Response response{.request_id = call.request_id,
                    .model = model.id,
                    .created = std::chrono::system_clock::now(),
                    .seed = request.sampling.seed,
                    .include_usage = request.include_usage,
                    .reasoning_form = request.reasoning_form.value_or(call.caller.reasoning_form),
                    .repeated = std::move(request.repeated),
                    .tokenizer = &model.tokenizer,
                    .choices = {},
                    .usage = {},
                    .vote = {},
                    .receipt = {}};
  for (const Prompt& prompt : request.prompts) {
    response.usage.prompt_tokens += std::ssize(prompt.ids);
    for (std::int32_t i = 0; i < request.n; ++i)
      response.choices.emplace_back(request, prompt, response.choices.size());
  }
  return response;
}

void take_prompt(Completion& c, std::size_t first_choice, std::span<const ScoredPosition> scores) {
  for (std::size_t i = 0; i < static_cast<std::size_t>(c.request.n); ++i) {
    c.response.choices[first_choice + i].take_prompt(scores, c.runner.model().tokenizer);
  }
}

/// What the engine is asked for one of the prompts, which it takes.
GenerateRequest make_generate_request(const std::shared_ptr<Completion>& completion, Prompt& prompt,
                                      std::size_t first_choice) {
  Completion& c = *completion;
  GenerateRequest request;
  request.prompt_ids = std::move(prompt.ids);
  request.sampling = c.request.sampling;
  request.n = c.request.n;
  request.reasoning_opened = prompt.reasoning_opened;
  request.loop_guard = c.request.loop_guard;
  request.constraint = c.request.form.grammar;
  request.deadline = c.call.deadline;
  request.prompt_only = c.request.prompt_only;
  request.cache_salt = make_salt(c.call.caller);
  request.on_token = [completion, first_choice](const TokenEvent& event) {
    return take_token(*completion, first_choice, event);
  };
  if (c.request.scores_prompt()) {
    request.on_prompt = [completion, first_choice](std::span<const ScoredPosition> scores) {
      take_prompt(*completion, first_choice, scores);
    };
  }
  if (c.ballot) {
    request.on_sample = [completion](int sample, const GeneratedSample& result) {
      return !completion->ballot->take(static_cast<std::size_t>(sample), result.text);
    };
  }
  return request;
}

Job make_job(const std::shared_ptr<Completion>& completion, std::size_t prompt,
             const std::shared_ptr<const AnswerNow>& answer_now) {
  Completion& c = *completion;
  const std::size_t first_choice = prompt * static_cast<std::size_t>(c.request.n);
  Job job;
  job.request = make_generate_request(completion, c.request.prompts[prompt], first_choice);
  job.tenant = c.call.caller.tenant;
  job.answer_now = answer_now;
  job.abandoned = [completion] { return is_abandoned(*completion); };
  job.on_done = [completion, first_choice](const GenerateResult& result) {
    finish_job(completion, first_choice, result);
  };
  job.on_error = [completion](const std::exception_ptr& error) { fail_job(*completion, error); };
  return job;
}

}  // namespace

RequestModel describe_for_requests(const ModelRunner& runner) {
  const LoadedModel& model = runner.model();
  return {.prompter = runner.prompter(),
          .defaults = model.defaults,
          .vocab_size = model.transformer->config().vocab_size,
          .max_sequence_tokens = runner.max_sequence_tokens()};
}

void name_ignored(const IgnoredFields& ignored, Reply& reply) {
  if (!ignored.paths().empty()) reply.add_header("X-Touchstone-Ignored", ignored.to_header());
}

void start_completion(const boost::json::object& body, const CompletionCall& call, ModelRunner& runner,
                      Metrics& metrics, Reply& reply) {
  ModelRunner::Place place = runner.take_place();
  if (!place) {
    metrics.count_rejection("queue_full");
    return send_error(reply, call.dialect, refuse_for_queue(runner));
  }
  CompletionRequest request = call.dialect->read(body, describe_for_requests(runner));
  name_ignored(request.ignored, reply);
  if (request.limit_cut_to)
    reply.add_header("X-Touchstone-Max-Tokens", std::to_string(*request.limit_cut_to));
  Response response = begin_response(request, call, runner.model());
  const auto completion = std::make_shared<Completion>(Completion{.request = std::move(request),
                                                                  .call = call,
                                                                  .response = std::move(response),
                                                                  .runner = runner,
                                                                  .metrics = metrics,
                                                                  .reply = std::move(reply),
                                                                  .last_token = {},
                                                                  .ballot = {}});
  Completion& c = *completion;
  c.last_token.resize(c.response.choices.size());
  c.jobs_left = c.request.prompts.size();
  if (c.request.vote) c.ballot.emplace(*c.request.vote);
  const auto answer_now = call.answers != nullptr
                              ? call.answers->add(kChatIdPrefix + call.request_id, call.caller.tenant)
                              : nullptr;
  // All are made before the first runs: from then on the engine's thread has the completion.
  std::vector<Job> jobs;
  for (std::size_t i = 0; i < c.jobs_left; ++i) jobs.push_back(make_job(completion, i, answer_now));
  if (c.request.wants_receipt) {
    c.response.receipt = begin_receipt(runner.model(), jobs.front().request, runner.max_sequence_tokens());
    c.response.receipt->response_format = c.request.form.json;
  }
  for (Job& job : jobs) runner.submit(place, std::move(job));
}

}  // namespace touchstone::serve
