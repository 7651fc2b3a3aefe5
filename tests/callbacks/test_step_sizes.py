"""StepSizes: what it measures is what the optimizer did, only at the measured updates, and training does not change."""

import functools
import json
import logging
import math

import numpy as np
import pytest
import torch
from accelerate import PartialState
from accelerate.utils import DistributedType
from torch.utils._python_dispatch import TorchDispatchMode
from transformers import Trainer, TrainerCallback

from hf_lrsched import RunRecorder, ScheduledTrainer, ScheduleError, StepSizes, read_run
from hf_lrsched.runs.rows import Rows

SPEC = "warmup(2) >> linear()"
HOOKS = [name for name in vars(TrainerCallback) if name.startswith("on_")]


class Reference(TrainerCallback):
    """The ratio of every update, by NumPy in double precision from copies of all weights."""

    def __init__(self):
        self.ratios = []  # [update][group]

    def on_pre_optimizer_step(self, args, state, control, optimizer=None, **kwargs):
        self.before = self.flat(optimizer)

    def on_optimizer_step(self, args, state, control, optimizer=None, **kwargs):
        pairs = zip(self.before, self.flat(optimizer), strict=True)
        self.ratios.append([np.linalg.norm(new - old) / np.linalg.norm(old) for old, new in pairs])

    def flat(self, optimizer):
        return [
            np.concatenate([part.detach().numpy().astype(float).ravel() for part in group["params"]])
            for group in optimizer.param_groups
        ]


class LaterCallback(TrainerCallback):
    """What a callback after StepSizes finds in the logs, by update."""

    def __init__(self):
        self.logs = {}

    def on_log(self, args, state, control, logs=None, **kwargs):
        found = {key: value for key, value in logs.items() if key.startswith(("update_ratio", "effective_lr"))}
        if found:
            assert state.global_step not in self.logs
            self.logs[state.global_step] = found


@pytest.fixture
def run(make_trainer, grouped):
    """A trained Trainer with two groups."""

    def make(steps, *, optimizer=torch.optim.AdamW, names=("body", "head"), cls=ScheduledTrainer, train=True, **kwargs):
        model, made = grouped(1e-2, 3e-2, names=names, optimizer=optimizer)
        callbacks = [*([] if steps is None else [steps]), *kwargs.pop("callbacks", ())]
        settings = {"num_train_epochs": 2, "logging_steps": 100} | kwargs
        trainer = make_trainer(SPEC, cls=cls, model=model, optimizers=(made, None), callbacks=callbacks, **settings)
        if train:
            trainer.train(resume_from_checkpoint=kwargs.pop("resume", None))
        return trainer

    return make


def weights(trainer):
    return torch.cat([part.detach().ravel() for part in trainer.model.parameters()])


# What is measured


@pytest.mark.parametrize(
    "optimizer",
    [torch.optim.Adam, torch.optim.AdamW, torch.optim.RMSprop, torch.optim.Adagrad, torch.optim.SGD, torch.optim.NAdam],
)
def test_the_ratio_is_what_the_optimizer_did(run, optimizer, tmp_path):
    reference, seen = Reference(), LaterCallback()
    run(StepSizes(every=3), optimizer=optimizer, callbacks=[reference, seen])
    rows = read_run(tmp_path / "out").step_sizes
    assert [row["step"] for row in rows] == [3, 6, 9, 12] == list(seen.logs)
    for row in rows:
        body, head = reference.ratios[row["step"] - 1]
        assert row["update_ratio/body"] == pytest.approx(body, rel=1e-5)
        assert row["update_ratio/head"] == pytest.approx(head, rel=1e-5)
        assert row["epoch"] == row["step"] / 6
        values = {key: value for key, value in row.items() if key not in ("step", "start", "epoch")}
        assert values == seen.logs[row["step"]]
        quantiles = [row.get(f"effective_lr_{name}/head") for name in ("p05", "p50", "p95")]
        if optimizer is torch.optim.NAdam:
            assert quantiles == [None] * 3
        else:
            assert quantiles == sorted(quantiles)
    if optimizer is torch.optim.SGD:  # of update 3 of 12: the peak
        assert rows[0]["effective_lr_p05/head"] == pytest.approx(3e-2) == rows[0]["effective_lr_p95/head"]
        assert rows[1]["effective_lr_p50/body"] == pytest.approx(1e-2 * 7 / 10)


