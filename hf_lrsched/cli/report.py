"""hf-lrsched report: the page of one or several runs."""

import argparse
import os
import re
from pathlib import Path
from typing import Any

from ..report.html import check_output, write_report
from ..runs.run import read_run


def add_report(commands: Any) -> argparse.ArgumentParser:
    """Adds the command `report`.

    Args:
        commands (`argparse._SubParsersAction`): The commands of the parser.
    """
    report: argparse.ArgumentParser = commands.add_parser(
        "report",
        help="one interactive HTML page of one or several runs",
        description="Writes one self-contained HTML page: metrics, losses and the learning rate to hover over and to zoom "
        "into, phases, events, parameter groups, configuration and warnings. It needs a browser and no network.",
        epilog="examples: hf-lrsched report runs/first; hf-lrsched report runs/linear runs/cosine --output compared.html",
    )
    report.add_argument("runs", nargs="+", metavar="RUN", help="a run's folder, a checkpoint or a trainer_state.json")
    report.add_argument(
        "--output",
        metavar="FILE",
        help="a .html; default: the run's name, or report.html of several, in the working directory",
    )
    report.add_argument("--force", action="store_true", help="replace a file that exists")
    report.set_defaults(run=report_runs)
    return report


def report_runs(arguments: argparse.Namespace) -> int:
    """Writes what the command line asks for; returns the exit status.

    Raises:
        ScheduleError: A run or the output can't be meant.
        ImportError: A package is missing.
    """
    if arguments.output is not None:  # before long runs are read
        check_output(Path(arguments.output), arguments.force)
    runs = [read_run(path) for path in arguments.runs]
    # A name that every file system takes.
    name = re.sub(r'[\x00-\x1f\\/:*?"<>|]', "_", runs[0].name).strip(". ")[:100] if len(runs) == 1 else "report"
    path = write_report(runs, arguments.output or f"{name or 'run'}.html", arguments.force)
    print(f"wrote {os.fsencode(path).decode(errors='replace')}")
    return 0
