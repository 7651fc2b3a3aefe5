"""Draws docs/plots and writes the catalogue in docs/schedules.md from the functions' docstrings.

python docs/draw_catalogue.py            draws all plots and writes the page
python docs/draw_catalogue.py --check    writes nothing; says what is missing or differs, and fails if anything does
"""

import argparse
import ast
import base64
import difflib
import doctest
import inspect
import io
import json
import re
import sys
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import hf_lrsched
from hf_lrsched import schedules
from hf_lrsched.schedules import Curve, Horizon, Schedule, custom, from_transformers, parse, to_data
from hf_lrsched.schedules.from_transformers import TRANSFORMERS_NAMES
from hf_lrsched.schedules.registry import NAMES

DOCS = Path(__file__).parent
PAGE = DOCS / "schedules.md"
PLOTS = DOCS / "plots"
BEGIN = "<!-- catalogue: written by draw_catalogue.py from the docstrings; change those -->"
END = "<!-- end of the catalogue -->"

#: The run of all plots: three epochs of 115 updates.
RUN = Horizon(345, updates_per_epoch=115)


def cubic(p):
    """A user's own function, for the plot of custom()."""
    return 1 - p**3


custom(cubic)


@dataclass(frozen=True)
class Entry:
    """A name's plot: what it shows, drawn bold, and what it compares that with.

    Args:
        name (`str`): The name in the language.
        text (`str`): The schedule of the plot, its title.
        others (`tuple[str, ...]`): Schedules to compare with.
        caption (`str`): What happened in the run that is drawn, for a schedule that follows it.
        losses (`tuple[float, ...]`): The validation losses of that run, one after each half epoch.
        stopped_at (`int`, *optional*): The update at which that run was about to be ended.
    """

    name: str
    text: str
    others: tuple[str, ...] = ()
    caption: str = ""
    losses: tuple[float, ...] = ()
    stopped_at: int | None = None


