#!/usr/bin/env python3
"""The official clients of other APIs against `touchstone serve` over the built-in pair.
usage: dialect_clients_test.py TOUCHSTONE"""
import json
import unittest

import anthropic
import ollama
import openai
import served

QUESTION = "Tom has 3 boxes with 4 pens each. How many pens?"
MESSAGES = [{"role": "user", "content": QUESTION}]
SCHEMA = {"type": "object", "properties": {"unit": {"enum": ["celsius", "fahrenheit"]}}, "required": ["unit"],
          "additionalProperties": False}


class OllamaClient(served.Served):
    def setUp(self):
        self.client = ollama.Client(host=self.url)
        self.addCleanup(self.client.close)

    def test_chat_streams_what_it_says_whole(self):
        arguments = {"model": "demo:distilled", "messages": MESSAGES, "options": {"temperature": 0}}
        whole = self.client.chat(**arguments)
        self.assertIn("12", whole.message.content)
        self.assertTrue(whole.message.thinking)
        self.assertEqual((whole.done, whole.done_reason), (True, "stop"))
        pieces = list(self.client.chat(**arguments, stream=True))
        self.assertEqual("".join(p.message.content or "" for p in pieces), whole.message.content)
        self.assertEqual("".join(p.message.thinking or "" for p in pieces), whole.message.thinking)
        self.assertEqual(pieces[-1].eval_count, whole.eval_count)
        self.assertGreater(pieces[-1].total_duration, 0)

    def test_generate(self):
        answer = self.client.generate("demo:distilled", QUESTION, think=False, options={"temperature": 0, "num_predict": 9})
        self.assertTrue(answer.response)
        self.assertFalse(answer.thinking)

    def test_nothing_asked_loads_the_model(self):
        self.assertEqual(self.client.generate("demo:native").done_reason, "load")
        self.assertEqual(self.client.chat("demo:native").done_reason, "load")

    def test_models(self):
        self.assertEqual([m.model for m in self.client.list().models], ["demo:distilled", "demo:native"])
        self.assertIn("completion", self.client.show("demo:native").capabilities)

    def test_errors(self):
        with self.assertRaises(ollama.ResponseError) as caught:
            self.client.chat("none", MESSAGES)
        self.assertEqual(caught.exception.status_code, 404)
        self.assertIn("none", caught.exception.error)


class AnthropicClient(served.Served):
    def setUp(self):
        self.client = anthropic.Anthropic(base_url=self.url, api_key="none", max_retries=0)
        self.addCleanup(self.client.close)

    def ask(self, **arguments):
        return {"model": "demo:distilled", "max_tokens": 500, "messages": MESSAGES,
                "extra_body": {"temperature": 0}, **arguments}

    def test_message_streams_what_it_says_whole(self):
        whole = self.client.messages.create(**self.ask())
        self.assertEqual([b.type for b in whole.content], ["thinking", "text"])
        self.assertIn("12", whole.content[1].text)
        self.assertEqual(whole.stop_reason, "end_turn")
        with self.client.messages.stream(**self.ask()) as stream:
            streamed = stream.get_final_message()
        self.assertEqual([b.model_dump() for b in streamed.content], [b.model_dump() for b in whole.content])
        self.assertEqual(streamed.stop_reason, "end_turn")
        self.assertEqual(streamed.usage.output_tokens, whole.usage.output_tokens)

    def test_thinking_and_counting(self):
        answer = self.client.messages.create(**self.ask(thinking={"type": "disabled"}))
        self.assertEqual([b.type for b in answer.content], ["text"])
        self.assertGreater(self.client.messages.count_tokens(model="demo:native", messages=MESSAGES).input_tokens, 5)

    def test_a_forced_tool_is_called(self):
        """The demo models know no tools: what they write is nonsense, but its form is that of a call."""
        arguments = self.ask(extra_body={"temperature": 0, "tools": [{"name": "weather", "input_schema": SCHEMA, "strict": True}]},
                             tool_choice={"type": "tool", "name": "weather"})
        whole = self.client.messages.create(**arguments)
        self.assertEqual([b.type for b in whole.content], ["thinking", "tool_use"])
        self.assertIn(whole.content[1].input["unit"], ["celsius", "fahrenheit"])
        self.assertEqual(whole.stop_reason, "tool_use")
        with self.client.messages.stream(**arguments) as stream:
            self.assertEqual(stream.get_final_message().content[1].input, whole.content[1].input)

    def test_errors(self):
        with self.assertRaises(anthropic.NotFoundError):
            self.client.messages.create(**self.ask(model="none"))
        with self.assertRaises(anthropic.BadRequestError) as caught:
            self.client.messages.create(**self.ask(extra_body={"temperature": 9}))
        self.assertEqual(caught.exception.body["error"]["type"], "invalid_request_error")


class ResponsesClient(served.Served):
    def setUp(self):
        self.client = openai.OpenAI(base_url=self.url + "/v1", api_key="none", max_retries=0)
        self.addCleanup(self.client.close)

    def ask(self, **arguments):
        return {"model": "demo:distilled", "input": QUESTION, "temperature": 0, **arguments}

    def test_response_streams_what_it_says_whole(self):
        whole = self.client.responses.create(**self.ask())
        self.assertIn("12", whole.output_text)
        self.assertEqual([i.type for i in whole.output], ["reasoning", "message"])
        self.assertEqual(whole.status, "completed")
        with self.client.responses.stream(**self.ask()) as stream:
            text = "".join(e.delta for e in stream if e.type == "response.output_text.delta")
            final = stream.get_final_response()
        self.assertEqual((text, final.output_text), (whole.output_text, whole.output_text))
        self.assertEqual(final.usage.output_tokens, whole.usage.output_tokens)

    def test_an_answer_can_be_sent_back(self):
        first = self.client.responses.create(**self.ask())
        turns = [{"role": "user", "content": QUESTION}, *[i.model_dump() for i in first.output],
                 {"role": "user", "content": QUESTION}]
        self.assertTrue(self.client.responses.create(**self.ask(input=turns)).output_text)

    def test_a_forced_function_is_called(self):
        response = self.client.responses.create(**self.ask(
            tools=[{"type": "function", "name": "weather", "parameters": SCHEMA, "strict": True}],
            tool_choice={"type": "function", "name": "weather"}))
        self.assertEqual([i.type for i in response.output], ["reasoning", "function_call"])
        self.assertEqual(response.output[1].name, "weather")
        self.assertIn(json.loads(response.output[1].arguments)["unit"], ["celsius", "fahrenheit"])
        self.assertEqual(response.status, "completed")

    def test_errors(self):
        with self.assertRaises(openai.NotFoundError):
            self.client.responses.create(**self.ask(model="none"))
        with self.assertRaises(openai.BadRequestError) as caught:
            self.client.responses.create(**self.ask(previous_response_id="resp_1"))
        self.assertEqual(caught.exception.param, "previous_response_id")


if __name__ == "__main__":
    unittest.main()
