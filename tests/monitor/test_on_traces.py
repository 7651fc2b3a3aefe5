"""The monitor on the stored traces of real runs: the published figures stay true."""

import re
import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).parents[2] / "benchmarks" / "monitor"


def score(half):
    """Return what the script prints, in one line."""
    command = [sys.executable, FOLDER / "score.py", "--half", half]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert done.returncode in (0, 1), done.stderr  # 1 where a bound does not hold
    return " ".join(done.stdout.split())


def test_the_bounds_hold_on_the_half_that_it_was_tuned_on():
    assert "All bounds hold." in score("tune")


def test_the_measured_figures_are_the_published_ones():
    printed = score("measure")
    published = " ".join((FOLDER.parent / "results" / "monitor.md").read_text(encoding="utf-8").split())
    figures = re.findall(r"Found: .*?%\)|False alarms: .*?%\)", printed)
    assert len(figures) == 2
    assert all(figure in published for figure in figures)


def test_the_figures_of_runs_that_are_new_to_the_rules_are_the_published_ones():
    done = subprocess.run([sys.executable, FOLDER / "leave_one_out.py"], capture_output=True, text=True, timeout=600)
    assert done.returncode in (0, 1), done.stderr
    printed = done.stdout.partition("## Runs that are new to the rules")[2].partition("## All runs")[0]
    lines = [line for line in printed.splitlines() if line]
    published = (FOLDER.parent / "results" / "monitor_families.md").read_text(encoding="utf-8").splitlines()
    assert len(lines) > 9 and set(lines) <= set(published)  # and a row for each task and model


def test_the_example_of_the_page_is_a_real_one():
    code = (
        f"import sys; sys.path.insert(0, {str(FOLDER)!r})\n"
        "from traces import read_traces\n"
        "from replay import replay\n"
        "trace = next(t for t in read_traces('tune') if t.name == 'minilm-messages-lr_d30-0')\n"
        "print(*replay(trace).findings, sep='\\n')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=600, encoding="utf-8")
    assert done.stdout.startswith("[hf_lrsched] update "), done.stderr
    assert done.stdout in (FOLDER.parents[1] / "docs" / "monitor.md").read_text(encoding="utf-8")


def test_no_run_is_in_both_halves():
    code = (
        f"import sys; sys.path.insert(0, {str(FOLDER)!r})\n"
        "from traces import read_traces\n"
        "from replay import RIGHT\n"
        "tune, measure = read_traces('tune'), read_traces('measure')\n"
        "assert len(tune) + len(measure) >= 200\n"
        "runs = [{(t.task, t.model, t.cause, t.seed) for t in half} for half in (tune, measure)]\n"
        "assert not runs[0] & runs[1]\n"
        "seeds = [{(t.task, t.seed) for t in half} for half in (tune, measure)]\n"
        "assert not seeds[0] & seeds[1], 'split by task and seed'\n"
        "for half in (tune, measure):\n"
        "    assert {t.cause for t in half} == {'healthy', *RIGHT}\n"
        "    assert all(len(t.losses) == t.num_updates for t in half)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
