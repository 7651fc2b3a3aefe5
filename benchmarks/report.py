"""The page of a benchmark: Markdown tables, bounds with pass or FAIL, and the machine."""

import argparse
import datetime
import importlib.metadata
import os
import platform
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import hf_lrsched

_LIBRARIES = ("hf-lrsched", "numpy", "torch", "transformers")


@dataclass
class Report:
    """A Markdown page that grows section by section, and the bounds that failed.

    Args:
        title (`str`): The page's title.
        script (`str`): The script's file name, for the note on how the page was made.
    """

    title: str
    script: str
    blocks: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)

    def text(self, block: str) -> None:
        """Add a paragraph or a heading."""
        self.blocks.append(block)
        print(f"\n{block}", flush=True)

    def table(self, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Add a table. The first column is left-aligned, the others are right-aligned."""
        self.text(markdown(header, rows))

    def bound(self, name: str, holds: bool) -> str:
        """Return `pass` or `FAIL` for a cell of a table, and remember a failure by its name."""
        if not holds:
            self.failed.append(name)
        return "pass" if holds else "**FAIL**"

    def finish(self, output: Path | None) -> int:
        """Print the verdict, write the page if `output` is given, and return the exit status."""
        verdict = f"Bounds that do not hold: {'; '.join(self.failed)}." if self.failed else "All bounds hold."
        self.text(verdict)
        self.text(machine())
        if output is not None:
            command = " ".join([f"benchmarks/{self.script}", *_without_paths(sys.argv[1:])])
            page = [f"# {self.title}", f"Made by `python {command}`.", *self.blocks]
            output.parent.mkdir(parents=True, exist_ok=True)
            output.write_text("\n\n".join(page) + "\n", encoding="utf-8")
        return 1 if self.failed else 0


def parser(doc: str | None) -> argparse.ArgumentParser:
    """Return an argument parser with the script's docstring as help, and `--output`."""
    made = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--output", type=Path, help="also write the page to this file, and replace an older one")
    return made


def markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table that is aligned as plain text, too."""
    widths = [max(len(row[column]) for row in [header, *rows]) for column in range(len(header))]

    def line(cells: Sequence[str]) -> str:
        padded = [cells[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(cells[1:], widths[1:], strict=True))]
        return f"| {' | '.join(padded)} |"

    rule = ["-" * max(widths[0], 3), *("-" * (max(width, 3) - 1) + ":" for width in widths[1:])]
    return "\n".join([line(header), f"|{'|'.join(f' {cell} ' for cell in rule)}|", *map(line, rows)])


def machine() -> str:
    """Return the machine and the versions as one line."""
    versions = [f"{name} {_version(name)}" for name in _LIBRARIES]
    parts = [
        f"{_cpu_model()}, {cores()} cores",
        f"{platform.system()} {platform.machine()}",
        f"Python {platform.python_version()}",
        *versions,
        datetime.date.today().isoformat(),
    ]
    return f"Machine: {'; '.join(parts)}."


def cores() -> int:
    """Return the number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _version(name: str) -> str:
    if name == "hf-lrsched":
        return hf_lrsched.__version__  # the metadata of an editable installation may be older than the code
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "from the checkout"


def _cpu_model() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or "unknown CPU"


def _without_paths(arguments: Sequence[str]) -> list[str]:
    """Return the command line without absolute folders, which mean nothing on another machine."""
    return [Path(argument).name if Path(argument).is_absolute() else argument for argument in arguments]
