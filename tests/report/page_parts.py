"""A page, taken apart by Python's own parser."""

import base64
import json
import struct
from html.parser import HTMLParser

VOID = {"meta", "link", "input", "br", "img", "hr"}


class Page(HTMLParser):
    """The page's elements, texts, scripts, tables and data.

    Args:
        path (`Path`): The file.
    """

    def __init__(self, path):
        super().__init__()
        self.path, self.source = path, path.read_text(encoding="utf-8")
        self.elements, self.open, self.texts, self.scripts = [], [], [], []
        self.tables, self.headings = [], []
        self.feed(self.source)
        self.close()
        assert self.open == [], "every element ends"
        self.data = json.loads(self.scripts[0])

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "script":
            self.scripts.append("")
        if tag == "table":
            self.tables.append([])
        if tag == "tr":
            self.tables[-1].append([])
        if tag in ("td", "th"):
            self.tables[-1][-1].append("")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, f"</{tag}> ends something else"

    def handle_data(self, data):
        within = self.open[-1] if self.open else ""
        if within == "script":
            self.scripts[-1] += data
            return
        if within != "style":
            self.texts.append(data)
        if within in ("td", "th"):
            self.tables[-1][-1][-1] += data
        if within in ("h1", "h2", "h3"):
            self.headings.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.texts).split())

    def all(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]

    def table(self, *header):
        """The rows below a header that begins so."""
        (found,) = [rows for rows in self.tables if tuple(rows[0][: len(header)]) == header]
        return found[1:]

    def run(self, name=None):
        """What the chart is given of a run."""
        return next(run for run in self.data["runs"] if name in (None, run["name"]))

    def lr(self, group, name=None):
        """The updates and LRs of a group."""
        lr = self.run(name)["lr"]
        line = next(line for line in lr["lines"] if group in line["groups"])
        return doubles(line.get("x", lr.get("x"))), doubles(line["y"])


def doubles(text):
    raw = base64.b64decode(text)
    return list(struct.unpack(f"<{len(raw) // 8}d", raw))
