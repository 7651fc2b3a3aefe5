"""Hooks of the documentation site: files of the repository that a page links to become pages of the site.

The pages in docs/ are also read in the repository, where `../benchmarks/results/plot.md` is a good link. On the site such a
file is a page under `repository/`: Markdown as it is, anything else as a block of code.
"""

import re
from collections.abc import Callable
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[1]
LINK = re.compile(r"(?<=\]\()(?!https?://|mailto:|#)([^)\s#]+)")
NAME = re.compile(r"\[<code>([\w.]+)</code>\](?!\()")
LINKED = re.compile(r"\[`([\w.]+)`\]")
DEFAULT = re.compile(r", (\*optional\*|defaults to .*)$")  # has a column of its own
TYPE = re.compile(r"<td>\s*<code>([^<]*`[^<]*)</code>\s*</td>")  # of an argument, as "`int` or [`Horizon`]"
CODE = re.compile(r"^```.*?^```$", re.DOTALL | re.MULTILINE)
FILES = {".png", ".svg", ".ipynb"}  # shown, or downloaded, as they are
LANGUAGES = {".py": "python", ".yaml": "yaml", ".toml": "toml", ".json": "json"}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add a page for each file outside docs/ that a page links to, and for those that these link to."""
    docs = Path(config.docs_dir)
    to_read = [(docs / file.src_uri, file.src_uri) for file in files.documentation_pages()]
    while to_read:
        source, _ = to_read.pop()
        for target in find_links(source):
            uri = to_uri(target, docs)
            if files.get_file_from_path(uri) or not target.exists():
                continue
            if target.suffix in FILES:
                files.append(File.generated(config, uri, abs_src_path=str(target)))
                continue
            files.append(File.generated(config, uri, content=to_page(target)))
            if target.suffix == ".md":
                to_read.append((target, uri))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Point the links of a page to the pages that on_files added."""
    docs = Path(config.docs_dir)
    uri = page.file.src_uri
    source = ROOT / uri.removeprefix("repository/") if uri.startswith("repository/") else docs / uri
    if not source.exists():  # a block of code
        return markdown
    depth = "../" * uri.count("/")

    def link(match: re.Match[str]) -> str:
        target = resolve(source, match[1])
        return depth + to_uri(target, docs) if target.exists() else match[1]

    return CODE.sub(lambda block: block[0], outside_code(markdown, link))


def on_page_content(html: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Link the names that docstrings write as [`Schedule`] to their entry on the API page."""
    html = TYPE.sub(lambda m: f"<td><code>{to_type(m[1])}</code></td>", html)
    names = set(re.findall(r'id="hf_lrsched\.(\w+)"', html))
    return NAME.sub(
        lambda m: f'<a href="#hf_lrsched.{m[1]}"><code>{m[1]}</code></a>' if m[1] in names else m[0][1:-1], html
    )


def to_type(text: str) -> str:
    """Return the type of an argument: `int or Horizon` for "`int` or [`Horizon`], *optional*"."""
    return LINKED.sub(r"\1", DEFAULT.sub("", text)).replace("`", "")


def outside_code(markdown: str, link: Callable[[re.Match[str]], str]) -> str:
    """Replace the links of a page, and leave its blocks of code as they are."""
    parts, end = [], 0
    for block in CODE.finditer(markdown):
        parts += [LINK.sub(link, markdown[end : block.start()]), block[0]]
        end = block.end()
    return "".join([*parts, LINK.sub(link, markdown[end:])])


def find_links(page: Path) -> list[Path]:
    """List the files that a page links to."""
    if page.suffix != ".md" or not page.exists():
        return []
    return [resolve(page, match[1]) for match in LINK.finditer(CODE.sub("", page.read_text(encoding="utf-8")))]


def resolve(page: Path, link: str) -> Path:
    """Return the file behind a link: of a folder, its page."""
    target = (page.parent / link).resolve()
    if target.is_dir():
        return next((target / name for name in ("README.md", "__init__.py") if (target / name).exists()), target)
    return target


def to_uri(target: Path, docs: Path) -> str:
    """Return where a file is on the site."""
    if target.is_relative_to(docs):
        return target.relative_to(docs).as_posix()
    name = target.relative_to(ROOT).as_posix() if target.is_relative_to(ROOT) else target.name
    return "repository/" + (name if target.suffix in {".md", *FILES} else name + ".md")


def to_page(target: Path) -> str:
    """Return the Markdown of a file of the repository."""
    text = target.read_text(encoding="utf-8")
    if target.suffix == ".md":
        return text
    fence = "`" * (max((len(run) for run in re.findall(r"`{3,}", text)), default=3) + 1)
    name = target.relative_to(ROOT).as_posix()
    return f"---\nsearch:\n  exclude: true\n---\n\n# {name}\n\n{fence} {LANGUAGES.get(target.suffix, 'text')}\n{text}\n{fence}\n"
