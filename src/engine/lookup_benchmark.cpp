#include "engine/lookup_benchmark.h"

#include <fmt/format.h>

#include <chrono>
#include <numeric>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "engine/benchmark.h"
#include "engine/prompt.h"

namespace touchstone {
namespace {

/// A prompt whose answers repeat as much as its name says.
struct Text {
  std::string_view name;
  float temperature;
  std::string_view user;
};

constexpr Text kTexts[] = {
    {"repeats its prompt", 0.0F, R"(Rename the variable `total` to `amount` in this code. Give the whole code.

```python
class Account:
    def __init__(self, owner, total=0):
        self.owner = owner
        self.total = total
        self.history = []

    def deposit(self, value):
        if value <= 0:
            raise ValueError("the value must be positive")
        self.total += value
        self.history.append(("deposit", value, self.total))
        return self.total

    def withdraw(self, value):
        if value <= 0:
            raise ValueError("the value must be positive")
        if value > self.total:
            raise ValueError("there is not enough money")
        self.total -= value
        self.history.append(("withdraw", value, self.total))
        return self.total
```)"},
    {"reasons step by step", 0.0F,
     "Solve this step by step, and check each step. A shop sells pens at 3 dollars, notebooks at 5 dollars "
     "and bags at 20 dollars. On Monday it sells 14 pens, 6 notebooks and 2 bags; on Tuesday 9 pens, 11 "
     "notebooks and 1 bag; on Wednesday 21 pens, 4 notebooks and 3 bags. Compute for each day the money "
     "from pens, from notebooks, from bags, and the day's sum. Then compute the sum of the three days, and "
     "verify it by computing it again product by product."},
    {"repeats nothing", 1.0F,
     "Write a short story about a lighthouse keeper who finds an old letter in a bottle on the beach. Use "
     "varied words."},
};

struct Answer {
  GenerateResult result;
  double decode_tok_s = 0;
};

Answer answer_once(const std::shared_ptr<LoadedModel>& model, const GenerateRequest& request, Lookup lookup) {
  const auto tokens = static_cast<std::int32_t>(request.prompt_ids.size()) + request.sampling.max_new_tokens;
  Engine engine(model,
                {.max_batch = 1, .max_sequence_tokens = tokens, .lookup = lookup, .prefix_cache = false});
  Answer answer{.result = engine.generate(request)};
  const GeneratedSample& sample = answer.result.samples.front();
  const double decode_ms = sample.total_ms - sample.ttft_ms;
  if (decode_ms > 0) answer.decode_tok_s = static_cast<double>(sample.ids.size() - 1) / decode_ms * 1e3;
  return answer;
}

boost::json::object measure_text(const std::shared_ptr<LoadedModel>& model, const Text& text,
                                 const LookupBenchmarkOptions& options) {
  Prompt prompt = make_prompt(make_prompter(*model, false), text.user);
  GenerateRequest request{.prompt_ids = std::move(prompt.ids),
                          .sampling = model->defaults,
                          .reasoning_opened = prompt.reasoning_opened};
  request.sampling.temperature = text.temperature;
  request.sampling.top_p = 1;
  request.sampling.top_k = 0;
  request.sampling.repetition_penalty = 1;
  request.sampling.max_new_tokens = options.new_tokens;
  std::vector<double> with, without, ratios;
  Answer answer;
  for (int repeat = 0; repeat < options.repeats; ++repeat) {
    const Answer plain = answer_once(model, request, Lookup::off);
    answer = answer_once(model, request, options.lookup);
    if (answer.result.samples.front().ids != plain.result.samples.front().ids) {
      throw Error("lookup changed an answer", "this is a defect: please report it");
    }
    with.push_back(answer.decode_tok_s);
    without.push_back(plain.decode_tok_s);
    ratios.push_back(plain.decode_tok_s > 0 ? answer.decode_tok_s / plain.decode_tok_s : 1);
  }
  return {{"text", text.name},
          {"new_tokens", answer.result.samples.front().ids.size()},
          {"decode_tok_s", to_json(summarize(with))},
          {"decode_tok_s_without", to_json(summarize(without))},
          {"ratio", to_json(summarize(ratios))},
          {"drafted_tokens", answer.result.drafted_tokens},
          {"accepted_tokens", answer.result.accepted_tokens}};
}

/// Milliseconds of a pass of so many tokens, all with logits, behind a prompt.
boost::json::array measure_passes(Transformer& transformer, int repeats) {
  constexpr std::int32_t kPrompt = 128;
  constexpr std::int32_t kSizes[] = {1, 2, 3, 4, 6, 8, 12, 16};
  constexpr std::int32_t kMost = 16;
  constexpr std::int32_t kBlocks = (kPrompt + kMost + kKvBlockTokens - 1) / kKvBlockTokens;
  const auto pool = transformer.make_kv_pool(kBlocks);
  std::vector<std::int32_t> blocks(kBlocks);
  std::iota(blocks.begin(), blocks.end(), 0);
  const std::vector<std::int32_t> ids(kPrompt, 0);
  std::vector<float> logits(static_cast<std::size_t>(kMost) *
                            static_cast<std::size_t>(transformer.config().vocab_size));
  const auto run = [&](std::int32_t first, std::int32_t count, std::int32_t num_logits) {
    const auto start = std::chrono::steady_clock::now();
    const ForwardSlice slice{std::span(ids).first(static_cast<std::size_t>(count)), first, blocks,
                             num_logits};
    transformer.forward(*pool, {&slice, 1}, logits);
    return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
  };
  run(0, kPrompt, 0);
  std::vector<std::vector<double>> times(std::size(kSizes));
  constexpr int kRounds = 5;
  for (int round = -1; round < kRounds * repeats; ++round) {  // the first is a warm-up
    for (std::size_t i = 0; i < std::size(kSizes); ++i) {
      const double ms = run(kPrompt, kSizes[i], kSizes[i]);
      if (round >= 0) times[i].push_back(ms);
    }
  }
  boost::json::array passes;
  for (std::size_t i = 0; i < std::size(kSizes); ++i) {
    passes.push_back({{"tokens", kSizes[i]}, {"ms", to_json(summarize(times[i]))}});
  }
  return passes;
}

}  // namespace

boost::json::object run_lookup_benchmark(const std::shared_ptr<LoadedModel>& model,
                                         const LookupBenchmarkOptions& options,
                                         const std::function<void(const std::string&)>& progress) {
  progress("passes of several tokens");
  boost::json::object document{{"passes", measure_passes(*model->transformer, options.repeats)}};
  boost::json::array rows;
  for (const Text& text : kTexts) {
    progress(fmt::format("lookup in a text that {}", text.name));
    rows.push_back(measure_text(model, text, options));
  }
  document["rows"] = std::move(rows);
  return document;
}

}  // namespace touchstone