SECTIONS = {
    "Climb and hold": (
        Entry(
            "warmup",
            "warmup(30%) >> linear()",
            (
                "warmup(30%, shape=cosine) >> linear()",
                "warmup(30%, start=0.01, shape=exponential) >> linear()",
                "warmup(30%, start=0.2, shape=constant) >> linear()",
            ),
        ),
        Entry("hold", "warmup(10%) >> hold() >> linear(over=30%)"),
        Entry("jump", "linear(over=50%) >> jump(50%) >> linear()", ("linear()",)),
        Entry("freeze", "(warmup(10%) >> linear()) * freeze(1ep)", ("warmup(10%) >> linear()",)),
    ),
    "Schedules that follow the run": (
        Entry(
            "plateau",
            "(warmup(10%) >> linear()) * plateau(factor=0.5, patience=0)",
            ("warmup(10%) >> linear()",),
            caption="evaluated twice an epoch; the loss was no better at 1 ep and at 2 ep",
            losses=(0.5, 0.51, 0.4, 0.42, 0.35, 0.3),
        ),
        Entry("momentum", "one_cycle() * momentum()"),
        Entry(
            "cooldown",
            "warmup(10%) >> hold() >> cooldown(20%)",
            ("warmup(10%) >> hold() >> one_minus_sqrt(over=20%)",),
            caption="early stopping fired at update 173",
            stopped_at=173,
        ),
    ),
    "Decays": (
        Entry("linear", "warmup(10%) >> linear()", ("warmup(10%) >> linear(to=20%)",)),
        Entry("cosine", "warmup(10%) >> cosine()", ("warmup(10%) >> cosine(to=20%)", "warmup(10%) >> cosine(k=2)")),
        Entry("polynomial", "warmup(10%) >> polynomial(power=2)", ("warmup(10%) >> polynomial(power=0.5)",)),
        Entry("exponential", "warmup(10%) >> exponential(to=1%)", ("warmup(10%) >> exponential(rate=0.5)",)),
        Entry("rex", "warmup(10%) >> rex()", ("warmup(10%) >> rex(d=0.9)",)),
        Entry("tanh", "warmup(10%) >> tanh()", ("warmup(10%) >> tanh(lb=-4, ub=4)",)),
        Entry(
            "one_minus_sqrt",
            "warmup(10%) >> hold() >> one_minus_sqrt(over=30%)",
            ("warmup(10%) >> hold() >> linear(over=30%)",),
        ),
    ),
    "Steps": (
        Entry("step", "warmup(10%) >> step(every=1ep, factor=0.5)"),
        Entry("multistep", "warmup(10%) >> multistep(at=[50%, 2.5ep])"),
    ),
    "Decays without a fixed end": (
        Entry("inverse_sqrt", "warmup(10%) >> inverse_sqrt()", ("warmup(10%) >> inverse_sqrt(timescale=1ep)",)),
        Entry("power", "warmup(10%) >> power(timescale=20%)", ("warmup(10%) >> power(timescale=20%, exponent=1)",)),
    ),
    "Schedules that rise again": (
        Entry("repeat", "repeat(cosine(), cycles=3, decay=0.7)", ("repeat(linear(), cycles=3, growth=2)",)),
        Entry("triangular", "triangular(up=0.5ep, decay=0.5)", ("triangular(up=0.5ep)",)),
        Entry("one_cycle", "one_cycle()", ("one_cycle(shape=linear)",)),
    ),
    "Schedules around schedules, and free forms": (
        Entry("floor", "floor(warmup(10%) >> cosine(), to=20%)", ("warmup(10%) >> cosine()",)),
        Entry("rising", "warmup(10%) >> rising(cosine(to=150%))", ("warmup(10%) >> cosine(to=50%)",)),
        Entry("from_start", "warmup(30%) >> from_start(cosine())", ("warmup(30%) >> cosine()",)),
        Entry("planned", "planned(warmup(10%) >> linear(), length=5ep)", ("warmup(10%) >> linear()",)),
        Entry(
            "piecewise",
            "piecewise(points=[[0, 0], [10%, 1], [50%, 0.4], [100%, 0.1]])",
            ("piecewise(points=[[0, 0], [10%, 1], [50%, 0.4], [100%, 0.1]], shape=cosine)",),
        ),
        Entry("custom", "warmup(10%) >> custom(cubic)"),
    ),
    "Named schedules": (
        Entry("bert", "bert()"),
        Entry("wsd", "wsd()"),
        Entry("cosine_restarts", "cosine_restarts()", ("cosine_restarts(growth=2, decay=0.5)",)),
        Entry("step_decay", "step_decay(factor=0.5)"),
        Entry("exponential_decay", "exponential_decay(rate=0.5)"),
        Entry("slanted_triangular", "slanted_triangular()"),
        Entry("noam", "noam(warmup=35)"),
    ),
}

#: Comparisons for the tutorial in docs/zh.
COMPARISONS = (
    Entry("constant_and_decay", "warmup(10%) >> linear()", ("hold()",)),
    Entry(
        "by_task",
        "warmup(10%) >> linear()",
        ("warmup(2%) >> linear()", "warmup(10%) >> hold() >> cooldown(20%)"),
    ),
)

#: Twelve common schedules, for the plot at the head of the page.
OVERVIEW = (
    "warmup(10%) >> linear()",
    "warmup(10%) >> cosine()",
    "warmup(10%) >> cosine(to=10%)",
    "warmup(10%) >> polynomial(power=2)",
    "warmup(10%) >> step(every=1ep, factor=0.5)",
    "warmup(10%) >> exponential(to=1%)",
    "warmup(10%) >> hold()",
    "wsd()",
    "warmup(10%) >> inverse_sqrt()",
    "cosine_restarts()",
    "one_cycle()",
    "slanted_triangular()",
)

#: Arguments with which the table of transformers' names and its plot show each name.
TRANSFORMERS_ARGUMENTS = {
    "cosine": {"num_cycles": 0.5},
    "cosine_with_restarts": {"num_cycles": 2},
    "polynomial": {"power": 2.0, "lr_end": 1e-7},
    "cosine_with_min_lr": {"min_lr_rate": 0.1},
    "cosine_warmup_with_min_lr": {"min_lr_rate": 0.1},
    "warmup_stable_decay": {"num_decay_steps": 69},
}

