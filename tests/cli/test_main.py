"""`hf-lrsched`: dispatch, help, and what it imports."""

import subprocess
import sys

import pytest

from hf_lrsched.cli.main import COMMANDS, main

NAMES = ["preview", "plot", "report", "doctor", "find-lr", "budgets", "compare"]


@pytest.mark.parametrize("arguments", [["--version"], ["--help"], *([name, "--help"] for name in NAMES)])
def test_version_and_help(arguments, capsys):
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 0 and "hf-lrsched" in capsys.readouterr().out


def test_every_command_has_an_example_in_its_help(capsys):
    assert len(COMMANDS) == len(NAMES)
    for name in NAMES:
        with pytest.raises(SystemExit):
            main([name, "--help"])
        assert f": hf-lrsched {name} " in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(
    "arguments", [["--help"], ["preview", "linear()", "--updates", "10"]], ids=lambda each: each[0]
)
def test_help_and_preview_start_no_torch(arguments):
    code = (
        "import sys; from hf_lrsched.cli.main import main\n"
        f"try: main({arguments!r})\nexcept SystemExit: pass\n"
        "sys.exit('torch' in sys.modules or 'transformers' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_python_m_runs_the_command():
    done = subprocess.run([sys.executable, "-m", "hf_lrsched", "--help"], check=True, capture_output=True, text=True)
    assert done.stdout.startswith("usage: hf-lrsched")


def test_closed_pipe_is_no_error():
    command = f"{sys.executable} -m hf_lrsched preview 'warmup(10%) >> linear()' --updates 100000 --json - | head -c 10"
    done = subprocess.run(command, shell=True, capture_output=True, text=True)
    assert done.returncode == 0 and done.stderr == ""
