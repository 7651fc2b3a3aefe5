"""RunView: phases, events, LRs and the best evaluation of a run."""

import numpy as np
import pytest

from hf_lrsched.runs.timeline import RunView
from hf_lrsched.schedules import Part
from hf_lrsched.trajectory.resume import resume_trajectory
from hf_lrsched.trajectory.trajectory import Trajectory
from tests.plots.drawn import made, segment, trajectory

ACCURACIES = [(4, {"eval_accuracy": 0.5}), (8, {"eval_accuracy": 0.75}), (12, {"eval_accuracy": 0.7})]


def test_phases_say_the_lengths_that_each_part_of_a_resumed_run_had():
    old, new = (trajectory("warmup(10%) >> linear()", updates, [1.0]) for updates in (100, 200))
    switched = resume_trajectory(old, old.settings, new.settings, 50, "switch")
    assert RunView(made(segment(old), segment(switched, 50), num_updates=200)).phases == [
        Part("warmup(10%)", 0, 10, ("10% of 100 updates = 10",)),
        Part("linear()", 10, 50, ("what is left: 90 updates",)),
        Part("linear()", 50, 200, ("what is left: 180 updates",)),
    ]


def test_a_phase_that_ends_with_a_resume_has_the_length_that_it_got_there():
    old, new = trajectory("hold()", 100, [1.0]), trajectory("hold() >> linear(over=20)", 50, [1.0])
    switched = resume_trajectory(old, old.settings, new.settings, 30, "switch")
    assert RunView(made(segment(old), segment(switched, 30), num_updates=50)).phases == [
        Part("hold()", 0, 30, ("what is left: 30 updates",)),
        Part("linear(over=20)", 30, 50, ("20 updates",)),
    ]


def test_a_phase_that_an_event_cut_in_two_is_one():
    of = trajectory("warmup(2) >> linear()", 12)
    view = RunView(made(segment(of), segment(of, 6, [0.5]), num_updates=12))
    assert [(phase.text, phase.start, phase.end) for phase in view.phases] == [("warmup(2)", 0, 2), ("linear()", 2, 12)]


def test_done_and_end():
    of = trajectory("linear()", 12)
    assert (RunView(made(segment(of), num_updates=12)).done, RunView(made(segment(of), num_updates=12)).end) == (0, 12)
    running = RunView(made(segment(of), num_updates=12, train=[(step, {"loss": 1.0}) for step in (2, 4, 6)]))
    assert (running.done, running.end) == (6, 12)
    # The next record would lie behind the end.
    over = RunView(made(segment(of), num_updates=12, train=[(step, {"loss": 1.0}) for step in (5, 10)]))
    assert (over.done, over.end) == (12, 12)
    assert RunView([{"step": 3, "loss": 1.0}]).end == 3


EVENTS = {
    "a drop": (
        {
            "kind": "plateau",
            "cause": "why",
            "scale_before": 1.0,
            "scale_after": 0.5,
            "lr_before": 2e-5,
            "lr_after": 1e-5,
        },
        ("plateau ×0.5", "plateau: why (LR 2e-05 → 1e-05, scale 1 → 0.5)", False),
    ),
    "a resume": ({"kind": "resume", "how": "stretch"}, ("resume: stretch", "resume: on_resume=stretch", False)),
    "a cooldown": ({"kind": "cooldown", "cause": "stop"}, ("cooldown: stop", "cooldown: stop", False)),
    "a finding": (
        {"kind": "spike", "cause": "loss 9", "advice": "x"},
        ("spike: loss 9", "spike: loss 9 (advice: x)", True),
    ),
    "damaged": (
        {"scale_before": "x", "scale_after": None, "lr_before": [1.0, 1.0], "lr_after": 2},
        ("event", None, False),
    ),
}


@pytest.mark.parametrize(("row", "expected"), EVENTS.values(), ids=EVENTS)
def test_events(row, expected):
    (event,) = RunView(made(events=[{"t": 7, **row}])).events
    label, text, is_finding = expected
    assert (event.update, event.label, event.is_finding) == (7, label, is_finding)
    assert text is None or event.text == text


