"""The plan of a run in the terminal: its numbers, phases, curve, groups and warnings."""

import io
import re
import sys

import pytest
import torch

from hf_lrsched import Horizon, ScheduleLR
from hf_lrsched.trainer.summary import can_draw, explain_batch, explain_run

RUN = Horizon(345, updates_per_epoch=115)


def scheduler(schedule="warmup(10%) >> linear()", run=RUN, groups=({"lr": 2e-5},), **kwargs):
    parameters = [{"params": [torch.nn.Parameter(torch.zeros(3))], **group} for group in groups]
    return ScheduleLR(torch.optim.SGD(parameters, lr=1.0), schedule, run, **kwargs)


@pytest.mark.parametrize(
    ("run", "first"),
    [
        (RUN, "345 updates = 3 epochs of 115; peak LR 2e-05"),
        (Horizon(500, updates_per_epoch=115), "500 updates = 4.348 epochs of 115; peak LR 2e-05"),
        (Horizon(115, updates_per_epoch=115), "115 updates = 1 epoch of 115; peak LR 2e-05"),
        (Horizon(12_000), "12,000 updates; peak LR 2e-05"),
    ],
)
def test_the_length(run, first):
    assert explain_run(scheduler(run=run), run).splitlines()[0] == first


@pytest.mark.parametrize(
    ("batch", "line"),
    [
        (explain_batch(16), "16 samples per update = 16 per device x 1 accumulated x 1 process"),
        (explain_batch(16, 4, 8), "512 samples per update = 16 per device x 4 accumulated x 8 processes"),
        (explain_batch(64, 8, 16), "8,192 samples per update = 64 per device x 8 accumulated x 16 processes"),
    ],
)
def test_the_samples_of_an_update(batch, line):
    assert explain_run(scheduler(), RUN, batch).splitlines()[1] == line


def test_the_phases_are_those_of_the_curve():
    made = scheduler("warmup(10%) >> hold(1ep) >> cosine(to=5%)")
    assert made.curves[0].explain() in explain_run(made, RUN)


def test_under_another_clock():
    made = scheduler("warmup(2min) >> linear()", clock="time(30min)")
    pytest.importorskip("plotext")
    lines = explain_run(made, RUN).splitlines()
    assert lines[0] == "at most 345 updates = 3 epochs of 115; peak LR 2e-05"
    assert "seconds     1 to   120" in lines[2]
    assert lines[-1].strip() == "seconds"  # below the drawing


def test_the_curve_is_small_and_plain():
    pytest.importorskip("plotext")
    lines = explain_run(scheduler(), RUN, explain_batch(16, 2)).splitlines()
    drawing = lines[5:]
    assert 8 <= len(drawing) <= 10 and len(lines) <= 15
    assert all(len(line) <= 100 for line in lines) and not any("\x1b" in line for line in lines)
    assert drawing[1].split("┤")[0].strip() == "2.00e-05" and drawing[-1].strip() == "update"
    assert drawing[-2].split() == ["1", "86", "172", "259", "345"]
    # Warmup and linear decay: the curve is at the top once, near a tenth of the way, and ends at the bottom.
    top, bottom = drawing[1], drawing[-4]
    peak = re.search("[▀-▟]", top).start() - top.index("┤")
    assert 0.05 < peak / (len(drawing[0].rstrip()) - drawing[0].index("┌")) < 0.15
    assert re.search("[▀-▟]│$", bottom)


@pytest.mark.parametrize("updates", [1, 2, 3, 10_000_000])
@pytest.mark.parametrize("schedule", ["linear()", "hold()", "warmup(1) >> freeze()", "cosine(to_lr=1e-6)"])
def test_runs_of_any_length(updates, schedule):
    run = Horizon(updates)
    if updates == 1 and "warmup" in schedule:
        return  # leaves nothing for the second phase
    length = "1 update" if updates == 1 else f"{updates:,} updates"
    assert f"{length}; peak LR 2e-05" in explain_run(scheduler(schedule, run), run)


@pytest.mark.parametrize("missing", [True, False])
def test_without_a_drawing(monkeypatch, missing):
    """plotext is an extra, and what it can't draw is no reason not to train."""
    monkeypatch.setitem(sys.modules, "plotext", None if missing else object())
    made = scheduler()
    assert explain_run(made, RUN).splitlines()[1:] == made.curves[0].explain().splitlines()


def test_groups_are_listed_where_their_lrs_differ():
    same = [{"lr": 1e-5, "name": "a"}, {"lr": 1e-5, "name": "b", "weight_decay": 0.1}]
    assert "parameter groups" not in explain_run(scheduler(groups=same), RUN)
    assert "2 parameter groups" in explain_run(scheduler(groups=same), RUN, all_groups=True)

    other_peak = [{"lr": 1e-5, "name": "body"}, {"lr": 4e-5, "name": "head"}]
    shown = explain_run(scheduler(groups=other_peak), RUN)
    assert shown.splitlines()[0].endswith("; peak LRs 1e-05 to 4e-05")
    assert [line.split()[:4] for line in shown.partition("peak LR  ")[2].splitlines()[1:]] == [
        ["body", "1", "3", "1e-05"],
        ["head", "1", "3", "4e-05"],
    ]
    own = [{"lr": 1e-5, "name": "body", "schedule": "freeze(1ep) >> linear()"}, {"lr": 1e-5, "name": "head"}]
    assert "freeze(1ep) >> linear()" in explain_run(scheduler(groups=own), RUN)


def test_warnings_of_every_group_once():
    doubtful = "linear(over=5) >> cosine()"  # the LR is 0, and then jumps to the peak
    run = Horizon(30)
    made = scheduler(
        "linear()", run, [{"lr": 1e-5}, *[{"lr": lr, "name": f"n{lr}", "schedule": doubtful} for lr in (1, 2)]]
    )
    notes = made.curves[1].notes
    shown = explain_run(made, run)
    assert len(notes) == 1 and shown.count(f"  warning: n1: {notes[0]}") == 1 and shown.count("warning") == 1
    assert f"  warning: {notes[0]}" in explain_run(scheduler(doubtful, run), run)


@pytest.mark.parametrize(("encoding", "can"), [("utf-8", True), ("ascii", False), ("cp1252", False), ("cp437", False)])
def test_whether_what_is_printed_may_hold_a_drawing(monkeypatch, encoding, can):
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), encoding=encoding))
    assert can_draw() is can
    print(explain_run(scheduler(), RUN, draw=can_draw()), flush=True)
