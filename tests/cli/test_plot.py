"""hf-lrsched plot: any run becomes a plot; what cannot be plotted is one clear error."""

import json
import os
import subprocess
import sys

import pytest

pytest.importorskip("matplotlib")

from hf_lrsched import Horizon
from hf_lrsched.cli import plot
from hf_lrsched.cli.main import main
from hf_lrsched.runs.record import Segment
from hf_lrsched.trajectory.settings import RunSettings
from hf_lrsched.trajectory.trajectory import Trajectory

HISTORY = [
    {"step": 2, "epoch": 0.5, "loss": 1.5, "learning_rate": 1e-5},
    {"step": 4, "epoch": 1.0, "eval_loss": 1.1, "eval_accuracy": 0.5, "eval_runtime": 3.0},
    {"step": 8, "epoch": 2.0, "eval_loss": 0.9, "eval_accuracy": 0.75, "eval_runtime": 3.0},
    {"step": 12, "epoch": 3.0, "eval_loss": float("nan"), "eval_accuracy": 0.7, "eval_runtime": 3.0},
]
PNG, PDF = b"\x89PNG", b"%PDF"


@pytest.fixture(autouse=True)
def _working_directory(tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")


@pytest.fixture
def state(tmp_path):
    """`state("runs/first")`: a folder with a trainer_state.json, as a stock Trainer leaves it."""

    def make(name="first", history=HISTORY, text=None, **more):
        folder = tmp_path / name
        folder.mkdir(parents=True)
        content = json.dumps({"log_history": history, "max_steps": 12, **more}) if text is None else text
        (folder / "trainer_state.json").write_text(content, encoding="utf-8")
        return folder

    return make


@pytest.fixture
def recorded(tmp_path):
    """`recorded("a", "linear()", [0.5, 0.7])`: a folder with a record; an evaluation every two updates."""

    def make(name, schedule, accuracies, groups=("a", "b")):
        folder = tmp_path / name / "record"
        folder.mkdir(parents=True)
        updates = 2 * len(accuracies)
        trajectory = Trajectory(RunSettings(schedule, Horizon(updates), (1.0, 0.1)))
        start = {"start": 0, "step": 0, "num_updates": updates, "groups": list(groups), "schedule": schedule}
        start |= Segment(0, trajectory, 0.0, (1.0, 1.0)).to_row()
        (folder / "run.jsonl").write_text(json.dumps(start) + "\n")
        rows = [{"start": 0, "step": 2 * i + 2, "eval_accuracy": value} for i, value in enumerate(accuracies)]
        (folder / "evaluations.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        return folder.parent

    return make


@pytest.fixture
def drawn(monkeypatch):
    """What the functions that draw are called with."""
    calls = []

    class Figure:
        def savefig(self, file, **_):
            file.write(b"picture")

    for name in ("draw_run", "draw_runs", "draw_heat_map", "draw_boxes"):
        monkeypatch.setattr(
            plot, name, lambda *args, name=name, **kwargs: calls.append((name, args, kwargs)) or Figure()
        )
    return calls


def run(*arguments):
    return main(["plot", *map(str, arguments)])


# ------------------------------------------------------------------------------------------------ from the shell


def test_in_a_process_of_its_own_without_a_display(state, tmp_path):
    folder = state("yesterday")
    environment = {name: value for name, value in os.environ.items() if name not in ("DISPLAY", "MPLBACKEND")}
    command = [sys.executable, "-m", "hf_lrsched", "plot", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment, timeout=120)
    assert (done.stdout, done.stderr) == ("wrote yesterday.png\n", "")
    assert (tmp_path / "here" / "yesterday.png").read_bytes().startswith(PNG)


def test_whatever_says_where_the_run_is(state, recorded, tmp_path, monkeypatch, drawn):
    folder = state("out/checkpoint-12")
    record = recorded("mine", "linear()", [0.5])
    for path, name in [
        (folder, "checkpoint-12"),
        (folder / "trainer_state.json", "checkpoint-12"),
        (folder.parent, "out"),
        (record, "mine"),
        (record / "record", "mine"),
    ]:
        assert run(path, "--force") == 0
        assert drawn[-1][1][0].name == name and (tmp_path / "here" / f"{name}.png").exists()
    monkeypatch.chdir(folder)
    assert run("trainer_state.json") == 0 and run(".", "--force") == 0
    assert (folder / "checkpoint-12.png").exists()


@pytest.mark.parametrize(("name", "begins"), [("a.png", PNG), ("b.PNG", PNG), ("c.svg", b"<?xml"), ("d.pdf", PDF)])
def test_the_ending_gives_the_format(state, name, begins, tmp_path, capsys):
    assert run(state(), "--output", tmp_path / name) == 0
    assert (tmp_path / name).read_bytes().startswith(begins)
    assert capsys.readouterr().out == f"wrote {tmp_path / name}\n"


def test_several_runs_a_heat_map_and_boxes_for_real(recorded, tmp_path, capsys):
    runs = [recorded(f"lin_{seed}", "linear()", [0.5, 0.5 + seed / 10]) for seed in range(3)]
    assert run(*runs) == run(runs[0], "--heat-map") == run(*runs, "--boxes", "last", "--baseline", "0.4") == 0
    assert capsys.readouterr().out.split() == ["wrote", "runs.png", "wrote", "lin_0_heat_map.png", "wrote", "boxes.png"]
    assert all(path.read_bytes().startswith(PNG) for path in (tmp_path / "here").iterdir())


# ------------------------------------------------------------------------------------------------ what is drawn


def test_named_metrics(state, drawn):
    folder = state()
    run(folder, "--metric", "f1", "--metric", "accuracy")
    ((name, (its_run,), options),) = drawn
    assert (name, options) == ("draw_run", {"metrics": ["f1", "accuracy"]})
    assert its_run.series("eval_accuracy") == ([4, 8, 12], [0.5, 0.75, 0.7])


def test_several_runs_keep_their_order(state, drawn):
    run(state("b"), state("a"))
    ((name, (runs,), options),) = drawn
    assert name == "draw_runs" and [each.name for each in runs] == ["b", "a"] and options == {"metrics": None}


@pytest.mark.parametrize(("which", "values"), [("last", [0.6, 0.55]), ("best", [0.8, 0.7])])
def test_boxes_have_one_value_per_run_and_schedule(which, values, recorded, state, drawn):
    a, b = recorded("a", "linear()", [0.5, 0.8, 0.6]), recorded("b", "linear()", [0.7, 0.55])
    run(a, recorded("c", "cosine()", [0.1]), b, state("stock"), "--boxes", which, "--baseline", "0.52")
    ((name, (metrics,), options),) = drawn
    stock = {"last": 0.7, "best": 0.75}[which]
    assert name == "draw_boxes" and options["baseline"] == 0.52 and options["metric"] == "eval_accuracy"
    assert metrics == {"linear()": values, "cosine()": [0.1], "schedule not recorded": [stock]}


def test_best_loss_is_the_lowest(state, drawn):
    run(state(), "--boxes", "best", "--metric", "loss")
    assert drawn[0][1][0] == {"schedule not recorded": [0.9]}


# ------------------------------------------------------------------------------------------------ files


def test_existing_file_is_kept_without_force(state, tmp_path, capsys):
    folder, file = state(), tmp_path / "here" / "first.png"
    file.write_text("mine")
    assert run(folder) == 2 == run(folder, "--output", file)
    assert file.read_text() == "mine" and "--force" in capsys.readouterr().err
    assert run(folder, "--force") == 0
    assert file.read_bytes().startswith(PNG)


def test_invalid_output_is_refused_before_runs_are_read(tmp_path, capsys):
    for name, says in [("a.txt", ".png or .svg or .pdf"), ("a", ".png or"), ("no/a.png", "does not exist")]:
        assert run(tmp_path / "no run", "--output", tmp_path / name) == 2
        assert says in capsys.readouterr().err
    (tmp_path / "folder.png").mkdir()
    assert run(tmp_path, "--output", tmp_path / "folder.png", "--force") == 2
    assert "is a folder" in capsys.readouterr().err


def test_error_leaves_existing_files_and_writes_none(state, tmp_path, monkeypatch):
    folder, file = state(), tmp_path / "kept.png"
    file.write_text("mine")

    def fail(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("matplotlib.figure.Figure.savefig", fail)
    assert run(folder, "--output", file, "--force") == 2 == run(folder)
    assert file.read_text() == "mine" and not list((tmp_path / "here").iterdir())


def test_full_disk_leaves_the_earlier_file(state, tmp_path, fill_disk, capsys):
    file = tmp_path / "full.png"
    file.write_text("mine")
    fill_disk("full.png")
    assert run(state(), "--output", file, "--force") == 2
    assert "No space left" in capsys.readouterr().err
    assert file.read_text() == "mine" and not list(tmp_path.glob(".*"))


@pytest.mark.parametrize("name", ["$x^2$", "_hidden", "<b>bold<b>", "a b", "ünï", "-dash"])
def test_run_name_becomes_file_name(name, state, tmp_path):
    assert run(state(name)) == 0
    (file,) = (tmp_path / "here").iterdir()
    assert file.read_bytes().startswith(PNG) and not set('<>:"|?*') & set(file.name)


# ------------------------------------------------------------------------------------------------ bad input

INVALID_STATES = {
    "truncated": ('{"log_history": [{"step": 1', "is not JSON"),
    "no history": ("{}", "has no log_history"),
    "a list": ("[]", "must be a mapping"),
    "history of another kind": ('{"log_history": {}}', "has no log_history"),
    "empty history": ('{"log_history": []}', "nothing to draw of bad"),
    "nothing finite": ('{"log_history": [{"step": 1, "loss": NaN}]}', "nothing to draw of bad"),
    "rows of other kinds": (
        '{"log_history": [1, null, "x", {"loss": 1}, {"step": "1", "loss": 1}]}',
        "nothing to draw",
    ),
}


@pytest.mark.parametrize(("text", "says"), INVALID_STATES.values(), ids=INVALID_STATES)
def test_invalid_trainer_state_is_one_clear_error(text, says, state, capsys, tmp_path):
    assert run(state("bad", text=text)) == 2
    error = capsys.readouterr().err
    assert says in error and error.startswith("hf-lrsched plot: ") and error.count("\n") == 1
    assert not list((tmp_path / "here").iterdir())


def test_missing_run_is_one_clear_error(state, tmp_path, capsys):
    (tmp_path / "binary.json").write_bytes(bytes(range(256)))
    (tmp_path / "empty").mkdir()
    for path, says in [
        ("nowhere", "no such file"),
        ("empty", "not a run's folder"),
        ("binary.json", "not a text file"),
    ]:
        assert run(tmp_path / path) == 2
        assert says in capsys.readouterr().err
    assert run(state(), tmp_path / "nowhere") == 2  # one of two


INVALID_ARGUMENTS = [
    (["--metric", "acuracy"], "Did you mean 'accuracy'?"),
    (["--metric", "f1"], "there are loss, accuracy"),
    (["--heat-map"], "RunRecorder"),
    (["--heat-map", "--boxes", "last"], "one of them"),
    (["--heat-map", "--metric", "loss"], "no --metric"),
    (["--boxes", "last", "--metric", "loss", "--metric", "accuracy"], "one --metric"),
    (["--boxes", "last", "--metric", "acuracy"], "Did you mean 'accuracy'?"),
    (["--baseline", "0.5"], "--boxes"),
]


@pytest.mark.parametrize(("arguments", "says"), INVALID_ARGUMENTS)
def test_invalid_arguments(arguments, says, state, capsys):
    assert run(state(), *arguments) == 2
    assert says in capsys.readouterr().err


def test_runs_without_common_metric(state, recorded, capsys):
    other = state("other", [{"step": 2, "eval_f1": 0.5, "eval_runtime": 1.0}])
    mine = recorded("mine", "linear()", [0.5])
    assert run(mine, other) == 2
    assert "no metric in common: mine has accuracy; other has f1" in capsys.readouterr().err
    assert run(mine, other, "--metric", "f1", "--metric", "accuracy") == 0  # a panel each
    assert run(mine, other, "--heat-map") == 2
    assert "plots one run, got 2" in capsys.readouterr().err
    assert run(mine, other, "--boxes", "last") == 2
    assert "no metric in common" in capsys.readouterr().err


def test_without_matplotlib_the_error_names_the_extra(state, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    assert run(state()) == 2
    assert 'pip install "hf-lrsched[plot]"' in capsys.readouterr().err


def test_letters_that_no_font_has_are_reported_in_one_line(state, capsys):
    assert run(state("\u0e01\U00013000")) == 0
    (line,) = capsys.readouterr().err.splitlines()
    assert "no font of this machine has the letters" in line and "\U00013000" in line and ".py" not in line


def test_help(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["plot", "--help"])
    assert stop.value.code == 0 and "hf-lrsched plot runs/first" in capsys.readouterr().out