#: The function in `transformers.optimization` that each name of the table stands for.
FACTORIES = {
    "linear": "get_linear_schedule_with_warmup",
    "cosine": "get_cosine_schedule_with_warmup",
    "cosine_with_restarts": "get_cosine_with_hard_restarts_schedule_with_warmup",
    "polynomial": "get_polynomial_decay_schedule_with_warmup",
    "constant": "get_constant_schedule",
    "constant_with_warmup": "get_constant_schedule_with_warmup",
    "inverse_sqrt": "get_inverse_sqrt_schedule",
    "cosine_with_min_lr": "get_cosine_with_min_lr_schedule_with_warmup",
    "cosine_warmup_with_min_lr": "get_cosine_with_min_lr_schedule_with_warmup_lr_rate",
    "warmup_stable_decay": "get_wsd_schedule",
}


def entries() -> Iterator[Entry]:
    for section in SECTIONS.values():
        yield from section


# ---------------------------------------------------------------------------------------------------------- plots

# Okabe and Ito's colours, which stay apart for colour-blind readers; dashes keep them apart in grey print.
_BOLD = {"color": "#0072B2", "linewidth": 2.4, "zorder": 3}
_COMPARED = (
    {"color": "#D55E00", "linewidth": 1.6, "linestyle": (0, (5, 1.6))},
    {"color": "#009E73", "linewidth": 1.6, "linestyle": (0, (1.5, 1.5))},
    {"color": "#CC79A7", "linewidth": 1.6, "linestyle": (0, (6, 1.6, 1.5, 1.6))},
)
_BOUNDARY = {"color": "#777777", "linewidth": 0.8, "zorder": 1}
_TEXT = "#222222"
_SETTINGS = {
    "svg.fonttype": "none",  # text stays text: small files, and a reader can search and copy it
    "svg.hashsalt": "hf_lrsched",
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans", "Verdana", "Arial", "sans-serif"],
    "font.monospace": ["DejaVu Sans Mono", "Menlo", "Consolas", "monospace"],
    "font.size": 9,
    "axes.edgecolor": "#777777",
    "axes.labelcolor": _TEXT,
    "axes.linewidth": 0.8,
    "text.color": _TEXT,
    "xtick.color": _TEXT,
    "ytick.color": _TEXT,
    "legend.frameon": False,
    "legend.handlelength": 3.2,
}


