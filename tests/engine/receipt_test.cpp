#include "engine/receipt.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "base/sha256.h"
#include "engine/model_hashes.h"
#include "engine/replay.h"

namespace touchstone {
namespace {

namespace json = boost::json;

std::shared_ptr<LoadedModel> load_native() {
  LoadOptions options;
  options.num_threads = 1;
  return std::make_shared<LoadedModel>(load_model("demo:native", options));
}

TEST(Receipt, AModelsTokenizerIsHashedAfterItsFilesAreLetGo) {
  EXPECT_NE(hash_model(*load_native()).tokenizer, hash_text(""));
}

TEST(Receipt, AllSettingsComeBackAsTheyWere) {
  Receipt receipt{.model = "m",
                  .hashes = {std::string(64, '1'), std::string(64, '2'), "", std::string(64, '4')},
                  .engine_version = "1.2.3",
                  .dtype = "int8",
                  .kv_dtype = "f16",
                  .context_tokens = 77,
                  .prompt_ids = {1, 2, 3},
                  .reasoning_opened = true,
                  .sampling = {},
                  .loop_guard = true,
                  .response_format = {{"type", "json_object"}},
                  .outputs = {{.sample = 4,
                               .ids = {5, 6},
                               .finish_reason = FinishReason::deadline,
                               .answered_after = 3,
                               .text_sha256 = std::string(64, '5'),
                               .reasoning_sha256 = std::string(64, '6')},
                              {.sample = 5,
                               .ids = {},
                               .finish_reason = FinishReason::loop,
                               .answered_after = {},
                               .text_sha256 = std::string(64, '5'),
                               .reasoning_sha256 = std::string(64, '6')}}};
  SamplingParams& params = receipt.sampling;
  params = {.temperature = 0.1F,
            .top_p = 0.7F,
            .top_k = 9,
            .min_p = 1.0F / 3,
            .repetition_penalty = 1.1F,
            .presence_penalty = -0.3F,
            .frequency_penalty = 0.123456789F,
            .seed = ~std::uint64_t{0},
            .max_new_tokens = 5,
            .stop = {"a\n", "\"b"},
            .stop_ids = {7, 8},
            .ignore_eos = true,
            .reasoning_budget = 12,
            .logit_bias = {{3, -100.0F}, {4, 0.1F}}};
  const Receipt back = parse_receipt(json::parse(json::serialize(to_json(receipt))));
  EXPECT_EQ(to_json(back), to_json(receipt));
  EXPECT_EQ(back.sampling.temperature, params.temperature);
  EXPECT_EQ(back.sampling.min_p, params.min_p);
  EXPECT_EQ(back.sampling.frequency_penalty, params.frequency_penalty);
  EXPECT_EQ(back.sampling.seed, params.seed);
  EXPECT_EQ(back.sampling.logit_bias, params.logit_bias);
  EXPECT_EQ(back.sampling.stop, params.stop);
  EXPECT_EQ(back.outputs, receipt.outputs);
}

TEST(Receipt, OneSampleOfSeveralIsMadeAgainAlone) {
  const auto model = load_native();
  Engine engine(model, {.max_batch = 4, .context_tokens = 2048});
  GenerateRequest request;
  request.prompt_ids = model->tokenizer.encode("Tom has 3 boxes", {});
  request.sampling = model->defaults;
  request.sampling.temperature = 50;
  request.sampling.top_p = 1;
  request.sampling.max_new_tokens = 12;
  request.sampling.ignore_eos = true;
  request.n = 4;
  const GenerateResult all = engine.generate(request);
  request.n = 1;
  for (std::uint32_t sample = 0; sample < 4; ++sample) {
    request.first_sample = sample;
    EXPECT_EQ(engine.generate(request).samples.front().ids, all.samples[sample].ids);
  }
  EXPECT_NE(all.samples[0].ids, all.samples[3].ids);
}

TEST(Receipt, AnAnswerUnderASchemaIsMadeAgain) {
  const auto model = load_native();
  Engine engine(model, {.max_batch = 1, .context_tokens = 2048});
  const json::value format = json::parse(
      R"({"type":"json_schema","json_schema":{"name":"n","schema":{"type":"object","properties":{"a":{"type":"integer"}},"required":["a"]}}})");
  GenerateRequest request;
  request.prompt_ids = model->tokenizer.encode("A number:", {});
  request.sampling = model->defaults;
  request.sampling.max_new_tokens = 40;
  request.constraint = make_constraint(format);
  request.loop_guard = true;
  Receipt receipt = begin_receipt(*model, request, engine.max_sequence_tokens());
  receipt.response_format = format;
  receipt.hashes = hash_model(*model);
  receipt.outputs = {describe_output(0, engine.generate(request).samples.front())};
  EXPECT_TRUE(replay(model, receipt).same());
  receipt.response_format = nullptr;
  EXPECT_FALSE(replay(model, receipt).same());
}

TEST(Receipt, AnAnswerThatTheClientWantedAtOnceIsMadeAgain) {
  const auto model = load_native();
  Engine engine(model, {.max_batch = 1, .context_tokens = 2048, .lookup = Lookup::off});
  GenerateRequest request;
  request.prompt_ids = model->tokenizer.encode("Tom has 3 boxes", {});
  request.reasoning_opened = true;
  request.sampling = model->defaults;
  request.sampling.ignore_eos = true;
  request.sampling.max_new_tokens = 40;
  Receipt receipt = begin_receipt(*model, request, engine.max_sequence_tokens());
  receipt.hashes = hash_model(*model);
  const Engine::RequestId id = engine.submit(request);
  for (int i = 0; i < 8; ++i) engine.step();
  engine.close_thinking(id);
  GeneratedSample sample;
  while (!engine.idle()) {
    for (auto& [done, result] : engine.step()) sample = result.samples.front();
  }
  ASSERT_TRUE(sample.reasoning_closed);
  ASSERT_EQ(sample.answered_after, 8);
  receipt.outputs = {describe_output(0, sample)};
  const Receipt read = parse_receipt(json::parse(json::serialize(to_json(receipt))));
  EXPECT_TRUE(replay(model, read).same());
  receipt.outputs[0].answered_after.reset();
  EXPECT_FALSE(replay(model, receipt).same());
}

TEST(Receipt, WhatTheClockCutIsComparedAsFarAsItWent) {
  const auto model = load_native();
  Engine engine(model, {.max_batch = 1, .context_tokens = 2048});
  GenerateRequest request;
  request.prompt_ids = model->tokenizer.encode("Tom has 3 boxes", {});
  request.sampling = model->defaults;
  request.sampling.ignore_eos = true;
  Receipt receipt = begin_receipt(*model, request, engine.max_sequence_tokens());
  receipt.hashes = hash_model(*model);
  int tokens = 0;
  request.on_token = [&](const TokenEvent&) { return ++tokens < 20; };
  receipt.outputs = {describe_output(0, engine.generate(request).samples.front())};
  ASSERT_EQ(receipt.outputs[0].finish_reason, FinishReason::cancelled);
  ASSERT_EQ(receipt.outputs[0].ids.size(), 20U);
  EXPECT_TRUE(replay(model, receipt).same());
}

}  // namespace
}  // namespace touchstone
