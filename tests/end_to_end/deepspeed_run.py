"""A run of ScheduledTrainer under DeepSpeed on the CPU, in a process of its own; prints what it used as one line of JSON.

python tests/end_to_end/deepspeed_run.py '{"config": {...}, "arguments": {...}, "schedule": "...", ...}'
"""

import json
import os
import sys

import torch
from transformers import Trainer, TrainingArguments

from hf_lrsched import LRLogger, ScheduledTrainer, get_scheduler
from tests.tiny_trainer import Net, Recorder, samples


class Stepped:
    """The LRs with which torch's optimizer really steps: under DeepSpeed that is within the backward pass."""

    def __init__(self, optimizer):
        while hasattr(optimizer, "optimizer"):
            optimizer = optimizer.optimizer
        self.lrs = []
        optimizer.register_step_pre_hook(lambda torchs, *_: self.lrs.append(float(torchs.param_groups[0]["lr"])))


class Probe(Recorder):
    def on_train_begin(self, args, state, control, optimizer=None, **kwargs):
        self.stepped = Stepped(optimizer)


def freeze_encoder(model, groups):
    parts = {"encoder": model.encoder, "head": model.head}
    own = {"encoder": {"schedule": "linear() * freeze(6)"}, "head": {}}
    return [{"params": list(part.parameters()), "name": name, **own[name]} for name, part in parts.items()]


def main(options):
    torch.manual_seed(0)
    probe, model = Probe(), Net(dropout=0.0)
    settings = {"per_device_train_batch_size": 4, "num_train_epochs": 2, "learning_rate": 1e-3, "logging_steps": 1}
    settings |= {"report_to": "none", "save_strategy": "no", "use_cpu": True, "disable_tqdm": True}
    args = TrainingArguments(
        deepspeed=options.get("config"), dataloader_pin_memory=False, **settings | options["arguments"]
    )
    given = {"schedule": options["schedule"], "on_resume": options.get("on_resume", "strict")}
    if options.get("freeze"):
        given["groups"] = freeze_encoder
    if options.get("stock"):
        sgd = torch.optim.SGD(model.parameters(), lr=1.0)
        given = (
            {"optimizers": (sgd, get_scheduler("hold()", sgd, num_training_steps=12))}
            if options.get("optimizers")
            else {}
        )
    cls = Trainer if options.get("stock") else ScheduledTrainer
    callbacks = [probe, LRLogger()] if options.get("stock") else [probe]
    trainer = cls(
        model=model, args=args, train_dataset=samples(24), eval_dataset=samples(8), callbacks=callbacks, **given
    )
    weights = []
    if options.get("freeze"):
        probe.on_step_end = lambda *_, **__: weights.append(
            [float(part.weight.detach().abs().sum()) for part in (model.encoder, model.head)]
        )
    trainer.train(resume_from_checkpoint=options.get("resume"))
    history = trainer.state.log_history
    found = {
        "rank": args.process_index,
        "processes": args.world_size,
        "used": probe.stepped.lrs,
        "seen": probe.used,
        "logged": [record["learning_rate"] for record in history if "learning_rate" in record],
        "evaluated": [record["eval_learning_rate"] for record in history if "eval_learning_rate" in record],
        "scheduler": type(trainer.lr_scheduler).__name__,
        "engine": type(trainer.model_wrapped).__name__,
        "weights": weights,
    }
    print("FOUND " + json.dumps(found), flush=True)


if __name__ == "__main__":
    os.environ.setdefault("DS_ACCELERATOR", "cpu")
    main(json.loads(sys.argv[1]))
