#include <gtest/gtest.h>

#include <cmath>

#include "base/error.h"
#include "formats/checkpoint.h"
#include "model/tiny_model.h"
#include "model/transformer.h"

namespace touchstone::testing {
namespace {

namespace json = boost::json;

json::object llama_config() {
  return {{"model_type", "llama"},  {"hidden_size", 64},         {"intermediate_size", 96},
          {"num_hidden_layers", 2}, {"num_attention_heads", 4},  {"num_key_value_heads", 2},
          {"vocab_size", 100},      {"rms_norm_eps", 1e-5},      {"max_position_embeddings", 512},
          {"rope_theta", 500000.0}, {"torch_dtype", "bfloat16"}, {"hidden_act", "silu"}};
}

Config parse(const json::object& config) {
  Checkpoint checkpoint;
  checkpoint.id = "some-model";
  checkpoint.config = config;
  return parse_config(checkpoint);
}

/// The error's two lines for a config with one field changed.
std::string error_of(json::object config, const char* key, const json::value& value) {
  config[key] = value;
  try {
    parse(config);
  } catch (const Error& error) {
    return std::string(error.what()) + "; " + error.hint();
  }
  return "no error";
}

TEST(Config, OldAndNewFormsMeanTheSame) {
  const json::object scaling{{"factor", 8.0},
                             {"high_freq_factor", 4.0},
                             {"low_freq_factor", 1.0},
                             {"original_max_position_embeddings", 64},
                             {"rope_type", "llama3"}};
  json::object old_form = llama_config();
  old_form["rope_scaling"] = scaling;
  json::object new_form = llama_config();
  new_form.erase("rope_theta");
  new_form.erase("torch_dtype");
  new_form["dtype"] = "bfloat16";
  json::object parameters = scaling;
  parameters["rope_theta"] = 500000.0;
  new_form["rope_parameters"] = parameters;
  const Config a = parse(old_form);
  const Config b = parse(new_form);
  EXPECT_EQ(a.rope_frequencies, b.rope_frequencies);
  EXPECT_EQ(a.rope_theta, b.rope_theta);
  EXPECT_NE(a.rope_frequencies, parse(llama_config()).rope_frequencies);
}

TEST(Config, Llama3ScalingKeepsShortWavesAndSlowsLongOnes) {
  json::object config = llama_config();
  config["rope_scaling"] = {{"factor", 8.0},
                            {"high_freq_factor", 4.0},
                            {"low_freq_factor", 1.0},
                            {"original_max_position_embeddings", 64},
                            {"type", "llama3"}};
  const Config plain = parse(llama_config());
  const Config scaled = parse(config);
  ASSERT_EQ(scaled.rope_frequencies.size(), 8U);
  EXPECT_EQ(scaled.rope_frequencies.front(), plain.rope_frequencies.front());
  EXPECT_FLOAT_EQ(static_cast<float>(scaled.rope_frequencies.back()),
                  static_cast<float>(plain.rope_frequencies.back() / 8.0));
}

TEST(Config, MissingFieldsGetTheFamiliesDefaults) {
  json::object config = llama_config();
  config.erase("num_key_value_heads");
  config.erase("rope_theta");
  const Config c = parse(config);
  EXPECT_EQ(c.num_kv_heads, 4);
  EXPECT_EQ(c.head_dim, 16);
  EXPECT_EQ(c.rope_theta, 10000.0);
  EXPECT_FALSE(c.tie_word_embeddings);
  EXPECT_FALSE(c.attention_bias);
  config["model_type"] = "qwen3";
  EXPECT_EQ(parse(config).head_dim, 128);
  EXPECT_TRUE(parse(config).qk_norm);
  config["model_type"] = "qwen2";
  EXPECT_TRUE(parse(config).attention_bias);
}

TEST(Config, ASlidingWindowThatIsNotUsedIsFine) {
  json::object config = llama_config();
  config["sliding_window"] = 4096;
  config["use_sliding_window"] = false;
  config["max_window_layers"] = 21;
  config["rope_scaling"] = nullptr;
  EXPECT_NO_THROW(parse(config));
}

TEST(Config, WhatIsNotSupportedIsNamed) {
  const json::object config = llama_config();
  EXPECT_EQ(
      error_of(config, "model_type", "gemma3"),
      "some-model: config: model_type 'gemma3' is not supported; qwen2 (and qwen2.5), llama and qwen3 are");
  EXPECT_NE(error_of(config, "rope_scaling", json::object{{"type", "yarn"}, {"factor", 4.0}}).find("'yarn'"),
            std::string::npos);
  EXPECT_NE(error_of(config, "rope_parameters", json::object{{"rope_type", "longrope"}}).find("'longrope'"),
            std::string::npos);
  EXPECT_NE(error_of(config, "hidden_act", "gelu").find("'gelu'"), std::string::npos);
  EXPECT_NE(error_of(config, "partial_rotary_factor", 0.5).find("partial_rotary_factor"), std::string::npos);
  EXPECT_NE(
      error_of(config, "layer_types", json::array{"full_attention", "sliding_attention"}).find("layer_types"),
      std::string::npos);
  EXPECT_NE(error_of(config, "quantization_config", json::object{{"bits", 4}}).find("quantized"),
            std::string::npos);
  EXPECT_NE(error_of(config, "layer_types", "sliding_attention").find("layer_types"), std::string::npos);
  const std::string long_name = error_of(config, "model_type", json::string(10'000, 'x'));
  EXPECT_LT(long_name.size(), 400U);
  json::object window = config;
  window["use_sliding_window"] = true;
  EXPECT_NE(error_of(window, "sliding_window", 512).find("use_sliding_window"), std::string::npos);
}

TEST(Config, ImpossibleNumbersAreNamed) {
  const json::object config = llama_config();
  const std::pair<const char*, json::value> cases[] = {{"hidden_size", 0},
                                                       {"hidden_size", -64},
                                                       {"hidden_size", 1e300},
                                                       {"hidden_size", "64"},
                                                       {"hidden_size", nullptr},
                                                       {"num_hidden_layers", 1.5},
                                                       {"num_attention_heads", 1 << 30},
                                                       {"num_key_value_heads", 3},
                                                       {"head_dim", 7},
                                                       {"head_dim", 1 << 20},
                                                       {"vocab_size", json::array{}},
                                                       {"rms_norm_eps", -1.0},
                                                       {"rms_norm_eps", 1e99},
                                                       {"rope_theta", 0.0},
                                                       {"rope_theta", 1e-300},
                                                       {"rope_theta", 1e300},
                                                       {"tie_word_embeddings", 1},
                                                       {"rope_scaling", "llama3"},
                                                       {"max_position_embeddings", 0}};
  for (const auto& [key, value] : cases) {
    EXPECT_NE(error_of(config, key, value).find(key), std::string::npos) << key << " = " << value;
  }
  EXPECT_NE(error_of(config, "rope_scaling", json::object{{"rope_type", "llama3"}}).find("low_freq_factor"),
            std::string::npos);
}

TEST(Config, NumbersOfLlama3ScalingFitFloat32) {
  const json::object scaling{{"factor", 8.0},
                             {"high_freq_factor", 4.0},
                             {"low_freq_factor", 1.0},
                             {"original_max_position_embeddings", 64},
                             {"rope_type", "llama3"}};
  EXPECT_EQ(error_of(llama_config(), "rope_scaling", scaling), "no error");
  for (const char* key : {"factor", "high_freq_factor", "original_max_position_embeddings"}) {
    json::object large = scaling;
    large[key] = 1e300;
    EXPECT_NE(error_of(llama_config(), "rope_scaling", large).find(key), std::string::npos);
  }
}

std::string load_error_of(const Checkpoint& checkpoint, const ModelOptions& options = {.num_threads = 1}) {
  try {
    const Transformer model(checkpoint, options);
  } catch (const Error& error) {
    return std::string(error.what()) + "; " + error.hint();
  }
  return "no error";
}

TEST(Weights, AMissingTensorIsNamed) {
  TinyModel tiny({});
  tiny.checkpoint.tensors.erase("model.layers.1.mlp.up_proj.weight");
  EXPECT_NE(load_error_of(tiny.checkpoint).find("model.layers.1.mlp.up_proj.weight"), std::string::npos);
}

TEST(Weights, AMissingBiasOrHeadIsNamed) {
  TinyModel tiny({});
  tiny.checkpoint.tensors.erase("model.layers.0.self_attn.k_proj.bias");
  EXPECT_NE(load_error_of(tiny.checkpoint).find("k_proj.bias"), std::string::npos);
  TinyModel headless({.tied = true});
  headless.checkpoint.config["tie_word_embeddings"] = false;
  EXPECT_NE(load_error_of(headless.checkpoint).find("lm_head.weight"), std::string::npos);
}

TEST(Weights, AMisshapenTensorIsNamedWithBothShapes) {
  TinyModel tiny({});
  tiny.add("model.layers.0.self_attn.v_proj.weight", {21, 40});
  const std::string error = load_error_of(tiny.checkpoint);
  EXPECT_NE(
      error.find("'model.layers.0.self_attn.v_proj.weight' has shape [21, 40], but config wants [20, 40]"),
      std::string::npos)
      << error;
  TinyModel flat({});
  flat.add("model.norm.weight", {40, 1});
  EXPECT_NE(load_error_of(flat.checkpoint).find("[40, 1]"), std::string::npos);
}

TEST(Weights, ABiasThatConfigDoesNotAnnounceIsAnError) {
  TinyModel tiny({.model_type = "llama"});
  EXPECT_EQ(load_error_of(tiny.checkpoint), "no error");
  tiny.add("model.layers.1.self_attn.q_proj.bias", {60});
  EXPECT_NE(load_error_of(tiny.checkpoint).find("model.layers.1.self_attn.q_proj.bias"), std::string::npos);
}

TEST(Weights, MoreLayersThanConfigSaysAreAnError) {
  TinyModel tiny({});
  tiny.checkpoint.config["num_hidden_layers"] = 1;
  const std::string error = load_error_of(tiny.checkpoint);
  EXPECT_NE(error.find("'model.layers.1."), std::string::npos) << error;
  EXPECT_NE(error.find("config has only 1 layers"), std::string::npos) << error;
  TinyModel huge({});
  huge.add("model.layers.99999999999999999999.input_layernorm.weight", {40});
  EXPECT_NE(load_error_of(huge.checkpoint).find("config has only 2 layers"), std::string::npos);
}

TEST(Weights, NormsOfQAndKThatTheModelsTypeLacksAreAnError) {
  TinyModel tiny({});
  tiny.add("model.layers.0.self_attn.q_norm.weight", {10});
  EXPECT_NE(load_error_of(tiny.checkpoint).find("model.layers.0.self_attn.q_norm.weight"), std::string::npos);
}

TEST(Weights, OtherTensorsThatTheModelDoesNotUseAreLeftAlone) {
  TinyModel tiny({});
  for (const char* name : {"model.layers.0.self_attn.rotary_emb.inv_freq", "visual.norm.weight",
                           "model.layers.x.y", "model.layers.7"}) {
    tiny.add(name, {40});
  }
  EXPECT_EQ(load_error_of(tiny.checkpoint), "no error");
}

TEST(Weights, AnUnknownDtypeOrInstructionSetIsAnError) {
  const TinyModel tiny({});
  EXPECT_NE(load_error_of(tiny.checkpoint, {.dtype = "int3"}).find("int3"), std::string::npos);
  EXPECT_NE(load_error_of(tiny.checkpoint, {.isa = "mmx"}).find("mmx"), std::string::npos);
}

}  // namespace
}  // namespace touchstone::testing
