#!/usr/bin/env python3
"""bench/serve_load.py: what it reads, what it counts, and a run. usage: load_test.py TOUCHSTONE BENCH_FOLDER"""
import asyncio
import csv
import itertools
import json
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest
import xml.etree.ElementTree

BINARY, BENCH = sys.argv.pop(1), pathlib.Path(sys.argv.pop(1))
sys.path.insert(0, str(BENCH))
import answer_stream  # noqa: E402
import serve_load  # noqa: E402

EVENTS = [{"choices": [{"delta": {"role": "assistant", "content": ""}}]},
          {"choices": [{"delta": {"content": "Tom — has"}}]},
          {"choices": [{"delta": {"reasoning_content": " 3"}}]},
          {"choices": [{"delta": {}, "finish_reason": "length"}]},
          {"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 9}}]
STREAM = "".join(f"data: {json.dumps(event)}\n\n" for event in EVENTS).encode() + b": a comment\n\ndata: [DONE]\n\n"
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"


def chunked(body, size):
    pieces = [body[i:i + size] for i in range(0, len(body), size)] + [b""]
    return HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + b"".join(
        f"{len(piece):x}\r\n".encode() + piece + b"\r\n" for piece in pieces)


class Streams(unittest.TestCase):
    def read(self, response, cut):
        body, events, answer, num_pieces = answer_stream.HttpBody(), answer_stream.Events(), answer_stream.Answer(), 0
        for i in range(0, len(response), cut):
            for event in events.feed(body.feed(response[i:i + cut])):
                num_pieces += answer.take(event)
        if not body.ended:
            body.close()
        return num_pieces, answer

    def test_an_answer_reads_the_same_however_it_is_framed_and_cut(self):
        framed = [chunked(STREAM, 1), chunked(STREAM, 50), HEAD + b"\r\n" + STREAM,
                  HEAD + f"Content-Length: {len(STREAM)}\r\n\r\n".encode() + STREAM]
        for response, cut in itertools.product(framed, (1, 2, 7, 100, 10_000)):
            num_pieces, answer = self.read(response, cut)
            self.assertEqual((num_pieces, answer.finish_reason, answer.done), (2, "length", True))
            self.assertEqual(answer.usage["completion_tokens"], 9)

    def test_a_response_that_is_cut_off_is_no_answer(self):
        whole = chunked(STREAM, 50)
        for end in range(len(whole) - 1):
            with self.assertRaises(answer_stream.BadResponse):
                self.read(whole[:end], 100)

    def test_what_is_not_http_is_an_error(self):
        for response in (b"SSH-2.0-x\r\n\r\n", HEAD + b"Transfer-Encoding: chunked\r\n\r\nxyz\r\n"):
            with self.assertRaises(answer_stream.BadResponse):
                self.read(response, 100)


class Outcomes(unittest.TestCase):
    """Requests to a server that sends back what it is told to."""

    def send(self, response, options=()):
        async def run():
            async def answer(reader, writer):
                await reader.readuntil(b"\r\n\r\n")
                writer.write(response)
                await writer.drain()
                writer.close()

            server = await asyncio.start_server(answer, "127.0.0.1", 0)
            port = server.sockets[0].getsockname()[1]
            if response is None:
                server.close()
            parsed = serve_load.parse_options(["--endpoint", f"a=http://127.0.0.1:{port}", "--clients", "1", *options])
            record = serve_load.Record(0, serve_load.time.perf_counter())
            await serve_load.send(parsed.endpoint[0], serve_load.Workload(parsed, 1), record)
            server.close()
            return record

        return asyncio.run(run())

    def test_each_failure_has_a_kind_and_an_answer_its_tokens(self):
        record = self.send(chunked(STREAM, 50))
        self.assertEqual((record.outcome, record.prompt_tokens, record.completion_tokens), ("ok", 7, 9))
        self.assertEqual(len(record.pieces), 2)
        for response, kind in ((chunked(STREAM, 50)[:-5], "cut off"), (b"", "cut off"),
                               (chunked(STREAM[:-15], 50), "incomplete"), (None, "ConnectionRefusedError"),
                               (b"HTTP/1.1 429 Too Many Requests\r\nContent-Length: 2\r\n\r\n{}", "HTTP 429"),
                               (chunked(b'data: {"error": {}}\n\n', 50), "error in the stream"),
                               (chunked(b"data: {]\n\n", 50), "not JSON")):
            self.assertEqual(self.send(response).outcome, kind)

    def test_a_client_that_hangs_up_is_no_error(self):
        self.assertEqual(self.send(chunked(STREAM, 50), ["--disconnect", "1", "--new-tokens", "2"]).outcome, "hung up")


def make_record(intended, pieces, tokens, outcome="ok"):
    return serve_load.Record(0, intended, pieces, end=pieces[-1], completion_tokens=tokens, outcome=outcome)


class Statistics(unittest.TestCase):
    def test_percentiles_lie_between_the_nearest_ranks(self):
        self.assertEqual(serve_load.percentile([5], 99), 5)
        self.assertEqual(serve_load.percentile([0, 10], 95), 9.5)
        self.assertEqual(serve_load.percentile(list(range(101)), 95), 95)
        summary = serve_load.summarize([4, 1, 3, 2])
        self.assertEqual((summary["mean"], summary["p50"], summary["max"]), (2.5, 2.5, 4))

    def test_latency_counts_from_the_moment_at_which_a_request_was_to_arrive(self):
        # A server that stands still for 10 s: each request that was to arrive meanwhile has waited.
        records = [make_record(float(i), [10.0 + i / 10, 11.0], 2) for i in range(10)]
        row = serve_load.describe_round(records, 0, 12, {"ttft_ms": 5000})
        self.assertEqual(row["ttft_ms"]["max"], 10_000)
        self.assertAlmostEqual(row["ttft_ms"]["p50"], (10.4 - 4 + 10.5 - 5) / 2 * 1e3)
        self.assertAlmostEqual(row["goodput_requests_s"], 4 / 12)

    def test_the_warm_up_is_left_out_and_tokens_count_where_they_came(self):
        early = make_record(-2.0, [-1.0, 1.0, 2.0, 3.0], 8)  # two tokens a piece, three pieces inside
        late = make_record(9.0, [9.5, 10.5], 2)              # one inside
        row = serve_load.describe_round([early, late], 0, 10, {})
        self.assertEqual((row["requests"], row["ok"], row["tok_s"]), (1, 1, 0.7))
        self.assertEqual(row["ttft_ms"]["max"], 500)

    def test_errors_and_clients_that_hung_up_are_counted_and_have_no_latency(self):
        kinds = ("HTTP 429", "HTTP 429", "timeout", "hung up", "ok")
        row = serve_load.describe_round([make_record(1.0, [2.0], 1, kind) for kind in kinds], 0, 10, {})
        self.assertEqual((row["requests"], row["ok"], row["hung_up"]), (5, 1, 1))
        self.assertEqual(row["errors"], {"HTTP 429": 2, "timeout": 1})

    def test_arrivals_are_a_poisson_process_that_the_seed_determines(self):
        count = 20_000
        arrivals = list(itertools.islice(serve_load.plan_arrivals(4, 1), count))
        self.assertEqual(arrivals[:100], list(itertools.islice(serve_load.plan_arrivals(4, 1), 100)))
        self.assertNotEqual(arrivals[:100], list(itertools.islice(serve_load.plan_arrivals(4, 2), 100)))
        gaps = [b - a for a, b in itertools.pairwise(arrivals)]
        mean = sum(gaps) / len(gaps)
        self.assertAlmostEqual(mean, 0.25, delta=0.01)
        self.assertAlmostEqual(sum((gap - mean) ** 2 for gap in gaps) / len(gaps), mean ** 2, delta=0.01)

    def test_growth_compares_the_end_with_the_beginning(self):
        flat = serve_load.describe_process([(float(i), 100e6, i / 2) for i in range(100)])
        self.assertEqual((flat["rss_growth_percent"], flat["cpus"]), (0, 0.5))
        growing = serve_load.describe_process([(float(i), (100 + i) * 1e6, 0.0) for i in range(100)])
        self.assertAlmostEqual(growing["rss_growth_percent"], 100 * (194.5 / 104.5 - 1))


class Run(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = subprocess.Popen([BINARY, "serve", "demo:native", "--port", "0", "--threads", "1"],
                                      stderr=subprocess.PIPE, text=True)
        cls.url = re.search(r"http://\S+", cls.server.stderr.readline()).group()

    @classmethod
    def tearDownClass(cls):
        cls.server.terminate()
        cls.server.wait(60)
        cls.server.stderr.close()

    def run_load(self, *options):
        command = [sys.executable, BENCH / "serve_load.py", "--endpoint", f"demo={self.url}", "--duration", "4",
                   "--warmup", "0.5", "--prompt-tokens", "100", "--new-tokens", "16", *options]
        result = subprocess.run(command, capture_output=True, text=True, timeout=300)
        self.assertEqual(result.returncode, 0, result.stderr)
        return json.loads(result.stdout)["rounds"]

    def test_closed_loop_with_clients_that_hang_up(self):
        with tempfile.TemporaryDirectory() as folder:
            table, plot = pathlib.Path(folder, "requests.csv"), pathlib.Path(folder, "plot.svg")
            rounds = self.run_load("--clients", "1,4", "--api", "mixed", "--disconnect", "0.3", "--rounds", "2",
                                   "--pid", str(self.server.pid), "--csv", str(table), "--svg", str(plot))
            self.assertEqual([(row["clients"], row["round"]) for row in rounds], [(1, 0), (1, 1), (4, 0), (4, 1)])
            for row in rounds:
                self.assertEqual(row["ok"] + row["hung_up"], row["requests"])
                self.assertEqual(row["completion_tokens_mean"], 16)
                self.assertAlmostEqual(row["prompt_tokens_mean"], 100, delta=40)
                self.assertGreater(row["server"]["engine_seconds"]["model"], 0)
                self.assertGreater(row["process"]["rss_mb"]["min"], 1)
            self.assertGreater(sum(row["hung_up"] for row in rounds), 0)
            with open(table) as file:
                lines = list(csv.DictReader(file))
            self.assertGreaterEqual(len(lines), sum(row["requests"] for row in rounds))
            self.assertEqual({line["outcome"] for line in lines}, {"ok", "hung up"})
            xml.etree.ElementTree.parse(plot)

    def test_open_loop_with_prompts_that_begin_alike(self):
        own, = self.run_load("--rate", "10", "--seed", "2", "--slo", "ttft_ms=60000,itl_ms=60000")
        alike, = self.run_load("--rate", "10", "--seed", "3", "--shared-prefix", "80", "--api", "completions")
        self.assertGreater(own["ok"], 0)
        self.assertEqual(own["goodput_requests_s"], own["requests_s"])
        self.assertLess(own["cached_tokens_mean"], 40)
        self.assertGreater(alike["cached_tokens_mean"], 60)


if __name__ == "__main__":
    unittest.main()
