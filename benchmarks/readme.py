"""Write the figures of the README from the tables in benchmarks/results.

    python benchmarks/readme.py            # rewrite the README
    python benchmarks/readme.py --check    # exit status 1 if it does not say what the tables say

The blocks are between `<!-- begin: NAME -->` and `<!-- end: NAME -->`.
"""

import argparse
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "README.md"
RESULTS = ROOT / "benchmarks" / "results"

#: Columns of the demo's table, with the format of their values.
DEMO = {
    "epoch": ("epoch", ".2f"),
    "update": ("update", "d"),
    "learning_rate": ("LR used", ".3e"),
    "training_loss": ("training loss", ".4f"),
    "validation_loss": ("validation loss", ".4f"),
    "accuracy": ("accuracy", ".4f"),
    "f1": ("F1", ".4f"),
}


def demo() -> str:
    """Return the table that the demo printed, from its `metrics.json`."""
    rows: list[dict[str, Any]] = json.loads((RESULTS / "demo_metrics.json").read_text(encoding="utf-8"))
    cells = [[title for title, _ in DEMO.values()]]
    cells += [[format(row[name], spec) for name, (_, spec) in DEMO.items()] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = ["  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in cells]
    return "\n".join(["```", *lines, "```"])


def measured() -> str:
    """Return the three rows that say most: what it costs, how fast it is, and that it changes no result."""
    share, everything = (
        re.search(r"Share of the pack: ([\d.]+)%", _page(name))[1]  # type: ignore[index]
        for name in ("overhead.md", "overhead_everything.md")
    )
    step = next(row for row in _rows("scheduler_step.md") if row.get("groups") == "200")
    peers = ('get_scheduler("cosine")', "CosineAnnealingLR", "SequentialLR")
    stock = min(float(step[peer]) for peer in peers)
    runs = [row for row in _rows("sst2.md") if "seed" in row]
    recipe, peer = (next(row for row in runs if row["seed"] == "mean" and row[""] == name) for name in _PAIR)
    seeds = len({row["seed"] for row in runs} - {"mean"})
    table = [
        ["what, on 2 CPU cores", "here", "its peer"],
        ["---", "---", "---"],
        [
            "[share of the training time](benchmarks/results/overhead.md), with monitor and guard",
            f"{float(share):.2f} %; with 28 groups and a plateau {float(everything):.2f} %",
            "",
        ],
        [
            "[one scheduler step](benchmarks/results/scheduler_step.md) of 200 groups",
            f"{float(step['ScheduleLR']):.0f} µs",
            f"{stock:.0f} µs, the fastest of three stock schedulers",
        ],
        [
            f"[SST-2](benchmarks/results/sst2.md), 3,000 sentences, MiniLM-L6, {seeds} seeds: accuracy, and CPU time of a run",
            f"{recipe['accuracy']}, {float(recipe['cpu s']):.0f} s (batches of similar length)",
            f"{peer['accuracy']}, {float(peer['cpu s']):.0f} s (stock Trainer)",
        ],
    ]
    return "\n".join(f"| {' | '.join(row)} |" for row in table)


_PAIR = ("recipe", "stock")
BLOCKS = {"demo": demo, "measured": measured}


def with_figures(text: str) -> str:
    """Return the README's text with each block replaced by what the tables say."""
    for name, block in BLOCKS.items():
        begin, end = f"<!-- begin: {name} -->", f"<!-- end: {name} -->"
        before, found, rest = text.partition(begin)
        _, closed, after = rest.partition(end)
        if not found or not closed:
            raise SystemExit(f"README.md has no block {begin} … {end}.")
        text = f"{before}{begin}\n{block()}\n{end}{after}"
    return text


def _page(name: str) -> str:
    return (RESULTS / name).read_text(encoding="utf-8")


def _rows(name: str) -> Iterator[dict[str, str]]:
    """Yield the rows of a page's tables by their headings."""
    heading: list[str] = []
    for line in _page(name).splitlines():
        if not line.startswith("|"):
            heading = []
            continue
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if not heading:
            heading = cells
        elif not set(line) <= set("|-: "):
            yield dict(zip(heading, cells, strict=True))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing")
    args = parser.parse_args()
    text = README.read_text(encoding="utf-8")
    wanted = with_figures(text)
    if args.check and text != wanted:
        print("README.md does not say what benchmarks/results says: run python benchmarks/readme.py.")
        return 1
    if text != wanted:
        README.write_text(wanted, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
