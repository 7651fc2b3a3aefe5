"""The report: what is put together into one file, and what that file may load."""

import base64
import hashlib
from collections.abc import Sequence
from pathlib import Path

from .._version import __version__
from ..extras import import_extra
from ..files import check_output, replace_file
from ..runs.metrics import find_main_metric, make_distinct_names
from ..runs.run import Run
from ..runs.timeline import RunView
from ..schedules import ScheduleError
from ..schedules.numbers import format_count
from .chart import make_chart_data
from .tables import Lead, compare_runs, make_section

#: The file is smaller: it opens on a phone and goes through the mail.
MAX_BYTES = 6_000_000
_HERE = Path(__file__).parent
ENDINGS = (".html", ".htm")


def write_report(runs: Sequence[Run], path: str | Path, force: bool = False, lead: Lead | None = None) -> Path:
    """Write the report of one or several runs: one self-contained, interactive HTML file.

    It needs a browser and nothing else: no network, no server. Whatever comes from a run is shown as text.

    Args:
        runs (`Sequence[Run]`): See [`read_run`].
        path (`str` or `Path`): The file; its ending is `.html`.
        force (`bool`, defaults to `False`): Replace a file that exists.
        lead (`Lead`, *optional*): A table and a plot above the runs.

    Returns:
        `Path`: The file.

    Raises:
        ScheduleError: The file exists (and `force` is not set), its folder does not, its suffix is not .html, a run holds
            nothing to draw, or the file would become too large.
        ImportError: Plotly or Jinja2 is missing.

    Example:
    ```python
    write_report([read_run("runs/a"), read_run("runs/b")], "report.html")
    ```
    """
    path = Path(path)
    check_output(path, ENDINGS, force)
    replace_file(path, render_report(runs, lead))
    return path


def render_report(runs: Sequence[Run], lead: Lead | None = None) -> bytes:
    """Return the content of the file that [`write_report`] writes."""
    if not runs:
        raise ScheduleError("no run to report.")
    views = [RunView(run) for run in runs]
    for view in views:
        _check(view)
    jinja2, offline = (
        import_extra(each, "report", "reports need Jinja2 and Plotly") for each in ("jinja2", "plotly.offline")
    )
    # The browser reads \r\n as \n; and the script's own text must not end its element.
    plotly = str(offline.get_plotlyjs()).replace("\r\n", "\n").replace("</script", "<\\/script")
    names, metric = make_distinct_names(runs), find_main_metric(runs)
    chart = (_HERE / "chart.js").read_text(encoding="utf-8")
    environment = jinja2.Environment(
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        loader=jinja2.FileSystemLoader(_HERE),
    )
    environment.policies["json.dumps_kwargs"] = {"allow_nan": False, "separators": (",", ":")}
    text: str = environment.get_template("page.html").render(
        title=lead.table.title if lead else names[0] if len(names) == 1 else f"{len(names)} runs",
        lead=lead,
        version=__version__,
        policy=_policy(plotly, chart),
        style=(_HERE / "page.css").read_text(encoding="utf-8"),
        plotly=plotly,
        chart=chart,
        data=make_chart_data(views, names),
        comparison=compare_runs(views, names, metric) if len(runs) > 1 else None,
        sections=[make_section(view, name, metric, len(runs)) for view, name in zip(views, names, strict=True)],
    )
    content = text.encode("utf-8", errors="replace")  # half a surrogate pair is no text
    if len(content) >= MAX_BYTES:
        raise ScheduleError(
            f"the report of {format_count(len(runs), 'run')} would have {len(content) / 1e6:.1f} MB, more than {MAX_BYTES / 1e6:g}. Report "
            "fewer runs at once."
        )
    return content


def _check(view: RunView) -> None:
    run = view.run
    if not (run.train or run.evaluations or run.segments):
        raise ScheduleError(f"nothing to report of {run.path}: it holds no training record and no evaluation.")
    try:
        _ = view.curves
    except ScheduleError as error:  # e.g. a name that a module of the user's registers
        raise ScheduleError(f"the schedule of {run.path} cannot be read: {error}") from error


def _policy(*scripts: str) -> str:
    """Make the Content-Security-Policy: nothing is loaded from anywhere, and only the file's own scripts run."""
    hashes = (hashlib.sha256(script.encode()).digest() for script in scripts)
    allowed = " ".join(f"'sha256-{base64.b64encode(each).decode()}'" for each in hashes)
    # The chart places its parts by styles; a plot is saved as a blob.
    return (
        f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src data: blob:; "
        "base-uri 'none'; form-action 'none'"
    )
