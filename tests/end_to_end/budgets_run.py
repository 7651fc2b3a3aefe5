"""Train two budgets from one trunk, then the longer one as a run of its own, and print what shows that they agree."""

import json
import sys

import torch
from safetensors.torch import load_file

from hf_lrsched import ScheduledTrainer, train_budgets
from tests.searching import digest, make_quiet_arguments
from tests.tiny_trainer import Net, samples


def make(folder, schedule, **settings):
    torch.manual_seed(0)
    args = make_quiet_arguments(folder, per_device_train_batch_size=2, learning_rate=1e-2, **settings)
    return ScheduledTrainer(
        model=Net(), args=args, train_dataset=samples(64), eval_dataset=samples(30), schedule=schedule
    )


def main():
    folder, options = sys.argv[1], json.loads(sys.argv[2])
    trainer = make(f"{folder}/budgets", "warmup(10%) >> linear()")
    before = digest(trainer.model)
    found = train_budgets(trainer, options["budgets"])
    longest = found.branches[-1]
    separate = make(
        f"{folder}/separate", f"{found.trunk} >> one_minus_sqrt(over={longest.cooldown})", max_steps=longest.updates
    )
    separate.train()
    kept, weights = load_file(f"{longest.folder}/model.safetensors"), separate.model.state_dict()
    shown = {
        "processes": trainer.args.world_size,
        "is_left_alone": digest(trainer.model) == before,
        "is_the_separate_run": all(torch.equal(kept[name], weights[name]) for name in weights),
        "losses": [branch.metrics["eval_loss"] for branch in found.branches],
        "updates": [branch.updates for branch in found.branches],
    }
    print("FOUND " + json.dumps(shown), flush=True)


if __name__ == "__main__":
    main()
