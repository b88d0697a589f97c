"""Measures the pair on the suites, or checks that training and test sets are disjoint.

`python evaluate.py` decodes greedily from the committed BF16 weights (computing in
float32) and prints the table; `--golden` also writes ../golden.json; `--suites`
writes the suites; `--check` verifies them and the sets behind them.
"""

import argparse
import json
import re
import subprocess
import sys
import time
from itertools import islice
from math import comb
from pathlib import Path

import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer

import chat
from model import Config, Qwen2
from problems import (
    KINDS,
    LETTERS,
    PROMPTS,
    TEST_SIZE,
    suite_lines,
    test_set,
    train_problems,
    user_turn,
)
from train import EXAMPLES, OUT

SUITES = OUT.parent / "suites"
LIMIT = 400
GOLDEN_ITEMS = (1, 22)


def load(folder: Path):
    """The model, in float32, and its tokenizer and end token."""
    config = json.loads((folder / "config.json").read_text())
    model = Qwen2(Config(**{k: config[k] for k in Config.__dataclass_fields__}))
    weights = load_file(folder / "model.safetensors")
    model.load_state_dict({k: v.float() for k, v in weights.items()})
    return model.eval(), Tokenizer.from_file(str(folder / "tokenizer.json")), config["eos_token_id"]


def suite(kind: str) -> list[dict]:
    return [json.loads(x) for x in (SUITES / f"demo-{kind}.jsonl").read_text().splitlines()[1:]]


def grade(kind: str, item: dict, text: str) -> bool:
    """Whether the text after any thinking holds the right answer."""
    text = text.rsplit(chat.END_THINK, 1)[-1]
    if kind == "code":
        found = re.search(r"```python\n(.*?)```", text, re.DOTALL)
        if not found:
            return False
        program = f"{found[1]}\n{item['test']}\ncheck({item['entry_point']})\n"
        command = [sys.executable, "-I", "-c", program]
        try:
            return subprocess.run(command, capture_output=True, timeout=10).returncode == 0
        except subprocess.TimeoutExpired:
            return False
    found = re.findall(r"The answer is (-?\w+)\.", text)
    want = item["answer"] if kind == "math" else LETTERS[item["answer"]]
    return bool(found) and found[-1] == want


def answer_all(name: str, folder: Path):
    """kind -> list of (right, tokens, seconds, finished)."""
    model, tokenizer, eos = load(folder / name)
    out = {}
    for kind in KINDS:
        rows = out[kind] = []
        for item in suite(kind):
            prompt = tokenizer.encode(chat.prompt_text(name, user_turn(kind, item))).ids
            begin = time.monotonic()
            ids = model.greedy(prompt, eos, LIMIT)
            seconds = time.monotonic() - begin
            text = tokenizer.decode(ids, skip_special_tokens=False)
            rows.append((grade(kind, item, text), len(ids), seconds, len(ids) < LIMIT))
    return out


def mcnemar(a: list[bool], b: list[bool]) -> tuple[int, int, float]:
    """Items only a got right, items only b got right, exact two-sided p."""
    only_a = sum(x and not y for x, y in zip(a, b, strict=True))
    only_b = sum(y and not x for x, y in zip(a, b, strict=True))
    n = only_a + only_b
    p = 2 * sum(comb(n, i) for i in range(min(only_a, only_b) + 1)) / 2**n
    return only_a, only_b, min(1.0, p)


def table(folder: Path):
    """Prints the comparison as Markdown."""
    native, distilled = (answer_all(m, folder) for m in ("native", "distilled"))
    print("| suite | native | distilled | only native | only distilled | exact McNemar p | tokens an answer |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for kind in KINDS:
        n, d = native[kind], distilled[kind]
        only_n, only_d, p = mcnemar([r[0] for r in n], [r[0] for r in d])
        right = [f"{sum(r[0] for r in rows)}/{len(rows)}" for rows in (n, d)]
        tokens = [f"{sum(r[1] for r in rows) / len(rows):.1f}" for rows in (n, d)]
        print(f"| demo-{kind} | {right[0]} | {right[1]} | {only_n} | {only_d} | {p:.2g} | {tokens[0]} / {tokens[1]} |")
    for name, result in (("native", native), ("distilled", distilled)):
        rows = [r for kind in KINDS for r in result[kind]]
        print(
            f"\n{name}: longest answer {max(r[1] for r in rows)} tokens, {sum(r[2] for r in rows):.1f} s for "
            f"{len(rows)} answers, unfinished {sum(not r[3] for r in rows)}"
        )
        for kind in KINDS:
            by_steps = {}
            for item, row in zip(suite(kind), result[kind], strict=True):
                by_steps.setdefault(item["steps"], []).append(row[0])
            parts = [f"{s} steps {sum(v)}/{len(v)}" for s, v in sorted(by_steps.items())]
            print(f"- demo-{kind}: " + ", ".join(parts))


def golden(folder: Path):
    """Two prompts a suite for each model, with everything an engine must reproduce."""
    cases = []
    for name in chat.TEMPLATES:
        model, tokenizer, eos = load(folder / name)
        for kind in KINDS:
            for index in GOLDEN_ITEMS:
                item = suite(kind)[index]
                user = user_turn(kind, item)
                text = chat.prompt_text(name, user)
                ids = tokenizer.encode(text).ids
                out = model.greedy(ids, eos, LIMIT)
                with torch.no_grad():
                    logits = model.logits(model.hidden(torch.tensor([ids]))[0, -1])
                top = torch.topk(logits, 5)
                cases.append(
                    {
                        "model": name,
                        "item": item["id"],
                        "user": user,
                        "rendered": text,
                        "ids": ids,
                        "greedy_ids": out,
                        "greedy_text": tokenizer.decode(out, skip_special_tokens=False),
                        "finish": "stop" if len(out) < LIMIT else "length",
                        "first_step_top5": [[int(i), float(v)] for v, i in zip(*top, strict=True)],
                    }
                )
    (folder / "golden.json").write_text(json.dumps(cases, indent=1) + "\n")


def check(count: int):
    """Fails unless the suites are as generated and share no instance or text with training."""
    keys, texts = set(), set()
    for kind in KINDS:
        problems = test_set(kind)
        assert len({p.key for p in problems}) == TEST_SIZE, f"demo-{kind}: repeated instance"
        lines = (SUITES / f"demo-{kind}.jsonl").read_text().splitlines()
        assert lines == suite_lines(kind), f"demo-{kind}: file differs from its generator"
        assert json.loads(lines[0])["prompt"] == PROMPTS[kind]
        keys |= {p.key for p in problems}
        texts |= {user_turn(p.kind, p.item) for p in problems}
    for problem in islice(train_problems(), count):
        assert problem.key not in keys, problem
        assert user_turn(problem.kind, problem.item) not in texts, problem
    print(f"{len(keys)} test instances, none among {count} training problems")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=OUT)
    parser.add_argument("--suites", action="store_true")
    parser.add_argument("--golden", action="store_true")
    parser.add_argument("--check", action="store_true")
    args = parser.parse_args()
    torch.set_num_threads(1)
    if args.suites:
        SUITES.mkdir(exist_ok=True)
        for kind in KINDS:
            (SUITES / f"demo-{kind}.jsonl").write_text("\n".join(suite_lines(kind)) + "\n")
    if args.check:
        check(2 * EXAMPLES)
    if args.golden:
        golden(args.folder)
    if not (args.suites or args.check or args.golden):
        table(args.folder)


if __name__ == "__main__":
    main()
