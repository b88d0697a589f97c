"""Makes calibration.txt out of four repositories (bare clones at the commits that README.md names).

usage: python make_calibration.py FOLDER    with FOLDER/{book,grade-school-math,Python,d2l-zh}
"""

import json
import pathlib
import random
import re
import subprocess
import sys

PIECE = 2000  # characters of one kind before the next one follows

ENGLISH = ["ch00-00-introduction", "ch01-03-hello-cargo", "ch04-01-what-is-ownership", "ch09-03-to-panic-or-not-to-panic"]
CHINESE = ["chapter_preface/index.md", "chapter_introduction/index.md"]
PYTHON = """strings/levenshtein_distance.py graphs/dijkstra_algorithm.py sorts/merge_sort.py maths/prime_factors.py
  data_structures/linked_list/singly_linked_list.py searches/binary_search.py dynamic_programming/knapsack.py
  matrix/matrix_operation.py conversions/roman_numerals.py backtracking/sudoku.py financial/interest.py
  data_structures/heap/heap.py strings/knuth_morris_pratt.py""".split()


def show(repository: pathlib.Path, path: str) -> str:
    return subprocess.run(["git", "-C", repository, "show", f"HEAD:{path}"], check=True, capture_output=True, text=True).stdout


def english(folder: pathlib.Path) -> str:
    texts = [show(folder / "book", f"src/{name}.md") for name in ENGLISH]
    return re.sub(r"\{\{#.*?\}\}|<!--.*?-->", "", "\n\n".join(texts), flags=re.S)


def maths(folder: pathlib.Path, count: int) -> str:
    lines = show(folder / "grade-school-math", "grade_school_math/data/train.jsonl").splitlines()
    items = [json.loads(line) for line in random.Random(1).sample(lines, count)]
    return "\n\n".join(f"Question: {i['question']}\nAnswer: {re.sub('<<.*?>>', '', i['answer'])}" for i in items)


def chinese(folder: pathlib.Path) -> str:
    return "\n\n".join(show(folder / "d2l-zh", path) for path in CHINESE)


def cut(text: str, most: int) -> list[str]:
    """Pieces that end with a paragraph, `most` characters together."""
    pieces = [""]
    for paragraph in re.split(r"\n{2,}", text[:most]):
        if len(pieces[-1]) > PIECE:
            pieces.append("")
        pieces[-1] += paragraph + "\n\n"
    return pieces


def main() -> None:
    folder = pathlib.Path(sys.argv[1])
    python = "\n\n".join(show(folder / "Python", path) for path in PYTHON)
    kinds = [cut(english(folder), 40000), cut(maths(folder, 90), 40000), cut(python, 40000), cut(chinese(folder), 14000)]
    # Every kind is spread over the whole text.
    places = sorted(((i + 0.5) / len(kind), k, i) for k, kind in enumerate(kinds) for i in range(len(kind)))
    text = "".join(kinds[k][i] for _, k, i in places)
    (pathlib.Path(__file__).parent / "calibration.txt").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
