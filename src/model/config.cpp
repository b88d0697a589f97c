#include <boost/json.hpp>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <numbers>
#include <string>
#include <string_view>

#include "base/error.h"
#include "formats/checked.h"
#include "model/transformer.h"

namespace touchstone {
namespace {

namespace json = boost::json;

// Bounds far beyond any published model, so that sizes computed from them fit 64 bits with room to spare.
constexpr std::int64_t kMaxWidth = 1 << 18;
constexpr std::int64_t kMaxLayers = 4096;
constexpr std::int64_t kMaxHeads = 4096;
constexpr std::int64_t kMaxHeadDim = 1024;
constexpr std::int64_t kMaxVocab = 1 << 24;
constexpr std::int64_t kMaxPositions = 1 << 28;

/// config.json with errors that name the model and the field.
struct Reader {
  const Checkpoint& checkpoint;

  [[noreturn]] void fail(const std::string& what, const std::string& hint) const {
    throw Error(checkpoint.id + ": config: " + what, hint);
  }

  /// The value of a field of `object`; nothing for a missing or null one.
  static const json::value* find(const json::object& object, std::string_view key) {
    const json::value* value = object.if_contains(key);
    return value == nullptr || value->is_null() ? nullptr : value;
  }

  double number(const json::object& object, std::string_view key, double fallback) const {
    const json::value* value = find(object, key);
    if (value == nullptr) return fallback;
    if (!value->is_number() || !std::isfinite(value->to_number<double>())) {
      fail(std::string(key) + " is not a number", "the file may be damaged: fetch it again");
    }
    return value->to_number<double>();
  }

  std::int32_t size(std::string_view key, std::int64_t fallback, std::int64_t max) const {
    const double value = number(checkpoint.config, key, static_cast<double>(fallback));
    if (value == 0.0 && find(checkpoint.config, key) == nullptr) {
      fail(std::string(key) + " is missing", "the file may be damaged: fetch it again");
    }
    if (value < 1.0 || value > static_cast<double>(max) || value != std::floor(value)) {
      fail(std::string(key) + " is not a whole number from 1 to " + std::to_string(max),
           "the file may be damaged: fetch it again");
    }
    return static_cast<std::int32_t>(value);
  }

  bool flag(std::string_view key) const {
    const json::value* value = find(checkpoint.config, key);
    if (value == nullptr) return false;
    if (!value->is_bool()) fail(std::string(key) + " is not true or false", "fetch the model again");
    return value->get_bool();
  }

  std::string text(const json::object& object, std::string_view key, std::string_view fallback) const {
    const json::value* value = find(object, key);
    if (value == nullptr) return std::string(fallback);
    if (!value->is_string()) fail(std::string(key) + " is not a string", "fetch the model again");
    return std::string(value->get_string());
  }

