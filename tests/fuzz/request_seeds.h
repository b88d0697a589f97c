// Bodies of every API, to be changed.
#pragma once

#include <string>
#include <utility>
#include <vector>

namespace touchstone::testing {

/// By the number of their API in the fuzz target.
inline const std::vector<std::pair<char, std::string>> kRequestSeeds = {
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

}  // namespace touchstone::testing
