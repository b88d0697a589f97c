#!/usr/bin/env python3
"""Draws docs/performance.svg from measurements: one JSON object a line on standard input,
{"engine", "format", "batch", "prefill", "decode"} in tokens/s, several rounds of each. Medians are drawn, and
the range of the rounds as a thin line. Needs nothing but Python.

    python3 bench/chart.py < rounds.jsonl > docs/performance.svg
"""
import collections
import html
import json
import statistics
import sys

ROW, LABEL, WIDTH = 24, 190, 420
COLOURS = {"touchstone": "#2563eb"}


def panel(title, rows, top):
    """One group of bars; returns its SVG lines and its height."""
    most = max(max(values) for _, values in rows)
    lines = [f'<text x="0" y="{top + 14}" font-weight="bold">{html.escape(title)}</text>']
    y = top + 24
    for (engine, name), values in rows:
        median = statistics.median(values)
        scale = WIDTH / most
        colour = COLOURS.get(engine, "#9ca3af")
        middle = y + ROW / 2 - 2
        lines.append(f'<text x="0" y="{y + 15}">{html.escape(engine)} {html.escape(name)}</text>')
        lines.append(f'<rect x="{LABEL}" y="{y}" width="{median * scale:.1f}" height="{ROW - 6}" fill="{colour}"/>')
        lines.append(f'<line x1="{LABEL + min(values) * scale:.1f}" x2="{LABEL + max(values) * scale:.1f}" '
                     f'y1="{middle}" y2="{middle}" stroke="#111827"/>')
        lines.append(f'<text x="{LABEL + max(values) * scale + 6:.1f}" y="{y + 15}">{median:.1f}</text>')
        y += ROW
    return lines, y - top + 12


def draw(panels):
    """The SVG of groups of bars: (title, rows) each."""
    lines, top = [], 0
    for title, rows in panels:
        part, height = panel(title, rows, top)
        lines += part
        top += height
    width = LABEL + WIDTH + 60
    head = (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {top}" width="{width}" height="{top}" '
            'font-family="sans-serif" font-size="13" fill="#111827">')
    return "\n".join([head, f'<rect width="{width}" height="{top}" fill="#ffffff"/>', *lines, "</svg>"]) + "\n"


def main():
    rounds = collections.defaultdict(list)
    for line in sys.stdin:
        row = json.loads(line)
        for phase in ("prefill", "decode"):
            if phase in row:
                rounds[phase, row["batch"], row["engine"], row["format"]].append(row[phase])
    panels = []
    for phase, batch in sorted({key[:2] for key in rounds}, key=lambda k: (k[1], k[0] != "prefill")):
        if phase == "prefill" and batch > 1:
            continue  # the same work, prompt by prompt
        rows = [((engine, name), values) for (p, b, engine, name), values in rounds.items()
                if (p, b) == (phase, batch)]
        rows.sort(key=lambda row: -statistics.median(row[1]))
        panels.append((f"{phase}, tokens/s" + (f", {batch} sequences" if batch > 1 else ""), rows))
    print(draw(panels), end="")


if __name__ == "__main__":
    main()
