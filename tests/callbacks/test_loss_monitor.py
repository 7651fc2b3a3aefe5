"""LossMonitor in Trainer: what it reads, and where its findings are shown."""

import copy
import io
import json
import math
import random
import threading

import pytest
import torch
from torch import nn
from transformers import PretrainedConfig, Trainer, TrainerCallback

from hf_lrsched import LossGuard, LossMonitor, RunRecorder, ScheduledTrainer, ScheduleError, read_run
from hf_lrsched.runs.timeline import RunView
from tests.tiny_trainer import GivenLosses


class Silent(nn.Module):
    """Returns no loss."""

    def __init__(self):
        super().__init__()
        self.config = PretrainedConfig()
        self.head = nn.Linear(4, 2)

    def forward(self, x):
        return {"logits": self.head(x)}


class Spy(TrainerCallback):
    """Records the losses and LRs that the monitor gives to its Diagnosis."""

    def __init__(self, monitor):
        self.monitor, self.losses, self.lrs = monitor, [], []

    def on_train_begin(self, args, state, control, **kwargs):
        diagnosis = self.monitor._diagnosis
        original = diagnosis.add_loss

        def spy(update, loss, lr=None):
            self.losses.append((update, loss))
            self.lrs.append(diagnosis.lr)
            return original(update, loss, lr)

        diagnosis.add_loss = spy


class RunInfoSpy(TrainerCallback):
    """Records the monitor's RunInfo, and the share of the run that is over after each update."""

    def __init__(self, monitor):
        self.monitor, self.run, self.done = monitor, None, []

    def on_train_begin(self, args, state, control, **kwargs):
        self.run = self.monitor._diagnosis.run

    def on_step_end(self, args, state, control, **kwargs):
        self.done.append(self.monitor._diagnosis.history.share_done)


def add_spy(trainer):
    spy = RunInfoSpy(trainer.monitor)
    trainer.add_callback(spy)
    return spy


def make_run(make_trainer, losses, cls=None, **kwargs):
    monitor = LossMonitor()
    spy = Spy(monitor)
    more = {} if cls is None else {"cls": cls}
    schedule = None if cls is not None else "warmup(25%) >> linear()"
    trainer = make_trainer(schedule, model=GivenLosses(losses), callbacks=[monitor, spy], **more, **kwargs)
    if cls is not None:
        trainer.monitor = monitor
    trainer.spy = spy
    return trainer


LOSSES = [0.7, 0.6, 0.5, 0.4, 0.3, 0.2]


@pytest.mark.parametrize("cls", [None, Trainer])
def test_it_reads_the_loss_of_every_update(make_trainer, cls):
    trainer = make_run(make_trainer, LOSSES, cls)
    trainer.train()
    assert [update for update, _ in trainer.spy.losses] == [1, 2, 3, 4, 5, 6]
    assert [loss for _, loss in trainer.spy.losses] == pytest.approx(LOSSES)


def test_it_reads_the_lr_as_a_share_of_the_peak(make_trainer):
    trainer = make_run(make_trainer, LOSSES)
    trainer.train()
    assert trainer.spy.lrs == pytest.approx([0, 0.5, 1, 0.75, 0.5, 0.25])


def test_the_mean_of_an_updates_micro_batches(make_trainer):
    trainer = make_run(make_trainer, LOSSES, gradient_accumulation_steps=2)
    trainer.train()
    assert trainer.spy.losses == [(1, pytest.approx(0.65)), (2, pytest.approx(0.45)), (3, pytest.approx(0.25))]


@pytest.mark.parametrize("cls", [None, Trainer])
def test_nan_is_reported_at_once_although_the_log_hides_it(make_trainer, cls):
    trainer = make_run(make_trainer, [0.7, 0.6, math.nan, 0.4, 0.3, 0.2], cls, logging_steps=1, max_grad_norm=0)
    trainer.train()
    [finding] = trainer.monitor.findings
    assert (finding.kind, finding.update) == ("not_finite", 3)
    logged = [record["loss"] for record in trainer.state.log_history if "loss" in record]
    assert all(math.isfinite(loss) for loss in logged)  # the trap: the Trainer's own log shows nothing


