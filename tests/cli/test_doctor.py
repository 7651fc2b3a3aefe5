"""hf-lrsched doctor: what it prints, and its exit status."""

import json
import subprocess
import sys

import pytest

from hf_lrsched.cli.main import main
from tests.doctor.configurations import BERT, GLUE, Run, Stage, write_yaml


@pytest.fixture
def broken(tmp_path):
    return write_yaml(tmp_path / "rte.yaml", GLUE | {"warmup_steps": 500})


def test_finding_has_what_why_and_fix_with_numbers(broken, capsys):
    assert main(["doctor", str(broken), "--updates", "468"]) == 1
    out = " ".join(capsys.readouterr().out.split())
    assert out.startswith(f"{broken}: 1 error (")
    assert "error [long_warmup] the warmup takes 500 updates, but the run has only 468 why: " in out
    assert "reaches at most 1.87e-05 (93.4% of the peak)" in out  # 2e-5 x 467 / 500
    assert "warmup_steps: 46" in out


def test_json_is_a_list_of_findings(broken, capsys):
    assert main(["doctor", str(broken), "--updates", "468", "--json"]) == 1
    (finding,) = json.loads(capsys.readouterr().out)
    assert set(finding) == {"check", "severity", "what", "why", "fix"}
    assert (finding["check"], finding["severity"]) == ("long_warmup", "error")
    assert main(["doctor", str(broken), "--updates", "100000", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == []


def test_notes_do_not_count(tmp_path, capsys):
    path = write_yaml(tmp_path / "a.yaml", BERT)
    assert main(["doctor", str(path)]) == 0
    out = capsys.readouterr().out
    assert "no problems found, 1 note" in out and "--updates N" in out


def test_worst_finding_comes_first(tmp_path, capsys):
    settings = GLUE | {"logging_steps": 5000, "warmup_steps": 500, "lr_scheduler_type": "cosine_with_restarts"}
    main(["doctor", str(write_yaml(tmp_path / "a.yaml", settings)), "--updates", "400"])
    lines = capsys.readouterr().out.splitlines()
    severities = [line.split(" [")[0] for line in lines if line.startswith(("error [", "warning [", "note ["))]
    assert severities == ["error", "warning", "warning"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["no_such.yaml"], "does not exist"),
        (["."], "not a run folder"),
        (["rte.yaml", "--updates", "0"], "at least 1"),
        (["rte.yaml", "--import", "no_such_module"], "no_such_module"),
    ],
)
def test_invalid_input_is_one_clear_error(arguments, says, broken, capsys, monkeypatch):
    monkeypatch.chdir(broken.parent)
    assert main(["doctor", *arguments]) == 2
    captured = capsys.readouterr()
    assert says in captured.err and "Traceback" not in captured.err and not captured.out


def test_truncated_file_is_one_clear_error(tmp_path, capsys):
    run = Run(Stage(40, 80)).write(tmp_path)
    (run / "checkpoint-40" / "training_args.bin").write_bytes(b"PK\x03\x04 cut off")
    assert main(["doctor", str(run)]) == 2
    assert "training_args.bin is corrupted" in capsys.readouterr().err


def test_control_characters_are_escaped(tmp_path, capsys):
    name = "[bold red]run[] \x1b[31m<b>&"
    settings = GLUE | {"lr_scheduler_type": "constant", "lr_scheduler_kwargs": {"[link=x]\x07num": 1}}
    path = write_yaml(tmp_path / f"{name}.yaml", settings)
    assert main(["doctor", str(path), "--updates", "345"]) == 1
    out = capsys.readouterr().out
    assert "\x1b" not in out and "\x07" not in out
    assert r"[bold red]run[] \x1b[31m<b>&.yaml" in out and r"[link=x]\x07num" in out
    main(["doctor", str(path), "--updates", "345", "--json"])
    assert "\x07" in json.loads(capsys.readouterr().out)[0]["what"]
    assert main(["doctor", str(path), "--updates", "0"]) == main(["doctor", str(path) + "x"]) == 2
    assert "\x1b" not in capsys.readouterr().err


def test_import_registers_names(tmp_path):
    (tmp_path / "houses.py").write_text(
        "from hf_lrsched import register\nregister('house', 'warmup(70%) >> linear()')\n"
    )
    write_yaml(tmp_path / "a.yaml", {"schedule": "house()", "schedule_module": "houses"})
    command = [sys.executable, "-m", "hf_lrsched", "doctor", "a.yaml", "--updates", "100", "--import", "houses"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 1 and "long_warmup" in done.stdout, done.stdout + done.stderr


def test_file_of_settings_is_checked_without_torch(broken):
    """In a CI that has no time to load it."""
    code = f"import sys; from hf_lrsched.cli.main import main; main(['doctor', {str(broken)!r}]); sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
