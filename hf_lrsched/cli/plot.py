"""`hf-lrsched plot`: plot a run, any trainer_state.json, or several runs."""

import argparse
import sys
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..console import print_text
from ..files import check_output, replace_file
from ..plots import draw_boxes, draw_heat_map, draw_run, draw_runs
from ..plots.style import FIGURE_ENDINGS, to_bytes
from ..runs.metrics import find_common_metrics, get_display_name, require_metric
from ..runs.run import Run, read_run
from ..runs.timeline import RunView
from ..schedules import ScheduleError
from ..schedules.numbers import format_count
from .output import print_written, to_file_name

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: For runs of the stock Trainer, which does not record its schedule.
_UNKNOWN = "schedule not recorded"


def add_command(commands: Any) -> argparse.ArgumentParser:
    """Add `plot` to the commands of `hf-lrsched`."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "plot",
        help="plot the metrics and the learning rate of runs",
        description="Plots a run from its folder or from any trainer_state.json, also of a Trainer without this package: metrics, losses "
        "and the learning rate. Several runs share one plot.",
        epilog="examples: hf-lrsched plot runs/first; hf-lrsched plot out/checkpoint-500/trainer_state.json --metric f1; "
        "hf-lrsched plot runs/linear runs/cosine --output compared.svg",
    )
    add = parser.add_argument
    add("runs", nargs="+", metavar="RUN", help="a run folder, a checkpoint or a trainer_state.json")
    add("--output", metavar="FILE", help="a .png, .svg or .pdf file; default: the run's name with .png")
    add("--metric", action="append", metavar="NAME", help="a metric to plot, e.g. accuracy; may be given several times")
    add("--heat-map", action="store_true", help="plot the LR of each parameter group of one run instead")
    add("--boxes", choices=("last", "best"), help="plot a box for each schedule: of the last evaluations or the best")
    add("--baseline", type=float, metavar="VALUE", help="with --boxes: a line, e.g. the majority class's")
    add("--force", action="store_true", help="replace an existing file")
    return parser


def run(arguments: argparse.Namespace) -> int:
    """Plot the runs; return the exit status."""
    _check(arguments)
    if arguments.output is not None:  # before long runs are read
        check_output(Path(arguments.output), FIGURE_ENDINGS, arguments.force)
    runs = [read_run(path) for path in arguments.runs]
    name, draw = _choose_plot(runs, arguments)
    path = Path(arguments.output or f"{to_file_name(name)}.png")
    check_output(path, FIGURE_ENDINGS, arguments.force)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("ignore", DeprecationWarning)  # between matplotlib and what it uses
        warnings.filterwarnings("ignore", message="Glyph ")  # house_style warns once of all letters that no font has
        content = to_bytes(draw(), path.suffix)
    replace_file(path, content)
    for message in dict.fromkeys(str(warning.message) for warning in caught):
        print_text(f"hf-lrsched plot: {message}", sys.stderr)
    print_written(path)
    return 0


def _check(arguments: argparse.Namespace) -> None:
    if arguments.heat_map and arguments.boxes:
        raise ScheduleError("--heat-map and --boxes exclude each other; give one of them.")
    if arguments.heat_map and len(arguments.runs) > 1:
        raise ScheduleError(f"--heat-map plots one run, got {len(arguments.runs)}.")
    if arguments.heat_map and arguments.metric:
        raise ScheduleError("--heat-map plots learning rates; it takes no --metric.")
    if arguments.boxes and len(arguments.metric or ()) > 1:
        raise ScheduleError(f"--boxes plots one --metric, got {', '.join(arguments.metric)}.")
    if arguments.baseline is not None and not arguments.boxes:
        raise ScheduleError("--baseline needs --boxes.")


def _choose_plot(runs: Sequence[Run], arguments: argparse.Namespace) -> "tuple[str, Callable[[], Figure]]":
    """Return the name of the plot's file, where --output is not given, and what draws the plot."""
    if arguments.boxes:
        return "boxes", lambda: _draw_boxes(runs, arguments)
    if arguments.heat_map:
        return f"{runs[0].name}_heat_map", lambda: draw_heat_map(runs[0])
    if len(runs) > 1:
        return "runs", lambda: draw_runs(runs, metrics=arguments.metric)
    return runs[0].name, lambda: draw_run(runs[0], metrics=arguments.metric)


def _draw_boxes(runs: Sequence[Run], arguments: argparse.Namespace) -> "Figure":
    name = arguments.metric[0] if arguments.metric else next(iter(find_common_metrics(runs)), None)
    if name is None:
        raise ScheduleError("the runs have no metric in common that --boxes could plot.")
    metrics: dict[str, list[float]] = {}
    for run in runs:
        metric = require_metric([run], name)
        value = run.series(metric)[1][-1]
        if arguments.boxes == "best":
            best = RunView(run).best(metric)
            if best is None:
                raise ScheduleError(f"the name {name!r} does not say whether less or more is better; use --boxes last.")
            value = best.value
        metrics.setdefault(run.schedule or _UNKNOWN, []).append(value)
    which = "at the best checkpoint" if arguments.boxes == "best" else "at the last evaluation"
    title = f"{get_display_name(metric)} {which}, {format_count(len(runs), 'run')}"
    return draw_boxes(metrics, metric=metric, baseline=arguments.baseline, baseline_name="baseline", title=title)
