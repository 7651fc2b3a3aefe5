"""The record of a run: the LRs that follow from it are those that the optimizer used, to the bit; its rows are the Trainer's."""

import functools
import json
import logging
import os

import numpy as np
import pytest
import torch
from transformers import EarlyStoppingCallback, Trainer, TrainerCallback

from hf_lrsched import LRLogger, RunRecorder, ScheduleCallback, ScheduledTrainer, ScheduleLR, get_scheduler, read_run
from hf_lrsched.runs.rows import Rows

SPEC = "warmup(2) >> cosine()"


def rows(folder, name, record="record"):
    return list(Rows.read(folder / record / f"{name}.jsonl"))


def recorded_lrs(folder, updates):
    """The LRs that follow from the record, [update][group]."""
    return np.array(list(read_run(folder).lrs(range(updates)).values())).T.tolist()


def same(left, right):
    """To the bit, also where both are NaN."""
    return np.array_equal(np.array(left), np.array(right), equal_nan=True)


@pytest.fixture
def out(tmp_path):
    return tmp_path / "out"


@pytest.fixture
def two_groups(make_trainer, grouped):
    """A Trainer with an encoder at 1e-3 and a head at 3e-3; `own` are their own schedules."""

    def make(schedule=SPEC, own=(), names=("encoder", "head"), **kwargs):
        model, optimizer = grouped(1e-3, 3e-3, names=names)
        for group, text in zip(optimizer.param_groups, own, strict=False):
            if text is not None:
                group["schedule"] = text
        return make_trainer(schedule, model=model, optimizers=(optimizer, None), **kwargs)

    return make


class At(TrainerCallback):
    """Does something in a hook of an update; updates are counted from 1."""

    def __init__(self, update, hook, act):
        self.update, self.act, self.is_done = update, act, False
        setattr(self, hook, self._look)

    def _look(self, args, state, control, **kwargs):
        if not self.is_done and state.global_step >= self.update - 1:
            self.is_done = True
            self.act(**kwargs)


class Losses(TrainerCallback):
    """Replaces the loss of each evaluation."""

    def __init__(self, losses):
        self.losses = list(losses)

    def on_evaluate(self, args, state, control, metrics=None, **kwargs):
        metrics["eval_loss"] = self.losses.pop(0)


# Every update's LR


@pytest.mark.parametrize(
    ("schedule", "settings"),
    [
        (SPEC, {"num_train_epochs": 3}),
        ("warmup(10%) >> linear(to_lr=1e-6)", {"max_steps": 40}),
        ("warmup(1ep) >> step(every=1ep, factor=0.3)", {"num_train_epochs": 4, "gradient_accumulation_steps": 2}),
        ("one_cycle()", {"max_steps": 1030}),  # more than a block of the scheduler's
    ],
    ids=["epochs", "floor", "accumulated", "long"],
)
def test_plain(two_groups, out, schedule, settings):
    trainer = two_groups(schedule, **settings)
    trainer.train()
    used = trainer.recorder.groups
    assert len(used) == trainer.state.max_steps
    assert same(recorded_lrs(out, len(used)), used)
    assert list(read_run(out).lrs([0])) == ["encoder", "head"]


def test_trainers_own_groups(make_trainer, out):
    trainer = make_trainer(SPEC)
    trainer.train()
    assert same(recorded_lrs(out, 6), trainer.recorder.groups)


def test_groups_with_schedules_of_their_own(two_groups, out):
    trainer = two_groups(own=(None, "freeze(3) >> linear()"), max_steps=10)
    trainer.train()
    assert [lrs[1] for lrs in trainer.recorder.groups[:4]] == [0, 0, 0, 3e-3]
    assert same(recorded_lrs(out, 10), trainer.recorder.groups)


def test_groups_of_one_name_get_distinct_names(two_groups, out):
    trainer = two_groups(names=("encoder", "encoder"), eval_strategy="epoch")
    trainer.train()
    assert same(recorded_lrs(out, 6), trainer.recorder.groups)
    (evaluation,) = rows(out, "evaluations")
    assert {key for key in evaluation if key.startswith("lr/")} == {"lr/encoder", "lr/encoder/1"}


