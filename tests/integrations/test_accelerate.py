"""A loop of one's own under accelerate: the LR of every update at 1, 2 and 4 processes."""

import math

import pytest

from tests.processes import ROOT, environment, run_forked


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
def test_every_process_uses_the_lr_that_was_drawn(processes, options):
    example, variables = ROOT / "examples" / "accelerate_loop.py", environment(ACCELERATE_USE_CPU="true")
    done = run_forked(example, *options, count=processes, variables=variables)
    assert done.returncode == 0, done.stderr[-6000:]
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
