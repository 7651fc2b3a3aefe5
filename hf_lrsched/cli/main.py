"""The command hf-lrsched."""

import argparse
import math
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .._version import __version__
from ..plots.preview import Preview
from ..schedules import Horizon, Schedule, ScheduleError, parse
from ..schedules.errors import nearest
from ..schedules.modules import import_names
from .doctor import add_doctor
from .plot import add_plot
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


def _preview(arguments: argparse.Namespace) -> int:
    config = _read_config(arguments.config) if arguments.config else {}
    if config.get("schedule_module"):
        import_names(str(config["schedule_module"]))
    texts = [*arguments.schedules, *([config["schedule"]] if config.get("schedule") else [])]
    if not texts:
        raise ScheduleError("no schedule: give one such as 'warmup(10%) >> linear()', or a --config that has one.")
    schedules: list[Schedule] = [parse(text) for text in texts]
    horizon = Horizon(
        _updates(arguments, config),
        arguments.updates_per_epoch,
        arguments.samples_per_update,
        arguments.tokens_per_update,
    )
    lr = arguments.lr if arguments.lr is not None else config.get("learning_rate")
    preview = Preview.of(schedules, horizon, None if lr is None else _peak(lr))
    if arguments.json == "-":
        import json

        json.dump(preview.to_data(), sys.stdout)
        print()
        return 0
    _print_preview(preview)
    for path, endings in (
        (arguments.png, (".png", ".svg", ".pdf")),
        (arguments.csv, (".csv",)),
        (arguments.json, (".json",)),
    ):
        if path:
            if Path(path).suffix not in endings:
                raise ScheduleError(f"{path}: the ending must be {' or '.join(endings)}.")
            print(f"wrote {preview.save(path, arguments.force)}")
    return 0


def _print_preview(preview: Preview) -> None:
    size = shutil.get_terminal_size((100, 24))
    try:
        print(preview.drawing(min(size.columns, 140), 20, colour=sys.stdout.isatty()))
    except ScheduleError as error:
        print(f"(no drawing: {error})", file=sys.stderr)
    print(preview.table())


def _updates(arguments: argparse.Namespace, config: dict[str, Any]) -> int:
    if arguments.updates is not None:
        return int(arguments.updates)
    max_steps = _number(config, "max_steps", -1)
    if max_steps > 0:
        return int(max_steps)
    if arguments.updates_per_epoch and arguments.config:
        return math.ceil(_number(config, "num_train_epochs", 3) * int(arguments.updates_per_epoch))
    raise ScheduleError(
        "the number of updates is not known; give --updates N (batches / gradient accumulation, over all epochs)"
        + (", or --updates-per-epoch N for the epochs of the config." if arguments.config else ".")
    )


def _number(config: dict[str, Any], name: str, default: float) -> float:
    value = config.get(name, default)
    try:
        number = float(str(value))  # YAML reads 2e-5 as a text
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise ScheduleError(f"{name} of the config must be a finite number, got {value!r}.")
    return number


def _peak(value: object) -> float:
    try:
        lr = float(str(value))  # YAML reads 2e-5 as a text
    except (TypeError, ValueError):
        lr = math.nan
    if not (math.isfinite(lr) and lr > 0):
        raise ScheduleError(f"the peak learning rate must be a finite number above 0, got {value!r}.")
    return lr


def _read_config(path: str) -> dict[str, Any]:
    import yaml

    file = Path(path)
    if not file.is_file():
        near = nearest(file.name, [other.name for other in file.parent.glob("*.y*ml")] if file.parent.is_dir() else [])
        raise ScheduleError(f"the config {path} does not exist.{near}")
    try:
        config = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ScheduleError(f"the config {path} is not YAML: {error}") from error
    if not isinstance(config, dict):
        raise ScheduleError(f"the config {path} must be a mapping of names to values.")
    return config


if __name__ == "__main__":
    sys.exit(main())
