#include "engine/benchmark.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <numeric>
#include <optional>
#include <random>

#include "base/clock.h"
#include "base/cores.h"
#include "base/error.h"
#include "base/repeated_bytes.h"
#include "base/resources.h"
#include "base/to_size.h"
#include "engine/load.h"
#include "engine/memory.h"
#include "engine/sampler.h"
#include "kernels/parallel.h"
#include "kernels/roofline.h"

namespace touchstone {
namespace {

struct Shape {
  std::string_view name;
  std::int32_t hidden_size, intermediate_size, num_layers, num_heads, num_kv_heads, head_dim, vocab_size;
  bool tied;
  double rope_theta;
};

constexpr Shape kShapes[] = {
    {"qwen2-0.5b", 896, 4864, 24, 14, 2, 64, 151936, true, 1e6},
    {"qwen2-1.5b", 1536, 8960, 28, 12, 2, 128, 151936, true, 1e6},
    {"r1-distill-qwen-1.5b", 1536, 8960, 28, 12, 2, 128, 151936, false, 1e4},
    {"qwen2-3b", 2048, 11008, 36, 16, 2, 128, 151936, true, 1e6},
};

/// All tensors view the same random bits, a small pattern over and over: a checkpoint of any size costs the
/// memory of that pattern, and the embedding, as in a file, that of the rows that are read.
void add_tensor(Checkpoint& checkpoint, std::string name, std::vector<std::int64_t> shape) {
  const std::int64_t values =
      std::accumulate(shape.begin(), shape.end(), std::int64_t{1}, std::multiplies<>());
  const std::size_t bytes = dtype_bytes(DType::bf16, static_cast<std::size_t>(values));
  Tensor tensor{name, DType::bf16, std::move(shape), checkpoint.blobs.front().bytes.first(bytes)};
  checkpoint.tensors.emplace(std::move(name), std::move(tensor));
}

Blob make_random_bf16(std::size_t values) {
  std::vector<std::uint16_t> pattern(std::min(values, std::size_t{8} << 20));
  std::mt19937_64 random(1);
  for (std::uint16_t& value : pattern) {
    // Sign, an exponent of 2^-6 … 2^-9, and seven random bits of fraction: the size of trained weights.
    const std::uint64_t bits = random();
    const std::uint64_t exponent = 118 + ((bits >> 8) & 3);
    value = static_cast<std::uint16_t>(((bits >> 16) & 1) << 15 | exponent << 7 | (bits & 0x7F));
  }
  return repeat_bytes("random weights", std::as_bytes(std::span(pattern)), values * sizeof(std::uint16_t));
}

/// What a decoding step and a prompt's arithmetic come to, for the shares.
struct Cost {
  double weight_bytes_per_step;
  double flops_per_prompt_token;  // two operations a weight of the layers; the head runs once a prompt
  double head_flops;
};

Cost cost_of(const Transformer& transformer) {
  const Config& c = transformer.config();
  const double q = static_cast<double>(c.num_heads) * c.head_dim;
  const double kv = static_cast<double>(c.num_kv_heads) * c.head_dim;
  const double layer = c.hidden_size * (2 * q + 2 * kv + 3.0 * c.intermediate_size);
  return {.weight_bytes_per_step = static_cast<double>(transformer.weight_bytes()),
          .flops_per_prompt_token = 2 * layer * c.num_layers,
          .head_flops = 2.0 * c.hidden_size * c.vocab_size};
}

/// One batch of sequences with their KV blocks, run step by step.
class BatchRun {
 public:
  BatchRun(Transformer& transformer, std::int32_t batch, const BenchmarkOptions& options)
      : transformer_(transformer),
        blocks_each_((options.prompt_tokens + options.new_tokens + kKvBlockTokens - 1) / kKvBlockTokens),
        blocks_(static_cast<std::size_t>(batch * blocks_each_)),
        pool_(transformer.make_kv_pool(batch * blocks_each_)),
        last_(static_cast<std::size_t>(batch)),
        buffers_(to_size(transformer.threads().size())),
        logits_(static_cast<std::size_t>(batch) * vocab()) {
    std::iota(blocks_.begin(), blocks_.end(), 0);
  }

  void prefill(std::int32_t sequence, std::span<const std::int32_t> ids) {
    const ForwardSlice slice{ids, 0, blocks_of(sequence), 1};
    transformer_.forward(*pool_, {&slice, 1}, std::span(logits_).first(vocab()));
    last_[static_cast<std::size_t>(sequence)] = pick(0, 0);
  }

