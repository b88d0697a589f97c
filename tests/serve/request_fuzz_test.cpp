// Requests that are almost right: bodies of every API, changed at random places.
#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <random>
#include <string>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace touchstone::serve {
namespace {

namespace json = boost::json;

/// By the number of their API in the fuzz target.
const std::vector<std::pair<char, std::string>> kSeeds = {
    {0,
     R"({"model":"m","messages":[{"role":"system","content":"s"},{"role":"user","content":[{"type":"text","text":"a"}]},
        {"role":"assistant","content":null,"reasoning_content":"r","tool_calls":[{"id":"c","type":"function",
        "function":{"name":"f","arguments":"{\"x\":1}"}}]},{"role":"tool","tool_call_id":"c","content":"1"}],
        "tools":[{"type":"function","function":{"name":"f","description":"d","strict":true,"parameters":{"type":"object",
        "properties":{"x":{"type":"integer"}}}}}],"tool_choice":"auto","parallel_tool_calls":false,"n":2,"stop":["x"],"temperature":0.5,
        "logit_bias":{"5":1},"stream":true,"stream_options":{"include_usage":true},"chat_template_kwargs":{"k":1}})"},
    {0,
     R"({"messages":[{"role":"user","content":"a"},{"role":"assistant","content":"b"}],"continue_final_message":true,
        "logprobs":true,"top_logprobs":3,"seed":5,"max_tokens":7,"reasoning_budget":3,"reasoning_format":"inline",
        "vote":{"k":4,"task":"option","options":["a","b"]},"timeout":1.5,"loop_guard":false})"},
    {0,
     R"({"messages":[{"role":"user","content":"a"}],"response_format":{"type":"json_schema","json_schema":{"name":"n",
        "schema":{"type":"object","properties":{"a":{"type":["string","null"],"maxLength":4},"b":{"enum":[1,"x",null]},
        "c":{"type":"array","items":{"$ref":"#/$defs/d"},"minItems":1},"e":{"anyOf":[{"type":"integer","minimum":-3},
        {"type":"number"}]}},"required":["a"],"$defs":{"d":{"type":"boolean"}},"additionalProperties":false}}}})"},
    {1,
     R"({"prompt":["a","b"],"max_tokens":3,"logprobs":2,"stop":"x","n":2,"top_p":0.5,"top_k":3,"min_p":0.1})"},
    {1,
     R"({"prompt":[1,2,3],"echo":true,"presence_penalty":1,"frequency_penalty":-1,"repetition_penalty":1.1})"},
    {2,
     R"({"model":"m","messages":[{"role":"user","content":"a"},{"role":"assistant","content":"","thinking":"t",
        "tool_calls":[{"function":{"name":"f","arguments":{"x":1}}}]},{"role":"tool","tool_name":"f","content":"1"}],
        "think":true,"format":"json","options":{"temperature":0.1,"num_predict":5,"stop":["x"],"seed":1}})"},
    {3,
     R"({"prompt":"a","system":"s","raw":false,"stream":false,"format":{"type":"object"},"options":{"top_k":3}})"},
    {4,
     R"({"model":"m","max_tokens":5,"system":[{"type":"text","text":"s"}],"messages":[{"role":"user","content":"a"},
        {"role":"assistant","content":[{"type":"thinking","thinking":"t","signature":""},{"type":"tool_use","id":"i",
        "name":"f","input":{"x":1}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"i",
        "content":[{"type":"text","text":"1"}]}]}],"tools":[{"name":"f","strict":true,"input_schema":{"type":"object"}}],
        "tool_choice":{"type":"any"},"thinking":{"type":"enabled","budget_tokens":1024},"stop_sequences":["x"]})"},
    {5,
     R"({"model":"m","input":[{"role":"user","content":[{"type":"input_text","text":"a"}]},{"type":"reasoning",
        "summary":[]},{"type":"function_call","call_id":"c","name":"f","arguments":"{}"},{"type":"function_call_output",
        "call_id":"c","output":"1"}],"instructions":"s","tools":[{"type":"function","name":"f","parameters":{}}],
        "text":{"format":{"type":"text"}},"reasoning":{"effort":"none"},"max_output_tokens":9})"}};

/// What stands where something else should.
const std::vector<std::string> kOddities = {"null",
                                            "true",
                                            "0",
                                            "-1",
                                            "1",
                                            "18446744073709551615",
                                            "-9223372036854775808",
                                            "1e308",
                                            "-0.0",
                                            "1e-320",
                                            "\"\"",
                                            "\"<think>\"",
                                            "\"\\u0000\"",
                                            "\"\\ud83d\\ude00\"",
                                            "[]",
                                            "{}",
                                            "[[]]",
                                            "[null]",
                                            "[{}]",
                                            "{\"\":{}}",
                                            "{\"type\":\"text\"}",
                                            "{\"type\":\"function\",\"function\":{}}",
                                            "{\"$ref\":\"#\"}",
                                            "[\"a\",1,null]"};

using Random = std::mt19937;

std::size_t pick(Random& random, std::size_t count) { return random() % count; }

/// A value somewhere inside, at any depth.
json::value& walk(json::value& value, Random& random) {
  if (pick(random, 4) == 0) return value;
  if (value.is_array() && !value.get_array().empty()) {
    return walk(value.get_array()[pick(random, value.get_array().size())], random);
  }
  if (value.is_object() && !value.get_object().empty()) {
    json::object& object = value.get_object();
    return walk((object.begin() + static_cast<std::ptrdiff_t>(pick(random, object.size())))->value(), random);
  }
  return value;
}

void change(json::value& body, Random& random) {
  json::value& place = walk(body, random);
  switch (pick(random, 4)) {
    case 0:
      place = json::parse(kOddities[pick(random, kOddities.size())]);
      break;
    case 1:  // something that is right elsewhere
      place = json::value(walk(body, random));
      break;
    case 2:
      if (place.is_array()) place.get_array().push_back(json::value(walk(body, random)));
      if (place.is_object())
        place.get_object()[pick(random, 2) == 0 ? "type" : "content"] = json::value(walk(body, random));
      break;
    default:
      if (place.is_object() && !place.get_object().empty()) {
        json::object& object = place.get_object();
        object.erase(object.begin() + static_cast<std::ptrdiff_t>(pick(random, object.size())));
      }
  }
}

void change_bytes(std::string& text, Random& random) {
  for (std::size_t i = 0; i < 1 + pick(random, 3) && !text.empty(); ++i) {
    const std::size_t at = pick(random, text.size());
    const auto byte = static_cast<char>(random());
    if (pick(random, 2) == 0)
      text[at] = byte;
    else if (pick(random, 2) == 0)
      text.erase(at, 1 + pick(random, 8));
    else
      text.insert(at, 1, byte);
  }
}

TEST(RequestFuzz, AnythingIsARequestOrAnErrorThatSaysWhatIsWrong) {
  constexpr int kRounds = 3000;
  for (std::size_t i = 0; i < kSeeds.size(); ++i) {
    const auto& [api, seed] = kSeeds[i];
    Random random(static_cast<Random::result_type>(i));
    for (int round = 0; round < kRounds; ++round) {
      json::value body = json::parse(seed);
      for (std::size_t changes = pick(random, 4); changes > 0; --changes) change(body, random);
      std::string text = json::serialize(body);
      if (pick(random, 4) == 0) change_bytes(text, random);
      text.insert(0, 1, api);
      ASSERT_NO_THROW(LLVMFuzzerTestOneInput(reinterpret_cast<const std::uint8_t*>(text.data()), text.size()))
          << text;
    }
  }
}

}  // namespace
}  // namespace touchstone::serve
