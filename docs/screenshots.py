"""Build the documentation site and take a picture of each page, as a desk and as a phone show it.

python docs/screenshots.py screenshots                  # every page of the site
python docs/screenshots.py screenshots runs/a.html      # these HTML files instead, such as reports

Each picture is PAGE-WIDTH.png; a long page is cut into several. Needs the extra docs and Chromium.
"""

import argparse
import functools
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
WIDTHS = (1280, 390)
SLICE = 2400  # pixels in height


def find_browser() -> str | None:
    """Return the path of Chromium or Chrome."""
    return next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)


def build_site(folder: Path) -> None:
    """Build the site; a warning is an error."""
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(done.stdout + done.stderr)


def list_pages(site: Path) -> list[Path]:
    """List the pages of docs/; those of other files of the repository are code and tables as they are."""
    found = sorted(page.relative_to(site) for page in site.rglob("index.html"))
    return [page for page in found if page.parts[0] not in {"repository", "assets"}]


@contextmanager
def serve(folder: Path) -> Iterator[str]:
    """Serve a folder on this machine; yield its address."""
    handler = functools.partial(_QuietHandler, directory=folder)
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()


class _QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, *arguments: object) -> None:
        pass


@contextmanager
def open_browser() -> Iterator["Browser"]:  # noqa: F821
    """Start Chromium."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as started:
        browser = started.chromium.launch(executable_path=find_browser(), args=["--no-sandbox", "--disable-gpu"])
        try:
            yield browser
        finally:
            browser.close()


def take_pictures(address: str, pages: list[Path], folder: Path) -> None:
    """Write the pictures of the pages below an address."""
    folder.mkdir(parents=True, exist_ok=True)
    with open_browser() as browser:
        for width in WIDTHS:
            tab = browser.new_page(viewport={"width": width, "height": 900})
            for page in pages:
                tab.goto(f"{address}/{page.as_posix()}")
                height = tab.evaluate("document.documentElement.scrollHeight")
                whole = page.parent if page.name == "index.html" else page.with_suffix("")
                name = "-".join(whole.parts) or "index"
                for number, top in enumerate(range(0, height, SLICE)):
                    area = {"x": 0, "y": top, "width": width, "height": min(SLICE, height - top)}
                    part = f"-{number + 1}" if height > SLICE else ""
                    tab.screenshot(path=folder / f"{name}-{width}{part}.png", clip=area, full_page=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path, help="where the pictures go")
    parser.add_argument("html", type=Path, nargs="*", help="HTML files to take instead of the site")
    args = parser.parse_args()
    if args.html:
        for file in args.html:
            with serve(file.resolve().parent) as address:
                take_pictures(address, [Path(file.name)], args.folder)
        return
    with tempfile.TemporaryDirectory() as site:
        build_site(Path(site))
        with serve(Path(site)) as address:
            take_pictures(address, list_pages(Path(site)), args.folder)


if __name__ == "__main__":
    main()
