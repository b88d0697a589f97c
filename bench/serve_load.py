#!/usr/bin/env python3
"""Puts load on servers that speak OpenAI's API and measures what their clients see. Needs nothing but Python.

    python3 bench/serve_load.py --endpoint touchstone=http://127.0.0.1:7860 --clients 1,8,32 --duration 30
    python3 bench/serve_load.py --endpoint a=URL --endpoint b=URL --rate 2 --rounds 3 --slo ttft_ms=1000,itl_ms=100

Closed loop (--clients): so many clients, each sends its next request when the last one is answered. Open loop
(--rate): requests arrive at random (Poisson), whatever the server does, and their latencies count from the moment
at which they were to arrive: a server, or a generator, that lags behind can hide nothing.

A document goes to standard output, a summary to standard error. TTFT: to the first text. ITL: between two pieces of
text, over all requests. End-to-end: to the end of the answer. tok/s: tokens that arrived in the measured time, over
it. The status is 1 when a request failed, or when a touchstone server holds requests or KV blocks afterwards.
"""
import argparse
import asyncio
import csv
import dataclasses
import itertools
import json
import os
import random
import re
import ssl
import statistics
import sys
import time
import urllib.parse

import chart
from answer_stream import Answer, BadResponse, Events, HttpBody

# Each of them, with a space before it, is one token to most vocabularies.
WORDS = ("time year people way day man thing woman life child world school state family student group country "
         "problem hand part place case week company system program question work government number night point "
         "home water room mother area money story fact month lot right study book eye job word business issue "
         "side kind head house service friend father power hour game line end member law car city community name "
         "president team minute idea body information back parent face level office door health person art war "
         "history party result change morning reason research girl guy moment air teacher force education").split()
SETTLING_S = 10  # until a server must have noticed that all clients have left


# ---- requests ----

@dataclasses.dataclass
class Endpoint:
    name: str
    url: urllib.parse.SplitResult
    model: str = ""
    pid: int = 0

    async def connect(self):
        is_tls = self.url.scheme == "https"
        return await asyncio.open_connection(self.url.hostname, self.url.port or (443 if is_tls else 80),
                                             ssl=ssl.create_default_context() if is_tls else None)

    def format_request(self, method, path, body=b""):
        key = os.environ.get("OPENAI_API_KEY")
        head = (f"{method} {self.url.path.rstrip('/')}{path} HTTP/1.1\r\nHost: {self.url.netloc}\r\n"
                f"Connection: close\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n")
        return (head + (f"Authorization: Bearer {key}\r\n" if key else "") + "\r\n").encode() + body

    async def get(self, path):
        """The body, or nothing where there is none."""
        reader, writer = await self.connect()
        try:
            writer.write(self.format_request("GET", path))
            body = HttpBody()
            data = body.feed(await reader.read())
            return data if body.status == 200 else b""
        finally:
            writer.close()


@dataclasses.dataclass
class HangUp:
    """When a client leaves: while it sends, a while before the first text, or behind so many pieces of it."""
    moment: str
    seconds: float
    pieces: int


@dataclasses.dataclass
class Record:
    """One request; moments are time.perf_counter()'s."""
    index: int
    intended: float
    pieces: list = dataclasses.field(default_factory=list)  # when text came
    end: float = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
    outcome: str = ""  # "ok", "hung up", or the kind of the error

    def ttft_ms(self):
        return (self.pieces[0] - self.intended) * 1e3

    def e2e_ms(self):
        return (self.end - self.intended) * 1e3

    def gaps_ms(self):
        return [(b - a) * 1e3 for a, b in itertools.pairwise(self.pieces)]


def make_text(seed, words):
    return " ".join(random.Random(seed).choices(WORDS, k=words))


class Workload:
    """Request number i is the same for every endpoint and in every run with the same settings."""

    def __init__(self, options, words_per_token):
        self.options, self.words_per_token = options, words_per_token
        self.shared = make_text("shared", self.words(options.shared_prefix))

    def words(self, tokens):
        return round(tokens * self.words_per_token)

    def make_request(self, endpoint, index):
        """The path, the body, and the HangUp if there is to be one."""
        o = self.options
        chance = random.Random(f"{o.seed} {index} chances")
        is_chat = {"chat": True, "completions": False, "mixed": chance.random() < 0.5}[o.api]
        own = max(self.words(o.prompt_tokens - o.shared_prefix), 1)
        prompt = f"{self.shared} {make_text(f'{o.seed} {index} text', own)}".strip()
        body = {"model": endpoint.model, "stream": True, "stream_options": {"include_usage": True},
                "max_tokens": o.new_tokens, "ignore_eos": True, "temperature": o.temperature, "seed": index,
                **json.loads(o.extra)}
        body.update({"messages": [{"role": "user", "content": prompt}]} if is_chat else {"prompt": prompt})
        hang_up = None
        if chance.random() < o.disconnect:
            hang_up = HangUp(chance.choice(("sending", "waiting", "reading", "reading")), chance.random(),
                             chance.randint(1, max(o.new_tokens - 1, 1)))
        return "/v1/chat/completions" if is_chat else "/v1/completions", json.dumps(body).encode(), hang_up