def draw(entry: Entry) -> bytes:
    """A name's plot as SVG."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    texts = [entry.text, *entry.others]
    with mpl.rc_context(_SETTINGS):
        figure = Figure(figsize=(6.6, 2.6 + (0.2 * len(texts) if entry.others else 0)), layout="constrained")
        figure.get_layout_engine().set(w_pad=0.1)
        axes = figure.add_subplot()
        curve = parse(entry.text).resolve(RUN)
        styles = [_BOLD, *_COMPARED[: len(entry.others)]]
        lines = [
            _draw_curve(axes, parse(text).resolve(RUN), **style) for text, style in zip(texts, styles, strict=True)
        ]
        if entry.caption:
            lines[0].remove()
            lines[0] = _draw_reactive_run(axes, entry, curve)
        _draw_boundaries(axes, curve, numbers=True)
        axes.set(
            xlabel=f"updates; {entry.caption}" if entry.caption else "updates",
            ylabel="LR / peak LR",
            xlim=(0, RUN.num_updates),
            ylim=(-0.03, 1.09),
        )
        axes.set_xticks([*range(0, 301, 50), RUN.num_updates])
        axes.set_yticks([0, 0.25, 0.5, 0.75, 1], ["0", "", "0.5", "", "1"])
        epochs = axes.secondary_xaxis("top", functions=(_to_epochs, _to_updates))
        count = RUN.num_updates // RUN.updates_per_epoch
        epochs.set_xticks(range(count + 1), ["0", *(f"{epoch} ep" for epoch in range(1, count + 1))])
        axes.set_title(entry.text, family="monospace", fontsize=10.5, pad=7)
        if entry.others:
            figure.legend(lines, _labels(texts), loc="outside lower left", prop={"family": "monospace", "size": 8.5})
        return _to_svg(figure)


def draw_step_sizes() -> bytes:
    """How far adaptive optimizers move a weight at LR 1 under a constant gradient, as SVG."""
    import matplotlib as mpl
    import torch
    from matplotlib.figure import Figure

    with mpl.rc_context(_SETTINGS):
        figure = Figure(figsize=(6.6, 2.8), layout="constrained")
        axes = figure.add_subplot()
        styles = [_COMPARED[0], _BOLD, _COMPARED[1]]
        for optimizer, style in zip(("RMSprop", "AdamW", "Adagrad"), styles, strict=True):
            weight = torch.nn.Parameter(torch.zeros(1, dtype=torch.float64))
            stepper, weights = getattr(torch.optim, optimizer)([weight], lr=1.0), [0.0]
            stepper.param_groups[0]["weight_decay"] = 0.0
            for _ in range(100):
                weight.grad = torch.ones_like(weight)
                stepper.step()
                weights.append(weight.item())
            axes.plot(range(1, 101), [before - after for before, after in pairwise(weights)], label=optimizer, **style)
        axes.set(
            xlabel="updates", ylabel="step / LR", xlim=(1, 100), yscale="log", title="constant gradient, constant LR"
        )
        axes.set_yticks([0.1, 0.3, 1, 3, 10], ["0.1", "0.3", "1", "3", "10"])
        axes.set_yticks([], minor=True)
        axes.set_xticks([1, 20, 40, 60, 80, 100])
        axes.legend(loc="upper right")
        return _to_svg(figure)


def read_search_plot() -> bytes:
    """The plot of `find_lr` in the notebook, as PNG."""
    cells = json.loads((DOCS.parent / "examples/tutorial.ipynb").read_text(encoding="utf-8"))["cells"]
    outputs = [output for cell in cells if cell["source"][-1:] == ["search"] for output in cell["outputs"]]
    return _with_few_colours(io.BytesIO(base64.b64decode(outputs[-1]["data"]["image/png"])), colours=64)


def _to_svg(figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    # Trailing blanks, which matplotlib leaves in its paths, would trip the checks that run before a commit.
    return re.sub(rb"[ \t]+\n", b"\n", buffer.getvalue())


def draw_many(titles_and_curves: list[tuple[str, Curve]], columns: int) -> bytes:
    """Small multiples as PNG."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    rows = -(-len(titles_and_curves) // columns)
    with mpl.rc_context(_SETTINGS):
        figure = Figure(figsize=(9.6, 0.35 + 1.6 * rows), layout="constrained")
        grid = figure.subplots(rows, columns, sharex=True, sharey=True)
        for axes, (title, curve) in zip(grid.flat, titles_and_curves, strict=True):
            _draw_curve(axes, curve, **_BOLD | {"linewidth": 2.0})
            _draw_boundaries(axes, curve)
            axes.set_title(title, family="monospace", fontsize=7.8, pad=4)
            axes.set(xlim=(0, RUN.num_updates), ylim=(-0.04, 1.1))
            axes.set_xticks([0, 115, 230, 345])
            axes.set_yticks([0, 0.5, 1], ["0", "0.5", "1"])
            axes.tick_params(labelsize=8)
        figure.supxlabel("updates (115 per epoch)", fontsize=9)
        figure.supylabel("LR / peak LR", fontsize=9)
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=130, metadata={"Software": None})
    return _with_few_colours(buffer)


def plots() -> dict[str, bytes]:
    """All plots, by the name of their file."""
    made = {f"{entry.name}.svg": draw(entry) for entry in (*entries(), *COMPARISONS)}
    made["step_sizes.svg"] = draw_step_sizes()
    made["lr_search.png"] = read_search_plot()
    made["overview.png"] = draw_many([(text, parse(text).resolve(RUN)) for text in OVERVIEW], 3)
    names = [(name, transformers_sentence(name).resolve(RUN, peak=2e-5)) for name in TRANSFORMERS_NAMES]
    made["transformers.png"] = draw_many(names, 5)
    return made


