"""A loop of one's own under accelerate and DeepSpeed, on the CPU; prints the LRs that it used as one line of JSON.

python tests/end_to_end/deepspeed_loop.py '{"config": {...}, "accumulate": 2}'
"""

import json
import math
import os
import sys

import torch
from accelerate import Accelerator, DeepSpeedPlugin
from accelerate.utils.deepspeed import DummyOptim

from hf_lrsched import prepare_schedule


def main(options):
    accumulate = options["accumulate"]
    accelerator = Accelerator(
        gradient_accumulation_steps=accumulate, deepspeed_plugin=DeepSpeedPlugin(hf_ds_config=options["config"])
    )
    torch.manual_seed(0)
    data = torch.utils.data.TensorDataset(torch.randn(64, 4), torch.randn(64, 1))
    loader = torch.utils.data.DataLoader(data, batch_size=8)
    model = torch.nn.Linear(4, 1)
    optimizer_class = DummyOptim if "optimizer" in options["config"] else torch.optim.AdamW
    model, optimizer, loader = accelerator.prepare(model, optimizer_class(model.parameters(), lr=1e-2), loader)
    updates = math.ceil(len(loader) / accumulate)
    scheduler = prepare_schedule("warmup(25%) >> linear()", optimizer, accelerator, updates)
    torchs = optimizer
    while hasattr(torchs, "optimizer"):
        torchs = torchs.optimizer
    used = []
    torchs.register_step_pre_hook(lambda stepped, *_: used.append(float(stepped.param_groups[0]["lr"])))
    for inputs, targets in loader:
        with accelerator.accumulate(model):
            accelerator.backward(torch.nn.functional.mse_loss(model(inputs), targets))
            optimizer.step()
            scheduler.step()
            optimizer.zero_grad()
    print("FOUND " + json.dumps({"engine": type(model).__name__, "used": used}), flush=True)


if __name__ == "__main__":
    os.environ.setdefault("DS_ACCELERATOR", "cpu")
    main(json.loads(sys.argv[1]))
