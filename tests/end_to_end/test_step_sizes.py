"""StepSizes in TensorBoard, with the stock Trainer and ours."""

import math

import pytest

from tests.processes import run_forked

RUN = """
import sys, torch
from transformers import Trainer, TrainingArguments
from hf_lrsched import ScheduledTrainer, StepSizes

weight = torch.nn.Parameter(torch.tensor([3.0, 4.0]))
class Line(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = weight

    def forward(self, x, labels=None):
        return {"loss": (self.weight * x[0]).sum()}  # the gradient is x

data = [{"x": torch.tensor([2.0, 4.0]), "labels": 0} for _ in range(4)]
args = TrainingArguments(
    "out", use_cpu=True, report_to="tensorboard", max_steps=4, per_device_train_batch_size=1, logging_steps=3,
    max_grad_norm=0.0, save_strategy="no", disable_tqdm=True,
)
optimizer = torch.optim.Adagrad([{"params": [weight], "lr": 0.1, "name": "all"}], eps=0.0)
steps = StepSizes(every=2)
if "stock" in sys.argv:
    scheduler = torch.optim.lr_scheduler.ConstantLR(optimizer, 1.0)
    trainer = Trainer(Line(), args, train_dataset=data, optimizers=(optimizer, scheduler))
    trainer.callback_handler.callbacks.insert(0, steps)
else:
    schedule = {"schedule": "hold()", "optimizers": (optimizer, None)}
    trainer = ScheduledTrainer(Line(), args, train_dataset=data, callbacks=[steps], **schedule)
trainer.train()
"""


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["ours", "stock"])
def test_the_values_are_logged_at_their_update(tmp_path, kind):
    event_accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    script = tmp_path / "run.py"
    script.write_text(RUN, encoding="utf-8")
    done = run_forked(script, kind, folder=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    (file,) = tmp_path.rglob("events.out.tfevents.*")  # the folder depends on the version of transformers
    events = event_accumulator.EventAccumulator(str(file.parent)).Reload()
    stored = {tag: [(each.step, each.value) for each in events.Scalars(tag)] for tag in events.Tags()["scalars"]}
    # The gradient is 2, 4 at each update: s = t·g², so that the effective LRs are 0.1 / (√t·2) and 0.1 / (√t·4), and both
    # weights move by 0.1 / √t.
    for name, share in {"p05": 0.05, "p50": 0.5, "p95": 0.95}.items():
        expected = [(t, (0.025 + share * 0.025) / math.sqrt(t)) for t in (2, 4)]
        assert stored[f"train/effective_lr_{name}/all"] == [(t, pytest.approx(lr, rel=1e-5)) for t, lr in expected]
    moved = [0.1 / math.sqrt(t) for t in (1, 2, 3, 4)]
    norms = [math.hypot(3 - sum(moved[:t]), 4 - sum(moved[:t])) for t in range(4)]
    ratios = [(t, pytest.approx(math.sqrt(2) * moved[t - 1] / norms[t - 1], rel=1e-5)) for t in (2, 4)]
    assert stored["train/update_ratio/all"] == ratios
    assert [step for step, _ in stored["train/loss"]] == [2, 3, 4]
