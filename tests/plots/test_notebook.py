"""What a notebook shows of a schedule, a curve and a run."""

import sys
from types import SimpleNamespace

import pytest

from hf_lrsched import LRSearch, parse
from hf_lrsched.budgets import Branch, Budgets
from hf_lrsched.plots.notebook import draw_png, register_displays
from hf_lrsched.schedules import Curve
from hf_lrsched.search import Probe


@pytest.mark.parametrize("text", ["warmup(10%) >> linear()", "warmup(1ep) >> step(every=2ep, factor=0.5)"])
def test_a_schedule_is_drawn_over_an_example(text):
    pytest.importorskip("matplotlib")
    assert draw_png(parse(text)).startswith(b"\x89PNG")


def test_what_needs_a_run_is_shown_as_text():
    assert draw_png(parse("warmup(2000) >> linear()")) is None


def test_a_search_is_drawn_and_its_text_is_its_table():
    pytest.importorskip("matplotlib")
    interactive = pytest.importorskip("IPython.core.interactiveshell")
    probes = tuple(Probe(lr=10.0**-k, updates=10, loss=abs(k - 3) + 1.0) for k in (2, 3, 4))
    search = LRSearch(1e-3, 5e-4, 2e-3, total=100, reference=5e-5, probes=probes)
    budgets = Budgets("eval_loss", "min", (Branch("1ep", 9, 2, {"eval_loss": 0.5}),), "hold()", 1e-4)
    shell = interactive.InteractiveShell()
    register_displays(shell)
    for found in (search, budgets):
        shown, looks = shell.display_formatter.format(found)
        assert looks["image/png"] == {"width": 768}  # 8 inches
        assert shown["image/png"].startswith(b"\x89PNG") and shown["text/plain"] == str(found)


def test_without_matplotlib(monkeypatch):
    for name in [name for name in sys.modules if name.partition(".")[0] == "matplotlib"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert draw_png(parse("linear()").resolve(9)) is None


def test_the_text_of_a_curve():
    kinds = {"image/png": {}, "text/plain": {}}
    formatters = {
        name: SimpleNamespace(for_type=found.__setitem__, for_type_by_name=lambda *args: None)
        for name, found in kinds.items()
    }
    register_displays(SimpleNamespace(display_formatter=SimpleNamespace(formatters=formatters)))
    shown = []
    kinds["text/plain"][Curve](parse("linear()").resolve(9), SimpleNamespace(text=shown.append), False)
    assert shown == ["linear() over 9 updates\n  linear()  updates 1 to 9  factor 1 to 0  what is left: 9 updates"]
    assert set(kinds["image/png"]) > {Curve}