async def exchange(endpoint, request, hang_up, record):
    reader, writer = await endpoint.connect()
    try:
        is_cut = hang_up and hang_up.moment == "sending"
        writer.write(request[:int(len(request) * hang_up.seconds)] if is_cut else request)
        await writer.drain()
        if hang_up and hang_up.moment != "reading":
            await asyncio.sleep(hang_up.seconds)
            record.outcome = "hung up"
            return
        body, events, answer = HttpBody(), Events(), Answer()
        while not body.ended:
            data = await reader.read(1 << 16)
            now = time.perf_counter()
            piece = body.feed(data)
            if not data:
                body.close()
            if body.status not in (0, 200):
                raise BadResponse(f"HTTP {body.status}")
            for event in events.feed(piece):
                if answer.take(event):
                    record.pieces.append(now)
            if hang_up and len(record.pieces) >= hang_up.pieces:
                record.outcome = "hung up"
                return
        record.end = now
        if not answer.done or not answer.finish_reason or not record.pieces:
            raise BadResponse("incomplete")
        record.prompt_tokens = answer.usage.get("prompt_tokens", 0)
        record.cached_tokens = (answer.usage.get("prompt_tokens_details") or {}).get("cached_tokens") or 0
        record.completion_tokens = answer.usage.get("completion_tokens", len(record.pieces))
        record.outcome = "ok"
    finally:
        writer.transport.abort()


async def send(endpoint, workload, record):
    path, body, hang_up = workload.make_request(endpoint, record.index)
    try:
        async with asyncio.timeout(workload.options.timeout):
            await exchange(endpoint, endpoint.format_request("POST", path, body), hang_up, record)
    except TimeoutError:
        record.outcome = "timeout"
    except BadResponse as error:
        record.outcome = str(error)
    except OSError as error:
        # A server may refuse the rest of a request that its client will never finish.
        record.outcome = "hung up" if hang_up else type(error).__name__
    except ValueError:
        record.outcome = "not JSON"


# ---- load ----

async def run_clients(count, end, endpoint, workload, indices):
    records = []

    async def be_client():
        while (now := time.perf_counter()) < end:
            records.append(Record(next(indices), now))
            await send(endpoint, workload, records[-1])
            if records[-1].outcome not in ("ok", "hung up"):
                await asyncio.sleep(0.1)  # a server that refuses is not to be flooded

    await asyncio.gather(*(be_client() for _ in range(count)))
    return records


def plan_arrivals(rate, seed):
    """Seconds after the beginning, for ever: a Poisson process."""
    chance = random.Random(f"{seed} arrivals")
    return itertools.accumulate(chance.expovariate(rate) for _ in itertools.count())


async def run_arrivals(rate, end, endpoint, workload, indices):
    begun, records, tasks = time.perf_counter(), [], []
    for arrival in plan_arrivals(rate, workload.options.seed):
        intended = begun + arrival
        if intended >= end:
            break
        await asyncio.sleep(max(intended - time.perf_counter(), 0))
        records.append(Record(next(indices), intended))
        tasks.append(asyncio.create_task(send(endpoint, workload, records[-1])))
    await asyncio.gather(*tasks)
    return records


class ProcessWatch:
    """A process's memory and processor time, once a second."""

    def __init__(self, pid):
        self.pid, self.samples = pid, []  # (moment, RSS in bytes, seconds of CPU)

    def sample(self):
        with open(f"/proc/{self.pid}/statm") as statm, open(f"/proc/{self.pid}/stat") as stat:
            rss = int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
            fields = stat.read().rpartition(")")[2].split()
        seconds = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        self.samples.append((time.perf_counter(), rss, seconds))

    async def run(self):
        while os.path.exists(f"/proc/{self.pid}"):
            self.sample()
            await asyncio.sleep(1)


