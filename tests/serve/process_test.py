#!/usr/bin/env python3
"""`touchstone serve` as a process: signals, TLS, logs, warnings. usage: process_test.py TOUCHSTONE"""
import http.client
import json
import math
import os
import pathlib
import re
import shutil
import signal
import socket
import ssl
import struct
import subprocess
import sys
import tempfile
import time
import unittest

BINARY = sys.argv.pop(1)
# Sanitizers keep memory that has been given back.
SANITIZED = any(name in pathlib.Path(BINARY).read_bytes() for name in (b"__asan_init", b"__tsan_init"))
GOLDEN_MODEL = pathlib.Path(__file__).parent.parent / "golden/models/tiny-qwen2-untied-bf16"
LONG = json.dumps({"messages": [{"role": "user", "content": "hi"}], "n": 128, "ignore_eos": True, "stream": True})


def make_certificate(folder):
    key, cert = os.path.join(folder, "key.pem"), os.path.join(folder, "cert.pem")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", cert,
                    "-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"],
                   check=True, capture_output=True)
    return key, cert


def make_slow_model(folder):
    """The built-in model with a feed-forward so wide that packing takes seconds; its weights, all 0, take no disk."""
    demo = pathlib.Path(__file__).parent.parent.parent / "demo/native"
    for name in ("generation_config.json", "tokenizer.json", "tokenizer_config.json"):
        shutil.copy(demo / name, folder)
    config = json.loads((demo / "config.json").read_text())
    narrow, wide = config["intermediate_size"], 1 << 18
    pathlib.Path(folder, "config.json").write_text(json.dumps({**config, "intermediate_size": wide}))
    with (demo / "model.safetensors").open("rb") as file:
        tensors = json.loads(file.read(struct.unpack("<Q", file.read(8))[0]))
    tensors.pop("__metadata__", None)
    end = 0
    for tensor in tensors.values():
        tensor["shape"] = [wide if size == narrow else size for size in tensor["shape"]]
        begin, end = end, end + math.prod(tensor["shape"]) * {"BF16": 2, "F32": 4}[tensor["dtype"]]
        tensor["data_offsets"] = [begin, end]
    header = json.dumps(tensors).encode()
    with pathlib.Path(folder, "model.safetensors").open("wb") as file:
        file.write(struct.pack("<Q", len(header)) + header)
        file.truncate(8 + len(header) + end)


class Process:
    def __init__(self, *options):
        self.process = subprocess.Popen([BINARY, "serve", "demo:native", "--port", "0", "--threads", "1", *options],
                                        stderr=subprocess.PIPE, text=True)
        self.lines = []
        while not (self.lines and "serving" in self.lines[-1]):
            line = self.process.stderr.readline()
            assert line, "it ended: " + "".join(self.lines)
            self.lines.append(line)
        self.port = int(re.search(r":(\d+)\D*$", self.lines[-1]).group(1))

    def connect(self):
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)

    def connect_by_tls(self, cert):
        raw = socket.create_connection(("127.0.0.1", self.port), timeout=60)
        return ssl.create_default_context(cafile=cert).wrap_socket(raw, server_hostname="localhost")

    def status(self):
        text = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return {name: int(value) for name, value in re.findall(r"^(\w+):\s+(\d+)", text, re.M)}

    def begin_long_answer(self):
        connection = self.connect()
        connection.request("POST", "/v1/chat/completions", LONG, {"Content-Type": "application/json"})
        response = connection.getresponse()
        response.read(10)
        return connection, response

    def end(self):
        if self.process.poll() is None:
            self.process.kill()
        if not self.process.stderr.closed:
            self.lines += self.process.stderr.readlines()
            self.process.stderr.close()
        return self.process.wait(60)