  /// An object-valued field, or an empty object.
  json::object object(std::string_view key) const {
    const json::value* value = find(checkpoint.config, key);
    if (value == nullptr) return {};
    if (!value->is_object()) fail(std::string(key) + " is not an object", "fetch the model again");
    return value->get_object();
  }
};

std::string read_model_type(const Reader& in) {
  std::string type = in.text(in.checkpoint.config, "model_type", "");
  for (const std::string_view known : {"qwen2", "llama", "qwen3"}) {
    if (type == known) return type;
  }
  in.fail("model_type " + quote(type) + " is not supported", "qwen2 (and qwen2.5), llama and qwen3 are");
}

/// Refuses what would change the result and is not implemented.
void refuse_unknown_features(const Reader& in, std::int32_t num_layers) {
  const json::object& config = in.checkpoint.config;
  const std::string act = in.text(config, "hidden_act", "silu");
  if (act != "silu") in.fail("hidden_act " + quote(act) + " is not supported", "silu is");
  if (Reader::find(config, "quantization_config") != nullptr) {
    in.fail("its weights are quantized in a form that is not supported",
            "use the unquantized model or a GGUF file");
  }
  const char* hint = "use a model without sliding-window attention";
  if (const json::value* types = Reader::find(config, "layer_types"); types != nullptr) {
    if (!types->is_array()) in.fail("layer_types is not a list", "fetch the model again");
    for (const json::value& type : types->get_array()) {
      if (!type.is_string() || type.get_string() != "full_attention") {
        in.fail("layer_types names attention other than full_attention, which is not supported", hint);
      }
    }
  } else if (in.flag("use_sliding_window") && Reader::find(config, "sliding_window") != nullptr &&
             in.number(config, "max_window_layers", 0.0) < num_layers) {
    in.fail("use_sliding_window is true, which is not supported", hint);
  }
}

/// Llama 3's scaling (Transformers' _compute_llama3_parameters): long waves are slowed down by `factor`,
/// short ones stay, and those between are interpolated. In float32, like the reference.
float scale_as_llama3(float frequency, float factor, float low, float high, float original_positions) {
  const float wavelength = 2.0F * std::numbers::pi_v<float> / frequency;
  if (wavelength > original_positions / low) return frequency / factor;
  if (wavelength < original_positions / high) return frequency;
  const float smooth = (original_positions / wavelength - low) / (high - low);
  return (1.0F - smooth) * frequency / factor + smooth * frequency;
}

void apply_rope_scaling(const Reader& in, const json::object& scaling, Config& config) {
  const std::string type = in.text(scaling, "rope_type", in.text(scaling, "type", "default"));
  if (type == "default") return;
  if (type != "llama3") in.fail("rope_type " + quote(type) + " is not supported", "default and llama3 are");
  const double factor = in.number(scaling, "factor", 0.0);
  const double low = in.number(scaling, "low_freq_factor", 0.0);
  const double high = in.number(scaling, "high_freq_factor", 0.0);
  const double original = in.number(scaling, "original_max_position_embeddings", 0.0);
  const auto fits = [](double number) { return number <= std::numeric_limits<float>::max(); };
  if (factor < 1.0 || low <= 0.0 || high <= low || original < 1.0 || !fits(factor) || !fits(high) ||
      !fits(original)) {
    in.fail(
        "rope_type llama3 lacks a possible factor, low_freq_factor, high_freq_factor or "
        "original_max_position_embeddings",
        "the file may be damaged: fetch it again");
  }
  for (double& frequency : config.rope_frequencies) {
    frequency =
        scale_as_llama3(static_cast<float>(frequency), static_cast<float>(factor), static_cast<float>(low),
                        static_cast<float>(high), static_cast<float>(original));
  }
}

/// GGUF's form of the same: a divisor for each frequency.
void apply_rope_divisors(const Reader& in, Config& config) {
  const Tensor* divisors = in.checkpoint.find_tensor("rope_freqs.weight");
  if (divisors == nullptr) return;
  const std::size_t n = config.rope_frequencies.size();
  if (divisors->dtype != DType::f32 || divisors->bytes.size() != n * sizeof(float)) {
    throw Error(
        in.checkpoint.id + ": tensor 'rope_freqs.weight' is not " + std::to_string(n) + " F32 numbers",
        "the file may be damaged: fetch it again");
  }
  for (std::size_t i = 0; i < n; ++i) {
    float divisor;
    std::memcpy(&divisor, divisors->bytes.data() + i * sizeof divisor, sizeof divisor);
    const float frequency = static_cast<float>(config.rope_frequencies[i]) / divisor;
    if (!std::isfinite(divisor) || divisor <= 0.0F || !std::isfinite(frequency)) {
      throw Error(in.checkpoint.id + ": tensor 'rope_freqs.weight' holds a number that is not positive",
                  "the file may be damaged: fetch it again");
    }
    config.rope_frequencies[i] = frequency;
  }
}

void read_rope(const Reader& in, Config& config) {
  const bool new_form = Reader::find(in.checkpoint.config, "rope_parameters") != nullptr;
  const json::object scaling = in.object(new_form ? "rope_parameters" : "rope_scaling");
  const double old_theta = in.number(in.checkpoint.config, "rope_theta", 10000.0);
  config.rope_theta = in.number(scaling, "rope_theta", old_theta);
  if (config.rope_theta <= 0.0) in.fail("rope_theta is not positive", "fetch the model again");
  const double partial = in.number(in.checkpoint.config, "partial_rotary_factor", 1.0);
  if (in.number(scaling, "partial_rotary_factor", partial) != 1.0) {
    in.fail("partial_rotary_factor is not supported", "use another model");
  }
  // Rounded to float32 where the reference rounds: at position p an error in the last place turns the angle
  // by p * 6e-8, which is seen in the logits after a few hundred tokens.
  for (std::int32_t i = 0; i < config.head_dim; i += 2) {
    const float exponent = static_cast<float>(i) / static_cast<float>(config.head_dim);
    const double power = std::pow(config.rope_theta, static_cast<double>(exponent));
    if (power < std::numeric_limits<float>::min() || power > std::numeric_limits<float>::max()) {
      in.fail("rope_theta is too " + std::string(power < 1.0 ? "small" : "large"), "fetch the model again");
    }
    config.rope_frequencies.push_back(1.0F / static_cast<float>(power));
  }
  apply_rope_scaling(in, scaling, config);
  apply_rope_divisors(in, config);
}

}  // namespace

Config parse_config(const Checkpoint& checkpoint) {
  const Reader in{checkpoint};
  Config config;
  config.model_type = read_model_type(in);
  config.hidden_size = in.size("hidden_size", 0, kMaxWidth);
  config.intermediate_size = in.size("intermediate_size", 0, kMaxWidth);
  config.num_layers = in.size("num_hidden_layers", 0, kMaxLayers);
  config.num_heads = in.size("num_attention_heads", 0, kMaxHeads);
  config.num_kv_heads = in.size("num_key_value_heads", config.num_heads, kMaxHeads);
  config.vocab_size = in.size("vocab_size", 0, kMaxVocab);
  const bool qwen3 = config.model_type == "qwen3";
  const std::int64_t head_dim = qwen3 ? 128 : config.hidden_size / config.num_heads;
  config.head_dim = in.size("head_dim", head_dim, kMaxHeadDim);
  config.max_position_embeddings =
      in.size("max_position_embeddings", config.model_type == "llama" ? 2048 : 32768, kMaxPositions);
  if (config.head_dim % 2 != 0) in.fail("head_dim is odd", "fetch the model again");
  if (config.num_heads % config.num_kv_heads != 0) {
    in.fail("num_attention_heads is not a multiple of num_key_value_heads", "fetch the model again");
  }
  const double eps = in.number(checkpoint.config, "rms_norm_eps", 1e-6);
  if (eps < 0.0 || eps > 1.0) in.fail("rms_norm_eps is not from 0 to 1", "fetch the model again");
  config.rms_norm_eps = static_cast<float>(eps);
  config.tie_word_embeddings = in.flag("tie_word_embeddings");
  config.attention_bias = config.model_type == "qwen2" || in.flag("attention_bias");
  config.mlp_bias = in.flag("mlp_bias");
  config.qk_norm = qwen3;
  config.rope_interleaved = in.flag("rope_interleaved");
  refuse_unknown_features(in, config.num_layers);
  read_rope(in, config);
  return config;
}

}  // namespace touchstone
