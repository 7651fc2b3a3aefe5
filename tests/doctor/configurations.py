"""Small configurations, broken and sound, at least two of each for every check.

A broken one is named after the check that is to find it, and no other may; a sound one after the check that it comes near to.
"""

import json
import math

import torch
import yaml
from transformers import SchedulerType, TrainingArguments


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


BROKEN = {
    "invalid_schedule": [
        Config(345, schedule="linear() >> cosine()"),
        Config(345, schedule="warmup(10%) >> linaer()"),
        Config(345, **GLUE, lr_scheduler_type="cosin"),
        Config(345, **GLUE, lr_scheduler_type="cosine_with_min_lr"),
        Config(345, schedule="warmup(2000tok) >> linear()"),
        Config(468, schedule="warmup(500) >> linear()"),
    ],
    "two_schedules": [
        Config(345, schedule="warmup(10%) >> linear()", lr_scheduler_type="cosine"),
        Config(345, schedule="bert()", warmup_ratio=0.1),
    ],
    "long_warmup": [
        Config(468, **GLUE, warmup_steps=500),  # a public model card's
        Config(468, **GLUE, warmup_steps=468),
        Config(345, **GLUE, warmup_ratio=0.8),
        Config(None, **GLUE, warmup_steps=0.7),
        Config(345, schedule="warmup(60%) >> linear()"),
        Config(None, schedule="warmup(2ep) >> cosine()", num_train_epochs=3),
    ],
    "peak_not_reached": [
        Config(345, schedule="linear() * warmup(50%)"),
        Config(345, schedule="piecewise(points=[[0, 0.2], [100%, 0]])"),
        early_stop_at(40, 200, warmup_steps=50),
        early_stop_at(10, 100, warmup_steps=10),
    ],
    "ends_mid_schedule": [
        early_stop_at(50, 100, warmup_steps=10),
        early_stop_at(70, 100, lr_scheduler_type="cosine", history=cosine_log(70, 100)),
        Config(345, **GLUE, lr_scheduler_type="cosine", lr_scheduler_kwargs={"num_cycles": 1.0}),
        Config(345, **GLUE, lr_scheduler_type="warmup_stable_decay", lr_scheduler_kwargs={"num_decay_steps": 400}),
        Config(
            1000,
            **GLUE,
            lr_scheduler_type="warmup_stable_decay",
            lr_scheduler_kwargs={"num_stable_steps": 100, "num_decay_steps": 100},
        ),
        Run(Stage(50, 100, scheduler=lambda_state(40, 3e-5))),
    ],
    "doubtful_schedule": [
        Config(345, schedule="warmup(10%) >> linear(over=50%)"),
        Config(345, schedule="warmup(10%) >> step(every=400, factor=0.5)"),
    ],
    "no_restarts": [
        Config(345, **GLUE, lr_scheduler_type="cosine_with_restarts"),
        Config(345, **GLUE, lr_scheduler_type="cosine_with_restarts", lr_scheduler_kwargs={"num_cycles": 1}),
    ],
    "ignored_arguments": [
        Config(345, **GLUE, lr_scheduler_type="constant", lr_scheduler_kwargs={"num_cycles": 2}),
        Config(345, **GLUE, lr_scheduler_type="constant_with_warmup", lr_scheduler_kwargs={"min_lr": 1e-6}),
        Config(345, **GLUE, lr_scheduler_type="linear", lr_scheduler_kwargs={"num_cycles": 2}),
        Config(345, **GLUE, lr_scheduler_type="cosine", lr_scheduler_kwargs='{"min_lr": 1e-6}'),
        Config(345, **GLUE, lr_scheduler_type="constant", warmup_steps=50),
        Config(345, **GLUE, lr_scheduler_type="linear", warmup_steps=50, warmup_ratio=0.1),
        Config(
            345,
            **GLUE,
            lr_scheduler_type="reduce_lr_on_plateau",
            warmup_ratio=0.1,
            eval_strategy="steps",
            eval_steps=10,
        ),
    ],
    "number_as_text": [
        Config(345, **BERT | {"learning_rate": "2e-5"}),
        Config(345, **GLUE, warmup_steps="10"),
        Config(345, **GLUE, lr_scheduler_type="cosine_with_min_lr", lr_scheduler_kwargs={"min_lr": "1e-6"}),
        Config(345, **GLUE, lr_scheduler_type="polynomial", lr_scheduler_kwargs={"power": "2"}),
        Config(345, **GLUE, lr_scheduler_type="cosine_with_min_lr", lr_scheduler_kwargs={"min_lr": "1e-1"}),
    ],
    "floor_above_peak": [
        Config(345, **GLUE, lr_scheduler_type="cosine_with_min_lr", lr_scheduler_kwargs={"min_lr": 1e-4}),
        Config(345, **GLUE, lr_scheduler_type="cosine_with_min_lr", lr_scheduler_kwargs={"min_lr_rate": 10}),
        Config(345, **GLUE, lr_scheduler_type="polynomial", lr_scheduler_kwargs={"lr_end": 2e-5}),
        Config(345, **GLUE, lr_scheduler_type="greedy", eval_strategy="steps", eval_steps=5),
        Config(345, learning_rate=2e-5, schedule="warmup(10%) >> cosine(to_lr=1e-4)"),
    ],
    "floor_differs_by_group": [
        Run(
            Stage(
                50,
                100,
                lr_scheduler_type="cosine_with_min_lr",
                lr_scheduler_kwargs={"min_lr": 1e-6},
                scheduler=lambda_state(50, 1e-5) | {"base_lrs": [5e-5, 1e-3], "_last_lr": [1e-5, 2e-4]},
                history=log({"loss": 0.5, "learning_rate": 4.9e-5}),
            )
        ),
        Run(
            Stage(
                50,
                100,
                lr_scheduler_type="polynomial",
                lr_scheduler_kwargs={"lr_end": 1e-6},
                scheduler=lambda_state(50, 1e-5) | {"base_lrs": [5e-5, 1e-5], "_last_lr": [1e-5, 2e-6]},
                history=log({"loss": 0.5, "learning_rate": 4.5e-5}),
            )
        ),
    ],
    "plateau_direction": [
        Config(
            345,
            **GLUE,
            lr_scheduler_type="reduce_lr_on_plateau",
            metric_for_best_model="accuracy",
            eval_strategy="steps",
            eval_steps=10,
        ),
        Config(
            345,
            **GLUE,
            lr_scheduler_type="reduce_lr_on_plateau",
            lr_scheduler_kwargs={"mode": "max"},
            eval_strategy="steps",
            eval_steps=10,
        ),
        Config(345, schedule="linear() * plateau(metric=accuracy, mode=min, patience=1)", eval_strategy="epoch"),
        Config(345, schedule="linear() * plateau(metric=flow, patience=1)", eval_strategy="epoch"),
    ],
    "plateau_without_evaluation": [
        Config(345, **GLUE, lr_scheduler_type="reduce_lr_on_plateau"),
        Config(345, **GLUE, lr_scheduler_type="reduce_lr_on_plateau", eval_strategy="epoch"),
        Config(345, schedule="linear() * plateau(patience=2)", eval_strategy=False),
        Config(345, schedule="linear() * plateau(patience=2)", eval_strategy="steps", eval_steps=100),
    ],
    "lr_out_of_range": [
        Config(345, **BERT | {"learning_rate": 1e-2}),
        Config(345, **BERT | {"learning_rate": 5e-3}),
        Config(345, **BERT | {"learning_rate": 1e-8}),
        Config(345, **GLUE | {"learning_rate": 0.1}),
        Config(345, **GLUE | {"learning_rate": 0}),
        Config(345, **GLUE | {"learning_rate": NAN}),
        Config(345, schedule="warmup(10%) >> cosine(to_lr=1e-7)", learning_rate=-2e-5),
        Config(345, **BERT | {"learning_rate": 1e-7}, **SGD),
        Config(345, **BERT | {"learning_rate": 1e-3}, optim="lion_32bit"),
    ],
    "schedule_free_optimizer": [
        Config(345, **BERT, optim="schedule_free_adamw"),
        Config(345, **BERT | {"learning_rate": 1e-3}, optim="schedule_free_radam", lr_scheduler_type="cosine"),
        Config(345, learning_rate=1e-4, schedule="warmup(10%) >> linear()", optim="schedule_free_adamw"),
    ],
    "scheduler_of_other_optimizer": [
        Run(Stage(50, 100, scheduler=lambda_state(50, 2.5e-5), optimizer_lrs=[5e-5])),
        Run(Stage(50, 100, scheduler=lambda_state(50, 2.5e-5, groups=2), optimizer_lrs=[2.5e-5, 1e-3])),
    ],
    "reused_scheduler": [
        Run(Stage(50, 100, scheduler=lambda_state(150, 0.0))),
        Run(Stage(10, 100, scheduler=lambda_state(110, 0.0), optimizer_lrs=[0.0])),
    ],
    "single_process": [
        Launch(distributed_type="MULTI_CPU", num_processes=4, use_cpu=True),
        Launch(distributed_type="NO", num_processes=2),
        Launch(distributed_type="no", num_processes=8, use_cpu=False),
    ],
    "engine_ignores_schedule": [
        DeepSpeed({"scheduler": {"type": "WarmupLR", "params": {"warmup_max_lr": 1e-3}}}, **BERT),
        Config(zero_optimization={"stage": 2}, scheduler={"type": "OneCycle"}),
        Config(train_batch_size=8, scheduler={"type": "WarmupLR"}),
        Launch(
            distributed_type="DEEPSPEED",
            num_processes=2,
            deepspeed_config={"scheduler": {"type": "WarmupDecayLR"}, "zero_stage": 2},
        ),
        Config(
            345,
            schedule="warmup(10%) >> linear()",
            learning_rate=2e-5,
            head_learning_rate=1e-4,
            fsdp="full_shard",
            fsdp_config={"use_orig_params": False, "version": 1},
        ),
    ],
    "unknown_length": [
        Config(**GLUE, streaming=True),
        Config(schedule="warmup(10%) >> linear()", streaming=True),
        Config(345, **GLUE, auto_find_batch_size=True, warmup_steps=30),
    ],
    "no_lr_logged": [
        Config(345, **GLUE | {"logging_strategy": "no"}),
        Config(345, **GLUE | {"logging_steps": 1000}),
        Config(345, **GLUE | {"logging_strategy": False}),
        Run(Stage(100, 100, name="", ended=True, history=log({"eval_loss": 0.3}))),
        Run(Stage(100, 100, history=log({"loss": 0.3}, {"loss": 0.2}))),
    ],
    "hidden_nan": [
        Run(
            Stage(
                20,
                20,
                history=log(
                    {"loss": 0.7, "grad_norm": 1.0, "learning_rate": 5e-5},
                    {"loss": 0.0, "grad_norm": NAN, "learning_rate": 2.75e-5},
                ),
            )
        ),
        Run(
            Stage(
                20,
                20,
                history=log(
                    {"loss": 0.7, "grad_norm": math.inf, "learning_rate": 5e-5}, {"loss": 0.5, "learning_rate": 2.75e-5}
                ),
            )
        ),
        Run(Stage(10, 20, history=[*log({"loss": 0.7, "learning_rate": 5e-5}), {"step": 10, "eval_loss": NAN}])),
    ],
    "resume_changes_curve": [
        # 8 -> 12 updates: the LR jumps from 0.5 to 0.667 of the peak.
        Run(Stage(40, 80), Stage(120, 120, history=[*linear_log(40, 80), *linear_log(120, 120)[4:]])),
        # The log alone: the first checkpoint is gone.
        Run(Stage(100, 120, history=[*linear_log(40, 80), *linear_log(100, 120)[4:]])),
        # A new learning rate, which is ignored.
        Run(
            Stage(40, 80, scheduler=lambda_state(40, 2.5e-5)),
            Stage(80, 80, learning_rate=1e-4, history=linear_log(80, 80), scheduler=lambda_state(80, 0.0)),
        ),
        # Another shape.
        Run(Stage(40, 80), Stage(60, 80, lr_scheduler_type="cosine", history=linear_log(40, 80))),
        Run(Stage(50, 100, scheduler=our_state([resume_event("switch", 2.5e-5, 3.5e-5)]))),
    ],
    "mixed_runs": [
        Run(Stage(40, 80, history=log({"loss": 0.9, "learning_rate": 5e-5})), Stage(80, 80)),
        Run(Stage(20, 80), Stage(40, 80, history=linear_log(40, 80)[1:]), Stage(60, 80)),
    ],
}

