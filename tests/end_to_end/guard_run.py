"""A run with LossGuard in one of several processes: one rank's batch is poisoned, later the loss jumps on all.

torchrun --nproc_per_node 2 tests/end_to_end/guard_run.py '{"rollback": "FOLDER", "lower": "OTHER FOLDER"}'
"""

import hashlib
import json
import sys

import torch
from transformers import TrainerCallback, TrainingArguments

from hf_lrsched import LossGuard, ScheduledTrainer
from tests.tiny_trainer import Net, samples


class Trouble(TrainerCallback):
    def on_train_begin(self, args, state, control, model=None, **kwargs):
        def before_forward(module, given, kwargs):
            is_poisoned = state.global_step == 24 and args.process_index == 1
            return given, {**kwargs, "x": kwargs["x"] * float("nan")} if is_poisoned else kwargs

        model.register_forward_pre_hook(before_forward, with_kwargs=True)

    def on_step_end(self, args, state, control, model=None, **kwargs):
        if state.global_step == 90:
            with torch.no_grad():
                model.head.weight *= -20


def train(action, output_dir):
    torch.manual_seed(0)
    args = TrainingArguments(
        output_dir=output_dir,
        per_device_train_batch_size=4,
        max_steps=140,
        learning_rate=0.02,
        report_to="none",
        save_steps=10,
        logging_steps=10,
        use_cpu=True,
        disable_tqdm=True,
    )
    callbacks = [Trouble(), LossGuard(action, factor=0.9)]
    model = Net(dropout=0.0)
    trainer = ScheduledTrainer(
        model=model, args=args, train_dataset=samples(48), callbacks=callbacks, schedule="hold()"
    )
    trainer.train()
    weights = b"".join(weight.numpy().tobytes() for weight in model.state_dict().values())
    events = [[event["t"], event["cause"]] for event in trainer.lr_scheduler.events]
    return trainer, [hashlib.sha256(weights).hexdigest(), events]


def main(folders):
    found = {}
    for action, folder in folders.items():
        trainer, found[action] = train(action, folder)
    sys.stdout.write("FOUND " + json.dumps(found) + "\n")
    sys.stdout.flush()
    trainer.model_wrapped = None  # else the model would be the last to hold the process group: see accelerate_loop.py
    trainer.accelerator.free_memory()
    trainer.accelerator.end_training()


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
