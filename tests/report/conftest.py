"""Pages of runs, made once."""

import pytest

from tests.report.page_parts import Page
from tests.report.report_runs import cooldown_run, huge_run, measured_run, plateau_run, resumed_run, stock_run, ugly_run

pytest.importorskip("jinja2")
pytest.importorskip("plotly")


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """The folders of real runs by their names, and the LRs that their optimizers held: `(folder, {name: lrs})`."""
    folder = tmp_path_factory.mktemp("runs")
    makers = {"plateau": plateau_run, "cooldown": cooldown_run, "resumed": resumed_run, "stock": stock_run}
    makers["measured"] = measured_run
    return folder, {name: make(folder / name) for name, make in makers.items()}


@pytest.fixture(scope="session")
def ugly(tmp_path_factory):
    return ugly_run(tmp_path_factory.mktemp("ugly"))


@pytest.fixture(scope="session")
def huge(tmp_path_factory):
    return huge_run(tmp_path_factory.mktemp("huge") / "huge")


@pytest.fixture
def page_of(tmp_path):
    """`page_of(folder, …)`: the page of runs, read again."""

    def make(*folders):
        from hf_lrsched.report import write_report
        from hf_lrsched.runs import read_run

        return Page(write_report([read_run(folder) for folder in folders], tmp_path / "page.html"))

    return make
