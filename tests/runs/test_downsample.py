"""Long lines by fewer points: extremes and jumps stay."""

import numpy as np
import pytest

from hf_lrsched.runs.downsample import MAX_POINTS, downsample, select_points


@pytest.mark.parametrize("seed", range(5))
def test_extremes_and_jumps_stay(seed):
    random = np.random.default_rng(seed)
    line = np.cumsum(random.normal(size=50_000)) * 0.01
    jumps = random.choice(49_000, 20, replace=False) + 500
    for jump in jumps:
        line[jump:] += 30 * random.choice([-1, 1])
    kept = select_points([line, -line], 1000)
    assert len(kept) <= 1100 and (np.diff(kept) > 0).all() and kept[0] == 0 and kept[-1] == len(line) - 1
    assert line[kept].max() == line.max() and line[kept].min() == line.min()
    assert {*jumps, *(jumps - 1)} <= {*kept.tolist()}
    # Between the points that are drawn, the line is never farther off than within one stretch of the whole.
    drawn = np.interp(np.arange(len(line)), kept, line[kept])
    assert np.abs(drawn - line).max() < 0.05 * np.ptp(line)


def test_short_lines_are_complete():
    assert select_points([np.zeros(10)], 10).tolist() == list(range(10))
    assert select_points([np.array([])], 10).tolist() == []


def test_downsampled_lines_have_their_own_points():
    x = np.arange(100_000) * 2
    xs, ys = downsample(x, np.sin(x))
    assert len(xs) <= MAX_POINTS and ys.tolist() == np.sin(xs).tolist()