def test_findings_are_in_the_log_the_record_and_the_report(make_trainer, tmp_path, caplog):
    trainer = make_run(make_trainer, [0.7, math.inf, 0.5, 0.4, 0.3, 0.2])
    trainer.train()
    assert "[hf_lrsched] update 2: not_finite: the training loss is inf. Look at the batch. With" in caplog.text
    [row] = read_run(tmp_path / "out").events
    assert (row["kind"], row["step"], row["since"]) == ("not_finite", 2, 2)
    assert row["cause"] == "the training loss is inf" and row["advice"]
    [event] = RunView(read_run(tmp_path / "out")).events
    assert (event.update, event.kind, event.is_finding) == (2, "not_finite", True)
    assert json.loads((tmp_path / "out" / "record" / "events.jsonl").read_text())["kind"] == "not_finite"
    assert read_run(tmp_path / "out").lrs([0, 1]) is not None  # the LRs still follow from the record
    assert trainer.monitor.summary == "not_finite after update 2"


def test_the_stock_trainer_with_a_recorder(make_trainer, tmp_path):
    trainer = make_trainer(
        cls=Trainer, model=GivenLosses([0.7, math.nan, *LOSSES[:4]]), callbacks=[LossMonitor(), RunRecorder()]
    )
    trainer.train()
    assert [row["kind"] for row in read_run(tmp_path / "out").events] == ["not_finite"]


def test_every_scheduled_trainer_has_one(make_trainer):
    trainer = make_trainer("linear()")
    assert trainer.monitor.findings == [] and trainer.monitor.summary == "no loss was observed"
    trainer.train()
    assert trainer.monitor.findings == []
    assert trainer.monitor.summary == "no finding, but the run is too short for most tests"
    trainer = make_trainer("linear()", num_train_epochs=7, learning_rate=0.03)  # 42 updates
    trainer.train()
    assert trainer.monitor.summary == "no finding"


def test_the_users_own_monitor_takes_its_place(make_trainer):
    monitor = LossMonitor(metric="accuracy")
    trainer = make_trainer("linear()", callbacks=[monitor])
    trainer.train()
    assert trainer.monitor is monitor
    assert sum(isinstance(each, LossMonitor) for each in trainer.callback_handler.callbacks) == 1


def test_it_counts_the_evaluated_samples(make_trainer, data):
    trainer = make_trainer("linear()", dev=data(39), eval_strategy="steps", eval_steps=1)
    trainer.train()
    [finding] = trainer.monitor.findings
    assert finding.kind == "unstable_validation" and "has 39 samples" in finding.evidence
    trainer = make_trainer("linear()", dev=data(40), eval_strategy="steps", eval_steps=1)
    trainer.train()
    assert trainer.monitor.findings == []


def test_it_can_be_left_out(make_trainer):
    trainer = make_trainer("linear()")
    trainer.remove_callback(LossMonitor)
    trainer.train()
    assert trainer.monitor.findings == [] and trainer.monitor.summary == "no loss was observed"


def own_loss(outputs, labels, num_items_in_batch):
    return outputs["logits"].square().mean()


@pytest.mark.parametrize("cls", [ScheduledTrainer, Trainer])
def test_a_loss_that_the_model_does_not_compute(make_trainer, cls):
    """Our Trainer gives the loss of every update; of another one there are the log records."""
    monitor = LossMonitor()
    trainer = make_trainer(
        None if cls is Trainer else "linear()",
        cls=lambda **kwargs: cls(**kwargs, compute_loss_func=own_loss),
        model=Silent(),
        callbacks=[monitor],
        logging_steps=2,
        num_train_epochs=2,
    )
    spy = Spy(monitor)
    trainer.add_callback(spy)
    trainer.train()
    records = [(record["step"], record["loss"]) for record in trainer.state.log_history if "loss" in record]
    if cls is Trainer:
        assert spy.losses == records and len(records) == 6
    else:
        assert [update for update, _ in spy.losses] == [*range(1, 13)]
        means = [(first[1] + second[1]) / 2 for first, second in zip(spy.losses[::2], spy.losses[1::2], strict=True)]
        assert means == pytest.approx([loss for _, loss in records], abs=5.1e-5)  # transformers 4 rounds its records


class Reversed:
    """Trains the other label than the one whose loss the model returns."""

    def compute_loss(self, model, inputs, return_outputs=False, **kwargs):
        outputs = model(**inputs)
        loss = nn.functional.cross_entropy(outputs["logits"], 1 - inputs["labels"])
        return (loss, outputs) if return_outputs else loss


class Jumping:
    """The trained loss is 100 times the model's from update 100 on."""

    def compute_loss(self, model, inputs, return_outputs=False, **kwargs):
        loss = model(**inputs)["loss"] * (100 if self.state.global_step >= 100 else 1)
        return (loss, {}) if return_outputs else loss


