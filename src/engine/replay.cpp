#include "engine/replay.h"

#include <fmt/format.h>

#include <algorithm>
#include <span>

#include "base/error.h"
#include "engine/answer_text.h"
#include "engine/logprobs.h"
#include "engine/score.h"
#include "text/unicode.h"

namespace touchstone {
namespace {

namespace json = boost::json;

std::vector<HashCheck> check_hashes(const ModelHashes& expected, const ModelHashes& got) {
  return {{"weights", expected.weights, got.weights},
          {"tokenizer", expected.tokenizer, got.tokenizer},
          {"template", expected.chat_template, got.chat_template},
          {"engine", expected.engine, got.engine}};
}

bool is_same(const ReplayReport& report, std::string_view name) {
  return std::any_of(report.hashes.begin(), report.hashes.end(),
                     [&](const HashCheck& check) { return check.name == name && check.same(); });
}

void check_ids(const Receipt& receipt, std::int32_t vocab_size) {
  for (const ReceiptOutput& output : receipt.outputs) {
    for (const std::int32_t id : output.ids) {
      if (id < vocab_size) continue;
      throw Error(fmt::format("the receipt's output has token id {}, which is not among the model's {}", id,
                              vocab_size),
                  "the receipt may be another model's: give that with --model");
    }
  }
}

GenerateRequest make_request(const Receipt& receipt, const ReceiptOutput& output) {
  GenerateRequest request{.prompt_ids = receipt.prompt_ids,
                          .sampling = receipt.sampling,
                          .first_sample = output.sample,
                          .reasoning_opened = receipt.reasoning_opened,
                          .constraint = make_constraint(receipt.response_format),
                          .loop_guard = receipt.loop_guard};
  // A budget closes the thinking at the same place.
  if (output.answered_after) request.sampling.reasoning_budget = output.answered_after;
  return request;
}

bool was_cut(const ReceiptOutput& output) {
  return output.finish_reason == FinishReason::cancelled || output.finish_reason == FinishReason::deadline;
}

/// Log-probabilities of all ids at one place behind the prompt; nothing where the context ends before it.
std::vector<float> find_logprobs_at(const LoadedModel& model, const Receipt& receipt,
                                    std::span<const std::int32_t> before) {
  std::vector<float> logprobs;
  std::vector<std::int32_t> ids = receipt.prompt_ids;
  ids.insert(ids.end(), before.begin(), before.end());
  if (std::ssize(ids) > model.transformer->config().max_position_embeddings) return logprobs;
  score_ids(
      *model.transformer, ids, 1, [](const ScoredPosition&) {},
      [&](std::span<const float> logits) { logprobs.assign(logits.begin(), logits.end()); });
  const double normalizer = log_sum_exp(logprobs);
  for (float& logit : logprobs) logit = static_cast<float>(logit - normalizer);
  return logprobs;
}

std::optional<TokenChoice> describe(std::span<const std::int32_t> ids, std::size_t position,
                                    std::span<const float> logprobs, const Tokenizer& tokenizer) {
  if (position >= ids.size()) return std::nullopt;
  const std::int32_t id = ids[position];
  const auto index = static_cast<std::size_t>(id);
  return TokenChoice{.id = id,
                     .text = tokenizer.has_token(id) ? to_valid_utf8(tokenizer.token_bytes(id)) : "",
                     .logprob = index < logprobs.size() ? logprobs[index] : 0};
}

std::string find_other_difference(const ReceiptOutput& expected, const ReceiptOutput& got) {
  if (expected.finish_reason != got.finish_reason && !was_cut(expected)) {
    return fmt::format("the receipt's finish_reason is {}, here it is {}",
                       finish_reason_name(expected.finish_reason), finish_reason_name(got.finish_reason));
  }
  if (expected.text_sha256 != got.text_sha256) {
    return fmt::format("the receipt's text_sha256 is {}, here it is {}", expected.text_sha256,
                       got.text_sha256);
  }
  if (expected.reasoning_sha256 != got.reasoning_sha256) {
    return fmt::format("the receipt's reasoning_sha256 is {}, here it is {}", expected.reasoning_sha256,
                       got.reasoning_sha256);
  }
  return {};
}

OutputCheck check_output(Engine& engine, const LoadedModel& model, const Receipt& receipt,
                         const ReceiptOutput& expected) {
  OutputCheck check{
      .sample = expected.sample, .num_tokens = expected.ids.size(), .token = {}, .other_difference = {}};
  GenerateRequest request = make_request(receipt, expected);
  if (was_cut(expected)) {  // by the clock or a client: what was there counts
    if (expected.ids.empty()) return check;
    request.sampling.max_new_tokens = static_cast<std::int32_t>(expected.ids.size());
  }
  std::size_t num_tokens = 0;
  request.on_token = [&](const TokenEvent& event) {
    const std::size_t at = num_tokens++;
    return at < expected.ids.size() && expected.ids[at] == event.id;
  };
  const GenerateResult result = engine.generate(std::move(request));
  const GeneratedSample& sample = result.samples.front();
  const auto differs =
      std::mismatch(expected.ids.begin(), expected.ids.end(), sample.ids.begin(), sample.ids.end());
  if (differs.first == expected.ids.end() && differs.second == sample.ids.end()) {
    check.other_difference = find_other_difference(expected, describe_output(expected.sample, sample));
    return check;
  }
  const auto position = static_cast<std::size_t>(differs.first - expected.ids.begin());
  const std::vector<float> logprobs =
      find_logprobs_at(model, receipt, std::span(expected.ids).first(position));
  check.token = TokenDifference{.position = position,
                                .expected = describe(expected.ids, position, logprobs, model.tokenizer),
                                .got = describe(sample.ids, position, logprobs, model.tokenizer)};
  return check;
}

/// Whether a receipt's ids give the text whose hash it holds: if not, it was changed.
bool agrees_with_itself(const Receipt& receipt, const ReceiptOutput& output, const Tokenizer& tokenizer) {
  AnswerText text(tokenizer, receipt.sampling.stop, receipt.reasoning_opened);
  const std::vector<std::int32_t>& ends = receipt.sampling.stop_ids;
  for (const std::int32_t id : output.ids) {
    const bool is_end = !receipt.sampling.ignore_eos && std::find(ends.begin(), ends.end(), id) != ends.end();
    if (!is_end) text.push(id);
  }
  text.finish();
  GeneratedSample sample;
  sample.text = text.parts().answer;
  sample.reasoning = text.parts().reasoning;
  const ReceiptOutput described = describe_output(output.sample, sample);
  return described.text_sha256 == output.text_sha256 && described.reasoning_sha256 == output.reasoning_sha256;
}

/// What would explain a difference, the likeliest first.
std::string explain(const ReplayReport& report, const Receipt& receipt, const LoadedModel& model) {
  if (!is_same(report, "weights")) return "the weights are not those of the receipt";
  if (!is_same(report, "engine")) {
    return fmt::format(
        "the engine is not that of the receipt: {} with dtype {} and kv-dtype {} there, {} with "
        "dtype {} and kv-dtype {} here",
        receipt.engine_version, receipt.dtype, receipt.kv_dtype, engine_version(), model.options.dtype,
        model.options.kv_dtype);
  }
  if (!is_same(report, "tokenizer")) return "the tokenizer is not that of the receipt";
  for (std::size_t i = 0; i < report.outputs.size(); ++i) {
    const ReceiptOutput& output = receipt.outputs[i];
    if (!report.outputs[i].same() && !agrees_with_itself(receipt, output, model.tokenizer)) {
      return "the receipt was changed: its output ids do not give the text whose hash it holds";
    }
  }
  return "weights, tokenizer and engine are the receipt's: its prompt, its settings or its output are not "
         "those "
         "that were used, or this computer does not compute as it should";
}

json::value to_json(const std::optional<TokenChoice>& choice) {
  if (!choice) return nullptr;
  return {{"id", choice->id}, {"token", choice->text}, {"logprob", choice->logprob}};
}

}  // namespace

ReplayReport replay(const std::shared_ptr<LoadedModel>& model, const Receipt& receipt) {
  check_ids(receipt, model->transformer->config().vocab_size);
  ReplayReport report{.hashes = check_hashes(receipt.hashes, hash_model(*model)), .outputs = {}, .why = {}};
  Engine engine(model, {.max_batch = 1, .max_sequence_tokens = receipt.context_tokens});
  for (const ReceiptOutput& output : receipt.outputs) {
    report.outputs.push_back(check_output(engine, *model, receipt, output));
  }
  const bool same = std::all_of(report.outputs.begin(), report.outputs.end(),
                                [](const OutputCheck& check) { return check.same(); });
  if (!same) report.why = explain(report, receipt, *model);
  return report;
}

json::object to_json(const ReplayReport& report) {
  json::object hashes;
  for (const HashCheck& check : report.hashes) {
    const auto text = [](const std::string& hash) {
      return hash.empty() ? json::value() : json::value(hash);
    };
    hashes[check.name] = {
        {"same", check.same()}, {"expected", text(check.expected)}, {"got", text(check.got)}};
  }
  json::array outputs;
  for (const OutputCheck& check : report.outputs) {
    json::object output = {{"sample", check.sample}, {"tokens", check.num_tokens}, {"same", check.same()}};
    if (check.token) {
      output["first_difference"] = {{"position", check.token->position},
                                    {"expected", to_json(check.token->expected)},
                                    {"got", to_json(check.token->got)}};
    }
    if (!check.other_difference.empty()) output["difference"] = check.other_difference;
    outputs.push_back(std::move(output));
  }
  return {{"same", report.same()},
          {"hashes", std::move(hashes)},
          {"outputs", std::move(outputs)},
          {"why", report.same() ? json::value() : json::value(report.why)}};
}

}  // namespace touchstone
