"""ScheduleCallback, and the callbacks beside it: their order in `callbacks=` changes nothing."""

import itertools
import random

import pytest
import torch
from transformers import EarlyStoppingCallback, Trainer

from hf_lrsched import (
    LossGuard,
    LossMonitor,
    LRLogger,
    RunRecorder,
    ScheduleCallback,
    ScheduledTrainer,
    StepSizes,
    get_scheduler,
    read_run,
)
from hf_lrsched.runs.record import FILES
from hf_lrsched.runs.rows import Rows

# A drop of the plateau, early stopping that begins the cooldown, and a run that ends with it.
SCHEDULE = (
    "(warmup(2) >> hold() >> cooldown(4, shape=linear)) * plateau(factor=0.5, patience=0, metric=eval_loss, mode=max)"
)
SETTINGS = {
    "num_train_epochs": 4,
    "eval_strategy": "steps",
    "eval_steps": 2,
    "logging_steps": 3,
    "metric_for_best_model": "eval_loss",
    "greater_is_better": True,
    "seed": 1,
}
TIMES = ("runtime", "per_second")


def make_callbacks():
    return [
        ScheduleCallback(),
        LRLogger(),
        RunRecorder(),
        StepSizes(every=4),
        LossMonitor(),
        LossGuard("lower"),
        EarlyStoppingCallback(early_stopping_patience=2),
    ]


def without_times(row):
    return {key: value for key, value in row.items() if not key.endswith(TIMES) and key not in ("time", "total_flos")}


def read_rows(path):
    """Read the rows of a file. A finding of the monitor may stand before or after a change of the LR at the same update."""
    rows = [without_times(row) for row in Rows.read(path)]
    return sorted(rows, key=lambda row: (row["step"], "advice" in row))


@pytest.fixture
def observe(make_trainer, grouped, tmp_path):
    """Trains with callbacks in an order, and returns whatever they leave."""
    count = itertools.count()

    def run(order, cls=Trainer):
        out = tmp_path / f"run_{next(count)}"
        model, optimizer = grouped(1e-3, 3e-3, names=["body", "head"])
        callbacks = make_callbacks()
        if cls is Trainer:
            scheduler = get_scheduler(SCHEDULE, optimizer, num_training_steps=24)
        else:
            scheduler, callbacks = None, callbacks[3:4] + callbacks[5:]
        callbacks = [callbacks[index] for index in order]
        trainer = make_trainer(
            SCHEDULE,
            cls=cls,
            model=model,
            optimizers=(optimizer, scheduler),
            callbacks=callbacks,
            output_dir=str(out),
            **SETTINGS,
        )
        trainer.train()
        return {
            "lrs": trainer.recorder.groups,
            "weights": torch.cat([part.detach().ravel() for part in model.parameters()]).tolist(),
            "history": [without_times(row) for row in trainer.state.log_history],
            "record": {name: read_rows(out / "record" / name) for name in FILES},
            "used": [lrs.tolist() for lrs in read_run(out).lrs(range(10)).values()],
        }

    return run


def test_the_order_of_the_callbacks_changes_nothing(observe):
    orders = random.Random(0).sample([*itertools.permutations(range(7))], 24)
    expected = observe(range(7))
    found = {is_finding: [] for is_finding in (False, True)}
    for row in expected["record"]["events.jsonl"]:
        found["advice" in row].append((row["step"], row["kind"]))
    assert found[True] == [(8, "unstable_validation")]
    assert found[False] == [(4, "plateau"), (6, "plateau"), (6, "cooldown"), (8, "plateau"), (10, "plateau")]
    assert [row["step"] for row in expected["record"]["steps.jsonl"]] == [4, 8]
    assert len(expected["lrs"]) == 10
    for order in orders:
        found = observe(order)
        for name, value in expected.items():
            assert found[name] == value, (order, name)


def test_the_order_of_the_callbacks_beside_ours_changes_nothing(observe):
    expected = observe(range(3), ScheduledTrainer)
    assert expected["lrs"] == observe(range(7))["lrs"]
    for order in itertools.permutations(range(3)):
        assert observe(order, ScheduledTrainer) == expected


def test_two_of_them_count_an_evaluation_once(make_trainer, grouped):
    lrs = []
    for callbacks in ([ScheduleCallback()], [ScheduleCallback(), ScheduleCallback()]):
        model, optimizer = grouped(1e-3)
        scheduler = get_scheduler("hold() * plateau(threshold=9)", optimizer, num_training_steps=24)
        trainer = make_trainer(
            cls=Trainer, model=model, optimizers=(optimizer, scheduler), callbacks=callbacks, **SETTINGS
        )
        trainer.train()
        lrs.append(trainer.recorder.used)
    assert lrs[0] == lrs[1]
