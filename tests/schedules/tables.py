"""Tables of factors, worked out by hand from the formulas: nothing in them is computed by the package."""

import pytest

from hf_lrsched.schedules import parse

SQRT_HALF = 0.7071067811865476
SQRT_3_QUARTERS = 0.8660254037844386
COSINE_1_4 = 0.8535533905932737  # (1 + cos(pi / 4)) / 2
COSINE_3_4 = 0.1464466094067263  # (1 + cos(3 pi / 4)) / 2


def for_each_row(table):
    """Run a test for each row: a text, the updates of a run, and the factors of updates 0, 1, 2, … up to its end and at it.

    The factors are a list, or a dict for some updates only.
    """
    return pytest.mark.parametrize(
        ("text", "horizon", "expected"), table, ids=[f"{text} over {n}" for text, n, _ in table]
    )


def check_factors(text, horizon, expected):
    curve = parse(text).resolve(horizon)
    table = expected if isinstance(expected, dict) else dict(enumerate(expected))
    got = {t: curve(t) for t in table}
    assert got == pytest.approx(table, rel=0, abs=1e-12)
    end = curve.horizon.num_updates
    if not isinstance(expected, dict):
        assert len(expected) == end + 1, "the table must reach the end of the run"
    # Past the end nothing moves.
    assert [curve(end + past) for past in (0.5, 1, 2, end, 7 * end, 10**9)] == [curve(end)] * 6
