"""`hf-lrsched preview`: what is drawn and written is what trains."""

import csv
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from hf_lrsched import parse, step, warmup
from hf_lrsched.cli.main import main

TWO = ["warmup(10%) >> cosine()", "warmup(10%) >> step(every=1ep, factor=0.5)"]
RUN = ["--updates", "345", "--updates-per-epoch", "115", "--lr", "2e-5"]


def test_table_has_first_and_last_lr_of_each_phase(capsys):
    assert main(["preview", *TWO, *RUN]) == 0
    lines = capsys.readouterr().out.splitlines()
    rows = {line.split()[0]: line.split() for line in lines if line.startswith("  ") and "-" in line}
    # 2e-5 * 34 / 35 at update 35; then the peak; then 2e-5 * (1 + cos(pi * 309 / 310)) / 2 at update 345.
    assert rows["warmup(10%)"][1:5] == ["1-35", "0-0.304", "0", "1.943e-05"]
    assert rows["cosine()"][1:5] == ["36-345", "0.304-3", "2e-05", "5.135e-10"]
    # Two drops, at updates 35 + 115 and 35 + 230.
    assert rows["step(every=1ep,"][2:6] == ["36-345", "0.304-3", "2e-05", "5e-06"]


def test_drawing_shows_every_schedule(capsys):
    main(["preview", *TWO, *RUN])
    out = capsys.readouterr().out
    assert all(text in out for text in TWO)
    assert "2.00e-05" in out and "\x1b" not in out


def test_csv_has_every_update(tmp_path):
    file = tmp_path / "lr.csv"
    assert main(["preview", *TWO, *RUN, "--csv", str(file)]) == 0
    header, *rows = csv.reader(file.open())
    assert header == ["update", "epoch", *TWO]
    assert [int(row[0]) for row in rows] == list(range(1, 346))
    # Update 208 is t = 207, 172 updates into a cosine of 310.
    assert float(rows[207][2]) == pytest.approx(2e-5 * 0.5 * (1 + np.cos(np.pi * 172 / 310)), rel=1e-12)
    assert [float(rows[t][3]) for t in (149, 150, 264, 265)] == pytest.approx([2e-5, 1e-5, 1e-5, 5e-6], rel=1e-12)


def test_json_round_trip(capsys):
    assert main(["preview", TWO[1], *RUN, "--json", "-"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert data["num_updates"] == 345 and data["peak_lr"] == 2e-5
    (schedule,) = data["schedules"]
    assert parse(schedule["text"]) == warmup("10%") >> step(every="1ep", factor=0.5)
    assert [phase["first_update"] for phase in schedule["phases"]] == [1, 36]
    assert schedule["lr"][:3] == pytest.approx([0, 2e-5 / 35, 4e-5 / 35], rel=1e-12)


def test_existing_file_is_kept_without_force(tmp_path, capsys):
    file = tmp_path / "lr.png"
    file.write_text("mine")
    assert main(["preview", TWO[0], *RUN, "--png", str(file)]) == 2
    assert file.read_text() == "mine" and "--force" in capsys.readouterr().err
    assert main(["preview", TWO[0], *RUN, "--png", str(file), "--force"]) == 0
    assert file.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("config", sorted(Path("recipes/configs").glob("*.yaml")), ids=lambda path: path.stem)
def test_recipe_configs_can_be_previewed(config, capsys):
    assert main(["preview", "--config", str(config), "--updates-per-epoch", "2105"]) == 0
    assert "over " in capsys.readouterr().out


def test_config_provides_schedule_lr_and_length(tmp_path, capsys):
    config = tmp_path / "run.yaml"
    config.write_text("schedule: warmup(2) >> linear()\nlearning_rate: 2e-5\nmax_steps: 10\n")
    assert main(["preview", "--config", str(config)]) == 0
    out = capsys.readouterr().out
    assert "warmup(2) >> linear() over 10 updates" in out and "2e-05" in out


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        ("learning_rate: auto\nmax_steps: 10", "the peak learning rate must be a finite number above 0, got 'auto'."),
        ("learning_rate: 50%\nmax_steps: 10", "the peak learning rate must be a finite number above 0, got '50%'."),
        ("max_steps: many", "max_steps of the config must be a finite number above 0, got 'many'."),
        (
            "max_steps: -1\nnum_train_epochs: 0",
            "num_train_epochs of the config must be a finite number above 0, got 0.",
        ),
        (
            "max_steps:\nnum_train_epochs: .inf",
            "num_train_epochs of the config must be a finite number above 0, got inf.",
        ),
    ],
)
def test_invalid_number_in_the_config(tmp_path, capsys, lines, says):
    (tmp_path / "run.yaml").write_text(f"schedule: linear()\n{lines}\n")
    assert main(["preview", "--config", str(tmp_path / "run.yaml"), "--updates-per-epoch", "5"]) == 2
    assert capsys.readouterr().err == f"hf-lrsched preview: {says}\n"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "no schedule"),
        (["linear()"], "--updates"),
        (["linaer()", "--updates", "10"], "Did you mean 'linear'?"),
        (["warmup(1ep) >> linear()", "--updates", "10"], "updates_per_epoch"),
        (["linear()", "--updates", "0"], "at least 1"),
        (["linear()", "--updates", "10", "--lr", "nan"], "finite"),
        (["linear()", "--updates", "10", "--png", "x.txt"], "ending"),
        (["linear()", "--updates", "10", "--csv", "no/such/folder.csv"], "folder"),
        (["--config", "no.yaml", "--updates", "10"], "does not exist"),
        (["linear()", "--updates", "10", "--import", "no_such_module"], "no_such_module"),
    ],
)
def test_invalid_input_is_one_clear_error(arguments, says, capsys):
    assert main(["preview", *arguments]) == 2
    error = capsys.readouterr().err
    assert says in error and "Traceback" not in error


def test_schedule_warnings_are_shown(capsys):
    main(["preview", "linear(over=50%)", "--updates", "10"])
    assert "warning: the schedule ends at update 5 of 10" in capsys.readouterr().out


def test_registered_name_works_with_import(tmp_path):
    (tmp_path / "house.py").write_text(
        "from hf_lrsched import register\nregister('house', 'warmup(6%) >> cosine(to=0.1)')\n"
    )
    command = [sys.executable, "-m", "hf_lrsched", "preview", "house()", "--updates", "100", "--import", "house"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "warmup(6%) >> cosine(to=0.1) over 100 updates" in done.stdout


def test_missing_plotext_still_prints_table(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "plotext", None)
    assert main(["preview", "linear()", "--updates", "10"]) == 0
    captured = capsys.readouterr()
    assert 'pip install "hf-lrsched[plot]"' in captured.err and "linear() over 10 updates" in captured.out


def test_missing_matplotlib_names_the_extra(monkeypatch, tmp_path, capsys):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    assert main(["preview", "linear()", "--updates", "10", "--png", str(tmp_path / "lr.png")]) == 2
    assert 'pip install "hf-lrsched[plot]"' in capsys.readouterr().err
