"""A loop of one's own with torch's sharding on the CPU, one of several processes; prints its LRs as one line of JSON.

torchrun --nproc_per_node 2 tests/end_to_end/fsdp_loop.py fully_shard | FullyShardedDataParallel
"""

import json
import math
import sys

import torch
from accelerate import Accelerator
from torch.distributed.fsdp import FullyShardedDataParallel, fully_shard

from hf_lrsched import prepare_schedule


def main(kind):
    accelerator = Accelerator(cpu=True)
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Linear(8, 1))
    if kind == "fully_shard":
        mesh = torch.distributed.device_mesh.init_device_mesh("cpu", (accelerator.num_processes,))
        model = fully_shard(model, mesh=mesh)
    else:
        model = FullyShardedDataParallel(model, device_id=torch.device("cpu"), use_orig_params=True)
    parameter = type(next(model.parameters())).__name__
    data = torch.utils.data.TensorDataset(torch.randn(64, 4), torch.randn(64, 1))
    loader = accelerator.prepare(torch.utils.data.DataLoader(data, batch_size=4))
    optimizer = accelerator.prepare(torch.optim.AdamW(model.parameters(), lr=1e-2))
    updates = math.ceil(len(loader))
    scheduler = prepare_schedule("warmup(25%) >> linear()", optimizer, accelerator, updates)
    used = []
    optimizer.optimizer.register_step_pre_hook(lambda stepped, *_: used.append(float(stepped.param_groups[0]["lr"])))
    for inputs, targets in loader:
        accelerator.backward(torch.nn.functional.mse_loss(model(inputs), targets))
        optimizer.step()
        scheduler.step()
        optimizer.zero_grad()
    found = {"model": type(model).__name__, "parameter": parameter, "used": used}
    print("FOUND " + json.dumps(found), flush=True)
    accelerator.wait_for_everyone()
    accelerator.end_training()


if __name__ == "__main__":
    main(sys.argv[1])
