"""Your own training loop under accelerate, with the right learning rate at any number of processes.

    python examples/accelerate_loop.py
    accelerate launch --config_file recipes/accelerate/two_cpu.yaml examples/accelerate_loop.py --accumulate 2

It prints the learning rate of every update, from every process.
"""

import argparse
import math

import torch
from accelerate import Accelerator, DataLoaderConfiguration
from accelerate.utils import gather_object

from hf_lrsched import prepare_schedule


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--schedule", default="warmup(25%) >> linear()")
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--accumulate", type=int, default=1, help="batches of one process for one update")
    parser.add_argument(
        "--split-batches", action="store_true", help="the processes share a batch instead of having one each"
    )
    arguments = parser.parse_args()

    accelerator = Accelerator(
        cpu=True,
        gradient_accumulation_steps=arguments.accumulate,
        dataloader_config=DataLoaderConfiguration(split_batches=arguments.split_batches),
    )
    used = train(accelerator, arguments)
    line = f"process {accelerator.process_index} of {accelerator.num_processes}: {' '.join(f'{lr:.6f}' for lr in used)}"
    # One process prints for all: lines of several would run into each other. Nobody leaves before it has printed:
    # gloo's threads can abort a process that is leaving, whereupon the launcher stops all the others.
    accelerator.print(*gather_object([line]), sep="\n", flush=True)
    accelerator.wait_for_everyone()
    # The model goes before the process group: if it were the last to hold the group, torch would wait for gloo's threads
    # with Python's lock in its hand, and one of them may be waiting for that lock.
    accelerator.free_memory()
    accelerator.end_training()


def train(accelerator: Accelerator, arguments: argparse.Namespace) -> list[float]:
    """Returns the LR of every update."""
    torch.manual_seed(0)
    data = torch.utils.data.TensorDataset(torch.randn(64, 4), torch.randn(64, 1))
    model = torch.nn.Linear(4, 1)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    loader = torch.utils.data.DataLoader(data, batch_size=8, shuffle=True)
    model, optimizer, loader = accelerator.prepare(model, optimizer, loader)

    # The prepared loader counts the batches of one process, so this is the number of updates at any launch.
    updates_per_epoch = math.ceil(len(loader) / arguments.accumulate)
    updates = arguments.epochs * updates_per_epoch
    scheduler = prepare_schedule(arguments.schedule, optimizer, accelerator, updates, updates_per_epoch)

    used = []
    for _ in range(arguments.epochs):
        for inputs, targets in loader:
            with accelerator.accumulate(model):
                loss = torch.nn.functional.mse_loss(model(inputs), targets)
                accelerator.backward(loss)
                if accelerator.sync_gradients:
                    used.append(optimizer.param_groups[0]["lr"])
                optimizer.step()
                scheduler.step()
                optimizer.zero_grad()
    return used


if __name__ == "__main__":
    main()