def test_drops_of_a_plateau(two_groups, out):
    settings = {"num_train_epochs": 4, "eval_strategy": "epoch", "callbacks": [Losses([3, 4, 2, 5])]}
    trainer = two_groups("(warmup(2) >> linear()) * plateau(factor=0.3, patience=0)", **settings)
    trainer.train()
    used = trainer.recorder.groups
    assert used[12][0] == pytest.approx(1e-3 * 0.3 * 12 / 22)  # the drop was at update 12 of 24
    assert same(recorded_lrs(out, 24), used)
    assert [row["step"] for row in rows(out, "events") if row["kind"] == "plateau"] == [12, 24]


def test_a_plateau_on_one_group_alone(two_groups, out):
    own = (None, "linear() * plateau(factor=0.5, patience=0)")
    trainer = two_groups("linear()", own, num_train_epochs=3, eval_strategy="epoch", callbacks=[Losses([1, 2, 3])])
    trainer.train()
    used = trainer.recorder.groups
    assert used[12] == pytest.approx([1e-3 * 6 / 18, 3e-3 * 0.5 * 6 / 18])
    assert same(recorded_lrs(out, 18), used)


def test_a_cooldown_that_begins_early(two_groups, out):
    trainer = two_groups(
        "warmup(2) >> hold() >> cooldown(5)",
        num_train_epochs=20,
        eval_strategy="epoch",
        save_strategy="epoch",
        load_best_model_at_end=True,
        metric_for_best_model="loss",
        callbacks=[EarlyStoppingCallback(early_stopping_patience=1, early_stopping_threshold=10.0)],
    )
    trainer.train()
    used = trainer.recorder.groups
    assert len(used) == 17  # two epochs of 6, and 5 of cooldown
    assert same(recorded_lrs(out, 17), used)


# Where an LR is changed within an update decides which update is the first with the new one.
@pytest.mark.parametrize(
    ("hook", "first"),
    [
        ("on_step_begin", 4),
        ("on_substep_end", 4),
        ("on_pre_optimizer_step", 4),
        ("on_optimizer_step", 5),
        ("on_step_end", 4),  # of the third update
        ("on_log", 4),
        ("on_evaluate", 4),
    ],
)
def test_rescaled_in_any_hook(two_groups, out, hook, first):
    change = At(4, hook, lambda lr_scheduler=None, **_: lr_scheduler.rescale(0.5, "a test"))
    trainer = two_groups(
        max_steps=8, gradient_accumulation_steps=2, logging_steps=1, eval_strategy="steps", eval_steps=1
    )
    trainer.add_callback(change)
    used = []
    trainer.optimizer.register_step_pre_hook(
        lambda optimizer, *_: used.append([g["lr"] for g in optimizer.param_groups])
    )
    trainer.train()
    plain = [1e-3 * factor for factor in get_factors(8)]
    assert [lrs[0] for lrs in used] == pytest.approx(plain[: first - 1] + [lr / 2 for lr in plain[first - 1 :]])
    assert same(recorded_lrs(out, 8), used)


def get_factors(updates):
    parameter = torch.nn.Parameter(torch.zeros(1))
    return ScheduleLR(torch.optim.SGD([parameter], lr=1.0), SPEC, updates).curves[0](np.arange(updates)).tolist()


def test_several_changes_within_an_update(two_groups, out):
    def rescale(factor):
        return lambda lr_scheduler=None, **_: lr_scheduler.rescale(factor, "a test")

    changes = [At(4, "on_step_begin", rescale(0.5)), At(4, "on_step_end", rescale(0.3)), At(4, "on_log", rescale(7.0))]
    trainer = two_groups(max_steps=8, logging_steps=1, callbacks=changes)
    trainer.train()
    assert same(recorded_lrs(out, 8), trainer.recorder.groups)
    # The third update's on_step_end and on_log are the first ones after it.
    assert [row["scale_after"] for row in rows(out, "events")] == pytest.approx([0.3, 2.1, 1.05])


# Resumes


