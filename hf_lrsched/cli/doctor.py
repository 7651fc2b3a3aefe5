"""`hf-lrsched doctor`: check a run before its first update."""

import argparse
import json
import shutil
from dataclasses import asdict
from typing import Any

from ..console import print_text
from ..schedules import ScheduleError


def add_command(commands: Any) -> argparse.ArgumentParser:
    """Add `doctor` to the commands of `hf-lrsched`."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "doctor",
        help="find silent errors in the settings of a run",
        description="Checks the settings of a run, a run folder or a file of accelerate for what goes wrong without an "
        "error message. Prints what it found, what it means for this run and what to do. The exit status is 1 if there is an "
        "error or a warning.",
        epilog="example: hf-lrsched doctor config.yaml --updates 6315",
    )
    add = parser.add_argument
    add("path", metavar="PATH", help="a recipe's YAML, training_args.bin, TrainingArguments as JSON, or a run folder")
    add("--updates", type=int, metavar="N", help="all updates of the run, if PATH does not say")
    add("--json", action="store_true", help="print the findings as a JSON list and nothing else")
    return parser


def run(arguments: argparse.Namespace) -> int:
    """Print the findings; return 1 where there is an error or a warning, else 0."""
    from ..doctor import get_facts, run_checks
    from ..doctor.text import format_findings, printable

    try:
        facts = get_facts(arguments.path, arguments.updates)
    except ScheduleError as error:
        raise ScheduleError("\n".join(map(printable, str(error).splitlines()))) from error
    findings = run_checks(facts)
    if arguments.json:
        print_text(json.dumps([*map(asdict, findings)], indent=2))
    else:
        print_text(format_findings(facts.source, findings, min(100, shutil.get_terminal_size((100, 24)).columns)))
    return int(any(finding.is_wrong for finding in findings))
