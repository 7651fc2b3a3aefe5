"""The documentation site: it builds without a warning, and its pages can be read on a desk and on a phone."""

import sys
from pathlib import Path

import pytest

pytest.importorskip("material", reason="needs the extra docs")
pytest.importorskip("mkdocstrings", reason="needs the extra docs")
pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "docs"))

from screenshots import WIDTHS, build_site, find_browser, list_pages, open_browser, serve, take_pictures  # noqa: E402
from site_hooks import to_type  # noqa: E402

#: Rows of a table whose cells are not as many as those of its head.
UNEVEN = """[...document.querySelectorAll("table")].filter(table => new Set([...table.rows].map(
    row => [...row.cells].reduce((sum, cell) => sum + cell.colSpan, 0))).size > 1).map(table => table.innerText.slice(0, 80))"""


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    build_site(folder)
    return folder


def test_every_page_of_the_docs_is_there(site):
    names = {page.parent.as_posix() for page in list_pages(site)}
    sources = {page.relative_to(ROOT / "docs").with_suffix("") for page in (ROOT / "docs").rglob("*.md")}
    assert names == {(source.parent if source.name == "index" else source).as_posix() for source in sources}


def test_nothing_is_loaded_from_a_server(site):
    for page in site.rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        for kind in ("src", "srcset", 'rel="stylesheet" href'):
            assert f'{kind}="http' not in text, page


def test_pages_fit_the_screen_and_show_their_images(site):
    skip_without_browser()
    problems = []
    with serve(site) as address, open_browser() as browser:
        for width in WIDTHS:
            tab = browser.new_page(viewport={"width": width, "height": 900})
            tab.on("pageerror", lambda error, found=problems: found.append(str(error)))
            for page in list_pages(site):
                tab.goto(f"{address}/{page.as_posix()}")
                if tab.evaluate("document.documentElement.scrollWidth") > width:
                    problems.append(f"{page} is wider than {width} pixels")
                broken = "[...document.images].filter(i => i.complete && !i.naturalWidth).map(i => i.src)"
                problems += tab.evaluate(broken)
                problems += [f"{page}: a row has too few or too many cells: {text}" for text in tab.evaluate(UNEVEN)]
    assert problems == []


def test_screenshots_of_long_pages_are_cut(site, tmp_path):
    skip_without_browser()
    with serve(site) as address:
        take_pictures(address, [Path("zh/index.html")], tmp_path)
    assert {"zh-1280-1.png", "zh-1280-2.png", "zh-390-1.png", "zh-390-2.png"} <= {
        path.name for path in tmp_path.iterdir()
    }


def skip_without_browser() -> None:
    pytest.importorskip("playwright.sync_api")
    if find_browser() is None:
        pytest.skip("no Chromium here")


def test_types_of_arguments_are_shown_without_their_defaults():
    types = {
        "`tuple[Probe, ...]`, defaults to `()`": "tuple[Probe, ...]",
        "`int` or [`Horizon`], *optional*": "int or Horizon",
        "`float`": "float",
    }
    assert {text: to_type(text) for text in types} == types