@pytest.fixture
def resumed(two_groups, out):
    """A run of 12 updates up to its checkpoint at 6, or further, and its result; `(used, trainer)`."""

    def make(schedule=SPEC, first=12, checkpoint=6, again=None, **settings):
        whole = {"max_steps": 12, "save_strategy": "steps", "save_steps": 3, "logging_steps": 1}
        before = two_groups(schedule, **whole | {"max_steps": first})
        before.train()
        how = settings.pop("on_resume", "strict")
        after = two_groups(again or schedule, **whole | settings)
        after._on_resume = how
        after.train(resume_from_checkpoint=str(out / f"checkpoint-{checkpoint}"))
        return before.recorder.groups[:checkpoint] + after.recorder.groups, after

    return make


def test_resumed_and_made_again(resumed, out):
    used, trainer = resumed()
    assert len(used) == 12 and same(recorded_lrs(out, 12), used)
    run = read_run(out)
    assert [row["step"] for row in run.train] == list(range(1, 13))
    assert [row["loss"] for row in run.train] == [row["loss"] for row in trainer.state.log_history if "loss" in row]
    assert [row["start"] for row in run.train] == [0] * 6 + [1] * 6
    assert not run.events


@pytest.mark.parametrize("how", ["keep", "stretch", "switch", "rewarm(3)"])
@pytest.mark.parametrize(("again", "updates"), [(SPEC, 18), ("linear()", 12), ("linear()", 10)])
def test_resumed_with_other_settings(resumed, out, how, again, updates):
    used, _ = resumed(again=again, max_steps=updates, on_resume=how)
    assert len(used) == updates and same(recorded_lrs(out, updates), used)
    (event,) = read_run(out).events
    assert (event["kind"], event["step"], event["how"]) == ("resume", 6, how)
    assert [event["lr_before"], event["lr_after"]] == [pytest.approx(1e-3 * get_factors(12)[6]), used[6][0]]


def test_resumed_twice_at_one_update(resumed, two_groups, out):
    resumed(again="linear()", on_resume="switch")
    before = read_run(out)
    again = two_groups("step(every=2, factor=0.5)", max_steps=12, logging_steps=1)
    again._on_resume = "switch"
    again.train(resume_from_checkpoint=str(out / "checkpoint-6"))
    run = read_run(out)
    assert same(recorded_lrs(out, 12)[6:], again.recorder.groups)
    assert same(recorded_lrs(out, 12)[:6], np.array([*before.lrs(range(6)).values()]).T)
    assert [(row["kind"], row["step"]) for row in run.events] == [("resume", 6)]
    assert {row["start"] for row in run.train if row["step"] > 6} == {2}


def test_resumed_before_an_earlier_resume(resumed, two_groups, out):
    resumed(again="linear()", on_resume="switch", checkpoint=9)
    again = two_groups(max_steps=12)
    again.train(resume_from_checkpoint=str(out / "checkpoint-3"))
    assert same(recorded_lrs(out, 12), [[1e-3 * f, 3e-3 * f] for f in get_factors(12)])
    assert read_run(out).events == []


def test_a_drop_before_the_checkpoint_stays_and_one_after_it_is_made_again(two_groups, out):
    schedule = "linear() * plateau(factor=0.5, patience=0)"
    settings = {"max_steps": 12, "eval_strategy": "steps", "eval_steps": 3, "save_strategy": "steps", "save_steps": 6}
    first = two_groups(schedule, **settings, callbacks=[Losses([1, 2, 3, 4])])  # drops at 6 and 9
    first.train()
    again = two_groups(schedule, **settings, callbacks=[Losses([0.5, 4])])  # a drop at 12 alone
    again.train(resume_from_checkpoint=str(out / "checkpoint-6"))
    assert same(recorded_lrs(out, 12), first.recorder.groups[:6] + again.recorder.groups)
    assert [row["step"] for row in read_run(out).events] == [6, 12]
    drops = [row for row in rows(out, "events") if row["kind"] == "plateau"]
    assert len(drops) == 4  # nothing is taken away from a file


