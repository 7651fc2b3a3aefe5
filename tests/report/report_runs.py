"""Runs to report: tiny trainings whose metrics a test chooses, and records written by hand."""

import json
from pathlib import Path

import torch
from torch import nn
from transformers import EarlyStoppingCallback, PretrainedConfig, Trainer, TrainerCallback, TrainingArguments

from hf_lrsched import Horizon, LossMonitor, ScheduledTrainer, StepSizes
from hf_lrsched.runs.record import EVALUATIONS, EVENTS, FOLDER, RUN, STEPS, TRAIN, VERSION, Segment
from hf_lrsched.trajectory.settings import RunSettings
from hf_lrsched.trajectory.trajectory import Trajectory

PEAK = 1e-3

#: What the evaluations of the run with a plateau give: the third and the fourth, and the last two, are no better.
ACCURACIES = (0.5, 0.625, 0.625, 0.5, 0.75, 0.875, 0.75, 0.75)
PLATEAU = "(warmup(4) >> linear()) * plateau(metric=accuracy, factor=0.5, patience=1)"
COOLDOWN = "warmup(2) >> hold() >> cooldown(6, shape=linear)"

UGLY = "<img src=x onerror=alert(1)>"
UGLIER = "</script><script>alert(2)</script>"
LINK = '<a href="javascript:alert(3)">eval</a>'
MATHS = "$x$ & 'quotes' \"double\" `${3}` %{y}"


class Net(nn.Module):
    """Four numbers in, two classes out."""

    def __init__(self):
        super().__init__()
        self.config = PretrainedConfig()  # which model cards ask for
        self.encoder = nn.Linear(4, 8)
        self.head = nn.Linear(8, 2)

    def forward(self, x, labels=None):
        logits = self.head(torch.tanh(self.encoder(x)))
        return {"loss": nn.functional.cross_entropy(logits, labels), "logits": logits}


class Used(TrainerCallback):
    """The LRs that the optimizer holds when it is about to step."""

    def __init__(self):
        self.lrs = []

    def on_pre_optimizer_step(self, args, state, control, optimizer=None, **kwargs):
        self.lrs.append([float(group["lr"]) for group in optimizer.param_groups])


def samples(count):
    generator = torch.Generator().manual_seed(count)
    features = torch.randn(count, 4, generator=generator)
    return [{"x": row, "labels": int(row.sum() > 0)} for row in features]


def train(
    folder, schedule=None, *, accuracies=ACCURACIES, resume=None, stop_at=None, callbacks=(), two=False, **kwargs
):
    """24 updates, 6 in an epoch, evaluated after every third; returns the LRs that the optimizer held, by update."""
    torch.manual_seed(0)
    given = iter(accuracies)
    used, model = Used(), Net()
    arguments = {
        "output_dir": str(folder),
        "per_device_train_batch_size": 4,
        "num_train_epochs": 4,
        "learning_rate": PEAK,
        "weight_decay": 0.01,
        "eval_strategy": "steps",
        "eval_steps": 3,
        "logging_steps": 1,
        "save_strategy": "no",
        "report_to": "none",
        "use_cpu": True,
        "disable_tqdm": True,
        "dataloader_pin_memory": False,
    }
    optimizer = None
    if two:
        parts = {"body": model.encoder, "head": model.head}
        groups = [{"params": list(part.parameters()), "name": name} for name, part in parts.items()]
        groups[1]["lr"] = 4 * PEAK
        optimizer = torch.optim.AdamW(groups, lr=PEAK)
    fields = {} if schedule is None else {"schedule": schedule, "on_resume": kwargs.pop("on_resume", "strict")}
    trainer = (Trainer if schedule is None else ScheduledTrainer)(
        model=model,
        args=TrainingArguments(**arguments | kwargs),
        train_dataset=samples(24),
        eval_dataset=samples(8),
        compute_metrics=lambda _: {"accuracy": next(given)},
        callbacks=[used, *callbacks],
        optimizers=(optimizer, None),
        **fields,
    )
    trainer.remove_callback(LossMonitor)  # which finds 8 samples too few
    trainer.train(resume_from_checkpoint=resume)
    trainer.save_state()
    return used.lrs


def plateau_run(folder):
    return train(folder, PLATEAU, two=True)


def cooldown_run(folder):
    """Early stopping at update 9 begins the cooldown."""
    stop = EarlyStoppingCallback(early_stopping_patience=1)
    best = {"metric_for_best_model": "accuracy", "greater_is_better": True, "load_best_model_at_end": True}
    saved = {"save_strategy": "steps", "save_steps": 3, "save_total_limit": 1}
    return train(folder, COOLDOWN, callbacks=[stop], accuracies=(0.5, 0.75, 0.625, *[0.625] * 9), **best, **saved)


