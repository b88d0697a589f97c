"""Generators of the three kinds of problem: maths, code, logic.

Every generator returns a Problem. `key` names the underlying instance (numbers,
operations, order), not its wording; a key that is in a test suite never enters
the training set, whatever names or things the text mentions.
"""

import json
import random
from dataclasses import dataclass, field
from itertools import count

NAMES = ["Ann", "Ben", "Cara", "Dan", "Eva", "Finn", "Gus", "Hal", "Ivy", "Jo", "Kim", "Leo"]
THINGS = ["pens", "cups", "books", "coins", "apples", "cards", "shells", "stamps"]
COLOURS = ["red", "blue", "green", "gold"]
KINDS = ("math", "code", "logic")
LETTERS = "ABCD"


@dataclass
class Problem:
    """One item: what is shown, what is expected, and what a teacher needs."""

    kind: str
    key: tuple
    item: dict
    answer: str  # the text of the final answer
    steps: list = field(default_factory=list)  # the teacher's solution, one entry a step


def user_turn(kind: str, item: dict) -> str:
    """The user's message, exactly as the suites' headers describe it."""
    if kind == "math":
        return item["question"]
    if kind == "code":
        return item["prompt"]
    options = "".join(f"\n{a}. {o}" for a, o in zip(LETTERS, item["options"], strict=True))
    return f"{item['context']}\n{item['question']}{options}"


# ---------------------------------------------------------------- maths

MAX = 99


