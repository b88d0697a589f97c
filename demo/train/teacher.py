"""The teacher: solves a problem in several ways, not all of them good; a filter keeps the best.

Sample, filter, imitate. A sample has a style (terse, numbered, talkative,
double-checking) and may be flawed: a wrong intermediate result, a step left out.
The filter reads only the text, as one would with a teacher that is a model:
it compares every line with its own solution and asks for correctness, completeness and brevity.
"""

import random
import re
from collections import Counter

from problems import COLOURS, Problem, apply

SAMPLES = 6
MAX_CHARS = {"math": 110, "code": 170, "logic": 260}
STYLES = ("terse", "terse", "numbered", "talkative", "checked")
P_WRONG, P_SKIP = 0.15, 0.10


def _lines(problem: Problem, steps: list) -> list[str]:
    """A line for each step: what it is about, and what comes of it."""
    if problem.kind == "math":
        return [f"{text}: {a}{op}{b}={c}" for text, a, op, b, c in steps]
    return [f"{left}: {right}" for left, right in steps]


def _spoil(problem: Problem, steps: list, rng: random.Random) -> list:
    """A copy of the steps with one wrong result; sums go on from it, as a teacher would."""
    i = rng.randrange(len(steps))
    if problem.kind == "math":
        text, a, op, b, value = steps[i]
        value += rng.choice([-10, -2, -1, 1, 2, 10])
        out = [*steps[:i], (text, a, op, b, value)]
        for text, _, op, b, _ in steps[i + 1 :]:
            out.append((text, value, op, b, apply(value, op, b)))
            value = out[-1][-1]
        return out
    left, right = steps[i]
    if problem.kind == "code":
        digits = re.findall(r"\d+", right)
        cut = right.rindex(digits[-1]) if digits else 0
        right = f"{right[:cut]}{int(digits[-1]) + 1}" if digits else f"{right} + 1"
    else:
        right = " ".join(rng.sample(right.split(), len(right.split()))) if " " in right else rng.choice(COLOURS)
    return [*steps[:i], (left, right), *steps[i + 1 :]]


def _write(problem: Problem, steps: list, style: str) -> str:
    lines = [f"- {line}" for line in _lines(problem, steps)]
    if style == "numbered":
        lines = [f"{i}. {line[2:]}" for i, line in enumerate(lines, 1)]
    elif style == "talkative":
        lines = ["Let me think about this step by step.", *lines, "So that is the result."]
    elif style == "checked":
        lines = [x for line in lines for x in (line, f"Let me check that: {line[2:]}, yes.")]
    return "\n".join(lines)


def sample(problem: Problem, rng: random.Random) -> str:
    """One trace, good or bad."""
    steps = list(problem.steps)
    if rng.random() < P_WRONG:
        steps = _spoil(problem, steps, rng)
    if len(steps) > 1 and rng.random() < P_SKIP:
        del steps[rng.randrange(len(steps))]
    return _write(problem, steps, rng.choice(STYLES))


def _core(trace: str) -> list[str]:
    """The lines that carry a step, without numbering and small talk."""
    lines = [re.sub(r"^(-|\d+\.) ", "", line) for line in trace.split("\n")]
    return [x for x in lines if not x.startswith(("Let me", "So that"))]


def judge(problem: Problem, trace: str) -> str:
    """`kept`, or the cause of rejection: `wrong`, `incomplete`, `long`."""
    core, want = _core(trace), _lines(problem, problem.steps)
    if any(line not in want for line in core):
        return "wrong"
    if core != want:
        return "incomplete"
    return "long" if len(trace) > MAX_CHARS[problem.kind] else "kept"


def best_trace(problem: Problem, rng: random.Random, counts: Counter) -> str | None:
    """The shortest kept trace of SAMPLES, or None."""
    kept = []
    for _ in range(SAMPLES):
        trace = sample(problem, rng)
        verdict = judge(problem, trace)
        counts[verdict] += 1
        if verdict == "kept":
            kept.append(trace)
    return min(kept, key=len, default=None)
