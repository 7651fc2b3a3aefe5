"""find_lr: what it finds, and that the Trainer and the run after it are as if it had not been."""

import math

import numpy as np
import pytest
import torch
from torch.utils.data import IterableDataset
from transformers import PretrainedConfig, Trainer

from hf_lrsched import LRSearch, ScheduleError, find_lr, get_scheduler
from tests.searching import Grouped, digest, next_draws
from tests.tiny_trainer import Net

KINDS = {
    "scheduled": {},
    "stock": {"schedule": None, "cls": Trainer, "lr_scheduler_type": "cosine", "warmup_steps": 5},
    "accumulated": {"gradient_accumulation_steps": 2, "num_train_epochs": 6},
    "epochs": {"schedule": "warmup(1ep) >> linear()"},
    "evaluated": {
        "eval_strategy": "steps",
        "eval_steps": 7,
        "load_best_model_at_end": True,
        "save_strategy": "steps",
        "save_steps": 7,
    },
}


@pytest.mark.parametrize("kind", KINDS)
def test_run_after_a_search_is_that_of_a_run_with_the_lr_given(searchable, kind, tmp_path):
    trainer = searchable(**KINDS[kind])
    before, numbers = digest(trainer.model), next_draws()
    attributes, arguments = dict(vars(trainer)), dict(vars(trainer.args))
    search = find_lr(trainer)
    assert digest(trainer.model) == before
    assert next_draws() == numbers
    assert vars(trainer) == attributes and vars(trainer.args) == arguments
    assert not trainer.recorder.groups and not trainer.state.log_history
    assert not [*(tmp_path / "out").iterdir()]
    trainer.args.learning_rate = search.suggestion
    trainer.train()

    given = searchable(**KINDS[kind], learning_rate=search.suggestion)
    given.train()
    assert digest(trainer.model) == digest(given.model)
    assert trainer.state.log_history[-1]["train_loss"] == given.state.log_history[-1]["train_loss"]


def test_search(searchable):
    seen = []
    search = find_lr(searchable(), on_probe=seen.append)
    assert tuple(seen) == search.probes
    assert search.total == 48 and search.reference == 1e-3
    assert {probe.updates for probe in search.probes} == {6, 12}
    assert search.updates <= 48
    assert search.low < search.suggestion < search.high
    assert search.suggestion > 2e-3  # a tiny model without pretraining
    assert search.held_out == "all 32 samples of the evaluation set"
    assert 0.5 < search.start_loss < 1.2
    assert min(probe.loss for probe in search.probes) < search.start_loss
    assert search.is_complete


def test_search_twice_is_the_same(searchable):
    trainer = searchable()
    first, second = (find_lr(trainer) for _ in range(2))
    assert [probe.loss for probe in first.probes] == [probe.loss for probe in second.probes]


def test_search_does_not_depend_on_the_lr_that_the_trainer_had(searchable):
    low, high = (find_lr(searchable(learning_rate=lr)) for lr in (1e-7, 1e-2))
    assert [probe.loss for probe in low.probes] == [probe.loss for probe in high.probes]


def test_probe_runs_the_whole_schedule(searchable, monkeypatch):
    used = []
    step = torch.optim.AdamW.step

    def spy(self, *args, **kwargs):
        used.append(self.param_groups[0]["lr"])
        return step(self, *args, **kwargs)

    monkeypatch.setattr(torch.optim.AdamW, "step", spy)
    search = find_lr(searchable("warmup(16) >> hold(1ep) >> linear()"))
    probe, lrs = search.probes[0], np.array(used[:6])
    # 48 updates in 6: every eighth LR of the run.
    assert (lrs / probe.lr).tolist() == pytest.approx([0, 0.5, 1, 1, 1, 0.5])


def test_probe_of_a_stock_scheduler_runs_all_of_it(searchable, monkeypatch):
    used = []
    step = torch.optim.AdamW.step

    def spy(self, *args, **kwargs):
        used.append(self.param_groups[0]["lr"])
        return step(self, *args, **kwargs)

    monkeypatch.setattr(torch.optim.AdamW, "step", spy)
    search = find_lr(searchable(None, cls=Trainer, lr_scheduler_type="linear", warmup_steps=16))
    assert (np.array(used[:6]) / search.probes[0].lr).tolist() == pytest.approx([0, 0.5, 1, 0.75, 0.5, 0.25])