def test_a_change_after_the_checkpoint_of_the_same_update_is_made_again(two_groups, out):
    """Right after a checkpoint the scale falls; the run that goes on from the checkpoint does not do that again."""
    fall = At(7, "on_step_begin", lambda lr_scheduler=None, **_: lr_scheduler.rescale(0.5, "a test"))
    settings = {"max_steps": 12, "save_strategy": "steps", "save_steps": 6}
    first = two_groups(**settings, callbacks=[fall])
    first.train()
    assert same(recorded_lrs(out, 12), first.recorder.groups) and len(read_run(out).events) == 1
    again = two_groups(**settings)
    again.train(resume_from_checkpoint=str(out / "checkpoint-6"))
    assert same(recorded_lrs(out, 12), first.recorder.groups[:6] + again.recorder.groups)
    assert read_run(out).events == []


def test_another_batch_size_with_the_clock_of_epochs(make_trainer, out):
    def make(**settings):
        by_epochs = functools.partial(ScheduledTrainer, clock="epochs")
        return make_trainer("warmup(1ep) >> cosine()", cls=by_epochs, train=28, num_train_epochs=3, **settings)

    first = make(save_strategy="steps", save_steps=3, gradient_accumulation_steps=2)  # 4 updates an epoch
    first.train()
    again = make()  # 7 updates an epoch
    again.train(resume_from_checkpoint=str(out / "checkpoint-3"))
    used = first.recorder.groups[:3] + again.recorder.groups
    assert again.lr_scheduler.run_state.offset == 3 * 7 / 4 - 3  # between two updates of the new size
    assert same(recorded_lrs(out, len(used)), used)


def test_a_second_training_has_a_record_of_its_own(two_groups, out):
    for spec in (SPEC, "linear()", "hold()"):
        trainer = two_groups(spec)
        trainer.train()
        assert same(recorded_lrs(out, 6), trainer.recorder.groups)  # the newest one
    trainer.train()
    assert sorted(path.name for path in out.glob("record*")) == ["record", "record-2", "record-3", "record-4"]
    encoder = read_run(out / "record-2").lrs(range(6))["encoder"]
    assert encoder.tolist() == pytest.approx([1e-3 * (6 - t) / 6 for t in range(6)])


def test_resumed_into_another_folder(resumed, two_groups, out, tmp_path):
    resumed()
    again = two_groups("linear()", max_steps=12, output_dir=str(tmp_path / "other"))
    again._on_resume = "switch"
    again.train(resume_from_checkpoint=str(out / "checkpoint-6"))
    assert same(recorded_lrs(tmp_path / "other", 12), [[np.nan] * 2] * 6 + again.recorder.groups)


def test_with_other_clocks_only_the_records_have_lrs(make_trainer, out):
    by_time = functools.partial(ScheduledTrainer, clock="time(1h)")
    trainer = make_trainer("linear()", cls=by_time, max_steps=4, logging_steps=2)
    trainer.train()
    run = read_run(out)
    assert run.lrs([0]) is None
    assert run.recorded_lrs() == ([2, 4], [trainer.recorder.used[1], trainer.recorder.used[3]])


# The stock Trainer


@pytest.fixture
def stock(make_trainer, grouped):
    def make(schedule=SPEC, callbacks=(), **kwargs):
        model, optimizer = grouped(1e-3, 3e-3, names=["encoder", "head"])
        scheduler = get_scheduler(schedule, optimizer, num_training_steps=6)
        return make_trainer(
            cls=Trainer, model=model, optimizers=(optimizer, scheduler), callbacks=[*callbacks, RunRecorder()], **kwargs
        )

    return make


def test_stock_trainer(stock, out):
    trainer = stock(eval_strategy="steps", eval_steps=2, logging_steps=2)
    trainer.train()
    assert same(recorded_lrs(out, 6), trainer.recorder.groups)
    found = [(row["step"], row["learning_rate"], row["lr/head"]) for row in rows(out, "evaluations")]
    assert found == [(at, *trainer.recorder.groups[at - 1]) for at in (2, 4, 6)]
    assert [row["step"] for row in rows(out, "train")] == [2, 4, 6]


