"""The report: one HTML page of one or several runs, which needs nothing but a browser.

page.py      the file: what is put together, its size, what it may load (nothing)
page.html    the page, its tables and its controls; page.css: its looks, light, dark and on paper
chart.js     what moves: the chart, the cursor, the choices
chart.py     what the chart draws
tables.py    what the tables say
events.py    what changed the LRs, in full
thin.py      long lines by fewer points
command.py   hf-lrsched report
"""

from .html import write_report

__all__ = ["write_report"]
