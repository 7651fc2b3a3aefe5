"""The report: what it holds is what trained; it is one file that loads nothing; what a run says is text."""

import base64
import hashlib
import json
import re
import sys

import pytest

from hf_lrsched.cli.main import main
from hf_lrsched.report import html as page_module
from hf_lrsched.report import write_report
from hf_lrsched.runs import read_run
from hf_lrsched.schedules import ScheduleError
from tests.report.page_parts import Page, doubles
from tests.report.report_runs import ACCURACIES, LINK, MATHS, PEAK, UGLIER, UGLY, write_record

SIX_MEGABYTES = 6_000_000


# ---- one file that loads nothing ----


def test_report_is_one_file_that_loads_nothing(page_of, trained):
    page = page_of(trained[0] / "plateau")
    assert page.source.lstrip().startswith("<!DOCTYPE html>")
    assert page.path.stat().st_size < SIX_MEGABYTES
    links = [value for _, attributes in page.elements for key, value in attributes.items() if key in ("src", "href")]
    assert links == ["data:,"]  # an icon that is none, so that the browser asks for none
    assert len(page.scripts) == 3
    style = page.source.partition("<style>")[2].partition("</style>")[0]
    assert "@import" not in style and "url(" not in style
    identifiers = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(identifiers) == len(set(identifiers))
    asked_for = re.findall(r'(?<![\w.])(?:element|on)\("([\w-]+)"', page.scripts[2])
    assert len(asked_for) > 20 and set(asked_for) <= set(identifiers)


def test_the_policy_lets_the_pages_own_scripts_run_and_nothing_else(page_of, trained):
    page = page_of(trained[0] / "plateau")
    (policy,) = [each["content"] for each in page.all("meta") if each.get("http-equiv") == "Content-Security-Policy"]
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    hashes = [base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in page.scripts[1:]]
    assert rules["default-src"] == "'none'"
    assert rules["script-src"].split() == [f"'sha256-{each}'" for each in hashes]
    assert rules["img-src"] == "data: blob:"
    assert not any("http" in rule or "*" in rule for rule in rules.values())
    # The policy stands before whatever it is to hold for.
    assert page.source.index("Content-Security-Policy") < page.source.index("<script")


def test_controls_are_native_and_named(page_of, trained):
    page = page_of(trained[0] / "plateau", trained[0] / "stock")
    for kind in ("select", "button", "input"):
        assert page.all(kind)
    assert all(each["type"] == "button" for each in page.all("button"))
    (chart,) = [each for each in page.all("div") if each.get("id") == "chart"]
    assert chart["tabindex"] == "0" and chart["aria-label"] and chart["aria-describedby"] == "keys"
    (readout,) = [each for each in page.all("p") if each.get("id") == "readout"]
    assert readout["aria-live"] == "polite"
    scrolled = [each for each in page.all("div") if each.get("class") == "scroll"]
    assert len(scrolled) == len(page.tables) and all(each["tabindex"] == "0" for each in scrolled)
    assert "needs JavaScript" in page.text
    assert any(each.get("name") == "viewport" for each in page.all("meta"))


# ---- the data are what trained ----


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


# ---- sizes of updates ----


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


# ---- texts of a run are texts ----


def test_markup_stays_text(page_of, ugly):
    page = page_of(ugly)
    plain = page_of_nothing(page_of, ugly)
    # Nothing but what any page has: no element, attribute or script of the run's making.
    assert {tag for tag, _ in page.elements} <= {tag for tag, _ in plain.elements}
    assert len(page.scripts) == 3 and not page.all("img") and not page.all("a")
    assert not any(name.startswith("on") for _, attributes in page.elements for name in attributes)
    for text in (UGLY, UGLIER, LINK, MATHS):
        assert text in [row[0] for row in page.table("group", "parameters")]
    assert page.headings[0] == UGLY == page.run()["name"]
    assert {line["groups"][0] for line in page.run()["lr"]["lines"]} == {UGLY, UGLIER, LINK, MATHS}
    assert [each["name"] for each in page.data["metrics"]] == [UGLIER, UGLY, LINK, MATHS]
    assert [row[:3] for row in page.table("group", "update")] == [[UGLIER, "100", "0.002"]]
    assert page.table("what")[0] == [UGLY, "40", UGLIER, f"LR 0.001 → {LINK}"]
    assert not set("<>&") & set(page.scripts[0])


def page_of_nothing(page_of, ugly):
    path = write_record(ugly.parent / "plain", "linear()", {"g": 1e-3}, evaluations=[{"step": 5, "eval_loss": 1.0}])
    return Page(write_report([read_run(path)], ugly.parent / "plain.html", force=True))


