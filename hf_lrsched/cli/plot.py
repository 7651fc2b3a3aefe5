"""hf-lrsched plot: a picture of a run, of any trainer_state.json, or of several runs."""

import argparse
import io
import os
import re
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..plots import draw_boxes, draw_heat_map, draw_run, draw_runs
from ..runs.metrics import in_common, resolved, words
from ..runs.run import Run, read_run
from ..runs.timeline import best_of
from ..schedules import ScheduleError
from ..schedules.errors import nearest

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ENDINGS = (".png", ".svg", ".pdf")

#: For runs of the stock Trainer, whose schedule nothing tells.
_UNKNOWN = "schedule not recorded"


def add_plot(commands: Any) -> argparse.ArgumentParser:
    """Adds the command `plot`.

    Args:
        commands (`argparse._SubParsersAction`): The commands of the parser.
    """
    plot: argparse.ArgumentParser = commands.add_parser(
        "plot",
        help="draw runs: metrics and the learning rate",
        description="Draws a run from its folder or from any trainer_state.json, also one that this package never touched: "
        "metrics, losses and the learning rate. Several runs are drawn on one picture.",
        epilog="examples: hf-lrsched plot runs/first; hf-lrsched plot out/checkpoint-500/trainer_state.json --metric f1; "
        "hf-lrsched plot runs/linear runs/cosine --output compared.svg",
    )
    plot.add_argument("runs", nargs="+", metavar="RUN", help="a run's folder, a checkpoint or a trainer_state.json")
    plot.add_argument(
        "--output",
        metavar="FILE",
        help="a .png, .svg or .pdf; default: the run's name with .png, in the working directory",
    )
    plot.add_argument(
        "--metric", action="append", metavar="NAME", help="what to draw, e.g. accuracy; may be given several times"
    )
    plot.add_argument("--heat-map", action="store_true", help="draw the LR of each parameter group of one run instead")
    plot.add_argument(
        "--boxes",
        choices=("last", "best"),
        help="draw a box for each schedule over its runs (seeds) instead: of the last evaluations, or of the best",
    )
    plot.add_argument("--baseline", type=float, metavar="VALUE", help="with --boxes: a line, e.g. the majority class's")
    plot.add_argument("--force", action="store_true", help="replace a file that exists")
    plot.set_defaults(run=plot_runs)
    return plot


def plot_runs(arguments: argparse.Namespace) -> int:
    """Draws what the command line asks for; returns the exit status.

    Raises:
        ScheduleError: The arguments, a run or the output can't be meant.
        ImportError: Matplotlib is missing.
    """
    _check(arguments)
    if arguments.output is not None:  # before long runs are read
        _check_output(Path(arguments.output), arguments.force)
    runs = [read_run(path) for path in arguments.runs]
    path = Path(arguments.output or f"{_file_name(_name(runs, arguments))}.png")
    _check_output(path, arguments.force)
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("ignore", DeprecationWarning)  # between matplotlib and what it uses
        _save(_drawn(runs, arguments), path, arguments.force)
    for message in dict.fromkeys(str(warning.message) for warning in found):  # each once: of letters that no font has
        print(f"hf-lrsched plot: {message}", file=sys.stderr)
    print(f"wrote {os.fsencode(path).decode(errors='replace')}")
    return 0


def _check(arguments: argparse.Namespace) -> None:
    if arguments.heat_map and arguments.boxes:
        raise ScheduleError("--heat-map and --boxes are two pictures; give one of them.")
    if arguments.heat_map and len(arguments.runs) > 1:
        raise ScheduleError(f"--heat-map draws one run, got {len(arguments.runs)}.")
    if arguments.heat_map and arguments.metric:
        raise ScheduleError("--heat-map draws learning rates and no --metric.")
    if arguments.boxes and len(arguments.metric or ()) > 1:
        raise ScheduleError(f"--boxes draws one --metric, got {', '.join(arguments.metric)}.")
    if arguments.baseline is not None and not arguments.boxes:
        raise ScheduleError("--baseline is a line in the picture of --boxes.")


def _check_output(path: Path, force: bool) -> None:
    if path.suffix.lower() not in ENDINGS:
        raise ScheduleError(f"{path}: the ending must be {' or '.join(ENDINGS)}.")
    if not path.parent.is_dir():
        raise ScheduleError(f"the folder {path.parent} does not exist.")
    if path.is_dir():
        raise ScheduleError(f"{path} is a folder.")
    if path.exists() and not force:
        raise ScheduleError(
            f"{path} exists and is kept; choose another name with --output, or pass --force to replace it."
        )


def _name(runs: Sequence[Run], arguments: argparse.Namespace) -> str:
    """What to call a file whose name is not given."""
    if arguments.boxes:
        return "boxes"
    if len(runs) > 1:
        return "runs"
    return f"{runs[0].name}_heat_map" if arguments.heat_map else runs[0].name


def _drawn(runs: Sequence[Run], arguments: argparse.Namespace) -> "Figure":
    if arguments.boxes:
        return _boxes(runs, arguments)
    if arguments.heat_map:
        return draw_heat_map(runs[0])
    if len(runs) > 1:
        return draw_runs(runs, metrics=arguments.metric)
    return draw_run(runs[0], metrics=arguments.metric)


def _boxes(runs: Sequence[Run], arguments: argparse.Namespace) -> "Figure":
    name = arguments.metric[0] if arguments.metric else next(iter(in_common(runs)), None)
    if name is None:
        raise ScheduleError("the runs have no metric in common, of which --boxes could draw one.")
    metrics: dict[str, list[float]] = {}
    for run in runs:
        metric = resolved(run, name)
        best = best_of(run, metric) if metric is not None else None
        if metric is None or best is None:
            raise ScheduleError(
                f"{run.path} has no metric {name!r}; it has {', '.join(run.metrics) or 'none'}.{nearest(name, run.metrics)}"
            )
        value = best.value if arguments.boxes == "best" else run.series(metric)[1][-1]
        metrics.setdefault(run.schedule or _UNKNOWN, []).append(value)
    which = "at the best checkpoint" if arguments.boxes == "best" else "at the last evaluation"
    title = f"{words(name)} {which}, {len(runs)} runs"
    return draw_boxes(metrics, metric=name, baseline=arguments.baseline, baseline_name="baseline", title=title)


def _file_name(name: str) -> str:
    """A name that every file system takes."""
    return re.sub(r'[\x00-\x1f\\/:*?"<>|]', "_", name).strip(". ")[:100] or "run"


def _save(figure: "Figure", path: Path, force: bool) -> None:
    """Writes a picture that is whole, or none."""
    content = io.BytesIO()
    figure.savefig(content, format=path.suffix.lower().removeprefix("."))
    with path.open("wb" if force else "xb") as file:
        try:
            file.write(content.getvalue())
            file.flush()
        except OSError:  # a full disk: half a picture is none
            path.unlink(missing_ok=True)
            raise
