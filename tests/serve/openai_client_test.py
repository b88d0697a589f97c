#!/usr/bin/env python3
"""The official openai client against `touchstone serve` over the built-in pair. usage: openai_client_test.py TOUCHSTONE"""
import json
import unittest

import openai
import served

QUESTION = [{"role": "user", "content": "Tom has 3 boxes with 4 pens each. How many pens?"}]
WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "strict": True,
        "parameters": {
            "type": "object",
            "properties": {"unit": {"enum": ["celsius", "fahrenheit"]}, "days": {"type": "integer", "minimum": 1, "maximum": 14}},
            "required": ["unit", "days"],
            "additionalProperties": False,
        },
    },
}
PING = {"type": "function", "function": {"name": "ping", "strict": True}}


class OpenAiClient(served.Served):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.url += "/v1"
        cls.client = openai.OpenAI(base_url=cls.url, api_key="none", max_retries=0)
        cls.addClassCleanup(cls.client.close)

    def chat(self, **arguments):
        return self.client.chat.completions.create(
            **{"model": "demo:distilled", "messages": QUESTION, "temperature": 0, **arguments})

    def test_models(self):
        self.assertEqual([m.id for m in self.client.models.list()], ["demo:distilled", "demo:native"])
        self.assertEqual(self.client.models.retrieve("demo:native").id, "demo:native")

    def test_chat(self):
        answer = self.chat()
        message = answer.choices[0].message
        self.assertIn("12", message.content)
        self.assertTrue(message.reasoning_content)
        self.assertEqual(answer.choices[0].finish_reason, "stop")
        self.assertEqual(answer.usage.total_tokens, answer.usage.prompt_tokens + answer.usage.completion_tokens)
        self.assertGreaterEqual(answer.usage.prompt_tokens_details.cached_tokens, 0)
        self.assertGreater(answer.usage.completion_tokens_details.reasoning_tokens, 0)

    def test_stream_equals_whole(self):
        whole = self.chat(seed=5, temperature=1).choices[0].message
        content, reasoning, reasons, usage = "", "", [], None
        for chunk in self.chat(seed=5, temperature=1, stream=True, stream_options={"include_usage": True}):
            usage = chunk.usage or usage
            for choice in chunk.choices:
                content += choice.delta.content or ""
                reasoning += getattr(choice.delta, "reasoning_content", None) or ""
                if choice.finish_reason:
                    reasons.append(choice.finish_reason)
        self.assertEqual((content, reasoning), (whole.content, whole.reasoning_content))
        self.assertEqual(reasons, ["stop"])
        self.assertGreater(usage.completion_tokens, 0)

    def test_samples_and_seed(self):
        def texts(seed):
            answer = self.chat(n=3, seed=seed, temperature=1.5, max_tokens=30)
            return [(c.message.reasoning_content, c.message.content) for c in answer.choices]

        self.assertEqual(texts(1), texts(1))
        self.assertNotEqual(texts(1), texts(2))
        self.assertEqual(len(set(texts(1))), 3)

    def test_limits_and_stops(self):
        cut = self.chat(max_completion_tokens=3)
        self.assertEqual(cut.choices[0].finish_reason, "length")
        self.assertEqual(cut.usage.completion_tokens, 3)
        whole = self.client.completions.create(model="demo:native", prompt="Tom has", max_tokens=12, temperature=0)
        stop = whole.choices[0].text[3:5]
        stopped = self.client.completions.create(model="demo:native", prompt="Tom has", max_tokens=12, temperature=0,
                                                 stop=[stop])
        self.assertEqual(stopped.choices[0].text, whole.choices[0].text[:whole.choices[0].text.find(stop)])
        self.assertEqual(stopped.choices[0].finish_reason, "stop")

    def test_logprobs(self):
        tokens = self.chat(logprobs=True, top_logprobs=3).choices[0].logprobs.content
        self.assertTrue(all(t.logprob <= 0 and len(t.top_logprobs) == 3 for t in tokens))
        streamed = [t for c in self.chat(logprobs=True, top_logprobs=3, stream=True) if c.choices and c.choices[0].logprobs
                    for t in c.choices[0].logprobs.content]
        self.assertEqual([t.token for t in streamed], [t.token for t in tokens])
        text = self.client.completions.create(model="demo:native", prompt="Tom has", max_tokens=4, temperature=0, logprobs=2)
        logprobs = text.choices[0].logprobs
        self.assertEqual("".join(logprobs.tokens), text.choices[0].text)
        self.assertEqual(len(logprobs.token_logprobs), len(logprobs.tokens))
        self.assertEqual(logprobs.text_offset[0], 0)

    def test_ignored_fields_and_limits_that_cannot_fit(self):
        raw = self.client.chat.completions.with_raw_response.create(
            model="demo:native", max_tokens=2, messages=[{"role": "user", "content": "hi", "mood": "calm"}], user="me")
        self.assertEqual(raw.headers["x-touchstone-ignored"], "messages[0].mood, user")
        with self.assertRaises(openai.BadRequestError) as caught:
            self.chat(max_completion_tokens=1_000_000)
        self.assertEqual((caught.exception.param, caught.exception.code),
                         ("max_completion_tokens", "context_length_exceeded"))

    def test_logit_bias(self):
        text = self.client.completions.create(model="demo:native", prompt="Tom has", max_tokens=3, temperature=0,
                                              logit_bias={"5": 100}, logprobs=0)
        self.assertEqual(len(set(text.choices[0].logprobs.tokens)), 1)

    def test_text_stream(self):
        whole = self.client.completions.create(model="demo:native", prompt=["Tom has", "How"], max_tokens=9, temperature=0)
        pieces = {0: "", 1: ""}
        for chunk in self.client.completions.create(model="demo:native", prompt=["Tom has", "How"], max_tokens=9,
                                                    temperature=0, stream=True):
            pieces[chunk.choices[0].index] += chunk.choices[0].text
        self.assertEqual(pieces, {c.index: c.text for c in whole.choices})

    def test_response_format(self):
        schema = {"type": "object", "properties": {"pens": {"type": "integer", "minimum": 0, "maximum": 999}},
                  "required": ["pens"], "additionalProperties": False}
        form = {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema, "strict": True}}
        whole = self.chat(response_format=form).choices[0]
        self.assertEqual(whole.finish_reason, "stop")
        self.assertTrue(whole.message.reasoning_content)
        self.assertIsInstance(json.loads(whole.message.content)["pens"], int)
        streamed = "".join(c.choices[0].delta.content or "" for c in self.chat(response_format=form, stream=True))
        self.assertEqual(streamed, whole.message.content)
        with self.assertRaises(openai.BadRequestError) as caught:
            schema["properties"]["pens"] = {"type": "string", "pattern": "a"}
            self.chat(response_format=form)
        self.assertEqual(caught.exception.param, "response_format.json_schema.schema")

    def test_forced_tool_call(self):
        """The demo models know no tools: what they write is nonsense, but its form is that of a call."""
        choice = {"type": "function", "function": {"name": "weather"}}
        answer = self.chat(tools=[WEATHER], tool_choice=choice).choices[0]
        self.assertEqual(answer.finish_reason, "tool_calls")
        whole = answer.message
        self.assertTrue(whole.reasoning_content)
        self.assertEqual([c.function.name for c in whole.tool_calls], ["weather"])
        weather = json.loads(whole.tool_calls[0].function.arguments)
        self.assertIn(weather["unit"], ["celsius", "fahrenheit"])
        self.assertIn(weather["days"], range(1, 15))
        arguments, names = "", []
        for chunk in self.chat(tools=[WEATHER], tool_choice=choice, stream=True):
            for call in chunk.choices[0].delta.tool_calls or []:
                names += [call.function.name] if call.function.name else []
                arguments += call.function.arguments
        self.assertEqual(names, ["weather"])
        self.assertEqual(arguments, whole.tool_calls[0].function.arguments)

    def test_a_required_call_may_be_only_one(self):
        answer = self.chat(tools=[WEATHER, PING], tool_choice="required", parallel_tool_calls=False).choices[0]
        self.assertEqual(answer.finish_reason, "tool_calls")
        self.assertEqual(len(answer.message.tool_calls), 1)
        self.assertIsInstance(json.loads(answer.message.tool_calls[0].function.arguments), dict)

    def test_a_strict_schema_that_cannot_be_followed(self):
        tool = {"type": "function", "function": {"name": "f", "strict": True, "parameters": {
            "type": "object", "properties": {"a": {"type": "string", "pattern": "x"}}}}}
        with self.assertRaises(openai.BadRequestError) as caught:
            self.chat(tools=[tool])
        self.assertEqual(caught.exception.param, "tools")
        self.assertIn("'pattern'", caught.exception.body["message"])

    def test_errors_are_the_clients_own(self):
        with self.assertRaises(openai.NotFoundError):
            self.chat(model="none")
        with self.assertRaises(openai.BadRequestError) as caught:
            self.chat(temperature=9)
        self.assertEqual(caught.exception.param, "temperature")
        with self.assertRaises(openai.BadRequestError) as caught:
            self.chat(messages=[{"role": "user", "content": "word " * 5000}])
        self.assertEqual(caught.exception.code, "context_length_exceeded")

    def test_request_id(self):
        raw = self.client.chat.completions.with_raw_response.create(
            model="demo:native", messages=QUESTION, max_tokens=1, extra_headers={"x-request-id": "abc-1"})
        self.assertEqual(raw.headers["x-request-id"], "abc-1")

    def test_leaving_a_stream(self):
        with self.chat(stream=True, n=64, extra_body={"ignore_eos": True}) as stream:
            next(iter(stream))
        self.assertIn("12", self.chat().choices[0].message.content)


if __name__ == "__main__":
    unittest.main()
