"""What the chart of the report draws: its lines are the LRs that the optimizer held."""

import json

import pytest

from hf_lrsched.runs import read_run
from tests.report.page_parts import doubles
from tests.report.report_runs import ACCURACIES, PEAK, write_record

SIX_MEGABYTES = 6_000_000


def test_lrs_of_a_run_with_a_plateau(page_of, trained):
    folder, held = trained
    page = page_of(folder / "plateau")
    # 4 updates of warmup, 20 of decay; from update 13 on half of it, for the accuracy of update 6 was not beaten by two.
    factors = [t / 4 if t < 4 else 1 - (t - 4) / 20 for t in range(24)]
    factors = [factor * (0.5 if t >= 12 else 1) for t, factor in enumerate(factors)]
    for index, (group, peak) in enumerate({"body": PEAK, "head": 4 * PEAK}.items()):
        updates, lrs = page.lr(group)
        assert updates == list(range(1, 25))
        assert lrs == pytest.approx([peak * factor for factor in factors], rel=1e-12)
        assert lrs == pytest.approx([each[index] for each in held["plateau"]], rel=1e-12)
    assert page.run()["lr"]["exact"] and page.run()["lr"]["every"]


def test_metrics_losses_phases_and_events(page_of, trained):
    folder, _ = trained
    page = page_of(folder / "plateau")
    run = page.run()
    accuracy = run["metrics"]["eval_accuracy"]
    assert doubles(accuracy["x"]) == doubles(run["stops"]) == list(range(3, 25, 3))
    assert doubles(accuracy["y"]) == list(ACCURACIES)
    assert accuracy["best"] == [18, 0.875] and accuracy["last"] == [24, 0.75]
    history = json.loads((folder / "plateau" / "trainer_state.json").read_text())["log_history"]
    assert doubles(run["training"]["y"]) == [row["loss"] for row in history if "loss" in row]
    assert doubles(run["losses"]["validation loss"]["y"]) == [row["eval_loss"] for row in history if "eval_loss" in row]
    plateau = "plateau(metric=eval_accuracy, factor=0.5, patience=1)"
    assert run["bands"] == [[f"warmup(4) * {plateau}", 0, 4], [f"linear() * {plateau}", 4, 24]]
    assert [step for step, _ in run["events"]] == [12, 24]
    assert run["events"][0][1].startswith("plateau: eval_accuracy 0.5, the best was 0.625")
    assert run["perEpoch"] == 6 and run["done"] == 24
    assert page.data["metric"] == "eval_accuracy"
    assert page.data["metrics"] == [{"key": "eval_accuracy", "name": "accuracy"}]


@pytest.mark.parametrize("name", ["cooldown", "resumed"])
def test_lrs_are_those_that_the_optimizer_held(page_of, trained, name):
    folder, held = trained
    page = page_of(folder / name)
    updates, lrs = page.lr("group_0")
    assert updates == list(range(1, len(held[name]) + 1))
    assert lrs == pytest.approx([each[0] for each in held[name]], rel=1e-12, abs=1e-18)
    assert page.run()["lr"]["lines"][0]["groups"] == ["group_0", "group_1"]  # which have the same LRs


def test_phases_of_an_early_cooldown(page_of, trained):
    folder, _ = trained
    cooled = page_of(folder / "cooldown").run()
    assert cooled["bands"] == [["warmup(2)", 0, 2], ["hold()", 2, 9], ["cooldown(6, shape=linear)", 9, 15]]
    assert cooled["events"][0][0] == 9 and "early stopping" in cooled["events"][0][1]
    assert cooled["metrics"]["eval_accuracy"]["isKept"]


def test_a_resumed_run(page_of, trained):
    page = page_of(trained[0] / "resumed")
    run = page.run()
    assert run["bands"][0] == ["warmup(4)", 0, 4] and run["bands"][-1][2] == 36
    assert run["events"] == [[12, "resume: on_resume=stretch (LR 0.0006 → 0.0006)"]]
    assert ["resume", "12", "on_resume=stretch", "LR 0.0006 → 0.0006"] in page.table("what")


def test_a_stock_run_has_the_lrs_of_its_records(page_of, trained):
    folder, _ = trained
    page = page_of(folder / "stock")
    history = json.loads((folder / "stock" / "trainer_state.json").read_text())["log_history"]
    recorded = [row["learning_rate"] for row in history if "learning_rate" in row]
    assert doubles(page.run()["lr"]["lines"][0]["y"]) == recorded and not page.run()["lr"]["exact"]
    assert page.run()["bands"] == [] and "known only where the run logged it" in page.text


def test_a_history_without_lrs(page_of, tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    rows = [{"step": 5, "loss": 1.0}, {"step": 10, "loss": 0.5}]
    (folder / "trainer_state.json").write_text(json.dumps({"log_history": rows, "max_steps": 10}))
    page = page_of(folder)
    assert page.run()["lr"] is None and "no LR is drawn" in page.text
    assert doubles(page.run()["training"]["y"]) == [1.0, 0.5]


def test_a_clock_that_is_not_updates(page_of, tmp_path):
    folder = write_record(
        tmp_path / "run", "linear()", {"g": 1e-3}, train=[{"step": 5, "loss": 1.0, "learning_rate": 9e-4}]
    )
    file = folder / "record" / "run.jsonl"
    row = json.loads(file.read_text())
    row["trajectory"]["unit"] = "seconds"
    file.write_text(json.dumps(row) + "\n")
    page = page_of(folder)
    assert "its schedule counts seconds" in page.text
    assert doubles(page.run()["lr"]["lines"][0]["y"]) == [9e-4]


@pytest.mark.slow
def test_a_million_updates_of_28_groups(page_of, huge):
    page = page_of(huge)
    assert page.path.stat().st_size < SIX_MEGABYTES
    lr = page.run()["lr"]
    assert sorted(name for line in lr["lines"] for name in line["groups"]) == sorted(read_run(huge).groups)
    assert len(lr["lines"]) == 14  # two groups of a layer have the same LRs
    updates, lrs = page.lr("encoder.layer.0/decay")
    drawn = dict(zip(updates, lrs, strict=True))
    assert updates == sorted(updates) and updates[0] == 1 and updates[-1] == 1_000_000
    # Both sides of every drop: 10,000 updates of warmup, then by 0.7 after every 100,000.
    for number in range(1, 10):
        at = 10_000 + number * 100_000
        assert drawn[at] == pytest.approx(1e-4 * 0.7 ** (number - 1), rel=1e-12)
        assert drawn[at + 1] == pytest.approx(1e-4 * 0.7**number, rel=1e-12)
    assert all(float(step) in drawn for step in range(1000, 10_000, 1000))  # beside the evaluations
    assert drawn[5000] == pytest.approx(1e-4 * 4999 / 10_000, rel=1e-12)
    assert len(page.table("update", "epoch")) <= 502 and "of 1,000 evaluations" in page.text
