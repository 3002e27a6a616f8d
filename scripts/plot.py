#!/usr/bin/env python3
"""Draws docs/performance.svg: CPU per message of Sala, its peers and the floor.

  scripts/plot.py                                    draw docs/performance.json
  scripts/plot.py runs.jsonl --save docs/performance.json
                                                     take the medians of a benchmark's runs first

A run is a line of JSON with the scenario's "name", the server's "label" and "cpu_s_per_1m": CPU
seconds for a million messages, which is microseconds for one. Runs that were not pinned to one core
("pinned": false) or in which an answer was wrong ("bad") do not count. performance.json holds the
medians:

  {"note": "machine and date", "scenarios": {"echo-32": {"node": 16.7, "sala": 4.2, ...}, ...}}

Needs Python 3.9 or later and nothing else.
"""

import argparse
import json
import statistics
import sys
from html import escape
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

# Shown as, measured as (the first that is there), colour. In the order of the bars.
SERVERS = [
    ("Node.js", ["node"], "#b8c4bb"),
    ("Bun", ["bun"], "#d9cfb4"),
    ("socketioxide", ["socketioxide-mi", "socketioxide"], "#a9b8cc"),
    ("Sala", ["sala"], "#d1495b"),
    ("floor", ["limit-epoll", "limit-tokio"], "#e4e4e4"),
]

SCENARIOS = {
    "echo-32": "Echo, 32 B",
    "echo-1k": "Echo, 1 KiB",
    "echo-16k": "Echo, 16 KiB",
    "echo-bin-1k": "Echo, binary 1 KiB",
    "echo-bin-16k": "Echo, binary 16 KiB",
    "echo-json-1k": "Echo, 1 KiB of objects",
    "echo-32-deep": "Echo, 32 B, 16 in flight",
    "echo-32-c1k": "Echo, 1,000 clients",
    "echo-32-c10k": "Echo, 10,000 clients",
    "echo-poll-32": "Echo by polling",
    "bcast-c1k": "Broadcast to 1,000",
    "bcast-c1k-1k": "Broadcast to 1,000, 1 KiB",
    "bcast-c1k-deep": "Broadcast to 1,000, 8 in flight",
    "bcast-c10k": "Broadcast to 10,000",
    "rooms-c1k": "Rooms of ten",
    "churn-c1k": "Join and leave",
}

COLUMNS, PANEL_WIDTH, GAP, MARGIN, TOP = 4, 270, 26, 28, 96
BAR, STEP, TITLE = 13, 18, 24
PANEL_HEIGHT = TITLE + STEP * len(SERVERS) + 8
LABELS, FIGURES = 84, 40  # room beside the bars


def read(path):
    """What performance.json holds, from it or from the lines of a benchmark."""
    text = path.read_text()
    try:
        data = json.loads(text)
    except json.JSONDecodeError:
        data = None
    if isinstance(data, dict) and "scenarios" in data:
        return data
    runs = {}
    for line in filter(str.strip, text.splitlines()):
        row = json.loads(line)
        if "cpu_s_per_1m" in row and row.get("pinned", True) and not row.get("bad"):
            runs.setdefault(row["name"], {}).setdefault(row["label"], []).append(row["cpu_s_per_1m"])
    scenarios = {
        name: {label: round(statistics.median(figures), 3) for label, figures in servers.items()}
        for name, servers in runs.items()
    }
    return {"note": "", "scenarios": scenarios}


def text(x, y, content, style="", anchor="start"):
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{style}" text-anchor="{anchor}">{escape(content)}</text>'


def figure(value):
    return f"{value:.2f}" if value < 1 else f"{value:.1f}"


def panel(x, y, name, figures):
    """The bars of one scenario, the longest as wide as the panel allows."""
    parts = [text(x, y + 12, SCENARIOS.get(name, name), "scenario")]
    found = [(shown, next((figures[m] for m in measured if m in figures), None), colour)
             for shown, measured, colour in SERVERS]
    longest = max((value for _, value, _ in found if value), default=1)
    scale = (PANEL_WIDTH - LABELS - FIGURES) / longest
    left = x + LABELS
    for row, (shown, value, colour) in enumerate(found):
        top = y + TITLE + row * STEP
        style = "ours" if shown == "Sala" else "label"
        parts.append(text(left - 7, top + BAR - 3, shown, style, "end"))
        if value is None:
            parts.append(text(left + 4, top + BAR - 3, "not measured", "faint"))
            continue
        width = max(value * scale, 1)
        parts.append(f'<rect x="{left:.1f}" y="{top:.1f}" width="{width:.1f}" height="{BAR}" fill="{colour}"/>')
        parts.append(text(left + width + 5, top + BAR - 3, figure(value), style))
    bottom = y + TITLE + STEP * len(SERVERS) - (STEP - BAR) + 2
    parts.append(f'<line x1="{left}" y1="{y + TITLE - 2}" x2="{left}" y2="{bottom}" class="axis"/>')
    return parts


def draw(data):
    order = list(SCENARIOS)
    names = sorted(data["scenarios"], key=lambda n: (order.index(n) if n in order else len(order), n))
    rows = -(-len(names) // COLUMNS)
    width = 2 * MARGIN + COLUMNS * PANEL_WIDTH + (COLUMNS - 1) * GAP
    height = TOP + rows * (PANEL_HEIGHT + GAP) + 14
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" role="img" aria-labelledby="title">',
        '<title id="title">CPU time of the server for one message, by scenario and server</title>',
        "<style>"
        "text{font:12px -apple-system,'Segoe UI','Helvetica Neue',Arial,sans-serif;fill:#3b3f45}"
        ".heading{font-size:19px;font-weight:600;fill:#1d2025}.scenario{font-size:13px;font-weight:600;fill:#1d2025}"
        ".ours{font-weight:700;fill:#b02a3e}.faint{fill:#8a9099}.axis{stroke:#9aa0a8;stroke-width:1}"
        "</style>",
        f'<rect width="{width}" height="{height}" rx="6" fill="#ffffff"/>',
        text(MARGIN, 38, "CPU per message, in microseconds", "heading"),
        text(MARGIN, 60, "Less is better. Each panel has a scale of its own. The floor is a server that makes "
             "the system calls and nothing else.", "label"),
        text(width - MARGIN, 38, data.get("note", ""), "faint", "end"),
    ]
    for i, name in enumerate(names):
        x = MARGIN + i % COLUMNS * (PANEL_WIDTH + GAP)
        y = TOP + i // COLUMNS * (PANEL_HEIGHT + GAP)
        parts += panel(x, y, name, data["scenarios"][name])
    return "\n".join([*parts, "</svg>", ""])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("figures", nargs="?", type=Path, default=ROOT / "docs/performance.json")
    parser.add_argument("-o", "--output", type=Path, default=ROOT / "docs/performance.svg")
    parser.add_argument("--save", type=Path, help="write the medians there as well")
    parser.add_argument("--note", help="machine and date, shown in the corner")
    args = parser.parse_args()

    data = read(args.figures)
    if not data["scenarios"]:
        sys.exit(f"{args.figures} holds no run with cpu_s_per_1m")
    if args.note is not None:
        data["note"] = args.note
    if args.save:
        args.save.write_text(json.dumps(data, indent=2) + "\n")
    args.output.write_text(draw(data))


if __name__ == "__main__":
    main()