def test_a_resume_without_an_event_is_one():
    starts = [{"step": 0}, {"step": 4}, {"step": 8}]
    events = RunView(made(starts=starts, events=[{"t": 8, "kind": "resume", "how": "switch"}])).events
    assert [(event.update, event.label) for event in events] == [(4, "resume"), (8, "resume: switch")]


def test_the_best_evaluation():
    assert RunView(made(evaluations=ACCURACIES)).best("eval_accuracy").step == 8
    perplexities = [(step, {"eval_perplexity": 1 / metrics["eval_accuracy"]}) for step, metrics in ACCURACIES]
    wrong = {
        "best_metric": "perplexity",
        "greater_is_better": True,
        "best_step": 4,
    }  # the Trainer kept the worst, by its own guess
    best = RunView(made(evaluations=perplexities, **wrong)).best("eval_perplexity")
    assert (best.step, best.is_kept) == (8, False)
    by_user = {"best_metric": "accuracy", "greater_is_better": False, "best_step": 4}
    best = RunView(made(evaluations=ACCURACIES, **by_user)).best("eval_accuracy")
    assert (best.step, best.is_kept) == (4, True)
    kept = RunView(made(evaluations=ACCURACIES, best_metric="accuracy", best_step=12)).best("eval_accuracy")
    assert (kept.step, kept.value, kept.is_kept, kept.by) == (12, 0.7, True, "eval_accuracy")
    assert RunView(made(evaluations=ACCURACIES)).best("eval_f1") is None
    unknown = [(step, {"eval_entropy": step}) for step in (4, 8)]
    assert RunView(made(evaluations=unknown)).best("eval_entropy") is None
    lower = RunView(made(evaluations=unknown, best_metric="entropy", greater_is_better=False))
    assert lower.best("eval_entropy").step == 4
    assert RunView(made(evaluations=unknown)).best("eval_entropy", greater_is_better=True).step == 8


def test_lrs_of_groups_that_have_the_same_are_one_line():
    of = trajectory("linear()", 4, [1.0, 1.0, 0.5])
    lrs = RunView(
        made(segment(of), groups=["a", "b", "c"], num_updates=4, train=[(1, {"loss": 1.0}), (2, {"loss": 1.0})])
    ).lrs()
    assert [line.groups for line in lrs.lines] == [["a", "b"], ["c"]] and lrs.is_exact and lrs.is_complete
    used, planned = lrs.used(lrs.lines[1]), lrs.planned(lrs.lines[1])
    assert [*map(list, used)] == [[0, 1, 2], [0.5, 0.375, 0.375]]
    assert [*map(list, planned)] == [[2, 3, 4], [0.25, 0.125, 0.125]]


def test_lrs_of_a_long_run_have_both_sides_of_every_jump_and_every_evaluation():
    of = trajectory("warmup(123457) >> step(every=10%, factor=0.5)", 1_000_000)
    evaluations = [(step, {"eval_accuracy": 0.5}) for step in (77_777, 555_555)]
    lrs = RunView(made(segment(of), num_updates=1_000_000, evaluations=evaluations)).lrs(500)
    (line,) = lrs.lines
    drops = [123_457 + 100_000 * number for number in range(1, 9)]
    assert len(line.updates) < 600 and not lrs.is_complete
    assert {*drops, *(drop - 1 for drop in drops), 77_776, 555_554, 999_999} <= {*line.updates}
    assert line.lrs.tolist() == Trajectory.lrs(of, line.updates)[0].tolist()


def test_lrs_of_records():
    rows = [(4, {"learning_rate": 1e-3, "lr/a": 1e-3, "lr/b": 1e-4, "lr/c": 1e-4})]
    lrs = RunView(made(evaluations=rows, groups=["a", "b", "c"], train=[(2, {"learning_rate": 5e-4})])).lrs()
    assert [(line.groups, [*line.updates], [*line.lrs]) for line in lrs.lines] == [
        (["a"], [2, 4], [5e-4, 1e-3]),
        (["b", "c"], [4], [1e-4]),
    ]
    assert not lrs.is_exact and np.array_equal(lrs.planned(lrs.lines[0])[0], [])
