#include <spdlog/spdlog.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <utility>

#include "base/blob.h"
#include "base/count_of.h"
#include "base/error.h"
#include "base/interrupt.h"
#include "base/parse_json.h"
#include "cli/checks.h"
#include "cli/cli.h"
#include "cli/output_file.h"
#include "cli/preflight.h"
#include "cli/sampling_options.h"
#include "engine/context_length.h"
#include "engine/load.h"
#include "engine/memory.h"
#include "engine/prompt.h"
#include "engine/receipt.h"

namespace touchstone::cli {
namespace {

struct GenerateOptions {
  std::string model;
  std::optional<std::string> prompt;
  std::string messages_file;
  bool raw = false;
  std::string receipt_file;  // empty: none is written
  std::int32_t n = 1;
  SamplingOptions sampling;
  Lookup lookup = Lookup::automatic;
  CommonOptions common;
};

/// The prompt in the form that the user chose: messages from a file, or one user turn, through the template
/// or as it is.
Prompt read_prompt(const GenerateOptions& options, const LoadedModel& model) {
  const Prompter prompter = make_prompter(model, options.raw);
  if (options.messages_file.empty()) {
    const std::string text = options.prompt ? *options.prompt : read_stdin();
    if (!options.raw && !prompter.chat_template)
      spdlog::warn("the model has no chat template: the prompt is used as it is");
    return make_prompt(prompter, text);
  }
  if (!prompter.chat_template) {
    throw Error("messages need a chat template, and there is none", "leave --raw out, or use --prompt");
  }
  boost::json::value input =
      parse_json(std::string(map_file(options.messages_file).text()), options.messages_file);
  boost::json::object request;
  if (input.is_array()) {
    request["messages"] = std::move(input);
  } else if (input.is_object() && input.as_object().contains("messages")) {
    request = std::move(input.as_object());
  } else {
    throw Error(options.messages_file + " holds no messages",
                R"(give [{"role":"user","content":"…"}] or {"messages":[…]})");
  }
  // An answer that goes on has begun already.
  if (!request.contains("add_generation_prompt"))
    request["add_generation_prompt"] = !continues_final_message(request);
  return make_chat_prompt(prompter, request);
}

/// `program_bytes`: beside the plan's.
boost::json::object to_json(const GenerateResult& result, const LoadedModel& model, const MemoryPlan& plan,
                            std::uint64_t program_bytes) {
  boost::json::array choices;
  std::size_t completion_tokens = 0;
  double total_ms = 0;
  for (const GeneratedSample& sample : result.samples) {
    choices.push_back({{"text", sample.text},
                       {"reasoning", sample.reasoning},
                       {"ids", boost::json::value_from(sample.ids)},
                       {"loops", sample.loops},
                       {"finish_reason", finish_reason_name(sample.finish_reason)}});
    completion_tokens += sample.ids.size();
    total_ms = std::max(total_ms, sample.total_ms);
  }
  const double ttft_ms = result.samples.front().ttft_ms;
  const double decoded = static_cast<double>(completion_tokens - result.samples.size());
  const double decode_ms = total_ms - ttft_ms;
  return {{"choices", std::move(choices)},
          {"usage",
           {{"prompt_tokens", result.prompt_tokens},
            {"completion_tokens", completion_tokens},
            {"total_tokens", static_cast<std::size_t>(result.prompt_tokens) + completion_tokens}}},
          {"timings",
           {{"load_ms", model.load_ms},
            {"ttft_ms", ttft_ms},
            {"prefill_tok_s", ttft_ms > 0 ? result.prompt_tokens / ttft_ms * 1e3 : 0.0},
            {"decode_tok_s", decode_ms > 0 ? decoded / decode_ms * 1e3 : 0.0},
            {"drafted_tokens", result.drafted_tokens},
            {"accepted_tokens", result.accepted_tokens},
            {"peak_rss_bytes", peak_rss_bytes()},
            {"peak_device_bytes", model.transformer->peak_gpu_bytes()},
            {plan.gpu ? "planned_device_bytes" : "planned_rss_bytes", program_bytes + plan.total()}}}};
}

/// Prompt and answer; the context ends both.
std::int32_t count_sequence_tokens(const Prompt& prompt, const SamplingParams& sampling, const Config& config,
                                   std::int32_t context_tokens) {
  const std::int64_t wanted = std::ssize(prompt.ids) + std::int64_t{sampling.max_new_tokens};
  const std::int32_t most = context_tokens > 0 ? std::min(context_tokens, config.max_position_embeddings)
                                               : config.max_position_embeddings;
  return static_cast<std::int32_t>(std::min<std::int64_t>(wanted, most));
}

void write_receipt(Receipt& receipt, const LoadedModel& model, const GenerateResult& result,
                   const std::string& path) {
  receipt.hashes = hash_model(model);
  for (const GeneratedSample& sample : result.samples) {
    receipt.outputs.push_back(describe_output(static_cast<std::uint32_t>(receipt.outputs.size()), sample));
  }
  write_file_atomically(path, boost::json::serialize(to_json(receipt)) + "\n");
}

int run_generate(const GenerateOptions& options) {
  const ModelOptions loading = model_options(options.common);
  EngineOptions running{
      .max_batch = options.n, .max_sequence_tokens = options.common.context_tokens, .lookup = options.lookup};
  Checkpoint checkpoint = open_checkpoint(options.model);
  if (!options.receipt_file.empty()) check_output_file(options.receipt_file, checkpoint);
  warn_of_short_context(checkpoint.id, parse_config(checkpoint), options.common.context_tokens);
  // Memory for the logits of drafts is taken when a text repeats itself: this command reserves nothing.
  EngineOptions without_drafts = running;
  without_drafts.lookup = Lookup::off;
  MemoryPlan plan = plan_memory(checkpoint, loading, without_drafts);
  const std::uint64_t program = program_bytes(plan.gpu);
  refuse_what_cannot_fit("generate " + options.model, {&checkpoint, 1}, options.common, running, 0);
  const auto model =
      std::make_shared<LoadedModel>(load_checkpoint(std::move(checkpoint), {loading, options.raw}));
  spdlog::info("loaded {} in {:.0f} ms: {}, {}", model->id, model->load_ms, model->transformer->isa(),
               count_of(model->transformer->num_threads(), "thread"));
  Prompt prompt = read_prompt(options, *model);
  const SamplingParams sampling = apply(options.sampling, model->defaults);
  const std::int32_t tokens =
      count_sequence_tokens(prompt, sampling, model->transformer->config(), options.common.context_tokens);
  plan.kv_tokens = std::int64_t{tokens} * options.n;
  if (std::ssize(prompt.ids) < tokens) running.max_sequence_tokens = tokens;
  Engine engine(model, running);
  const bool streams = !options.common.json && options.n == 1;
  GenerateRequest request{.prompt_ids = std::move(prompt.ids),
                          .sampling = sampling,
                          .n = options.n,
                          .reasoning_opened = prompt.reasoning_opened,
                          .on_token =
                              [&, begun = false](const TokenEvent& event) mutable {
                                // Before it there is nothing that Ctrl-C would have to keep.
                                if (!std::exchange(begun, true)) catch_interrupts(kInterruptGrace, {});
                                if (streams) print_text(event.text);
                                return true;
                              },
                          .loop_guard = !options.sampling.no_loop_guard};
  Receipt receipt = begin_receipt(*model, request, engine.max_sequence_tokens());
  const GenerateResult result = engine.generate(std::move(request), interrupted);
  if (!options.receipt_file.empty() && !interrupted())
    write_receipt(receipt, *model, result, options.receipt_file);
  if (options.common.json) {
    print_json(to_json(result, *model, plan, program));
  } else if (streams) {
    print_text(result.samples.front().rest + "\n");
  } else {
    for (std::size_t i = 0; i < result.samples.size(); ++i) {
      const GeneratedSample& sample = result.samples[i];
      print_text("--- " + std::to_string(i + 1) + "\n" + sample.reasoning +
                 (sample.reasoning.empty() ? "" : "\n\n") + sample.text + "\n");
    }
  }
  return interrupted() ? kExitInterrupted : kExitDone;
}

}  // namespace

void add_generate(CLI::App& app, Command& command) {
  auto options = std::make_shared<GenerateOptions>();
  CLI::App* sub = app.add_subcommand("generate", "One answer to one prompt");
  sub->add_option("MODEL", options->model, "Folder, .gguf file, ORG/NAME in a local cache, or demo:native")
      ->required();
  CLI::Option* raw = sub->add_flag("--raw", options->raw, "The prompt as it is, without chat template");
  CLI::Option* prompt = sub->add_option("--prompt", options->prompt,
                                        "The user's turn (default: standard input, with its last newline)");
  sub->add_option("--messages", options->messages_file, "A JSON file of messages for the chat template")
      ->excludes(prompt)
      ->excludes(raw);
  sub->add_option("--receipt", options->receipt_file,
                  "Write to this file what the answer was made from, for `touchstone replay`");
  sub->add_option("--n", options->n, "Samples of the answer")
      ->check(number_from(1, 1024))
      ->capture_default_str();
  add_sampling_options(*sub, options->sampling);
  add_lookup_option(*sub, options->lookup, kLookupHelp);
  add_common_options(*sub, options->common);
  sub->footer(
      std::string(
          "Examples:\n"
          "  touchstone generate demo:distilled --prompt 'Tom has 3 boxes with 4 pens each. How many pens?'\n"
          "  touchstone generate ./model.gguf --messages chat.json --greedy --json\n") +
      kSamplingDefaults);
  sub->callback([options, &command] { command = [options] { return run_generate(*options); }; });
}

}  // namespace touchstone::cli