def _draw_curve(axes, curve: Curve, **style):
    factors = curve(range(RUN.num_updates)).tolist()
    points = [(0, factors[0])]
    for t in range(1, RUN.num_updates):
        if abs(factors[t] - factors[t - 1]) > 0.08:
            points.append((t, factors[t - 1]))  # a jump is drawn as one
        points.append((t, factors[t]))
    # The last update's LR holds until its end.
    (line,) = axes.plot(*zip(*points, (RUN.num_updates, factors[-1]), strict=True), **style)
    return line


def _draw_reactive_run(axes, entry: Entry, curve: Curve):
    """The LRs of a run in which something happened, from the scheduler that trains."""
    import torch

    from hf_lrsched import ScheduleLR

    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler = ScheduleLR(optimizer, curve.schedule, RUN)
    scheduler.declare_driven("plateau", "cooldown")
    losses, used = iter(entry.losses), []
    while scheduler.position < scheduler.end:
        used.append(scheduler.get_last_lr()[0])
        optimizer.step()
        scheduler.step()
        if entry.losses and scheduler.last_epoch in {58, 115, 173, 230, 288, 345}:
            scheduler.observe({"eval_loss": next(losses)})
        if scheduler.last_epoch == entry.stopped_at:
            scheduler.start_cooldown()
    (line,) = axes.step(range(len(used) + 1), [*used, used[-1]], where="post", **_BOLD)
    return line


def _draw_boundaries(axes, curve: Curve, numbers: bool = False) -> None:
    for bound in sorted({part.start for part in curve.parts} - {0}):
        axes.axvline(bound, **_BOUNDARY)
        if numbers:
            axes.annotate(
                f"{bound}", (bound, 0), (2.5, 1), textcoords="offset points", fontsize=7.5, color=_BOUNDARY["color"]
            )


def _labels(texts: list[str]) -> list[str]:
    """The schedules without the phases that all of them begin or end with."""
    phases = [text.split(" >> ") for text in texts]
    while len({tuple(parts[:1]) for parts in phases}) == 1 and all(len(parts) > 1 for parts in phases):
        phases = [parts[1:] for parts in phases]
    while len({tuple(parts[-1:]) for parts in phases}) == 1 and all(len(parts) > 1 for parts in phases):
        phases = [parts[:-1] for parts in phases]
    return [" >> ".join(parts) for parts in phases]


def _to_epochs(updates):
    return updates / RUN.updates_per_epoch


def _to_updates(epochs):
    return epochs * RUN.updates_per_epoch


