"""Search the peak LR, train with it, and print what shows that the search changed nothing: one or several processes."""

import json
import sys

import torch

from hf_lrsched import ScheduledTrainer, find_lr
from tests.searching import digest, make_quiet_arguments, next_draws
from tests.tiny_trainer import Net, samples


def main():
    folder, options = sys.argv[1], json.loads(sys.argv[2])
    torch.manual_seed(0)
    lr = options.get("learning_rate", 1e-3)
    args = make_quiet_arguments(folder, per_device_train_batch_size=4, max_steps=48, learning_rate=lr)
    trainer = ScheduledTrainer(
        model=Net(), args=args, train_dataset=samples(256), eval_dataset=samples(30), schedule="warmup(10%) >> linear()"
    )
    found = {"processes": args.world_size, "learning_rate": args.learning_rate}
    if "learning_rate" not in options:
        before, numbers = digest(trainer.model), next_draws()
        search = find_lr(trainer)
        found |= {"learning_rate": search.suggestion, "losses": [probe.loss for probe in search.probes]}
        found |= {"is_left_alone": digest(trainer.model) == before and next_draws() == numbers}
        trainer.args.learning_rate = search.suggestion
    trainer.train()
    found["weights"] = digest(trainer.model)
    print("FOUND " + json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
