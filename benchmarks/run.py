"""Run the benchmarks, one after another, and write their tables and the README's figures.

    python benchmarks/run.py                  # those that finish in minutes; make bench
    python benchmarks/run.py --long --data DATA   # the others; make bench-long DATA=...

Every page goes to `benchmarks/results`. A bound that does not hold ends no other benchmark; the exit status is then 1.
`DATA` holds the folders `sst2` and `banking77`, which benchmarks/README.md describes.
"""

import argparse
import subprocess
import sys
import time
from pathlib import Path

FOLDER = Path(__file__).resolve().parent

#: The page of each benchmark, with its command.
SHORT = {
    "scheduler_step.md": "scheduler_step.py",
    "overhead.md": "overhead.py",
    "overhead_everything.md": "overhead.py --everything",
    "record.md": "record.py",
    "plot.md": "plot.py",
    "large_record.md": "large_record.py",
    "monitor.md": "monitor/score.py --each",
}
LONG = {
    "guard.md": "guard.py",
    "guard_banking77.md": "guard.py --banking77 {data}/banking77",
    "monitor_advice.md": "monitor/follow_advice.py --data {data}",
    "monitor_families.md": "monitor/leave_one_out.py --traces {data}/traces/runs.jsonl.gz --each",
    "compare.md": "compare.py --sst2 {data}/sst2",
    "sst2.md": "sst2.py --sst2 {data}/sst2",
    "recipes.md": "recipes.py",
}


def run(page: str, command: str) -> bool:
    """Run one benchmark, and return whether all its bounds hold."""
    print(f"\n{'=' * 20} {command} {'=' * 20}", flush=True)
    start = time.perf_counter()
    script, *options = command.split()
    output = ["--output", f"benchmarks/results/{page}"]  # as the page names it
    ended = subprocess.run([sys.executable, f"benchmarks/{script}", *options, *output], cwd=FOLDER.parent, check=False)
    print(f"{command}: {time.perf_counter() - start:.0f} s", flush=True)
    return ended.returncode == 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--long", action="store_true", help="those that train for longer; they need --data")
    parser.add_argument("--data", help="the folder with sst2 and banking77")
    args = parser.parse_args()
    if args.long and args.data is None:
        parser.error("--long needs --data, the folder with sst2 and banking77: see benchmarks/README.md.")
    commands = {page: command.format(data=args.data) for page, command in (LONG if args.long else SHORT).items()}
    failed = [command for page, command in commands.items() if not run(page, command)]
    subprocess.run([sys.executable, str(FOLDER / "readme.py")], check=True)
    if failed:
        print(f"\nbounds that do not hold, or errors: {', '.join(failed)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
