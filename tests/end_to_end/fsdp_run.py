"""ScheduledTrainer under FSDP 2 on the CPU, one of several processes; prints what it used as one line of JSON.

torchrun --nproc_per_node 2 tests/end_to_end/fsdp_run.py '{"arguments": {...}, "schedule": "..."}'
"""

import json
import os
import sys

import torch
import transformers
from accelerate import PartialState
from accelerate.utils import DistributedType
from transformers import TrainingArguments

from hf_lrsched import ScheduledTrainer, StepSizes
from tests.tiny_trainer import Net, Recorder, samples


class Probe(Recorder):
    def on_train_begin(self, args, state, control, model=None, **kwargs):
        self.parameter = type(next(model.parameters())).__name__


def freeze_encoder(model, groups):
    own = {"encoder": {"schedule": "linear() * freeze(3)"}, "head": {}}
    parts = {"encoder": model.encoder, "head": model.head}
    return [{"params": list(part.parameters()), "name": name, **own[name]} for name, part in parts.items()]


def main(options):
    torch.manual_seed(0)
    probe, steps, model = Probe(), StepSizes(every=3), Net(dropout=0.0)
    os.environ["FSDP_VERSION"] = "2"  # what transformers 4 leaves to accelerate
    version = int(transformers.__version__.split(".")[0])
    config = {"fsdp_version": 2, "cpu_ram_efficient_loading": False, "sync_module_states": False}
    fsdp = {"fsdp": True if version >= 5 else "full_shard", "fsdp_config": config}
    settings = {"per_device_train_batch_size": 4, "num_train_epochs": 2, "learning_rate": 1e-3, "logging_steps": 1}
    settings |= {"report_to": "none", "save_strategy": "no", "use_cpu": True, "disable_tqdm": True}
    args = TrainingArguments(**settings | (fsdp if options.get("fsdp", True) else {}) | options["arguments"])
    if options.get("fsdp", True):
        # On the CPU accelerate would take plain data parallelism instead, without a word.
        PartialState._shared_state["distributed_type"] = DistributedType.MULTI_GPU
    given = {"schedule": options["schedule"]}
    if options.get("freeze"):
        given["groups"] = freeze_encoder
    if options.get("optimizers"):
        given["optimizers"] = (torch.optim.SGD(model.parameters()), None)
    trainer = ScheduledTrainer(
        model=model, args=args, train_dataset=samples(24), eval_dataset=samples(8), callbacks=[probe, steps], **given
    )
    weights = []

    def whole(parameter):
        return parameter.full_tensor() if hasattr(parameter, "full_tensor") else parameter

    def on_step_end(*_, model=None, **__):
        parts = [part for name, part in model.named_parameters() if name.endswith("weight")]
        weights.append([float(whole(part.detach()).abs().sum()) for part in parts])

    probe.on_step_end = on_step_end
    trainer.train(resume_from_checkpoint=options.get("resume"))
    history = trainer.state.log_history
    found = {
        "rank": args.process_index,
        "processes": args.world_size,
        "parameter": probe.parameter,
        "used": probe.groups,
        "logged": [record["learning_rate"] for record in history if "learning_rate" in record],
        "evaluated": [record["eval_learning_rate"] for record in history if "eval_learning_rate" in record],
        "weights": weights,
        "steps": list(steps.latest.items()),
    }
    print("FOUND " + json.dumps(found), flush=True)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
