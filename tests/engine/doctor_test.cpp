#include "engine/doctor.h"

#include <gmock/gmock.h>

#include "engine/load.h"
#include "engine_golden.h"

namespace touchstone {
namespace {

using ::testing::HasSubstr;

std::string read_template(const std::string& name) {
  return testing::read_file(testing::golden_dir() / "chat/templates" / (name + ".jinja"));
}

Checkpoint r1_distill() {
  Checkpoint checkpoint = open_without_weights((testing::golden_dir() / "r1_distill_qwen").string());
  checkpoint.chat_template = read_template("deepseek-r1-distill-qwen");
  checkpoint.config = {{"model_type", "qwen2"}, {"eos_token_id", 151643}};
  checkpoint.generation_config = {
      {"do_sample", true}, {"temperature", 0.6}, {"top_p", 0.95}, {"eos_token_id", 151643}};
  return checkpoint;
}

/// A small ChatML model with nothing amiss.
Checkpoint chatml() {
  Checkpoint checkpoint = open_without_weights(testing::golden_models().front().string());
  const Tokenizer tokenizer = load_tokenizer(checkpoint);
  checkpoint.chat_template =
      "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
      "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";
  checkpoint.config = {{"model_type", "llama"}, {"eos_token_id", *tokenizer.find_token("<|im_end|>")}};
  checkpoint.generation_config = {{"do_sample", true}, {"temperature", 0.5}};
  return checkpoint;
}

const Finding* find(const std::vector<Finding>& findings, std::string_view code) {
  for (const Finding& finding : findings) {
    if (finding.code == code) return &finding;
  }
  return nullptr;
}

std::string codes_of(const std::vector<Finding>& findings) {
  std::string codes;
  for (const Finding& finding : findings) codes += finding.code + " ";
  return codes;
}

TEST(Doctor, FindsNothingAmissInASoundModel) { EXPECT_EQ(codes_of(examine(chatml())), ""); }

TEST(Doctor, SeesTheSecondBosOfR1DistillAndNothingElse) {
  const std::vector<Finding> findings = examine(r1_distill());
  EXPECT_EQ(codes_of(findings), "double_bos ");
  EXPECT_THAT(findings.front().what, HasSubstr("<｜begin▁of▁sentence｜>"));
}

TEST(Doctor, SeesAGenerationPromptThatDoesNotOpenTheThinking) {
  Checkpoint checkpoint = r1_distill();
  std::string& source = *checkpoint.chat_template;
  const std::string opener = "<｜Assistant｜><think>\\n";
  const std::size_t at = source.rfind(opener);
  ASSERT_NE(at, std::string::npos);
  source.replace(at, opener.size(), "<｜Assistant｜>");
  EXPECT_NE(find(examine(checkpoint), "missing_think_opener"), nullptr);
}

TEST(Doctor, QuotesTheSystemPromptThatATemplateHides) {
  Checkpoint checkpoint = chatml();
  checkpoint.chat_template = read_template("qwen2.5-instruct");
  const std::vector<Finding> findings = examine(checkpoint);
  const Finding* hidden = find(findings, "hidden_system_prompt");
  ASSERT_NE(hidden, nullptr) << codes_of(findings);
  EXPECT_THAT(hidden->what,
              HasSubstr("You are Qwen, created by Alibaba Cloud. You are a helpful assistant."));
  EXPECT_THAT(hidden->what, Not(HasSubstr("<|im_")));

  checkpoint.chat_template = read_template("chatml-default-system");
  const std::vector<Finding> others = examine(checkpoint);
  ASSERT_NE(find(others, "hidden_system_prompt"), nullptr) << codes_of(others);
  EXPECT_THAT(find(others, "hidden_system_prompt")->what, HasSubstr("'You are a helpful assistant.'"));
}

TEST(Doctor, SeesStopIdsThatClash) {
  Checkpoint checkpoint = chatml();
  const std::int64_t end = checkpoint.config.at("eos_token_id").as_int64();
  checkpoint.generation_config["eos_token_id"] = {end, 3, 1 << 20};
  const std::vector<Finding> findings = examine(checkpoint);
  EXPECT_EQ(codes_of(findings), "stop_ids_disagree stop_id_not_special stop_id_unknown ");
  EXPECT_THAT(findings[0].what, HasSubstr(std::to_string(end)));
  EXPECT_THAT(findings[1].what, HasSubstr("3"));
  EXPECT_THAT(findings[2].what, HasSubstr(std::to_string(1 << 20)));
}

TEST(Doctor, SeesATurnEndThatDoesNotStop) {
  Checkpoint checkpoint = chatml();
  const Tokenizer tokenizer = load_tokenizer(checkpoint);
  // The template ends turns with a special token that is nobody's end token.
  std::optional<std::int32_t> other;
  const std::vector<std::int32_t> stops = load_defaults(checkpoint, tokenizer).stop_ids;
  for (std::int32_t id = 0; id < tokenizer.vocab_size(); ++id) {
    if (tokenizer.is_special(id) && std::find(stops.begin(), stops.end(), id) == stops.end()) other = id;
  }
  ASSERT_TRUE(other.has_value());
  checkpoint.chat_template =
      "{% for m in messages %}{{ m.content }}" + tokenizer.token(*other) + "{% endfor %}";
  const std::vector<Finding> findings = examine(checkpoint);
  ASSERT_NE(find(findings, "turn_end_not_a_stop"), nullptr) << codes_of(findings);
  EXPECT_THAT(find(findings, "turn_end_not_a_stop")->what, HasSubstr(tokenizer.token(*other)));
}

TEST(Doctor, SeesTemplatesThatAreMissingOrFail) {
  Checkpoint checkpoint = chatml();
  checkpoint.chat_template.reset();
  EXPECT_NE(find(examine(checkpoint), "no_chat_template"), nullptr);
  checkpoint.chat_template = "{% if %}";
  EXPECT_NE(find(examine(checkpoint), "template_fails"), nullptr);
  checkpoint.chat_template = "{{ raise_exception('not for you') }}";
  const std::vector<Finding> findings = examine(checkpoint);
  ASSERT_NE(find(findings, "template_fails"), nullptr);
  EXPECT_THAT(find(findings, "template_fails")->what, HasSubstr("not for you"));
}

TEST(Doctor, ComparesSamplingWithThePublishers) {
  Checkpoint checkpoint = r1_distill();
  checkpoint.generation_config = {{"do_sample", true}, {"temperature", 1.0}, {"top_p", 0.95}};
  const std::vector<Finding> findings = examine(checkpoint);
  ASSERT_NE(find(findings, "sampling_deviates"), nullptr) << codes_of(findings);
  EXPECT_THAT(find(findings, "sampling_deviates")->advice, HasSubstr("0.6"));
  checkpoint.generation_config = {};
  const std::vector<Finding> unnamed = examine(checkpoint);
  ASSERT_NE(find(unnamed, "no_published_sampling"), nullptr) << codes_of(unnamed);
  EXPECT_THAT(find(unnamed, "no_published_sampling")->advice, HasSubstr("DeepSeek-R1-Distill"));
}

TEST(Doctor, ListsTheTensorsThatAModelLacksOrHoldsInAnotherShape) {
  Checkpoint checkpoint = open_checkpoint((testing::golden_dir() / "models" / "qwen2-tied").string());
  const Config config = parse_config(checkpoint);
  EXPECT_EQ(codes_of(examine_tensors(checkpoint, config)), "");
  checkpoint.tensors.erase("model.norm.weight");
  checkpoint.tensors.erase("model.layers.1.mlp.up_proj.weight");
  checkpoint.tensors.at("model.layers.0.input_layernorm.weight").shape = {3, 5};
  const Tensor norm = checkpoint.tensors.at("model.layers.0.input_layernorm.weight");
  checkpoint.tensors["model.layers.77.input_layernorm.weight"] = norm;
  const std::vector<Finding> findings = examine_tensors(checkpoint, config);
  ASSERT_EQ(codes_of(findings), "tensor_amiss tensor_amiss tensor_amiss tensor_amiss ");
  EXPECT_THAT(findings[0].what,
              HasSubstr("'model.layers.77.input_layernorm.weight' is there, but config has"));
  EXPECT_THAT(findings[1].what, HasSubstr("'model.layers.0.input_layernorm.weight' has shape [3, 5]"));
  EXPECT_THAT(findings[2].what, HasSubstr("no tensor 'model.layers.1.mlp.up_proj.weight'"));
  EXPECT_THAT(findings[3].what, HasSubstr("no tensor 'model.norm.weight'"));
}

TEST(Doctor, OfVeryManyTensorsThatAreAmissSaysHowMany) {
  Checkpoint checkpoint = open_checkpoint((testing::golden_dir() / "models" / "qwen2-tied").string());
  const Config config = parse_config(checkpoint);
  checkpoint.tensors.clear();
  const std::vector<Finding> findings = examine_tensors(checkpoint, config);
  ASSERT_EQ(findings.size(), 21U);
  EXPECT_EQ(findings.back().code, "more_tensors_amiss");
  EXPECT_THAT(findings.back().what, HasSubstr("tensors are amiss; the first 20 are listed"));
}

}  // namespace
}  // namespace touchstone
