"""The best peak LR of each setting at each length, from the runs that grid.py made.

python benchmarks/find_lr/table.py > benchmarks/results/lr_grid.md
"""

import json
from collections import defaultdict
from pathlib import Path

ROWS = Path(__file__).with_name("grid.jsonl")
SHARES = (1.0, 1 / 4, 1 / 8, 1 / 16)


def main() -> None:
    runs: dict[str, dict[float, list[dict[str, float]]]] = defaultdict(lambda: defaultdict(list))
    for line in ROWS.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        if row["seed"] == 0:
            runs[row["setting"]][row["share"]].append(row)
    count = sum(len(rows) for shares in runs.values() for rows in shares.values())
    print("# The peak LR decides\n")
    print("Made by `python benchmarks/find_lr/table.py` from `benchmarks/find_lr/grid.jsonl`, which")
    print(
        "`python benchmarks/find_lr/grid.py` made on one NVIDIA H100 80GB HBM3 (torch 2.11.0, transformers 5.17.0), but"
    )
    print(
        "for the runs of banking77/scratch/adamw/3ep in 1/4 and 1/8, and two of Adafactor and five of SGD in full, which were"
    )
    print("made on a CPU.")
    print(
        f"{count} runs with `warmup(10%) >> linear()`: eight peak LRs per setting, seed 0, so differences of a point or two"
    )
    print(
        "are noise. The best LR is the one with the lowest loss on held-out data; of the short runs it stands for a run"
    )
    print("with the whole schedule in a quarter, an eighth and a sixteenth of the updates.\n")
    header = ["task / model / optimizer / epochs", "updates", "best LR", "1/4", "1/8", "1/16"]
    header += ["accuracy there", "at a quarter of it", "at 4 times it"]
    print("| " + " | ".join(header) + " |\n|" + "---|" * len(header))
    for setting, shares in runs.items():
        if len(shares[1.0]) < 8:  # the time on the GPU was over
            continue
        best = {share: min(rows, key=lambda row: row["loss"]) for share, rows in shares.items()}
        full = sorted(shares[1.0], key=lambda row: row["lr"])
        index = full.index(best[1.0])
        lrs = [f"{best[share]['lr']:.2g}" if share in best else "–" for share in SHARES]
        # Neighbours on the grid lie a factor of 2 apart, with SGD 3.
        neighbours = [f"{full[at]['accuracy']:.3f}" if 0 <= at < len(full) else "–" for at in (index - 2, index + 2)]
        print(
            f"| {setting} | {full[0]['updates']} | "
            + " | ".join([*lrs, f"{best[1.0]['accuracy']:.3f}", *neighbours])
            + " |"
        )


if __name__ == "__main__":
    main()
