#include "serve/openai_request.h"

#include <gtest/gtest.h>

#include "serve/dialect.h"
#include "serve/request_fields.h"
#include "support/golden.h"

namespace touchstone::serve {
namespace {

/// A template in the manner of the golden ones, over the tokenizer of the built-in pair.
struct Fixture {
  explicit Fixture(const std::string& chat_template)
      : model(load_model("demo:native", {})), prompter(make_prompter(model, true)) {
    prompter.chat_template = ChatTemplate::parse(chat_template);
    defaults = model.defaults;
    defaults.temperature = 0.25F;
    defaults.top_k = 7;
  }
  RequestModel against() const {
    return {.prompter = prompter, .defaults = defaults, .vocab_size = 640, .max_sequence_tokens = 2048};
  }
  CompletionRequest read(const std::string& body) const {
    return read_chat_request(boost::json::parse(body).as_object(), against());
  }

  LoadedModel model;
  Prompter prompter;
  SamplingParams defaults;
};

const std::string kPlain =
    "{% for m in messages %}[{{ m.role }}:{{ m.content }}]{% endfor %}{% if add_generation_prompt %}>{% "
    "endif %}";

TEST(OpenAiRequest, WhatIsNotGivenKeepsTheModelsDefault) {
  const Fixture fixture(kPlain);
  const CompletionRequest request =
      fixture.read(R"({"messages":[{"role":"user","content":"a"}],"top_k":null})");
  EXPECT_EQ(request.sampling.temperature, 0.25F);
  EXPECT_EQ(request.sampling.top_k, 7);
  EXPECT_EQ(request.sampling.stop_ids, fixture.defaults.stop_ids);
  EXPECT_EQ(request.n, 1);
  EXPECT_FALSE(request.stream);
}

TEST(OpenAiRequest, WhatIsGivenCounts) {
  const Fixture fixture(kPlain);
  const CompletionRequest request = fixture.read(
      R"({"messages":[{"role":"user","content":"a"}],"temperature":0.5,"top_p":0.9,"top_k":-1,"min_p":0.1,
          "presence_penalty":1,"frequency_penalty":-1,"repetition_penalty":1.1,"seed":-3,"max_tokens":5,
          "max_completion_tokens":6,"n":2,"stop":"x","stream":true,"stream_options":{"include_usage":true},
          "logit_bias":{"5":-100},"logprobs":true,"top_logprobs":3,"reasoning_budget":9,"ignore_eos":true,"timeout":2})");
  EXPECT_EQ(request.sampling.temperature, 0.5F);
  EXPECT_EQ(request.sampling.top_p, 0.9F);
  EXPECT_EQ(request.sampling.top_k, 0);
  EXPECT_EQ(request.sampling.min_p, 0.1F);
  EXPECT_EQ(request.sampling.presence_penalty, 1);
  EXPECT_EQ(request.sampling.frequency_penalty, -1);
  EXPECT_EQ(request.sampling.repetition_penalty, 1.1F);
  EXPECT_EQ(request.sampling.seed, static_cast<std::uint64_t>(-3));
  EXPECT_EQ(request.sampling.max_new_tokens, 6) << "the newer of two names counts";
  EXPECT_EQ(request.sampling.stop, std::vector<std::string>{"x"});
  EXPECT_EQ(request.sampling.num_logprobs, 3);
  EXPECT_EQ(request.sampling.logit_bias, (std::vector<std::pair<std::int32_t, float>>{{5, -100.0F}}));
  EXPECT_EQ(request.sampling.reasoning_budget, 9);
  EXPECT_TRUE(request.sampling.ignore_eos);
  EXPECT_EQ(request.n, 2);
  EXPECT_TRUE(request.stream && request.include_usage);
  EXPECT_TRUE(request.ignored.paths().empty());
}

TEST(OpenAiRequest, ItsTimeoutIsReadInSeconds) {
  for (const Dialect* dialect : {&kOpenAiChat, &kOpenAiText}) {
    const boost::json::object body{{"timeout", 2}};
    FieldReader fields(body);
    EXPECT_EQ(dialect->read_timeout(fields), 2);
    const boost::json::object nothing;
    FieldReader none(nothing);
    EXPECT_EQ(dialect->read_timeout(none), std::nullopt);
    for (const boost::json::value& wrong : {boost::json::value(0), boost::json::value("2")}) {
      const boost::json::object refused{{"timeout", wrong}};
      FieldReader reader(refused);
      EXPECT_THROW(dialect->read_timeout(reader), RequestError);
    }
  }
}

TEST(OpenAiRequest, TheSeedThatAResponseSaysIsTaken) {
  const Fixture fixture(kPlain);
  const CompletionRequest request =
      fixture.read(R"({"messages":[{"role":"user","content":"a"}],"seed":18446744073709551613})");
  EXPECT_EQ(request.sampling.seed, static_cast<std::uint64_t>(-3));
}

TEST(OpenAiRequest, WithoutASeedEachRequestHasItsOwn) {
  const Fixture fixture(kPlain);
  const std::string body = R"({"messages":[{"role":"user","content":"a"}]})";
  EXPECT_NE(fixture.read(body).sampling.seed, fixture.read(body).sampling.seed);
}

TEST(OpenAiRequest, MessagesReachTheTemplateAsItExpectsThem) {
  const Fixture fixture(kPlain);
  const auto text = [&](const std::string& messages) {
    return fixture.read(R"({"messages":)" + messages + "}").prompts.at(0).text;
  };
  EXPECT_EQ(text(R"([{"role":"developer","content":"a"},{"role":"user","content":"b"}])"),
            "[system:a][user:b]>");
  EXPECT_EQ(text(R"([{"role":"user","content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]}])"),
            "[user:a\nb]>");
  EXPECT_EQ(
      text(
          R"([{"role":"user","content":"a"},{"role":"assistant","content":null},{"role":"user","content":"b"}])"),
      "[user:a][assistant:][user:b]>");
}

