"""W&B, offline: what it stores of a run holds the LR beside the metrics."""

import os
import subprocess
import sys

import pytest

RUN = """
import torch
from transformers import TrainingArguments
from hf_lrsched import ScheduledTrainer

class Line(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(1))

    def forward(self, x, labels=None):
        return {"loss": ((self.weight * x - labels) ** 2).mean(), "logits": self.weight * x}

data = [{"x": torch.tensor([1.0]), "labels": torch.tensor([0.0])} for _ in range(8)]
args = TrainingArguments(
    "out", use_cpu=True, report_to=["wandb"], max_steps=8, per_device_train_batch_size=1, eval_strategy="steps",
    eval_steps=4, learning_rate=5e-5, save_strategy="no",
)
ScheduledTrainer(Line(), args, train_dataset=data, eval_dataset=data, schedule="linear()").train()
import wandb
wandb.finish()
"""


@pytest.mark.slow
def test_wandb_stores_the_lr_that_was_used(tmp_path):
    environment = {**os.environ, "WANDB_MODE": "offline", "WANDB_DIR": str(tmp_path), "WANDB_SILENT": "true"}
    done = subprocess.run([sys.executable, "-c", RUN], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (stored,) = tmp_path.glob("wandb/offline-run-*/*.wandb")
    # A stored row is a list of keys and JSON values. Update 4 used 5e-5 * (1 - 3 / 8), update 8 used 5e-5 / 8.
    rows = stored.read_bytes()
    assert rows.count(b"eval/learning_rate") >= 2
    assert b"3.125e-05" in rows and b"6.25e-06" in rows