def apply(a: int, op: str, b: int) -> int:
    return {"+": a + b, "-": a - b, "*": a * b, "/": a // b}[op]


def _moves(value: int) -> list[tuple]:
    """The operations that keep a stock between 1 and MAX."""
    moves = [("+", k) for k in range(2, 10) if value + k <= MAX]
    moves += [("-", k) for k in range(2, 10) if value - k >= 1]
    moves += [("*", k) for k in (2, 3) if 2 <= value * k <= 60] * 3
    return moves


def _chain_text(rng, op, k):
    if op == "+":
        return f"{rng.choice(['buys', 'finds', 'gets'])} {k}"
    if op == "-":
        return f"{rng.choice(['loses', 'sells', 'drops'])} {k}"
    return "doubles them" if k == 2 else "triples them"


def _chain(rng: random.Random, n: int):
    """One person's stock goes up and down, n steps in all."""
    name, thing = rng.choice(NAMES), rng.choice(THINGS)
    steps, key, parts = [], [], []
    if rng.random() < 0.3:
        a, b = rng.randint(2, 6), rng.randint(2, 9)
        value = a * b
        head = f"{a} boxes with {b} {thing} each"
        steps.append(("boxes", a, "*", b, value))
        key += [a, b]
    else:
        value = rng.randint(3, 40)
        head = f"{value} {thing}"
        key.append(value)
    while len(steps) < n:
        op, k = rng.choice(_moves(value) + [("/", 2)] * 2 * (value % 2 == 0 and value > 2))
        text = "gives away half" if op == "/" else _chain_text(rng, op, k)
        steps.append((text, value, op, k, apply(value, op, k)))
        value = steps[-1][-1]
        parts.append(text)
        key.append((op, k))
    story = ", then ".join([f"{name} has {head}", *parts])
    return ("chain", *key), f"{story}. How many {thing} does {name} have now?", steps


def _compare(rng: random.Random, n: int):
    """Each person is compared with the one before; the last one's stock is asked."""
    people, thing = rng.sample(NAMES, n + 1), rng.choice(THINGS)
    value = rng.randint(3, 20)
    text, steps, key = f"{people[0]} has {value} {thing}.", [], [value]
    for prev, name in zip(people, people[1:], strict=False):
        op, k = rng.choice(_moves(value))
        steps.append((name, value, op, k, apply(value, op, k)))
        value = steps[-1][-1]
        key.append((op, k))
        word = {"+": f"{k} more than", "-": f"{k} fewer than"}.get(op)
        word = word or {2: "twice as many as", 3: "three times as many as"}[k]
        text += f" {name} has {word} {prev}."
    return ("compare", *key), f"{text} How many {thing} does {people[-1]} have?", steps


def math_problem(rng: random.Random, n: int) -> Problem:
    key, question, steps = rng.choice([_chain, _compare])(rng, n)
    answer = str(steps[-1][-1])
    item = {"question": question, "answer": answer, "steps": len(steps)}
    return Problem("math", ("math", *key), item, f"The answer is {answer}.", steps)


# ---------------------------------------------------------------- code


def affine(a: int, b: int) -> str:
    """`a*x+b` as Python writes it."""
    head = "x" if a == 1 else f"{a}*x"
    return head if b == 0 else f"{head}{b:+}"


def _fence(body: str) -> str:
    return f"```python\n{body}\n```"


def _affine(rng: random.Random, n: int):
    """Arithmetic on one number that must be written as a single a*x+b."""
    while True:
        a, b, words, steps, key = 1, 0, [], [], []
        for _ in range(n):
            op = rng.choice("++--**")
            k = rng.randint(2, 3) if op == "*" else rng.randint(1, 9)
            a, b = (a * k, b * k) if op == "*" else (a, b + k if op == "+" else b - k)
            words.append({"+": f"add {k}", "-": f"subtract {k}", "*": f"multiply by {k}"}[op])
            steps.append((words[-1], affine(a, b)))
            key.append((op, k))
        if a <= 9 and -40 <= b <= 40 and (n == 1 or a > 1):
            break
    prompt = f"Write a Python function f(x) of the form a*x+b: start from x, {', '.join(words)}."
    return ("affine", *key), prompt, f"def f(x):\n    return {affine(a, b)}", steps


_FILTERS = {
    "even": ("keep the even numbers", "x % 2 == 0"),
    "odd": ("keep the odd numbers", "x % 2 == 1"),
    "over": ("keep the numbers above {k}", "x > {k}"),
    "under": ("keep the numbers below {k}", "x < {k}"),
}
_MAPS = {
    "add": ("add {k} to each", "x + {k}"),
    "sub": ("subtract {k} from each", "x - {k}"),
    "mul": ("multiply each by {k}", "x * {k}"),
    "square": ("square each", "x * x"),
    "neg": ("negate each", "-x"),
}
_ENDS = {
    "sum": ("return the sum", "sum(xs)"),
    "count": ("return how many there are", "len(xs)"),
    "sort": ("return them sorted", "sorted(xs)"),
    "list": ("return the list", "xs"),
}


def _pipeline(rng: random.Random, n: int):
    """Filters and maps over a list, then one way to end; n steps with the end."""
    words, lines, steps, key = [], [], [], []
    for _ in range(n - 1):
        table, shape = rng.choice([(_FILTERS, "[x for x in xs if {}]"), (_MAPS, "[{} for x in xs]")])
        name, k = rng.choice(list(table)), rng.randint(2, 9)
        word, code = (t.format(k=k) for t in table[name])
        words.append(word)
        lines.append(f"    xs = {shape.format(code)}")
        steps.append((word, code))
        key.append((name, k if "{k}" in table[name][0] else 0))
    name = rng.choice(list(_ENDS))
    word, code = _ENDS[name]
    steps.append((word, code))
    text = ", ".join([*words, word])
    body = "\n".join(["def f(xs):", *lines, f"    return {code}"])
    return ("list", *key, name), f"Write a Python function f(xs) for a list of integers: {text}.", body, steps


def _check(body: str, pipeline: bool, rng: random.Random) -> str:
    """A HumanEval-like check() whose expectations come from the reference."""
    scope: dict = {}
    exec(body, scope)
    if pipeline:
        inputs = [[rng.randint(-9, 20) for _ in range(rng.randint(3, 7))] for _ in range(5)] + [[]]
    else:
        inputs = [0, 1, -1, 7, -12, 100]
    lines = [f"    assert candidate({x!r}) == {scope['f'](x)!r}" for x in inputs]
    return "def check(candidate):\n" + "\n".join(lines) + "\n"


def code_problem(rng: random.Random, n: int) -> Problem:
    family = _affine if n > 3 or rng.random() < 0.5 else _pipeline
    key, prompt, body, steps = family(rng, n)
    item = {
        "prompt": prompt,
        "entry_point": "f",
        "test": _check(body, family is _pipeline, rng),
        "steps": n,
    }
    return Problem("code", ("code", *key), item, _fence(body), steps)


# ---------------------------------------------------------------- logic


# What is done to a row of four, as the order in which its old places are taken.
_MOVES = {
    "swap the first two": (1, 0, 2, 3),
    "swap the last two": (0, 1, 3, 2),
    "swap the ends": (3, 1, 2, 0),
    "reverse": (3, 2, 1, 0),
    "move the first to the end": (1, 2, 3, 0),
    "move the last to the front": (3, 0, 1, 2),
}
_PLACES = ("first", "second", "third", "last")


def _cards(rng: random.Random, n: int):
    """Four cards in a row are moved n times; which one lies at a given place?"""
    row, steps, key, moves = rng.sample(COLOURS, 4), [], [], []
    start = tuple(row)
    for _ in range(n):
        move = rng.choice([m for m in _MOVES if not moves or m != moves[-1]])
        row = [row[i] for i in _MOVES[move]]
        moves.append(move)
        steps.append((move, " ".join(row)))
    place = rng.randrange(4)
    context = f"Four cards lie in a row: {' '.join(start)}. Now {', '.join(moves)}."
    steps.append((_PLACES[place], row[place]))
    return ("cards", start, place, *moves), context, f"Which card is {_PLACES[place]}?", row[place], COLOURS, steps


_DIRECTIONS = ("north", "east", "south", "west")
_TURNS = {"turn right": 1, "turn around": 2, "turn left": 3}


def _turns(rng: random.Random, n: int):
    """A robot turns n times; where does it look?"""
    at = rng.randrange(4)
    start, turns, steps = at, [], []
    for _ in range(n):
        turns.append(rng.choice(list(_TURNS)))
        at = (at + _TURNS[turns[-1]]) % 4
        steps.append((turns[-1], _DIRECTIONS[at]))
    name = rng.choice(NAMES)
    context = f"{name} looks {_DIRECTIONS[start]}. Now {', '.join(turns)}."
    return ("turns", start, *turns), context, f"Where does {name} look?", _DIRECTIONS[at], _DIRECTIONS, steps


def logic_problem(rng: random.Random, n: int) -> Problem:
    family = _turns if rng.random() < 0.25 else _cards
    key, context, question, right, options, steps = family(rng, n)
    options = rng.sample(options, 4)
    index = options.index(right)
    item = {"context": context, "question": question, "options": options, "answer": index, "steps": n}
    letter = LETTERS[index]
    steps = [*steps, (right, letter)]
    return Problem("logic", ("logic", *key), item, f"The answer is {letter}.", steps)


GENERATORS = {"math": math_problem, "code": code_problem, "logic": logic_problem}

# ---------------------------------------------------------------- sets

TEST_SEED, TRAIN_SEED = 20250120, 1
TEST_SIZE = 50
PROMPTS = {
    "math": "{question}",
    "code": "{prompt}",
    "logic": "{context}\n{question}\nA. {A}\nB. {B}\nC. {C}\nD. {D}",
}


def test_set(kind: str) -> list[Problem]:
    """The suite's items: 50 distinct instances of 2, 3, 4 and 5 steps in turn."""
    rng, seen, out = random.Random(f"{TEST_SEED}-{kind}"), set(), []
    while len(out) < TEST_SIZE:
        problem = GENERATORS[kind](rng, 2 + len(out) % 4)
        if problem.key not in seen:
            seen.add(problem.key)
            out.append(problem)
    return out


def train_problems(seed: int = TRAIN_SEED):
    """Endless training problems, short ones first, none of them in a test set."""
    held_out = {p.key for kind in KINDS for p in test_set(kind)}
    rng = random.Random(seed)
    for i in count():
        longest = 2 if i < 12_000 else 3 if i < 20_000 else 5
        problem = GENERATORS[rng.choice(KINDS)](rng, rng.randint(1, longest))
        if problem.key not in held_out:
            yield problem


def suite_lines(kind: str) -> list[str]:
    """The suite file: a header, then one item a line."""
    name = f"demo-{kind}"
    header = {
        "suite": name,
        "kind": kind,
        "version": 1,
        "licence": "Apache-2.0",
        "provenance": f"generated by demo/train/problems.py, seed {TEST_SEED}",
        "prompt": PROMPTS[kind],
    }
    items = ({"id": f"{name}-{i:03}", **p.item} for i, p in enumerate(test_set(kind), 1))
    return [json.dumps(row) for row in (header, *items)]