def test_groups_keep_their_ratios(searchable, monkeypatch):
    used = []
    step = torch.optim.AdamW.step

    def spy(self, *args, **kwargs):
        used.append({group["lr"] for group in self.param_groups})
        return step(self, *args, **kwargs)

    monkeypatch.setattr(torch.optim.AdamW, "step", spy)
    find_lr(searchable(cls=Grouped))
    ratios = [max(lrs) / min(lrs) for lrs in used if min(lrs) > 0]
    assert ratios == pytest.approx([5.0] * len(ratios))


def test_optimizer_of_the_user_is_scaled_and_left_alone(searchable, grouped):
    model, optimizer = grouped(1e-3, 1e-2)
    groups = [dict(group) for group in optimizer.param_groups]
    trainer = searchable(model=model, optimizers=(optimizer, None))
    search = find_lr(trainer)
    assert search.reference == 1e-3  # that of the group with the most parameters
    assert trainer.optimizer is optimizer
    assert [{key: value for key, value in group.items() if key != "params"} for group in optimizer.param_groups] == [
        {key: value for key, value in group.items() if key != "params"} for group in groups
    ]
    assert not optimizer.state


def test_trainer_that_has_trained(searchable):
    trainer = searchable()
    trainer.train()
    before, moments = digest(trainer.model), [each["exp_avg"].clone() for each in trainer.optimizer.state.values()]
    find_lr(trainer)
    assert digest(trainer.model) == before
    after = [each["exp_avg"] for each in trainer.optimizer.state.values()]
    assert all(map(torch.equal, moments, after))


def test_model_init(searchable, net):
    trainer = searchable(model_init=net)
    search = find_lr(trainer)
    trainer.args.learning_rate = search.suggestion
    trainer.train()
    given = searchable(model_init=net, learning_rate=search.suggestion)
    given.train()
    assert digest(trainer.model) == digest(given.model)


def test_seeds(searchable):
    search = find_lr(searchable(), seeds=2, budget=0.8)
    by_lr = {}
    for probe in search.probes:
        by_lr.setdefault((probe.lr, probe.updates), []).append(probe)
    assert all([probe.seed for probe in probes] == [0, 1] for probes in by_lr.values())
    assert all(probes[0].loss != probes[1].loss for probes in by_lr.values())


def test_metric(searchable):
    def compute_metrics(prediction):
        return {"accuracy": float((prediction.predictions.argmax(-1) == prediction.label_ids).mean())}

    trainer = searchable(compute_metrics=compute_metrics)
    search = find_lr(trainer, metric="accuracy")
    assert all(0 <= probe.metric <= 1 for probe in search.probes)
    with pytest.raises(ScheduleError, match=r"no metric 'f1' in an evaluation; there are .*accuracy"):
        find_lr(trainer, metric="f1")


def test_evaluation_set_by_name_and_size(searchable, data):
    search = find_lr(searchable(dev={"first": data(40), "second": data(16)}), eval_samples=24)
    assert search.held_out == "24 samples of the evaluation set 'first'"


class Stream(IterableDataset):
    """Samples without a length."""

    def __init__(self, rows):
        self.rows = rows

    def __iter__(self):
        return iter(self.rows)


def test_streams(searchable, data):
    trainer = searchable(train=Stream(data(256)), dev=Stream(data(40)), max_steps=48)
    search = find_lr(trainer, eval_samples=24)
    assert search.total == 48
    assert search.held_out == "the first 24 samples of the evaluation set"


def test_part_of_the_training_set_is_held_out(searchable, data):
    trainer = searchable(train=320, num_train_epochs=1)
    trainer.eval_dataset = None
    search = find_lr(trainer)
    assert search.total == 80
    assert search.held_out == "32 samples of the training set, on which the probes did not train"
    assert len(trainer.train_dataset) == 320


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"num_train_epochs": 1}, "the run has 16 updates.*It takes 24 updates or more. Give a learning rate"),
        ({"dev": []}, "the evaluation set is empty"),
        ({"clock": "tokens(1000)"}, r"with clock='tokens\(1000\)': the number of updates is not known before the run"),
        ({"optim": "galore_adamw_layerwise"}, "cannot make a new optimizer for each run"),
    ],
)
def test_impossible_searches(searchable, change, message, monkeypatch):
    clock, optim = change.pop("clock", None), change.pop("optim", None)
    trainer = searchable(**change)
    if clock is not None:
        from hf_lrsched.trajectory.clocks import as_clock

        trainer.clock = as_clock(clock)
    if optim is not None:
        trainer.args.optim = optim
    monkeypatch.setattr(Trainer, "train", None)  # no update is made
    with pytest.raises(ScheduleError, match=message):
        find_lr(trainer)


