"""Each recipe in two processes: the LRs and the metrics of one process."""

import importlib
import json
import math
from pathlib import Path

import pytest

from tests.end_to_end.recipes.traces import TRACED, traced_lrs
from tests.processes import run_forked
from tests.recipe_runs import as_flags, used_lrs
from tests.recipes.task_data import RECIPES, script_of, write_data

pytestmark = pytest.mark.slow
PEAK = 1e-9  # so small that all runs evaluate the same weights


@pytest.mark.parametrize("task", RECIPES)
def test_two_processes_equal_one(recipe, flags, tmp_path, task):
    """13 rows in batches of 4 and of 2 x 4: the last ones are filled up, and no row may count twice."""
    shared = {**flags, **write_data(task, tmp_path), "learning_rate": PEAK, "schedule": "warmup(2) >> cosine()"}
    shared |= {"per_device_eval_batch_size": 4, "save_strategy": "no", "max_steps": 6}
    two = {**shared, "per_device_train_batch_size": 4, "output_dir": tmp_path / "two"}
    plan = json.dumps({"recipe": script_of(task)})
    done = run_forked(TRACED, plan, tmp_path / "trace", *as_flags(two), count=2)
    assert done.returncode == 0, done.stderr
    module = importlib.import_module(script_of(task))
    assert module.main(as_flags({**shared, "output_dir": tmp_path / "one"})) == 0

    expected = [0, PEAK / 2, *(PEAK * (1 + math.cos(math.pi * u / 4)) / 2 for u in range(4))]
    for rank in (0, 1):
        assert traced_lrs(tmp_path / "trace", rank) == pytest.approx(expected)
    assert used_lrs(tmp_path / "one") == used_lrs(tmp_path / "two") == traced_lrs(tmp_path / "trace")
    tables = [json.loads(Path(tmp_path, name, "metrics.json").read_text()) for name in ("one", "two")]
    assert len(tables[0]) == len(tables[1]) >= 1
    for mine, other in zip(*tables, strict=True):
        assert set(mine) == set(other) and mine["validation_loss"] > 0
        for name in set(mine) - {"training_loss"}:
            assert mine[name] == pytest.approx(other[name], abs=1e-6), name
