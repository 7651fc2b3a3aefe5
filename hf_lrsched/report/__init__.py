"""The report: one HTML file of one or several runs, which needs nothing but a browser.

html.py      the file: what is put together, its size, what it may load (nothing)
page.html    the template, with tables and controls; page.css: its looks, light, dark and on paper
chart.js     the interactive parts: the chart, the cursor, the choices
chart.py     what the chart draws
tables.py    what the tables contain
"""

from .html import write_report

__all__ = ["write_report"]