@pytest.mark.parametrize(
    ("hook", "first"),
    [("on_step_begin", 4), ("on_pre_optimizer_step", 4), ("on_optimizer_step", 5), ("on_step_end", 4)],
)
def test_rescaled_by_a_callback_after_the_recorder(stock, out, hook, first):
    trainer = stock(max_steps=6)
    trainer.add_callback(At(4, hook, lambda lr_scheduler=None, **_: lr_scheduler.rescale(0.5, "a test")))
    used = []
    trainer.optimizer.register_step_pre_hook(
        lambda optimizer, *_: used.append([g["lr"] for g in optimizer.param_groups])
    )
    trainer.train()
    plain = [1e-3 * factor for factor in get_factors(6)]
    assert [lrs[0] for lrs in used] == pytest.approx(plain[: first - 1] + [lr / 2 for lr in plain[first - 1 :]])
    assert same(recorded_lrs(out, 6), used)
    assert len(trainer.optimizer.optimizer._optimizer_step_pre_hooks) == 1  # the recorder's is gone


def test_stock_trainer_with_the_metrics_of_a_logger(make_trainer, grouped, out):
    model, optimizer = grouped(1e-3, 3e-3, names=["encoder", "head"])
    scheduler = get_scheduler(SPEC, optimizer, num_training_steps=6)
    logger = LRLogger()
    trainer = make_trainer(
        cls=Trainer,
        model=model,
        optimizers=(optimizer, scheduler),
        callbacks=[logger, RunRecorder()],
        compute_metrics=logger.wrap(lambda _: {"accuracy": 0.5}),
        eval_strategy="epoch",
    )
    trainer.train()
    (row,) = rows(out, "evaluations")
    assert [key for key in row if "learning_rate" in key or "lr/" in key] == ["learning_rate", "lr/encoder", "lr/head"]
    assert row["eval_accuracy"] == 0.5


def test_stock_trainer_with_a_used_scheduler(stock, out):
    """A second train() with a scheduler in optimizers= goes on where the first one ended: that is what the record says."""
    trainer = stock()
    trainer.train()
    trainer.train()
    assert same(recorded_lrs(out, 6), trainer.recorder.groups[6:])
    assert same(np.array([*read_run(out / "record").lrs(range(6)).values()]).T, trainer.recorder.groups[:6])


@pytest.mark.parametrize("callbacks", [[], [ScheduleCallback()]], ids=["recorder alone", "with ScheduleCallback"])
def test_skipped_steps(stock, out, callbacks, monkeypatch):
    """As after an fp16 overflow: without ScheduleCallback the stock Trainer's scheduler stays behind."""
    trainer = stock(callbacks=callbacks)
    skipped = iter([False, True, True, False, False, False])
    monkeypatch.setattr(
        type(trainer.accelerator), "optimizer_step_was_skipped", property(lambda _: next(skipped)), raising=True
    )
    trainer.train()
    assert same(recorded_lrs(out, 6), trainer.recorder.groups)
    assert (trainer.recorder.used[-1] == pytest.approx(1e-3 * get_factors(6)[5])) == bool(callbacks)


def test_another_scheduler(make_trainer, out):
    trainer = make_trainer(cls=Trainer, callbacks=[RunRecorder()], logging_steps=1, eval_strategy="epoch")
    trainer.train()
    run = read_run(out)
    assert run.lrs(range(6)) is None and run.schedule is None
    assert run.recorded_lrs() == (list(range(1, 7)), trainer.recorder.used)


# Rows


def test_rows_are_the_trainers_records(make_trainer, out, data):
    def metrics(predictions):
        return {"accuracy": 0.25, "by_class": {"no": 0.5, "ja ✓": 1}}

    trainer = make_trainer(
        SPEC,
        max_steps=6,
        eval_strategy="steps",
        eval_steps=3,
        logging_steps=2,
        eval_on_start=True,
        dev={"leicht": data(8), "schwer ♜": data(9)},
        compute_metrics=metrics,
    )
    trainer.train()
    history = trainer.state.log_history
    train = [{k: v for k, v in row.items() if k != "start"} for row in rows(out, "train")]
    assert train == [row for row in history if "loss" in row]
    evaluations = rows(out, "evaluations")
    expected = [row for row in history if any(key.endswith("_runtime") for key in row) and "train_loss" not in row]
    assert len(evaluations) == len(expected) == 6
    for row, record in zip(evaluations, expected, strict=True):
        without = {key: value for key, value in record.items() if key != "eval_learning_rate"}
        lr = {"learning_rate": record["eval_learning_rate"]} if record.get("eval_learning_rate") is not None else {}
        assert row == {"start": 0, **without, **lr}
    assert [row.get("learning_rate") for row in evaluations] == [None] * 2 + [trainer.recorder.used[2]] * 2 + [
        trainer.recorder.used[5]
    ] * 2
    (at_3,) = [row for row in read_run(out).evaluations if row["step"] == 3]
    assert {"eval_leicht_loss", "eval_schwer ♜_accuracy", "eval_schwer ♜_by_class"} <= set(at_3)


