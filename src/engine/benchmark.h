// What `touchstone bench` measures: prefill, decode, batched decode, TTFT, load time and memory, beside this
// machine's roofline.
#pragma once

#include <boost/json.hpp>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "model/transformer.h"
#include "text/tokenizer.h"

namespace touchstone {

struct BenchmarkOptions {
  std::int32_t prompt_tokens = 256;
  std::int32_t new_tokens = 128;
  std::vector<std::int32_t> batches = {1, 4, 16};
  int repeats = 5;
  bool roofline = false;
  bool profile = false;
};

struct MedianRange {
  double median = 0, min = 0, max = 0;
};

/// Of at least one value.
MedianRange summarize(std::vector<double> values);
boost::json::object to_json(const MedianRange& range);

struct BenchmarkRow {
  std::int32_t batch = 0;
  MedianRange ttft_ms;        // one prompt alone: prefill, head and choice of the first token
  MedianRange prefill_tok_s;  // prompt tokens over that time
  MedianRange decode_tok_s;   // all sequences together
  double weight_gb_s = 0;     // bytes of weights that decoding read, a second
  // Where the roofline is measured, too:
  std::optional<MedianRange> bandwidth_share;  // weights that decoding read over reads just before or after
  std::optional<double> peak_share;            // prefill's arithmetic over the roofline's peak for that
  std::optional<double> decode_peak_share;     // decoding's
  std::uint64_t peak_rss_bytes = 0;
  std::uint64_t peak_device_bytes = 0;  // of a GPU, the model included
};

/// One checkpoint of random bfloat16 weights; `shape` is a name of benchmark_shapes(). Throws Error for
/// another one.
Checkpoint make_random_checkpoint(std::string_view shape);

/// "qwen2-0.5b", "qwen2-1.5b", …
std::vector<std::string> benchmark_shapes();

/// Runs the model over random token ids, greedy. `progress` gets a line before each stage.
/// Returns the document that CONTRACT.md names.
boost::json::object run_benchmark(const std::string& model, const ModelOptions& model_options,
                                  const BenchmarkOptions& options,
                                  const std::function<void(const std::string&)>& progress);

/// Megabytes of English text that one thread encodes in a second, the tokenizer's caches warm.
MedianRange measure_encoding_mb_s(const Tokenizer& tokenizer, int repeats);

}  // namespace touchstone
