"""Run the Python blocks of a page: those with >>> as doctests, one after another. The others must compile.

python tests/docs/run_examples.py docs/language.md
"""

import doctest
import re
import sys
from pathlib import Path

BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def run_examples(page: Path) -> str:
    """Return the report of doctest, empty if nothing failed."""
    text = page.read_text(encoding="utf-8")
    variables: dict[str, object] = {"__name__": page.stem}
    report: list[str] = []
    for block in BLOCK.finditer(text):
        line = text[: block.start(1)].count("\n")
        if ">>>" not in block[1]:
            compile("\n" * line + block[1], str(page), "exec")
            continue
        test = doctest.DocTestParser().get_doctest(block[1], variables, page.name, str(page), line)
        doctest.DocTestRunner(verbose=False).run(test, out=report.append, clear_globs=False)
        variables = test.globs  # each block of a page continues the one before
    return "".join(report)


if __name__ == "__main__":
    sys.exit(run_examples(Path(sys.argv[1])) or 0)