def test_the_row_of_a_start(two_groups, out):
    two_groups(names=("кодер", "head"), max_grad_norm=float("inf"), weight_decay=0.1).train()
    (row,) = rows(out, "run")
    assert row["schedule"] == SPEC and row["clock"] == "updates"
    assert (row["num_updates"], row["updates_per_epoch"]) == (6, 6)
    assert row["groups"] == ["кодер", "head"] and row["peaks"] == [1e-3, 3e-3] and row["num_parameters"] == [40, 18]
    assert row["settings"]["per_device_train_batch_size"] == 4 and row["settings"]["max_grad_norm"] is None
    assert row["settings"]["optim"].startswith("adamw")  # as on a command line


def test_nan_and_infinity(make_trainer, out):
    found = iter([float("nan"), float("inf"), 0.5])
    trainer = make_trainer(
        SPEC, eval_strategy="steps", eval_steps=2, max_steps=6, compute_metrics=lambda _: {"score": next(found)}
    )
    trainer.train()
    assert [row["eval_score"] for row in rows(out, "evaluations")] == [None, None, 0.5]
    assert read_run(out).series("eval_score") == ([6], [0.5])


def test_a_name_that_is_not_valid_unicode(make_trainer, out):
    trainer = make_trainer(SPEC, run_name="caf\udce9")  # a file's name in another encoding
    trainer.train()
    assert rows(out, "run")[0]["settings"]["run_name"] == "caf?"


def test_pandas_and_datasets_open_every_file(two_groups, resumed, out):
    import datasets
    import pandas

    schedule = "hold() * plateau(factor=0.5, patience=0)"
    settings = {"max_steps": 12, "eval_strategy": "steps", "eval_steps": 3, "logging_steps": 1}
    two_groups(schedule, **settings, save_strategy="steps", save_steps=6, callbacks=[Losses([1, 2, 3, 4])]).train()
    again = two_groups("linear()", **settings, callbacks=[])
    again._on_resume = "rewarm(3)"
    again.train(resume_from_checkpoint=str(out / "checkpoint-6"))
    datasets.disable_progress_bars()
    counts = {"run": 2, "train": 18, "evaluations": 6, "events": 5}  # one of them the monitor's
    for name, count in counts.items():
        file = out / "record" / f"{name}.jsonl"
        frame = pandas.read_json(file, lines=True)
        table = datasets.load_dataset("json", data_files=str(file), cache_dir=str(out / "cache"))["train"]
        assert len(frame) == len(table) == count
        assert set(frame.columns) == set(table.column_names)
        numbers = ["epoch", "learning_rate", "loss", "grad_norm", "eval_loss", "lr/head", "lr_before", "lr_after"]
        for column in set(frame.columns) & set(numbers):
            assert frame[column].dtype.kind in "fi" and table.features[column].dtype == "float64", column
        assert frame["step"].dtype == np.int64 and table.features["step"].dtype == "int64"
    frame = pandas.DataFrame(read_run(out).lrs(range(12)))
    assert list(frame.columns) == ["encoder", "head"] and len(frame) == 12


def test_no_record_of_a_search(make_trainer, out):
    pytest.importorskip("optuna")
    trainer = make_trainer(SPEC, model_init=lambda: _net(), eval_strategy="epoch")
    trainer.hyperparameter_search(
        lambda trial: {"learning_rate": trial.suggest_float("learning_rate", 1e-4, 1e-3)}, n_trials=2, backend="optuna"
    )
    assert not list(out.rglob("*.jsonl"))


def _net():
    from tests.tiny_trainer import Net

    return Net()


