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
#include "text/tool_call_grammar.h"

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

json::object make_call_form(const json::array& functions, bool required, bool parallel = true) {
  return {{"type", "tool_calls"}, {"functions", functions}, {"required", required}, {"parallel", parallel}};
}

/// The calls of an answer that is nothing else.
std::vector<json::value> read_calls(std::string_view text) {
  constexpr std::string_view kBegin = "<tool_call>\n";
  constexpr std::string_view kEnd = "\n</tool_call>";
  std::vector<json::value> calls;
  while (!text.empty()) {
    if (!calls.empty() && text.front() == '\n') text.remove_prefix(1);
    const std::size_t end = text.find(kEnd);
    json::error_code error;
    if (text.starts_with(kBegin) && end != std::string_view::npos) {
      calls.push_back(json::parse(text.substr(kBegin.size(), end - kBegin.size()), error));
    }
    if (!text.starts_with(kBegin) || end == std::string_view::npos || error) {
      ADD_FAILURE() << "no call: " << text;
      return {};
    }
    text.remove_prefix(end + kEnd.size());
  }
  return calls;
}

/// A text of the grammar that goes on by random bytes; those that close things are likelier, so that it ends.
std::string write_at_random(Constraint& constraint, std::mt19937& random, std::string text = {}) {
  std::int32_t state = constraint.advance(constraint.start(), text);
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

TEST(JsonSchemaGrammar, FractionsThatItNamesAreWrittenAsPeopleDo) {
  for (const char* number : {"0.1", "2.5", "-0.001", "1000", "1e+22"}) {
    EXPECT_TRUE(allows("{\"const\":" + std::string(number) + "}", number)) << number;
  }
  EXPECT_TRUE(allows(R"({"enum":["a",{"b":[0.5,null],"c":"\n"}]})", R"({"b":[0.5,null],"c":"\n"})"));
  EXPECT_FALSE(allows(R"({"const":0.1})", "1E-1"));
}

TEST(JsonSchemaGrammar, ALongTextTakesNoMoreThanItsLength) {
  const std::string text(90'000, 'a');
  const std::string schema = R"({"enum": [")" + text + R"(", ")" + text + R"(b", "a"]})";
  EXPECT_TRUE(allows(schema, '"' + text + '"'));
  EXPECT_TRUE(allows(schema, '"' + text + "b\""));
  EXPECT_TRUE(allows(schema, "\"a\""));
  EXPECT_FALSE(allows(schema, "\"aa\""));
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

TEST(JsonSchemaGrammar, NumbersKeepTheirBoundsExactly) {
  struct Bounds {
    const char* low_keyword;
    double low;
    const char* high_keyword;
    double high;
  };
  for (const Bounds& bounds : {Bounds{"minimum", 0.1, "maximum", 100},
                               {"minimum", 0.5, "maximum", 5},
                               {"minimum", -0.5, "maximum", 0.5},
                               {"minimum", 0.25, "maximum", 0.5},
                               {"minimum", 1.25, "exclusiveMaximum", 1.257},
                               {"exclusiveMinimum", 0, "exclusiveMaximum", 1},
                               {"exclusiveMinimum", -2.25, "maximum", -1.1},
                               {"minimum", 0.3, "maximum", 0.3},
                               {"minimum", -1, "exclusiveMaximum", 2.999999},
                               {"exclusiveMinimum", 0.1, "maximum", 1e12}}) {
    const json::object schema = {
        {"type", "number"}, {bounds.low_keyword, bounds.low}, {bounds.high_keyword, bounds.high}};
    Constraint constraint = make_constraint(json::serialize(schema));
    for (int thousandths = -3500; thousandths <= 3500; ++thousandths) {
      const int magnitude = std::abs(thousandths);
      std::string text = std::to_string(magnitude % 1000 + 1000).substr(1);
      text = (thousandths < 0 ? "-" : "") + std::to_string(magnitude / 1000) + "." + text;
      for (; text.back() != '.'; text.pop_back()) {  // without the last places, too
        const double value = std::strtod(text.c_str(), nullptr);
        if (value == 0 && text.front() == '-') continue;
        const bool fits = testing::accepts(schema, schema, json::value(value));
        const std::int32_t state = constraint.advance(constraint.start(), text);
        EXPECT_EQ(state != Constraint::impossible && constraint.may_end(state), fits)
            << json::serialize(schema) << text;
      }
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
  EXPECT_THAT(refusal(R"({"const":12345678901234567890123})"), HasSubstr("exactly"));
  EXPECT_THAT(refusal(R"({"type":"array","uniqueItems":true})"), HasSubstr("'uniqueItems'"));
  EXPECT_EQ(refusal(R"({"type":"array","uniqueItems":false})"), "accepted");
  EXPECT_EQ(refusal(R"({"$id":"urn:a","type":"null"})"), "accepted");
  EXPECT_THAT(refusal(R"({"items":{"$id":"urn:a","type":"null"}})"), HasSubstr("'$id'"));
  EXPECT_THAT(refusal(R"({"required":["a"],"additionalProperties":false})"), HasSubstr("'a'"));
  EXPECT_THAT(refusal(R"([])"), HasSubstr("objects or booleans"));
  EXPECT_THAT(refusal(R"({"type":"object","properties":{"a":false},"required":["a"]})"),
              HasSubstr("'false'"));
  json::value nested = true;
  for (int i = 0; i < 500; ++i) nested = json::object{{"items", nested}};
  EXPECT_THROW(compile_json_schema(nested), Error);
}

TEST(JsonSchemaGrammar, PartsOfOneOfThatMayAcceptTheSameValueAreRefused) {
  const auto is_refused = [](const std::string& parts) {
    try {
      compile_json_schema(json::parse(R"({"$defs":{"a":{"type":"null"}},"oneOf":[)" + parts + "]}"));
    } catch (const Error& error) {
      EXPECT_THAT(error.what(), HasSubstr("parts 1 and 2 of the schema's oneOf")) << parts;
      return true;
    }
    return false;
  };
  const auto object = [](const std::string& properties, const std::string& more) {
    return R"({"type":"object","properties":)" + properties + more + "}";
  };
  const std::string needs_k = R"(,"required":["k"])";
  for (
      const std::string& parts : std::vector<std::string>{
          R"({"type":"integer"},{"type":"number"})",
          R"({"const":1},{"const":1.0})",
          R"(true,{"type":"string"})",
          R"({"enum":["a","b"]},{"type":"string","maxLength":1})",
          R"({"minimum":3},{"type":"string"})",
          R"({"$ref":"#/$defs/a"},{"type":["null","string"]})",
          R"({"type":"number","maximum":3},{"type":"number","minimum":3})",
          R"({"type":"array","items":{"type":"null"}},{"type":"array","items":{"type":"string"}})",
          R"({"oneOf":[{"type":"integer"},{"type":"null"}]},{"anyOf":[{"type":"number"},{"type":"string"}]})",
          object(R"({"k":{"const":1}})", "") + "," + object(R"({"k":{"const":2}})", needs_k),
          object(R"({"k":{"type":"null"}})", needs_k + R"(,"additionalProperties":true)") + "," +
              object(R"({"l":{"type":"null"}})", R"(,"required":["l"])"),
      }) {
    EXPECT_TRUE(is_refused(parts)) << parts;
  }
  for (const std::string& parts : std::vector<std::string>{
           R"({"$ref":"#/$defs/a"},{"type":"string"})",
           R"({"const":{"k":1}},{"const":{"k":2}})",
           R"({"enum":[1,2]},{"type":"integer","minimum":3})",
           object(R"({"k":{"const":1}})", needs_k) + "," + object(R"({"k":{"const":2}})", needs_k),
           object(R"({"k":{"type":"null"}})", needs_k) + "," +
               object(R"({"l":{"type":"null"}})", R"(,"required":["l"])"),
       }) {
    EXPECT_FALSE(is_refused(parts)) << parts;
  }
}

TEST(JsonSchemaGrammar, ManyPartsOfOneOfAreRefusedInTime) {
  json::array parts;
  for (int i = 0; i < 3000; ++i) parts.push_back(json::object{{"const", i}});
  EXPECT_THROW(compile_json_schema(json::object{{"oneOf", parts}}), Error);
}

TEST(JsonSchemaGrammar, ACharacterOutsideTheBasicPlaneIsOneAndNeverASurrogatePair) {
  const std::string one = R"({"type":"string","maxLength":1})";
  EXPECT_TRUE(allows(one, "\"😀\""));
  EXPECT_FALSE(allows(one, "\"😀😀\""));
  EXPECT_FALSE(allows(one, R"("\ud83d\ude00")"));
  EXPECT_FALSE(allows(R"({"type":"string","minLength":2})", "\"😀\""));
}

TEST(ToolCallGrammar, ArgumentsOfAllItsCallsParseAndValidate) {
  std::mt19937 random(42);
  ASSERT_GE(testing::parameter_schemas().size(), 30U);
  for (const json::value& schema : testing::parameter_schemas()) {
    SCOPED_TRACE(json::serialize(schema));
    const json::array functions{{{"name", "strict"}, {"parameters", schema}}, {{"name", "fr\"ee"}}};
    Constraint constraint(std::make_shared<Grammar>(compile_tool_calls(make_call_form(functions, true))),
                          nullptr);
    std::set<std::string> called;
    for (int i = 0; i < 40; ++i) {
      const std::string text = write_at_random(constraint, random);
      for (const json::value& call : read_calls(text)) {
        called.emplace(call.at("name").as_string());
        ASSERT_TRUE(call.at("arguments").is_object()) << text;
        if (call.at("name") == "strict") {
          EXPECT_TRUE(testing::accepts(schema, schema, call.at("arguments"))) << text;
        }
      }
    }
    EXPECT_EQ(called, (std::set<std::string>{"strict", "fr\"ee"}));
    Constraint single(std::make_shared<Grammar>(compile_tool_calls(make_call_form(functions, false, false))),
                      nullptr);
    for (int i = 0; i < 10; ++i) {
      const std::string text = write_at_random(single, random, "<tool_call>");
      EXPECT_TRUE(text.empty() || read_calls(text).size() == 1) << text;
    }
  }
}

TEST(ToolCallGrammar, HoldsAnswersThatMayCallAndThoseThatMust) {
  const auto holds = [](bool required, bool parallel, std::string_view text) {
    const json::array functions{
        {{"name", "f"},
         {"parameters", {{"type", "object"}, {"properties", {{"a", {{"type", "integer"}}}}}}}}};
    Constraint constraint(
        std::make_shared<Grammar>(compile_tool_calls(make_call_form(functions, required, parallel))),
        nullptr);
    const std::int32_t state = constraint.advance(constraint.start(), text);
    return state != Constraint::impossible && constraint.may_end(state);
  };
  const std::string call = "<tool_call>\n{\"name\": \"f\", \"arguments\": {\"a\": 1}}\n</tool_call>";
  for (const bool parallel : {false, true}) {
    EXPECT_TRUE(holds(true, parallel, call));
    EXPECT_FALSE(holds(true, parallel, ""));
    EXPECT_FALSE(holds(true, parallel, "I look." + call));
    EXPECT_FALSE(holds(true, parallel, call + " Done."));
    EXPECT_EQ(holds(true, parallel, call + "\n" + call), parallel);
    for (const char* text : {"", "a < b", "\xFF <<tool_cal", "<tool_call <tool_calls>"}) {
      EXPECT_TRUE(holds(false, parallel, text)) << text;
      EXPECT_TRUE(holds(false, parallel, text + call)) << text;
      EXPECT_EQ(holds(false, parallel, call + text), parallel || *text == 0) << text;
      EXPECT_EQ(holds(false, parallel, call + text + call), parallel) << text;
    }
    EXPECT_FALSE(holds(false, parallel, "<tool_call>"));
    EXPECT_FALSE(holds(false, parallel, "<<tool_call>x"));
    EXPECT_FALSE(holds(false, parallel, call.substr(0, call.size() - 1)));
    EXPECT_FALSE(
        holds(false, parallel, "<tool_call>\n{\"name\": \"g\", \"arguments\": {\"a\": 1}}\n</tool_call>"));
    EXPECT_FALSE(
        holds(false, parallel, "<tool_call>\n{\"name\": \"f\", \"arguments\": {\"a\": \"\"}}\n</tool_call>"));
  }
}

TEST(ToolCallGrammar, WhatItDoesNotUnderstandIsRefusedByName) {
  const auto refusal = [](const json::object& form) -> std::string {
    try {
      compile_tool_calls(form);
    } catch (const Error& error) {
      return error.what();
    }
    return "accepted";
  };
  const json::array functions{{{"name", "f"}},
                              {{"name", "g"}, {"parameters", {{"type", "string"}, {"pattern", "a"}}}}};
  EXPECT_THAT(refusal(make_call_form(functions, true)),
              HasSubstr("function 'g': the schema's keyword 'pattern'"));
  EXPECT_THAT(refusal({{"type", "tool_calls"}}), HasSubstr("functions"));
  EXPECT_THAT(refusal(make_call_form({}, true)), HasSubstr("functions"));
  EXPECT_THAT(refusal(make_call_form({1}, true)), HasSubstr("functions"));
  EXPECT_THAT(refusal(make_call_form({{{"name", 1}}}, true)), HasSubstr("functions"));
  EXPECT_THAT(refusal({{"functions", {{{"name", "f"}}}}, {"required", 1}}), HasSubstr("required"));
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

/// Answers that must be calls of a strict function; each second one is greedy.
std::vector<GenerateRequest> make_calling_requests(const LoadedModel& model) {
  std::vector<GenerateRequest> requests = make_constrained_requests(model, 70);
  const std::vector<json::value> schemas = testing::parameter_schemas();
  for (std::size_t i = 0; i < requests.size(); ++i) {
    const json::array functions{{{"name", "f"}, {"parameters", schemas[i]}}};
    requests[i].sampling.max_new_tokens = 250;
    if (i % 2 == 1) requests[i].sampling.temperature = 0;
    requests[i].constraint =
        std::make_shared<Grammar>(compile_tool_calls(make_call_form(functions, true, i % 3 == 0)));
  }
  return requests;
}

TEST(HeavyConstrainedGeneration, RandomWeightsCallWithArgumentsThatTheSchemaAccepts) {
  for (const auto& folder : testing::golden_models()) {
    SCOPED_TRACE(folder.filename().string());
    const auto model = load(folder);
    const auto results = testing::run_together(model, small(32768), make_calling_requests(*model)).results;
    const std::vector<json::value> schemas = testing::parameter_schemas();
    int ended = 0;
    for (std::size_t i = 0; i < results.size(); ++i) {
      for (const GeneratedSample& sample : results[i].samples) {
        if (sample.finish_reason != FinishReason::stop) continue;
        ++ended;
        for (const json::value& call : read_calls(sample.text)) {
          EXPECT_EQ(call.at("name"), "f");
          EXPECT_TRUE(testing::accepts(schemas[i], schemas[i], call.at("arguments"))) << sample.text;
        }
      }
    }
    EXPECT_GE(ended, 30) << "of " << 2 * results.size();
  }
}

TEST(ConstrainedGeneration, WhatMayCallAndDoesNotIsTheSameWithoutAGrammar) {
  const auto grammar =
      std::make_shared<Grammar>(compile_tool_calls(make_call_form({{{"name", "f"}}}, false)));
  int closed = 0;
  for (const auto& folder : testing::golden_models()) {
    SCOPED_TRACE(folder.filename().string());
    const auto model = load(folder);
    std::vector<GenerateRequest> requests = testing::random_requests(71, 30, *model);
    const auto closer = model->tokenizer.find_token("</think>");
    for (std::size_t i = 0; closer && i < requests.size(); i += 2) {  // these close their thinking themselves
      requests[i].sampling.logit_bias = {{*closer, 6.0F}};
    }
    const auto free = testing::run_together(model, small(16384), requests).results;
    for (std::size_t i = 0; i < requests.size(); ++i) {
      for (const GeneratedSample& sample : free[i].samples) {
        const bool by_itself = requests[i].reasoning_opened && !requests[i].sampling.reasoning_budget;
        closed += by_itself && sample.reasoning_closed && !sample.text.empty() ? 1 : 0;
      }
      requests[i].constraint = grammar;
    }
    testing::expect_same(testing::run_together(model, small(16384), requests).results, free);
  }
  EXPECT_GE(closed, 3);
}

TEST(ConstrainedGeneration, GivesTheSameBytesAloneTogetherAndWithLookup) {
  const auto model = load(some_model());
  std::vector<GenerateRequest> requests = make_constrained_requests(*model, 60);
  const std::vector<GenerateRequest> calling = make_calling_requests(*model);
  requests.insert(requests.end(), calling.begin(), calling.end());
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

TEST(ConstrainedGeneration, ACallBeginsBehindTheThinkingAndMayFollowNone) {
  const auto model = load(some_model());
  const json::array functions{{{"name", "f"}, {"parameters", {{"const", json::object{{"a", 1}}}}}}};
  for (const bool required : {true, false}) {
    GenerateRequest request = greedy_request({5, 6, 7}, 80);
    request.constraint =
        std::make_shared<Grammar>(compile_tool_calls(make_call_form(functions, required, false)));
    request.reasoning_opened = true;
    request.sampling.stop_ids = {9};
    request.sampling.logit_bias = {{9, 100.0F}};
    request.sampling.reasoning_budget = 10;
    Engine engine(model, small());
    const GeneratedSample sample = engine.generate(request).samples.front();
    EXPECT_EQ(sample.reasoning_closed, required) << "an answer that may be empty may be left out";
    EXPECT_EQ(sample.finish_reason, FinishReason::stop);
    EXPECT_EQ(sample.text,
              required ? "<tool_call>\n{\"name\": \"f\", \"arguments\": {\"a\":1}}\n</tool_call>" : "");
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

/// Null where the tests are not given it.
std::shared_ptr<LoadedModel> load_real_model() {
  const char* folder = std::getenv("TOUCHSTONE_REAL_MODELS");
  if (folder == nullptr) return nullptr;
  const std::filesystem::path file =
      std::filesystem::path(folder) / "qwen2.5-coder-0.5b-instruct-q4_k_m.gguf";
  if (!std::filesystem::exists(file)) return nullptr;
  return std::make_shared<LoadedModel>(load_model(file.string(), LoadOptions{}));
}

/// Runs the requests together and calls check(i, text) for each answer that came to its end, as most do.
template <typename Check>
void for_each_ended(const std::shared_ptr<LoadedModel>& model, const std::vector<GenerateRequest>& requests,
                    const Check& check) {
  const auto results = testing::run_together(model, small(16384), requests).results;
  int ended = 0;
  for (std::size_t i = 0; i < results.size(); ++i) {
    const GeneratedSample& sample = results[i].samples.front();
    if (sample.finish_reason != FinishReason::stop) continue;
    ++ended;
    check(i, sample.text);
  }
  EXPECT_GE(ended, 30);
}

TEST(RealModel, WritesWhatTheSchemaAsksFor) {
  const auto model = load_real_model();
  if (!model) GTEST_SKIP() << "TOUCHSTONE_REAL_MODELS names no folder with the model";
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
  for_each_ended(model, requests,
                 [&](std::size_t i, const std::string& text) { expect_valid(schemas()[i], text); });
}

TEST(RealModel, CallsWithArgumentsThatTheSchemaAccepts) {
  const auto model = load_real_model();
  if (!model) GTEST_SKIP() << "TOUCHSTONE_REAL_MODELS names no folder with the model";
  const Prompter prompter = make_prompter(*model, false);
  const std::vector<json::value> schemas = testing::parameter_schemas();
  std::vector<GenerateRequest> requests;
  for (const json::value& schema : schemas) {
    GenerateRequest request;
    const json::array functions{{{"name", "f"}, {"parameters", schema}}};
    request.prompt_ids =
        make_prompt(prompter, "Call f with an example of this: " + json::serialize(schema)).ids;
    request.sampling = model->defaults;
    request.sampling.max_new_tokens = 100;
    request.constraint =
        std::make_shared<Grammar>(compile_tool_calls(make_call_form(functions, true, false)));
    requests.push_back(std::move(request));
  }
  for_each_ended(model, requests, [&](std::size_t i, const std::string& text) {
    const std::vector<json::value> calls = read_calls(text);
    ASSERT_EQ(calls.size(), 1U) << text;
    EXPECT_TRUE(testing::accepts(schemas[i], schemas[i], calls[0].at("arguments"))) << text;
  });
}

}  // namespace
}  // namespace touchstone