class TwoTerms:
    """The trained loss has a second term, which falls."""

    def compute_loss(self, model, inputs, return_outputs=False, **kwargs):
        loss = model(**inputs)["loss"] + 5 * 0.97**self.state.global_step
        return (loss, {}) if return_outputs else loss


def watch(make_trainer, kind, base, **kwargs):
    """200 updates with a monitor and a guard that ends the run when it acts."""
    cls = type(kind.__name__ + base.__name__, (kind, base), {})
    monitor, guard = LossMonitor(), LossGuard("stop")
    settings = {"max_steps": 200, "learning_rate": 0.05, "logging_steps": 5} | kwargs
    trainer = make_trainer(None if base is Trainer else "linear()", cls=cls, callbacks=[monitor, guard], **settings)
    trainer.train()
    return trainer, [finding.kind for finding in monitor.findings], guard


@pytest.mark.parametrize("base", [ScheduledTrainer, Trainer])
@pytest.mark.parametrize("kind", [Reversed, TwoTerms])
@pytest.mark.parametrize("accumulation", [1, 2])
def test_the_loss_that_is_trained_is_judged(make_trainer, base, kind, accumulation):
    """It falls from 0.69 to 0.01, while the loss that the model returns rises, or is another one."""
    trainer, kinds, guard = watch(make_trainer, kind, base, gradient_accumulation_steps=accumulation)
    assert kinds == [] and guard.events == []
    assert trainer.state.global_step == 200


@pytest.mark.parametrize("base", [ScheduledTrainer, Trainer])
def test_a_trained_loss_that_jumps_is_noticed(make_trainer, base):
    trainer, kinds, guard = watch(make_trainer, Jumping, base, learning_rate=0.005)
    assert {"spike", "diverging"} & set(kinds)
    assert 100 < trainer.state.global_step <= 130
    assert "stayed there" in guard.events[0]["cause"]


def test_a_second_train_begins_anew(make_trainer):
    trainer = make_run(make_trainer, [0.7, math.nan, *LOSSES, *LOSSES])
    trainer.train()
    assert len(trainer.monitor.findings) == 1
    trainer.train()
    assert trainer.monitor.findings == []


def test_no_hook_stays_on_the_model(make_trainer):
    trainer = make_trainer("linear()")
    trainer.train()
    assert not trainer.model._forward_hooks


def test_no_hook_stays_after_an_error(make_trainer):
    class Broken(TrainerCallback):
        def on_step_end(self, args, state, control, **kwargs):
            raise KeyboardInterrupt

    trainer = make_trainer("linear()", callbacks=[Broken()])
    with pytest.raises(KeyboardInterrupt):
        trainer.train()
    assert not trainer.model._forward_hooks


def test_the_model_can_be_copied_and_pickled_during_training(make_trainer):
    """As averages of the weights are made; what is on its way from a device can't be copied, and is not."""

    class Copies(TrainerCallback):
        def on_step_end(self, args, state, control, model=None, **kwargs):
            trainer.monitor._losses._queue._waiting.append((0, torch.tensor(0.5), threading.Lock()))
            file = io.BytesIO()
            torch.save(model, file)
            file.seek(0)
            self.models = [copy.deepcopy(model), torch.load(file, weights_only=False)]
            for each in self.models:
                each.train()(torch.zeros(2, 4), labels=torch.tensor([0, 1]))
            trainer.monitor._losses._queue._waiting.pop()

    copies = Copies()
    trainer = make_trainer("linear()", callbacks=[copies])
    spy = Spy(trainer.monitor)
    trainer.add_callback(spy)
    trainer.train()
    assert [update for update, _ in spy.losses] == [1, 2, 3, 4, 5, 6]  # those of the copy are none of the run's
    for model in copies.models:
        assert all(map(torch.equal, model.state_dict().values(), trainer.model.state_dict().values()))


def test_one_monitor_in_several_trainers_writes_into_each_record(make_trainer, tmp_path):
    """As in cross-validation."""
    monitor = LossMonitor()
    for fold in ("a", "b"):
        folder = tmp_path / fold
        model = GivenLosses([0.7, math.nan, *LOSSES[:4]])
        trainer = make_trainer("linear()", model=model, callbacks=[monitor], output_dir=str(folder))
        trainer.train()
        assert [row["kind"] for row in read_run(folder).events] == ["not_finite"]