def test_the_trainers_own_state_does_not_grow(two_groups, tmp_path):
    sizes = {}
    for name in ("with", "without"):
        trainer = two_groups(
            output_dir=str(tmp_path / name), logging_steps=1, eval_strategy="steps", eval_steps=2, save_strategy="epoch"
        )
        if name == "without":
            trainer.remove_callback(RunRecorder)
        trainer.train()
        folder = tmp_path / name / "checkpoint-6"
        state = json.loads((folder / "trainer_state.json").read_text(encoding="utf-8"))
        state["log_history"] = [
            {key: value for key, value in row.items() if not key.endswith(("_runtime", "_per_second"))}
            for row in state["log_history"]
        ]
        sizes[name] = state, sorted(path.name for path in folder.iterdir()), (folder / "scheduler.pt").stat().st_size
    assert sizes["with"] == sizes["without"]
    assert (tmp_path / "with/record").exists() and not (tmp_path / "without/record").exists()


# A disk that is full


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full")  # noqa: PTH110
def test_a_full_disk_warns_once_and_the_training_ends(make_trainer, out, caplog):
    (out / "record").mkdir(parents=True)
    trainer = make_trainer(SPEC, logging_steps=1)
    _point_at_dev_full(trainer, out)
    with caplog.at_level(logging.WARNING):
        trainer.train()
    assert trainer.state.global_step == 6
    assert len([record for record in caplog.records if "the record cannot be written" in record.getMessage()]) == 1
    assert "No space left" in caplog.text
    assert same(recorded_lrs(out, 6), trainer.recorder.groups)  # its other files are on another disk


def _point_at_dev_full(trainer, out):
    """The second record's file of training records is on a full disk."""

    class Linked(TrainerCallback):
        def on_train_begin(self, args, state, control, **kwargs):
            (out / "record-2").mkdir(exist_ok=True)
            (out / "record-2/train.jsonl").symlink_to("/dev/full")

    recorder = next(each for each in trainer.callback_handler.callbacks if isinstance(each, RunRecorder))
    begin = recorder.on_train_begin

    def begins(args, state, control, **kwargs):
        begin(args, state, control, **kwargs)
        Linked().on_train_begin(args, state, control)

    recorder.on_train_begin = begins


def test_a_folder_that_cannot_be_made(make_trainer, out, caplog):
    trainer = make_trainer(SPEC, logging_steps=1)
    out.rmdir()
    out.write_text("a file where the folder should be")
    trainer.train()
    assert trainer.state.global_step == 6
    assert caplog.text.count("the record cannot be written") == 2  # once for each of the files that have rows


#: In the order of the run: hooks, or files whose row is cut off from that update on, but in the first start.


class BatchMetrics:
    """A `compute_metrics` for `batch_eval_metrics=True`: it returns `None`, or part of the metrics, until the last batch."""

    def __init__(self, between):
        self.between = between
        self.counts = [0, 0]

    def __call__(self, prediction, compute_result):
        right = prediction.predictions.argmax(-1) == prediction.label_ids
        self.counts = [self.counts[0] + int(right.sum()), self.counts[1] + len(right)]
        if not compute_result:
            return self.between
        right, total = self.counts
        self.counts = [0, 0]
        return {"accuracy": right / total, "by_class": [right / total, 0.5]}


@pytest.mark.parametrize("between", [None, {}])
def test_metrics_of_batches_and_metrics_that_are_lists(make_trainer, tmp_path, between):
    trainer = make_trainer(
        "(warmup(2) >> linear()) * plateau(metric=eval_loss, patience=0, threshold=1, factor=0.5)",
        compute_metrics=BatchMetrics(between),
        batch_eval_metrics=True,
        per_device_eval_batch_size=3,
        eval_strategy="steps",
        eval_steps=2,
        max_steps=6,
    )
    trainer.train()
    trainer.create_model_card(model_name="tiny")
    assert "| Accuracy" in (tmp_path / "out/README.md").read_text(encoding="utf-8")
    assert [event["kind"] for event in trainer.lr_scheduler.events] == ["plateau"] * 2
    evaluations = read_run(tmp_path / "out").evaluations
    assert [row["step"] for row in evaluations] == [2, 4, 6]
    assert all(row["eval_by_class"] == [row["eval_accuracy"], 0.5] for row in evaluations)
    assert trainer.monitor.findings == []  # three evaluations are too few to judge
