"""The command hf-lrsched doctor."""

import argparse
import json
import shutil
from typing import Any


def add_doctor(commands: Any) -> argparse.ArgumentParser:
    """Adds the command to those of hf-lrsched."""
    doctor: argparse.ArgumentParser = commands.add_parser(
        "doctor",
        help="find what goes wrong in silence, before the run",
        description="Looks at a run's settings, its folder or a file of accelerate, and tells what goes wrong without an error: "
        "what, why it matters in this run, and how to mend it. The exit status is 1 where something is wrong.",
        epilog="example: hf-lrsched doctor config.yaml --updates 6315",
    )
    doctor.add_argument(
        "path",
        metavar="PATH",
        help="a recipe's YAML, training_args.bin, saved TrainingArguments as JSON, accelerate's YAML, or a run's folder",
    )
    doctor.add_argument("--updates", type=int, metavar="N", help="all updates of the run, where the source can't tell")
    doctor.add_argument("--json", action="store_true", help="print the findings as a JSON list and nothing else")
    doctor.set_defaults(run=run)
    return doctor


def run(arguments: argparse.Namespace) -> int:
    """Prints the report; returns 1 where something is wrong, else 0."""
    from ..doctor import facts_of, findings_of
    from ..doctor.text import as_text, printable
    from ..schedules import ScheduleError

    try:
        facts = facts_of(arguments.path, arguments.updates)
    except ScheduleError as error:
        raise ScheduleError("\n".join(map(printable, str(error).splitlines()))) from error
    findings = findings_of(facts)
    if arguments.json:
        print(json.dumps([finding.to_data() for finding in findings], indent=2))
    else:
        print(as_text(facts.source, findings, min(100, shutil.get_terminal_size((100, 24)).columns)))
    return int(any(finding.is_wrong for finding in findings))
