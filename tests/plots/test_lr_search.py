"""The plot of a search for the peak LR."""

import numpy as np
import pytest

pytest.importorskip("matplotlib")

from hf_lrsched.plots.lr_search import draw_lr_search

SEARCH = {
    "suggestion": 2e-4,
    "low": 1e-4,
    "high": 4e-4,
    "total": 1600,
    "probes": [
        {"lr": lr, "updates": updates, "loss": loss, "seed": 0}
        for updates, losses in ((100, {1e-4: 0.9, 4e-4: 0.6, 1.6e-3: 0.8, 6.4e-3: None}), (200, {2e-4: 0.5, 4e-4: 0.4}))
        for lr, loss in losses.items()
    ],
    "valleys": [{"updates": 100, "lr": 5e-4}, {"updates": 200, "lr": 4e-4}],
    "metric": None,
    "notes": [],
}


def lines(figure, marker):
    return [line for line in figure.axes[0].lines if line.get_marker() == marker and len(line.get_xdata())]


def test_what_is_drawn(tmp_path):
    path = tmp_path / "search.png"
    figure = draw_lr_search(SEARCH, path)
    (axes,) = figure.axes
    assert path.stat().st_size > 10_000
    assert axes.get_xscale() == "log"
    (first,), (second,) = lines(figure, "o"), lines(figure, "s")
    assert np.array_equal(first.get_xdata(), [1e-4, 4e-4, 1.6e-3]) and np.array_equal(
        first.get_ydata(), [0.9, 0.6, 0.8]
    )
    assert np.array_equal(second.get_ydata(), [0.5, 0.4])
    (cross,) = lines(figure, "x")  # the probe that diverged, at the height of the highest loss
    assert (cross.get_xdata()[0], cross.get_ydata()[0]) == (6.4e-3, 0.9)
    stars = lines(figure, "*")
    assert stars[0].get_xdata()[0] == 5e-4 and stars[0].get_ydata()[0] < 0.6  # the bottom of the parabola
    assert (stars[1].get_xdata()[0], stars[1].get_ydata()[0]) == (4e-4, 0.4)  # at the edge
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels == [
        "probes of 100 updates (0.062 of the run)",
        "probes of 200 updates (0.12 of the run)",
        "for the run of 1,600 updates: 2e-4 (1e-4 to 4e-4)",
    ]


def test_seeds_are_drawn_beside_their_mean():
    probes = [*SEARCH["probes"], {"lr": 4e-4, "updates": 200, "loss": 0.5, "seed": 1}]
    figure = draw_lr_search({**SEARCH, "probes": probes})
    mean, each = lines(figure, "s")
    assert mean.get_ydata()[1] == pytest.approx(0.45) and sorted(each.get_ydata()) == [0.4, 0.5, 0.5]


def test_search_without_a_probe():
    figure = draw_lr_search({**SEARCH, "probes": [], "valleys": [], "suggestion": None})
    assert not lines(figure, "o")
