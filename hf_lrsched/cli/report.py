"""`hf-lrsched report`: one HTML page of one or several runs."""

import argparse
from pathlib import Path
from typing import Any

from ..files import check_output
from ..report.budgets import make_lead
from ..report.html import ENDINGS, write_report
from ..runs.budgets import read_branches
from ..runs.run import read_run
from .output import print_written, to_file_name


def add_command(commands: Any) -> argparse.ArgumentParser:
    """Add `report` to the commands of `hf-lrsched`."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "report",
        help="write an interactive HTML page of one or several runs",
        description="Writes one self-contained HTML page: metrics, losses and the learning rate to hover over and to zoom "
        "into, phases, events, parameter groups, configuration and warnings. It needs a browser and no network.",
        epilog="examples: hf-lrsched report runs/first; hf-lrsched report runs/linear runs/cosine --output compared.html",
    )
    add = parser.add_argument
    add(
        "runs",
        nargs="+",
        metavar="RUN",
        help="a run folder, a checkpoint, a trainer_state.json, or the folder of a search over budgets",
    )
    add("--output", metavar="FILE", help="an .html file; default: the run's name, or report.html for several runs")
    add("--force", action="store_true", help="replace an existing file")
    return parser


def run(arguments: argparse.Namespace) -> int:
    """Write the report; return the exit status."""
    if arguments.output is not None:  # before long runs are read
        check_output(Path(arguments.output), ENDINGS, arguments.force)
    searches = [read_branches(Path(path)) for path in arguments.runs]
    runs = [
        read_run(each)
        for path, search in zip(arguments.runs, searches, strict=True)
        for each in ([path] if search is None else search[1])
    ]
    lead = next((make_lead(search[0]) for search in searches if search is not None), None)
    name = to_file_name(runs[0].name) if len(runs) == 1 else "report"
    print_written(write_report(runs, arguments.output or f"{name}.html", arguments.force, lead))
    return 0