TEST(OpenAiRequest, WhatATemplateNamesIsNotIgnored) {
  const Fixture fixture("{% for m in messages %}{{ m.mood }}{{ m.content }}{% endfor %}");
  const CompletionRequest request =
      fixture.read(R"({"messages":[{"role":"user","content":"a","mood":"calm ","moo":1}]})");
  EXPECT_EQ(request.prompts.at(0).text, "calm a");
  EXPECT_EQ(request.ignored.paths(), std::vector<std::string>{"messages[0].moo"});
}

TEST(OpenAiRequest, ThinkingBlocksAreTheThinkingThatTemplatesKnow) {
  const Fixture fixture("{% for m in messages %}{{ m.reasoning_content }}|{{ m.content }}{% endfor %}");
  const CompletionRequest request = fixture.read(
      R"({"messages":[{"role":"assistant","content":"a","thinking_blocks":[{"type":"thinking","thinking":"b ",)"
      R"("signature":""},{"type":"redacted_thinking","data":"x"},{"type":"thinking","thinking":"c","odd":1}]}]})");
  EXPECT_EQ(request.prompts.at(0).text, "b c|a");
  EXPECT_EQ(request.ignored.paths(), std::vector<std::string>{"messages[0].thinking_blocks[2].odd"});
}

TEST(OpenAiRequest, ArgumentsOfCallsFitTemplatesOfBothKinds) {
  const std::string calls =
      R"({"messages":[{"role":"user","content":"a"},{"role":"assistant","content":null,"tool_calls":[
          {"id":"1","type":"function","function":{"name":"f","arguments":"{\"x\":1}"}}]}]})";
  const Fixture as_json(
      "{% for m in messages %}{% for c in m.tool_calls or [] %}{{ c.function.arguments | tojson }}{% endfor "
      "%}{% endfor %}");
  EXPECT_EQ(as_json.read(calls).prompts.at(0).text, R"({"x": 1})");
  const Fixture joined(
      "{% for m in messages %}{% for c in m.tool_calls or [] %}{{ '<' + c.function.arguments + '>' }}{% "
      "endfor %}{% endfor %}");
  EXPECT_EQ(joined.read(calls).prompts.at(0).text, R"(<{"x":1}>)");
  const std::string numbers =
      R"({"messages":[{"role":"assistant","tool_calls":[{"function":{"name":"f","arguments":)"
      R"("{\"far\":1e999,\"near\":0.1000000000000000055511151231257827}"}}]}]})";
  EXPECT_EQ(as_json.read(numbers).prompts.at(0).text, R"({"far": 1.7976931348623157e+308, "near": 0.1})");
}

TEST(OpenAiRequest, CallsWithoutContentFitTemplatesThatWantAText) {
  const Fixture fixture(
      "{% for m in messages %}{{ m.role + ':' + m.content }}{% for c in m.tool_calls or [] %}"
      "{{ c.function.name }}{% endfor %};{% endfor %}");
  for (const std::string content : {R"("content":null,)", ""}) {
    const CompletionRequest request = fixture.read(
        R"({"messages":[{"role":"user","content":"a"},{"role":"assistant",)" + content +
        R"("tool_calls":[{"id":"1","type":"function","function":{"name":"f","arguments":"{}"}}]},)"
        R"({"role":"tool","tool_call_id":"1","content":"b"}]})");
    EXPECT_EQ(request.prompts.at(0).text, "user:a;assistant:f;tool:b;");
  }
}