def test_unusual_characters(page_of, tmp_path):
    strange = "\ud800 \u2028 \u2029 \x00 \u202e"
    folder = write_record(
        tmp_path / "run", "linear()", {strange: 1e-3}, train=[{"step": 1, "loss": 1.0}], model=strange
    )
    page = page_of(folder)
    assert page.run()["lr"]["lines"][0]["groups"] == [strange]
    assert not {"\u2028", "\u2029"} & set(page.scripts[0])


# ---- warnings ----


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


# ---- bad input ----


def run_command(capsys, *arguments):
    status = main(["report", *map(str, arguments)])
    return status, capsys.readouterr()


def test_the_command_writes_into_the_working_directory(tmp_path, monkeypatch, capsys, trained):
    monkeypatch.chdir(tmp_path)
    status, output = run_command(capsys, trained[0] / "plateau")
    assert (status, output.out) == (0, "wrote plateau.html\n")
    status, output = run_command(capsys, trained[0] / "plateau", trained[0] / "stock")
    assert (status, output.out) == (0, "wrote report.html\n")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["plateau.html", "report.html"]


def test_a_file_that_exists_is_kept_unless_forced(tmp_path, capsys, trained):
    file = tmp_path / "mine.html"
    file.write_text("mine")
    status, output = run_command(capsys, trained[0] / "stock", "--output", file)
    assert status == 2 and "exists and is kept" in output.err and file.read_text() == "mine"
    assert run_command(capsys, trained[0] / "stock", "--output", file, "--force")[0] == 0
    assert Page(file).run()["name"] == "stock"


@pytest.mark.parametrize(
    ("output", "message"),
    [("page.pdf", "must be .html or .htm"), ("missing/page.html", "does not exist"), ("folder.html", "is a folder")],
)
def test_invalid_outputs(tmp_path, capsys, output, message):
    (tmp_path / "folder.html").mkdir()
    status, output = run_command(capsys, "anything", "--output", tmp_path / output)  # refused before a run is read
    assert status == 2 and message in output.err


def test_unreadable_runs(tmp_path, capsys):
    empty = tmp_path / "empty"
    empty.mkdir()
    status, output = run_command(capsys, empty, "--output", tmp_path / "page.html")
    assert status == 2 and "is not a run's folder" in output.err
    status, output = run_command(capsys, tmp_path / "missing", "--output", tmp_path / "page.html")
    assert status == 2 and "no such file or folder" in output.err
    state = tmp_path / "trainer_state.json"
    state.write_text('{"log_history": [{"step"')
    status, output = run_command(capsys, state, "--output", tmp_path / "page.html")
    assert status == 2 and "is not JSON" in output.err
    state.write_text('{"log_history": []}')
    status, output = run_command(capsys, state, "--output", tmp_path / "page.html")
    assert status == 2 and "nothing to report" in output.err
    assert not (tmp_path / "page.html").exists()


def test_a_schedule_of_the_users_own_needs_its_module(tmp_path, capsys, monkeypatch):
    folder = write_record(tmp_path / "run", "hausgemacht()", {"g": 1e-3}, train=[{"step": 1, "loss": 1.0}])
    status, output = run_command(capsys, folder, "--output", tmp_path / "page.html")
    assert status == 2 and str(folder) in output.err and "hausgemacht" in output.err
    (tmp_path / "my_schedules_of_the_report.py").write_text(
        "from hf_lrsched import register\nregister('hausgemacht', 'warmup(10) >> linear()')\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    arguments = [folder, "--output", tmp_path / "page.html", "--import", "my_schedules_of_the_report"]
    assert run_command(capsys, *arguments)[0] == 0
    assert Page(tmp_path / "page.html").lr("g")[1][:11] == pytest.approx([t * 1e-4 for t in range(11)])


@pytest.mark.parametrize("module", ["plotly.offline", "jinja2"])
def test_a_missing_package_names_the_extra(tmp_path, capsys, monkeypatch, trained, module):
    monkeypatch.setitem(sys.modules, module, None)
    status, output = run_command(capsys, trained[0] / "stock", "--output", tmp_path / "page.html")
    assert status == 2 and 'reports need Jinja2 and Plotly: pip install "hf-lrsched[report]"' in output.err
    assert not (tmp_path / "page.html").exists()


def test_too_large_a_report_is_refused(tmp_path, monkeypatch, trained):
    monkeypatch.setattr(page_module, "MAX_BYTES", 1_000_000)
    with pytest.raises(ScheduleError, match=r"would have \d\.\d MB, more than 1\. Report fewer runs"):
        write_report([read_run(trained[0] / "stock")], tmp_path / "page.html")
    assert not (tmp_path / "page.html").exists()
    with pytest.raises(ScheduleError, match="no run to report"):
        write_report([], tmp_path / "page.html")


# ---- long runs ----


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
