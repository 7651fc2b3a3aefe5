"""The tables of the report: phases, groups, events, steps, evaluations, comparisons and warnings."""

import json

import pytest

from hf_lrsched.runs import read_run
from tests.report.page_parts import doubles
from tests.report.report_runs import write_record


def test_tables(page_of, trained):
    page = page_of(trained[0] / "plateau")
    assert page.table("group") == [
        ["body", "40", "0.001", "0.01", "the run's"],
        ["head", "18", "0.004", "0.01", "the run's"],
    ]
    rows = page.table("update", "epoch", "LR used", "accuracy")
    assert [row[0] for row in rows] == [str(step) for step in range(3, 25, 3)]
    assert rows[3][1:4] == ["2", "0.00065", "0.5"]  # 1e-3 * (1 - 7/20), before the plateau fell
    marked = [attributes for attributes in page.all("tr") if attributes.get("class") == "best"]
    assert len(marked) == 1 and "best accuracy" in page.text
    settings = dict(page.table("setting"))
    assert settings["optimizer"] == "AdamW" and settings["updates per epoch"] == "6" and settings["clock"] == "updates"
    assert "1 warning" not in page.text


def test_several_runs(page_of, trained):
    folder, _ = trained
    page = page_of(*(folder / name for name in ("plateau", "cooldown", "stock")))
    rows = page.table("run", "best accuracy")
    assert [row[0] for row in rows] == ["plateau", "cooldown", "stock"]
    plateau = "(warmup(4) >> linear()) * plateau(metric=eval_accuracy, factor=0.5, patience=1)"
    assert rows[0][1:] == ["0.875", "18", "0.75", "24", "0.004", plateau]
    assert rows[1][1:] == ["0.75", "6", "0.625", "15", "0.001", "warmup(2) >> hold() >> cooldown(6, shape=linear)"]
    assert rows[2][-1] == "–"
    assert [run["name"] for run in page.data["runs"]] == ["plateau", "cooldown", "stock"]
    assert {"plateau", "cooldown", "stock"} <= set(page.headings)


def test_runs_of_one_name_get_the_names_of_their_folders(page_of, tmp_path):
    for parent in ("a", "b"):
        write_record(tmp_path / parent / "run", "linear()", {"g": 1e-3}, train=[{"step": 1, "loss": 1.0}])
    page = page_of(tmp_path / "a" / "run", tmp_path / "b" / "run")
    assert [run["name"] for run in page.data["runs"]] == ["a/run", "b/run"]


def test_comparison_names_missing_metrics(page_of, tmp_path):
    one = write_record(tmp_path / "one", "linear()", {"g": 1e-3}, evaluations=[{"step": 50, "eval_f1": 0.5}])
    rows = [{"step": 5, "eval_accuracy": 0.5, "eval_loss": 1.0}]
    two = write_record(tmp_path / "two", "linear()", {"g": 1e-3}, updates=10, per_epoch=5, evaluations=rows)
    page = page_of(one, two)
    assert "updates per epoch: one 25, two 5" in page.text
    assert "Without F1: two." in page.text and "Without accuracy: one." in page.text
    assert [row[1] for row in page.table("run")] == ["0.5", "–"]


def test_measured_steps_are_drawn_and_listed(page_of, trained):
    folder, held = trained
    page = page_of(folder / "measured")
    rows = [json.loads(line) for line in (folder / "measured" / "record" / "steps.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == [4, 8, 12, 16, 20, 24]
    body, head = page.run()["steps"]
    for line, name in ((body, "body"), (head, "head")):
        assert line["groups"] == [name]
        assert doubles(line["x"]) == [4, 8, 12, 16, 20, 24]
        assert doubles(line["y"]) == [row[f"update_ratio/{name}"] for row in rows]
    cells = page.table("group", "update", "update / weights")
    for index, (name, row) in enumerate(zip(("body", "head"), cells, strict=True)):
        numbers = [
            rows[-1][f"{key}/{name}"] for key in ("update_ratio", *(f"effective_lr_{p}" for p in ("p05", "p50", "p95")))
        ]
        numbers.insert(1, held["measured"][23][index])  # the LR that update 24 used
        assert row == [name, "24", *(f"{number:.6g}" for number in numbers)]


@pytest.mark.parametrize("name", ["plateau", "stock"])
def test_runs_without_measurements_have_neither_line_nor_table(page_of, trained, name):
    page = page_of(trained[0] / name)
    assert page.run()["steps"] == [] and "update / weights" not in page.text


def test_steps_that_are_known_in_part(page_of, tmp_path):
    """A frozen group, whose ratio is 0; a group whose weights were 0 at first; an optimizer without effective LRs."""
    steps = [
        {"step": 10, "update_ratio/a": 0.0},
        {"step": 20, "update_ratio/a": 0.0, "update_ratio/b": 0.25, "effective_lr_p50/c": None},
    ]
    page = page_of(write_record(tmp_path / "run", "linear()", {"b": 1e-3, "a": 1e-3}, updates=20, steps=steps))
    assert [(line["groups"], doubles(line["x"])) for line in page.run()["steps"]] == [(["b"], [20.0])]
    assert [row[:4] for row in page.table("group", "update")] == [
        ["b", "20", "0.25", "5e-05"],
        ["a", "20", "0", "5e-05"],
        ["c", "20", "–", "–"],
    ]


def test_warnings(page_of, tmp_path):
    train = [{"step": 1, "loss": None, "not_finite": "loss=nan"}, {"step": 40, "loss": 1.0}]
    folder = write_record(tmp_path / "run", "warmup(200) >> linear()", {"g": 1e-3}, updates=300, train=train)
    with (folder / "record" / "train.jsonl").open("a") as file:
        file.write('{"step": 41, "lo')
    page = page_of(folder)
    assert "1 record holds a value that is not finite, the first at update 1: loss=nan." in page.text
    assert "1 line of the record cannot be read" in page.text
    assert "the run is at update 40 of 300" in page.text
    assert page.run()["done"] == 40
    (note,) = read_run(folder).segments[-1].trajectory.curves()[0].notes or [None]
    assert note is None or note in page.text