def test_effective_lrs_of_a_run(run):
    """Computed from the gradients: Adagrad's sum of their squares."""
    sums = {}

    class Sums(TrainerCallback):
        def on_pre_optimizer_step(self, args, state, control, optimizer=None, **kwargs):
            for index, group in enumerate(optimizer.param_groups):
                squares = np.concatenate([part.grad.numpy().astype(float).ravel() ** 2 for part in group["params"]])
                sums[index] = sums.get(index, 0) + squares

    steps = StepSizes(every=5)
    run(steps, optimizer=torch.optim.Adagrad, callbacks=[Sums()], max_steps=5)
    assert steps.latest["step"] == 5
    for index, (name, peak) in enumerate({"body": 1e-2, "head": 3e-2}.items()):
        lr = peak * 1 / 3  # t = 4 of warmup(2) and 3 updates of decay
        expected = np.quantile(lr / (np.sqrt(sums[index]) + 1e-10), [0.05, 0.5, 0.95])
        found = [steps.latest[f"effective_lr_{which}/{name}"] for which in ("p05", "p50", "p95")]
        assert found == pytest.approx(expected, rel=1e-5)


def test_groups_without_names_and_the_stock_groups(make_trainer):
    steps = StepSizes(every=2)
    make_trainer(SPEC, callbacks=[steps]).train()
    assert {key.partition("/")[2] for key in steps.latest if key != "step"} == {"group_0", "group_1"}


def test_a_sample_is_close_to_all_weights(make_trainer):
    reference, steps = Reference(), StepSizes(every=1, max_elements=3000)
    torch.manual_seed(0)
    model = Wide()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    make_trainer("hold()", model=model, optimizers=(optimizer, None), callbacks=[steps, reference], max_steps=3).train()
    assert sum(part.numel() for part in model.parameters()) > 15_000
    assert steps.latest["update_ratio/group_0"] == pytest.approx(reference.ratios[-1][0], rel=0.03)
    assert steps.latest["update_ratio/group_0"] != pytest.approx(reference.ratios[-1][0], rel=1e-6)


