"""Tiny runs by hand, and what a plot contains of them: the data of its lines, not pixels."""

import json
from pathlib import Path

from hf_lrsched import Horizon
from hf_lrsched.runs import Run, read_run
from hf_lrsched.runs.record import Segment
from hf_lrsched.runs.rows import Rows
from hf_lrsched.trajectory.settings import RunSettings
from hf_lrsched.trajectory.trajectory import Trajectory

LOSSES = [(2, {"loss": 1.5}), (4, {"loss": 1.0}), (12, {"loss": 0.5})]
ACCURACIES = [(4, {"eval_accuracy": 0.5}), (8, {"eval_accuracy": 0.75}), (12, {"eval_accuracy": 0.7})]


def lines(figure):
    """The lines that have a name, by it: their x and y."""
    return {
        line.get_label(): ([*map(float, line.get_xdata())], [*map(float, line.get_ydata())])
        for axes in figure.axes
        for line in axes.get_lines()
        if not line.get_label().startswith("_")
    }


def texts(axes):
    return [text.get_text() for text in axes.texts]


def legend(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()]


def verticals(axes):
    """Where the dashed lines of events are."""
    return [
        float(line.get_xdata()[0])
        for line in axes.get_lines()
        if len(set(line.get_xdata())) == 1 and len(line.get_xdata()) == 2 and line.get_linestyle() != "-"
    ]


def shaded(axes):
    """From where to where each ground reaches."""
    paths = [patch.get_patch_transform().transform(patch.get_path().vertices) for patch in axes.patches]
    return [(float(path[:, 0].min()), float(path[:, 0].max())) for path in paths]


def cut_off(axes):
    """The lines of which something lies outside of the axes, with half their width, above or below."""
    axes.figure.draw_without_rendering()
    box, half = axes.get_window_extent(), lambda line: line.get_linewidth() / 2 * axes.figure.dpi / 72
    reach = [(axes.transData.transform(line.get_xydata())[:, 1], half(line), line) for line in axes.get_lines()]
    return [line for y, by, line in reach if len(y) and (y.min() - by < box.y0 or y.max() + by > box.y1)]


def trajectory(schedule, updates, peaks=(1.0,), per_epoch=None, **more):
    return Trajectory(RunSettings(schedule, Horizon(updates, per_epoch), tuple(peaks)), **more)


def segment(of, start=0, scales=None):
    """From update `start` on, a trajectory."""
    return Segment(start, of, 0.0, tuple(scales or [1.0] * len(of.settings.peaks)))


def made(*segments, train=(), evaluations=(), **more):
    """A run as `read_run` gives it."""
    groups = more.pop("groups", ["weights"])
    starts = more.pop("starts", [{"groups": groups, "step": 0}])
    more = {"name": "made", "path": Path("made/record"), "num_updates": 0, **more}
    rows = [Rows({"step": step, **row} for step, row in each) for each in (train, evaluations)]
    return Run(train=rows[0], evaluations=rows[1], segments=[*segments], starts=starts, **more)


def warmup_linear(**more):
    of = trajectory("warmup(4) >> linear()", 12, [4e-5], per_epoch=4)
    return made(segment(of), train=LOSSES, evaluations=ACCURACIES, num_updates=12, updates_per_epoch=4, **more)


def write_record(folder, of, train=(), evaluations=(), events=(), groups=("weights",), **start):
    """A run's folder with a record, as a ScheduledTrainer leaves it; returns the folder."""
    rows = {
        "run.jsonl": [
            {"start": 0, "groups": list(groups), "num_updates": of.settings.horizon.num_updates}
            | {"schedule": of.settings.schedule, "step": 0, "updates_per_epoch": of.settings.horizon.updates_per_epoch}
            | segment(of).to_row()
            | start
        ],
        "train.jsonl": [{"start": 0, "step": step, **row} for step, row in train],
        "evaluations.jsonl": [{"start": 0, "step": step, **row} for step, row in evaluations],
        "events.jsonl": [{"start": 0, "step": row["t"], **row} for row in events],
    }
    (folder / "record").mkdir(parents=True)
    for name, content in rows.items():
        (folder / "record" / name).write_text("".join(json.dumps(row) + "\n" for row in content))
    return folder


def write_state(folder, log_history, **more):
    """A trainer_state.json; returns its path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "trainer_state.json"
    path.write_text(json.dumps({"log_history": log_history, "max_steps": 12, **more}))
    return path


__all__ = [
    "ACCURACIES",
    "LOSSES",
    "trajectory",
    "cut_off",
    "legend",
    "lines",
    "made",
    "read_run",
    "segment",
    "shaded",
    "texts",
    "verticals",
    "warmup_linear",
    "write_record",
    "write_state",
]
