"""Two launches on one machine stand for two machines: they train as one, with the LRs of one process."""

import json
import subprocess
import sys
import time

import pytest
import yaml

from tests.end_to_end.recipes.traces import TRACED, traced_lrs
from tests.processes import ROOT, Processes, environment, free_port, launched_environments
from tests.recipe_runs import as_flags, warmup_then_linear

pytestmark = pytest.mark.slow


def accelerate_launch(rank: int, port: int, folder) -> list[str]:
    """The command of multi_node.yaml, with CPUs in place of GPUs and loopback in place of the network."""
    settings = yaml.safe_load((ROOT / "recipes" / "accelerate" / "multi_node.yaml").read_text(encoding="utf-8"))
    config = folder / "machines.yaml"
    here = {"use_cpu": True, "num_processes": 2, "main_process_ip": "127.0.0.1", "main_process_port": port}
    config.write_text(json.dumps(settings | here | {"gpu_ids": None}))
    return ["accelerate.commands.launch", "--config_file", str(config), "--machine_rank", str(rank)]


def torchrun(rank: int, port: int) -> list[str]:
    rendezvous = ["--rdzv_backend", "c10d", "--rdzv_endpoint", f"127.0.0.1:{port}", "--rdzv_id", "two"]
    local = ["--nnodes", "2", "--nproc_per_node", "1", "--local_addr", "127.0.0.1"]
    return ["torch.distributed.run", *local, *rendezvous, "--node_rank", str(rank)]


@pytest.fixture
def settings(flags, tmp_path):
    schedule = {"num_train_epochs": 6, "per_device_train_batch_size": 16, "schedule": "warmup(2) >> linear()"}
    return {**flags, **schedule, "output_dir": tmp_path / "out"}


def check(trace, settings, text):
    results = settings["output_dir"] / "trainer_state.json"
    assert results.exists(), text[-6000:]
    ranks = [traced_lrs(trace, rank) for rank in (0, 1)]
    assert ranks[0] == ranks[1] == pytest.approx(warmup_then_linear(6, 2, 5e-5))
    assert text.count("LR used:") == 1
    logged = [record for record in json.loads(results.read_text())["log_history"] if "loss" in record]
    assert [record["learning_rate"] for record in logged] == ranks[0]


def test_two_machines_of_accelerate_train_as_one(settings, tmp_path):
    port, trace = free_port(), tmp_path / "trace"
    machines = []
    for rank in (0, 1):
        command = [sys.executable, "-m", *accelerate_launch(rank, port, tmp_path), str(TRACED), "{}", str(trace)]
        with (tmp_path / f"machine{rank}").open("w") as output:
            machines.append(
                subprocess.Popen(
                    [*command, *as_flags(settings)], stdout=output, stderr=subprocess.STDOUT, env=environment()
                )
            )
    end = time.monotonic() + 240
    try:
        while any(machine.poll() is None for machine in machines) and time.monotonic() < end:
            time.sleep(0.2)
    finally:
        for machine in machines:
            machine.kill()  # if one failed, the other waits for it
            machine.wait()
    check(trace, settings, "\n".join((tmp_path / f"machine{rank}").read_text() for rank in (0, 1)))


def test_two_machines_of_torchrun_train_as_one(settings, tmp_path):
    port, trace = free_port(), tmp_path / "trace"
    machines = [[sys.executable, "-m", *torchrun(rank, port)] for rank in (0, 1)]
    with launched_environments(*machines, count=2) as environments:
        assert [each["LOCAL_RANK"] for each in environments] == ["0", "0"]  # each is the first of its machine
        done = Processes(TRACED, "{}", trace, *as_flags(settings), environments=environments).wait()
    assert done.returncode == 0, done.stderr
    check(trace, settings, done.stdout + done.stderr)