def _with_few_colours(png: io.BytesIO, colours: int = 12) -> bytes:
    """The same plot with a palette, a third of the size."""
    from PIL import Image

    buffer = io.BytesIO()
    image = Image.open(png).convert("RGB").quantize(colours, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    image.save(buffer, format="PNG", optimize=True)
    return buffer.getvalue()


# -------------------------------------------------------------------------------------------------------------- page


def catalogue() -> str:
    """The generated part of the page."""
    parts = []
    for title, section in SECTIONS.items():
        parts.append(f"### {title}")
        parts += [_section(entry) for entry in section]
    parts.append(_transformers_section())
    return "\n\n".join(parts)


def contents() -> str:
    """All names with links to their sections, one line a group."""
    lines = [
        f"- {title}: {', '.join(f'[`{entry.name}`](#{entry.name})' for entry in section)}"
        for title, section in SECTIONS.items()
    ]
    return "\n".join(lines)


def page() -> str:
    """The whole page: what stands around the catalogue is kept."""
    text = PAGE.read_text(encoding="utf-8")
    head, _, rest = text.partition(BEGIN)
    _, _, tail = rest.partition(END)
    return f"{head}{BEGIN}\n\n{contents()}\n\n{catalogue()}\n\n{END}{tail}"


@dataclass
class Docstring:
    """A docstring of this package in its parts."""

    prose: list[str]
    arguments: list[tuple[str, str, str]]  # name, what it is, what it means
    raises: str = ""
    when: str = ""
    when_not: str = ""
    source: str = ""
    example: str = ""


def read_docstring(name: str) -> Docstring:
    text = inspect.getdoc(NAMES[name]) or ""
    read = Docstring([], [])
    text, _, example = text.partition("Example:\n```python\n")
    read.example = example.partition("```")[0].strip()
    for paragraph in re.split(r"\n\n", text.strip()):
        if paragraph.startswith("Args:\n"):
            read.arguments = _arguments(paragraph.removeprefix("Args:\n"))
        elif paragraph.startswith("Raises:\n"):
            read.raises = _joined(paragraph.removeprefix("Raises:\n")).removeprefix("ScheduleError: ")
        elif paragraph.startswith("When"):
            read.when, _, read.when_not = _joined(paragraph).removeprefix("When: ").partition(" When not: ")
        elif paragraph.startswith("Source: "):
            read.source = _joined(paragraph).removeprefix("Source: ")
        else:
            read.prose.append(_joined(paragraph))
    return read


def _arguments(block: str) -> list[tuple[str, str, str]]:
    items = re.split(r"\n(?=\w+ \()", textwrap.dedent(block))
    read = []
    for item in items:
        match = re.fullmatch(r"(\w+) \((.*?)\): (.*)", _joined(item))
        if match is None:
            raise ValueError(f"can't read the argument {item!r}")
        read.append((match[1], match[2], match[3]))
    return read


def _section(entry: Entry) -> str:
    read = read_docstring(entry.name)
    parts = [f"#### {entry.name}", f"![{entry.name} over three epochs]({PLOTS.name}/{entry.name}.svg)"]
    sentence = parse(entry.text)
    text = f"`{entry.text}`"
    if entry.name not in names_within(sentence):
        text += f", that is `{sentence}`"
    parts.append(text)
    parts += [_markdown(paragraph) for paragraph in read.prose]
    if read.arguments:
        rows = ["| argument | | meaning |", "|---|---|---|"]
        rows += [f"| `{name}` | {_cell(kind)} | {_cell(meaning)} |" for name, kind, meaning in read.arguments]
        parts.append("\n".join(rows))
    facts = [
        ("When", read.when),
        ("When not", read.when_not),
        ("Refused", read.raises),
        ("Source", read.source),
    ]
    parts.append("\n".join(f"- **{label}:** {_markdown(fact)}" for label, fact in facts if fact))
    if entry in SECTIONS["Named schedules"]:
        links = ", ".join(f"[`{name}`](#{name})" for name in names_within(sentence))
        parts[-1] = "\n".join(filter(None, [parts[-1], f"- **Made of:** {links}"]))
    parts.append(f"```python\n{_with_imports(read.example)}\n```")
    return "\n\n".join(part for part in parts if part)


def names_within(schedule: Schedule) -> list[str]:
    """The phases of a schedule, each once, in order."""
    found: list[str] = []

    def walk(data) -> None:
        if isinstance(data, dict):
            if data.get("phase") and data["phase"] not in found:
                found.append(data["phase"])
            data = list(data.values())
        if isinstance(data, list | tuple):
            for item in data:
                walk(item)

    walk(to_data(schedule))
    return found


def transformers_sentence(name: str) -> Schedule:
    return from_transformers(name, 35, RUN.num_updates, **TRANSFORMERS_ARGUMENTS.get(name, {}))


def _transformers_section() -> str:
    rows = ["| name | factory of transformers | with | here |", "|---|---|---|---|"]
    for name in TRANSFORMERS_NAMES:
        if name in FACTORIES:
            arguments = ", ".join(f"{key}={value}" for key, value in TRANSFORMERS_ARGUMENTS.get(name, {}).items())
            cells = [f"`{name}`", f"`{FACTORIES[name]}`", f"`{arguments}`" if arguments else ""]
            rows.append(f"| {' | '.join([*cells, f'`{transformers_sentence(name)}`'])} |")
    rows += [
        "| `reduce_lr_on_plateau` | `get_reduce_on_plateau_schedule` | `factor=0.1, patience=10` | `hold() * plateau(factor=0.1, "
        "patience=10)`; a warmup and a decay may stand before it |",
        "| `greedy` | `get_greedy_schedule` | | an error: it also raises the LR; use `plateau()` |",
        "| | `get_adafactor_schedule` | | not needed: it only reports the LR that `Adafactor(lr=None)` sets by itself. Give "
        "Adafactor an `lr` and `relative_step=False` to use a schedule |",
    ]
    table = "\n".join(rows)
    return (
        "### transformers' names\n\n"
        f"![The schedules of transformers' names]({PLOTS.name}/transformers.png)\n\n"
        "`get_scheduler` takes every name of `transformers.get_scheduler` with its arguments. Each factory of "
        "`transformers.optimization` has its equivalent here, shown for 35 updates of warmup and "
        f"{RUN.num_updates} in all:\n\n"
        f"{table}"
    )


def _with_imports(example: str) -> str:
    """An example with imports of all the package's names in it."""
    own = re.compile(r"^>>> from hf_lrsched\.schedules import (.*)\n", re.MULTILINE)
    imported = {name.strip() for line in own.findall(example) for name in line.split(",")}
    example = own.sub("", example)
    tree = ast.parse("".join(item.source for item in doctest.DocTestParser().get_examples(example)))
    nodes = list(ast.walk(tree))
    defined = {node.name for node in nodes if isinstance(node, ast.FunctionDef)}
    used = {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)}
    names = imported | (used & {*hf_lrsched.__all__, *schedules.__all__}) - defined
    public = sorted(names & set(hf_lrsched.__all__))
    lines = [f">>> from hf_lrsched import {', '.join(public)}\n"] if public else []
    if names - set(public):
        lines.append(f">>> from hf_lrsched.schedules import {', '.join(sorted(names - set(public)))}\n")
    return "".join([*lines, example])


