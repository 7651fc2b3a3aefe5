"""The command hf-lrsched."""

import argparse
import sys
from collections.abc import Sequence

from .._version import __version__
from ..schedules import ScheduleError
from ..schedules.registry import import_names
from .doctor import add_doctor
from .plot import add_plot
from .preview import _preview
from .report import add_report


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit status: 0, 1 where the doctor finds something wrong, or 2 for input that can't be meant."""
    parser = _parser()
    arguments = parser.parse_args(argv)
    try:
        for module in arguments.modules:
            import_names(module)
        return int(arguments.run(arguments))
    except BrokenPipeError:
        sys.stderr.close()  # the reader of the output, such as head, has left
        return 0
    except (ScheduleError, ImportError, OSError) as error:  # a missing extra names itself, a file its trouble
        print(f"hf-lrsched {arguments.command}: {error}", file=sys.stderr)
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="hf-lrsched", description="Learning-rate schedules for Hugging Face Trainer.")
    parser.add_argument("--version", action="version", version=f"hf-lrsched {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    preview = commands.add_parser(
        "preview",
        help="draw schedules before training",
        description="Draws schedules from the objects that train, with the LR at every phase boundary.",
        epilog="example: hf-lrsched preview 'warmup(10%) >> cosine()' 'warmup(10%) >> step(every=1ep, factor=0.5)' "
        "--updates 345 --updates-per-epoch 115 --lr 2e-5",
    )
    preview.add_argument("schedules", nargs="*", metavar="SCHEDULE", help="e.g. 'warmup(10%%) >> linear()'")
    preview.add_argument("--config", metavar="YAML", help="a recipe's YAML: its schedule, learning_rate and length")
    preview.add_argument("--updates", type=int, metavar="N", help="all updates (optimizer steps) of the run")
    preview.add_argument("--updates-per-epoch", type=int, metavar="N", help="needed by lengths in epochs such as 2ep")
    preview.add_argument(
        "--samples-per-update", type=int, metavar="N", help="needed by lengths in samples such as 5000sa"
    )
    preview.add_argument(
        "--tokens-per-update", type=int, metavar="N", help="needed by lengths in tokens such as 1000000tok"
    )
    preview.add_argument("--lr", type=float, metavar="LR", help="the peak learning rate; without it, factors are shown")
    preview.add_argument("--png", metavar="FILE", help="also draw a picture; .svg and .pdf work as well")
    preview.add_argument("--csv", metavar="FILE", help="also write update, epoch and LR of each schedule")
    preview.add_argument("--json", metavar="FILE", help="also write everything as JSON; - prints it and nothing else")
    preview.add_argument("--force", action="store_true", help="replace files that exist")
    preview.set_defaults(run=_preview)
    plot = add_plot(commands)
    doctor = add_doctor(commands)
    report = add_report(commands)
    for command in (preview, plot, doctor, report):
        command.add_argument(
            "--import",
            dest="modules",
            action="append",
            default=[],
            metavar="MODULE",
            help="import it first: it registers names",
        )
    return parser


if __name__ == "__main__":
    sys.exit(main())
