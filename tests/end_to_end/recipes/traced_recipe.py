"""A recipe with a trace, and with a death at a chosen moment: `traced_recipe.py PLAN TRACE FLAGS`.

PLAN, in JSON, may name another `recipe` than text_classification. It may have `event` and, except for "results", `update`; for
`saving`, how much (`part`) of which `file` of that checkpoint is written. Events are those of EVENTS. TRACE is the beginning of
a file's name, to which the process's rank is added: the file gets a line for the start, for each update with its LRs, and for
the death. Where there are several processes, this one then waits to be killed.
"""

import importlib
import json
import os
import shutil
import signal
import sys
import time
from pathlib import Path
from typing import Any

EVENTS = ("training", "evaluating", "evaluated", "saving", "saved", "rotating", "outside", "results")


def main(plan: dict[str, Any], trace: Path, argv: list[str]) -> int:
    sys.path.insert(0, str(Path(__file__).parents[3] / "recipes"))
    import torch
    import transformers
    from common import results, run
    from transformers import TrainerCallback, TrainerState

    recipe = importlib.import_module(plan.get("recipe", "text_classification"))
    rank = os.environ.get("RANK", "0")
    mine = plan.get("rank", "0") == rank

    def write(line: dict[str, Any]) -> None:
        with trace.with_name(trace.name + rank).open("a") as file:
            file.write(json.dumps(line) + "\n")

    def is_now(event: str, update: int) -> bool:
        return mine and plan.get("event") == event and plan.get("update") == update

    def die() -> None:
        write({"dies": plan})
        if "WORLD_SIZE" not in os.environ:
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(600)

    class Probe(TrainerCallback):
        update = 0

        def on_train_begin(self, args, state, control, **kwargs):
            write({"begins": state.global_step, "pid": os.getpid()})

        def on_pre_optimizer_step(self, args, state, control, optimizer=None, **kwargs):
            Probe.update = state.global_step + 1
            write({"update": Probe.update, "lrs": [float(group["lr"]) for group in optimizer.param_groups]})
            if is_now("training", Probe.update):
                die()
            if plan.get("event") == "outside":  # slowly, and never further than that
                time.sleep(0.1)
                while Probe.update == plan.get("update"):
                    time.sleep(1)

        def on_prediction_step(self, args, state, control, **kwargs):
            if is_now("evaluating", state.global_step):
                die()

        def on_evaluate(self, args, state, control, **kwargs):
            if is_now("evaluated", state.global_step):
                die()

        def on_save(self, args, state, control, **kwargs):
            if is_now("saved", state.global_step):
                die()

    def cut_off(save):
        def saves(*args: Any, **kwargs: Any) -> None:
            save(*args, **kwargs)
            path = Path(args[1])
            if path.name == plan.get("file") and is_now("saving", int(path.parent.name.partition("-")[2] or -1)):
                os.truncate(path, int(path.stat().st_size * plan["part"]))
                die()

        return saves

    remove = shutil.rmtree

    def removes(folder: Any, *args: Any, **kwargs: Any) -> None:
        if is_now("rotating", Probe.update) and Path(folder).name.startswith("checkpoint-"):
            for path in sorted(Path(folder).iterdir())[::2]:
                path.unlink()
            die()
        remove(folder, *args, **kwargs)

    torch.save = cut_off(torch.save)
    transformers.modeling_utils.safe_save_file = cut_off(transformers.modeling_utils.safe_save_file)
    TrainerState.save_to_json = cut_off(TrainerState.save_to_json)
    shutil.rmtree = removes

    write_table = results.write_table

    def writes_table(*args: Any) -> None:
        if mine and plan.get("event") == "results":
            die()
        write_table(*args)

    results.write_table = writes_table

    make = run.make_trainer

    def make_with_probe(*arguments: Any) -> Any:
        trainer = make(*arguments)
        trainer.add_callback(Probe())
        return trainer

    run.make_trainer = make_with_probe
    return recipe.main(argv)


if __name__ == "__main__":
    sys.exit(main(json.loads(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:]))