def _joined(text: str) -> str:
    return " ".join(text.split())


def _markdown(text: str) -> str:
    """A docstring's references as links, where this page has what they name."""

    def link(match: re.Match[str]) -> str:
        name = match[1].rpartition(".")[2]
        if name in ("phase", "named", "register"):
            return f"[`{name}`](language.md#your-own)"
        return f"[`{name}`](#{name})" if name in NAMES else f"`{name}`"

    text = re.sub(r"\[`([\w.]+)`\]", link, text)
    return re.sub(r"(?<![<(\"`])(https://[^\s,;]*[^\s,;.])", r"<\1>", text)


def _cell(text: str) -> str:
    return _markdown(text).replace("|", "\\|")


# --------------------------------------------------------------------------------------------------------------- run


def problems() -> list[str]:
    """What differs between what is committed and what this script would write."""
    found = []
    shown = [entry.name for entry in entries()]
    for name in sorted(set(NAMES) - set(shown)):
        found.append(f"{name} has no section: add it to SECTIONS in docs/draw_catalogue.py.")
    for name in sorted(set(shown) - set(NAMES)):
        found.append(f"{name} has a section and is no name of the language: take it out of SECTIONS.")
    drawn = [f"{name}.svg" for name in (*shown, *(entry.name for entry in COMPARISONS), "step_sizes")]
    for file in [*drawn, "lr_search.png", "overview.png", "transformers.png"]:
        path = PLOTS / file
        if not path.exists():
            found.append(f"{path.relative_to(DOCS.parent)} is missing: run docs/draw_catalogue.py.")
    if not found:
        committed, made = PAGE.read_text(encoding="utf-8"), page()
        if committed != made:
            lines = difflib.unified_diff(
                committed.splitlines(), made.splitlines(), "committed", "generated", lineterm=""
            )
            difference = "\n".join(list(lines)[:40])
            found.append(f"docs/schedules.md is not what the docstrings say: run docs/draw_catalogue.py.\n{difference}")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; fail where the committed files differ")
    if parser.parse_args().check:
        found = problems()
        sys.exit("\n".join(found) if found else 0)
    PLOTS.mkdir(exist_ok=True)
    for name, content in plots().items():
        (PLOTS / name).write_bytes(content)
    PAGE.write_text(page(), encoding="utf-8")
    if found := problems():
        sys.exit("\n".join(found))


if __name__ == "__main__":
    main()
