"""Dispatch `hf-lrsched COMMAND`."""

import argparse
import sys
from collections.abc import Sequence

from .._version import __version__
from ..console import print_text
from ..schedules import ScheduleError
from ..schedules.registry import import_names
from . import budgets, compare, doctor, find_lr, plot, preview, report

COMMANDS = (preview, plot, report, doctor, find_lr, budgets, compare)


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command.

    Args:
        argv (`Sequence[str]`, *optional*): The words after `hf-lrsched`. Defaults to those of the process.

    Returns:
        `int`: 0; 1 where the doctor finds a problem, or a run of a comparison failed; 2 for invalid input.
    """
    arguments = _parser().parse_args(argv)
    try:
        for module in arguments.modules:
            import_names(module)
        return int(arguments.run(arguments))
    except BrokenPipeError:
        sys.stderr.close()  # the reader of the output, such as head, has left
        return 0
    except (ScheduleError, ImportError, OSError) as error:  # a missing extra names itself, a file its problem
        print_text(f"hf-lrsched {arguments.command}: {error}", sys.stderr)
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="hf-lrsched", description="Learning-rate schedules for Hugging Face Trainer.")
    parser.add_argument("--version", action="version", version=f"hf-lrsched {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for module in COMMANDS:
        command = module.add_command(commands)
        command.set_defaults(run=module.run)
        text = "import a module that registers schedule names"
        command.add_argument("--import", dest="modules", action="append", default=[], metavar="MODULE", help=text)
    return parser


if __name__ == "__main__":
    sys.exit(main())