class Wide(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.last = torch.nn.Linear(4, 3000), torch.nn.Linear(3000, 2)

    def forward(self, x, labels=None):
        logits = self.last(torch.tanh(self.first(x)))
        return {"loss": torch.nn.functional.cross_entropy(logits, labels), "logits": logits}


def test_frozen_groups_and_weights_of_zero(make_trainer, grouped):
    model, optimizer = grouped(1e-2, 3e-2, names=("body", "head"), optimizer=torch.optim.AdamW)
    optimizer.param_groups[0]["schedule"] = "freeze()"
    for part in model.head.parameters():
        torch.nn.init.zeros_(part)
    steps = StepSizes(every=1)
    make_trainer("hold()", model=model, optimizers=(optimizer, None), callbacks=[steps], max_steps=1).train()
    assert steps.latest["update_ratio/body"] == 0 and "effective_lr_p50/body" not in steps.latest
    assert "update_ratio/head" not in steps.latest and steps.latest["effective_lr_p50/head"] > 0


def test_tensor_lrs(make_trainer, grouped):
    found = []
    for kind in (float, torch.tensor):
        model, optimizer = grouped(1e-2, 3e-2, names=("body", "head"), optimizer=torch.optim.AdamW)
        for group in optimizer.param_groups:
            group["lr"] = kind(group["lr"])
        steps = StepSizes(every=4)
        make_trainer(SPEC, model=model, optimizers=(optimizer, None), callbacks=[steps]).train()
        found.append(steps.latest)
    assert found[0]["step"] == 4 and found[1] == pytest.approx(found[0], rel=1e-5)


def test_accumulation_counts_updates(run):
    reference, steps = Reference(), StepSizes(every=2)
    run(steps, callbacks=[reference], gradient_accumulation_steps=3)
    assert len(reference.ratios) == 4 == steps.latest["step"]
    assert steps.latest["update_ratio/body"] == pytest.approx(reference.ratios[3][0], rel=1e-5)


class Overflow(TrainerCallback):
    """Infinite gradients at some updates, counted from 1, as a loss that is scaled too far makes them."""

    def __init__(self, updates):
        self.updates = updates

    def on_pre_optimizer_step(self, args, state, control, model=None, **kwargs):
        if state.global_step + 1 in self.updates:
            for part in model.parameters():
                part.grad.fill_(math.inf)


@pytest.mark.parametrize("fused", [False, True])  # a fused optimizer skips within its kernel
def test_a_skipped_update_is_not_measured_and_the_next_one_is(run, tmp_path, fused):
    reference = Reference()
    kind = functools.partial(torch.optim.AdamW, fused=fused)
    trainer = run(
        StepSizes(every=3), optimizer=kind, callbacks=[reference, Overflow({3, 4, 9})], max_grad_norm=0, train=False
    )
    trainer.accelerator.scaler = torch.amp.GradScaler("cpu", init_scale=2.0**10)  # as with fp16 on a GPU
    trainer.train()
    assert [update for update, ratios in enumerate(reference.ratios, 1) if not any(ratios)] == [1, 3, 4, 9]  # 1: LR 0
    rows = read_run(tmp_path / "out").step_sizes
    assert [row["step"] for row in rows] == [5, 6, 10, 12]
    for row in rows:
        assert row["update_ratio/head"] == pytest.approx(reference.ratios[row["step"] - 1][1], rel=1e-5)


# Training does not change


@pytest.mark.parametrize("optimizer", [torch.optim.AdamW, torch.optim.RMSprop, torch.optim.Adagrad, torch.optim.SGD])
@pytest.mark.parametrize("max_elements", [None, 10])
def test_the_weights_are_the_same_with_and_without(run, optimizer, max_elements):
    without = run(None, optimizer=optimizer)
    for every in (1, 5):
        trainer = run(StepSizes(every=every, max_elements=max_elements), optimizer=optimizer)
        assert torch.equal(weights(trainer), weights(without))  # with dropout: the random numbers are the same, too
        states = [
            [
                torch.as_tensor(value)
                for state in each.optimizer.state.values()
                for value in state.values()
                if value is not None
            ]
            for each in (trainer, without)
        ]
        assert len(states[0]) == len(states[1])
        assert all(torch.equal(*pair) for pair in zip(*states, strict=True))


def test_two_runs_measure_the_same(run):
    first, second = StepSizes(every=5, max_elements=10), StepSizes(every=5, max_elements=10)
    run(first)
    run(second)
    assert first.latest == second.latest != {}


class Operations(TorchDispatchMode):
    """Counts the operations of torch, reading a number from a tensor among them."""

    def __init__(self):
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.count += 1
        return function(*args, **(kwargs or {}))


def test_updates_in_between_cost_nothing(run):
    counted = {}

    class Counted(StepSizes):
        pass

    def watched(name):
        def hook(self, args, state, control, **kwargs):
            with Operations() as operations:
                getattr(StepSizes, name)(self, args, state, control, **kwargs)
            update = state.global_step + (name in ("on_pre_optimizer_step", "on_optimizer_step", "on_step_begin"))
            counted[update] = counted.get(update, 0) + operations.count

        return hook

    for name in HOOKS:
        if name not in ("on_init_end", "on_train_begin", "on_train_end"):
            setattr(Counted, name, watched(name))
    steps = Counted(every=4)
    learning_rate = torch.tensor(1e-2)  # as a compiled optimizer has it
    trainer = run(steps, train=False, logging_steps=1, eval_strategy="steps", eval_steps=2)
    for group in trainer.optimizer.param_groups:
        group["lr"] = learning_rate.clone()
    trainer.train()
    assert [update for update in range(1, 13) if counted[update]] == [4, 8, 12]
    assert steps._before is None


# Record, history and reporters


def test_history_stays_small_and_each_measured_update_has_a_record(run, tmp_path):
    trainer = run(StepSizes(every=5), logging_steps=4)
    history = [row for row in trainer.state.log_history if "loss" in row]
    assert [row["step"] for row in history] == [4, 5, 8, 10, 12]
    assert not any("update_ratio" in key or "effective" in key for row in trainer.state.log_history for key in row)
    train = Rows.read(tmp_path / "out" / "record" / "train.jsonl")
    assert not any("update_ratio" in key or "effective" in key for row in train for key in row)


def test_runs_without_it_have_no_file(run, tmp_path):
    run(None)
    assert not (tmp_path / "out" / "record" / "steps.jsonl").exists()
    assert read_run(tmp_path / "out").step_sizes == []


def test_the_stock_trainer(make_trainer, tmp_path):
    seen, steps = LaterCallback(), StepSizes(every=3)
    trainer = make_trainer(cls=Trainer, callbacks=[seen, RunRecorder()])
    trainer.callback_handler.callbacks.insert(0, steps)
    trainer.train()
    assert list(seen.logs) == [3, 6] and steps.latest["step"] == 6
    rows = read_run(tmp_path / "out").step_sizes
    assert [row["step"] for row in rows] == [3, 6]
    assert rows[1]["update_ratio/group_0"] == steps.latest["update_ratio/group_0"]


@pytest.mark.parametrize("logging_steps", [3, 100])
@pytest.mark.parametrize("way", ["callbacks", "add_callback", "first", "no reporters", "ScheduledTrainer"])
def test_the_stock_trainer_warns_once_where_reporters_get_no_values(make_trainer, caplog, way, logging_steps):
    steps = StepSizes(every=3)
    trainer = make_trainer(
        SPEC if way == "ScheduledTrainer" else None,
        cls=ScheduledTrainer if way == "ScheduledTrainer" else Trainer,
        callbacks=[steps] if way in ("callbacks", "no reporters", "ScheduledTrainer") else [],
        logging_steps=logging_steps,
    )
    if way == "add_callback":
        trainer.add_callback(steps)
    if way == "first":
        trainer.callback_handler.callbacks.insert(0, steps)
    trainer.args.report_to = (
        [] if way == "no reporters" else ["tensorboard"]
    )  # the name alone: the reporter is not installed everywhere
    trainer.train()
    warnings = [message for message in caplog.messages if "its values do not reach tensorboard" in message]
    assert len(warnings) == (way in ("callbacks", "add_callback"))


def test_a_resume_leaves_out_the_rows_that_it_makes_again(run, tmp_path):
    saved = {"save_strategy": "steps", "save_steps": 5}
    run(StepSizes(every=2), **saved)
    whole = read_run(tmp_path / "out").step_sizes
    resumed = run(StepSizes(every=2), train=False, **saved)
    resumed.train(resume_from_checkpoint=str(tmp_path / "out" / "checkpoint-5"))
    rows = read_run(tmp_path / "out").step_sizes
    assert [(row["step"], row["start"]) for row in rows] == [(2, 0), (4, 0), (6, 1), (8, 1), (10, 1), (12, 1)]
    for row, other in zip(rows, whole, strict=True):
        assert {**row, "start": 0} == other  # to the bit
    assert len(Rows.read(tmp_path / "out" / "record" / "steps.jsonl")) == 10
    run_again = read_run(tmp_path / "out")
    assert run_again.lrs([0]) is not None


def test_the_terminal_does_not_show_them(run, capsys):
    run(StepSizes(every=3), disable_tqdm=False)
    printed = capsys.readouterr()
    assert "'loss'" in printed.out + printed.err and "update_ratio" not in printed.out + printed.err


# Invalid arguments, and warnings


@pytest.mark.parametrize("bad", [0, -1, 1.5, "50", None, True])
def test_bad_settings(bad):
    with pytest.raises(ScheduleError, match="every must be a whole number of at least 1"):
        StepSizes(every=bad)
    if bad is not None:
        with pytest.raises(ScheduleError, match="max_elements must be a whole number of at least 1"):
            StepSizes(max_elements=bad)


def warnings(caplog):
    return [record.getMessage() for record in caplog.records if "StepSizes" in record.getMessage()]


@pytest.fixture
def records(caplog, monkeypatch):
    monkeypatch.setattr(logging.getLogger("hf_lrsched"), "propagate", True)
    return caplog


def test_an_unknown_optimizer_is_reported_once(run, records):
    run(StepSizes(every=2), optimizer=torch.optim.NAdam)
    (warning,) = warnings(records)
    assert "cannot compute an effective LR for NAdam" in warning


def test_a_run_that_is_too_short_is_reported(run, records):
    run(StepSizes(every=13))
    (warning,) = warnings(records)
    assert "measures nothing in this run of 12 updates" in warning
    records.clear()
    run(StepSizes(every=12))
    assert warnings(records) == []


def test_a_run_without_logs_is_reported(run, records, tmp_path):
    steps = StepSizes(every=4)
    run(steps, logging_strategy="no")
    (warning,) = warnings(records)
    assert "logging_strategy='no'" in warning
    assert steps.latest["step"] == 12
    assert [row["step"] for row in read_run(tmp_path / "out").step_sizes] == [4, 8, 12]


@pytest.mark.parametrize("kind", ["DEEPSPEED", "FSDP"])
def test_sharded_weights_are_not_measured(run, records, monkeypatch, kind):
    """With accelerate's names; tests/end_to_end/test_fsdp.py shards for real."""

    class Sharded(StepSizes):
        def on_train_begin(self, *args, **kwargs):
            with monkeypatch.context() as patch:
                patch.setitem(PartialState._shared_state, "distributed_type", DistributedType(kind))
                super().on_train_begin(*args, **kwargs)

    steps = Sharded(every=1)
    run(steps)
    (warning,) = warnings(records)
    assert "measures nothing in this run: under " + {"DEEPSPEED": "DeepSpeed"}.get(kind, kind) in warning
    assert steps.latest == {}


def test_rows_are_json_without_nan(run, tmp_path):
    run(StepSizes(every=4))
    for line in (tmp_path / "out" / "record" / "steps.jsonl").read_text().splitlines():
        assert all(math.isfinite(value) for value in json.loads(line).values())