def test_a_metric_that_the_evaluation_lacks(make_trainer, caplog):
    trainer = make_trainer(
        "linear()", callbacks=[LossMonitor(metric="eval_runtim")], eval_strategy="steps", eval_steps=2
    )
    trainer.train()
    [message] = [record.message for record in caplog.records if "no such metric" in record.message]
    assert message.startswith("LossMonitor(metric='eval_runtim'): the evaluation has no such metric, only eval_loss, ")
    assert "eval_runtime" in message.split("Did you mean")[1]


def test_a_run_without_any_loss(make_trainer, caplog):
    monitor = LossMonitor()
    trainer = make_trainer(
        cls=lambda **kwargs: Trainer(**kwargs, compute_loss_func=own_loss),
        model=Silent(),
        callbacks=[monitor],
        logging_strategy="no",
    )
    trainer.train()
    assert monitor.summary == "no loss was observed"
    assert "LossMonitor observed no training loss" in caplog.text


def test_a_finished_run_misses_no_losses(make_trainer, tmp_path, caplog):
    make_trainer("linear()", save_strategy="steps", save_steps=6).train()
    make_trainer("linear()").train(resume_from_checkpoint=str(tmp_path / "out" / "checkpoint-6"))
    assert "LossMonitor" not in caplog.text


def test_weights_are_the_same_with_and_without_it(make_trainer, net):
    def weights(with_it):
        trainer = make_trainer("linear()", model=net(), num_train_epochs=2)
        if not with_it:
            trainer.remove_callback(LossMonitor)
        trainer.train()
        return [parameter.tolist() for parameter in trainer.model.parameters()]

    assert weights(True) == weights(False)


def test_a_resumed_run_has_updates_done(make_trainer, tmp_path):
    make_trainer("warmup(1) >> linear()", save_strategy="steps", save_steps=4).train()
    trainer = make_trainer("warmup(1) >> linear()")
    spy = add_spy(trainer)
    trainer.train(resume_from_checkpoint=str(tmp_path / "out" / "checkpoint-4"))
    assert spy.run.updates_done == 4 and spy.run.num_updates == 6
    assert trainer.monitor.findings == []


def test_evaluations_after_the_training_are_ignored(make_trainer):
    trainer = make_trainer("linear()", eval_strategy="steps", eval_steps=2)
    trainer.train()
    history = trainer.monitor._diagnosis.history
    assert [each.update for each in history.evaluations] == [2, 4, 6]
    trainer.evaluate()
    assert len(history.evaluations) == 3


def test_the_lr_of_several_groups_is_that_of_the_group_nearest_to_its_peak(make_trainer, grouped):
    """Of a group at LR 0, of one that is frozen after a third of the run, and of their neighbour, which goes on."""
    model, optimizer = grouped(2e-3, 1e-3, optimizer=torch.optim.AdamW)
    optimizer.param_groups[0]["schedule"] = "hold(33%) >> freeze()"
    optimizer.add_param_group({"params": [nn.Parameter(torch.zeros(1))], "lr": 0.0})
    trainer = make_trainer("linear()", model=model, optimizers=(optimizer, None), learning_rate=1e-3)
    lrs, spy = Spy(trainer.monitor), add_spy(trainer)
    trainer.add_callback(lrs)
    trainer.train()
    assert lrs.lrs == pytest.approx([1, 1, 4 / 6, 3 / 6, 2 / 6, 1 / 6])
    assert spy.run.learning_rate == 1e-3  # what is set, and not the highest one
    assert spy.run.curve(0.5) == pytest.approx(0.5) and spy.run.curve(1.0) == 0


def test_a_run_by_tokens_is_over_when_they_are_spent(make_trainer):
    class Counted(nn.Module):
        main_input_name = "x"

        def __init__(self):
            super().__init__()
            self.config = PretrainedConfig()
            self.head = nn.Linear(4, 2)

        def forward(self, x, labels=None):
            logits = self.head(x)
            return {"loss": nn.functional.cross_entropy(logits, labels), "logits": logits}

    trainer = make_trainer(
        "linear()",
        cls=lambda **kwargs: ScheduledTrainer(**kwargs, clock="tokens(64)"),
        model=Counted(),
        num_train_epochs=10,
        include_num_input_tokens_seen="all",
    )
    spy = add_spy(trainer)
    trainer.train()
    assert trainer.state.global_step == 4 and spy.run.num_updates == 60  # 16 numbers an update
    assert spy.done == pytest.approx([1 / 60, 0.25, 0.5, 0.75], abs=0.02)
    assert spy.run.horizon == trainer.lr_scheduler.run_state.horizon and spy.run.horizon.unit == "tokens"


