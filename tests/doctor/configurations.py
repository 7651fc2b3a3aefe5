"""Small configurations for the tests of the doctor, and how they are written."""

import json
import math

import torch
import transformers
import yaml
from transformers import TrainingArguments


class Config:
    """Settings in a YAML file."""

    def __init__(self, updates=None, **settings):
        self.settings, self.updates = settings, updates

    def write(self, folder):
        return write_yaml(folder / "config.yaml", self.settings)


class Launch(Config):
    """accelerate's YAML."""

    def __init__(self, **settings):
        super().__init__(compute_environment="LOCAL_MACHINE", **settings)


class DeepSpeed(Config):
    """A DeepSpeed configuration, and settings of a training that name it."""

    def __init__(self, config, **settings):
        super().__init__(100, deepspeed="ds.json", warmup_steps=10, **settings)
        self.config = config

    def write(self, folder):
        write_json(folder / "ds.json", {"zero_optimization": {"stage": 2}, **self.config})
        return super().write(folder)


class Run:
    """A run's folder, as the stock Trainer leaves it; each checkpoint may have settings of its own."""

    updates = None

    def __init__(self, *stages):
        self.stages = stages

    def write(self, folder):
        run = folder / "run"
        run.mkdir()
        for stage in self.stages:
            stage.write(run)
        return run


class Stage:
    """A checkpoint, or the end of a run where `name` is "".

    Args:
        step: Updates done.
        total: Updates that the run was to have.
        history: Trainer's log; `None` for one that is right for the settings.
        settings: Of the training.
        scheduler: What the scheduler's state holds besides the LRs; None for none.
    """

    def __init__(
        self, step, total, *, history=None, name=None, scheduler=None, optimizer_lrs=None, ended=None, **settings
    ):
        self.step, self.total, self.settings = step, total, settings
        self.name = f"checkpoint-{step}" if name is None else name
        self.history = linear_log(step, total, **settings) if history is None else history
        self.scheduler, self.optimizer_lrs = scheduler, optimizer_lrs
        self.ended = ended

    def write(self, run):
        folder = run / self.name
        folder.mkdir(exist_ok=True)
        history = list(self.history)
        if self.ended:
            history.append({"step": self.step, "train_runtime": 1.0, "total_flos": 1.0})
        state = {
            "global_step": self.step,
            "max_steps": self.total,
            "epoch": 3 * self.step / self.total,
            "num_train_epochs": 3,
            "log_history": history,
        }
        write_json(folder / "trainer_state.json", state)
        args = TrainingArguments(str(run), use_cpu=True, report_to="none", **self.settings)
        torch.save(args, folder / "training_args.bin")
        if self.scheduler is not None:
            torch.save(self.scheduler, folder / "scheduler.pt")
        if self.optimizer_lrs is not None:
            groups = [
                {"lr": lr, "betas": (0.9, 0.999), "params": [index]} for index, lr in enumerate(self.optimizer_lrs)
            ]
            moments = {index: {"exp_avg": torch.ones(1000)} for index in range(len(groups))}
            torch.save({"state": moments, "param_groups": groups}, folder / "optimizer.pt")


def write_yaml(path, content):
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return path


def write_json(path, content):
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def linear_log(step, total, every=10, offset=0, learning_rate=5e-5, warmup_steps=0, **settings):
    """What the stock Trainer logs with a linear schedule: the LR of the update that is over."""
    records = []
    for done in range(every, step + 1, every):
        t = done - 1 + offset
        factor = t / warmup_steps if t < warmup_steps else (total - t) / (total - warmup_steps)
        records.append({"step": done, "loss": 0.5, "grad_norm": 1.0, "learning_rate": learning_rate * factor})
    return records


def cosine_log(step, total, learning_rate=5e-5):
    """The same with a cosine, without warmup."""
    lrs = [learning_rate * (1 + math.cos(math.pi * (done - 1) / total)) / 2 for done in range(10, step + 1, 10)]
    return log(*({"loss": 0.5, "learning_rate": lr} for lr in lrs))


def log(*records):
    """Records of the training, ten updates apart."""
    return [{"step": 10 * index, **record} for index, record in enumerate(records, 1)]


def early_stop_at(step, total, **settings):
    return Run(Stage(step, total, name="", ended=True, logging_steps=10, **settings))


GLUE = {"learning_rate": 2e-5, "num_train_epochs": 3, "per_device_train_batch_size": 32, "logging_steps": 50}
BERT = {"model_name_or_path": "google-bert/bert-base-uncased", **GLUE}
SGD = {"optim": "sgd", "lr_scheduler_type": "constant"}
NAN = math.nan


#: The scheduler's state of a stock run, after some updates.
def lambda_state(updates, lr, base=5e-5, groups=1):
    return {"base_lrs": [base] * groups, "last_epoch": updates, "_step_count": updates + 1, "_last_lr": [lr] * groups}


def our_state(events=(), **settings):
    """What this package's scheduler leaves in a checkpoint."""
    return {
        "version": 3,
        "update": 50,
        "settings": {"schedule": "warmup(10%) >> linear()", "num_updates": 100, "peaks": [5e-5], **settings},
        "events": list(events),
    }


def resume_event(how, before, after):
    return {"kind": "resume", "t": 50, "how": how, "lr_before": [before], "lr_after": [after]}


#: transformers 5 multiplies losses, and has `greedy`.
IS_FIVE = int(transformers.__version__.partition(".")[0]) >= 5


def label(case):
    """A case's settings, for the test's name."""
    if isinstance(case, Run):
        return "-".join(f"{stage.name or 'end'}_of_{stage.total}" for stage in case.stages)
    return "-".join(f"{name}={value}" for name, value in case.settings.items() if name not in GLUE)[:60]