def resumed_run(folder):
    """12 of 24 updates, then resumed for 36 in all."""
    first = {"save_strategy": "steps", "save_steps": 12, "max_steps": 24}
    lrs = train(folder, "warmup(4) >> linear()", **first)[:12]
    again = {"save_strategy": "no", "max_steps": 36, "on_resume": "stretch"}
    checkpoint = str(Path(folder) / "checkpoint-12")
    return lrs + train(folder, "warmup(4) >> linear()", resume=checkpoint, accuracies=[0.75] * 9, **again)


def stock_run(folder):
    """A run of the stock Trainer: a trainer_state.json and no record."""
    return train(folder)


def write_record(
    folder, schedule, groups, *, updates=100, per_epoch=25, evaluations=(), train=(), events=(), steps=(), **start
):
    """A record by hand: `groups` are names with their peaks, the others rows."""
    trajectory = Trajectory(RunSettings(schedule, Horizon(updates, per_epoch), tuple(groups.values())))
    segment = Segment(0, trajectory, 0.0, (1.0,) * len(groups))
    first = {
        "version": VERSION,
        "num_updates": updates,
        "updates_per_epoch": per_epoch,
        "groups": [*groups],
        "num_parameters": [1000 + index for index in range(len(groups))],
        "peaks": [*groups.values()],
        "weight_decays": [0.01] * len(groups),
        "schedule": schedule,
        "settings": {},
        **segment.to_row(),
        **start,
    }
    record = Path(folder) / FOLDER
    record.mkdir(parents=True)
    for name, rows in ((RUN, [first]), (TRAIN, train), (EVALUATIONS, evaluations), (EVENTS, events), (STEPS, steps)):
        if name == STEPS and not rows:
            continue  # as in runs that measured none
        lines = [json.dumps({"start": 0, "step": 0, **row}) + "\n" for row in rows]
        (record / name).write_text("".join(lines), encoding="utf-8")
    return Path(folder)


def ugly_run(parent):
    """Every text of the run is markup."""
    return write_record(
        Path(parent) / UGLY,
        "warmup(10) >> cosine()",
        {UGLIER: 1e-3, LINK: 2e-3, MATHS: 3e-3, UGLY: 4e-3},
        optimizer=UGLIER,
        model=LINK,
        settings={UGLY: UGLIER, "metric_for_best_model": UGLIER, "greater_is_better": True},
        evaluations=[
            {
                "step": step,
                "eval_loss": 1 / step,
                f"eval_{UGLIER}": step / 100,
                f"eval_{UGLY}": 1.0,
                f"eval_{LINK}": step,
            }
            | {f"eval_{MATHS}": -step}
            for step in range(10, 101, 10)
        ],
        train=[{"step": step, "loss": 2 / step, "learning_rate": 1e-3} for step in range(5, 101, 5)],
        events=[{"step": 40, "t": 40, "kind": UGLY, "cause": UGLIER, "lr_before": 1e-3, "lr_after": LINK}],
        steps=[{"step": 50, f"update_ratio/{UGLIER}": 1e-3}, {"step": 100, f"update_ratio/{UGLIER}": 2e-3}],
    )


def measured_run(folder):
    """24 updates of two groups, of which every fourth was measured."""
    return train(folder, "warmup(4) >> linear()", two=True, callbacks=[StepSizes(every=4)])


def huge_run(folder, updates=1_000_000, groups=28):
    """A million updates, 28 groups, a thousand evaluations of eight metrics, 20,000 training records."""
    names = {
        f"encoder.layer.{index // 2}/{'no_decay' if index % 2 else 'decay'}": 0.95 ** (index // 2) * 1e-4
        for index in range(groups)
    }
    every = updates // 1000
    evaluations = [
        {"step": step, "epoch": step / 10_000, "eval_loss": 1 + 1000 / step, "learning_rate": 1e-5}
        | {f"eval_metric_{number}": 1 - 1 / (number + step / every) for number in range(8)}
        for step in range(every, updates + 1, every)
    ]
    train = [
        {"step": step, "epoch": step / 10_000, "loss": 1 + (step * 7919 % 1000) / 1000, "learning_rate": 1e-5}
        for step in range(every // 20, updates + 1, every // 20)
    ]
    return write_record(
        folder,
        "warmup(1%) >> step(every=10%, factor=0.7)",
        names,
        updates=updates,
        per_epoch=updates // 100,
        evaluations=evaluations,
        train=train,
    )