TEST(OpenAiRequest, ToolsBecomeTheFormOfTheAnswer) {
  const Fixture fixture("{{ tools | tojson if tools else '-' }}<think>");
  const auto read = [&](const std::string& more) {
    return fixture.read(
        R"({"messages":[{"role":"user","content":"a"}],"tools":[)"
        R"({"type":"function","function":{"name":"f","strict":true,"parameters":{"type":"object"}}},)"
        R"({"type":"function","function":{"name":"g","strict":true}},)"
        R"({"type":"function","function":{"name":"h","parameters":{"type":"object"}}}])" +
        more + "}");
  };
  const auto form = [&](const std::string& more) { return boost::json::serialize(read(more).form.json); };
  const std::string f = R"({"name":"f","parameters":{"type":"object"}})";
  const std::string g = R"({"name":"g","parameters":{"type":"object","additionalProperties":false}})";
  const std::string all = R"({"type":"tool_calls","functions":[)" + f + "," + g + R"(,{"name":"h"}],)";
  EXPECT_EQ(form(""), all + R"("required":false,"parallel":true})");
  EXPECT_EQ(form(R"(,"tool_choice":"auto","parallel_tool_calls":false)"),
            all + R"("required":false,"parallel":false})");
  EXPECT_EQ(form(R"(,"tool_choice":"required")"), all + R"("required":true,"parallel":true})");
  EXPECT_EQ(form(R"(,"tool_choice":{"type":"function","function":{"name":"f"}})"),
            R"({"type":"tool_calls","functions":[)" + f + R"(],"required":true,"parallel":false})");
  const CompletionRequest none = read(R"(,"tool_choice":"none")");
  EXPECT_FALSE(none.reads_tools || none.form.grammar);
  EXPECT_EQ(none.prompts.at(0).text, "-<think>");
  const CompletionRequest must = read(R"(,"tool_choice":"required")");
  EXPECT_TRUE(must.reads_tools && must.form.grammar && must.prompts.at(0).reasoning_opened);
  EXPECT_EQ(must.prompts.at(0).text.find("strict"), std::string::npos) << "that is the server's business";
}

TEST(OpenAiRequest, AFinalMessageIsContinuedWhereItStopped) {
  const Fixture plain(kPlain);
  const Fixture thinking(kPlain + "{{ '<think>\\n' }}");
  const auto read = [](const Fixture& fixture, const std::string& last) {
    return fixture
        .read(R"({"continue_final_message":true,"messages":[{"role":"user","content":"a"},)" + last + "]}")
        .prompts.at(0);
  };
  EXPECT_EQ(read(plain, R"({"role":"assistant","content":"b c"})").text, "[user:a]>b c");
  const Prompt answer = read(thinking, R"({"role":"assistant","reasoning_content":"hm","content":"b"})");
  EXPECT_EQ(answer.text, "[user:a]><think>\nhm\n</think>\n\nb");
  EXPECT_FALSE(answer.reasoning_opened);
  const Prompt thought = read(thinking, R"({"role":"assistant","reasoning_content":"hm","content":""})");
  EXPECT_EQ(thought.text, "[user:a]><think>\nhm");
  EXPECT_TRUE(thought.reasoning_opened);
  EXPECT_THROW(read(plain, R"({"role":"user","content":"b"})"), RequestError);
}

TEST(OpenAiRequest, AFailingTemplateIsTheRequestsFault) {
  const Fixture fixture("{{ raise_exception('roles must alternate') }}");
  try {
    fixture.read(R"({"messages":[{"role":"user","content":"a"}]})");
    FAIL();
  } catch (const RequestError& error) {
    EXPECT_EQ(error.status, 400U);
    EXPECT_EQ(error.param, "messages");
    EXPECT_NE(std::string(error.what()).find("roles must alternate"), std::string::npos);
  }
}

TEST(OpenAiRequest, TemplateArgumentsPassThrough) {
  const Fixture fixture("{{ enable_thinking }}");
  EXPECT_EQ(
      fixture
          .read(
              R"({"messages":[{"role":"user","content":"a"}],"chat_template_kwargs":{"enable_thinking":false}})")
          .prompts.at(0)
          .text,
      "False");
}

TEST(OpenAiRequest, TemplateArgumentsThatTheTemplateNeverReadsAreIgnored) {
  const Fixture fixture("thinking {% if deep is defined %}{{ deep }}{% endif %}{{ messages[0].style }}");
  const CompletionRequest request = fixture.read(
      R"({"messages":[{"role":"user","content":"a"}],)"
      R"("chat_template_kwargs":{"deep":"yes","thinking":true,"style":1,"continue_final_message":false}})");
  EXPECT_EQ(request.prompts.at(0).text, "thinking yes");
  EXPECT_EQ(request.ignored.paths(),
            (std::vector<std::string>{"chat_template_kwargs.thinking", "chat_template_kwargs.style"}))
      << "a text and a message's member are no variables";
}

TEST(OpenAiRequest, TheGenerationPromptIsAsTheFieldSaysElseAsTheTemplateArgumentsSay) {
  const Fixture fixture("{{ add_generation_prompt }}");
  const auto text = [&](const std::string& fields) {
    return fixture.read(R"({"messages":[{"role":"user","content":"a"}])" + fields + "}").prompts.at(0).text;
  };
  const std::string without = R"(,"chat_template_kwargs":{"add_generation_prompt":false})";
  EXPECT_EQ(text(""), "True");
  EXPECT_EQ(text(without), "False");
  EXPECT_EQ(text(without + R"(,"add_generation_prompt":true)"), "True");
}

}  // namespace
}  // namespace touchstone::serve
