"""A loop of one's own under accelerate: the LR of every update at 1, 2 and 4 processes."""

import math
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parents[2] / "examples" / "accelerate_loop.py"
ABORTED_AT_EXIT = "terminate called without an active exception"
CONFIG = """\
compute_environment: LOCAL_MACHINE
distributed_type: {kind}
use_cpu: true
num_processes: {processes}
num_machines: 1
machine_rank: 0
main_training_function: main
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("processes", "options"),
    [
        (1, []),
        (1, ["--accumulate", "2"]),
        (2, []),
        (2, ["--split-batches"]),
        (2, ["--accumulate", "2"]),
        (4, ["--accumulate", "2"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else str(value),
)
def test_every_process_uses_the_lr_that_was_drawn(tmp_path, processes, options):
    config = tmp_path / "config.yaml"
    config.write_text(CONFIG.format(kind="NO" if processes == 1 else "MULTI_GPU", processes=processes))
    command = [
        sys.executable,
        "-m",
        "accelerate.commands.launch",
        "--config_file",
        str(config),
        "--main_process_port",
        "0",
    ]
    done = subprocess.run([*command, str(EXAMPLE), *options], capture_output=True, text=True, timeout=300)
    # torch's own teardown may abort a process that has done all its work: where a thread of gloo's drops the last
    # reference to a Python object while the interpreter shuts down. Any other failure is one of ours.
    assert done.returncode == 0 or ABORTED_AT_EXIT in done.stderr, done.stderr[-6000:]
    lines = [line for line in done.stdout.splitlines() if line.startswith("process ")]
    assert [line.split(":")[0] for line in lines] == [f"process {i} of {processes}" for i in range(processes)]
    used = [[float(lr) for lr in line.split(": ")[1].split()] for line in lines]
    # 64 samples in batches of 8 for each process, or for all of them together; 2 epochs.
    batches = 8 if "--split-batches" in options else 8 // processes
    updates = 2 * math.ceil(batches / (2 if "--accumulate" in options else 1))
    warm = math.ceil(updates / 4)
    expected = [t / warm if t < warm else (updates - t) / (updates - warm) for t in range(updates)]
    for lrs in used:
        assert lrs == pytest.approx([0.01 * factor for factor in expected], abs=5e-7)


def test_save_and_load_go_on(tmp_path):
    import torch
    from accelerate import Accelerator

    from hf_lrsched import prepare_schedule

    def prepared():
        accelerator = Accelerator(cpu=True)
        model = torch.nn.Linear(1, 1)
        model, optimizer = accelerator.prepare(model, torch.optim.SGD(model.parameters(), lr=1.0))
        return accelerator, optimizer, prepare_schedule("linear()", optimizer, accelerator, 8)

    accelerator, optimizer, scheduler = prepared()
    for _ in range(3):
        optimizer.step()
        scheduler.step()
    accelerator.save_state(str(tmp_path / "state"))
    accelerator, optimizer, scheduler = prepared()
    accelerator.load_state(str(tmp_path / "state"))
    assert scheduler.get_last_lr() == [5 / 8] and optimizer.param_groups[0]["lr"] == 5 / 8