  void decode(std::int32_t position) {
    std::vector<ForwardSlice> slices;
    for (std::size_t i = 0; i < last_.size(); ++i) {
      slices.push_back({{&last_[i], 1}, position, blocks_of(static_cast<std::int32_t>(i)), 1});
    }
    transformer_.forward(*pool_, slices, logits_);
    for_each(transformer_.threads(), static_cast<int>(last_.size()),
             [&](int i, int thread) { last_[to_size(i)] = pick(to_size(i), thread); });
  }

 private:
  std::size_t vocab() const { return static_cast<std::size_t>(transformer_.config().vocab_size); }
  std::span<const std::int32_t> blocks_of(std::int32_t sequence) const {
    const auto count = static_cast<std::size_t>(blocks_each_);
    return std::span(blocks_).subspan(static_cast<std::size_t>(sequence) * count, count);
  }
  std::int32_t pick(std::size_t row, int thread) {
    SamplingParams greedy;
    greedy.temperature = 0;
    return sample_token(std::span(logits_).subspan(row * vocab(), vocab()), {}, greedy, 0, 0,
                        buffers_[to_size(thread)]);
  }

  Transformer& transformer_;
  std::int32_t blocks_each_;
  std::vector<std::int32_t> blocks_;
  std::shared_ptr<KvPool> pool_;
  std::vector<std::int32_t> last_;
  std::vector<SamplerBuffers> buffers_;  // one a thread
  std::vector<float> logits_;
};

std::vector<std::int32_t> random_ids(std::int32_t count, std::int32_t vocab_size, std::uint32_t seed) {
  std::mt19937 random(seed);
  std::vector<std::int32_t> ids(static_cast<std::size_t>(count));
  for (std::int32_t& id : ids)
    id = static_cast<std::int32_t>(random() % static_cast<std::uint32_t>(vocab_size));
  return ids;
}

/// The best of both: interference only ever slows a measurement down.
Roofline better(const Roofline& a, const Roofline& b) {
  return {.read_bytes_per_s = std::max(a.read_bytes_per_s, b.read_bytes_per_s),
          .fma_flops = std::max(a.fma_flops, b.fma_flops),
          .bf16_flops = std::max(a.bf16_flops, b.bf16_flops),
          .int8_ops = std::max(a.int8_ops, b.int8_ops),
          .isa = a.isa};
}

BenchmarkRow measure_batch(Transformer& transformer, std::int32_t batch, const BenchmarkOptions& options) {
  const double weight_bytes = cost_of(transformer).weight_bytes_per_step;
  std::vector<double> ttft_ms, prefill_tok_s, decode_tok_s, bandwidth_shares;
  BatchRun run(transformer, batch, options);
  ThreadPool& threads = transformer.threads();
  std::optional<Buffer> memory;
  const auto reads = [&] { return memory ? measure_reads(threads, *memory, 2) : 0; };
  BenchmarkRow row;
  row.batch = batch;
  reset_peak_rss();
  for (int repeat = -1; repeat < options.repeats; ++repeat) {  // the first is a warm-up
    double prefill_s = 0;
    for (std::int32_t sequence = 0; sequence < batch; ++sequence) {
      const auto ids = random_ids(options.prompt_tokens, transformer.config().vocab_size,
                                  static_cast<std::uint32_t>(repeat * batch + sequence));
      const auto start = Clock::now();
      run.prefill(sequence, ids);
      prefill_s += seconds_since(start);
    }
    const double reads_before = reads();
    const auto start = Clock::now();
    for (std::int32_t i = 0; i < options.new_tokens; ++i) {
      run.decode(options.prompt_tokens + i);
    }
    const double decode_s = seconds_since(start);
    if (repeat < 0) {
      row.peak_device_bytes = transformer.peak_gpu_bytes();
      row.peak_rss_bytes = peak_rss_bytes();  // the later ones need no more, but for what measures reads
      if (options.roofline) memory = allocate_read_buffer(threads);
      continue;
    }
    ttft_ms.push_back(prefill_s / batch * 1e3);
    prefill_tok_s.push_back(options.prompt_tokens * batch / prefill_s);
    decode_tok_s.push_back(options.new_tokens * batch / decode_s);
    // Memory may give twice as much in one second as in another, so each run has its own reads to compare.
    bandwidth_shares.push_back(weight_bytes * options.new_tokens / decode_s /
                               std::max(reads_before, reads()));
  }
  row.ttft_ms = summarize(ttft_ms);
  row.prefill_tok_s = summarize(prefill_tok_s);
  row.decode_tok_s = summarize(decode_tok_s);
  row.weight_gb_s = row.decode_tok_s.median / batch * weight_bytes / 1e9;
  if (memory) row.bandwidth_share = summarize(bandwidth_shares);
  return row;
}

double peak_of(const Roofline& roofline, Arithmetic arithmetic) {
  switch (arithmetic) {
    case Arithmetic::float32:
      return roofline.fma_flops;
    case Arithmetic::bfloat16:
      return roofline.bf16_flops;
    case Arithmetic::int8:
      return roofline.int8_ops;
  }
  return 0;
}

void add_shares(const Transformer& transformer, const BenchmarkOptions& options, const Roofline& roofline,
                BenchmarkRow& row) {
  const Cost cost = cost_of(transformer);
  const double peak = peak_of(roofline, transformer.arithmetic());
  const double prompt_flops = options.prompt_tokens * cost.flops_per_prompt_token + cost.head_flops;
  const double step_flops = cost.flops_per_prompt_token + cost.head_flops;
  row.peak_share = prompt_flops / (row.ttft_ms.median / 1e3) / peak;
  row.decode_peak_share = row.decode_tok_s.median * step_flops / peak;
}

boost::json::array to_json(const std::vector<StageTime>& stages) {
  const double total = std::accumulate(stages.begin(), stages.end(), 0.0,
                                       [](double sum, const StageTime& s) { return sum + s.seconds; });
  boost::json::array rows;
  for (const StageTime& stage : stages) {
    rows.push_back({{"stage", stage.name},
                    {"ms", stage.seconds * 1e3},
                    {"share", stage.seconds / total},
                    {"weight_gb_s", stage.weight_bytes / stage.seconds / 1e9},
                    {"gop_s", stage.operations / stage.seconds / 1e9}});
  }
  return rows;
}

/// The time of each stage in one prompt and in `new_tokens` decoding steps after it.
boost::json::object measure_stages(Transformer& transformer, std::int32_t batch,
                                   const BenchmarkOptions& options) {
  BatchRun run(transformer, batch, options);
  std::vector<StageTime> prefill, decode;
  const auto ids = random_ids(options.prompt_tokens, transformer.config().vocab_size, 1);
  for (std::int32_t sequence = 0; sequence < batch; ++sequence) {
    transformer.profile(sequence == batch - 1 ? &prefill : nullptr);
    run.prefill(sequence, ids);
  }
  transformer.profile(&decode);
  for (std::int32_t i = 0; i < options.new_tokens; ++i) {
    run.decode(options.prompt_tokens + i);
  }
  transformer.profile(nullptr);
  return {{"batch", batch},
          {"context_tokens", options.prompt_tokens},
          {"prefill", to_json(prefill)},
          {"decode", to_json(decode)}};
}

boost::json::object describe_machine(const Transformer& transformer) {
  return {{"cpu", cpu_name()},
          {"device", transformer.device()},
          {"isa", transformer.isa()},
          {"threads", transformer.num_threads()},
          {"physical_cores", physical_cores()}};
}

const char* packed_cache_name(PackedCacheUse use) {
  switch (use) {
    case PackedCacheUse::off:
      return "off";
    case PackedCacheUse::miss:
      return "miss";
    case PackedCacheUse::hit:
      return "hit";
  }
  return "";
}

boost::json::value to_json(const std::optional<double>& share) {
  return share ? boost::json::value(*share) : boost::json::value(nullptr);
}

boost::json::object to_json(const BenchmarkRow& row) {
  return {
      {"batch", row.batch},
      {"prefill_tok_s", row.prefill_tok_s.median},
      {"prefill_tok_s_range", to_json(row.prefill_tok_s)},
      {"decode_tok_s", row.decode_tok_s.median},
      {"decode_tok_s_range", to_json(row.decode_tok_s)},
      {"ttft_ms", row.ttft_ms.median},
      {"ttft_ms_range", to_json(row.ttft_ms)},
      {"weight_gb_s", row.weight_gb_s},
      {"bandwidth_share", row.bandwidth_share ? row.bandwidth_share->median : boost::json::value()},
      {"bandwidth_share_range", row.bandwidth_share ? to_json(*row.bandwidth_share) : boost::json::value()},
      {"peak_share", to_json(row.peak_share)},
      {"decode_peak_share", to_json(row.decode_peak_share)},
      {"peak_rss_bytes", row.peak_rss_bytes},
      {"peak_device_bytes", row.peak_device_bytes}};
}

/// Refuses a batch whose KV cache the memory can't hold: the system would end the process on the way.
void check_memory(const Transformer& transformer, std::optional<int> gpu, const BenchmarkOptions& options) {
  const std::int64_t tokens = std::int64_t{options.prompt_tokens} + options.new_tokens;
  const std::int64_t batch = *std::max_element(options.batches.begin(), options.batches.end());
  const double bytes =
      static_cast<double>(tokens * batch) * static_cast<double>(transformer.kv_bytes_per_token());
  const auto available = static_cast<double>(free_memory_bytes(gpu));
  if (bytes <= available) return;
  throw Error(
      fmt::format("a batch of {} with {} tokens each takes {:.1f} GB of KV cache, and {:.1f} GB are free",
                  batch, tokens, bytes / 1e9, available / 1e9),
      "lower --prompt-tokens, --new-tokens or --batch");
}

}  // namespace

MedianRange summarize(std::vector<double> values) {
  assert(!values.empty());
  std::sort(values.begin(), values.end());
  const std::size_t middle = values.size() / 2;
  const double median = values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
  return {median, values.front(), values.back()};
}

boost::json::object to_json(const MedianRange& range) {
  return {{"median", range.median}, {"min", range.min}, {"max", range.max}};
}

std::vector<std::string> benchmark_shapes() {
  std::vector<std::string> names;
  for (const Shape& shape : kShapes) names.emplace_back(shape.name);
  return names;
}

Checkpoint make_random_checkpoint(std::string_view name) {
  const auto* shape =
      std::find_if(std::begin(kShapes), std::end(kShapes), [&](const Shape& s) { return s.name == name; });
  if (shape == std::end(kShapes)) {
    throw Error(fmt::format("there is no shape '{}'", name),
                fmt::format("known: {}", fmt::join(benchmark_shapes(), ", ")));
  }
  Checkpoint checkpoint;
  checkpoint.id = "shape:" + std::string(name);
  checkpoint.format = "random";
  checkpoint.config = {{"model_type", "qwen2"},
                       {"architectures", {"Qwen2ForCausalLM"}},
                       {"hidden_size", shape->hidden_size},
                       {"intermediate_size", shape->intermediate_size},
                       {"num_hidden_layers", shape->num_layers},
                       {"num_attention_heads", shape->num_heads},
                       {"num_key_value_heads", shape->num_kv_heads},
                       {"vocab_size", shape->vocab_size},
                       {"max_position_embeddings", 32768},
                       {"rms_norm_eps", 1e-6},
                       {"rope_theta", shape->rope_theta},
                       {"hidden_act", "silu"},
                       {"tie_word_embeddings", shape->tied}};
  const std::int64_t hidden = shape->hidden_size;
  const std::int64_t q = std::int64_t{shape->num_heads} * shape->head_dim;
  const std::int64_t kv = std::int64_t{shape->num_kv_heads} * shape->head_dim;
  checkpoint.blobs.push_back(make_random_bf16(static_cast<std::size_t>(shape->vocab_size * hidden)));
  add_tensor(checkpoint, "model.embed_tokens.weight", {shape->vocab_size, hidden});
  if (!shape->tied) add_tensor(checkpoint, "lm_head.weight", {shape->vocab_size, hidden});
  add_tensor(checkpoint, "model.norm.weight", {hidden});
  for (std::int32_t layer = 0; layer < shape->num_layers; ++layer) {
    const std::string prefix = fmt::format("model.layers.{}.", layer);
    add_tensor(checkpoint, prefix + "input_layernorm.weight", {hidden});
    add_tensor(checkpoint, prefix + "post_attention_layernorm.weight", {hidden});
    add_tensor(checkpoint, prefix + "self_attn.q_proj.weight", {q, hidden});
    add_tensor(checkpoint, prefix + "self_attn.q_proj.bias", {q});
    add_tensor(checkpoint, prefix + "self_attn.k_proj.weight", {kv, hidden});
    add_tensor(checkpoint, prefix + "self_attn.k_proj.bias", {kv});
    add_tensor(checkpoint, prefix + "self_attn.v_proj.weight", {kv, hidden});
    add_tensor(checkpoint, prefix + "self_attn.v_proj.bias", {kv});
    add_tensor(checkpoint, prefix + "self_attn.o_proj.weight", {hidden, q});
    add_tensor(checkpoint, prefix + "mlp.gate_proj.weight", {shape->intermediate_size, hidden});
    add_tensor(checkpoint, prefix + "mlp.up_proj.weight", {shape->intermediate_size, hidden});
    add_tensor(checkpoint, prefix + "mlp.down_proj.weight", {hidden, shape->intermediate_size});
  }
  return checkpoint;
}

MedianRange measure_encoding_mb_s(const Tokenizer& tokenizer, int repeats) {
  std::string text;  // the built-in suites' English
  for (const EmbeddedFile& file : embedded_files()) {
    if (!file.path.starts_with("suites/")) continue;
    text.append(file.begin, static_cast<std::size_t>(file.end - file.begin));
  }
  if (text.empty()) throw Error("no built-in suite to take text from");
  std::vector<double> rates;
  for (int repeat = -1; repeat < repeats; ++repeat) {
    const auto start = Clock::now();
    const std::size_t count = tokenizer.encode(text, {.parse_special = false, .add_special = false}).size();
    const double seconds = seconds_since(start);
    if (count == 0) throw Error("the tokenizer gave no token for the built-in suites' text");
    if (repeat >= 0) rates.push_back(static_cast<double>(text.size()) / 1e6 / seconds);
  }
  return summarize(rates);
}

boost::json::object run_benchmark(const std::string& model, const ModelOptions& model_options,
                                  const BenchmarkOptions& options,
                                  const std::function<void(const std::string&)>& progress) {
  progress("loading " + model);
  const auto start = Clock::now();
  constexpr std::string_view kShapePrefix = "shape:";
  const bool is_shape = model.starts_with(kShapePrefix);
  std::optional<Checkpoint> checkpoint =
      is_shape ? make_random_checkpoint(std::string_view(model).substr(kShapePrefix.size()))
               : open_checkpoint(model);
  const std::optional<int> gpu = choose_gpu(model_options.device);
  if (gpu && (options.roofline || options.profile)) {
    throw Error("the roofline and the profile are the CPU's, and this model runs on a GPU",
                "leave them out, or use --device cpu");
  }
  ModelOptions load_options = model_options;
  if (is_shape) load_options.packed_cache = false;  // nobody will load these weights again
  Transformer transformer(*checkpoint, load_options);
  const double load_ms = seconds_since(start) * 1e3;
  check_memory(transformer, gpu, options);

  boost::json::object document{{"machine", describe_machine(transformer)}, {"model", model}};
  document["load"] = {{"load_ms", load_ms},
                      {"packed_cache", packed_cache_name(transformer.packed_cache_use())},
                      {"weight_bytes", transformer.weight_bytes()},
                      {"weight_bytes_per_step", transformer.weight_bytes()},
                      {"kv_bytes_per_token", transformer.kv_bytes_per_token()}};
  if (!is_shape && (checkpoint->tokenizer_json || checkpoint->gguf_tokenizer)) {
    progress("encoding text");
    document["tokenizer"] = {
        {"encode_mb_s", to_json(measure_encoding_mb_s(load_tokenizer(*checkpoint), options.repeats))}};
  }
  checkpoint.reset();
  document["prompt_tokens"] = options.prompt_tokens;
  document["new_tokens"] = options.new_tokens;
  document["repeats"] = options.repeats;
  const auto measure = [&] {
    progress("measuring the roofline");
    ThreadPool pool(transformer.num_threads());
    return measure_roofline(pool, transformer.isa());
  };
  std::optional<Roofline> before, best;
  if (options.roofline) best = before = measure();
  boost::json::array rows, profiles;
  for (const std::int32_t batch : options.batches) {
    progress(fmt::format("batch {}", batch));
    BenchmarkRow row = measure_batch(transformer, batch, options);
    if (before) {  // what the machine gives changes from minute to minute: before and after each row
      const Roofline after = measure();
      add_shares(transformer, options, better(*before, after), row);
      best = better(*best, after);
      before = after;
    }
    rows.push_back(to_json(row));
    if (options.profile) profiles.push_back(measure_stages(transformer, batch, options));
  }
  document["rows"] = std::move(rows);
  if (options.profile) document["profile"] = std::move(profiles);
  if (best) {
    document["roofline"] = {{"read_gb_s", best->read_bytes_per_s / 1e9},
                            {"fma_gflop_s", best->fma_flops / 1e9},
                            {"bf16_gflop_s", best->bf16_flops / 1e9},
                            {"int8_gop_s", best->int8_ops / 1e9},
                            {"isa", best->isa}};
  }
  return document;
}

}  // namespace touchstone