def describe_process(samples):
    """Of at least two; growth: the mean of the last tenth against that of the first."""
    rss = [sample[1] / 1e6 for sample in samples]
    tenth = max(len(rss) // 10, 1)
    first, last = statistics.fmean(rss[:tenth]), statistics.fmean(rss[-tenth:])
    return {"rss_mb": {"first": first, "last": last, "min": min(rss), "max": max(rss)},
            "rss_growth_percent": 100 * (last / first - 1),
            "cpus": (samples[-1][2] - samples[0][2]) / (samples[-1][0] - samples[0][0]),
            "rss_mb_by_s": [[round(s[0] - samples[0][0], 1), round(s[1] / 1e6, 1)] for s in samples]}


# ---- touchstone's own account ----

def read_metrics(text):
    """name{labels} -> value."""
    return {name: float(value) for name, value in re.findall(r"^(touchstone_\S+) (\S+)$", text, re.MULTILINE)}


def total(metrics, name, label=""):
    """Over all models."""
    return sum(value for key, value in metrics.items() if key.split("{")[0] == name and label in key)


def describe_server(before, after):
    if not after:
        return None
    seconds = {part: total(after, "touchstone_engine_seconds_total", f'part="{part}"')
               - total(before, "touchstone_engine_seconds_total", f'part="{part}"')
               for part in ("model", "choosing", "rest")}
    busy = sum(seconds.values())
    reasons = set(re.findall(r'touchstone_finished_total\{.*?reason="(\w+)"', "\n".join(after)))
    return {"running": total(after, "touchstone_requests_running"),
            "waiting": total(after, "touchstone_requests_waiting"),
            "kv_blocks_used": total(after, "touchstone_kv_blocks_used"),
            "finished": {reason: total(after, "touchstone_finished_total", f'reason="{reason}"')
                         - total(before, "touchstone_finished_total", f'reason="{reason}"')
                         for reason in sorted(reasons)},
            "engine_seconds": seconds,
            "outside_model_percent": 100 * (busy - seconds["model"]) / busy if busy else 0}


def is_settled(server):
    return server is None or server["running"] == server["waiting"] == server["kv_blocks_used"] == 0


async def settle(endpoint, before):
    """What the server says when all clients have left; it may take a moment to notice."""
    deadline = time.perf_counter() + SETTLING_S
    while True:
        server = describe_server(before, read_metrics((await endpoint.get("/metrics")).decode()))
        if is_settled(server) or time.perf_counter() > deadline:
            return server
        await asyncio.sleep(0.1)


# ---- statistics ----

def percentile(values, percent):
    """Between the two nearest ranks in proportion; `values` ascend, at least one."""
    place = (len(values) - 1) * percent / 100
    low = int(place)
    high = min(low + 1, len(values) - 1)
    return values[low] + (values[high] - values[low]) * (place - low)


def summarize(values):
    if not values:
        return None
    ascending = sorted(values)
    return {"mean": statistics.fmean(values), "p50": percentile(ascending, 50), "p95": percentile(ascending, 95),
            "p99": percentile(ascending, 99), "max": ascending[-1]}


def count_tokens(record, begin, end):
    """How many of the request's tokens came in that time: those of each piece, which may hold several."""
    if not record.pieces:
        return 0
    tokens = record.completion_tokens or len(record.pieces)
    return tokens * sum(begin <= moment < end for moment in record.pieces) / len(record.pieces)


def meets(record, slo):
    """`slo`: the most that TTFT, the mean ITL and the end-to-end latency of a request may be."""
    gaps = record.gaps_ms()
    measured = {"ttft_ms": record.ttft_ms(), "itl_ms": statistics.fmean(gaps) if gaps else 0,
                "e2e_ms": record.e2e_ms()}
    return record.outcome == "ok" and all(measured[name] <= most for name, most in slo.items())


def describe_round(records, begin, end, slo):
    """Latencies are those of requests that were to arrive in that time; tokens those that came in it."""
    inside = [record for record in records if begin <= record.intended < end]
    ok = [record for record in inside if record.outcome == "ok"]
    outcomes = [record.outcome for record in inside]
    seconds = end - begin
    row = {"requests": len(inside), "ok": len(ok), "hung_up": outcomes.count("hung up"),
           "errors": {kind: outcomes.count(kind) for kind in sorted(set(outcomes) - {"ok", "hung up"})},
           "tok_s": sum(count_tokens(record, begin, end) for record in records) / seconds,
           "requests_s": len(ok) / seconds,
           "ttft_ms": summarize([record.ttft_ms() for record in ok]),
           "itl_ms": summarize([gap for record in ok for gap in record.gaps_ms()]),
           "e2e_ms": summarize([record.e2e_ms() for record in ok])}
    for name in ("prompt_tokens", "cached_tokens", "completion_tokens"):
        row[f"{name}_mean"] = statistics.fmean(getattr(record, name) for record in ok) if ok else 0
    if slo:
        row["goodput_requests_s"] = sum(meets(record, slo) for record in ok) / seconds
    return row


# ---- a run ----

async def measure(endpoint, load, workload, indices, watch):
    """One round: (its description, its records)."""
    o = workload.options
    before = read_metrics((await endpoint.get("/metrics")).decode())
    cpu, begun = time.process_time(), time.perf_counter()
    begin, end = begun + o.warmup, begun + o.warmup + o.duration
    run = run_clients if o.clients else run_arrivals
    watching = asyncio.create_task(watch.run()) if watch else None
    records = await run(load, end, endpoint, workload, indices)
    elapsed = time.perf_counter() - begun
    if watching:
        watching.cancel()
    row = {"endpoint": endpoint.name, "clients" if o.clients else "rate": load,
           **describe_round(records, begin, end, o.slo),
           "generator_cpus": (time.process_time() - cpu) / elapsed}
    row["server"] = await settle(endpoint, before)
    if watch:
        samples = [sample for sample in watch.samples if begin <= sample[0] < end]
        row["process"] = describe_process(samples) if len(samples) > 1 else None
    return row, records


async def find_words_per_token(endpoint, options):
    """By asking: 20 words more make so many more tokens."""
    tokens = []
    for words in (10, 30):
        body = {"model": endpoint.model, "prompt": make_text("words", words), "max_tokens": 1, "stream": True,
                "stream_options": {"include_usage": True}}
        record = Record(0, time.perf_counter())
        request = endpoint.format_request("POST", "/v1/completions", json.dumps(body).encode())
        async with asyncio.timeout(options.timeout):
            try:
                await exchange(endpoint, request, None, record)
            except BadResponse as error:
                if str(error) != "incomplete":  # the one token was no text
                    raise
        tokens.append(record.prompt_tokens)
    return 20 / (tokens[1] - tokens[0]) if tokens[1] > tokens[0] else 1


def describe_line(row):
    def show(name):
        values = row[name]
        return "{:>7.0f} {:>7.0f} {:>7.0f}".format(*(values[p] for p in ("p50", "p95", "p99"))) if values else " " * 23

    load = f"{row['clients']} clients" if "clients" in row else f"{row['rate']:g} /s"
    line = f"{row['endpoint']:<14} {load:<11} {row['tok_s']:>7.1f} {show('ttft_ms')}  {show('itl_ms')}  {show('e2e_ms')}"
    line += f"  ok {row['ok']}/{row['requests']}, hung up {row['hung_up']}, errors {row['errors'] or 0}"
    if "goodput_requests_s" in row:
        line += f", goodput {row['goodput_requests_s']:.2f} of {row['requests_s']:.2f} /s"
    if row["server"]:
        line += f", outside the model {row['server']['outside_model_percent']:.1f} %"
        line += "" if is_settled(row["server"]) else ", STILL BUSY"
    if row.get("process"):
        line += f", RSS {row['process']['rss_mb']['last']:.0f} MB ({row['process']['rss_growth_percent']:+.1f} %)"
    return line + f", generator {100 * row['generator_cpus']:.1f} % of a core"


def write_csv(path, runs):
    with open(path, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["endpoint", "load", "round", "request", "outcome", "ttft_ms", "e2e_ms", "itl_mean_ms",
                         "itl_max_ms", "prompt_tokens", "cached_tokens", "completion_tokens"])
        for row, records in runs:
            for record in records:
                gaps = record.gaps_ms() or [0]
                times = ([record.ttft_ms(), record.e2e_ms(), statistics.fmean(gaps), max(gaps)]
                         if record.outcome == "ok" else [""] * 4)
                writer.writerow([row["endpoint"], row.get("clients", row.get("rate")), row["round"], record.index,
                                 record.outcome, *times, record.prompt_tokens, record.cached_tokens,
                                 record.completion_tokens])


def draw(rows):
    """Bars of medians over the rounds."""
    panels = []
    for title, read in (("tokens/s", lambda row: row["tok_s"]),
                        ("time to the first token, p95, ms", lambda row: (row["ttft_ms"] or {}).get("p95")),
                        ("between tokens, p95, ms", lambda row: (row["itl_ms"] or {}).get("p95"))):
        bars = {}
        for row in rows:
            load = f"{row['clients']} clients" if "clients" in row else f"{row['rate']:g} /s"
            if read(row):
                bars.setdefault((row["endpoint"], load), []).append(read(row))
        if bars:
            panels.append((title, list(bars.items())))
    return chart.draw(panels)


def parse_slo(text):
    slo = {name: float(value) for name, _, value in (part.partition("=") for part in text.split(",") if part)}
    if not slo.keys() <= {"ttft_ms", "itl_ms", "e2e_ms"}:
        raise ValueError(text)
    return slo


def parse_endpoint(text):
    name, found, url = text.partition("=")
    parts = urllib.parse.urlsplit(url.removesuffix("/").removesuffix("/v1"))
    if not found or parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(text)
    return Endpoint(name, parts)


def parse_options(arguments):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--endpoint", type=parse_endpoint, action="append", required=True, metavar="NAME=URL",
                        help="a server; several take turns")
    load = parser.add_mutually_exclusive_group(required=True)
    load.add_argument("--clients", help="closed loop: so many at once, as 1,8,32")
    load.add_argument("--rate", help="open loop: so many requests a second, as 0.5,1")
    parser.add_argument("--duration", type=float, default=30, help="seconds measured in each round")
    parser.add_argument("--warmup", type=float, default=5, help="seconds of the same load before that")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--prompt-tokens", type=int, default=256, help="of each prompt, about")
    parser.add_argument("--shared-prefix", type=int, default=0, help="of these so many are the same in all prompts")
    parser.add_argument("--new-tokens", type=int, default=128, help="of each answer, where ignore_eos is known")
    parser.add_argument("--api", choices=("chat", "completions", "mixed"), default="chat")
    parser.add_argument("--temperature", type=float, default=0.6)
    parser.add_argument("--extra", default="{}", help="JSON object: more fields for each request")
    parser.add_argument("--model", default="", help="default: the first that the server lists")
    parser.add_argument("--disconnect", type=float, default=0, help="share of requests whose client hangs up")
    parser.add_argument("--slo", type=parse_slo, default={}, metavar="ttft_ms=X,itl_ms=Y,e2e_ms=Z")
    parser.add_argument("--timeout", type=float, default=600, help="seconds for one request")
    parser.add_argument("--seed", type=int, default=1, help="of prompts and chances; a server that has seen a prompt "
                        "may have it in its prefix cache")
    parser.add_argument("--pid", action="append", default=[], metavar="[NAME=]PID",
                        help="a server's process, whose memory and CPU time to watch")
    parser.add_argument("--csv", help="file for one line a request")
    parser.add_argument("--svg", help="file for a plot")
    options = parser.parse_args(arguments)
    options.clients = [int(value) for value in options.clients.split(",")] if options.clients else None
    options.rate = [float(value) for value in options.rate.split(",")] if options.rate else None
    for text in options.pid:
        name, _, pid = text.rpartition("=")
        for endpoint in options.endpoint:
            if name in ("", endpoint.name):
                endpoint.pid = int(pid)
    return options


