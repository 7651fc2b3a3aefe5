"""The record of whole processes: several of them, and those that are killed."""

import json
import sys

import numpy as np
import pytest

from hf_lrsched import read_run
from hf_lrsched.runs.rows import Rows
from tests.processes import run_forked

pytestmark = pytest.mark.slow


def rows(folder, name):
    return list(Rows.read(folder / "record" / f"{name}.jsonl"))


def recorded_lrs(folder, updates):
    """The LRs that follow from the record, [update][group]."""
    return np.array(list(read_run(folder).lrs(range(updates)).values())).T.tolist()


TWO_PROCESSES = """
import json, sys, torch
from transformers import TrainingArguments, TrainerCallback
from hf_lrsched import ScheduledTrainer, StepSizes

class Line(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(1))

    def forward(self, x, labels=None):
        return {"loss": ((self.weight * x - labels) ** 2).mean(), "logits": self.weight * x}

used = []
class Watch(TrainerCallback):
    def on_pre_optimizer_step(self, args, state, control, optimizer=None, **kwargs):
        used.append([float(group["lr"]) for group in optimizer.param_groups])

data = [{"x": torch.tensor([1.0]), "labels": torch.tensor([0.0])} for _ in range(16)]
args = TrainingArguments(
    sys.argv[1] + "/out", use_cpu=True, report_to=[], num_train_epochs=2, per_device_train_batch_size=2, eval_strategy="epoch",
    logging_steps=3, save_strategy="no", disable_tqdm=True,
)
assert args.world_size == 2
trainer = ScheduledTrainer(
    Line(), args, train_dataset=data, eval_dataset=data, schedule="warmup(3) >> linear()", callbacks=[Watch(), StepSizes(2)]
)
trainer.train()
open(f"{sys.argv[1]}/used-{args.process_index}", "w").write(json.dumps(used))
"""


def test_of_two_processes_the_main_one_writes(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(TWO_PROCESSES, encoding="utf-8")
    done = run_forked(script, tmp_path, count=2)
    assert done.returncode == 0, done.stderr
    out = tmp_path / "out"
    used = json.loads((tmp_path / "used-0").read_text())
    assert len(used) == 8 and used == json.loads((tmp_path / "used-1").read_text())
    assert recorded_lrs(out, 8) == used
    assert [path.name for path in out.glob("record*")] == ["record"]
    counts = {name: len(rows(out, name)) for name in ("run", "evaluations")}
    assert counts == {"run": 1, "evaluations": 2}
    # Each third update, each that StepSizes measured, and the one before each evaluation: all processes gather the loss.
    assert [row["step"] for row in rows(out, "train")] == [2, 3, 4, 6, 8]
    assert [row["step"] for row in rows(out, "steps")] == [2, 4, 6, 8]
    assert rows(out, "run")[0]["settings"]["world_size"] == 2


KILLED = """
import json, os, signal, sys
from pathlib import Path
import torch
from transformers import PretrainedConfig, TrainerCallback, TrainingArguments
from hf_lrsched import ScheduledTrainer

folder = Path(sys.argv[1])
torch.set_num_threads(1)

class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.config = PretrainedConfig()
        self.dropout, self.layer = torch.nn.Dropout(0.3), torch.nn.Linear(4, 2)

    def forward(self, x, labels=None):
        logits = self.layer(self.dropout(x))
        return {"loss": torch.nn.functional.cross_entropy(logits, labels), "logits": logits}

data = [{"x": torch.randn(4, generator=torch.Generator().manual_seed(n)), "labels": n % 2} for n in range(40)]

def die():
    os.kill(os.getpid(), signal.SIGKILL)

class Probe(TrainerCallback):
    def __init__(self, hook, update, used):
        self.used = used
        setattr(self, hook, lambda args, state, control, **kwargs: die() if state.global_step == update else None)

    def on_pre_optimizer_step(self, args, state, control, optimizer=None, **kwargs):
        line = json.dumps([state.global_step, [group["lr"] for group in optimizer.param_groups]])
        os.write(self.used, line.encode() + b"\\n")

def train(name, where="nowhere", update=0):
    torch.manual_seed(0)
    args = TrainingArguments(
        str(folder / name), use_cpu=True, report_to=[], max_steps=40, per_device_train_batch_size=4, eval_strategy="steps",
        eval_steps=4, logging_steps=1, save_strategy="steps", save_steps=4, save_total_limit=2, disable_tqdm=True,
    )
    used = os.open(folder / f"{name}-used", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    if where.endswith(".jsonl"):  # in the middle of a row
        write = os.write
        def tear(file, line):
            row = json.loads(line)
            is_here = os.readlink(f"/proc/self/fd/{file}").endswith(where)
            if is_here and row["start"] and row["step"] >= update:
                write(file, line[:len(line) // 2])
                die()
            return write(file, line)
        os.write = tear
    schedule = "(warmup(10%) >> linear()) * plateau(factor=0.7, patience=0, threshold=1, threshold_mode=abs)"
    trainer = ScheduledTrainer(
        Net(), args, train_dataset=data, eval_dataset=data[:8], schedule=schedule, callbacks=[Probe(where, update, used)]
    )
    trainer.remove_callback(type(trainer.monitor))  # a resumed run is judged by what it saw itself
    trainer.train(resume_from_checkpoint=any((folder / name).glob("checkpoint-*")))

plans = [(), *json.loads(sys.argv[2]), ()]
for number, plan in enumerate(plans):
    child = os.fork()
    if not child:
        train("killed" if number else "whole", *plan)
        os._exit(0)
    died = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert died == (-signal.SIGKILL if plan else 0), (plan, died)
"""


DEATHS = [
    ("on_step_begin", 6),
    ("on_log", 9),
    ("run.jsonl", 0),
    ("train.jsonl", 11),
    ("on_save", 12),
    ("evaluations.jsonl", 15),
    ("events.jsonl", 18),
    ("on_evaluate", 24),
    ("on_step_end", 30),
    ("train.jsonl", 34),
    ("on_prediction_step", 36),
]


@pytest.mark.skipif(sys.platform != "linux", reason="needs fork and /proc")
def test_a_run_killed_in_every_hook_and_file(tmp_path):
    script = tmp_path / "killed.py"
    script.write_text(KILLED, encoding="utf-8")
    done = run_forked(script, tmp_path, json.dumps(DEATHS))
    assert done.returncode == 0, done.stdout + done.stderr
    used = dict(
        map(json.loads, (tmp_path / "killed-used").read_text().splitlines())
    )  # of an update that was made again, the last LR
    expected = dict(map(json.loads, (tmp_path / "whole-used").read_text().splitlines()))
    assert len(expected) == 40 and used == expected
    assert recorded_lrs(tmp_path / "killed", 40) == [expected[t] for t in range(40)]
    killed, whole = read_run(tmp_path / "killed"), read_run(tmp_path / "whole")
    assert len(killed.starts) == len(DEATHS)  # the row of one more was cut off
    for name in ("train", "evaluations", "events"):
        found, right = ([_without_start(row) for row in getattr(run, name)] for run in (killed, whole))
        assert found == right
    assert len(whole.train) == 40 and len(whole.evaluations) == 10 and len(whole.events) == 9
    for path in (tmp_path / "killed/record").iterdir():
        assert [json.loads(line) for line in path.read_text().splitlines()]  # complete for any reader


def _without_start(row):
    return {
        key: value for key, value in row.items() if key != "start" and not key.endswith(("_runtime", "_per_second"))
    }
