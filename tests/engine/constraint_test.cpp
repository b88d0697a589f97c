// Grammars of JSON schemas, and models that must follow them.
#include "engine/constraint.h"

#include <gmock/gmock.h>

#include <cstdlib>
#include <set>

#include "base/error.h"
#include "engine/prompt.h"
#include "engine_runs.h"
#include "support/json_schema_check.h"
#include "text/json_schema.h"

namespace touchstone {
namespace {

namespace json = boost::json;
using testing::greedy_request;
using ::testing::HasSubstr;
using testing::load;
using testing::schemas;
using testing::small;
using testing::some_model;

Constraint make_constraint(const std::string& schema, std::shared_ptr<const TokenTree> tokens = nullptr) {
  return {std::make_shared<Grammar>(compile_json_schema(json::parse(schema))), std::move(tokens)};
}

bool allows(const std::string& schema, std::string_view text) {
  Constraint constraint = make_constraint(schema);
  const std::int32_t state = constraint.advance(constraint.start(), text);
  return state != Constraint::impossible && constraint.may_end(state);
}

void expect_valid(const std::string& schema, const std::string& text) {
  json::error_code error;
  const json::value value = json::parse(text, error);
  EXPECT_FALSE(error) << schema << " let through " << text;
  const json::value parsed = json::parse(schema);
  EXPECT_TRUE(error || testing::accepts(parsed, parsed, value)) << schema << " let through " << text;
}

/// A text of the grammar by random bytes; those that close things are likelier, so that it ends.
std::string write_at_random(Constraint& constraint, std::mt19937& random) {
  std::string text;
  std::int32_t state = constraint.start();
  while (text.size() < 5000) {
    std::string possible;
    for (int byte = 0; byte < 256; ++byte) {
      const std::string one(1, static_cast<char>(byte));
      if (constraint.advance(state, one) != Constraint::impossible) possible += one;
    }
    if (constraint.may_end(state) && (possible.empty() || random() % 3 == 0)) return text;
    if (possible.empty()) {
      ADD_FAILURE() << "nothing may follow " << text;
      return text;
    }
    std::string closing;
    for (const char c : possible) {
      if (c == '"' || c == ']' || c == '}' || c == ',' || c == 'l') closing += c;
    }
    const std::string& from = !closing.empty() && random() % 3 == 0 ? closing : possible;
    text += from[random() % from.size()];
    state = constraint.advance(state, text.substr(text.size() - 1));
  }
  return "";
}

TEST(JsonSchemaGrammar, AllOfItsTextsParseAndValidate) {
  ASSERT_GE(schemas().size(), 30U);
  std::mt19937 random(40);
  for (const std::string& schema : schemas()) {
    SCOPED_TRACE(schema);
    Constraint constraint = make_constraint(schema);
    int ended = 0;
    for (int i = 0; i < 60; ++i) {
      const std::string text = write_at_random(constraint, random);
      if (text.empty()) continue;
      ++ended;
      expect_valid(schema, text);
    }
    EXPECT_GE(ended, 30);
  }
}

TEST(JsonSchemaGrammar, HoldsWhatPeopleWouldWrite) {
  const std::string person = schemas()[1];
  EXPECT_TRUE(allows(person, R"({"name":"Ada","age":36})"));
  EXPECT_TRUE(allows(person, R"({"name": "Ада \u00e9 \"x\" 🙂", "age": -1})"));
  EXPECT_TRUE(allows(person, "{\n  \"name\": \"\",\n  \"age\": 0\n}"));
  EXPECT_FALSE(allows(person, R"({"name":"Ada"})"));
  EXPECT_FALSE(allows(person, R"({"name":"Ada","age":36,"x":1})"));
  EXPECT_FALSE(allows(person, R"({"name":"Ada","age":36.5})"));
  EXPECT_FALSE(allows(person, R"({"name":"Ada","age":036})"));
  EXPECT_FALSE(allows(person, "{\"name\":\"A\nda\",\"age\":1}"));
  EXPECT_FALSE(allows(person, "{\"name\":\"\xC0\x80\",\"age\":1}"));
  EXPECT_FALSE(allows(person, R"({"name":"\ud800","age":1})"));
  EXPECT_FALSE(allows(person, R"({"name":"Ada","age":36} )"));
  EXPECT_TRUE(allows(R"({"type":"object"})", R"({"a": [1, 2.5e-3, {"b": null}], "c": "d"})"));
  EXPECT_FALSE(allows(R"({"type":"object"})", R"([1])"));
  const std::string others =
      R"({"properties":{"ab":{"type":"integer"}},"additionalProperties":{"type":"string"}})";
  EXPECT_TRUE(allows(others, R"({"ab":1,"a":"x","abc":"y","é":"z"})"));
  EXPECT_TRUE(allows(others, R"({"b":"x"})"));
  EXPECT_FALSE(allows(others, R"({"ab":"x"})"));
  EXPECT_FALSE(allows(others, R"({"a":1})"));
}

TEST(JsonSchemaGrammar, IntegersKeepTheirBoundsExactly) {
  for (const auto& [low, high] : {std::pair{-12, 105}, {0, 0}, {7, 7}, {-1005, -98}, {1, 999}, {-1, 1}}) {
    const std::string schema = R"({"type":"integer","minimum":)" + std::to_string(low) + R"(,"maximum":)" +
                               std::to_string(high) + "}";
    Constraint constraint = make_constraint(schema);
    for (int i = -2000; i <= 2000; ++i) {
      const std::int32_t state = constraint.advance(constraint.start(), std::to_string(i));
      EXPECT_EQ(state != Constraint::impossible && constraint.may_end(state), low <= i && i <= high)
          << schema << i;
    }
  }
}

TEST(JsonSchemaGrammar, StringsKeepTheirLengthInCharacters) {
  const std::string schema = R"({"type":"string","minLength":2,"maxLength":3})";
  EXPECT_FALSE(allows(schema, R"("é")"));
  EXPECT_TRUE(allows(schema, R"("é🙂")"));
  EXPECT_TRUE(allows(schema, R"("\u00e9\n☃")"));
  EXPECT_FALSE(allows(schema, R"("abcd")"));
}

TEST(JsonSchemaGrammar, ValuesNestNoDeeperThanParsersRead) {
  const std::string deep(200, '[');
  Constraint constraint = make_constraint("true");
  std::size_t depth = 0;
  while (constraint.advance(constraint.start(), deep.substr(0, depth + 1)) != Constraint::impossible) ++depth;
  EXPECT_EQ(depth, static_cast<std::size_t>(Grammar::most_nesting));
  // Where a schema demands more levels, a value begins no list that it could not end.
  Constraint list = make_constraint(schemas()[33]);
  std::string text;
  std::int32_t state = list.start();
  for (int i = 0; i < Grammar::most_nesting - 1; ++i) text += R"({"value":1,"next":)";
  state = list.advance(state, text);
  ASSERT_NE(state, Constraint::impossible);
  EXPECT_NE(list.advance(state, R"({"value":1,"next":n)"), Constraint::impossible);
  EXPECT_EQ(list.advance(state, R"({"value":1,"next":{)"), Constraint::impossible);
}

TEST(JsonSchemaGrammar, WhatItDoesNotUnderstandIsRefusedByName) {
  const auto refusal = [](const std::string& schema) -> std::string {
    try {
      compile_json_schema(json::parse(schema));
    } catch (const Error& error) {
      return error.what();
    }
    return "accepted";
  };
  EXPECT_THAT(refusal(R"({"type":"string","pattern":"a+"})"), HasSubstr("'pattern'"));
  EXPECT_THAT(refusal(R"({"type":"object","properties":{"a":{"not":{}}}})"), HasSubstr("'not'"));
  EXPECT_THAT(refusal(R"({"anyOf":[{}],"type":"object"})"),
              HasSubstr("'type' is not supported beside 'anyOf'"));
  EXPECT_THAT(refusal(R"({"allOf":[{},{}]})"), HasSubstr("'allOf'"));
  EXPECT_THAT(refusal(R"({"$ref":"http://example.com/x"})"), HasSubstr("$ref"));
  EXPECT_THAT(refusal(R"({"$ref":"#/$defs/none"})"), HasSubstr("refers to nothing"));
  EXPECT_THAT(refusal(R"({"$ref":"#"})"), HasSubstr("itself"));
  EXPECT_THAT(
      refusal(R"({"$defs":{"a":{"anyOf":[{"$ref":"#/$defs/a"},{"type":"null"}]}},"$ref":"#/$defs/a"})"),
      HasSubstr("itself"));
  EXPECT_THAT(
      refusal(
          R"({"$defs":{"a":{"type":"object","properties":{"a":{"$ref":"#/$defs/a"}},"required":["a"]}},"$ref":"#/$defs/a"})"),
      HasSubstr("have no end"));
  EXPECT_THAT(refusal(R"({"type":"integer","minimum":3,"maximum":2})"), HasSubstr("no number"));
  EXPECT_THAT(refusal(R"({"type":"array","minItems":3,"maxItems":2})"), HasSubstr("minItems"));
  EXPECT_THAT(refusal(R"({"type":"string","minLength":-1})"), HasSubstr("'minLength'"));
  EXPECT_THAT(refusal(R"({"type":"string","minLength":4000000000})"), HasSubstr("too large"));
  EXPECT_THAT(refusal(R"({"type":"float"})"), HasSubstr("'float'"));
  EXPECT_THAT(refusal(R"({"enum":[1],"type":"float"})"), HasSubstr("'float'"));
  EXPECT_THAT(refusal(R"({"type":7})"), HasSubstr("'type'"));
  EXPECT_THAT(refusal(R"({"enum":[]})"), HasSubstr("'enum'"));
  EXPECT_THAT(refusal(R"({"required":["a"],"additionalProperties":false})"), HasSubstr("'a'"));
  EXPECT_THAT(refusal(R"([])"), HasSubstr("objects or booleans"));
  EXPECT_THAT(refusal(R"({"type":"object","properties":{"a":false},"required":["a"]})"),
              HasSubstr("'false'"));
  json::value nested = true;
  for (int i = 0; i < 500; ++i) nested = json::object{{"items", nested}};
  EXPECT_THROW(compile_json_schema(nested), Error);
}

TEST(Constraint, ALongStringOfLimitedLengthMakesNoWalkForEachOfItsPlaces) {
  const auto model = load(some_model());
  const auto tree = std::make_shared<TokenTree>(make_token_tree(model->tokenizer));
  Constraint constraint = make_constraint(R"({"type":"string","maxLength":900})", tree);
  std::set<const void*> walks;
  std::string text = "\"";
  for (int i = 0; i < 700; ++i) {
    walks.insert(constraint.allowed_tokens(constraint.advance(constraint.start(), text)).data());
    text += "x";
  }
  EXPECT_EQ(walks.size(), 1U);
}

TEST(Constraint, AlternativesThatBeginAlikeAndHoldOneAnotherAreNotFollowedWithoutEnd) {
  std::string schema = R"({"$ref":"#/$defs/t","$defs":{"t":{"anyOf":[{"type":"null"})";
  for (int i = 0; i < 20; ++i) schema += R"(,{"type":"array","items":{"$ref":"#/$defs/t"}})";
  Constraint constraint = make_constraint(schema + "]}}}");
  EXPECT_NE(constraint.advance(constraint.start(), "[null]"), Constraint::impossible);
  EXPECT_EQ(constraint.advance(constraint.start(), "[[[["), Constraint::impossible);
  EXPECT_LT(constraint.bytes(), 1'000'000U);
}

TEST(Constraint, ATokenIsAllowedIfAllOfItsBytesAre) {
  const auto model = load(some_model());
  const auto tree = std::make_shared<TokenTree>(make_token_tree(model->tokenizer));
  std::mt19937 random(41);
  for (const std::string& schema : schemas()) {
    Constraint constraint = make_constraint(schema, tree);
    const std::string text = write_at_random(constraint, random);
    const std::int32_t state =
        constraint.advance(constraint.start(), text.substr(0, random() % (text.size() + 1)));
    const std::vector<std::uint64_t> allowed = constraint.allowed_tokens(state);
    for (std::int32_t id = 0; id < model->tokenizer.vocab_size(); ++id) {
      const auto place = static_cast<std::size_t>(id);
      const bool is_text = model->tokenizer.has_token(id) && !model->tokenizer.is_special(id);
      const bool fits = is_text && !model->tokenizer.token_bytes(id).empty() &&
                        constraint.advance(state, model->tokenizer.token_bytes(id)) != Constraint::impossible;
      EXPECT_EQ((allowed[place / 64] >> (place % 64) & 1) != 0, fits) << schema << id;
    }
  }
}

/// Makes the ends of things likelier, so that random weights come to one.
std::vector<std::pair<std::int32_t, float>> favour_ends(const Tokenizer& tokenizer) {
  std::vector<std::pair<std::int32_t, float>> bias;
  for (const char* token : {"\"", "}", "]", ":", ",", "\"}", "\"]"}) {
    if (const auto id = tokenizer.find_token(token)) bias.emplace_back(*id, 4.0F);
  }
  return bias;
}

std::vector<GenerateRequest> make_constrained_requests(const LoadedModel& model, std::uint32_t seed) {
  std::vector<GenerateRequest> requests;
  for (const std::string& schema : schemas()) {
    GenerateRequest request = greedy_request({5, 6, 7}, 150);
    request.sampling.temperature = 1;
    request.sampling.top_p = 0.95F;
    request.sampling.seed = seed + requests.size();
    request.sampling.stop_ids = model.defaults.stop_ids;
    request.sampling.logit_bias = favour_ends(model.tokenizer);
    request.constraint = std::make_shared<Grammar>(compile_json_schema(json::parse(schema)));
    request.n = 2;
    request.loop_guard = false;
    requests.push_back(std::move(request));
  }
  return requests;
}

TEST(HeavyConstrainedGeneration, RandomWeightsWriteWhatTheSchemaAccepts) {
  for (const auto& folder : testing::golden_models()) {
    SCOPED_TRACE(folder.filename().string());
    const auto model = load(folder);
    const std::vector<GenerateRequest> requests = make_constrained_requests(*model, 50);
    const auto results = testing::run_together(model, small(16384), requests).results;
    int ended = 0;
    for (std::size_t i = 0; i < results.size(); ++i) {
      for (const GeneratedSample& sample : results[i].samples) {
        if (sample.finish_reason != FinishReason::stop) continue;
        ++ended;
        expect_valid(schemas()[i], sample.text);
      }
    }
    EXPECT_GE(ended, 40) << "of " << 2 * results.size();
  }
}

TEST(ConstrainedGeneration, GivesTheSameBytesAloneTogetherAndWithLookup) {
  const auto model = load(some_model());
  const std::vector<GenerateRequest> requests = make_constrained_requests(*model, 60);
  const auto alone = testing::run_alone(model, small(), requests);
  for (const Lookup lookup : {Lookup::off, Lookup::on}) {
    EngineOptions options = small(16384);
    options.lookup = lookup;
    testing::expect_same(testing::run_together(model, options, requests).results, alone);
  }
}

TEST(ConstrainedGeneration, BeginsBehindTheThinking) {
  const auto model = load(some_model());
  for (const std::string& schema : {schemas()[20], schemas()[15]}) {
    GenerateRequest request = greedy_request({5, 6, 7}, 120);
    request.constraint = std::make_shared<Grammar>(compile_json_schema(json::parse(schema)));
    request.reasoning_opened = true;
    request.sampling.reasoning_budget = 10;
    Engine engine(model, small());
    const GeneratedSample sample = engine.generate(request).samples.front();
    EXPECT_TRUE(sample.reasoning_closed);
    EXPECT_FALSE(sample.reasoning.empty());
    EXPECT_EQ(sample.finish_reason, FinishReason::stop);
    expect_valid(schema, sample.text);
  }
}

TEST(ConstrainedGeneration, AnEndTokenComesOnlyWhereTheTextMayEnd) {
  const auto model = load(some_model());
  GenerateRequest request = greedy_request({5, 6, 7}, 60);
  request.constraint =
      std::make_shared<Grammar>(compile_json_schema(json::parse(R"({"type":"string","minLength":4})")));
  request.sampling.stop_ids = model->defaults.stop_ids;
  ASSERT_FALSE(request.sampling.stop_ids.empty());
  for (const std::int32_t id : request.sampling.stop_ids)
    request.sampling.logit_bias.emplace_back(id, 100.0F);
  const auto quote = model->tokenizer.find_token("\"");
  ASSERT_TRUE(quote);
  request.sampling.logit_bias.emplace_back(*quote, 50.0F);
  Engine engine(model, small());
  const GeneratedSample sample = engine.generate(request).samples.front();
  EXPECT_EQ(sample.finish_reason, FinishReason::stop);
  expect_valid(R"({"type":"string","minLength":4})", sample.text);
}

TEST(RealModel, WritesWhatTheSchemaAsksFor) {
  const char* folder = std::getenv("TOUCHSTONE_REAL_MODELS");
  if (folder == nullptr) GTEST_SKIP() << "TOUCHSTONE_REAL_MODELS is not set";
  const std::filesystem::path file =
      std::filesystem::path(folder) / "qwen2.5-coder-0.5b-instruct-q4_k_m.gguf";
  if (!std::filesystem::exists(file)) GTEST_SKIP() << file << " is not there";
  const auto model = std::make_shared<LoadedModel>(load_model(file.string(), LoadOptions{}));
  const Prompter prompter = make_prompter(*model, false);
  std::vector<GenerateRequest> requests;
  for (const std::string& schema : schemas()) {
    GenerateRequest request;
    request.prompt_ids = make_prompt(prompter, "Write an example of JSON for this schema: " + schema).ids;
    request.sampling = model->defaults;
    request.sampling.max_new_tokens = 80;
    request.constraint = std::make_shared<Grammar>(compile_json_schema(json::parse(schema)));
    requests.push_back(std::move(request));
  }
  const auto results = testing::run_together(model, small(16384), requests).results;
  int ended = 0;
  for (std::size_t i = 0; i < results.size(); ++i) {
    const GeneratedSample& sample = results[i].samples.front();
    if (sample.finish_reason != FinishReason::stop) continue;
    ++ended;
    expect_valid(schemas()[i], sample.text);
  }
  EXPECT_GE(ended, 30);
}

}  // namespace
}  // namespace touchstone