SOUND = {
    "invalid_schedule": [
        Config(345, schedule="warmup(10%) >> cosine(to=1%)"),
        Config(345, **GLUE, lr_scheduler_type="inverse_sqrt", warmup_steps=20),
        Config(345, schedule="warmup(1ep) >> step(every=1ep, factor=0.5)", num_train_epochs=3),
        Config(schedule="warmup(2min) >> linear()", clock="time(30min)"),
    ],
    "two_schedules": [
        Config(345, schedule="bert()", lr_scheduler_type="linear", warmup_steps=0),
        Config(345, **GLUE, lr_scheduler_type="cosine", warmup_steps=0.1),
    ],
    "long_warmup": [
        Config(468, **GLUE, warmup_steps=46),
        Config(345, **GLUE, warmup_ratio=0.5),
        Config(345, schedule="one_cycle()"),
        Config(None, schedule="warmup(1ep) >> linear()", num_train_epochs=3),
        Config(345, **GLUE, lr_scheduler_type="constant_with_warmup", warmup_steps=0.06),
    ],
    "peak_not_reached": [
        Config(345, schedule="(warmup(10%) >> linear()) * linear(to=50%)"),
        Config(345, schedule="warmup(10%, start=0.1) >> hold()"),
        early_stop_at(60, 200, warmup_steps=50, lr_scheduler_type="constant_with_warmup"),
    ],
    "ends_mid_schedule": [
        early_stop_at(97, 100, warmup_steps=10),
        early_stop_at(50, 100, history=cosine_log(50, 400)),  # of a scheduler of the user's, which is in no settings
        early_stop_at(30, 100, lr_scheduler_type="constant", history=log({"loss": 0.5, "learning_rate": 5e-5})),
        Run(Stage(50, 100, warmup_steps=10)),  # not over yet
        Config(345, **GLUE, lr_scheduler_type="cosine_with_restarts", lr_scheduler_kwargs={"num_cycles": 3}),
        Config(345, **GLUE, lr_scheduler_type="warmup_stable_decay", lr_scheduler_kwargs={"num_decay_steps": 60}),
        Run(Stage(50, 100, scheduler=lambda_state(49, 2.55e-5))),  # one step skipped
    ],
    "doubtful_schedule": [
        Config(345, schedule="warmup(10%) >> linear()"),
        Config(345, schedule="warmup(10%) >> step(every=1ep, factor=0.5)", num_train_epochs=3),
    ],
    "no_restarts": [
        Config(345, **GLUE, lr_scheduler_type="cosine_with_restarts", lr_scheduler_kwargs={"num_cycles": 2}),
        Config(345, schedule="repeat(cosine(), cycles=3)"),
    ],
    "ignored_arguments": [
        Config(345, **GLUE, lr_scheduler_type="polynomial", lr_scheduler_kwargs={"power": 2, "lr_end": 1e-7}),
        Config(345, **GLUE, lr_scheduler_type="cosine", lr_scheduler_kwargs={"num_cycles": 0.5}),
        Config(
            345,
            **GLUE,
            lr_scheduler_type="reduce_lr_on_plateau",
            lr_scheduler_kwargs={"factor": 0.5, "patience": 2, "min_lr": 1e-7},
            eval_strategy="steps",
            eval_steps=10,
        ),
    ],
    "number_as_text": [
        Config(345, schedule="warmup(10%) >> linear()", learning_rate="2e-5"),  # the recipe reads text
        Config(345, **BERT, metric_for_best_model="1", push_to_hub_token="2"),
    ],
    "floor_above_peak": [
        Config(345, **GLUE, lr_scheduler_type="cosine_with_min_lr", lr_scheduler_kwargs={"min_lr": 1e-6}),
        Config(345, **GLUE, lr_scheduler_type="cosine_with_min_lr", lr_scheduler_kwargs={"min_lr_rate": 0.1}),
        Config(345, learning_rate=2e-5, schedule="warmup(10%) >> cosine(to_lr=1e-6)"),
        Config(
            345,
            **GLUE,
            lr_scheduler_type="greedy",
            lr_scheduler_kwargs={"min_lr": 1e-6},
            eval_strategy="steps",
            eval_steps=5,
        ),
    ],
    "floor_differs_by_group": [
        Run(
            Stage(
                50,
                100,
                lr_scheduler_type="cosine_with_min_lr",
                lr_scheduler_kwargs={"min_lr": 1e-6},
                scheduler=lambda_state(50, 1e-5, groups=2),  # with and without weight decay
                history=log({"loss": 0.5, "learning_rate": 4.9e-5}),
            )
        ),
        Config(345, learning_rate=2e-5, head_learning_rate=1e-4, schedule="warmup(10%) >> cosine(to_lr=1e-6)"),
    ],
    "plateau_direction": [
        Config(
            345,
            **GLUE,
            lr_scheduler_type="reduce_lr_on_plateau",
            lr_scheduler_kwargs={"mode": "max", "patience": 1},
            metric_for_best_model="accuracy",
            eval_strategy="epoch",
        ),
        Config(
            345,
            **GLUE,
            lr_scheduler_type="reduce_lr_on_plateau",
            lr_scheduler_kwargs={"patience": 1},
            metric_for_best_model="eval_loss",
            eval_strategy="epoch",
        ),
        Config(345, schedule="linear() * plateau(metric=accuracy, patience=1)", eval_strategy="epoch"),
    ],
    "plateau_without_evaluation": [
        Config(345, schedule="linear() * plateau(patience=1)", eval_strategy="epoch"),
        Config(345, schedule="linear() * plateau(patience=2)", eval_strategy="steps", eval_steps=0.1),
    ],
    "lr_out_of_range": [
        Config(345, **BERT | {"learning_rate": 5e-5}),
        Config(345, **BERT | {"learning_rate": 1e-3}, use_peft=True),
        Config(345, **BERT | {"learning_rate": 2e-3}, lora_r=8),
        Config(345, **GLUE | {"learning_rate": 1e-3}),  # of an unknown model
        Config(345, **BERT | {"learning_rate": 1e-2}, **SGD),
        Config(345, model_name_or_path="google-t5/t5-small", learning_rate=1e-3, optim="adafactor", logging_steps=10),
        Config(345, **BERT | {"learning_rate": 0.3}, optim="lamb"),  # an optimizer that is not known
    ],
    "schedule_free_optimizer": [
        Config(345, **BERT, optim="schedule_free_adamw", lr_scheduler_type="constant"),
        Config(345, learning_rate=1e-4, schedule="warmup(5%) >> hold()", optim="schedule_free_adamw"),
    ],
    "scheduler_of_other_optimizer": [
        Run(Stage(50, 100, scheduler=lambda_state(50, 2.5e-5), optimizer_lrs=[2.5e-5])),
        Run(Stage(50, 100, scheduler=lambda_state(50, 2.5e-5, groups=2), optimizer_lrs=[2.5e-5, 2.5e-5])),
    ],
    "reused_scheduler": [
        Run(Stage(50, 100, scheduler=lambda_state(50, 2.5e-5))),
        Run(Stage(100, 100, scheduler=lambda_state(100, 0.0), optimizer_lrs=[0.0])),
    ],
    "single_process": [
        Launch(distributed_type="MULTI_GPU", num_processes=2, use_cpu=True),
        Launch(distributed_type="NO", num_processes=1),
        Launch(distributed_type="MULTI_CPU", num_processes=2, mpirun_config={"mpirun_hostfile": "hosts"}),
        Launch(distributed_type="FSDP", num_processes=8, fsdp_config={"fsdp_version": 2}),
    ],
    "engine_ignores_schedule": [
        DeepSpeed({"optimizer": {"type": "AdamW"}}, **BERT),
        Launch(distributed_type="DEEPSPEED", num_processes=2, deepspeed_config={"zero_stage": 2}),
        Config(
            345,
            schedule="warmup(10%) >> linear()",
            learning_rate=2e-5,
            head_learning_rate=1e-4,
            fsdp="full_shard",
            fsdp_config={"use_orig_params": True},
        ),
    ],
    "unknown_length": [
        Config(**GLUE, streaming=True, max_steps=1000),
        Config(345, **GLUE, auto_find_batch_size=True, warmup_ratio=0.1),
        Config(**GLUE),  # the data is not known: a note
    ],
    "no_lr_logged": [
        Config(345, **GLUE | {"logging_steps": 345}),
        Config(345, learning_rate=2e-5, num_train_epochs=3),  # Trainer's default of 500: a note
        Config(345, **GLUE | {"logging_strategy": "epoch"}),
        Config(345, schedule="bert()", logging_steps=1000),  # this package logs beside each evaluation
    ],
    "hidden_nan": [
        Run(
            Stage(
                20,
                20,
                history=log(
                    {"loss": 0.7, "grad_norm": 1.0, "learning_rate": 5e-5},
                    {"loss": 0.0, "grad_norm": 0.0, "learning_rate": 2.75e-5},
                ),
            )
        ),
        # Under fp16 an overflow is a step that is skipped.
        Run(
            Stage(
                20,
                20,
                fp16=True,
                history=log(
                    {"loss": 0.7, "grad_norm": math.inf, "learning_rate": 5e-5},
                    {"loss": 0.5, "grad_norm": 1.0, "learning_rate": 2.75e-5},
                ),
            )
        ),
    ],
    "resume_changes_curve": [
        Run(Stage(40, 80), Stage(80, 80), Stage(80, 80, name="", ended=True)),
        Run(Stage(50, 100, scheduler=our_state([resume_event("stretch", 2.5e-5, 2.5e-5)]))),
        Run(
            Stage(40, 80, lr_scheduler_type="constant", history=log({"loss": 1.0, "learning_rate": 5e-5})),
            Stage(60, 120, lr_scheduler_type="constant", history=log({"loss": 1.0, "learning_rate": 5e-5})),
        ),
    ],
    "mixed_runs": [
        Run(Stage(20, 80), Stage(40, 80), Stage(60, 80)),
        # NaN is not equal to itself, and still the same log.
        Run(
            Stage(20, 80, fp16=True, history=log({"loss": 1.0, "learning_rate": 4.4e-5, "grad_norm": NAN})),
            Stage(30, 80, fp16=True, history=log({"loss": 1.0, "learning_rate": 4.4e-5, "grad_norm": NAN})),
        ),
    ],
}

#: `greedy` is of transformers 5.
NEEDS_GREEDY = "greedy" not in {each.value for each in SchedulerType}


def label(case):
    """A case's settings, for the test's name."""
    if isinstance(case, Run):
        return "-".join(f"{stage.name or 'end'}_of_{stage.total}" for stage in case.stages)
    return "-".join(f"{name}={value}" for name, value in case.settings.items() if name not in GLUE)[:60]
