"""The documentation: its examples run, its links exist, its catalogue equals the docstrings."""

import re
import shlex
from itertools import pairwise
from pathlib import Path

import pytest
from transformers import optimization
from transformers.optimization import TYPE_TO_SCHEDULER_FUNCTION

from hf_lrsched.cli.main import main
from hf_lrsched.schedules import parser as language
from tests.docs.run_examples import run_examples
from tests.processes import ROOT, run_forked

DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
OTHER_PAGES = [
    ROOT / name for name in ("README.md", "README.zh-CN.md", "CONTRIBUTING.md", "CHANGELOG.md", "benchmarks/README.md")
]

LINK = re.compile(r"\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)


def read(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def anchor(heading: str) -> str:
    """GitHub's anchor of a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def run(*command: object) -> None:
    """Run a script in a process of its own: pages define names, and so do other tests."""
    done = run_forked(*command, folder=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr


def test_pages_exist():
    assert {"language.md", "schedules.md"} <= {page.name for page in PAGES}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(DOCS)))
def test_examples_run(page):
    if ">>>" in read(page):
        run(Path(__file__).with_name("run_examples.py"), page)
    else:
        assert run_examples(page) == ""  # their blocks must compile


@pytest.mark.parametrize("page", [*PAGES, *OTHER_PAGES], ids=lambda page: str(page.relative_to(ROOT)))
def test_links_exist(page):
    for target in LINK.findall(re.sub(r"```.*?```", "", read(page), flags=re.DOTALL)):
        if re.match(r"https?://", target):
            continue
        file, _, fragment = target.partition("#")
        linked = (page.parent / file).resolve() if file else page
        assert linked.exists(), f"{page.name} links to {target}"
        if fragment:
            assert fragment in map(anchor, HEADING.findall(read(linked))), f"{page.name} links to {target}"


@pytest.mark.parametrize("page", [*PAGES, *OTHER_PAGES], ids=lambda page: str(page.relative_to(ROOT)))
def test_no_line_of_a_sentence_begins_as_a_list(page):
    # "between 10 and\n30. The" is the 30th item of a list.
    prose = re.sub(r"```.*?```", "", read(page), flags=re.DOTALL)
    numbers = [int(number) for number in re.findall(r"^ *(\d+)\. ", prose, re.MULTILINE)]
    assert all(after in (1, before + 1) for before, after in pairwise([0, *numbers]))


PREVIEW = re.compile(r"^hf-lrsched (preview .*)$", re.MULTILINE)


@pytest.mark.parametrize(
    "command", sorted({command for page in [*PAGES, *OTHER_PAGES] for command in PREVIEW.findall(read(page))})
)
def test_preview_commands_run(command, monkeypatch, capsys):
    assert main(shlex.split(command, comments=True)) == 0
    assert "lengths" in capsys.readouterr().out


def test_grammar_on_the_page_equals_the_parser():
    grammar = language.__doc__.partition("\n\n")[2].strip()
    assert grammar.startswith("schedule = product")
    assert f"```ebnf\n{grammar}\n" in read(DOCS / "language.md")


def test_catalogue_has_every_name_and_equals_the_docstrings():
    run(DOCS / "draw_catalogue.py", "--check")


def test_plots_are_reproducible(tmp_path):
    pytest.importorskip("matplotlib")
    script = tmp_path / "draw_twice.py"
    script.write_text(DRAW_TWICE, encoding="utf-8")
    run(script, DOCS)


DRAW_TWICE = """
import sys
sys.path.insert(0, sys.argv[1])
import draw_catalogue as script
entry = next(entry for entry in script.entries() if entry.others)
many = [(text, script.parse(text).resolve(script.RUN)) for text in script.OVERVIEW[:2]]
assert script.draw(entry) == script.draw(entry)
assert script.draw_many(many, 2) == script.draw_many(many, 2)
"""


@pytest.mark.parametrize("plot", sorted((DOCS / "plots").iterdir()), ids=lambda path: path.name)
def test_plots_are_small_and_shown(plot):
    assert plot.stat().st_size <= 30 * 1024
    assert any(f"plots/{plot.name}" in read(page) for page in [*PAGES, ROOT / "README.md"] if page.exists())


def test_recommended_schedules_are_valid():
    advice = re.sub(r"```.*?```", "", read(DOCS / "schedules.md").partition("## The catalogue")[0], flags=re.DOTALL)
    texts = [text for text in re.findall(r"`([^`]+)`", advice) if re.match(r"\w+\(", text)]
    assert len(texts) > 10
    for text in texts:
        curve = language.parse(text).resolve(100_000, updates_per_epoch=2_000)
        assert 0 <= curve(99_999) <= 1, text


def test_every_factory_of_transformers_has_a_row():
    table = (
        read(DOCS / "schedules.md")
        .partition("### transformers' names")[2]
        .partition("<!-- end of the catalogue -->")[0]
    )
    rows = {line.split("|")[2].strip().strip("`"): line for line in table.splitlines() if line.startswith("| ")}
    factories = {name for name in vars(optimization) if re.fullmatch(r"get_\w*schedule\w*", name)}
    assert factories <= rows.keys() | {"get_scheduler"} and len(factories) > 10
    for name, function in TYPE_TO_SCHEDULER_FUNCTION.items():
        assert f"`{name.value}`" in rows[function.__name__]
