"""The documentation site: it builds without a warning, and its pages can be read on a desk and on a phone."""

import functools
import shutil
import subprocess
import sys
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

pytest.importorskip("material", reason="needs the extra docs")
pytest.importorskip("mkdocstrings", reason="needs the extra docs")
pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)
WIDTHS = (1280, 390)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", folder]
    done = subprocess.run([*map(str, command)], cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def pages(site: Path) -> list[Path]:
    """The pages of docs/; those of other files of the repository are code and tables as they are."""
    found = sorted(page.relative_to(site) for page in site.rglob("index.html"))
    return [page for page in found if page.parts[0] not in {"repository", "assets"}]


def test_every_page_of_the_docs_is_there(site):
    names = {page.parent.as_posix() for page in pages(site)}
    sources = {page.relative_to(ROOT / "docs").with_suffix("") for page in (ROOT / "docs").rglob("*.md")}
    assert names == {(source.parent if source.name == "index" else source).as_posix() for source in sources}


def test_nothing_is_loaded_from_a_server(site):
    for page in site.rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        for kind in ("src", "srcset", 'rel="stylesheet" href'):
            assert f'{kind}="http' not in text, page


def test_pages_fit_the_screen_and_show_their_images(site):
    playwright = pytest.importorskip("playwright.sync_api")
    if BROWSER is None:
        pytest.skip("no Chromium here")
    handler = functools.partial(SimpleHTTPRequestHandler, directory=site)
    handler.log_message = lambda *arguments: None
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    problems = []
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=BROWSER, args=["--no-sandbox", "--disable-gpu"])
        for width in WIDTHS:
            tab = browser.new_page(viewport={"width": width, "height": 900})
            tab.on("pageerror", lambda error, found=problems: found.append(str(error)))
            for page in pages(site):
                tab.goto(f"http://127.0.0.1:{server.server_port}/{page.as_posix()}")
                if tab.evaluate("document.documentElement.scrollWidth") > width:
                    problems.append(f"{page} is wider than {width} pixels")
                broken = "[...document.images].filter(i => i.complete && !i.naturalWidth).map(i => i.src)"
                problems += tab.evaluate(broken)
        browser.close()
    server.shutdown()
    assert problems == []