def test_too_little_data(searchable):
    trainer = searchable()
    trainer.eval_dataset = None
    with pytest.raises(ScheduleError, match="a tenth of the 64 training samples is too little"):
        find_lr(trainer)


def test_stream_without_an_evaluation_set(searchable, data):
    trainer = searchable(train=Stream(data(64)), max_steps=48)
    trainer.eval_dataset = None
    with pytest.raises(ScheduleError, match="no sample can be held out of a train_dataset without a length"):
        find_lr(trainer)


def test_evaluation_without_labels(searchable, data):
    trainer = searchable(dev=[{"x": row["x"]} for row in data(16)], model=Unlabelled())
    with pytest.raises(ScheduleError, match="compares eval_loss, but the evaluation returned none"):
        find_lr(trainer)


class Unlabelled(torch.nn.Module):
    """A model that also works without labels."""

    def __init__(self):
        super().__init__()
        self.config = PretrainedConfig()
        self.head = torch.nn.Linear(4, 2)

    def forward(self, x, labels=None):
        logits = self.head(x)
        return (
            {"logits": logits}
            if labels is None
            else {"loss": torch.nn.functional.cross_entropy(logits, labels), "logits": logits}
        )


def test_scheduler_in_optimizers(searchable, grouped):
    model, optimizer = grouped(1e-3)
    scheduler = get_scheduler("linear()", optimizer, num_training_steps=48)
    trainer = searchable(None, cls=Trainer, model=model, optimizers=(optimizer, scheduler))
    with pytest.raises(ScheduleError, match="cannot shorten the ScheduleLR in optimizers="):
        find_lr(trainer)


def test_scheduler_that_reacts(searchable):
    trainer = searchable(None, cls=Trainer, lr_scheduler_type="reduce_lr_on_plateau", eval_strategy="epoch")
    with pytest.raises(ScheduleError, match="a ReduceLROnPlateau cannot be shortened for probes"):
        find_lr(trainer)


def test_reactive_schedule_runs_as_planned(searchable, caplog):
    trainer = searchable("(warmup(10%) >> linear()) * plateau()", eval_strategy="epoch")
    assert find_lr(trainer).is_complete
    assert "plateau() needs" not in caplog.text


@pytest.mark.parametrize("name", ["is_deepspeed_enabled", "is_fsdp_enabled"])
def test_split_weights_are_refused(searchable, name):
    trainer = searchable()
    setattr(trainer, name, True)
    with pytest.raises(
        ScheduleError, match=r"where each process has a part of them. Search on one process or with DDP"
    ):
        find_lr(trainer)


@pytest.mark.parametrize(
    "wrong",
    [
        {"seeds": 0},
        {"seeds": True},
        {"eval_samples": 1.5},
        {"budget": 0},
        {"budget": math.nan},
        {"low": -1},
        {"start": "one"},
    ],
)
def test_invalid_arguments(searchable, wrong):
    with pytest.raises(ScheduleError, match=f"{next(iter(wrong))} must be a"):
        find_lr(searchable(), **wrong)


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_search_that_is_cut_short(searchable, error):
    trainer = searchable()
    before, numbers, attributes = digest(trainer.model), next_draws(), dict(vars(trainer))
    seen = []

    def on_probe(probe):
        seen.append(probe)
        if len(seen) == 3:
            raise error

    if error is KeyboardInterrupt:
        search = find_lr(trainer, on_probe=on_probe)
        assert search.probes == tuple(seen)
        assert not search.is_complete and search.suggestion > 0
        assert "The search was interrupted after 3 probes." in search.notes
    else:
        with pytest.raises(RuntimeError):
            find_lr(trainer, on_probe=on_probe)
    assert digest(trainer.model) == before
    assert next_draws() == numbers
    assert vars(trainer) == attributes


def test_search_that_is_cut_short_before_its_first_probe(searchable, monkeypatch):
    trainer = searchable()

    def train(self):
        raise KeyboardInterrupt

    monkeypatch.setattr(type(trainer), "train", train)
    search = find_lr(trainer)
    assert search.suggestion is None and search.probes == ()
    assert isinstance(search, LRSearch) and "no peak LR found" in str(search)


class NeverFinite(Net):
    """A model whose loss is NaN."""

    def forward(self, x, labels=None):
        outputs = super().forward(x, labels)
        return {**outputs, "loss": outputs["loss"] * math.nan}


def test_model_that_is_never_finite(searchable):
    with pytest.raises(ScheduleError, match=r"all \d+ probes ended with a loss that is not finite"):
        find_lr(searchable(model=NeverFinite()))
