"""Two launches on one machine stand for two machines: they train as one, with the LRs of one process."""

import json
import sys

import pytest
import yaml

from tests.end_to_end.recipes.traces import TRACED, traced_lrs
from tests.processes import ROOT, Processes, free_port, launched_environments
from tests.recipe_runs import as_flags, state_of, warmup_then_linear

pytestmark = pytest.mark.slow


def accelerate_launch(rank: int, port: int, folder) -> list[str]:
    """The command of multi_node.yaml, with CPUs in place of GPUs and loopback in place of the network."""
    settings = yaml.safe_load((ROOT / "recipes" / "accelerate" / "multi_node.yaml").read_text(encoding="utf-8"))
    config = folder / "machines.yaml"
    here = {"use_cpu": True, "num_processes": 2, "main_process_ip": "127.0.0.1", "main_process_port": port}
    config.write_text(json.dumps(settings | here | {"gpu_ids": None}))
    return ["accelerate.commands.launch", "--config_file", str(config), "--machine_rank", str(rank)]


def torchrun(rank: int, port: int, folder) -> list[str]:
    rendezvous = ["--rdzv_backend", "c10d", "--rdzv_endpoint", f"127.0.0.1:{port}", "--rdzv_id", "two"]
    local = ["--nnodes", "2", "--nproc_per_node", "1", "--local_addr", "127.0.0.1"]
    return ["torch.distributed.run", *local, *rendezvous, "--node_rank", str(rank)]


@pytest.mark.parametrize("launcher", [accelerate_launch, torchrun], ids=["accelerate", "torchrun"])
def test_two_machines_train_as_one(launcher, flags, tmp_path):
    settings = {
        **flags,
        "num_train_epochs": 6,
        "per_device_train_batch_size": 16,
        "schedule": "warmup(2) >> linear()",
        "output_dir": tmp_path / "out",
    }
    port, trace = free_port(), tmp_path / "trace"
    machines = [[sys.executable, "-m", *launcher(rank, port, tmp_path)] for rank in (0, 1)]
    with launched_environments(*machines, count=2) as environments:
        assert [each["LOCAL_RANK"] for each in environments] == ["0", "0"]  # each is the first of its machine
        done = Processes(TRACED, "{}", trace, *as_flags(settings), environments=environments).wait()
    assert done.returncode == 0, done.stderr
    ranks = [traced_lrs(trace, rank) for rank in (0, 1)]
    assert ranks[0] == ranks[1] == pytest.approx(warmup_then_linear(6, 2, 5e-5))
    assert (done.stdout + done.stderr).count("LR used:") == 1
    logged = [record for record in state_of(tmp_path / "out")["log_history"] if "loss" in record]
    assert [record["learning_rate"] for record in logged] == ranks[0]