async def run_all(options):
    for endpoint in options.endpoint:
        endpoint.model = options.model or json.loads(await endpoint.get("/v1/models"))["data"][0]["id"]
    workload = Workload(options, await find_words_per_token(options.endpoint[0], options))
    print(f"{'':26} {'tok/s':>7} {'TTFT p50':>9} {'p95':>5} {'p99':>7} {'ITL p50':>9} {'p95':>7} {'p99':>7} "
          f"{'e2e p50':>9} {'p95':>7} {'p99':>7}  (ms)", file=sys.stderr)
    runs = []
    firsts = itertools.count(step=1_000_000)  # the same requests for each endpoint, others in each round
    for load in options.clients or options.rate:
        for number in range(options.rounds):
            first = next(firsts)
            for endpoint in options.endpoint:
                watch = ProcessWatch(endpoint.pid) if endpoint.pid else None
                row, records = await measure(endpoint, load, workload, itertools.count(first), watch)
                row["round"] = number
                runs.append((row, records))
                print(describe_line(row), file=sys.stderr)
    return runs


def main():
    options = parse_options(sys.argv[1:])
    try:
        runs = asyncio.run(run_all(options))
    except (BadResponse, OSError, ValueError) as error:  # before or between the rounds; in them errors are counted
        print(f"serve_load.py: a server gives no answer that can be used: {error!r}", file=sys.stderr)
        return 2
    rows = [row for row, _ in runs]
    settings = {name: value for name, value in vars(options).items() if name not in ("endpoint", "pid", "csv", "svg")}
    settings["models"] = {endpoint.name: endpoint.model for endpoint in options.endpoint}
    print(json.dumps({"settings": settings, "rounds": rows}, indent=1))
    if options.csv:
        write_csv(options.csv, runs)
    if options.svg:
        with open(options.svg, "w") as file:
            file.write(draw(rows))
    return 1 if any(row["errors"] or not is_settled(row["server"]) for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