class Serve(unittest.TestCase):
    def start(self, *options):
        process = Process(*options)
        self.addCleanup(process.end)
        return process

    def test_signals_end_an_idle_server_with_status_0(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            process = Process()
            process.process.send_signal(number)
            self.assertEqual(process.process.wait(60), 0)
            process.end()

    def test_signals_end_a_server_that_is_not_ready_yet_with_status_0(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            process = subprocess.Popen([BINARY, "serve", "demo:native", "--port", "0", "--log-level", "info"],
                                       stderr=subprocess.PIPE, text=True)
            self.addCleanup(process.stderr.close)
            self.assertIn("listening", process.stderr.readline())
            process.send_signal(number)
            self.assertEqual(process.wait(60), 0)

    def test_signals_before_it_listens_end_it_with_status_0(self):
        with tempfile.TemporaryDirectory() as folder:
            key, cert = make_certificate(folder)
            slow = pathlib.Path(folder, "slow.pem")
            os.mkfifo(slow)
            for number in (signal.SIGTERM, signal.SIGINT):
                process = subprocess.Popen([BINARY, "serve", "demo:native", "--port", "0", "--log-level", "info",
                                            "--tls-cert", slow, "--tls-key", key], stderr=subprocess.PIPE, text=True)
                self.addCleanup(process.stderr.close)
                with slow.open("w") as writer:  # opens when it is being read
                    process.send_signal(number)
                    writer.write(pathlib.Path(cert).read_text())
                self.assertEqual(process.wait(60), 0)
                self.assertIn("draining", process.stderr.read())

    def test_a_taken_port_is_said_before_anything_is_loaded(self):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = str(taken.getsockname()[1])
            run = subprocess.run([BINARY, "serve", "demo:native", "--port", port, "--log-level", "info"],
                                 capture_output=True, text=True, timeout=60)
        self.assertEqual(run.returncode, 1)
        self.assertIn("cannot listen", run.stderr)
        self.assertNotIn("loaded", run.stderr)

    def test_a_model_that_cannot_be_loaded_ends_it_with_one_line_and_status_1(self):
        with tempfile.TemporaryDirectory() as folder:
            model = pathlib.Path(folder, "model")
            shutil.copytree(GOLDEN_MODEL, model)
            (model / "tokenizer.json").write_text("{}")
            run = subprocess.run([BINARY, "serve", model, "--port", "0"], capture_output=True, text=True, timeout=60)
        self.assertEqual(run.returncode, 1)
        self.assertRegex(run.stderr, r"\Atouchstone: error: [^\n]*tokenizer\.json[^\n]*\n\Z")

    def test_an_answer_is_cut_off_after_the_time_to_drain(self):
        process = self.start("--drain-seconds", "0.2")
        connection, response = process.begin_long_answer()
        process.process.send_signal(signal.SIGTERM)
        self.assertIn(b"shutting_down", response.read())
        self.assertEqual(process.process.wait(60), 0)
        connection.close()

    def test_a_model_that_is_being_loaded_for_nobody_is_not_waited_for(self):
        with tempfile.TemporaryDirectory() as folder:
            make_slow_model(folder)
            options = [folder, "--ctx", "64", "--parallel", "1", "--dtype", "int4", "--isa", "scalar", "--no-cache"]
            plan = json.loads(subprocess.run(
                [BINARY, "serve", "demo:native", *options, "--preflight", "--json"], check=True, capture_output=True,
                text=True).stdout)
            # One of them at a time.
            process = self.start(*options, "--memory-budget", str(plan["peak"] - plan["models"][0]["total"] // 2))
            connection = process.connect()
            connection.request("POST", "/v1/completions",
                               json.dumps({"model": pathlib.Path(folder).name, "prompt": "hi", "max_tokens": 1}))
            time.sleep(0.3)
            connection.close()
            time.sleep(0.3)
            begun = time.monotonic()
            process.process.send_signal(signal.SIGTERM)
            self.assertEqual(process.process.wait(60), 0)
            self.assertLess(time.monotonic() - begun, 0.5)

    def test_a_second_interrupt_ends_it_at_once(self):
        process = self.start("--drain-seconds", "600")
        connection, _ = process.begin_long_answer()
        process.process.send_signal(signal.SIGINT)
        status = 200
        while status == 200:
            ready = process.connect()
            ready.request("GET", "/ready")
            status = ready.getresponse().status
            ready.close()
        self.assertEqual(status, 503)
        process.process.send_signal(signal.SIGINT)
        self.assertEqual(process.process.wait(60), 130)
        connection.close()

    def test_the_keys_are_read_again_on_sighup(self):
        with tempfile.TemporaryDirectory() as folder:
            keys = pathlib.Path(folder, "keys")
            keys.write_text("one\n")
            process = self.start("--api-key-file", str(keys))

            def status(key):
                connection = process.connect()
                connection.request("GET", "/v1/models", headers={"Authorization": "Bearer " + key})
                result = connection.getresponse().status
                connection.close()
                return result

            self.assertEqual((status("one"), status("two")), (200, 401))
            keys.write_text("two\n")
            process.process.send_signal(signal.SIGHUP)
            for _ in range(100):
                if status("two") == 200:
                    break
                time.sleep(0.05)
            self.assertEqual((status("one"), status("two")), (401, 200))

    def test_tls(self):
        with tempfile.TemporaryDirectory() as folder:
            key, cert = make_certificate(folder)
            process = self.start("--tls-cert", cert, "--tls-key", key)
            context = ssl.create_default_context(cafile=cert)
            connection = http.client.HTTPSConnection("localhost", process.port, context=context, timeout=60)
            for _ in range(2):
                body = json.dumps({"prompt": "Tom", "max_tokens": 3, "temperature": 0})
                connection.request("POST", "/v1/completions", body)
                response = connection.getresponse()
                self.assertEqual(response.status, 200)
                self.assertEqual(json.loads(response.read())["model"], "demo:native")
            connection.request("POST", "/v1/completions", json.dumps({"prompt": "Tom", "max_tokens": 3, "stream": True}))
            self.assertTrue(connection.getresponse().read().endswith(b"data: [DONE]\n\n"))
            connection.close()
            raw = socket.create_connection(("127.0.0.1", process.port), timeout=60)
            with context.wrap_socket(raw, server_hostname="localhost", suppress_ragged_eofs=False) as old:
                body = json.dumps({"prompt": "Tom", "max_tokens": 3, "stream": True})
                old.sendall(f"POST /v1/completions HTTP/1.0\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())
                answer = b""
                while piece := old.recv(65536):  # raises where the connection is cut and not ended
                    answer += piece
            self.assertTrue(answer.endswith(b"data: [DONE]\n\n"))
            raw = socket.create_connection(("127.0.0.1", process.port), timeout=60)
            with context.wrap_socket(raw, server_hostname="localhost") as large:
                large.sendall(b"POST /v1/messages HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9000000\r\n\r\n")
                large.sendall(bytes(9_000_000))  # raises where a refusal resets the connection
                self.assertTrue(large.recv(65536).startswith(b"HTTP/1.1 413"))
            with self.assertRaises((http.client.HTTPException, OSError)):  # plain text to a TLS port
                plain = process.connect()
                plain.request("GET", "/health")
                plain.getresponse()

    def test_tls_takes_a_request_while_the_answer_before_it_is_not_read(self):
        with tempfile.TemporaryDirectory() as folder:
            key, cert = make_certificate(folder)
            process = self.start("--tls-cert", cert, "--tls-key", key)
            client = process.connect_by_tls(cert)
            body = json.dumps({"text": "word " * 400_000})
            request = f"POST /tokenize HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()
            client.sendall(request)
            time.sleep(0.5)  # until the answer fills all buffers on its way
            client.sendall(request[:50_000])
            time.sleep(0.1)
            lengths = []
            for rest in (b"", request[50_000:]):
                client.sendall(rest)
                response = http.client.HTTPResponse(client)
                response.begin()
                lengths.append(len(json.loads(response.read())["ids"]))
            self.assertGreater(lengths[0], 400_000)
            self.assertEqual(lengths[0], lengths[1])
            client.close()

    def test_idle_tls_clients_take_little_memory_and_no_threads(self):
        with tempfile.TemporaryDirectory() as folder:
            key, cert = make_certificate(folder)
            process = self.start("--tls-cert", cert, "--tls-key", key)

            def connect():
                client = process.connect_by_tls(cert)
                client.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
                self.assertTrue(client.recv(65536).startswith(b"HTTP/1.1 200"))
                return client

            connect().close()
            before = process.status()
            clients = [connect() for _ in range(200)]
            after = process.status()
            self.assertEqual(after["Threads"], before["Threads"])
            if not SANITIZED:
                self.assertLess((after["VmRSS"] - before["VmRSS"]) / len(clients), 50)  # KiB
            for client in clients:
                client.close()

    def test_json_logs_have_the_request_id(self):
        process = self.start("--log-format", "json", "--log-level", "info")
        connection = process.connect()
        connection.request("GET", "/health", headers={"x-request-id": "look-for-me"})
        connection.getresponse().read()
        connection.close()
        process.process.send_signal(signal.SIGTERM)
        process.process.wait(60)
        process.end()
        logged = [json.loads(line) for line in process.lines]
        line = next(line for line in logged if line.get("id") == "look-for-me")
        self.assertEqual((line["status"], line["path"], line["method"], line["level"]), (200, "/health", "GET", "info"))

    def test_in_json_logs_too_a_server_that_is_ready_is_no_warning(self):
        process = self.start("--log-format", "json")
        process.process.send_signal(signal.SIGTERM)
        process.process.wait(60)
        process.end()
        line = next(line for line in map(json.loads, process.lines) if line["message"].startswith("serving"))
        self.assertEqual(line["level"], "info")

    def test_an_answer_without_a_token_has_no_time_to_its_first_one_in_the_log(self):
        process = self.start("--log-format", "json", "--log-level", "info")
        connection = process.connect()
        question = {"prompt": " one two three four" * 100, "max_tokens": 2, "timeout": 0.001}
        connection.request("POST", "/v1/completions", json.dumps(question), {"x-request-id": "too-late"})
        response = connection.getresponse()
        self.assertEqual(response.status, 504, response.read())
        response.read()
        connection.close()
        process.process.send_signal(signal.SIGTERM)
        process.process.wait(60)
        process.end()
        logged = [json.loads(line) for line in process.lines]
        line = next(line for line in logged if line.get("id") == "too-late" and "finish" in line)
        self.assertIsNone(line["ttft_ms"])

    def test_the_receipt_of_an_answer_replays(self):
        connection = self.start().connect()
        question = {"messages": [{"role": "user", "content": "hi"}], "temperature": 1.2, "max_tokens": 20, "receipt": True}
        connection.request("POST", "/v1/chat/completions", json.dumps(question), {"Content-Type": "application/json"})
        answer = connection.getresponse().read()
        connection.close()
        with tempfile.TemporaryDirectory() as folder:
            file = pathlib.Path(folder, "answer.json")
            file.write_bytes(answer)
            run = subprocess.run([BINARY, "replay", file], capture_output=True, text=True, timeout=60)
        self.assertEqual(run.returncode, 0, run.stdout + run.stderr)

    def test_a_model_that_is_named_twice_is_served_once(self):
        connection = self.start("demo:native", "demo:distilled").connect()
        connection.request("GET", "/v1/models")
        listed = json.loads(connection.getresponse().read())["data"]
        connection.close()
        self.assertEqual([model["id"] for model in listed], ["demo:native", "demo:distilled"])

    def test_an_open_door_is_warned_of(self):
        process = self.start("--host", "0.0.0.0")
        self.assertIn("anybody", "".join(process.lines))


if __name__ == "__main__":
    unittest.main()
