"""The report: what it holds is what trained; it is one file that loads nothing; what a run says is text."""

import base64
import hashlib
import re
import sys

import pytest

from hf_lrsched.cli.main import main
from hf_lrsched.report import html as page_module
from hf_lrsched.report import write_report
from hf_lrsched.runs import read_run
from hf_lrsched.schedules import ScheduleError
from tests.report.page_parts import Page
from tests.report.report_runs import LINK, MATHS, UGLIER, UGLY, write_record

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


# ---- the search for the peak LR ----


def test_search_for_the_peak_lr(page_of, tmp_path):
    probes = [
        {"lr": 1e-4, "updates": 6, "loss": 0.5, "metric": None},
        {"lr": 4e-4, "updates": 6, "loss": None, "metric": None},
    ]
    search = {
        "suggestion": 1.23e-4,
        "low": 1e-4,
        "high": 2e-4,
        "total": 100,
        "probes": [{**each, "seed": 0} for each in probes],
    }
    search |= {"valleys": [], "metric": None, "notes": [f"It is uncertain. {UGLY}"]}
    page = page_of(write_record(tmp_path / "searched", "linear()", {"all": 1.23e-4}, lr_search=search))
    assert "Search for the peak LR" in page.source
    assert (
        "Found for 100 updates: 0.000123, plausible from 0.0001 to 0.0002; the probes cost 0.12 of the run."
        in page.source
    )
    assert UGLY not in page.source and "It is uncertain. &lt;img" in page.source
    (image,) = [attributes for tag, attributes in page.elements if tag == "img"]
    assert image["src"].startswith("data:image/png;base64,") and image["alt"]


def test_search_that_is_corrupted_is_left_out(page_of, tmp_path):
    page = page_of(write_record(tmp_path / "searched", "linear()", {"all": 1e-3}, lr_search={"suggestion": 1e-3}))
    assert "Search for the peak LR" not in page.source
