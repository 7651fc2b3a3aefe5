"""A run with Chinese names trains to its end, whatever the encoding of its standard output."""

import os
import subprocess
import sys
import textwrap

import pytest

from tests.processes import run_forked

SCRIPT = textwrap.dedent(
    """
    import sys, torch
    from torch import nn
    from transformers import PretrainedConfig, TrainingArguments
    from hf_lrsched import LossGuard, ScheduledTrainer

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.config = PretrainedConfig()
            self.a, self.b = nn.Linear(2, 2), nn.Linear(2, 2)

        def forward(self, x, labels=None):
            logits = self.b(self.a(x))
            return {"loss": nn.functional.cross_entropy(logits, labels), "logits": logits}

    def groups(model, groups):
        return [
            {"params": list(model.a.parameters()), "name": "嵌入层", "lr": 1e-3},
            {"params": list(model.b.parameters()), "name": "分类头", "lr": 1e-2},
        ]

    folder, encoding, disable_tqdm = sys.argv[1], sys.argv[2], sys.argv[3] == "True"
    sys.stdout.reconfigure(encoding=encoding)  # both as PYTHONIOENCODING does
    sys.stderr.reconfigure(encoding=encoding, errors="backslashreplace")
    args = TrainingArguments(folder, use_cpu=True, report_to="none", num_train_epochs=4, logging_steps=1, eval_strategy="epoch",
                             per_device_train_batch_size=4, disable_tqdm=disable_tqdm, save_strategy="epoch")
    rows = [{"x": torch.tensor([i / 8, 1.0]), "labels": i % 2} for i in range(8)]
    schedule = "(warmup(2) >> linear()) * plateau(metric=eval_loss, patience=0, threshold=1, threshold_mode=abs)"
    trainer = ScheduledTrainer(model=Net(), args=args, train_dataset=rows, eval_dataset=rows, schedule=schedule, groups=groups)
    trainer.train()
    assert trainer.state.global_step == 8
    print("done")
    """
)


@pytest.mark.slow
@pytest.mark.parametrize(("encoding", "disable_tqdm"), [("cp1252", True), ("ascii", False)], ids=["lines", "bar"])
def test_run_with_chinese_names_trains(encoding, disable_tqdm, tmp_path):
    script = tmp_path / "train.py"
    script.write_text(SCRIPT, encoding="utf-8")
    done = run_forked(script, tmp_path / "运行", encoding, disable_tqdm)
    assert done.returncode == 0, done.stderr
    assert r"\u5206\u7c7b\u5934" in done.stdout and "done" in done.stdout


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_commands_show_chinese_names(encoding, tmp_path):
    (tmp_path / "学习率.yaml").write_text(
        "learning_rate: 2.0e-5\nwarmup_steps: 5\nmax_steps: 10\n名称: 1\n", encoding="utf-8"
    )
    environment = os.environ | {"PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"}
    for command in (["preview", "linear()", "--updates", "10"], ["doctor", "学习率.yaml"], ["plot", "没有"]):
        words = [sys.executable, "-m", "hf_lrsched", *command]
        done = subprocess.run(words, cwd=tmp_path, capture_output=True, env=environment)
        assert b"Traceback" not in done.stderr and b"UnicodeEncodeError" not in done.stderr
        assert done.returncode == (2 if command[0] == "plot" else 0), done.stdout + done.stderr
