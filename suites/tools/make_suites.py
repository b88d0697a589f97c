#!/usr/bin/env python3
"""Writes suites/math.jsonl and suites/code.jsonl from a user's copies of GSM8K and HumanEval.

    suites/tools/make_suites.py GSM8K_TEST.jsonl HUMANEVAL.jsonl

GSM8K_TEST.jsonl: the test split, with the fields question and answer ("... #### 17") as published, or id,
question, answer (the number). HUMANEVAL.jsonl: the problems as published; some may be missing.
The choice of items depends on nothing but the seed and the items' ids.
"""
import hashlib
import json
import pathlib
import sys

SEED = "touchstone-1"
COUNT = 50
SUITES = pathlib.Path(__file__).resolve().parent.parent

MATH_HEADER = {
    "suite": "math", "kind": "math", "version": 1, "licence": "MIT",
    "provenance": "50 items of the GSM8K test split (Cobbe et al. 2021), github.com/openai/grade-school-math, "
                  "commit 3101c7d5072418e28b9008a6636bde82a006892c, chosen by suites/tools/make_suites.py, seed touchstone-1",
    "prompt": "{question}\nPlease reason step by step, and put your final answer within \\boxed{}.",
}
CODE_HEADER = {
    "suite": "code", "kind": "code", "version": 1, "licence": "MIT",
    "provenance": "50 of the HumanEval problems (Chen et al. 2021), github.com/openai/human-eval, "
                  "commit 6d43fb980f9fee3c892a914eda09951f772ad10d, chosen by suites/tools/make_suites.py, seed touchstone-1",
    "prompt": "Complete the following Python function. Answer with the whole function, imports included, in one "
              "```python code block.\n\n```python\n{prompt}\n```",
}


def choose(items, key):
    """COUNT items in their original order, those whose hashed ids come first."""
    ranked = sorted(items, key=lambda item: hashlib.sha256((SEED + item[key]).encode()).hexdigest())
    chosen = {item[key] for item in ranked[:COUNT]}
    return [item for item in items if item[key] in chosen]


def read_lines(path):
    with open(path, encoding="utf-8") as file:
        return [json.loads(line) for line in file if line.strip()]


def write_suite(header, items):
    with open(SUITES / (header["suite"] + ".jsonl"), "w", encoding="utf-8") as file:
        for record in [header, *items]:
            file.write(json.dumps(record, ensure_ascii=False) + "\n")


def make_math(path):
    items = []
    for number, item in enumerate(read_lines(path)):
        solution = item.get("solution", item["answer"])
        items.append({"id": item.get("id", "gsm8k-test-%d" % number), "question": item["question"],
                      "answer": solution.split("####")[-1].strip().replace(",", ""),
                      # GSM8K marks each computation of its solutions with <<...>>.
                      "steps": solution.count("<<")})
    write_suite(MATH_HEADER, choose(items, "id"))


def make_code(path):
    fields = ("task_id", "prompt", "entry_point", "canonical_solution", "test")
    items = [{("id" if field == "task_id" else field): item[field] for field in fields} for item in read_lines(path)]
    write_suite(CODE_HEADER, choose(items, "id"))


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    make_math(sys.argv[1])
    make_code(sys.argv[2])