def test_advice_knows_the_updates_per_epoch_of_a_run_with_max_steps(make_trainer):
    trainer = make_trainer("warmup(0.5ep) >> linear()", max_steps=4)
    spy = add_spy(trainer)
    trainer.train()
    assert spy.run.num_epochs is None and spy.run.horizon.updates_per_epoch == 6


@pytest.mark.parametrize("cls", [None, Trainer])
def test_a_run_without_logs_and_evaluations(make_trainer, cls):
    trainer = make_run(make_trainer, [0.7, 0.6, math.nan, 0.4, 0.3, 0.2], cls, logging_strategy="no")
    trainer.train()
    assert [finding.kind for finding in trainer.monitor.findings] == ["not_finite"]


def per_update_losses(kind):
    """200 losses: of a run that does not learn, one that diverges at half of it, one that learns."""
    draw = random.Random(0)
    shapes = {
        "too_slow": lambda update: 0.69,
        "diverging": lambda update: 0.15 + 0.54 * math.exp(-3 * update / 200) if update < 100 else 1.2,
        "healthy": lambda update: 0.15 + 0.54 * math.exp(-5 * update / 200),
    }
    return [shapes[kind](update) + draw.gauss(0, 0.02) for update in range(1, 201)]


@pytest.mark.parametrize("kind", ["too_slow", "diverging", "healthy"])
def test_logging_steps_does_not_change_what_is_found(make_trainer, kind, data):
    """Each loss reaches the monitor by itself, and a block is judged after the evaluation of its last update."""
    found = []
    for logging_steps in (1, 5, 10, 50, 500):
        trainer = make_trainer(
            "warmup(10%) >> linear()",
            model=GivenLosses(per_update_losses(kind)),
            max_steps=200,
            logging_steps=logging_steps,
            eval_strategy="no" if kind == "too_slow" else "steps",  # the model's validation loss is lower
            eval_steps=20,
            dev=data(60),
        )
        trainer.train()
        found.append([(each.kind, each.update, each.since, each.evidence) for each in trainer.monitor.findings])
    assert all(each == found[0] for each in found)
    assert bool(found[0]) == (kind != "healthy")


def test_the_level_chooses_the_kinds(make_trainer):
    with pytest.raises(ScheduleError, match=r"level must be one of default, all, got 'alll'.*all"):
        LossMonitor(level="alll")
    for level, is_reported in (("default", False), ("all", True)):
        trainer = make_trainer("linear()", callbacks=[LossMonitor(level=level)])
        trainer.train()
        assert ("plateau_at_high_lr" in trainer.monitor._diagnosis.kinds) is is_reported


@pytest.mark.parametrize("name", ["get_step_ratio", "has_random_weights", "get_guess_loss", "is_contrastive"])
def test_weights_of_an_unknown_kind_do_not_turn_it_off(make_trainer, monkeypatch, name):
    def fail(*args):
        raise NotImplementedError("no such operation on these weights")

    fail.__name__ = name
    monkeypatch.setattr(f"hf_lrsched.callbacks.loss_monitor.{name}", fail)
    trainer = make_trainer("linear()")
    trainer.train()
    assert trainer.monitor.summary.startswith("no finding")


def test_a_line_at_the_start_says_what_is_judged(make_trainer, capsys):
    make_trainer("linear()", max_steps=50).train()
    [line] = [line for line in capsys.readouterr().out.splitlines() if "loss monitor: reports" in line]
    assert "stuck" in line and "the run has no evaluations, so it does not report validation_rises" in line


def test_a_withdrawn_finding_leaves_the_summary_and_is_in_the_record(make_trainer, tmp_path, caplog):
    draw = random.Random(0)
    late = [0.69 if update < 110 else 0.69 - 0.6 * (update - 110) / 90 for update in range(1, 201)]
    losses = [loss + draw.gauss(0, 0.005) for loss in late]
    trainer = make_trainer("hold()", model=GivenLosses(losses), max_steps=200, output_dir=str(tmp_path))
    trainer.train()
    assert trainer.monitor.findings == [] and trainer.monitor.summary == "no finding"
    assert "too_slow of update" in caplog.text and "is withdrawn" in caplog.text
    events = [event for event in RunView(read_run(tmp_path)).events if event.is_finding]
    assert [event.kind for event in events] == ["too_slow", "withdrawn"]
